"""At how many calls a month an option becomes cheaper than the baseline, and whether it ever does."""

from enum import StrEnum
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from switchgear.planner.money_model import Plan
from switchgear.planner.money_quantity import Value
from switchgear.planner.tco import cost_of
from switchgear.planner.tco_book import Book

_LOWEST: Final = 1e-6
_HIGHEST: Final = 1e4
_POINTS: Final = 201
"""Volumes looked at together, evenly in logarithms: twenty to a factor of ten at first."""
_ROUNDS: Final = 4

Values = npt.NDArray[np.float64]


class Verdict(StrEnum):
    """What there is to say about a break-even volume."""

    FROM = "from"
    """Cheaper from `calls_per_month` on."""
    UP_TO = "up_to"
    """Cheaper up to `calls_per_month`."""
    ALWAYS = "always"
    """Cheaper at every volume that it can serve."""
    NEVER = "never"
    """Dearer at every volume that it can serve."""


class BreakEven(msgspec.Struct, frozen=True, kw_only=True):
    """The volume of the first year at which both cost the same, growth and all else as in the plan."""

    verdict: Verdict
    calls_per_month: float | None = None
    share_of_plan: float | None = None
    """Of the calls that the plan has."""
    why: str = ""


def break_even_volume(plan: Plan, option: str) -> BreakEven:
    """Search volumes from a millionth to ten thousand times the plan's. Raises MoneyError.

    The difference in present value need not be a straight line (units grow in steps, commitments have floors), so it is
    sampled, and the crossing nearest to the plan's own volume is sampled again more finely. Medians stand for what is uncertain.
    """
    calls = Book(plan).reader("workload", plan.workload)("calls_per_month").point()
    volumes = np.geomspace(_LOWEST, _HIGHEST, _POINTS)
    saved = _savings(plan, option, volumes)
    known = ~np.isnan(saved)
    if not known.any():
        return BreakEven(verdict=Verdict.NEVER, why="it cannot serve any volume")
    volumes, saved = volumes[known], saved[known]
    crossings = np.flatnonzero((saved[:-1] > 0) != (saved[1:] > 0))
    if not crossings.size:
        most = f"up to {volumes[-1] * calls:,.0f} calls a month, the most that was looked at or can be served"
        if saved[-1] > 0:
            return BreakEven(verdict=Verdict.ALWAYS, why=f"it is cheaper at every volume {most}")
        return BreakEven(verdict=Verdict.NEVER, why=f"it is dearer at every volume {most}")
    nearest = int(min(crossings, key=lambda index: abs(np.log(volumes[index] * volumes[index + 1]))))
    volume = _refined(plan, option, volumes[nearest], volumes[nearest + 1])
    several = f"they cross {crossings.size} times; this is the crossing nearest to the plan's volume"
    return BreakEven(
        verdict=Verdict.FROM if saved[nearest + 1] > 0 else Verdict.UP_TO,
        calls_per_month=volume * calls,
        share_of_plan=volume,
        why=several if crossings.size > 1 else "",
    )


def _savings(plan: Plan, option: str, volumes: Values) -> Values:
    """Present value saved against the baseline at each volume; not a number where either leaves calls over."""
    book = Book(plan, volume=volumes)
    costs = [cost_of(book, name) for name in (plan.baseline, option)]
    saved = costs[0].present_value.value - costs[1].present_value.value + np.zeros_like(volumes)
    for cost in costs:
        for left, asked in zip(cost.unserved, cost.calls, strict=True):
            saved = np.where(_array(left.value) > 1e-9 * _array(asked.value), np.nan, saved)
    return saved


def _array(value: Value) -> Values:
    return np.asarray(value, dtype=np.float64)


def _refined(plan: Plan, option: str, low: float, high: float) -> float:
    for _ in range(_ROUNDS):
        volumes = np.geomspace(low, high, _POINTS)
        cheaper = _savings(plan, option, volumes) > 0
        # The first point on the far side of the crossing; a step may jump over zero, then the step is where it is.
        index = int(np.flatnonzero(cheaper != cheaper[0])[0]) if (cheaper != cheaper[0]).any() else _POINTS - 1
        low, high = float(volumes[index - 1]), float(volumes[index])
    return float(np.sqrt(low * high))
