"""From ended calls to figures, piece by piece: a year streams through, and only counts are kept.

Times are counted in buckets that widen by 1 % each, so a percentile is right within half a percent (the idea of HdrHistogram and DDSketch:
Masson et al., VLDB 2019); counts, means and maxima are exact.
"""

import math

import numpy as np
from numpy.typing import NDArray

from switchgear.planner import simulate_arrays as tables
from switchgear.planner.simulate_model import Spread
from switchgear.planner.workload import CLASSES

_FIRST_S = 1e-5
_WIDER = math.log(1.01)
_BUCKETS = 2400
"""Up to two days."""

Floats = NDArray[np.float64]


class Histogram:
    """A distribution of times, seconds. 0 has a bucket of its own."""

    __slots__ = ("_counts", "_most", "_sum")

    def __init__(self) -> None:
        self._counts = np.zeros(_BUCKETS + 1, np.int64)
        self._sum = 0.0
        self._most = 0.0

    def add(self, values: Floats) -> None:
        """Count values that are not negative; what is not a number is left out."""
        values = values[~np.isnan(values)]
        if not values.size:
            return
        index = np.log(np.maximum(values, _FIRST_S / 2) / _FIRST_S) / _WIDER
        place = np.clip(np.floor(index).astype(np.int64) + 1, 0, _BUCKETS)
        self._counts += np.bincount(place, minlength=_BUCKETS + 1)
        self._sum += float(values.sum())
        self._most = max(self._most, float(values.max()))

    @property
    def count(self) -> int:
        return int(self._counts.sum())

    def percentile(self, percent: float) -> float | None:
        """Seconds; None without a value."""
        total = self.count
        if not total:
            return None
        place = int(np.searchsorted(np.cumsum(self._counts), max(1, math.ceil(total * percent / 100 - 1e-6))))
        return 0.0 if place == 0 else min(self._most, _FIRST_S * math.exp(_WIDER * (place - 0.5)))

    def spread(self) -> Spread:
        """The usual figures."""
        total = self.count
        return Spread(
            count=total,
            mean=self._sum / total if total else None,
            p50=self.percentile(50),
            p90=self.percentile(90),
            p95=self.percentile(95),
            p99=self.percentile(99),
            most=self._most if total else None,
        )


_REASONS = {
    tables.NO_CANDIDATE: "no place may or can take it",
    tables.FORBIDDEN: "policies let it go nowhere",
    tables.FULL: "all places full, resting or broken",
    tables.BROKEN_PLACE: "place unreachable",
    tables.TIMED_OUT: "timed out",
    tables.LOST: "connection lost",
    tables.NO_REASON: "unknown",
}


class Measure:
    """Everything that is counted of ended calls."""

    def __init__(self, places: int) -> None:
        self.ttft, self.e2e, self.tpot, self.queue = Histogram(), Histogram(), Histogram(), Histogram()
        self.ttft_by_class = [Histogram() for _ in CLASSES]
        self.queue_by_place = [Histogram() for _ in range(places)]
        self.answered = np.zeros(places, np.int64)
        self.tokens_in = np.zeros(places, np.int64)
        self.tokens_out = np.zeros(places, np.int64)
        self.outcomes: dict[int, dict[str, int]] = {tables.REFUSED: {}, tables.FAILED: {}, tables.BROKEN: {}}
        self.calls = 0
        self.attempts = 0
        self.last_s = 0.0
        self.last_arrival_s = 0.0

    def add(self, ended: tables.Table) -> None:
        """Count calls that have ended, rows of `simulate_arrays.ENDED`."""
        if not ended.size:
            return
        self.calls += ended.size
        self.attempts += int(ended["attempts"].sum())
        self.last_s = max(self.last_s, float((ended["at_s"] + ended["e2e_s"]).max()))
        self.last_arrival_s = max(self.last_arrival_s, float(ended["at_s"].max()))
        outcome = ended["outcome"]
        well = outcome == tables.OK
        for kind, reasons in self.outcomes.items():
            bad = ended["reason"][outcome == kind]
            for reason, count in zip(*np.unique(bad, return_counts=True), strict=True):
                text = _REASONS[int(reason)]
                reasons[text] = reasons.get(text, 0) + int(count)
        self._add_answered(ended[well])

    def _add_answered(self, rows: tables.Table) -> None:
        if not rows.size:
            return
        ttft_s, e2e_s, output, place = rows["ttft_s"], rows["e2e_s"], rows["output"], rows["place"].astype(np.int64)
        self.ttft.add(ttft_s)
        self.e2e.add(e2e_s)
        self.queue.add(rows["queue_s"])
        several = output > 1
        self.tpot.add((e2e_s[several] - ttft_s[several]) / (output[several] - 1))
        for index, histogram in enumerate(self.ttft_by_class):
            histogram.add(ttft_s[rows["rank"] == index])
        size = self.answered.size
        self.answered += np.bincount(place, minlength=size)
        self.tokens_in += np.bincount(place, rows["prompt"], size).astype(np.int64)
        self.tokens_out += np.bincount(place, output, size).astype(np.int64)
        for index, histogram in enumerate(self.queue_by_place):
            histogram.add(rows["queue_s"][place == index])
