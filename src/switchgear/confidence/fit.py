"""Chooses the threshold from answers with known outcomes, and tells how far to trust it.

- The signal is the one that best tells good answers from bad ones (area under the ROC curve, Hanley and McNeil 1982), unless it is given.
- The threshold reaches the goal on all samples. What it is worth is told by cross-validation: signal and threshold are chosen anew on
  all folds but one and tried on that one.
- Intervals are percentiles of bootstrap resamples (Efron 1979).
"""

import random
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from switchgear.confidence.curve import Curve, Large, Point
from switchgear.confidence.errors import NoFit
from switchgear.confidence.samples import FORCED, SIGNALS, Sample

LEAST_SAMPLES = 20
_LEAST_KNOWN = 0.5
"""A signal that fewer of the answers have is none."""
_GAIN = 0.9
"""Without a goal: this share of what always asking the large model would bring."""


class Goal(NamedTuple):
    """What the threshold is to reach; at most one is given."""

    min_quality: float | None = None
    """Share of good answers, with as few escalations as that takes."""
    max_escalated: float | None = None
    """Share of calls that are escalated, with the best quality that allows."""
    bad_answer_usd: float | None = None
    """What a bad answer costs: the least sum of that and the calls."""


class Interval(NamedTuple):
    """95 % of the resamples lie within."""

    low: float
    high: float


class Fit(NamedTuple):
    """A threshold, and what is known of it."""

    signal: str
    rule: str
    """For `escalate.when`."""
    chosen: Point
    chosen_quality: Interval
    chosen_threshold: Interval
    held_out: Point
    """The mean over answers that the threshold was not chosen on; its `threshold` is that of all samples."""
    auc: dict[str, float]
    """Of each signal: the chance that a good answer has a higher one than a bad answer. 0.5 says nothing."""
    curve: list[Point]
    curve_quality: list[Interval]
    samples: int
    reached: bool
    """Whether the goal can be reached at all."""


def fit(
    samples: Sequence[Sample],
    goal: Goal,
    large: Large,
    rng: random.Random,
    *,
    signal: str | None = None,
    folds: int = 5,
    resamples: int = 400,
    points: int = 20,
) -> Fit:
    """Raises NoFit where the samples are too few or all alike."""
    _check(samples)
    auc = {name: value for name in SIGNALS if (value := area(samples, name)) is not None}
    best = signal or _best(auc)
    if best not in auc:
        raise NoFit(
            f"fewer than half of the answers have {best}. Ask for it with a rule that uses it, or choose another signal."
        )
    curve = Curve(samples, best, large)
    every = curve.points()
    place, reached = choose(every, goal)
    shown = _spread(every, points)
    thresholds, qualities, bands = _bootstrap(curve, goal, place, shown, rng, resamples)
    return Fit(
        signal=best,
        rule=rule_of(best, every[place].threshold),
        chosen=every[place],
        chosen_quality=_interval(qualities),
        chosen_threshold=_interval(thresholds),
        held_out=_held_out(samples, goal, large, rng, signal, folds)._replace(threshold=every[place].threshold),
        auc=auc,
        curve=[every[one] for one in shown],
        curve_quality=[_interval(band) for band in bands],
        samples=len(samples),
        reached=reached,
    )


def rule_of(signal: str, threshold: float) -> str:
    """The text for `escalate.when`."""
    forced = " or ".join(FORCED)
    if threshold == -inf:
        return forced
    if threshold == inf:
        return f"{signal} <= 0 or {signal} > 0"
    return f"{signal} < {threshold:.15g} or {forced}"


def choose(points: Sequence[Point], goal: Goal) -> tuple[int, bool]:
    """Which of the points reaches the goal, and whether it does; where none does, the one that comes nearest."""
    places = range(len(points))
    if goal.max_escalated is not None:
        allowed = [place for place in places if points[place].escalated <= goal.max_escalated + 1e-12]
        if not allowed:
            return 0, False
        return max(allowed, key=lambda place: (points[place].quality, -points[place].escalated)), True
    if goal.bad_answer_usd is not None:
        price = goal.bad_answer_usd
        return min(
            places, key=lambda place: (points[place].cost_usd or 0.0) + price * (1 - points[place].quality)
        ), True
    wanted = goal.min_quality
    if wanted is None:
        wanted = points[0].quality + _GAIN * max(0.0, points[-1].quality - points[0].quality)
    for place in places:
        if points[place].quality >= wanted - 1e-12:
            return place, True
    return max(places, key=lambda place: points[place].quality), False


