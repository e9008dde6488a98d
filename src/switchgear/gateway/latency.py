"""What a target's recent latency was: a peak-sensitive mean for choosing, and percentiles for hedging and for people."""

import math

_TAU_S = 10.0
_UNITS = 1_048_576.0
"""Units in a second."""
_BUCKETS = 264
"""Eight to each doubling."""
_FIRST_S = 0.0005
_LONGEST_S = 3600.0
_MOST_UNITS = int(_LONGEST_S * _UNITS)
_FORGET_AT = 2000.0
_TOGETHER = 64


class Latency:
    """Peak EWMA: a slower observation counts at once, faster ones pull it down with a time constant of 10 s.

    Source: Finagle's PeakEwma load balancer. Percentiles come from eight buckets to each doubling, whose counts are halved every
    2,000 observations.
    """

    __slots__ = ("_counts", "_last_s", "_peak_s", "_seen", "_total")

    def __init__(self) -> None:
        self._seen: list[tuple[float, float]] = []
        """Observations not counted yet: they are counted together, which costs a call less than each by itself."""
        self._peak_s = 0.0
        self._last_s = 0.0
        self._counts = [0.0] * _BUCKETS
        self._total = 0.0

    def observe(self, latency_s: float, now_s: float) -> None:
        seen = self._seen
        seen.append((latency_s, now_s))
        if len(seen) == _TOGETHER:
            self._count()

    def _count(self) -> None:
        """Take in what was observed. It runs for every call: what it looks up stands in variables of its own."""
        exp, peak_s, last_s, counts = math.exp, self._peak_s, self._last_s, self._counts
        for latency_s, now_s in self._seen:
            if latency_s >= peak_s:
                peak_s = latency_s
            elif now_s > last_s:
                peak_s = latency_s + (peak_s - latency_s) * exp((last_s - now_s) / _TAU_S)
            last_s = now_s
            units = int(latency_s * _UNITS) if latency_s < _LONGEST_S else _MOST_UNITS
            octave = units.bit_length()
            counts[octave * 8 + (units >> octave - 4 & 7) if octave > 4 else octave * 8] += 1.0
        self._peak_s, self._last_s = peak_s, last_s
        self._total += len(self._seen)
        self._seen.clear()
        if self._total >= _FORGET_AT:
            self._counts = [count / 2 for count in counts]
            self._total /= 2

    def peak_ewma_s(self, now_s: float) -> float:
        """Seconds; decays towards 0 while nothing is observed, so that a target shunned for its slowness is tried again. 0: unknown."""
        if self._seen:
            self._count()
        return self._peak_s * math.exp((self._last_s - now_s) / _TAU_S)

    def percentile_s(self, percent: float, *, at_least: int = 20) -> float | None:
        """Seconds (the upper edge of a bucket), None with fewer than `at_least` observations."""
        if self._seen:
            self._count()
        if self._total < at_least:
            return None
        wanted = self._total * percent / 100
        seen = 0.0
        for index, count in enumerate(self._counts):
            seen += count
            if seen >= wanted:
                return _upper_s(index)
        return _upper_s(_BUCKETS)


def _upper_s(index: int) -> float:
    """Where a bucket ends, seconds; below half a millisecond nobody wants to know."""
    octave, eighth = divmod(index, 8)
    units = 1 << octave if octave <= 4 else (9 + eighth) << octave - 4
    return max(_FIRST_S, units / _UNITS)
