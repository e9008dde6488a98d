"""Whether rows are a FOCUS 1.2 dataset: presence, types, nulls, allowed values, and the rules between columns that the export can break."""

import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Final

from switchgear.planner.focus_columns import COLUMNS, SUBCATEGORIES, Column, Level, Type

_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")
_INSTANT: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_UNIT: Final = re.compile(r"(\d+ )?[A-Za-z]+([-/][A-Za-z]+)?")
_CLOSE: Final = Decimal("0.000001")
_PRICED: Final = ("PricingQuantity", "PricingUnit", "PricingCategory", "SkuId", "SkuPriceId", "ListUnitPrice")
"""Null for taxes, never null for usage and purchases (those of them that are there)."""


def focus_problems(header: list[str], rows: Iterable[dict[str, str]]) -> Iterator[str]:
    """What is wrong, each as one sentence with the row's number (1 is the first below the header)."""
    for column in COLUMNS:
        if column.level is Level.MANDATORY and column.name not in header:
            yield f"column {column.name} is missing"
    known = {column.name: column for column in COLUMNS}
    custom = [name.startswith("x_") for name in header]
    if custom != sorted(custom):
        yield "a custom column stands before a column of FOCUS"
    for name in header:
        if name not in known and not name.startswith("x_"):
            yield f"column {name} is neither FOCUS 1.2, as far as the export uses it, nor a custom one (x_)"
    for number, row in enumerate(rows, start=1):
        for name in header:
            if name in known:
                yield from (f"row {number}: {problem}" for problem in _cell(known[name], row.get(name, "")))
        yield from (f"row {number}: {problem}" for problem in _between(row))


def _cell(column: Column, text: str) -> Iterator[str]:
    if not text:
        if not column.nullable:
            yield f"{column.name} must not be null"
        return
    if column.allowed and text not in column.allowed:
        yield f"{column.name} is {text!r}, allowed are {', '.join(column.allowed)}"
    if column.type is Type.DECIMAL and not _NUMBER.fullmatch(text):
        yield f"{column.name} is no decimal number: {text!r}"
    elif column.type is Type.DATE_TIME and not _instant(text):
        yield f"{column.name} is no UTC date and time: {text!r}"
    elif column.type is Type.JSON and not _key_values(text):
        yield f"{column.name} is no JSON object of plain values: {text!r}"
    if column.name == "BillingCurrency" and not _CURRENCY.fullmatch(text):
        yield f"BillingCurrency is no ISO 4217 code: {text!r}"
    if column.name in ("PricingUnit", "ConsumedUnit") and not _UNIT.fullmatch(text):
        yield f"{column.name} is no unit: {text!r}"


def _instant(text: str) -> bool:
    if not _INSTANT.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _key_values(text: str) -> bool:
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict) and all(isinstance(part, str | bool | int | float) for part in value.values())


def _between(row: dict[str, str]) -> Iterator[str]:
    category, correction = row.get("ChargeCategory"), row.get("ChargeClass") == "Correction"
    for name in _PRICED:
        if category == "Tax" and row.get(name):
            yield f"{name} must be null for a tax"
        if category in ("Usage", "Purchase") and not correction and not row.get(name):
            yield f"{name} must not be null for {category}"
    if row.get("ConsumedQuantity") and category != "Usage":
        yield f"ConsumedQuantity must be null for {category}"
    if category == "Credit" and row.get("EffectiveCost") != row.get("BilledCost"):
        yield "EffectiveCost of a credit must be its BilledCost"
    for period in ("Billing", "Charge"):
        if not row.get(f"{period}PeriodStart", "") < row.get(f"{period}PeriodEnd", ""):
            yield f"{period}PeriodEnd is not after {period}PeriodStart"
    subcategory = row.get("ServiceSubcategory", "")
    if subcategory in SUBCATEGORIES and SUBCATEGORIES[subcategory] != row.get("ServiceCategory"):
        yield f"{subcategory} does not belong to {row.get('ServiceCategory')}"
    for price, cost in (("ContractedUnitPrice", "ContractedCost"), ("ListUnitPrice", "ListCost")):
        if row.get(price) and row.get("PricingQuantity") and not correction and not _product(row, price, cost):
            yield f"{price} times PricingQuantity is not {cost}"


def _product(row: dict[str, str], price: str, cost: str) -> bool:
    numbers = [row[price], row["PricingQuantity"], row.get(cost, "")]
    if not all(_NUMBER.fullmatch(number) for number in numbers):
        return True  # said already
    unit, quantity, total = map(Decimal, numbers)
    return abs(unit * quantity - total) <= _CLOSE * max(abs(total), Decimal(1))
