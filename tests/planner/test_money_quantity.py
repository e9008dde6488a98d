"""Quantities: units are checked, formulas are what was computed."""

import numpy as np
import pytest

from switchgear.planner.money_errors import UnitMismatch
from switchgear.planner.money_quantity import (
    Quantity,
    Sheet,
    constant,
    larger,
    parse_unit,
    rounded_up,
    total,
    unit_text,
)


def named(text: str, value: float, unit: str) -> Quantity:
    return Quantity(value, parse_unit(unit), text)


def test_units_multiply_and_cancel() -> None:
    cost = named("energy", 100.0, "kWh") * named("price", 0.2, "USD/kWh")
    assert cost.value == pytest.approx(20.0)
    assert unit_text(cost.unit) == "USD"
    power = named("power", 2.0, "kW/unit") * named("units", 3.0, "unit") * constant(10, "h")
    assert unit_text(power.unit) == "kWh"
    assert unit_text(parse_unit("USD/unit/month")) == "USD/month/unit"


def test_adding_different_units_is_refused() -> None:
    with pytest.raises(UnitMismatch, match=r"units differ"):
        named("a", 1.0, "USD") + named("b", 1.0, "kW")
    with pytest.raises(UnitMismatch, match=r"expected USD"):
        named("a", 1.0, "USD/month").in_unit("USD")
    with pytest.raises(UnitMismatch, match=r"is zero"):
        named("a", 1.0, "USD") / named("b", 0.0, "call")
    with pytest.raises(UnitMismatch, match=r"power"):
        named("a", 1.0, "USD") ** 2


def test_formulas_keep_their_brackets() -> None:
    a, b, c = named("a", 7.0, ""), named("b", 2.0, ""), named("c", 3.0, "")
    for quantity in (
        (a + b) * c,
        a - (b - c),
        a / (b * c),
        a / (b / c),
        -(a + b),
        (a + b) ** 2,
        a * b / c,
        a - (b + c),
    ):
        assert eval(quantity.text, {"a": 7.0, "b": 2.0, "c": 3.0}) == pytest.approx(quantity.value)


def test_a_sheet_shows_names_instead_of_how_they_were_made() -> None:
    sheet = Sheet()
    price = sheet.given("price", named("", 5.0, "USD/unit"), "price", source="quote")
    cost = sheet.named("cost", price * constant(3, "unit"), "cost")
    twice = sheet.named("twice", total([cost, cost]), "twice")
    assert sheet.entries["cost"].formula == "price * 3"
    assert sheet.entries["twice"].formula == "cost + cost"
    assert sheet.entries["twice"].refs == ["cost"]
    assert twice.point() == 30.0
    with pytest.raises(UnitMismatch, match=r"two numbers"):
        sheet.named("cost", price, "again")


def test_draws_go_through() -> None:
    draws = Quantity(np.asarray([0.2, 1.0, 3.7]), parse_unit("unit"), "n")
    assert rounded_up(draws).value == pytest.approx([1.0, 1.0, 4.0])
    assert larger(draws, constant(1, "unit")).value == pytest.approx([1.0, 1.0, 3.7])
    assert rounded_up(constant(2.0000000001)).value == 2.0
    assert total([]).value == 0.0
