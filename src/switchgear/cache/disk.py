"""Kept answers on disk, off the event loop: a thread of its own does all that touches the file.

Whether the file may hold an answer is known in memory, by its digest, so a miss costs no way to the thread. What other processes have
put there becomes known within a second.
"""

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from switchgear.cache.model import Entry
from switchgear.cache.store import Store
from switchgear.core.clock import Clock

log = logging.getLogger(__name__)

_BATCH = 256
_POLL_S = 1.0
_WAITING_BYTES = 16 * 1024 * 1024
"""So much may wait to be written; what comes beyond it is not kept on disk."""

Found = Callable[[Entry | None], None]


class Disk:
    """Used by the event loop; `deliver` runs a function there (`loop.call_soon_threadsafe`)."""

    def __init__(self, store: Store, clock: Clock, deliver: Callable[[Callable[[], None]], object]) -> None:
        self._store = store
        self._clock = clock
        self._deliver = deliver
        self._jobs: queue.SimpleQueue[tuple[bytes, Entry | Found] | None] = queue.SimpleQueue()
        self._known: set[bytes] = set()  # changed by the thread, asked by the loop; each step is one under the GIL
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self.dropped = 0
        """Answers that were not kept on disk, since too much waited or the file failed."""
        self.failing = ""
        """What is wrong with the file at the moment; empty where nothing is."""
        self._learn()
        self._thread = threading.Thread(target=self._work, name="switchgear-cache", daemon=True)
        self._thread.start()

    def holds(self, key: bytes) -> bool:
        """Whether the file may hold an answer; False is almost certain, True may be out of date."""
        return key in self._known

    def fetch(self, key: bytes, found: Found) -> None:
        """Read an entry; `found` is called on the event loop, once, with None where there is none."""
        self._jobs.put((key, found))

    def put(self, key: bytes, entry: Entry) -> None:
        """Write an entry soon."""
        with self._lock:
            if self._waiting_bytes + entry.size > _WAITING_BYTES:
                self.dropped += 1
                return
            self._waiting_bytes += entry.size
        self._jobs.put((key, entry))

    def close(self) -> None:
        """Write what waits, and end the thread."""
        self._jobs.put(None)
        self._thread.join()
        self._store.close()

    # -- the thread --

    def _work(self) -> None:
        ending = False
        polled_s = self._clock.monotonic_s()
        while not ending:
            jobs = self._next_jobs()
            ending = None in jobs
            puts: list[tuple[bytes, Entry]] = []
            for job in jobs:
                if job is None:
                    continue
                key, what = job
                if isinstance(what, Entry):
                    puts.append((key, what))
                else:
                    self._fetch(key, what)
            if puts:
                self._write(puts)
            if not jobs or self._clock.monotonic_s() - polled_s >= _POLL_S:
                polled_s = self._clock.monotonic_s()
                self._tidy()

    def _next_jobs(self) -> list[tuple[bytes, Entry | Found] | None]:
        jobs: list[tuple[bytes, Entry | Found] | None] = []
        with suppress(queue.Empty):
            jobs.append(self._jobs.get(timeout=_POLL_S))
            while len(jobs) < _BATCH and jobs[-1] is not None:
                jobs.append(self._jobs.get_nowait())
        return jobs

    def _fetch(self, key: bytes, found: Found) -> None:
        entry = None
        try:
            entry = self._store.get(key, self._clock.now_s())
        except sqlite3.Error as error:
            self._failed(error)
        if entry is None:
            self._known.discard(key)
        self._deliver(partial(found, entry))

    def _write(self, puts: list[tuple[bytes, Entry]]) -> None:
        with self._lock:
            self._waiting_bytes -= sum(entry.size for _, entry in puts)
        try:
            self._store.put(puts)
        except sqlite3.Error as error:
            self.dropped += len(puts)
            self._failed(error)
        else:
            self._known.update(key for key, _ in puts)
            self.failing = ""

    def _tidy(self) -> None:
        try:
            while self._store.trim(self._clock.now_s()) and self._jobs.empty():
                pass
            self._learn()  # of what is left, so that nothing which is over is taken for held again
        except sqlite3.Error as error:
            self._failed(error)

    def _learn(self) -> None:
        while new := self._store.news():
            self._known.update(new)

    def _failed(self, error: sqlite3.Error) -> None:
        if not self.failing:
            log.warning("the cache on disk fails, calls are asked anew: %s", error)
        self.failing = str(error)
