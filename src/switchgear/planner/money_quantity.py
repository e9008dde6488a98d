"""Numbers that know their unit and where they come from.

A `Quantity` is a value (one number, or one for each draw of a Monte Carlo run), a unit, and the text of the formula that made
it. Arithmetic on quantities writes that text, so the formula which a report shows is the one that was computed; adding
dollars to kilowatts raises. A `Sheet` gives quantities names and keeps what a footnote needs.

Money is binary64, not Decimal: every figure here is an assumption of two or three digits, the same formulas run on NumPy
arrays, and no invoice is made of them. Sums over lines use `math.fsum`; rounding happens only where a figure is shown.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from switchgear.planner.money_errors import UnitMismatch

Value: TypeAlias = float | npt.NDArray[np.float64]
Dimensions: TypeAlias = tuple[tuple[str, int], ...]

_ALIASES: Final = {"kWh": "kW*h", "W": "W", "1": ""}
_SUM, _PRODUCT, _POWER, _ATOM = range(4)


def parse_unit(text: str) -> Dimensions:
    """`USD/kW/month` as its dimensions. Everything behind the first `/` divides unless a `*` follows another `/`."""
    powers: dict[str, int] = {}
    sign = 1
    for operator, name in re.findall(r"([*/]?)([A-Za-z0-9]+)", text):
        sign = -1 if operator == "/" else 1
        for part in filter(None, _ALIASES.get(name, name).split("*")):
            powers[part] = powers.get(part, 0) + sign
    return _dimensions(powers)


def _dimensions(powers: dict[str, int]) -> Dimensions:
    return tuple(sorted((name, power) for name, power in powers.items() if power))


def unit_text(unit: Dimensions) -> str:
    """The unit as people write it: `USD/call`, `kWh`, empty where there is none."""
    above = [f"{name}{'' if power == 1 else power}" for name, power in unit if power > 0]
    below = [f"{name}{'' if power == -1 else -power}" for name, power in unit if power < 0]
    for parts in (above, below):
        if "kW" in parts and "h" in parts:
            parts[:] = ["kWh" if part == "kW" else part for part in parts if part != "h"]
    return "/".join(["·".join(above) or ("1" if below else ""), *below])


class Quantity:
    """A value with a unit and the formula that made it. Immutable."""

    __slots__ = ("_strength", "text", "unit", "value")

    def __init__(self, value: Value, unit: Dimensions = (), text: str = "", strength: int = _ATOM) -> None:
        self.value = value
        self.unit = unit
        self.text = text or _number(value)
        self._strength = strength

    def __add__(self, other: "Quantity") -> "Quantity":
        self._same_unit(other, "+")
        return Quantity(self.value + other.value, self.unit, f"{self.text} + {other.text}", _SUM)

    def __sub__(self, other: "Quantity") -> "Quantity":
        self._same_unit(other, "-")
        return Quantity(self.value - other.value, self.unit, f"{self.text} - {other._within(_PRODUCT)}", _SUM)

    def __mul__(self, other: "Quantity") -> "Quantity":
        text = f"{self._within(_PRODUCT)} * {other._within(_PRODUCT)}"
        return Quantity(self.value * other.value, self._combined(other, 1), text, _PRODUCT)

    def __truediv__(self, other: "Quantity") -> "Quantity":
        if np.any(np.asarray(other.value) == 0):
            raise UnitMismatch(f"{other.text} is zero and divides {self.text}; give a number above zero")
        text = f"{self._within(_PRODUCT)} / {other._within(_POWER)}"
        return Quantity(self.value / other.value, self._combined(other, -1), text, _PRODUCT)

    def __neg__(self) -> "Quantity":
        return Quantity(-self.value, self.unit, f"-{self._within(_POWER)}", _PRODUCT)

    def __pow__(self, exponent: float) -> "Quantity":
        if self.unit:
            raise UnitMismatch(f"{self.text} has a unit ({unit_text(self.unit)}) and cannot be raised to a power")
        return Quantity(self.value**exponent, (), f"{self._within(_ATOM)} ** {exponent:g}", _POWER)

    def in_unit(self, unit: str) -> "Quantity":
        """The same quantity, once its unit is the expected one. Raises UnitMismatch."""
        if self.unit != parse_unit(unit):
            raise UnitMismatch(f"{self.text} is in {unit_text(self.unit) or '1'}, expected {unit}")
        return self

    def point(self) -> float:
        """The value as one number; the mean of the draws where there are several."""
        return float(np.mean(self.value))

    def __repr__(self) -> str:
        return f"Quantity({self.text} = {self.value!r} {unit_text(self.unit)})"

    def _within(self, strength: int) -> str:
        return f"({self.text})" if self._strength < strength else self.text

    def _same_unit(self, other: "Quantity", operator: str) -> None:
        if self.unit != other.unit:
            left, right = unit_text(self.unit) or "1", unit_text(other.unit) or "1"
            raise UnitMismatch(f"{self.text} [{left}] {operator} {other.text} [{right}]: the units differ")

    def _combined(self, other: "Quantity", sign: int) -> Dimensions:
        if not other.unit:
            return self.unit
        powers = dict(self.unit)
        for name, power in other.unit:
            powers[name] = powers.get(name, 0) + sign * power
        return _dimensions(powers)


def _number(value: Value) -> str:
    if isinstance(value, np.ndarray):
        return f"[{value.size} draws]"
    return f"{value:.12g}"


def constant(value: Value, unit: str = "") -> Quantity:
    """A number that is no assumption: a count, a conversion."""
    return Quantity(value, parse_unit(unit))


def applied(name: str, function: Callable[..., Value], unit: Dimensions, *arguments: Quantity) -> Quantity:
    """`name(arguments)`: a function that plain arithmetic cannot write. A reader of the formula must know the name."""
    value = function(*(argument.value for argument in arguments))
    return Quantity(value, unit, f"{name}({', '.join(argument.text for argument in arguments)})")


def larger(left: Quantity, right: Quantity) -> Quantity:
    """The larger of two."""
    left._same_unit(right, "max")
    return applied("max", _maximum, left.unit, left, right)


def smaller(left: Quantity, right: Quantity) -> Quantity:
    """The smaller of two."""
    left._same_unit(right, "min")
    return applied("min", _minimum, left.unit, left, right)


def rounded_up(quantity: Quantity) -> Quantity:
    """The next whole number; a hair above one counts as that one."""
    return applied("ceil", _ceiling, quantity.unit, quantity)


def _maximum(left: Value, right: Value) -> Value:
    return max(left, right) if isinstance(left, float) and isinstance(right, float) else np.maximum(left, right)


def _minimum(left: Value, right: Value) -> Value:
    return min(left, right) if isinstance(left, float) and isinstance(right, float) else np.minimum(left, right)


def _ceiling(value: Value) -> Value:
    return float(math.ceil(value - 1e-9)) if isinstance(value, float) else np.ceil(value - 1e-9)


def total(parts: Iterable[Quantity], unit: str = "USD") -> Quantity:
    """The sum of any number of quantities of one unit; zero of none."""
    kept: Sequence[Quantity] = [part.in_unit(unit) for part in parts]
    if not kept:
        return constant(0.0, unit)
    if len(kept) == 1:
        return kept[0]
    values = [part.value for part in kept]
    scalar = all(isinstance(value, float) for value in values)
    summed: Any = math.fsum(values) if scalar else sum(values)
    return Quantity(summed, kept[0].unit, " + ".join(part.text for part in kept), _SUM)


FUNCTIONS: Final[dict[str, Callable[..., Value]]] = {"max": _maximum, "min": _minimum, "ceil": _ceiling}
"""Names that formulas use; planner.finance adds its own."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One named number: what a footnote says."""

    id: str
    label: str
    value: float
    unit: str
    formula: str = ""
    """Over the ids of other entries; empty for an input."""
    source: str = ""
    """Where an input, or the formula, comes from."""
    assumed: bool = False
    """An input that nobody measured or quoted."""
    spread: str = ""
    """The distribution of an uncertain input, as the file has it."""

    @property
    def refs(self) -> list[str]:
        """Ids that the formula uses."""
        return [name for name in dict.fromkeys(re.findall(r"[A-Za-z_][\w.]*", self.formula)) if name not in FUNCTIONS]


class Sheet:
    """Names for quantities. A name is given once."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def given(self, id: str, quantity: Quantity, label: str, **about: Any) -> Quantity:
        """An input. `about` is the source, whether it is assumed, its spread."""
        return self._put(id, quantity, label, "", about)

    def named(self, id: str, quantity: Quantity, label: str, source: str = "") -> Quantity:
        """A result: later formulas show its name instead of how it was made."""
        return self._put(id, quantity, label, quantity.text, {"source": source})

    def _put(self, id: str, quantity: Quantity, label: str, formula: str, about: dict[str, Any]) -> Quantity:
        if id in self._entries:
            raise UnitMismatch(f"the sheet has two numbers named {id}; name one of them differently")
        self._entries[id] = Entry(
            id=id, label=label, value=quantity.point(), unit=unit_text(quantity.unit), formula=formula, **about
        )
        return Quantity(quantity.value, quantity.unit, id)

    def __contains__(self, id: object) -> bool:
        return id in self._entries

    @property
    def entries(self) -> dict[str, Entry]:
        """All that was named, in order."""
        return self._entries
