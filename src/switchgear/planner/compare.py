"""`plan compare`: several ways to serve one workload, over the same years, against a baseline."""

from collections.abc import Iterable, Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from switchgear.planner.breakeven import BreakEven, break_even_volume
from switchgear.planner.finance import Irr, irr, payback_years
from switchgear.planner.money_errors import NotServed
from switchgear.planner.money_model import Plan
from switchgear.planner.money_quantity import Entry, total
from switchgear.planner.tco import cost_of
from switchgear.planner.tco_book import Book
from switchgear.planner.tco_model import GROUPS, CostKind, Line, OptionCost, Usage


class YearCost(msgspec.Struct, frozen=True, kw_only=True):
    """One year of one option. Each sum is an entry of the sheet: `<option>.paid.y<year>`, `<option>.cost.y<year>`."""

    year: int
    calls: float
    paid_usd: float
    """Cash that leaves in the year."""
    cost_usd: float
    """What the year has cost: depreciation and interest instead of purchase and repayment."""
    usd_per_call: float
    """The year's cost over its served calls."""
    by_kind: dict[CostKind, float]
    """The year's cost by what is paid for."""


class OptionResult(msgspec.Struct, frozen=True, kw_only=True):
    """What an option comes to. Against the baseline, a positive saving is in the option's favour."""

    name: str
    title: str
    kind: str
    years: list[YearCost]
    paid_usd: float
    present_value_usd: float
    usd_per_call: float
    usd_per_mtok: float
    saving_usd: float | None = None
    """Net present value of choosing it instead of the baseline; None for the baseline itself."""
    irr: Irr | None = None
    payback_years: float | None = None
    """None: not within the horizon ("never"), or the baseline itself."""
    break_even: BreakEven | None = None
    """Calls a month from which it is cheaper than the baseline."""
    cumulative_saving_usd: list[float] = []
    """At the beginning, and at the end of each year; not discounted."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `plan compare`, every number with its entry in `entries`."""

    title: str
    currency: str
    start: str
    horizon_years: int
    discount_rate_per_year: float
    baseline: str
    options: list[OptionResult]
    cheapest: str
    """By present value of all payments."""
    entries: dict[str, Entry]


def usage_by_key(rows: Iterable[Usage]) -> dict[tuple[str, str, int], Usage]:
    """Usage rows as the book wants them. Raises NotServed for a row given twice."""
    found: dict[tuple[str, str, int], Usage] = {}
    for row in rows:
        key = (row.option, row.place, row.year)
        if key in found:
            raise NotServed(
                f"usage of {row.option}, {row.place}, year {row.year} is given twice; give one row for each"
            )
        found[key] = row
    return found


def evaluated(
    plan: Plan,
    *,
    draws: Mapping[str, npt.NDArray[np.float64]] | None = None,
    usage: Iterable[Usage] = (),
    volume: float = 1.0,
    only: Iterable[str] | None = None,
) -> tuple[Book, dict[str, OptionCost]]:
    """The costs of all options (or `only` some) with medians, with draws, or at another volume of calls. Raises MoneyError."""
    book = Book(plan, draws=draws, usage=usage_by_key(usage), volume=volume)
    return book, {name: cost_of(book, name) for name in (plan.options if only is None else only)}


def compare(plan: Plan, usage: Iterable[Usage] = ()) -> Comparison:
    """Compare all options of a plan. Raises NotServed where an option leaves calls over, MoneyError for what cannot be computed."""
    rows = list(usage)
    book, costs = evaluated(plan, usage=rows)
    for cost in costs.values():
        _must_serve(cost)
    base = costs[plan.baseline]
    results = [_result(plan, rows, cost, base) for cost in costs.values()]
    return Comparison(
        title=plan.title,
        currency=plan.currency,
        start=plan.start,
        horizon_years=plan.horizon_years,
        discount_rate_per_year=book.reader("", plan)("discount_rate_per_year").point(),
        baseline=plan.baseline,
        options=results,
        cheapest=min(results, key=lambda result: result.present_value_usd).name,
        entries=_with_savings(book, results, costs, plan.baseline),
    )


def _must_serve(cost: OptionCost) -> None:
    for year, (left, asked) in enumerate(zip(cost.unserved, cost.calls, strict=True), start=1):
        share = left.point() / asked.point()
        if share > 1e-9:
            raise NotServed(
                f"option {cost.option} leaves {share:.1%} of the calls of year {year} over; "
                "set `grow = true` or more `units`, or add a place without share_of_calls that takes the rest"
            )


