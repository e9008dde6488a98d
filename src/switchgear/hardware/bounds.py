"""Checks of figures: each names the figure, what was given and what to give instead."""

import math

from switchgear.hardware.errors import BadFigure


def not_negative(**figures: float) -> None:
    """Raises BadFigure for the first that is negative or not finite."""
    for name, value in figures.items():
        if not math.isfinite(value) or value < 0:
            raise BadFigure(name, value, f"a finite number{_unit(name)} that is not negative")


def positive(**figures: float) -> None:
    """Raises BadFigure for the first that is not above zero or not finite."""
    for name, value in figures.items():
        if not math.isfinite(value) or value <= 0:
            raise BadFigure(name, value, f"a finite number{_unit(name)} above zero")


def fraction(**figures: float) -> None:
    """Raises BadFigure for the first outside 0 to 1; both ends are allowed."""
    for name, value in figures.items():
        if not 0 <= value <= 1:
            raise BadFigure(name, value, "a fraction from 0 to 1")


def efficiency(**figures: float) -> None:
    """Raises BadFigure for the first that is not above 0 and at most 1: what divides by it would not end."""
    for name, value in figures.items():
        if not 0 < value <= 1:
            raise BadFigure(name, value, "a fraction above 0 and at most 1")


def finite(**figures: float) -> None:
    """Raises BadFigure for the first that is not a finite number (a temperature may be negative)."""
    for name, value in figures.items():
        if not math.isfinite(value):
            raise BadFigure(name, value, f"a finite number{_unit(name)}")


_UNITS = {
    "_w": "watts",
    "_j": "joules",
    "_wh": "watt-hours",
    "_s": "seconds",
    "_c": "degrees Celsius",
    "_k_per_w": "kelvin per watt",
    "_j_per_k": "joules per kelvin",
    "_bytes_per_s": "bytes per second",
    "_bytes": "bytes",
    "_deg": "degrees",
    "_w_per_m2": "watts per square metre",
}


def _unit(name: str) -> str:
    ending = max((ending for ending in _UNITS if name.endswith(ending)), key=len, default="")
    return f" of {_UNITS[ending]}" if ending else ""
