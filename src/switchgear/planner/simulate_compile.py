"""Numba behind one door, with the settings of the kernel."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from switchgear.planner.errors import MissingExtra

F = TypeVar("F", bound=Callable[..., Any])

_compile: Callable[..., Any] | None
try:
    from numba import njit as _compile
except ImportError:  # the extra `plan` is not installed: whoever asks for a fast simulation is told (`need_numba`)
    _compile = None

_SETTINGS = {"error_model": "numpy", "_nrt": False}
"""Division as in NumPy, without a check each time. No counting of references: the kernel allocates nothing, and handing a state of a dozen
arrays to a function would count each of them up and down (measured: 16 us a call with it, 2 us without)."""


def compiled(function: F) -> F:
    """A part of the kernel: compiled into the one function that is kept on disk (`kept`)."""
    return function if _compile is None else cast("F", _compile(**_SETTINGS)(function))


def kept(function: F) -> F:
    """The kernel's door: compiled once on a machine, and again when one of its files has changed.

    Numba keys what it keeps on disk by the function's own file and by what it closes over; `function` must close over `digest()`.
    """
    return function if _compile is None else cast("F", _compile(cache=True, **_SETTINGS)(function))


def digest() -> str:
    """Of all files of the kernel."""
    files = sorted(Path(__file__).parent.glob("simulate_[ack]*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def need_numba() -> None:
    """Raises MissingExtra: as plain Python the kernel would be hundreds of times slower."""
    if _compile is None:
        raise MissingExtra("numba", "the fast simulation")
