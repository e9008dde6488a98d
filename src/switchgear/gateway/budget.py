"""Bounds on extra attempts: over a sliding window they never exceed a share of the calls. Pure: the caller brings the time."""

_BUCKETS = 10


class RatioBudget:
    """At most `max(floor, ratio x calls)` extra attempts in any window of `window_s` seconds (in steps of a tenth of it)."""

    __slots__ = (
        "_calls",
        "_extra",
        "_now_calls",
        "_slot",
        "_slot_end_s",
        "_total_calls",
        "_total_extra",
        "_width_s",
        "floor",
        "ratio",
        "window_s",
    )

    def __init__(self, ratio: float, floor: int, window_s: float) -> None:
        self.ratio = ratio
        self.floor = floor
        self.window_s = window_s
        self._width_s = window_s / _BUCKETS
        self._slot = 0
        self._slot_end_s = 0.0
        self._now_calls = 0
        """Calls of the present slot, not yet in `_calls`."""
        self._calls = [0] * _BUCKETS
        self._extra = [0] * _BUCKETS
        self._total_calls = 0
        self._total_extra = 0

    def call(self, now_s: float) -> None:
        """A call began."""
        if now_s >= self._slot_end_s:
            self._turn(now_s)
        self._now_calls += 1

    def take(self, now_s: float) -> bool:
        """Ask for one extra attempt; it is counted when granted."""
        if now_s >= self._slot_end_s:
            self._turn(now_s)
        if self._total_extra + 1 > max(self.floor, self.ratio * (self._total_calls + self._now_calls)):
            return False
        self._extra[self._slot % _BUCKETS] += 1
        self._total_extra += 1
        return True

    def _turn(self, now_s: float) -> None:
        self._calls[self._slot % _BUCKETS] += self._now_calls
        self._total_calls += self._now_calls
        self._now_calls = 0
        slot = int(now_s / self._width_s)
        for passed in range(max(self._slot + 1, slot - _BUCKETS + 1), slot + 1):
            index = passed % _BUCKETS
            self._total_calls -= self._calls[index]
            self._total_extra -= self._extra[index]
            self._calls[index] = self._extra[index] = 0
        self._slot = slot
        self._slot_end_s = (slot + 1) * self._width_s
