"""Fitting: the threshold that reaches the goal, what it is worth on answers it was not chosen on, and what cannot be fitted."""

import math
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switchgear.confidence.curve import Curve, Large, Point
from switchgear.confidence.errors import NoFit
from switchgear.confidence.fit import Goal, area, choose, fit, rule_of
from switchgear.confidence.parse import parse
from switchgear.confidence.samples import Outcome, Sample, read_outcomes, samples_of
from switchgear.core.escalation import Confidence

LARGE = Large(0.95, 0.01)


def sample(score: float | None, good: bool, **facts: Any) -> Sample:
    signals = {} if score is None else {"mean_logprob": score}
    return Sample(
        **{
            "signals": signals,
            "forced": False,
            "good": good,
            "large_good": None,
            "cost_usd": 0.001,
            "large_cost_usd": None,
            **facts,
        }
    )


def drawn(number: int, rng: random.Random) -> list[Sample]:
    """Answers whose chance to be good rises with their mean log-probability; the other signals say nothing."""
    samples = []
    for _ in range(number):
        score = -rng.expovariate(2.0)
        good = rng.random() < 1 / (1 + math.exp(-6 * (score + 0.7)))
        samples.append(
            sample(score, good, signals={"mean_logprob": score, "margin": rng.random(), "min_logprob": -rng.random()})
        )
    return samples


# -- the curve --

SAMPLES = st.lists(
    st.builds(
        sample,
        st.none() | st.integers(-8, 0).map(lambda number: number / 4),
        st.booleans(),
        forced=st.booleans(),
        large_good=st.none() | st.booleans(),
        large_cost_usd=st.none() | st.just(0.02),
    ),
    min_size=1,
    max_size=30,
)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(SAMPLES)
def test_each_point_is_what_escalating_below_it_does(samples: list[Sample]) -> None:
    curve = Curve(samples, "mean_logprob", LARGE)
    points = curve.points()
    assert points[-1].escalated == 1.0
    assert [point.escalated for point in points] == sorted({point.escalated for point in points})
    for point in points:
        quality = cost = share = 0.0
        for one in samples:
            score = one.signals.get("mean_logprob", -math.inf)
            up = one.forced or score == -math.inf or score < point.threshold
            share += up
            large = LARGE.quality if one.large_good is None else one.large_good
            quality += large if up else one.good
            cost += 0.001 + (up and (one.large_cost_usd or 0.01))
        expected = Point(point.threshold, share / len(samples), quality / len(samples), cost / len(samples))
        assert tuple(point) == pytest.approx(tuple(expected))
        assert tuple(curve.at(point.threshold)) == pytest.approx(tuple(point))


@settings(derandomize=True, max_examples=200, deadline=None)
@given(SAMPLES, st.randoms(use_true_random=False))
def test_a_weight_counts_like_so_many_equal_answers(samples: list[Sample], rng: random.Random) -> None:
    curve = Curve(samples, "mean_logprob", LARGE)
    weights = [float(rng.randrange(1, 4)) for _ in curve.rows]
    many: Curve = Curve([], "mean_logprob", LARGE)
    many.rows = [row for row, weight in zip(curve.rows, weights, strict=True) for _ in range(int(weight))]
    many.scores = [row.score for row in many.rows]
    many._cuts = [place for place in range(len(many.rows) + 1) if many._is_cut(place)]
    many._priced = True
    assert [tuple(point) for point in curve.points(weights)] == [pytest.approx(tuple(point)) for point in many.points()]


def test_a_threshold_is_the_shortest_number_that_parts() -> None:
    points = Curve([sample(-0.51234, False), sample(-0.48123, True)], "mean_logprob", LARGE).points()
    assert [point.threshold for point in points] == [-math.inf, -0.5, math.inf]


def test_without_a_price_there_is_no_cost() -> None:
    assert Curve([sample(-1.0, True)], "mean_logprob", Large(0.9, None)).points()[0].cost_usd is None
    assert Curve([sample(-1.0, True, cost_usd=None)], "mean_logprob", LARGE).points()[0].cost_usd is None


