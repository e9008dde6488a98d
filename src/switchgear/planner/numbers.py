"""A plan's TOML as values: text with or without a byte order mark, and no number that nothing can be computed from."""

import tomllib
from collections.abc import Iterator
from typing import Any

MOST = 1e18
"""Above all that a plan has: a device's operations a second, a year's tokens of a large site."""
REMEDY = f"Give a finite number of at most {MOST:g}, in the unit that the key names."
NO_TOML = (ValueError, RecursionError)
"""What `values_of` raises: text that is no UTF-8 or no TOML, an integer of thousands of digits; nested deeper than the stack."""


def values_of(content: bytes) -> dict[str, Any]:
    """Decoded TOML. Raises what `NO_TOML` lists."""
    return tomllib.loads(content.decode("utf-8-sig"))


def unusable(data: object, where: str = "") -> Iterator[tuple[str, str]]:
    """Each number that is not finite, or so large that it can only be a mistake: the path of its key, and its text."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from unusable(value, f"{where}.{key}" if where else str(key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from unusable(value, f"{where}[{index}]")
    elif isinstance(data, int | float) and not abs(data) <= MOST:
        yield where, f"{data!s:.24}"
