"""`plan size`: the fewest units of a place for an objective, and one more to stand in for one that is out."""

from collections.abc import Callable
from typing import Annotated

import msgspec

from switchgear.planner.errors import BadQuestion, OutOfReach
from switchgear.planner.fleet import Fault, Fleet, Trouble
from switchgear.planner.simulate import simulate
from switchgear.planner.simulate_model import Answer, Result, Spread
from switchgear.planner.workload import Workload

Positive = Annotated[float, msgspec.Meta(gt=0)]
MOST_UNITS = 4096
"""Where the search ends."""
_TIMES = ("ttft_p50_s", "ttft_p95_s", "ttft_p99_s", "e2e_p50_s", "e2e_p95_s", "e2e_p99_s", "tpot_p95_s")


class Objective(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What must hold; None is not asked for."""

    ttft_p50_s: Positive | None = None
    ttft_p95_s: Positive | None = None
    ttft_p99_s: Positive | None = None
    e2e_p50_s: Positive | None = None
    e2e_p95_s: Positive | None = None
    e2e_p99_s: Positive | None = None
    tpot_p95_s: Positive | None = None
    availability: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    """Share of the calls that get a whole answer."""
    cloud_share: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    """At most this share of the answers may come from a cloud."""

    def __post_init__(self) -> None:
        if all(getattr(self, name) is None for name in self.__struct_fields__):
            raise BadQuestion("no objective; give at least one, for example ttft_p99_s or availability")
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise BadQuestion(f"{name} is {value!r}; give a number that is not negative")


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One size that was simulated."""

    units: int
    meets: bool
    misses: list[str]
    """What of the objective did not hold, with the figure."""
    ttft_p99_s: float | None
    e2e_p95_s: float | None
    availability: float
    utilisation: float | None


class Size(Answer, frozen=True, kw_only=True):
    """The answer of `plan size`."""

    place: str
    objective: Objective
    units: int
    """The fewest that meet the objective with all of them up."""
    units_n_plus_1: int
    """The fewest that meet it with one of them out all the time."""
    devices: int
    """Accelerators of `units_n_plus_1`."""
    tried: list[Tried]
    result: Result
    """Of `units_n_plus_1` units with all of them up."""


def size(
    fleet: Fleet, place: str, workload: Workload, objective: Objective, *, seed: int = 0, most: int = MOST_UNITS
) -> Size:
    """The fewest units of `place` for which a simulation of the fleet meets the objective.

    Doubling, then halving the interval: right as long as more units never make it worse. Raises OutOfReach where `most` units do not meet
    it, BadFleet, BadWorkload, BadQuestion.
    """
    chosen = fleet.place(place)
    if most < 1 or most > MOST_UNITS:
        raise BadQuestion(f"most is {most}; give 1 to {MOST_UNITS} units")
    tried: dict[int, Tried] = {}
    results: dict[int, Result] = {}

    def run(units: int) -> Tried:
        if units not in tried:
            bigger = msgspec.structs.replace(chosen, units=units)
            results[units] = simulate(fleet.with_place(bigger), workload, seed=seed)
            tried[units] = _judged(units, place, results[units], objective)
        return tried[units]

    fewest = _fewest(run, most, place)
    spare = fewest + 1
    while spare <= most and not _without_one(fleet, place, spare, workload, objective, seed):
        spare += 1
    if spare > most:
        raise OutOfReach(f"{most} units of {place!r} do not meet the objective with one out; allow more")
    run(spare)
    return Size(
        place=place,
        objective=objective,
        units=fewest,
        units_n_plus_1=spare,
        devices=spare * chosen.devices,
        tried=[tried[units] for units in sorted(tried)],
        result=results[spare],
        inputs=results[spare].inputs,
    )


def misses(result: Result, objective: Objective) -> list[str]:
    """What of an objective a result does not meet, each with the figure."""
    found = []
    for name in _TIMES:
        wanted = getattr(objective, name)
        kind, _, percentile = name.removesuffix("_s").partition("_")
        spread: Spread = getattr(result, kind)
        reached = getattr(spread, percentile)
        if wanted is not None and (reached is None or reached > wanted):
            found.append(f"{name} is {'unknown' if reached is None else f'{reached:.4g}'}, at most {wanted:g}")
    if objective.availability is not None and result.availability < objective.availability:
        found.append(f"availability is {result.availability:.6g}, at least {objective.availability:g}")
    if objective.cloud_share is not None and result.cloud_share > objective.cloud_share:
        found.append(f"cloud_share is {result.cloud_share:.4g}, at most {objective.cloud_share:g}")
    return found


def _judged(units: int, place: str, result: Result, objective: Objective) -> Tried:
    found = misses(result, objective)
    return Tried(
        units=units,
        meets=not found,
        misses=found,
        ttft_p99_s=result.ttft.p99,
        e2e_p95_s=result.e2e.p95,
        availability=result.availability,
        utilisation=result.place(place).utilisation,
    )


def _fewest(run: Callable[[int], Tried], most: int, place: str) -> int:
    low, high = 0, 1
    while not run(high).meets:
        low = high
        if high == most:
            reasons = "; ".join(run(high).misses)
            raise OutOfReach(
                f"{most} units of {place!r} do not meet the objective: {reasons}. Allow more, relax it, or take other hardware"
            )
        high = min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        if run(middle).meets:
            high = middle
        else:
            low = middle
    return high


def _without_one(fleet: Fleet, place: str, units: int, workload: Workload, objective: Objective, seed: int) -> bool:
    """Whether so many units meet the objective with one of them out from the beginning on."""
    chosen = fleet.place(place)
    out = Fault(kind=Trouble.OUTAGE, start_s=0.0, lasts_s=workload.duration_s + 10 * fleet.deadline_s, units=1)
    less = msgspec.structs.replace(chosen, units=units, faults=(*chosen.faults, out))
    return not misses(simulate(fleet.with_place(less), workload, seed=seed), objective)
