"""Frames of records that wait in memory while the journal cannot be written."""

from collections import deque
from collections.abc import Sequence

from switchgear.journal.frame import Frame


class Backlog:
    """First in, first out, bounded in records and bytes: when there is no room, the oldest go."""

    def __init__(self, max_count: int, max_bytes: int) -> None:
        self._frames: deque[Frame] = deque()
        self._count = 0
        self._max_count = max_count
        self._max_bytes = max_bytes
        self.bytes = 0
        """Encoded bytes that wait."""

    def __len__(self) -> int:
        return self._count

    def add(self, frames: Sequence[Frame]) -> int:
        """Let `frames` wait. Returns how many records, of the oldest, had to go for them."""
        for frame in frames:
            self._frames.append(frame)
            self._count += frame.count
            self.bytes += len(frame.rows)
        dropped = 0
        while self._count > self._max_count or (self.bytes > self._max_bytes and len(self._frames) > 1):
            dropped += self._next().count
        return dropped

    def take(self, count: int) -> list[Frame]:
        """The oldest frames, up to the one that makes it `count` records, or all."""
        taken: list[Frame] = []
        held = 0
        while self._frames and held < count:
            taken.append(self._next())
            held += taken[-1].count
        return taken

    def _next(self) -> Frame:
        frame = self._frames.popleft()
        self._count -= frame.count
        self.bytes -= len(frame.rows)
        return frame
