"""Kept answers of one process: memory in front, disk behind it if there is one, and the questions under way."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from switchgear.cache.flights import Flights
from switchgear.cache.keys import Keys
from switchgear.cache.memory import Memory
from switchgear.cache.model import Answer, Entry, kept

if TYPE_CHECKING:
    from switchgear.cache.disk import Disk

E = TypeVar("E")


class Status(msgspec.Struct, frozen=True):
    """What a process keeps, at a moment; counts are since its start."""

    entries: int
    bytes: int
    capacity_bytes: int
    hits: int
    misses: int
    evicted: int
    """Answers that made room for others in memory while they could still have been used."""
    collapsed: int
    """Calls that waited for another's answer."""
    flights: int
    """Questions under way."""
    disk_dropped: int = 0
    """Answers that were not kept on disk, since too much waited or the file failed."""
    disk_failing: str = ""
    """What is wrong with the file at the moment; empty where nothing is."""


class AnswerCache(Generic[E]):
    """Asked by one event loop. Times are Unix seconds, brought by the caller. `E` is what the gateway refuses a call with."""

    __slots__ = ("_disk", "_most", "flights", "hits", "keys", "memory", "misses")

    def __init__(self, memory: Memory, keys: Keys, disk: "Disk | None" = None) -> None:
        self.memory = memory
        self.keys = keys
        self.flights: Flights[Answer, E] = Flights()
        """Calls that say the same at the same time."""
        self._disk = disk
        self._most = 0
        self.hits = 0
        """Fresh answers found."""
        self.misses = 0

    def find(self, key: bytes, now_s: float) -> Entry | None:
        """A fresh answer in memory."""
        entry = self.memory.get(key, now_s)
        if entry is not None and now_s < entry.fresh_until_s:
            self.hits += 1
            return entry
        self.misses += 1
        return None

    def find_later(self, key: bytes, now_s: Callable[[], float], found: Callable[[Entry | None], None]) -> bool:
        """A fresh answer on disk, which takes a moment. Returns False, and never calls `found`, where there is none for sure."""
        disk = self._disk
        if disk is None or key in self.memory or not disk.holds(key):
            return False

        def came(entry: Entry | None) -> None:
            if entry is not None:
                self.memory.put(key, entry)
                if not entry.fresh(now_s()):
                    entry = None
                else:
                    self.hits += 1
                    self.misses -= 1
            found(entry)

        disk.fetch(key, came)
        return True

    def stale(self, key: bytes, now_s: float, stale_s: float) -> Entry | None:
        """As a last resort: an answer in memory whose time is over by at most so many seconds; a fresh one too."""
        entry = self.memory.get(key, now_s)
        return entry if entry is not None and entry.expired_s(now_s) <= stale_s else None

    def keep(self, key: bytes, answer: Answer, now_s: float, ttl_s: float, stale_s: float, *, on_disk: bool) -> None:
        """Keep an answer for `ttl_s` seconds, and as a last resort for `stale_s` more."""
        entry = kept(answer, now_s, ttl_s, stale_s)
        self.memory.put(key, entry)
        if on_disk and self._disk is not None:
            self._disk.put(key, entry)

    def status(self) -> Status:
        """For those who look on."""
        memory, disk = self.memory, self._disk
        return Status(
            len(memory),
            memory.size,
            memory.capacity,
            self.hits,
            self.misses,
            memory.evicted,
            self.flights.collapsed,
            len(self.flights),
            disk.dropped if disk is not None else 0,
            disk.failing if disk is not None else "",
        )

    def tidy(self, now_s: float) -> int:
        """Called once a second: looks at a thirtieth of the memory each time and forgets what is over. Returns how many went."""
        self._most = max(
            self._most, len(self.memory)
        )  # of the largest it was, so that it keeps its pace while it shrinks
        gone = self.memory.sweep(now_s, 64 + self._most // 30)
        if not len(self.memory):
            self._most = 0
        return gone

    def close(self) -> None:
        """Forget what is in memory; what is to lie on disk is written."""
        self.memory.clear()
        if self._disk is not None:
            self._disk.close()
