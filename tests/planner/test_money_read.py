"""Files of assumptions: nonsense is refused, each with its place and remedy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.planner.money_plans import EXAMPLES, owned, small, tokens

from switchgear.planner.money_errors import BadPlan
from switchgear.planner.money_given import Given
from switchgear.planner.money_read import plan_of, read_plan

Change = Callable[[dict[str, Any]], object]


def _set(table: Callable[[dict[str, Any]], dict[str, Any]], key: str, value: object) -> Change:
    return lambda plan: table(plan).update({key: value})


def _top(plan: dict[str, Any]) -> dict[str, Any]:
    return plan


def _work(plan: dict[str, Any]) -> dict[str, Any]:
    return plan["workload"]  # type: ignore[no-any-return]  # TOML is not typed


def _room(plan: dict[str, Any]) -> dict[str, Any]:
    return plan["sites"]["room"]  # type: ignore[no-any-return]  # TOML is not typed


def _places(plan: dict[str, Any]) -> dict[str, Any]:
    return plan["options"]["server"]["places"]  # type: ignore[no-any-return]  # TOML is not typed


def _both_finances(plan: dict[str, Any]) -> None:
    terms = {"rate_per_year": 0.1, "years": 2}
    owned(plan).update(loan=terms, lease=terms)


def _too_many_shares(plan: dict[str, Any]) -> None:
    place = {"share_of_calls": 0.7, "tokens": tokens(plan)}
    _places(plan).update(a=place, b=place)


NONSENSE: list[tuple[str, Change, str, str]] = [
    ("negative price", _set(tokens, "input_usd_per_mtok", -1.0), "input_usd_per_mtok", "Give 0 or more USD/Mtok"),
    ("no currency", lambda plan: plan.pop("currency"), "currency", 'currency = "USD"'),
    ("another currency", _set(_top, "currency", "EUR"), "currency", "convert"),
    ("rate as percent", _set(_top, "discount_rate_per_year", 8), "discount_rate_per_year", "0.08 for 8 %"),
    ("unit left out", _set(owned, "price_usd", 5.0), "price_usd", "price_usd_per_unit"),
    ("unit misspelt", _set(_room, "usd_per_kw", 0.1), "usd_per_kw", "usd_per_kwh"),
    ("zero efficiency", _set(_room, "ups_efficiency", 0.0), "ups_efficiency", "above 0"),
    ("efficiency above one", _set(_room, "ups_efficiency", 1.2), "ups_efficiency", "at most 1"),
    ("PUE below one", _set(_room, "pue", 0.9), "pue", "1.0 or more"),
    ("cents as dollars", _set(_room, "usd_per_kwh", 15.0), "usd_per_kwh", "0.15"),
    ("watts as kilowatts", _set(owned, "busy_kw_per_unit", 700.0), "busy_kw_per_unit", "0.7, not 700"),
    ("no throughput", _set(owned, "tokens_per_second_per_unit", 0.0), "tokens_per_second_per_unit", "serves nothing"),
    ("no calls", _set(_work, "calls_per_month", 0.0), "calls_per_month", "cost per call"),
    ("peak below mean", _set(_work, "peak_to_mean", 0.5), "peak_to_mean", "1.0 or more"),
    ("share above one", _set(_work, "cached_share_of_prompt", 1.5), "cached_share_of_prompt", "between 0 and 1"),
    (
        "share can be above one",
        _set(_work, "cached_share_of_prompt", {"triangular": [0.5, 0.9, 1.2]}),
        "cached_share_of_prompt",
        "between 0 and 1",
    ),
    (
        "probability above one",
        _set(_work, "calls_per_month", {"discrete": [[1.0, 1.2], [2.0, -0.2]]}),
        "calls_per_month",
        "probabilities as fractions",
    ),
    (
        "probabilities do not add up",
        _set(_work, "calls_per_month", {"discrete": [[1.0, 0.5], [2.0, 0.4]]}),
        "calls_per_month",
        "add up to 1",
    ),
    (
        "a share without an end",
        _set(_work, "cached_share_of_prompt", {"lognormal": {"p10": 0.2, "p90": 0.8}}),
        "cached_share_of_prompt",
        "triangular or uniform",
    ),
    ("triangle upside down", _set(_work, "calls_per_month", {"triangular": [3, 2, 1]}), "calls_per_month", "lowest"),
    ("two distributions", _set(_work, "calls_per_month", {"value": 1.0, "uniform": [1, 2]}), "calls_per_month", "one of"),
    ("no value", _set(_work, "calls_per_month", {"source": "x"}), "calls_per_month", "exactly one"),
    ("a number in quotes", _set(_work, "calls_per_month", "many"), "calls_per_month", "without quotes"),
    ("not a number", _set(_work, "calls_per_month", float("nan")), "calls_per_month", "cost per call"),
    ("infinite", _set(tokens, "input_usd_per_mtok", float("inf")), "input_usd_per_mtok", "finite"),
    ("idle above busy", _set(owned, "idle_kw_per_unit", 2.0), "idle_kw_per_unit", "at most busy"),
    ("unknown site", _set(owned, "site", "cellar"), "site", "[sites.cellar]"),
    ("unknown baseline", _set(_top, "baseline", "clud"), "baseline", "cloud, server"),
    ("loan and lease", _both_finances, "owned", "Give one"),
    ("two ways to pay", lambda plan: _places(plan)["box"].update(tokens=tokens(plan)), "box", "exactly one"),
    ("calls not served", lambda plan: _places(plan)["box"].update(share_of_calls=0.5), "places", "0.5"),
    ("shares above one", _too_many_shares, "places", "at most 1"),
    ("one option", lambda plan: plan["options"].pop("server"), "options", "two options"),
    ("years beyond reason", _set(_top, "horizon_years", 50), "horizon_years", "Correct"),
    ("a month that is none", _set(_top, "start", "2026-13"), "start", "Correct"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "place", "remedy"), [row[1:] for row in NONSENSE], ids=[row[0] for row in NONSENSE])
def test_nonsense_is_refused(change: Change, place: str, remedy: str) -> None:
    plan = small()
    change(plan)
    with pytest.raises(BadPlan) as refused:
        plan_of(plan)
    assert any(place in problem.path for problem in refused.value.problems), str(refused.value)
    assert remedy in str(refused.value)


def test_all_problems_are_told_at_once() -> None:
    plan = small()
    plan["discount"] = 1
    tokens(plan)["price"] = 1
    _room(plan)["watts"] = 1
    with pytest.raises(BadPlan) as refused:
        plan_of(plan)
    paths = {problem.path for problem in refused.value.problems}
    assert paths == {"discount", "sites.room.watts", "options.cloud.places.api.tokens.price"}
    plan = small()
    tokens(plan)["input_usd_per_mtok"] = -1.0
    _room(plan)["pue"] = 0.0
    with pytest.raises(BadPlan) as refused:
        plan_of(plan)
    assert len(refused.value.problems) == 2


def test_small_plan_is_fine() -> None:
    assert plan_of(small()).baseline == "cloud"


def test_files(tmp_path: Path) -> None:
    assert read_plan(EXAMPLES / "compare.toml").currency == "USD"
    with pytest.raises(BadPlan, match="cannot be read"):
        read_plan(tmp_path / "none.toml")
    for text in ("a = ", f"a = {'[' * 50_000}", f"a = {'9' * 5000}"):
        (tmp_path / "bad.toml").write_text(text)
        with pytest.raises(BadPlan, match="is no TOML"):
            read_plan(tmp_path / "bad.toml")


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e308", f"1{'0' * 30}"])
@pytest.mark.parametrize("key", ["load_shape", "calls_per_month", "lognormal"])
def test_a_number_that_nothing_can_be_computed_from_is_refused_with_its_key(
    tmp_path: Path, key: str, number: str
) -> None:
    text = (EXAMPLES / "compare.toml").read_text(encoding="utf-8")
    changed = {
        "load_shape": text.replace("load_shape = [1,", f"load_shape = [{number},"),
        "calls_per_month": text.replace("[1_500_000, 2_500_000, 4_000_000]", f"[1, 2, {number}]"),
        "lognormal": text.replace("p90 = 2600", f"p90 = {number}"),
    }[key]
    assert changed != text
    (tmp_path / "plan.toml").write_text(changed, encoding="utf-8")
    with pytest.raises(BadPlan, match=rf"{key}.*: is (nan|-?inf|1e\+308|1000).*Give a finite number"):
        read_plan(tmp_path / "plan.toml")


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_bytes(b"\xef\xbb\xbf" + (EXAMPLES / "compare.toml").read_bytes())
    assert read_plan(tmp_path / "plan.toml").currency == "USD"


def test_medians() -> None:
    assert Given(triangular=(0, 5, 10)).median == pytest.approx(5)
    assert Given(uniform=(2, 4)).median == pytest.approx(3)
    assert Given(discrete=((1, 0.6), (9, 0.4))).median == 1
    assert Given(value=7).median == 7
