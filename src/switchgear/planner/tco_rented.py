"""What is not owned: tokens and reserved capacity of a cloud, hardware as a service."""

import numpy as np

from switchgear.planner.money_model import Reserved, Service, Tokens
from switchgear.planner.money_quantity import Quantity, constant, larger, smaller, total
from switchgear.planner.tco_book import HOURS, MONTHS, ONE, Book, Reader
from switchgear.planner.tco_model import CostKind, Served, When
from switchgear.planner.tco_owned import bought_by_year

_ZERO = constant(0.0)
_ZERO_USD = constant(0.0, "USD")
_POINTS = constant(100)


def token_lines(book: Book, option: str, place: str, tokens: Tokens, served: list[Served]) -> None:
    """By token, cached prompt tokens at their own price; below a promised spend the difference is due."""
    reads = book.reader(f"options.{option}.places.{place}.tokens", tokens)
    cached_price = "input_usd_per_mtok" if tokens.cached_input_usd_per_mtok is None else "cached_input_usd_per_mtok"
    for year, one in enumerate(served, start=1):
        paid = []
        for kind, field, amount in (
            (CostKind.TOKENS_INPUT, "input_usd_per_mtok", one.fresh_mtok),
            (CostKind.TOKENS_CACHED, cached_price, one.cached_mtok),
            (CostKind.TOKENS_OUTPUT, "output_usd_per_mtok", one.output_mtok),
        ):
            price = reads.grown(field, "price_change_per_year", year)
            if tokens.commitment is not None:
                price = price * (ONE - reads.inner("commitment", tokens.commitment)("discount_share"))
            paid.append(amount * price)
            book.line(
                option, place, kind, year, When.EVENLY, paid[-1], vendor=tokens.vendor, amount=amount, price=price
            )
        if tokens.commitment is not None:
            promised = reads.inner("commitment", tokens.commitment)("usd_per_month") * MONTHS
            short = larger(_ZERO_USD, promised - total(paid))
            book.line(option, place, CostKind.SHORTFALL, year, When.EVENLY, short, vendor=tokens.vendor)
        _egress(book, option, place, reads, one, year, tokens.vendor)


def _egress(book: Book, option: str, place: str, reads: Reader, one: Served, year: int, vendor: str) -> None:
    price = reads("egress_usd_per_gb")
    cost = one.egress_gb * price
    book.line(option, place, CostKind.EGRESS, year, When.EVENLY, cost, vendor=vendor, amount=one.egress_gb, price=price)


def reserved_lines(book: Book, option: str, place: str, reserved: Reserved, served: list[Served]) -> None:
    """Every hour of every unit, used or not; the upfront part at the start of each term, spread over it as a cost."""
    reads = book.reader(f"options.{option}.places.{place}.reserved", reserved)
    horizon, term = book.plan.horizon_years, reserved.term_years
    bought = bought_by_year([one.units for one in served], term)
    for year, one in enumerate(served, start=1):
        upfront, spread, hours = [], [], []
        for start in range(max(1, year - term + 1), year + 1):
            units = bought[start - 1]
            if not np.any(units.value):
                continue
            paid = units * reads.grown("upfront_usd_per_unit", "price_change_per_year", start)
            if start == year:
                upfront.append(paid)
            # What is left of a term at the horizon is lost in the last year.
            shares = term - (year - start) if year == horizon else 1
            spread.append(paid * constant(shares) / constant(term))
            hours.append(units * HOURS * reads.grown("usd_per_unit_hour", "price_change_per_year", start))
        book.line(
            option, place, CostKind.UPFRONT, year, When.START, total(upfront), total(spread), vendor=reserved.vendor
        )
        book.line(option, place, CostKind.CAPACITY, year, When.EVENLY, total(hours), vendor=reserved.vendor)
        if year == horizon:
            _open_terms(book, option, place, reserved, reads, bought)
        _egress(book, option, place, reads, one, year, reserved.vendor)


def _open_terms(book: Book, option: str, place: str, reserved: Reserved, reads: Reader, bought: list[Quantity]) -> None:
    """Hours that a term promises beyond the horizon: they are paid, used or not."""
    horizon = book.plan.horizon_years
    left = [
        bought[start - 1]
        * HOURS
        * constant(start + reserved.term_years - 1 - horizon)
        * reads.grown("usd_per_unit_hour", "price_change_per_year", start)
        for start in range(max(1, horizon - reserved.term_years + 2), horizon + 1)
        if np.any(bought[start - 1].value)
    ]
    book.line(option, place, CostKind.EXIT, horizon, When.END, total(left), vendor=reserved.vendor)


def service_lines(book: Book, option: str, place: str, service: Service, served: list[Served]) -> None:
    """Fees, use, set-up, credits for what was not delivered, and what leaving before the term costs."""
    reads = book.reader(f"options.{option}.places.{place}.service", service)
    vendor, horizon = service.vendor, book.plan.horizon_years
    book.line(option, place, CostKind.MOVE, 1, When.START, reads("setup_usd"), vendor=vendor)
    for year, one in enumerate(served, start=1):
        fee = one.units * reads.grown("usd_per_unit_month", "price_change_per_year", year) * MONTHS
        mtok = one.fresh_mtok + one.cached_mtok + one.output_mtok
        use = total(
            [
                one.calls * reads.grown("usd_per_call", "price_change_per_year", year),
                mtok * reads.grown("usd_per_mtok", "price_change_per_year", year),
                one.busy_unit_hours * reads.grown("usd_per_unit_hour_busy", "price_change_per_year", year),
            ]
        )
        book.line(option, place, CostKind.FEE, year, When.EVENLY, fee, vendor=vendor)
        book.line(option, place, CostKind.USE, year, When.EVENLY, use, vendor=vendor)
        if service.performance is not None:
            terms = reads.inner("performance", service.performance)
            missing = larger(_ZERO, terms("agreed_share") - terms("reached_share")) * _POINTS
            share = smaller(terms("credit_cap_share"), terms("credit_share_per_point") * missing)
            book.line(option, place, CostKind.CREDIT, year, When.EVENLY, -(fee + use) * share, vendor=vendor)
    open_years = -horizon % service.term_years
    if open_years:
        fee = served[-1].units * reads.grown("usd_per_unit_month", "price_change_per_year", horizon)
        left = fee * MONTHS * constant(open_years) * reads("exit_share")
        book.line(option, place, CostKind.EXIT, horizon, When.END, left, vendor=vendor)