def area(samples: Sequence[Sample], signal: str) -> float | None:
    """Area under the ROC curve; None where too few answers have the signal, or they are all good or all bad."""
    known = [(sample.signals[signal], sample.good) for sample in samples if signal in sample.signals]
    bad = sorted(score for score, good in known if not good)
    good = sorted(score for score, good in known if good)
    if not bad or not good or len(known) < _LEAST_KNOWN * len(samples):
        return None
    below = sum(bisect_left(bad, score) + bisect_right(bad, score) for score in good) / 2  # a tie counts half
    return below / (len(good) * len(bad))


def _check(samples: Sequence[Sample]) -> None:
    good = sum(sample.good for sample in samples)
    if len(samples) < LEAST_SAMPLES:
        raise NoFit(
            f"only {len(samples)} records have a confidence and a known outcome; {LEAST_SAMPLES} are the least."
            " Confidence is on the records of models with escalate; outcomes name calls by x-switchgear-call."
        )
    if good in (0, len(samples)):
        raise NoFit(f"all {len(samples)} answers are {'good' if good else 'bad'}: nothing tells which to escalate.")


def _best(auc: dict[str, float]) -> str:
    if not auc:
        raise NoFit(
            "no answer has a log-probability. Ask for them with a rule that uses one, for example mean_logprob < -1."
        )
    return max(auc, key=lambda name: auc[name])


def _held_out(
    samples: Sequence[Sample], goal: Goal, large: Large, rng: random.Random, signal: str | None, folds: int
) -> Point:
    """Choose on all folds but one, try on that one; the mean over all answers."""
    order = list(samples)
    rng.shuffle(order)
    tried: list[tuple[int, Point]] = []
    for fold in range(folds):
        held = order[fold::folds]
        train = [sample for place, sample in enumerate(order) if place % folds != fold]
        auc = {name: value for name in SIGNALS if (value := area(train, name)) is not None}
        best = signal or (max(auc, key=lambda name: auc[name]) if auc else SIGNALS[0])
        points = Curve(train, best, large).points()
        threshold = points[choose(points, goal)[0]].threshold
        tried.append((len(held), Curve(held, best, large).at(threshold)))
    total = len(order)
    costs = [None if point.cost_usd is None else number * point.cost_usd for number, point in tried]
    return Point(
        threshold=0.0,
        escalated=sum(number * point.escalated for number, point in tried) / total,
        quality=sum(number * point.quality for number, point in tried) / total,
        cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None) / total,
    )


def _bootstrap(
    curve: Curve, goal: Goal, place: int, shown: Sequence[int], rng: random.Random, resamples: int
) -> tuple[list[float], list[float], list[list[float]]]:
    """Over resamples: the threshold that would have been chosen, the quality at the one that was, and the quality at each point shown."""
    thresholds, qualities = [], []
    bands: list[list[float]] = [[] for _ in shown]
    rows = range(len(curve.rows))
    for _ in range(resamples):
        weights = [0.0] * len(rows)
        for row in rng.choices(rows, k=len(rows)):
            weights[row] += 1.0
        points = curve.points(weights)
        thresholds.append(points[choose(points, goal)[0]].threshold)
        qualities.append(points[place].quality)
        for band, one in zip(bands, shown, strict=True):
            band.append(points[one].quality)
    return thresholds, qualities, bands


def _interval(values: Sequence[float]) -> Interval:
    ordered = sorted(values)
    last = len(ordered) - 1
    return Interval(ordered[round(0.025 * last)], ordered[round(0.975 * last)])


def _spread(points: Sequence[Point], number: int) -> list[int]:
    """Places of at most `number` points, spread evenly over the share that is escalated."""
    chosen: list[int] = []
    for step in range(number):
        wanted = step / (number - 1)
        place = min(range(len(points)), key=lambda one: abs(points[one].escalated - wanted))
        if not chosen or place > chosen[-1]:
            chosen.append(place)
    return chosen