# -- choosing --

POINTS = [
    Point(-1.0, 0.0, 0.70, 0.001),
    Point(-0.8, 0.2, 0.85, 0.003),
    Point(-0.5, 0.5, 0.92, 0.006),
    Point(0.0, 1.0, 0.90, 0.011),
]


@pytest.mark.parametrize(
    ("goal", "place", "reached"),
    [
        (Goal(), 2, True),
        (Goal(min_quality=0.7), 0, True),
        (Goal(min_quality=0.8), 1, True),
        (Goal(min_quality=0.99), 2, False),
        (Goal(max_escalated=0.3), 1, True),
        (Goal(max_escalated=1.0), 2, True),
        (Goal(max_escalated=0.0), 0, True),
        (Goal(bad_answer_usd=0.0), 0, True),
        (Goal(bad_answer_usd=0.02), 1, True),
        (Goal(bad_answer_usd=10.0), 2, True),
    ],
)
def test_the_goal_decides(goal: Goal, place: int, reached: bool) -> None:
    assert choose(POINTS, goal) == (place, reached)


def test_a_large_model_that_is_no_better_is_never_asked() -> None:
    worse = [Point(-1.0, 0.0, 0.9, 0.001), Point(0.0, 1.0, 0.8, 0.011)]
    assert choose(worse, Goal()) == (0, True)


def test_more_forced_than_allowed_cannot_be_reached() -> None:
    assert choose([Point(-1.0, 0.4, 0.9, None)], Goal(max_escalated=0.1)) == (0, False)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 0), st.booleans()), min_size=2, max_size=30))
def test_the_area_counts_pairs(pairs: list[tuple[int, bool]]) -> None:
    samples = [sample(float(score), good) for score, good in pairs]
    good = [score for score, is_good in pairs if is_good]
    bad = [score for score, is_good in pairs if not is_good]
    found = area(samples, "mean_logprob")
    if not good or not bad:
        assert found is None
    else:
        wins = sum((one > other) + (one == other) / 2 for one in good for other in bad)
        assert found == pytest.approx(wins / (len(good) * len(bad)))


# -- fitting --


def test_the_signal_that_tells_most_is_taken_and_its_threshold_holds_elsewhere() -> None:
    found = fit(drawn(2000, random.Random(1)), Goal(), LARGE, random.Random(2), resamples=60)
    assert found.signal == "mean_logprob"
    assert found.auc["mean_logprob"] > 0.8 > 0.6 > found.auc["margin"] > 0.4
    other = Curve(drawn(20_000, random.Random(3)), "mean_logprob", LARGE).at(found.chosen.threshold)
    low, high = found.chosen_quality
    assert low < found.chosen.quality < high
    assert abs(found.held_out.quality - other.quality) < 0.03
    assert abs(found.held_out.escalated - other.escalated) < 0.05
    assert found.chosen_threshold.low <= found.chosen.threshold <= found.chosen_threshold.high
    assert found.chosen.escalated < 0.6
    assert parse(found.rule).truth({}) is None


def test_cross_validation_does_not_praise_what_is_chance() -> None:
    """Where no signal tells anything, the best looking threshold of few answers is luck, and the held-out mean does not share it."""
    lucky, held = 0.0, 0.0
    for seed in range(20):
        rng = random.Random(seed)
        samples = [sample(-rng.random(), rng.random() < 0.5) for _ in range(30)]
        found = fit(samples, Goal(max_escalated=0.5), Large(1.0, None), rng, resamples=50)
        lucky += found.chosen.quality / 20
        held += found.held_out.quality / 20
    assert held < lucky - 0.01
    assert abs(held - 0.75) < 0.05


