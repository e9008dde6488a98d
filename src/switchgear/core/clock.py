"""Time as an argument, so that a test can set it."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings: the time of day for records, and a time that only moves forward for durations."""

    def now_s(self) -> float:
        """Seconds since the Unix epoch."""
        ...

    def monotonic_s(self) -> float:
        """Seconds since some fixed moment; never steps back."""
        ...


class SystemClock:
    """The machine's own clocks."""

    now_s = staticmethod(time.time)  # noqa: TID251  the one place that reads the time of day
    monotonic_s = staticmethod(time.monotonic)


class ManualClock:
    """A clock that a test moves by hand. Both readings move together."""

    def __init__(self, now_s: float = 1_700_000_000.0) -> None:
        self._now_s = now_s
        self._monotonic_s = 0.0

    def now_s(self) -> float:
        return self._now_s

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Move both readings forward."""
        self._now_s += seconds
        self._monotonic_s += seconds
