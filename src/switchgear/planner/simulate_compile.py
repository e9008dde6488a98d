"""Numba behind one door: where it is missing, the same functions run as plain Python (slow, but the same answers)."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from switchgear.planner.errors import MissingExtra

F = TypeVar("F", bound=Callable[..., Any])

try:
    import numba
except ImportError:  # the extra `plan` is not installed
    numba = None


def compiled(function: F) -> F:
    """A part of the kernel: compiled into the one function that is kept on disk (`kept`)."""
    if numba is None:
        return function
    return cast("F", numba.njit(error_model="numpy", _nrt=False)(function))


def kept(function: F) -> F:
    """The kernel's door: compiled once on a machine, and again when one of its files has changed.

    Numba keys what it keeps on disk by the function's own file alone; `function` must therefore close over `digest()`.
    """
    if numba is None:
        return function
    return cast("F", numba.njit(cache=True, error_model="numpy", _nrt=False)(function))


def digest() -> str:
    """Of all files of the kernel."""
    files = sorted(Path(__file__).parent.glob("simulate_[ack]*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def need_numba() -> None:
    """Raises MissingExtra where the kernel would run as plain Python, hundreds of times slower."""
    if numba is None:
        raise MissingExtra("numba", "the fast simulation")
