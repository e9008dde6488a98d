"""Hardware of one's own: bought in cohorts, paid at once, on loan or by lease, written off, kept alive, sold in the end."""

from dataclasses import dataclass

import numpy as np

from switchgear.planner import finance
from switchgear.planner.money_model import Owned
from switchgear.planner.money_quantity import Quantity, applied, constant, total
from switchgear.planner.tco_book import MONTHS, ONE, ONE_YEAR, Book, Reader
from switchgear.planner.tco_energy import energy_lines
from switchgear.planner.tco_model import CostKind, Served, When


@dataclass(frozen=True, slots=True)
class Cohort:
    """Units that were bought together, at the beginning of `year`."""

    year: int
    units: Quantity
    price: Quantity
    """Of all of them, with the spares."""


def bought_by_year(units: list[Quantity], life_years: int) -> list[Quantity]:
    """How many are bought at the beginning of each year: for growth, and in place of those whose life is over."""
    bought: list[Quantity] = []
    for index, now in enumerate(units):
        new = now if index == 0 else now - units[index - 1]
        if index >= life_years:
            new = new + bought[index - life_years]
        bought.append(new)
    return bought


def owned_lines(book: Book, option: str, place: str, owned: Owned, served: list[Served]) -> None:
    """Enter all that owned hardware costs."""
    reads = book.reader(f"options.{option}.places.{place}.owned", owned)
    life = owned.lease.years if owned.lease else owned.life_years
    cohorts = _cohorts(book, option, place, owned, reads, bought_by_year([one.units for one in served], life))
    for cohort in cohorts:
        _install(book, option, place, owned, reads, cohort)
    if owned.lease is not None:
        _lease(book, option, place, owned, reads, cohorts)
    else:
        _purchase(book, option, place, owned, reads, cohorts)
        _sell(book, option, place, owned, reads, cohorts)
    for year, one in enumerate(served, start=1):
        _running(book, option, place, owned, reads, year, one, [c for c in cohorts if c.year <= year < c.year + life])
        energy_lines(book, option, place, owned.site, year, one)


def _cohorts(book: Book, option: str, place: str, owned: Owned, reads: Reader, bought: list[Quantity]) -> list[Cohort]:
    cohorts = []
    for year, units in enumerate(bought, start=1):
        if not np.any(units.value):
            continue
        with_spares = units * (ONE + reads("spare_units_share"))
        price = with_spares * reads.grown("price_usd_per_unit", "price_change_per_year", year)
        id = f"{option}.{place}.bought"
        named = book.sheet.named(f"{id}_units.y{year}", units, f"{option}, {place}: units bought for year {year}")
        label = f"{option}, {place}: price of the units bought for year {year}, with spares"
        cohorts.append(Cohort(year, named, book.sheet.named(f"{id}_usd.y{year}", price.in_unit("USD"), label)))
    return cohorts


def _install(book: Book, option: str, place: str, owned: Owned, reads: Reader, cohort: Cohort) -> None:
    cost = cohort.units * reads("install_usd_per_unit")
    book.line(option, place, CostKind.INSTALL, cohort.year, When.START, cost, vendor=owned.vendor)


def _purchase(book: Book, option: str, place: str, owned: Owned, reads: Reader, cohorts: list[Cohort]) -> None:
    """The price when it is paid, or the loan's instalments; as a cost by year, depreciation and interest."""
    horizon = book.plan.horizon_years
    for year in range(1, horizon + 1):
        paid = [cohort.price for cohort in cohorts if cohort.year == year]
        if owned.loan is not None:
            down = book.reader(f"options.{option}.places.{place}.owned.loan", owned.loan)("down_share")
            paid = [price * down for price in paid]
            _loan(book, option, place, owned, cohorts, year)
        written = [
            cohort.price * _written_off(reads, owned, year - cohort.year + 1)
            for cohort in cohorts
            if cohort.year <= year < cohort.year + owned.life_years
        ]
        book.line(option, place, CostKind.PURCHASE, year, When.START, total(paid), total(written), vendor=owned.vendor)


def _written_off(reads: Reader, owned: Owned, age: int) -> Quantity:
    left = reads("residual_share")
    life = constant(owned.life_years)
    if owned.depreciation.method == "straight_line":
        return applied("straight_line", finance.straight_line, (), life, left, constant(age))
    factor = constant(owned.depreciation.factor)
    return applied("declining_balance", finance.declining_balance, (), life, left, constant(age), factor)


