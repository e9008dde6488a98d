"""The answer of `plan compare` as rows, for the terminal and for CSV. Pure: printing is the command's."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from switchgear.planner.compare import Comparison
from switchgear.planner.montecarlo import MonteCarlo
from switchgear.planner.montecarlo_sensitivity import Sensitivity
from switchgear.planner.report_text import (
    break_even,
    group_costs,
    payback,
    percent,
    rate_of_return,
    seconds,
    short_usd,
    usd,
)

if TYPE_CHECKING:
    from switchgear.planner.compare_simulated import Simulated  # it brings the simulator with it


class Grid(msgspec.Struct, frozen=True, kw_only=True):
    """A table: a title, headings, rows of text. All but the first `left` columns are numbers."""

    title: str
    head: list[str]
    rows: list[list[str]]
    left: int = 1
    note: str = ""


def compare_grids(comparison: Comparison, spread: MonteCarlo | None, drivers: Sensitivity | None) -> Iterator[Grid]:
    """What `plan compare` prints."""
    yield Grid(
        title=f"{comparison.title}: {comparison.horizon_years} years from {comparison.start}, USD, against {comparison.baseline}",
        head=["option", "present value", "a call", "Mtok", "saving (NPV)", "payback", "IRR", "break-even"],
        rows=[
            [
                f"{one.name}{' *' if one.name == comparison.cheapest else ''}",
                usd(one.present_value_usd),
                usd(one.usd_per_call),
                usd(one.usd_per_mtok),
                "–" if one.saving_usd is None else usd(one.saving_usd),
                payback(one),
                rate_of_return(one),
                break_even(one.break_even),
            ]
            for one in comparison.options
        ],
        note="* cheapest by present value. Medians of what is uncertain.",
    )
    years = [str(year) for year in range(1, comparison.horizon_years + 1)]
    yield Grid(
        title="Paid in each year, and what the year has cost (depreciation and interest instead of price and repayment)",
        head=["option", "", *years],
        rows=[
            row
            for one in comparison.options
            for row in (
                [one.name, "paid", *(usd(year.paid_usd) for year in one.years)],
                ["", "cost", *(usd(year.cost_usd) for year in one.years)],
            )
        ],
        left=2,
    )
    totals = {one.name: group_costs(one) for one in comparison.options}
    used = [group for group in next(iter(totals.values())) if any(abs(total[group]) > 0.5 for total in totals.values())]
    yield Grid(
        title="What the money goes for, all years",
        head=["kind of cost", *totals],
        rows=[[group, *(usd(total[group]) if total[group] else "–" for total in totals.values())] for group in used],
    )
    if spread is not None:
        yield _spread_grid(spread)
    if drivers is not None:
        yield _drivers_grid(drivers)


def simulated_grid(simulated: "Simulated") -> Grid:
    """How the simulated options do, year by year."""
    told = simulated.workload
    return Grid(
        title=f"How fast, and where calls go: simulated on {told.calls:,} calls of {told.source}",
        head=[
            "option",
            "year",
            "rate",
            "TTFT p50",
            "TTFT p99",
            "E2E p50",
            "E2E p95",
            "whole answers",
            "cloud",
            "must stay local",
        ],
        rows=[
            [
                one.option,
                str(one.year),
                f"x {one.load:.3g}",
                *(
                    seconds(time_s)
                    for time_s in (one.result.ttft.p50, one.result.ttft.p99, one.result.e2e.p50, one.result.e2e.p95)
                ),
                percent(one.result.availability, 2),
                percent(one.result.cloud_share, 1),
                percent(one.result.must_stay_local_share, 1),
            ]
            for one in simulated.years
        ],
        left=2,
        note=(
            f"The calls as they came are {simulated.calls_per_year / 12:,.0f} a month. "
            "Calls and tokens are certain here, all else is as in the plan."
        ),
    )


def _spread_grid(spread: MonteCarlo) -> Grid:
    return Grid(
        title=f"How sure: {spread.draws:,} draws of {len(spread.uncertain)} uncertain inputs, seed {spread.seed}",
        head=[
            "option",
            "cheapest",
            "beats baseline",
            "saving P10",
            "P50",
            "P90",
            "a call P10",
            "P90",
            "leaves calls over",
        ],
        rows=[
            [
                one.name,
                percent(one.cheapest),
                percent(one.cheaper_than_baseline),
                *("–" if one.saving_usd is None else usd(one.saving_usd.percentiles[share]) for share in (10, 50, 90)),
                *(usd(one.usd_per_call.percentiles[share]) for share in (10, 90)),
                percent(one.leaves_calls_over) if one.leaves_calls_over else "–",
            ]
            for one in spread.options
        ],
    )


def _drivers_grid(drivers: Sensitivity) -> Grid:
    return Grid(
        title=f"What matters most for the saving of {drivers.option} (Sobol, {drivers.evaluations:,} evaluations)",
        head=["assumption", "alone", "with others", "saving at its P10", "at its P90"],
        rows=[
            [
                one.id,
                percent(max(one.first_order, 0.0)),
                percent(max(one.total_order, 0.0)),
                usd(one.saving_p10_usd),
                usd(one.saving_p90_usd),
            ]
            for one in drivers.influences[:8]
        ],
    )


def compare_csv(comparison: Comparison) -> Iterator[Sequence[object]]:
    """One row for each option and year, in full digits."""
    kinds = sorted({kind for one in comparison.options for year in one.years for kind in year.by_kind})
    yield (
        "option",
        "kind",
        "year",
        "currency",
        "calls",
        "paid_usd",
        "cost_usd",
        "usd_per_call",
        *(f"{kind}_usd" for kind in kinds),
    )
    for one in comparison.options:
        for year in one.years:
            yield (
                one.name,
                one.kind,
                year.year,
                comparison.currency,
                year.calls,
                year.paid_usd,
                year.cost_usd,
                year.usd_per_call,
                *(year.by_kind.get(kind, 0.0) for kind in kinds),
            )


def verdict(comparison: Comparison, spread: MonteCarlo | None) -> str:
    """The answer in one sentence."""
    by_name = {one.name: one for one in comparison.options}
    best, base = by_name[comparison.cheapest], by_name[comparison.baseline]
    text = f"{best.title} costs least: {short_usd(best.present_value_usd)} in present value"
    if best is not base:
        text += f", {short_usd(best.saving_usd or 0.0)} less than {base.title}"
    if spread is not None:
        chance = next(one.cheapest for one in spread.options if one.name == best.name)
        text += f"; it is the cheapest in {percent(chance)} of all draws"
    return f"{text}."
