"""A circuit breaker for one target. Pure: the caller brings the time.

It counts completed calls in a sliding window. Closed, it opens when enough of them failed or were slow; open, it lets
nothing through for `open_s`; then it is half-open and lets exactly one probe through, whose completion decides.
(Nygard, Release It!, 2nd ed., "Circuit Breaker".)
"""

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
        "_opened_s",
        "_probing",
        "_row",
        "_slot",
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
        slow = self.settings.slow_call_s
        if slow is not None and duration_s > slow:
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
        slot = int(now_s / self._width_s)
        if slot != self._slot:
            self._turn(slot)
        if good:
            self._good[slot % _BUCKETS] += 1
            self._row = 0
            return
        self._bad[slot % _BUCKETS] += 1
        self._row += 1
        bad = sum(self._bad)
        total = bad + sum(self._good)
        settings = self.settings
        if self._row >= settings.consecutive or (total >= settings.min_calls and bad >= settings.failure_ratio * total):
            self._open(now_s)

    def abandoned(self, *, probe: bool) -> None:
        """A call ended without telling anything about the target: its caller hung up, say."""
        if probe:
            self._probing = False

    def _turn(self, slot: int) -> None:
        for passed in range(max(self._slot + 1, slot - _BUCKETS + 1), slot + 1):
            self._good[passed % _BUCKETS] = self._bad[passed % _BUCKETS] = 0
        self._slot = slot

    def _open(self, now_s: float) -> None:
        self._state = BreakerState.OPEN
        self.closed = False
        self._opened_s = now_s
        self.opened += 1

    def _close(self) -> None:
        self._state = BreakerState.CLOSED
        self.closed = True
        self._row = 0
        self._good = [0] * _BUCKETS
        self._bad = [0] * _BUCKETS
