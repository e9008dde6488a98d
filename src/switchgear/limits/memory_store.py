"""Books in this process: for tests, and for workers that are threads of one program. The real thing, without a disk."""

import threading
from collections.abc import Sequence

from switchgear.core.clock import Clock
from switchgear.limits.book import Ask, Book, Grant
from switchgear.limits.errors import SharingFailing


class MemoryStore:
    """A `ports.Store`. Made to fail, it says so, before or after it has written."""

    def __init__(self, clock: Clock) -> None:
        self.books: dict[str, Book] = {}
        self.unreachable = False
        self.answers_lost = False
        self._clock = clock
        self._lock = threading.Lock()

    def settle(self, worker: str, asks: Sequence[Ask], lease_s: float) -> list[Grant]:
        with self._lock:
            if self.unreachable:
                raise SharingFailing("the store was made unreachable")
            now_s = self._clock.now_s()
            grants = [self.books.setdefault(ask.counter, Book()).settle(worker, ask, now_s, lease_s) for ask in asks]
            if self.answers_lost:
                raise SharingFailing("the store's answers were made to get lost")
            return grants

    def close(self) -> None:
        """Nothing is held."""
