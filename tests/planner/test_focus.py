"""The FOCUS 1.2 export: conforming, complete, and each rule's breach is found."""

import csv
import io

import pytest
from tests.planner.money_plans import EXAMPLES, owned, small

from switchgear.planner.compare import evaluated
from switchgear.planner.focus import decimal, focus_csv, focus_rows, month_start
from switchgear.planner.focus_check import focus_problems
from switchgear.planner.focus_columns import COLUMNS, SUBCATEGORIES, Level
from switchgear.planner.money_read import plan_of, read_plan
from switchgear.planner.tco_model import CostKind

Rows = list[dict[str, str]]

# FOCUS 1.2, requirements model: rules CostAndUsage-D-003 to D-068 with "MUST be present" and no condition, PricingUnit included.
MANDATORY = {
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory",
    "ChargeClass", "ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName",
    "ListCost", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName",
}  # fmt: skip


@pytest.fixture(scope="module")
def exported() -> tuple[list[str], Rows]:
    plan = read_plan(EXAMPLES / "compare.toml")
    text = "\r\n".join(focus_csv(focus_rows(plan, evaluated(plan)[1])))
    reader = csv.DictReader(io.StringIO(text, newline=""))
    rows = list(reader)
    return list(reader.fieldnames or []), rows


def test_the_example_conforms(exported: tuple[list[str], Rows]) -> None:
    header, rows = exported
    assert len(rows) > 1000
    assert list(focus_problems(header, rows)) == []


def test_mandatory_columns() -> None:
    assert {column.name for column in COLUMNS if column.level is Level.MANDATORY} == MANDATORY


def test_sums_are_those_of_the_comparison(exported: tuple[list[str], Rows]) -> None:
    _, costs = evaluated(read_plan(EXAMPLES / "compare.toml"))
    for name, cost in costs.items():
        own = [row for row in exported[1] if row["x_Option"] == name]
        assert sum(float(row["BilledCost"]) for row in own) == pytest.approx(cost.cash_total.point(), abs=0.01)
        spent = sum(quantity.point() for quantity in cost.accrual)
        assert sum(float(row["EffectiveCost"]) for row in own) == pytest.approx(spent, abs=0.01)


def test_a_purchase_is_effective_while_it_is_used(exported: tuple[list[str], Rows]) -> None:
    own = [row for row in exported[1] if row["x_Option"] == "hybrid" and row["x_CostKind"] == "purchase"]
    bought = [row for row in own if row["ChargeCategory"] == "Purchase"]
    assert [row["EffectiveCost"] for row in bought] == ["0"]
    assert bought[0]["ChargeFrequency"] == "One-Time"
    used = [row for row in own if row["ChargeCategory"] == "Usage"]
    assert len(used) == 60
    assert {row["BilledCost"] for row in used} == {"0"}


def test_tokens_have_a_unit_price(exported: tuple[list[str], Rows]) -> None:
    row = next(row for row in exported[1] if row["x_CostKind"] == "tokens_output" and row["x_Option"] == "cloud")
    assert row["PricingUnit"] == "1000000 Tokens"
    assert float(row["ContractedUnitPrice"]) == 10.0
    assert float(row["ConsumedQuantity"]) == pytest.approx(float(row["PricingQuantity"]) * 1e6)
    assert row["ServiceCategory"] == "AI and Machine Learning"
    assert row["x_PlanEntry"] == "cloud.api.tokens_output.y1"


def test_all_kinds_of_cost_have_a_service() -> None:
    plan = small() | {"tax_rate": 0.2}
    owned(plan)["loan"] = {"rate_per_year": 0.05, "years": 2}
    built = plan_of(plan)
    rows = list(focus_rows(built, evaluated(built)[1]))
    assert list(focus_problems([column.name for column in COLUMNS], rows)) == []
    assert {row["ChargeCategory"] for row in rows} >= {"Usage", "Purchase", "Tax"}
    from switchgear.planner.focus import _SERVICES

    assert set(_SERVICES) == set(CostKind)
    assert {service.subcategory for service in _SERVICES.values()} <= set(SUBCATEGORIES)


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("BilledCost", "1e3", "no decimal"),
        ("BilledCost", "", "must not be null"),
        ("BilledCost", "$5", "no decimal"),
        ("BillingCurrency", "usd", "ISO 4217"),
        ("ChargeCategory", "Cost", "allowed are"),
        ("ChargeClass", "Regular", "allowed are"),
        ("ChargePeriodStart", "2026-01-01", "no UTC date"),
        ("ChargePeriodStart", "2026-13-01T00:00:00Z", "no UTC date"),
        ("ChargePeriodStart", "2036-01-01T00:00:00Z", "not after"),
        ("ServiceCategory", "Compute", "does not belong"),
        ("ServiceCategory", "AI", "allowed are"),
        ("PricingUnit", "1,000 Tokens", "no unit"),
        ("PricingQuantity", "", "must not be null for Usage"),
        ("ContractedUnitPrice", "11", "times PricingQuantity"),
        ("Tags", "planned", "no JSON"),
        ("Tags", '{"a": {"b": 1}}', "no JSON"),
        ("ChargeCategory", "Tax", "must be null for a tax"),
        ("ChargeCategory", "Credit", "ConsumedQuantity must be null"),
        ("ProviderName", "", "must not be null"),
    ],
)
def test_breaches_are_found(exported: tuple[list[str], Rows], column: str, value: str, problem: str) -> None:
    header, rows = exported
    row = next(row for row in rows if row["x_CostKind"] == "tokens_output")
    found = list(focus_problems(header, [row | {column: value}]))
    assert any(problem in one and one.startswith("row 1: ") for one in found), found


def test_breaches_of_the_header_are_found(exported: tuple[list[str], Rows]) -> None:
    header, _ = exported
    assert list(focus_problems(header[1:], [])) == [f"column {header[0]} is missing"]
    assert any("custom column stands before" in one for one in focus_problems(["x_Option", *header], []))
    assert any("neither FOCUS" in one for one in focus_problems(["Cost", *header], []))


def test_numbers_and_months() -> None:
    assert [decimal(value) for value in (0.0, -0.0, 1e-12, 1234567.5, -2.5, 1e-7)] == [
        "0",
        "0",
        "0",
        "1234567.5",
        "-2.5",
        "0.0000001",
    ]
    assert month_start("2026-11", 2) == "2027-01-01T00:00:00Z"
    assert month_start("2026-01", 0) == "2026-01-01T00:00:00Z"
