"""Where the event loop leaves records and the writer's thread takes them. Neither ever waits for a lock of the other.

It leans on what CPython's lists promise: `append` and `del items[:n]` each happen whole, so that the loop may append while the
thread takes from the front.
"""

import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, NamedTuple, TypeVar

from switchgear.journal.frame import Frame

R = TypeVar("R")
Done = Callable[[Exception | None], None]


class Single(NamedTuple, Generic[R]):
    """A record that came by itself."""

    call_id: str
    at_s: float
    record: R
    done: Done | None = None


class Packed(NamedTuple):
    """Records that came as a frame."""

    frame: Frame
    done: Done | None = None


Item = Single[R] | Packed

_WORKING, _COLLECTING, _ASLEEP = 0, 1, 2


class Intake(Generic[R]):
    """Records in order of arrival. `append` and `append_strict` belong to the event loop, `rest` and `take` to the thread."""

    def __init__(self, interval_s: float, max_count: int, on_overflow: Callable[[int, Done | None], None]) -> None:
        self._interval_s = interval_s
        self._max_count = max_count
        self._on_overflow = on_overflow
        self._items: list[Item[R]] = []
        self._came = 0  # records, counted by the loop; what was taken is counted by the thread
        self._taken = 0
        self._phase = _WORKING
        self._wake_ups: SimpleQueue[None] = SimpleQueue()
        self._urgent = False  # somebody waits for the commit
        self._closed = False
        self._took_any = False
        self._taken_at_s = 0.0
        self.since_s = 0.0
        """Monotonic time at which the oldest of the waiting records came; without meaning while none waits."""

    def __len__(self) -> int:
        return self._came - self._taken

    def append(self, call_id: str, at_s: float, record: R) -> None:
        """Leave a record. Wakes the thread only when it sleeps; while calls come steadily it looks by itself."""
        self._leave(Single(call_id, at_s, record), 1)

    def append_strict(self, call_id: str, at_s: float, record: R, done: Done) -> None:
        """Leave a record whose commit somebody waits for: the thread takes it as soon as it is free."""
        self._leave(Single(call_id, at_s, record, done), 1)

    def append_frame(self, frame: Frame, done: Done | None = None) -> None:
        """Leave many records at once; with `done`, somebody waits for their commit."""
        self._leave(Packed(frame, done), frame.count)

    def _leave(self, item: Item[R], count: int) -> None:
        items = self._items
        if not items:
            self.since_s = time.monotonic()
        elif len(self) + count > self._max_count:
            self._on_overflow(count, item.done)
            return
        self._came += count
        items.append(item)
        if item.done is None:
            if self._phase == _ASLEEP:
                self._wake()
            return
        self._urgent = True
        if self._phase != _WORKING:
            self._wake()

    def close(self) -> None:
        """Let the thread rest no more."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        self._phase = _WORKING
        self._wake_ups.put(None)

    def take(self, count: int) -> list[Item[R]]:
        """The oldest items, up to the one that makes it `count` records, or all."""
        items = self._items
        held = number = 0
        for item in items:
            held += 1 if isinstance(item, Single) else item.frame.count
            number += 1
            if held >= count:
                break
        taken = items[:number]
        del items[:number]
        self._taken += held
        self._taken_at_s = time.monotonic()
        if items:
            self.since_s = (
                self._taken_at_s
            )  # at most that old: an older one would have been taken, unless there were too many
        self._took_any = bool(taken)
        return taken

    def rest(self, idle_s: float | None) -> None:
        """Wait until a batch should be begun: `interval_s` after its first record, at once when somebody waits for it.

        Without records: until one comes, `close` is called, or `idle_s` is over (None: no such limit).
        """
        if self._took_any and not self._urgent:
            # Records are coming. Looking again by itself saves the loop the wake-up, and the two threads a fight for the GIL.
            self._pause(_COLLECTING, self._taken_at_s + self._interval_s - time.monotonic())
        if not self._items:
            self._pause(_ASLEEP, idle_s)
        if self._items and not self._urgent:
            self._pause(_COLLECTING, self.since_s + self._interval_s - time.monotonic())
        self._urgent = False

    def _pause(self, phase: int, seconds: float | None) -> None:
        if self._closed or (seconds is not None and seconds <= 0):
            return
        self._phase = phase
        # The loop appends and then reads the phase, we write the phase and then look: one of the two sees the other.
        missed = self._urgent if phase == _COLLECTING else bool(self._items)
        try:
            while not missed:
                self._wake_ups.get(timeout=seconds)
                missed = True
            while True:
                self._wake_ups.get_nowait()
        except Empty:
            pass
        self._phase = _WORKING