def _result(plan: Plan, usage: list[Usage], cost: OptionCost, base: OptionCost) -> OptionResult:
    option = plan.options[cost.option]
    result = OptionResult(
        name=cost.option,
        title=option.title or cost.option,
        kind=option.kind.value,
        years=[_year(cost, year) for year in range(1, plan.horizon_years + 1)],
        paid_usd=cost.cash_total.point(),
        present_value_usd=cost.present_value.point(),
        usd_per_call=cost.usd_per_call.point(),
        usd_per_mtok=cost.usd_per_mtok.point(),
    )
    if cost is base:
        return result
    flows = [(line.at_years, _cash(line)) for line in base.lines] + [
        (line.at_years, -_cash(line)) for line in cost.lines
    ]
    start, by_year = _start_and_years(plan, flows)
    cumulative = [start]
    for amount in by_year:
        cumulative.append(cumulative[-1] + amount)
    # Money from simulated usage is for its volume alone: scaling it would invent what hardware does at another load.
    simulated = any(row.option in (cost.option, base.option) for row in usage)
    return msgspec.structs.replace(
        result,
        saving_usd=base.present_value.point() - cost.present_value.point(),
        irr=irr(_merged(flows)),
        payback_years=payback_years(start, by_year),
        break_even=None if simulated else break_even_volume(plan, cost.option),
        cumulative_saving_usd=cumulative,
    )


def _cash(line: Line) -> float:
    return 0.0 if line.cash is None else line.cash.point()


def _merged(flows: list[tuple[float, float]]) -> list[tuple[float, float]]:
    moments = sorted({at for at, _ in flows})
    return [(at, sum(amount for when, amount in flows if when == at)) for at in moments]


def _start_and_years(plan: Plan, flows: list[tuple[float, float]]) -> tuple[float, list[float]]:
    """Saved at the beginning, and in each year; purchases of later years count in the year before, which they end."""
    start = sum(amount for at, amount in flows if at == 0.0)
    by_year = [
        sum(amount for at, amount in flows if year - 1 < at <= year) for year in range(1, plan.horizon_years + 1)
    ]
    return start, by_year


def _year(cost: OptionCost, year: int) -> YearCost:
    by_kind: dict[CostKind, float] = {}
    for line in cost.lines:
        if line.year == year and line.accrual is not None:
            by_kind[line.kind] = by_kind.get(line.kind, 0.0) + line.accrual.point()
    calls = sum(rows[year - 1].calls.point() for rows in cost.served.values())
    spent = cost.accrual[year - 1].point()
    return YearCost(
        year=year,
        calls=calls,
        paid_usd=cost.cash[year - 1].point(),
        cost_usd=spent,
        usd_per_call=spent / calls if calls else 0.0,
        by_kind=by_kind,
    )


def _with_savings(
    book: Book, results: list[OptionResult], costs: dict[str, OptionCost], baseline: str
) -> dict[str, Entry]:
    entries = dict(book.sheet.entries)
    for result in results:
        for one in result.years:
            calls = " + ".join(
                id for id in entries if id.startswith(f"{result.name}.") and id.endswith(f".calls.y{one.year}")
            )
            id = f"{result.name}.usd_per_call.y{one.year}"
            formula = f"{result.name}.cost.y{one.year} / ({calls})"
            label = f"{result.name}: cost of a call in year {one.year}"
            entries[id] = Entry(id=id, label=label, value=one.usd_per_call, unit="USD/call", formula=formula)
        _add_groups(entries, costs[result.name])
        if result.saving_usd is not None:
            id = f"{result.name}.saving"
            formula = f"{baseline}.present_value - {result.name}.present_value"
            label = f"{result.name}: net present value against {baseline}"
            entries[id] = Entry(id=id, label=label, value=result.saving_usd, unit="USD", formula=formula)
    return entries


def group_id(option: str, group: str) -> str:
    """The entry with what an option costs in all years for a group of kinds."""
    return f"{option}.all.{group.lower().replace(' ', '_')}"


def _add_groups(entries: dict[str, Entry], cost: OptionCost) -> None:
    for group, kinds in GROUPS.items():
        parts = [line.accrual for line in cost.lines if line.kind in kinds and line.accrual is not None]
        if parts:
            whole = total(parts)
            id, label = group_id(cost.option, group), f"{cost.option}: {group.lower()}, cost of all years"
            entries[id] = Entry(id=id, label=label, value=whole.point(), unit="USD", formula=whole.text)
