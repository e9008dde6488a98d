"""Break-even volumes, and the published table."""

from pathlib import Path

import pytest
from tests.planner.money_plans import owned, small, tokens

from switchgear.planner.breakeven import Verdict, break_even_volume
from switchgear.planner.breakeven_paper import paper, reproduce
from switchgear.planner.compare import compare, evaluated
from switchgear.planner.money_errors import MoneyError
from switchgear.planner.money_read import plan_of


def test_volume_at_which_both_cost_the_same() -> None:
    plan = small()
    owned(plan).update(idle_kw_per_unit=1.0)  # then nothing of the server depends on the volume
    fixed = (10_000 + 4 * 8760 * 0.1) / 48
    found = break_even_volume(plan_of(plan), "server")
    assert found.verdict is Verdict.FROM
    assert found.calls_per_month == pytest.approx(fixed / 0.002, rel=1e-5)


def test_savings_vanish_there() -> None:
    plan = plan_of(small() | {"discount_rate_per_year": 0.1})
    found = break_even_volume(plan, "server")
    assert found.share_of_plan is not None
    _, costs = evaluated(plan, volume=found.share_of_plan)
    assert costs["cloud"].present_value.point() == pytest.approx(costs["server"].present_value.point(), rel=1e-4)


def test_never_and_always() -> None:
    dear = small()
    owned(dear)["price_usd_per_unit"] = 1e9
    found = break_even_volume(plan_of(dear), "server")
    assert found.verdict is Verdict.NEVER
    assert "calls a month" in found.why
    free = small()
    owned(free).update(price_usd_per_unit=0.0, idle_kw_per_unit=0.0, busy_kw_per_unit=1e-9)
    assert break_even_volume(plan_of(free), "server").verdict is Verdict.ALWAYS
    same = small()
    same["options"]["server"] = same["options"]["cloud"]
    assert break_even_volume(plan_of(same), "server").verdict is Verdict.NEVER


def test_cheaper_only_up_to_a_volume() -> None:
    plan = small()
    plan["options"]["server"] = {"kind": "cloud", "places": {"api": {"tokens": dict(tokens(plan))}}}
    plan["options"]["server"]["places"]["api"]["tokens"]["output_usd_per_mtok"] = 8.0
    tokens(plan)["commitment"] = {"usd_per_month": 1_000.0, "discount_share": 0.0}
    found = break_even_volume(plan_of(plan), "server")
    assert found.verdict is Verdict.UP_TO
    assert found.calls_per_month == pytest.approx(1_000 / 0.003, rel=1e-4)


def test_payback_and_irr_in_a_comparison() -> None:
    plan = small()
    owned(plan).update(busy_kw_per_unit=1e-9, idle_kw_per_unit=0.0)
    server = next(one for one in compare(plan_of(plan)).options if one.name == "server")
    assert server.payback_years == pytest.approx(10_000 / 24_000, rel=1e-6)
    assert server.cumulative_saving_usd == pytest.approx([-10_000, 14_000, 38_000, 62_000, 86_000], rel=1e-6)
    assert server.irr is not None
    assert server.irr.rate_per_year is not None
    assert server.irr.rate_per_year > 2


def test_the_published_table_where_it_is_consistent() -> None:
    answer = reproduce()
    others = [cell for cell in answer.cells if not cell.agrees]
    assert len(answer.cells) == 45
    assert answer.agreeing == 35
    # One cell is a rounding away; the column of Gemini does not follow from the printed price of Gemini.
    assert [(cell.model, cell.printed) for cell in others if cell.service != "Gemini 2.5 Pro"] == [("Kimi-K2", "8.7")]
    assert sum(cell.service == "Gemini 2.5 Pro" for cell in others) == 9
    assert abs(next(cell.tabulated_months for cell in others if cell.printed == "8.7") - 8.7) < 0.06
    for cell in others:
        if cell.service == "Gemini 2.5 Pro":
            assert 7.73 < cell.implied_usd_per_mtok < 7.78
            assert cell.stated_usd_per_mtok == pytest.approx(21.25 / 3)


def test_what_the_tables_imply_is_not_what_the_text_says() -> None:
    answer = reproduce()
    assert answer.hours_per_month_in_table == pytest.approx(176, abs=0.1)
    assert answer.watts_in_table == pytest.approx({"rtx5090": 500, "a100": 300}, abs=1)
    assert paper().rules.hours_per_day * paper().rules.days_per_month == 160
    assert all(cell.stated_months > cell.tabulated_months * 1.09 for cell in answer.cells)


def test_costs_that_the_paper_leaves_out() -> None:
    for ladder in reproduce().ladders:
        months = [step.months for step in ladder.steps]
        known = [one for one in months if one is not None]
        assert known == sorted(known), "each cost that is added makes it later"
        assert None not in months[: len(known)], "never is never taken back"
        assert bool(ladder.never_because) == (months[-1] is None)
    nothing = {"server": 0, "pue": 1, "space": 0, "maintenance": 0, "people": 0, "utilisation": 1, "capital": 0}
    for ladder, cell in zip(reproduce(nothing).ladders, reproduce().cells, strict=True):
        assert ladder.steps[-1].months == pytest.approx(cell.tabulated_months)


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("utilisation", 0.0, "above 0"),
        ("pue", 0.5, "1 or more"),
        ("capital", 8.0, "0.08 for 8 %"),
        ("staff", 1.0, "people"),
    ],
)
def test_nonsense_for_the_paper(name: str, value: float, remedy: str) -> None:
    with pytest.raises(MoneyError, match=remedy):
        reproduce({name: value})


def test_the_documentation_says_what_is_computed() -> None:
    text = (Path(__file__).parents[2] / "docs" / "planner-money.md").read_text(encoding="utf-8")

    def months(model: str, service: str) -> str:
        steps = next(one.steps for one in reproduce().ladders if (one.model, one.service) == (model, service))
        ends = (steps[0], steps[-1])
        return " to ".join(
            "never" if one.months is None else f"{one.months:.1f}{'†' * one.outlives_hardware}" for one in ends
        )

    for model in ("Kimi-K2", "Qwen3-235B", "Llama-3.3-70B", "EXAONE 4.0 32B"):
        assert f"| {model} | {months(model, 'GPT-5')} | {months(model, 'Claude-4 Opus')} |" in text