def test_the_same_input_gives_the_same_output() -> None:
    samples = drawn(100, random.Random(1))
    assert fit(samples, Goal(), LARGE, random.Random(5), resamples=50) == fit(
        samples, Goal(), LARGE, random.Random(5), resamples=50
    )


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        ([sample(-1.0, True)] * 19, "only 19"),
        ([sample(-1.0, True)] * 30, "all 30 answers are good"),
        ([sample(None, number % 2 == 0) for number in range(30)], "no answer has a log-probability"),
    ],
)
def test_what_cannot_be_fitted_is_said(samples: list[Sample], says: str) -> None:
    with pytest.raises(NoFit, match=says):
        fit(samples, Goal(), LARGE, random.Random(1))


def test_a_signal_that_is_missing_is_refused() -> None:
    with pytest.raises(NoFit, match="fewer than half of the answers have min_margin"):
        fit(drawn(50, random.Random(1)), Goal(), LARGE, random.Random(1), signal="min_margin")


@pytest.mark.parametrize("threshold", [-math.inf, math.inf, -0.5, -1.25e-7])
def test_every_rule_can_be_read(threshold: float) -> None:
    assert str(parse(rule_of("mean_logprob", threshold)))


# -- outcomes and records --


@pytest.mark.parametrize(
    "text",
    [
        "call,good,large_good\nc1,1,\nc2,bad,yes\n",
        "\N{BYTE ORDER MARK}call,note,good,large_good\r\nc1,x,TRUE,\r\nc2,y,no,1\r\n",
        '{"call": "c1", "good": true}\n\n{"call": "c2", "good": 0, "large_good": "good"}\n',
    ],
)
def test_outcomes_are_read_from_csv_and_json_lines(text: str) -> None:
    assert read_outcomes(text, "o") == {"c1": Outcome(True), "c2": Outcome(False, True)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no column call and good"),
        ("call,bad\nc1,1\n", "has no column good"),
        ("call,good\n,1\n", "line 2: no call"),
        ("call,good\nc1,\n", "line 2: no good"),
        ("call,good\nc1,perhaps\n", "neither true nor false"),
        ("call,good\n", "holds no outcome"),
        ('{"call": "c1"}\n', "no good"),
        ('{"call": 3, "good": 1}\n', "no call"),
        ('{"call": "c1", "good": 1}\nx\n', "line 2: no JSON object"),
    ],
)
def test_outcomes_that_make_no_sense_are_refused_with_their_line(text: str, says: str) -> None:
    with pytest.raises(NoFit, match=says):
        read_outcomes(text, "o")


def record(call: str, *attempts: dict[str, Any], model: str = "chat") -> dict[str, Any]:
    return {"call": call, "model": model, "attempts": list(attempts)}


SURE = {"outcome": "ok", "cost_usd": 0.001, "confidence": {"mean_logprob": -0.2, "min_logprob": None, "refusal": False}}
UNSURE = {"outcome": "unsure", "cost_usd": 0.001, "confidence": {"mean_logprob": -2.0, "refusal": True, "unsure": True}}
FAILED = {"outcome": "failed", "cost_usd": 0.0, "confidence": None}
LARGER = {"outcome": "ok", "cost_usd": 0.02, "confidence": None}


def test_a_sample_is_a_judged_answer_with_an_outcome() -> None:
    records = [
        record("c1", SURE),
        record("c2", FAILED, UNSURE, FAILED, LARGER),
        record("c3", SURE),
        record("c4", LARGER),
        record("c5", SURE, model="other"),
    ]
    outcomes = {name: Outcome(True) for name in ("c1", "c2", "c4", "c5")}
    first, second = samples_of(records, outcomes, "chat")
    assert first == sample(None, True, signals={"mean_logprob": -0.2})
    assert second == sample(None, True, signals={"mean_logprob": -2.0}, forced=True, large_cost_usd=0.02)
    assert len(samples_of(records, outcomes)) == 3


def test_a_confidence_without_names_is_read_by_position() -> None:
    confidence = msgspec.to_builtins(Confidence(mean_logprob=-0.5, tokens=3, format_failure=True))
    assert isinstance(confidence, list)
    (found,) = samples_of([record("c1", {**SURE, "confidence": confidence})], {"c1": Outcome(False)})
    assert found == sample(-0.5, False, forced=True)
