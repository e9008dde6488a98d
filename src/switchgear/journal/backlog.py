"""Records that wait in memory while the journal cannot be written."""

from collections import deque
from collections.abc import Sequence

from switchgear.journal.model import Entry


class Backlog:
    """First in, first out, bounded in number and bytes: when there is no room, the oldest go."""

    def __init__(self, max_count: int, max_bytes: int) -> None:
        self._entries: deque[Entry] = deque()
        self._max_count = max_count
        self._max_bytes = max_bytes
        self.bytes = 0
        """Encoded bytes that wait."""

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entries: Sequence[Entry]) -> int:
        """Let `entries` wait. Returns how many of the oldest had to go for them."""
        self._entries.extend(entries)
        self.bytes += sum(len(body) for _, _, body in entries)
        dropped = 0
        while len(self._entries) > self._max_count or (self.bytes > self._max_bytes and len(self._entries) > 1):
            self.bytes -= len(self._entries.popleft()[2])
            dropped += 1
        return dropped

    def take(self, count: int) -> list[Entry]:
        """The oldest `count` entries, or all."""
        taken = [self._entries.popleft() for _ in range(min(count, len(self._entries)))]
        self.bytes -= sum(len(body) for _, _, body in taken)
        return taken
