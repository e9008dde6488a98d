"""A circuit breaker for one target. Pure: the caller brings the time.

It counts completed calls in a sliding window. Closed, it opens when enough of them failed or were slow; open, it lets
nothing through for `open_s`; then it is half-open and lets exactly one probe through, whose completion decides.
(Nygard, Release It!, 2nd ed., "Circuit Breaker".)
"""

import math
from enum import StrEnum

from switchgear.core.snapshot import Breaker

_BUCKETS = 10


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Times are seconds on a clock that does not step back."""

    __slots__ = (
        "_bad",
        "_good",
        "_now_good",
        "_opened_s",
        "_probing",
        "_row",
        "_slot",
        "_slot_end_s",
        "_slow_s",
        "_state",
        "_width_s",
        "closed",
        "opened",
        "settings",
    )

    def __init__(self, settings: Breaker) -> None:
        self.settings = settings
        self.opened = 0
        """How often it opened."""
        self.closed = True
        """Whether it lets every call through: `allows` for those in a hurry."""
        self._state = BreakerState.CLOSED
        self._opened_s = 0.0
        self._probing = False
        self._row = 0
        self._width_s = settings.window_s / _BUCKETS
        self._slot = 0
        self._slot_end_s = 0.0
        self._slow_s = math.inf if settings.slow_call_s is None else settings.slow_call_s
        self._now_good = 0
        """Good calls of the present slot, not yet in `_good`."""
        self._good = [0] * _BUCKETS
        self._bad = [0] * _BUCKETS

    def state(self, now_s: float) -> BreakerState:
        if self._state is BreakerState.OPEN and now_s - self._opened_s >= self.settings.open_s:
            return BreakerState.HALF_OPEN
        return self._state

    def allows(self, now_s: float) -> bool:
        """Whether a call may be sent now. In half-open state that is so until the one probe has begun."""
        if self._state is BreakerState.CLOSED:
            return True
        return self.state(now_s) is BreakerState.HALF_OPEN and not self._probing

    def retry_after_s(self, now_s: float) -> float:
        """Seconds until it may let a probe through, 0 where it does now."""
        if self._state is BreakerState.CLOSED:
            return 0.0
        return max(0.0, self._opened_s + self.settings.open_s - now_s)

    def began(self, now_s: float) -> bool:
        """A call is sent. Returns whether it is the probe; its end is then told with the same flag."""
        if self._state is BreakerState.CLOSED:
            return False
        self._state = self.state(now_s)
        if self._state is BreakerState.HALF_OPEN and not self._probing:
            self._probing = True
            return True
        return False

    def completed(self, now_s: float, *, good: bool, duration_s: float, probe: bool) -> None:
        """A call came to its end, good or not."""
        if duration_s > self._slow_s:
            good = False
        if probe:
            self._probing = False
            if good:
                self._close()
            else:
                self._open(now_s)
            return
        if self._state is not BreakerState.CLOSED:
            return  # began before it opened: tells nothing new
        if now_s >= self._slot_end_s:
            self._turn(now_s)
        if good:
            self._now_good += 1
            self._row = 0
            return
        self._bad[self._slot % _BUCKETS] += 1
        self._row += 1
        bad = sum(self._bad)
        total = bad + sum(self._good) + self._now_good
        settings = self.settings
        if self._row >= settings.consecutive or (total >= settings.min_calls and bad >= settings.failure_ratio * total):
            self._open(now_s)

    def abandoned(self, *, probe: bool) -> None:
        """A call ended without telling anything about the target: its caller hung up, say."""
        if probe:
            self._probing = False

    def well(self, now_s: float, duration_s: float) -> None:
        """`completed` for a good call that was no probe, in fewer steps where all is well."""
        if not self.closed or duration_s > self._slow_s or now_s >= self._slot_end_s:
            self.completed(now_s, good=True, duration_s=duration_s, probe=False)
        else:
            self._now_good += 1
            self._row = 0

    def _turn(self, now_s: float) -> None:
        self._good[self._slot % _BUCKETS] += self._now_good
        self._now_good = 0
        slot = int(now_s / self._width_s)
        for passed in range(max(self._slot + 1, slot - _BUCKETS + 1), slot + 1):
            self._good[passed % _BUCKETS] = self._bad[passed % _BUCKETS] = 0
        self._slot = slot
        self._slot_end_s = (slot + 1) * self._width_s

    def _open(self, now_s: float) -> None:
        self._state = BreakerState.OPEN
        self.closed = False
        self._opened_s = now_s
        self.opened += 1

    def _close(self) -> None:
        self._state = BreakerState.CLOSED
        self.closed = True
        self._row = 0
        self._now_good = 0
        self._good = [0] * _BUCKETS
        self._bad = [0] * _BUCKETS
