"""What a target's recent latency was: a peak-sensitive mean for choosing, and percentiles for hedging and for people."""

import math
from bisect import bisect_left

_TAU_S = 10.0
_UNITS = 1_048_576.0
"""Units in a second."""
_BUCKETS = 264
"""Eight to each doubling."""
_FIRST_S = 0.0005
_LONGEST_S = 3600.0
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
        """Latencies not counted yet, and when each was observed: many together cost less than each by itself."""
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
        self._peak_s, self._last_s = peak_s, last_s
        ordered = sorted([latency_s for latency_s, _ in self._seen])
        self._seen.clear()
        done, size = 0, len(ordered)
        while done < size:
            bucket = _bucket(ordered[done])
            upto = bisect_left(ordered, _end_s(bucket), done + 1)
            counts[bucket] += upto - done
            done = upto
        self._total += size
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
                return max(_FIRST_S, _end_s(index))
        return _end_s(_BUCKETS)


def _bucket(latency_s: float) -> int:
    """Eight to each doubling of units; one to each doubling below sixteen units, which nobody tells apart."""
    units = int(min(max(latency_s, 0.0), _LONGEST_S) * _UNITS)
    octave = units.bit_length()
    return octave * 8 + (units >> octave - 4 & 7) if octave > 4 else octave * 8


def _end_s(bucket: int) -> float:
    """Where it ends, which is no longer within it; seconds."""
    octave, eighth = divmod(bucket, 8)
    return (1 << octave if octave <= 4 else (9 + eighth) << octave - 4) / _UNITS
