"""What escalating below a threshold costs and brings, for every threshold at once. Pure arithmetic on sorted answers."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import inf
from typing import NamedTuple

from switchgear.confidence.samples import Sample


class Large(NamedTuple):
    """What is assumed of the large model where a sample does not know: how often it is right, what a call of it costs (None: not known)."""

    quality: float
    cost_usd: float | None


class Point(NamedTuple):
    """One threshold: answers below it are escalated."""

    threshold: float
    escalated: float
    """Share of the calls."""
    quality: float
    """Share of the calls whose answer is good."""
    cost_usd: float | None
    """Of a call, in the mean; None: not known."""


class Row(NamedTuple):
    """An answer, as far as thresholds go."""

    score: float
    good: float
    gain: float
    """Quality that escalating adds (negative: takes)."""
    cost_usd: float
    extra_usd: float


class Curve:
    """Answers in the order in which they are escalated. Forced ones come first."""

    __slots__ = ("_cuts", "_priced", "rows", "scores")

    def __init__(self, samples: Sequence[Sample], signal: str, large: Large) -> None:
        self._priced = large.cost_usd is not None and all(sample.cost_usd is not None for sample in samples)
        self.rows = sorted(_row(sample, signal, large) for sample in samples)
        self.scores = [row.score for row in self.rows]
        self._cuts = [place for place in range(len(self.rows) + 1) if self._is_cut(place)]

    def _is_cut(self, place: int) -> bool:
        """Whether a threshold can part the answers here: forced ones are always below it, equal ones never parted."""
        if place == len(self.rows):
            return True
        if self.scores[place] == -inf:
            return False
        return place == 0 or self.scores[place - 1] < self.scores[place]

    def points(self, weights: Sequence[float] | None = None) -> list[Point]:
        """Every threshold, from never escalating (but for the forced) to always. `weights`: how often each row counts."""
        rows = self.rows
        counts = weights or [1.0] * len(rows)
        total = sum(counts)
        good = sum(row.good * count for row, count in zip(rows, counts, strict=True))
        cost = sum(row.cost_usd * count for row, count in zip(rows, counts, strict=True))
        escalated = [0.0, *accumulate(counts)]
        gains = [0.0, *accumulate(row.gain * count for row, count in zip(rows, counts, strict=True))]
        extras = [0.0, *accumulate(row.extra_usd * count for row, count in zip(rows, counts, strict=True))]
        return [
            Point(
                self.threshold(cut),
                escalated[cut] / total,
                (good + gains[cut]) / total,
                (cost + extras[cut]) / total if self._priced else None,
            )
            for cut in self._cuts
        ]

    def at(self, threshold: float) -> Point:
        """What one threshold does to these answers."""
        cut = max(bisect_left(self.scores, threshold), bisect_right(self.scores, -inf))
        rows = self.rows
        total = len(rows)
        quality = (sum(row.good for row in rows) + sum(row.gain for row in rows[:cut])) / total
        cost = (sum(row.cost_usd for row in rows) + sum(row.extra_usd for row in rows[:cut])) / total
        return Point(threshold, cut / total, quality, cost if self._priced else None)

    def threshold(self, cut: int) -> float:
        """The shortest number that parts the rows before `cut` from the others; infinite where nothing is to be parted."""
        if cut == len(self.rows):
            return inf
        high = self.scores[cut]
        low = self.scores[cut - 1] if cut else -inf
        return -inf if low == -inf else _shortest_between(low, high)


def _row(sample: Sample, signal: str, large: Large) -> Row:
    score = sample.signals.get(signal, -inf)  # what is not known is not confidence
    good = float(sample.good)
    other = large.quality if sample.large_good is None else float(sample.large_good)
    extra = sample.large_cost_usd if sample.large_cost_usd is not None else large.cost_usd
    return Row(-inf if sample.forced else score, good, other - good, sample.cost_usd or 0.0, extra or 0.0)


def _shortest_between(low: float, high: float) -> float:
    """The shortest decimal above `low` and at most `high`."""
    middle = (low + high) / 2
    for digits in range(17):
        number = round(middle, digits)
        if low < number <= high:
            return number
    return high
