"""Planned costs as a FOCUS 1.2 dataset: one row for each month of each line.

What is paid and what a month costs are two things: a purchase is one row with its BilledCost and an EffectiveCost of 0, and each
month of use has a row with a BilledCost of 0 and its part of the depreciation as EffectiveCost. Over the horizon both sums are
the option's. All figures are plans, and each row's Tags say so.
"""

import csv
import json
from collections.abc import Iterator
from io import StringIO
from typing import Final, NamedTuple, TypeAlias

from switchgear.planner.focus_columns import COLUMNS, SUBCATEGORIES
from switchgear.planner.money_model import Plan
from switchgear.planner.tco_model import CostKind, Line, OptionCost, When

Row: TypeAlias = dict[str, str]

_PLACES: Final = 10
"""Digits behind the point: a token costs some millionths of a dollar."""


class _Service(NamedTuple):
    name: str
    subcategory: str


_INFERENCE: Final = _Service("Model inference", "Generative AI")
_HARDWARE: Final = _Service("Inference hardware", "Other (Compute)")
_FACILITY: Final = _Service("Power, cooling and space", "Other (Other)")
_RUN: Final = _Service("Operation", "Administration")
_SERVICES: Final = {
    CostKind.TOKENS_INPUT: _INFERENCE,
    CostKind.TOKENS_CACHED: _INFERENCE,
    CostKind.TOKENS_OUTPUT: _INFERENCE,
    CostKind.SHORTFALL: _INFERENCE,
    CostKind.PURCHASE: _HARDWARE,
    CostKind.INSTALL: _HARDWARE,
    CostKind.LOAN: _HARDWARE,
    CostKind.LEASE: _HARDWARE,
    CostKind.RESIDUAL: _HARDWARE,
    CostKind.UPFRONT: _HARDWARE,
    CostKind.CAPACITY: _HARDWARE,
    CostKind.FEE: _HARDWARE,
    CostKind.USE: _HARDWARE,
    CostKind.CREDIT: _HARDWARE,
    CostKind.EXIT: _HARDWARE,
    CostKind.LICENCE: _HARDWARE,
    CostKind.WARRANTY: _Service("Warranty and maintenance", "Support"),
    CostKind.MAINTENANCE: _Service("Warranty and maintenance", "Support"),
    CostKind.ENERGY: _FACILITY,
    CostKind.COOLING: _FACILITY,
    CostKind.DEMAND: _FACILITY,
    CostKind.SPACE: _FACILITY,
    CostKind.NETWORK: _Service("Network", "Network Management"),
    CostKind.EGRESS: _Service("Network", "Data Transfer"),
    CostKind.ENGINEERING: _RUN,
    CostKind.TAX: _RUN,
    CostKind.MOVE: _Service("Migration", "Other (Migration)"),
}
_TOKEN_KINDS: Final = (CostKind.TOKENS_INPUT, CostKind.TOKENS_CACHED, CostKind.TOKENS_OUTPUT)
_UNITS: Final = {
    **dict.fromkeys(_TOKEN_KINDS, ("1000000 Tokens", "Tokens", 1e6)),
    CostKind.ENERGY: ("kWh", "kWh", 1.0),
    CostKind.COOLING: ("kWh", "kWh", 1.0),
    CostKind.EGRESS: ("GB", "GB", 1.0),
}
"""Of lines that are priced by amount: the unit of the price, the unit consumed, and how many of the one make the other."""
_USAGE_BASED: Final = {*_UNITS, CostKind.USE, CostKind.CREDIT, CostKind.SHORTFALL}


def month_start(start: str, months: int) -> str:
    """The first instant of a month, `months` after the plan's first."""
    year, month = map(int, start.split("-"))
    index = year * 12 + month - 1 + months
    return f"{index // 12:04d}-{index % 12 + 1:02d}-01T00:00:00Z"


def focus_rows(plan: Plan, costs: dict[str, OptionCost]) -> Iterator[Row]:
    """Rows of all options, each told by `x_Option`: a budget takes one of them."""
    for name, cost in costs.items():
        for line in cost.lines:
            yield from _rows_of(plan, name, line)


def focus_csv(rows: Iterator[Row]) -> Iterator[str]:
    """The dataset as CSV, a header first; lines without their ends."""
    names = [column.name for column in COLUMNS]
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    for cells in ([names], ([row[name] for name in names] for row in rows)):
        for row_cells in cells:
            writer.writerow(row_cells)
            yield buffer.getvalue().removesuffix("\r\n")
            buffer.seek(0)
            buffer.truncate()


