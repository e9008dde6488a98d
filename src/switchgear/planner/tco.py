"""Total cost of ownership of one option: its lines by place, its own, and their totals by year and in present value.

Conventions: years are whole; what is bought is paid at a year's beginning, running costs count in its middle, loans, sales and
tax at its end. All sums are nominal US dollars, discounted at one rate.
"""

from switchgear.planner.finance import discount_factor
from switchgear.planner.money_model import Option
from switchgear.planner.money_quantity import Quantity, applied, constant, total
from switchgear.planner.tco_book import ONE_YEAR, Book
from switchgear.planner.tco_model import CostKind, Line, OptionCost, Served, When
from switchgear.planner.tco_owned import owned_lines
from switchgear.planner.tco_rented import reserved_lines, service_lines, token_lines
from switchgear.planner.tco_usage import calls_of, serve

_LEVELISED = (
    "levelised cost: present value of costs over that of output (NREL, levelised cost of energy; IEA, Projected Costs)"
)


def cost_of(book: Book, name: str) -> OptionCost:
    """All costs of one option. Raises BadPlan, NotServed, UnitMismatch."""
    option = book.plan.options[name]
    before = len(book.lines)
    served, unserved = serve(book, name, option)
    for place, part in option.places.items():
        if part.tokens is not None:
            token_lines(book, name, place, part.tokens, served[place])
        if part.reserved is not None:
            reserved_lines(book, name, place, part.reserved, served[place])
        if part.service is not None:
            service_lines(book, name, place, part.service, served[place])
        if part.owned is not None:
            owned_lines(book, name, place, part.owned, served[place])
    _people(book, name, option)
    _tax(book, name, before)
    return _totals(book, name, book.lines[before:], served, unserved)


def _people(book: Book, name: str, option: Option) -> None:
    reads = book.reader(f"options.{name}", option)
    for year in range(1, book.plan.horizon_years + 1):
        wages = reads("engineering_fte") * reads.grown("usd_per_fte_year", "wage_change_per_year", year) * ONE_YEAR
        book.line(name, "", CostKind.ENGINEERING, year, When.EVENLY, wages, vendor="staff")
    move = reads("move_hours") * reads("move_usd_per_hour")
    book.line(name, "", CostKind.MOVE, 1, When.START, move, vendor="staff")


def _tax(book: Book, name: str, first: int) -> None:
    if book.plan.tax_rate == 0.0:
        return
    rate = book.reader("", book.plan)("tax_rate")
    lines = book.lines[first:]
    for year in range(1, book.plan.horizon_years + 1):
        costs = total([line.accrual for line in lines if line.year == year and line.accrual is not None])
        book.line(name, "", CostKind.TAX, year, When.END, -costs * rate, vendor="tax office")


def _totals(
    book: Book, name: str, lines: list[Line], served: dict[str, list[Served]], unserved: list[Quantity]
) -> OptionCost:
    rate = book.reader("", book.plan)("discount_rate_per_year")
    years = range(1, book.plan.horizon_years + 1)

    def discounted(at: float) -> Quantity:
        return applied("discount_factor", discount_factor, (), rate, constant(at))

    def yearly(what: str, amounts: list[tuple[int, Quantity]]) -> list[Quantity]:
        return [
            book.sheet.named(
                f"{name}.{what}.y{year}", total([q for y, q in amounts if y == year]), f"{name}: {what}, year {year}"
            )
            for year in years
        ]

    cash = yearly("paid", [(line.year, line.cash) for line in lines if line.cash is not None])
    accrual = yearly("cost", [(line.year, line.accrual) for line in lines if line.accrual is not None])
    worth = []
    for at in sorted({line.at_years for line in lines}):
        worth.append(
            total([q for line in lines if line.at_years == at and (q := line.cash) is not None]) * discounted(at)
        )
    present = book.sheet.named(
        f"{name}.present_value", total(worth), f"{name}: present value of all payments", _LEVELISED
    )
    outputs = {}
    for what, unit in (("call", "call"), ("mtok", "Mtok")):
        made = total([_output(served, year, unit) * discounted(year - 0.5) for year in years], unit)
        label = f"{name}: cost of {'a call' if what == 'call' else 'a million tokens, prompt and completion together'}"
        outputs[what] = book.sheet.named(f"{name}.usd_per_{what}", present / made, label, _LEVELISED)
    return OptionCost(
        option=name,
        lines=lines,
        served=served,
        calls=[calls_of(book, year) for year in years],
        unserved=unserved,
        cash=cash,
        accrual=accrual,
        cash_total=book.sheet.named(f"{name}.paid_total", total(cash), f"{name}: paid in all years"),
        present_value=present,
        usd_per_call=outputs["call"],
        usd_per_mtok=outputs["mtok"],
    )


def _output(served: dict[str, list[Served]], year: int, unit: str) -> Quantity:
    rows = [places[year - 1] for places in served.values()]
    if unit == "call":
        return total([row.calls for row in rows], unit)
    return total([q for row in rows for q in (row.fresh_mtok, row.cached_mtok, row.output_mtok)], unit)
