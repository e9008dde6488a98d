"""What options cost: sums by hand, identities over random plans, and every formula recomputed from its text."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.planner.money_formula import check_all
from tests.planner.money_plans import EXAMPLES, owned, small, tokens

from switchgear.planner.compare import compare, evaluated
from switchgear.planner.money_errors import BadPlan, NotServed
from switchgear.planner.money_model import Site, TariffPeriod
from switchgear.planner.money_read import plan_of, read_plan
from switchgear.planner.tco_energy import period_shares
from switchgear.planner.tco_model import CostKind, OptionCost, Usage


def costs_of(data: dict[str, Any]) -> dict[str, OptionCost]:
    return evaluated(plan_of(data))[1]


def paid(cost: OptionCost, kind: CostKind, year: int | None = None) -> float:
    lines = [line for line in cost.lines if line.kind is kind and year in (None, line.year)]
    return sum(line.cash.point() for line in lines if line.cash is not None)


def spent(cost: OptionCost, kind: CostKind, year: int | None = None) -> float:
    lines = [line for line in cost.lines if line.kind is kind and year in (None, line.year)]
    return sum(line.accrual.point() for line in lines if line.accrual is not None)


def test_cloud_by_hand() -> None:
    cost = costs_of(small())["cloud"]
    # A million calls a month: 12,000 Mtok of prompts at $1 and 3,000 Mtok of answers at $4 in a year.
    assert paid(cost, CostKind.TOKENS_INPUT, 1) == pytest.approx(12_000)
    assert paid(cost, CostKind.TOKENS_OUTPUT, 1) == pytest.approx(12_000)
    assert cost.usd_per_call.point() == pytest.approx(0.002)
    assert cost.usd_per_mtok.point() == pytest.approx(1.6)


def test_cached_tokens_have_their_own_price() -> None:
    plan = small()
    plan["workload"]["cached_share_of_prompt"] = 0.5
    assert paid(costs_of(plan)["cloud"], CostKind.TOKENS_CACHED, 1) == pytest.approx(6_000)
    tokens(plan)["cached_input_usd_per_mtok"] = 0.1
    assert paid(costs_of(plan)["cloud"], CostKind.TOKENS_CACHED, 1) == pytest.approx(600)


def test_owned_by_hand() -> None:
    plan = small()
    owned(plan).update(
        residual_share=0.2,
        maintenance_share_per_year=0.05,
        warranty_included_years=3,
        warranty_usd_per_unit_year=900.0,
        install_usd_per_unit=500.0,
        rack_units_per_unit=4.0,
        licence_usd_per_unit_year=100.0,
    )
    plan["sites"]["room"] |= {"pue": 1.5, "demand_usd_per_kw_month": 10.0, "usd_per_rack_unit_month": 20.0}
    cost = costs_of(plan)["server"]
    # 15e9 tokens a year of 10,000 a second.
    load = 15e9 / (10_000 * 8760 * 3600)
    energy = (0.5 + 0.5 * load) * 8760 * 0.1
    assert paid(cost, CostKind.ENERGY, 1) == pytest.approx(energy)
    assert paid(cost, CostKind.COOLING, 1) == pytest.approx(energy / 2)
    assert paid(cost, CostKind.DEMAND, 1) == pytest.approx(1.0 * 1.5 * 10 * 12)
    assert paid(cost, CostKind.SPACE, 1) == pytest.approx(4 * 20 * 12)
    assert paid(cost, CostKind.MAINTENANCE) == pytest.approx(4 * 500)
    assert paid(cost, CostKind.WARRANTY) == pytest.approx(900)
    assert paid(cost, CostKind.WARRANTY, 4) == pytest.approx(900)
    assert paid(cost, CostKind.LICENCE) == pytest.approx(400)
    assert paid(cost, CostKind.INSTALL) == pytest.approx(500)
    assert paid(cost, CostKind.PURCHASE) == pytest.approx(10_000)
    assert paid(cost, CostKind.RESIDUAL) == pytest.approx(-2_000)
    assert [spent(cost, CostKind.PURCHASE, year) for year in (1, 2, 3, 4)] == pytest.approx([2000] * 4)


def test_hardware_is_bought_again_and_sold_early() -> None:
    plan = small()
    owned(plan).update(life_years=3, residual_share=0.1, price_change_per_year=-0.1)
    cost = costs_of(plan)["server"]
    again = 10_000 * 0.9**3
    assert paid(cost, CostKind.PURCHASE, 4) == pytest.approx(again)
    # The first is sold at its end for a tenth; the second after one of three years for 1 - 0.9 / 3 of its price.
    assert paid(cost, CostKind.RESIDUAL, 3) == pytest.approx(-1_000)
    assert paid(cost, CostKind.RESIDUAL, 4) == pytest.approx(-again * 0.7)


def test_growth_buys_units_and_without_it_calls_are_left_over() -> None:
    plan = small()
    plan["workload"] |= {"growth_per_year": 1.0, "peak_to_mean": 10.0}
    with pytest.raises(NotServed, match=r"option server leaves .* year 3 .*grow = true"):
        compare(plan_of(plan))
    owned(plan)["grow"] = True
    cost = costs_of(plan)["server"]
    assert [one.units.point() for one in cost.served["box"]] == [1, 1, 2, 4]
    assert [left.point() for left in cost.unserved] == pytest.approx([0, 0, 0, 0])


def test_a_loan_at_no_interest_costs_the_price() -> None:
    plan = small()
    owned(plan)["loan"] = {"rate_per_year": 0.0, "years": 4, "down_share": 0.25}
    cost = costs_of(plan)["server"]
    assert paid(cost, CostKind.PURCHASE) == pytest.approx(2_500)
    assert [paid(cost, CostKind.LOAN, year) for year in (1, 2, 3, 4)] == pytest.approx([1_875] * 4)
    assert spent(cost, CostKind.LOAN) == 0.0


@pytest.mark.parametrize("years", [4, 6])
def test_a_loan_at_the_discount_rate_changes_no_present_value(years: int) -> None:
    plan = small() | {"discount_rate_per_year": 0.08}
    cash = costs_of(plan)["server"].present_value.point()
    owned(plan)["loan"] = {"rate_per_year": 0.08, "years": years}
    assert costs_of(plan)["server"].present_value.point() == pytest.approx(cash)


def test_a_lease_at_the_discount_rate_changes_no_present_value() -> None:
    plan = small() | {"discount_rate_per_year": 0.08}
    owned(plan)["residual_share"] = 0.3
    cash = costs_of(plan)["server"].present_value.point()
    owned(plan)["lease"] = {"rate_per_year": 0.08, "years": 4, "left_share": 0.3}
    assert costs_of(plan)["server"].present_value.point() == pytest.approx(cash)


def test_commitment_has_a_floor_and_a_discount() -> None:
    plan = small()
    tokens(plan)["commitment"] = {"usd_per_month": 3_000.0, "discount_share": 0.5}
    cost = costs_of(plan)["cloud"]
    assert paid(cost, CostKind.TOKENS_INPUT, 1) == pytest.approx(6_000)
    assert paid(cost, CostKind.SHORTFALL, 1) == pytest.approx(36_000 - 12_000)


def test_reserved_capacity_is_paid_used_or_not() -> None:
    plan = small()
    plan["options"]["server"]["places"]["box"] = {
        "reserved": {
            "vendor": "cloud",
            "units": 2,
            "usd_per_unit_hour": 1.5,
            "upfront_usd_per_unit": 3_000.0,
            "term_years": 3,
            "tokens_per_second_per_unit": 10_000.0,
        }
    }
    cost = costs_of(plan)["server"]
    assert paid(cost, CostKind.CAPACITY, 2) == pytest.approx(2 * 1.5 * 8760)
    assert [paid(cost, CostKind.UPFRONT, year) for year in (1, 2, 3, 4)] == pytest.approx([6_000, 0, 0, 6_000])
    assert [spent(cost, CostKind.UPFRONT, year) for year in (1, 2, 3, 4)] == pytest.approx([2_000] * 3 + [6_000])
    # Two of the second term's three years lie behind the horizon.
    assert paid(cost, CostKind.EXIT) == pytest.approx(2 * 1.5 * 8760 * 2)


def test_service_with_use_credit_and_exit() -> None:
    plan = small()
    plan["options"]["server"]["places"]["box"] = {
        "service": {
            "vendor": "maker",
            "units": 1,
            "usd_per_unit_month": 1_000.0,
            "usd_per_call": 0.001,
            "setup_usd": 700.0,
            "tokens_per_second_per_unit": 10_000.0,
            "term_years": 3,
            "exit_share": 0.5,
            "performance": {"agreed_share": 0.99, "reached_share": 0.97, "credit_share_per_point": 0.1, "credit_cap_share": 0.15},
        }
    }  # fmt: skip
    cost = costs_of(plan)["server"]
    assert paid(cost, CostKind.FEE, 1) == pytest.approx(12_000)
    assert paid(cost, CostKind.USE, 1) == pytest.approx(12_000)
    assert paid(cost, CostKind.CREDIT, 1) == pytest.approx(-0.15 * 24_000)
    assert paid(cost, CostKind.EXIT) == pytest.approx(2 * 12_000 * 0.5)
    assert paid(cost, CostKind.MOVE) == pytest.approx(700)


def test_tariff_shares() -> None:
    peak = TariffPeriod(name="peak", usd_per_kwh=0.3, weekdays=(1, 2, 3, 4, 5), from_hour=8, to_hour=20)
    winter = TariffPeriod(name="winter", usd_per_kwh=0.2, months=(12, 1, 2))
    shares = period_shares(Site(usd_per_kwh=0.1, periods=(peak, winter)))
    assert shares["peak"] == pytest.approx(5 / 7 * 12 / 24)
    assert shares["winter"] == pytest.approx((1 - 5 / 14) * 90 / 365)
    assert sum(shares.values()) == pytest.approx(1)
    night_only = Site(usd_per_kwh=0.1, periods=(peak,), load_shape=(1.0, *(0.0,) * 23))
    assert period_shares(night_only)["peak"] == 0


def test_tax_lowers_costs_and_depreciation_counts() -> None:
    plan = small()
    before = costs_of(plan)["server"]
    after = costs_of(plan | {"tax_rate": 0.25})["server"]
    assert after.cash_total.point() == pytest.approx(0.75 * before.cash_total.point())
    assert paid(after, CostKind.TAX, 1) == pytest.approx(-0.25 * before.accrual[0].point())


def test_usage_from_a_simulation_replaces_the_shares() -> None:
    plan = plan_of(small())
    _, derived = evaluated(plan)
    rows = [
        Usage(
            option="server",
            place="box",
            year=year,
            calls=one.calls.point(),
            prompt_tokens=one.fresh_mtok.point() * 1e6,
            completion_tokens=one.output_mtok.point() * 1e6,
            energy_kwh=one.energy_kwh.point(),
            peak_kw=one.peak_kw.point(),
        )
        for year, one in enumerate(derived["server"].served["box"], start=1)
    ]
    _, simulated = evaluated(plan, usage=rows)
    assert simulated["server"].present_value.point() == pytest.approx(derived["server"].present_value.point())
    with pytest.raises(BadPlan, match="year 4 is missing"):
        evaluated(plan, usage=rows[:3])
    with pytest.raises(NotServed, match="twice"):
        evaluated(plan, usage=[*rows, rows[0]])
    with pytest.raises(BadPlan, match="no place 'bix'"):
        evaluated(plan, usage=[Usage(option="server", place="bix", year=1, calls=1, prompt_tokens=1)])
    with pytest.raises(NotServed, match="leaves"):
        compare(
            plan, [Usage(option="server", place="box", year=year, calls=9, prompt_tokens=9) for year in (1, 2, 3, 4)]
        )


@st.composite
def plans(draw: st.DrawFn) -> dict[str, Any]:
    """Plans of all ways to pay, with odd lives and terms."""
    share = st.floats(0.0, 1.0)
    plan = small() | {
        "horizon_years": draw(st.integers(1, 7)),
        "discount_rate_per_year": draw(st.floats(0, 0.3)),
        "tax_rate": draw(st.sampled_from([0.0, 0.3])),
    }
    plan["workload"] |= {
        "growth_per_year": draw(st.floats(-0.3, 1.5)),
        "cached_share_of_prompt": draw(share),
        "peak_to_mean": 4.0,
    }
    plan["sites"]["room"] |= {"pue": draw(st.floats(1, 2)), "ups_efficiency": draw(st.floats(0.8, 1))}
    owned(plan).update(
        life_years=draw(st.integers(1, 8)),
        grow=True,
        residual_share=draw(share),
        price_change_per_year=draw(st.floats(-0.3, 0.2)),
        spare_units_share=draw(share),
        depreciation={"method": draw(st.sampled_from(["straight_line", "declining_balance"]))},
        maintenance_share_per_year=0.05,
    )
    finance = draw(st.sampled_from(["", "loan", "lease"]))
    if finance:
        owned(plan)[finance] = {"rate_per_year": draw(st.floats(0, 0.2)), "years": draw(st.integers(1, 8))}
    rented = {
        "vendor": "v",
        "units": 1,
        "grow": True,
        "tokens_per_second_per_unit": 500.0,
        "term_years": draw(st.integers(1, 4)),
    }
    plan["options"]["reserved"] = {
        "kind": "cloud",
        "places": {"gpus": {"reserved": rented | {"usd_per_unit_hour": 2.0, "upfront_usd_per_unit": 900.0}}},
    }
    plan["options"]["service"] = {
        "kind": "appliance",
        "places": {
            "fee": {"share_of_calls": 0.5, "service": rented | {"usd_per_unit_month": 300.0}},
            "api": {"tokens": tokens(plan)},
        },
        "engineering_fte": 0.1,
        "usd_per_fte_year": 100_000.0,
    }
    return plan


@given(plan=plans())
@settings(max_examples=15, deadline=None)
def test_costs_and_payments_are_the_same_over_all_years(plan: dict[str, Any]) -> None:
    book, costs = evaluated(plan_of(plan))
    for cost in costs.values():
        accrued = sum(quantity.point() for quantity in cost.accrual)
        assert accrued == pytest.approx(cost.cash_total.point(), rel=1e-9, abs=1e-6), cost.option
        assert sum(left.point() for left in cost.unserved) == pytest.approx(0.0, abs=1e-3)
    assert check_all(book.sheet.entries) > 50


def test_draws_of_one_value_are_the_point() -> None:
    plan = read_plan(EXAMPLES / "compare.toml")
    _, point = evaluated(plan)
    from switchgear.planner.montecarlo import uncertain

    draws = {path: np.full(3, given.median) for path, given in uncertain(plan).items()}
    _, many = evaluated(plan, draws=draws)
    for name, cost in point.items():
        assert many[name].present_value.value == pytest.approx(np.full(3, cost.present_value.point()))


def test_every_number_of_the_example_follows_from_its_formula() -> None:
    comparison = compare(read_plan(EXAMPLES / "compare.toml"))
    assert check_all(comparison.entries) > 500
    for entry in comparison.entries.values():
        assert entry.formula or entry.id in comparison.entries
        for ref in entry.refs:
            assert ref in comparison.entries