def _loan(book: Book, option: str, place: str, owned: Owned, cohorts: list[Cohort], year: int) -> None:
    assert owned.loan is not None  # noqa: S101  the caller has looked
    terms = book.reader(f"options.{option}.places.{place}.owned.loan", owned.loan)
    rate, years = terms("rate_per_year"), constant(owned.loan.years)
    paid, interest = [], []
    for cohort in cohorts:
        age = year - cohort.year + 1
        if not 1 <= age <= owned.loan.years:
            continue
        borrowed = cohort.price * (ONE - terms("down_share"))
        paid.append(borrowed * applied("annuity", finance.annuity, (), rate, years))
        if year == book.plan.horizon_years and age < owned.loan.years:  # what is still owed is paid off in the end
            paid.append(borrowed * applied("balance", finance.balance, (), rate, years, constant(age)))
        interest.append(borrowed * applied("balance", finance.balance, (), rate, years, constant(age - 1)) * rate)
    book.line(option, place, CostKind.LOAN, year, When.END, total(paid), total(interest), vendor="lender")


def _lease(book: Book, option: str, place: str, owned: Owned, reads: Reader, cohorts: list[Cohort]) -> None:
    """Rents in advance. A term that goes on after the horizon is paid to its end."""
    assert owned.lease is not None  # noqa: S101  the caller has looked
    terms = book.reader(f"options.{option}.places.{place}.owned.lease", owned.lease)
    share = applied(
        "lease_payment",
        finance.lease_payment,
        (),
        terms("rate_per_year"),
        constant(owned.lease.years),
        terms("left_share"),
    )
    horizon = book.plan.horizon_years
    for year in range(1, horizon + 1):
        live = [c for c in cohorts if c.year <= year < c.year + owned.lease.years]
        rents = [cohort.price * share for cohort in live]
        book.line(option, place, CostKind.LEASE, year, When.START, total(rents), vendor=owned.vendor)
    open_rents = [
        cohort.price * share * constant(left)
        for cohort in cohorts
        if (left := cohort.year + owned.lease.years - 1 - horizon) > 0
    ]
    book.line(option, place, CostKind.EXIT, horizon, When.END, total(open_rents), vendor=owned.vendor)


def _sell(book: Book, option: str, place: str, owned: Owned, reads: Reader, cohorts: list[Cohort]) -> None:
    """Sold at the end of life for the residual share; at the horizon for what lies on the straight line between price and that.

    The year's cost is what the books say above the proceeds, so that over all years cost and payments are the same.
    """
    horizon = book.plan.horizon_years
    by_year: dict[int, list[tuple[Quantity, Quantity]]] = {}
    for cohort in cohorts:
        last = min(cohort.year + owned.life_years - 1, horizon)
        age = last - cohort.year + 1
        left = reads("residual_share")
        worth = ONE - (ONE - left) * constant(age) / constant(owned.life_years)
        booked = ONE - total([_written_off(reads, owned, past) for past in range(1, age + 1)], "")
        by_year.setdefault(last, []).append((cohort.price * worth, cohort.price * (booked - worth)))
    for year, sold in sorted(by_year.items()):
        proceeds = -total([worth for worth, _ in sold])
        lost = total([loss for _, loss in sold])
        book.line(option, place, CostKind.RESIDUAL, year, When.END, proceeds, lost, vendor=owned.vendor)


def _running(
    book: Book, option: str, place: str, owned: Owned, reads: Reader, year: int, served: Served, live: list[Cohort]
) -> None:
    def put(kind: CostKind, cost: Quantity, vendor: str = owned.vendor) -> None:
        book.line(option, place, kind, year, When.EVENLY, cost, vendor=vendor)

    covered = owned.warranty_included_years
    out_of_warranty = total([c.units for c in live if year - c.year + 1 > covered], "unit")
    put(CostKind.WARRANTY, out_of_warranty * reads("warranty_usd_per_unit_year") * ONE_YEAR)
    put(CostKind.MAINTENANCE, total([c.price for c in live]) * reads("maintenance_share_per_year"))
    put(CostKind.LICENCE, served.units * reads("licence_usd_per_unit_year") * ONE_YEAR)
    put(CostKind.NETWORK, reads("network_usd_per_month") * MONTHS, "carrier")
    rack_units = served.units * (ONE + reads("spare_units_share")) * reads("rack_units_per_unit")
    rent = book.reader(f"sites.{owned.site}", book.plan.sites[owned.site])("usd_per_rack_unit_month")
    put(CostKind.SPACE, rack_units * rent * MONTHS, "site")
