"""One timer for a deadline that moves with every read."""

import asyncio
import math
from collections.abc import Callable

_EARLY_S = 0.001
"""uvloop's timers have a resolution of one millisecond, so one may fire that much before its time."""


class LazyTimer:
    """Calls `expired` once the event loop's time has passed `limit()`.

    The timer is only ever moved to an earlier time, by `tighten`. A limit that moves later costs nothing when it moves:
    the timer fires early, asks `limit()` and sets itself again. A limit of infinity switches it off until the next
    `tighten`.
    """

    __slots__ = ("_expired", "_handle", "_limit", "_loop", "at")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, limit: Callable[[], float], expired: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._limit = limit
        self._expired = expired
        self._handle: asyncio.TimerHandle | None = None
        self.at = math.inf
        """When it fires next, by the event loop's time; check a new limit against this before calling `tighten`."""

    def tighten(self, limit: float) -> None:
        """Fire at `limit`, which must be earlier than `at`."""
        if self._handle is not None:
            self._handle.cancel()
        self.at = limit
        self._handle = self._loop.call_at(limit, self._fire)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self.at = math.inf

    def _fire(self) -> None:
        self._handle = None
        self.at = math.inf
        limit = self._limit()
        if limit == math.inf:
            return
        if self._loop.time() + _EARLY_S < limit:
            self.tighten(limit)
        else:
            self._expired()
