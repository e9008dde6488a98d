"""From a simulation's result to a year of usage: where both halves of the planner meet.

A simulation runs for hours or weeks; a year is that, over and over. So a simulated workload must have the volume of the year it
stands for: what a place draws at one volume says little of another.
"""

from collections.abc import Mapping
from typing import Any, Final

from switchgear.planner.money_errors import NotServed
from switchgear.planner.money_given import as_given
from switchgear.planner.money_model import Plan
from switchgear.planner.simulate_model import PlaceResult, Result
from switchgear.planner.tco_book import Book
from switchgear.planner.tco_model import Usage
from switchgear.planner.tco_usage import calls_of

YEAR_S: Final = 8760 * 3600.0
"""Of a plan."""
_J_PER_KWH: Final = 3.6e6
_TOLERANCE: Final = 0.05


def usage_from(
    plan: Plan,
    option: str,
    year: int,
    result: Result,
    *,
    names: Mapping[str, str] | None = None,
    peak_kw: Mapping[str, float] | None = None,
) -> list[Usage]:
    """Usage of an option's places in one year. `names` gives a simulated place its name in the plan, where that is another;
    `peak_kw` the highest power of each place at its plugs (`plan facility`). What is cached of prompts, and the size of answers, are the
    plan's: a simulated cloud says neither.

    Raises NotServed where the simulated volume is not the year's, or a place that draws power says nothing of it.
    """
    asked = calls_of(Book(plan), year).point()
    simulated = result.calls * YEAR_S / result.arrivals_s if result.arrivals_s > 0 else 0.0
    if abs(simulated - asked) > _TOLERANCE * asked:
        raise NotServed(
            f"the simulated workload has {simulated:,.0f} calls a year, year {year} of the plan {asked:,.0f}; "
            "simulate the volume of that year"
        )
    return [
        _row(
            option,
            year,
            place,
            (names or {}).get(place.name, place.name),
            asked / result.calls,
            result.arrivals_s,
            peak_kw or {},
            *(_median(getattr(plan.workload, name)) for name in ("cached_share_of_prompt", "answer_bytes_per_call")),
        )
        for place in result.places
    ]


def _row(
    option: str,
    year: int,
    place: PlaceResult,
    name: str,
    scale: float,
    lasted_s: float,
    peak_kw: Mapping[str, float],
    cached_share: float,
    answer_bytes: float,
) -> Usage:
    energy_j = place.energy_wall_j
    if energy_j is None and place.energy_board_j is not None:
        raise NotServed(
            f"the simulation knows the energy of {place.name}'s boards, not of its machines; give the place a `host` in the fleet file"
        )
    busy = 0.0 if place.utilisation is None else place.utilisation * place.units * 8760
    return Usage(
        option=option,
        place=name,
        year=year,
        calls=place.answered * scale,
        prompt_tokens=place.tokens_in * scale,
        cached_tokens=place.tokens_in * scale * cached_share,
        completion_tokens=place.tokens_out * scale,
        energy_kwh=(energy_j or 0.0) / _J_PER_KWH * YEAR_S / lasted_s,
        peak_kw=peak_kw.get(place.name, 0.0),
        egress_bytes=place.answered * scale * answer_bytes,
        busy_unit_hours=busy,
        units=place.units,
    )


def _median(assumption: Any) -> float:
    given = as_given(assumption)
    return 0.0 if given is None else given.median