def _rows_of(plan: Plan, option: str, line: Line) -> Iterator[Row]:
    first = (line.year - 1) * 12
    months = {When.START: [first], When.END: [first + 11], When.EVENLY: list(range(first, first + 12))}[line.when]
    paid = 0.0 if line.cash is None else line.cash.point()
    if line.accrual is line.cash:
        for month in months:
            yield _row(plan, option, line, month, paid / len(months), paid / len(months))
        return
    if paid:
        for month in months:
            yield _row(plan, option, line, month, paid / len(months), 0.0)
    if line.accrual is not None:
        spent = line.accrual.point()
        for month in range(first, first + 12):
            yield _row(plan, option, line, month, 0.0, spent / 12)


def _row(plan: Plan, option: str, line: Line, month: int, billed: float, effective: float) -> Row:
    start, end = month_start(plan.start, month), month_start(plan.start, month + 1)
    category = _category(line, billed, effective)
    cost = billed or effective
    service = _SERVICES[line.kind]
    entry = line.cash if billed or line.accrual is None else line.accrual
    vendor = line.vendor or plan.account.name
    resource = "/".join(filter(None, [option, line.place]))
    row = dict.fromkeys((column.name for column in COLUMNS), "")
    row |= {
        "BilledCost": decimal(billed),
        "BillingAccountId": plan.account.id,
        "BillingAccountName": plan.account.name,
        "BillingCurrency": plan.currency,
        "BillingPeriodStart": start,
        "BillingPeriodEnd": end,
        "ChargeCategory": category,
        "ChargeDescription": f"Planned: {line.kind.value.replace('_', ' ')}, {resource}, year {line.year}",
        "ChargeFrequency": _frequency(line),
        "ChargePeriodStart": start,
        "ChargePeriodEnd": end,
        "EffectiveCost": decimal(effective),
        "InvoiceIssuerName": vendor,
        "ProviderName": vendor,
        "PublisherName": vendor,
        "ResourceId": resource,
        "ResourceName": plan.options[option].title or option,
        "ServiceCategory": SUBCATEGORIES[service.subcategory],
        "ServiceName": service.name,
        "ServiceSubcategory": service.subcategory,
        "Tags": json.dumps({"planned": "true", "option": option, "kind": line.kind.value}, separators=(",", ":")),
        "x_CostKind": line.kind.value,
        "x_Option": option,
        "x_Place": line.place,
        "x_PlanEntry": "" if entry is None else entry.text,
    }
    return row | _pricing(line, category, cost)


def _category(line: Line, billed: float, effective: float) -> str:
    if line.kind is CostKind.TAX:
        return "Tax"
    if line.kind is CostKind.CREDIT:
        return "Credit"
    if billed and (effective == 0.0 or line.when is not When.EVENLY):
        return "Purchase"
    return "Usage"


def _frequency(line: Line) -> str:
    if line.kind in _USAGE_BASED:
        return "Usage-Based"
    return "Recurring" if line.when is When.EVENLY or line.kind in (CostKind.LOAN, CostKind.LEASE) else "One-Time"


def _pricing(line: Line, category: str, cost: float) -> Row:
    """Quantity times unit price is the cost, to the last digit that is written."""
    quantity, unit, consumed, unit_price = 1.0, "Months" if line.when is When.EVENLY else "Units", "", cost
    if line.kind in _UNITS and line.amount is not None and line.price is not None and cost:
        unit, consumed, _ = _UNITS[line.kind]
        unit_price = line.price.point()
        quantity = cost / unit_price
    price = decimal(unit_price)
    amount = decimal(quantity)
    row = {"ContractedCost": decimal(cost), "ListCost": decimal(cost)}
    if category == "Tax":
        return row
    row |= {
        "ContractedUnitPrice": price,
        "ListUnitPrice": price,
        "PricingCategory": "Standard",
        "PricingQuantity": amount,
        "PricingUnit": unit,
        "SkuId": line.kind.value,
        "SkuMeter": line.kind.value.replace("_", " "),
        "SkuPriceId": f"{line.option}.{line.place}.{line.kind.value}.y{line.year}",
    }
    if category == "Usage":
        scale = _UNITS[line.kind][2] if consumed else 1.0
        row |= {"ConsumedQuantity": decimal(quantity * scale), "ConsumedUnit": consumed or unit}
    return row


def decimal(value: float) -> str:
    """A number as FOCUS wants it: no exponent, no sign but a minus, no digits that say nothing."""
    text = f"{value:.{_PLACES}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
