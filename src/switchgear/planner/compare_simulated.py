"""`plan compare` on calls that came: fleets of some options are simulated in each year's volume, and that is what the money counts.

What was simulated is certain: calls and tokens are those of the workload, for all options alike. Prices, lives and all else of the plan
keep their distributions.
"""

from collections.abc import Mapping

import msgspec

from switchgear.planner.errors import BadQuestion
from switchgear.planner.fleet import Fleet
from switchgear.planner.money_errors import NotServed
from switchgear.planner.money_given import Given, as_given
from switchgear.planner.money_model import Plan
from switchgear.planner.questions_facility import peaks_w
from switchgear.planner.simulate import simulate
from switchgear.planner.simulate_model import Result
from switchgear.planner.tco_book import Book
from switchgear.planner.tco_model import Usage
from switchgear.planner.tco_simulated import YEAR_S, usage_from
from switchgear.planner.tco_usage import SLACK, calls_of
from switchgear.planner.workload import Summary, Workload, scaled, summary

_SMALL_CHANGE = 1e-9
"""Two years whose volumes differ by less are simulated once."""


class SimulatedYear(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one year's calls on the fleet of one option."""

    option: str
    year: int
    load: float
    """Times the workload's own rate."""
    result: Result


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """Of all options that have a fleet."""

    workload: Summary
    calls_per_year: float
    """The workload's own volume, as if it went on for a year."""
    years: list[SimulatedYear]
    usage: list[Usage]


def pinned(plan: Plan, workload: Workload) -> Plan:
    """The plan with the workload's tokens a call, and with the volume and growth that its medians give. Raises BadWorkload."""
    told = summary(workload)
    own = plan.workload

    def certain(name: str) -> Given:
        given = as_given(getattr(own, name)) or Given(value=0.0)
        return Given(
            value=given.median, source=f"{given.source or 'the plan'}; its median, for which fleets were simulated"
        )

    changed = {name: certain(name) for name in ("calls_per_month", "growth_per_year", "cached_share_of_prompt")}
    for name, mean in (
        ("prompt_tokens_per_call", told.prompt_tokens_mean),
        ("completion_tokens_per_call", told.output_tokens_mean),
    ):
        changed[name] = Given(value=mean, source=f"{told.source}: mean of {told.calls:,} calls")
    return msgspec.structs.replace(plan, workload=msgspec.structs.replace(own, **changed))


def simulate_options(
    plan: Plan, fleets: Mapping[str, Mapping[int, Fleet]], workload: Workload, *, seed: int = 0
) -> Simulated:
    """Simulate each option's fleet in each year's volume; `fleets` has for each option from which year on which fleet stands.

    Raises BadQuestion for an option that is not in the plan or has no fleet in year 1, NotServed where calls are left over or energy is
    unknown, BadFleet, BadWorkload, HardwareError.
    """
    told = summary(workload)
    if not told.duration_s > 0:
        raise BadQuestion(f"{told.source} has calls of one moment only; give some that tell a rate")
    own_per_year = told.calls * YEAR_S / told.duration_s
    book = Book(plan)
    years: list[SimulatedYear] = []
    usage: list[Usage] = []
    for option, by_year in fleets.items():
        _check(plan, option, by_year)
        before: SimulatedYear | None = None
        for year in range(1, plan.horizon_years + 1):
            fleet = by_year[max(begin for begin in by_year if begin <= year)]
            load = calls_of(book, year).point() / own_per_year
            same = before is not None and year not in by_year and abs(load - before.load) <= _SMALL_CHANGE * load
            result = (
                before.result if before is not None and same else simulate(fleet, scaled(workload, load), seed=seed)
            )
            before = SimulatedYear(option=option, year=year, load=load, result=result)
            _check_served(before)
            years.append(before)
            peaks_kw = {place: watts / 1000 for place, watts in peaks_w(fleet).items()}
            usage += usage_from(plan, option, year, result, peak_kw=peaks_kw)
    return Simulated(workload=told, calls_per_year=own_per_year, years=years, usage=usage)


def _check(plan: Plan, option: str, by_year: Mapping[int, Fleet]) -> None:
    if option not in plan.options:
        raise BadQuestion(f"the plan has no option {option!r}; name one of {', '.join(plan.options)}")
    late = [year for year in by_year if not 1 <= year <= plan.horizon_years]
    if late or 1 not in by_year:
        raise BadQuestion(
            f"option {option!r} has fleets from year {', '.join(map(str, sorted(by_year)))} on; "
            f"give one from year 1, and none beyond year {plan.horizon_years}"
        )
    for year, fleet in by_year.items():
        unknown = [place.name for place in fleet.places if place.name not in plan.options[option].places]
        if unknown:
            raise BadQuestion(
                f"place {unknown[0]!r} of fleet {fleet.name!r} (option {option!r}, from year {year} on) is not in the plan; "
                f"call it as the plan does: {', '.join(plan.options[option].places)}"
            )


def _check_served(one: SimulatedYear) -> None:
    result = one.result
    if result.availability >= 1 - SLACK:
        return
    lost = {**result.refused, **result.failed, **result.broken}
    reasons = ", ".join(f"{reason} ({count / result.calls:.2%})" for reason, count in lost.items())
    raise NotServed(
        f"fleet {result.fleet!r} leaves {1 - result.availability:.2%} of the calls of option {one.option!r} in year {one.year} "
        f"without a whole answer: {reasons}; give it more units, or a larger fleet from that year on: --fleet {one.option}:{one.year}=FILE"
    )
