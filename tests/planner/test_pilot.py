"""Which workloads to try first, from records."""

from typing import Any

import pytest

from switchgear.core.record import VERSION, Outcome, Record
from switchgear.planner.money_errors import MoneyError, NothingToShow
from switchgear.planner.pilot import Local, Weights, answers_to_compare, pilot

KINDS = {"api": "cloud", "box": "appliance"}
DAY_S = 86_400.0


def call(day: float, **fields: Any) -> Record:
    given: dict[str, Any] = {
        "principal": "web",
        "team": "shop",
        "model": "chat",
        "backend": "api",
        "outcome": Outcome.OK,
        "duration_s": 3.0,
        "ttft_s": 1.0,
        "prompt_tokens": 800,
        "completion_tokens": 60,
        "cost_usd": 0.01,
        "data_class": "internal",
    }
    where: dict[str, Any] = {"version": VERSION, "gateway": "g/0", "snapshot": "s", "endpoint": "chat/completions"}
    return Record(call=f"c{day}", at_s=day * DAY_S, **(where | given | fields))


def days(count: int = 40, **fields: Any) -> list[Record]:
    return [call(index * 10 / (count - 1), **fields) for index in range(count)]


def test_gains_by_hand() -> None:
    answer = pilot(days(), KINDS, local=Local(ttft_s=0.4, tokens_per_second=60.0, usd_per_mtok=1.0))
    (only,) = answer.candidates
    scale = 365 / 12 / 10
    assert answer.days == pytest.approx(10)
    assert only.calls_per_month == pytest.approx(40 * scale)
    assert only.latency.value == pytest.approx(40 * (3.0 - 0.4 - 1.0) / 3600 * scale)
    assert only.privacy.value == pytest.approx(40 * 0.25 * scale)
    assert only.cost.value == pytest.approx(40 * (0.01 - 860e-6) * scale)
    assert only.score == pytest.approx(1.0)
    assert only.classes == {"internal": 1.0}
    assert len(only.measure) == 5


def test_each_gain_has_its_winner() -> None:
    records = [
        *days(principal="slow", duration_s=9.0),
        *days(principal="secret", data_class="restricted"),
        *days(principal="dear", cost_usd=0.5),
    ]
    slow, secret, dear = Weights(privacy=0, cost=0), Weights(latency=0, cost=0), Weights(latency=0, privacy=0)
    for weights, winner in ((slow, "slow"), (secret, "secret"), (dear, "dear")):
        assert pilot(records, KINDS, weights=weights).candidates[0].key == winner
    assert len(pilot(records, KINDS, most=2).candidates) == 2
    assert pilot(records, KINDS, most=2).others == 1


def test_what_is_local_or_failed_does_not_count() -> None:
    records = [*days(), *days(backend="box", cost_usd=99.0), *days(outcome=Outcome.FAILED)]
    answer = pilot(records, KINDS)
    assert answer.cloud_calls == 40
    assert answer.records == 120


def test_what_is_not_known_is_said_and_never_zero() -> None:
    answer = pilot([*days(cost_usd=None, data_class=""), *days(backend="other")], KINDS)
    (only,) = answer.candidates
    assert only.cloud_usd_per_month is None
    assert only.unpriced_calls == 40
    assert only.classes == {"unknown": 1.0}
    assert only.privacy.value == pytest.approx(only.calls_per_month), "not classified counts like restricted"
    told = " ".join(answer.warnings)
    assert "have no price" in told
    assert "not classified" in told
    assert "other" in told


def test_a_place_that_is_slower_gains_nothing() -> None:
    (only,) = pilot(days(duration_s=0.5), KINDS).candidates
    assert only.latency.value < 0
    assert only.latency.of_best == 0.0


def test_short_spans_are_told() -> None:
    answer = pilot([call(index / 1000) for index in range(40)], KINDS)
    assert any("extrapolated" in warning for warning in answer.warnings)


def test_questions_without_an_answer() -> None:
    with pytest.raises(NothingToShow, match="there is no record"):
        pilot([], KINDS)
    with pytest.raises(NothingToShow, match="no cloud answered"):
        pilot(days(backend="box"), KINDS)
    with pytest.raises(NothingToShow, match="--cloud NAME"):
        pilot(days(), {})
    with pytest.raises(NothingToShow, match="--least-calls"):
        pilot(days(5), KINDS)
    with pytest.raises(MoneyError, match="weights"):
        pilot(days(), KINDS, weights=Weights(latency=0, privacy=0, cost=0))
    with pytest.raises(MoneyError, match="1 to 20"):
        pilot(days(), KINDS, most=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
@pytest.mark.parametrize("name", ["ttft_s", "tokens_per_second", "usd_per_mtok", "latency", "privacy", "cost"])
def test_what_cannot_be_expected_or_weighed_is_refused(name: str, value: float) -> None:
    kind = Weights if name in Weights.__struct_fields__ else Local
    with pytest.raises(MoneyError, match=f"{value:g} .*; give "):
        kind(**{name: value})


def test_sample_size() -> None:
    # 2 x 0.9 x 0.1 x (1.6449 + 0.8416)^2 / 0.03^2
    assert answers_to_compare() == 1237
