"""Scorecards: ranking, how firm it is, and what turns it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.planner.money_plans import EXAMPLES

from switchgear.planner.money_errors import BadPlan
from switchgear.planner.money_read import decoded
from switchgear.planner.vendors import Ranking, Scorecard, Topic, checked, rank, read_scorecard
from switchgear.planner.vendors_turn import turns_of


def card(**changes: Any) -> dict[str, Any]:
    return {
        "title": "two",
        "draws": 4_000,
        "criteria": [
            {"name": "sla", "about": "sla", "unit": "%", "weight": 3, "worst": 99.0, "best": 100.0},
            {"name": "days", "about": "security", "unit": "days", "weight": 1, "worst": 100.0, "best": 0.0},
        ],
        "vendors": {
            "a": {"title": "A", "scores": {"sla": 99.9, "days": 80}},
            "b": {"title": "B", "scores": {"sla": 99.5, "days": 10}},
        },
    } | changes


def ranked(data: dict[str, Any]) -> Ranking:
    return rank(checked(decoded(data, Scorecard)))


def test_values_by_hand() -> None:
    answer = ranked(card())
    assert [one.name for one in answer.ranked] == ["a", "b"]
    assert answer.ranked[0].value == pytest.approx(0.75 * 0.9 + 0.25 * 0.2)
    assert answer.ranked[1].value == pytest.approx(0.75 * 0.5 + 0.25 * 0.9)
    assert set(answer.not_asked) == set(Topic) - {Topic.SLA, Topic.SECURITY, Topic.PRICE, Topic.OTHER}


def test_chances_add_up() -> None:
    answer = ranked(card())
    for one in answer.ranked:
        assert sum(one.rank_probability) == pytest.approx(1.0)
    assert answer.beats["a"]["b"] + answer.beats["b"]["a"] == pytest.approx(1.0)
    assert sum(one.first_with_any_weights for one in answer.ranked) == pytest.approx(1.0)
    # Level at a weight of 0.4 of `days`... with any weights, that is the chance of a uniform share below it.
    assert answer.ranked[0].first_with_any_weights == pytest.approx(0.4 / 1.1, abs=0.35)
    assert answer == ranked(card())


def test_what_turns_it() -> None:
    turn = ranked(card()).turns[0]
    days = next(one for one in turn.one_weight if one.criterion == "days")
    # 0.4 (1 - x) = 0.7 x
    assert days.level_at == pytest.approx(0.4 / 1.1)
    assert turn.moved == pytest.approx(0.4 / 1.1 - 0.25)
    assert (turn.from_criteria, turn.to_criterion) == (["sla"], "days")


def test_a_vendor_that_is_nowhere_better_cannot_win() -> None:
    data = card()
    data["vendors"]["b"]["scores"] = {"sla": 99.1, "days": 90}
    answer = ranked(data)
    assert answer.turns[0].moved is None
    assert answer.turns[0].one_weight == []
    assert answer.beats["a"]["b"] == 1.0


@given(
    weights=st.lists(st.floats(0.05, 1.0), min_size=2, max_size=6),
    data=st.data(),
)
@settings(deadline=None)
def test_the_least_move_brings_both_level_and_less_does_not(weights: list[float], data: st.DataObject) -> None:
    size = len(weights)
    share = np.asarray(weights) / sum(weights)
    values = np.asarray([data.draw(st.lists(st.floats(0, 1), min_size=size, max_size=size)) for _ in range(2)])
    values = values[np.argsort(-(values @ share), kind="stable")]
    ahead = values[0] - values[1]
    names = [f"c{index}" for index in range(size)]
    turn = turns_of(["a", "b"], names, share, values)[0]
    for one in turn.one_weight:
        index = names.index(one.criterion)
        moved = share * (1 - one.level_at) / (1 - share[index])
        moved[index] = one.level_at
        assert moved @ ahead == pytest.approx(0.0, abs=1e-9)
    if turn.moved is None:
        assert ahead.min() > -1e-9
    else:
        # No single pair of criteria does it with less.
        gain = float(ahead.max() - ahead.min())
        assert turn.moved * gain >= share @ ahead - 1e-9


def test_uncertain_scores_are_drawn() -> None:
    data = card()
    data["vendors"]["a"]["scores"]["sla"] = {"uniform": [99.3, 99.9], "source": "two years of incident reports"}
    answer = ranked(data)
    assert 0.05 < answer.beats["a"]["b"] < 0.95


def test_unknown_is_worst_and_required_rules_out() -> None:
    data = card()
    del data["vendors"]["a"]["scores"]["days"]
    answer = ranked(data)
    first = next(one for one in answer.ranked if one.name == "a")
    assert first.unknown == ["days"]
    assert first.parts[1].value == 0.0
    data["criteria"][1]["required"] = 50.0
    answer = ranked(data)
    assert [out.name for out in answer.ruled_out] == ["a"]
    assert "nothing is known" in answer.ruled_out[0].why[0]
    assert [one.name for one in answer.ranked] == ["b"]
    data["vendors"]["b"]["scores"]["days"] = 60
    assert ranked(data).ranked == []


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"criteria": []}, "at least one"),
        ({"vendors": {}}, "two vendors"),
        ({"criteria": [card()["criteria"][0]] * 2}, "its own name"),
        ({"criteria": [card()["criteria"][0] | {"best": 99.0}, card()["criteria"][1]]}, "two different ends"),
        ({"criteria": [card()["criteria"][0] | {"weight": -1}]}, "Correct"),
        ({"vendors": {"a": {"title": "A", "scores": {"sla": 99.5, "daze": 1}}, "b": {"title": "B", "scores": {}}}}, "sla, days"),
        ({"vendors": {"a": {"title": "A", "scores": {"sla": 12.0}}, "b": {"title": "B", "scores": {}}}}, "widen the scale"),
        ({"weight_concentration": 0.1}, "Correct"),
    ],
)  # fmt: skip
def test_nonsense_is_refused(change: dict[str, Any], remedy: str) -> None:
    with pytest.raises(BadPlan, match=remedy):
        ranked(card(**change))


def test_the_example() -> None:
    answer = rank(read_scorecard(EXAMPLES / "vendors.toml"))
    assert answer.not_asked == []
    assert [out.name for out in answer.ruled_out] == ["cedar"]
