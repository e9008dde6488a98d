"""Appends records to one journal file without ever blocking the event loop.

What is promised while the file can be written:

- `append` (durability "batched"): the commit that takes the record in is begun at most 5 ms later, or when the commit under way has
  ended. A killed process loses what was appended in those 5 ms and what is in the commit under way.
- `append_strict` (durability "strict"): `done(None)` is called after the commit. Neither SIGKILL nor a power failure can take the
  record back then, as far as the disk honours fsync. Records that arrive during a commit share the next one.

While it cannot be written, records wait in memory and `healthy` is False; when too many wait, the oldest are counted as lost.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic

from switchgear.core.clock import Clock, SystemClock
from switchgear.journal.errors import JournalError, RecordLost
from switchgear.journal.frame import Frame, framed
from switchgear.journal.intake import Done, Intake, Item, R, Single
from switchgear.journal.keeper import Keeper
from switchgear.journal.model import Settings, Status

log = logging.getLogger(__name__)

_OPENING_S = 5.0


class Writer(Generic[R]):
    """One journal file and the thread that writes it. All methods belong to the event loop on which `start` was called.

    `encode` turns a record into bytes, in the thread: a record must not change after it was appended.
    """

    def __init__(
        self, path: Path, encode: Callable[[R], bytes], settings: Settings | None = None, clock: Clock | None = None
    ) -> None:
        self._settings = settings or Settings()
        self._encode = encode
        self._keeper = Keeper(path, self._settings, clock or SystemClock())
        self._intake: Intake[R] = Intake(self._settings.interval_s, self._settings.max_pending, self._overflowed)
        self._thread = threading.Thread(target=self._run, name=f"journal {path.name}", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened = threading.Event()
        self._closing = False
        self._held = 0  # records that the thread holds and has not committed
        self._held_since_s = 0.0
        self._refused = 0
        # Bound here, because one call less is a tenth of what an append costs.
        self.append: Callable[[str, float, R], None] = self._intake.append
        """`append(call_id, at_s, record)`: keep a record. `at_s` should be when the call ended, so that rows lie in order of time."""
        self.append_frame: Callable[..., None] = self._intake.append_frame
        """`append_frame(frame, done=None)`: keep many records that are encoded already; `done` as for `append_strict`."""
        self.append_strict: Callable[[str, float, R, Done], None] = self._intake.append_strict
        """`append_strict(call_id, at_s, record, done)`: keep a record, and call `done` on the event loop when it is on the disk, or with
        a `JournalError` when it could not be written now. Such a record is kept all the same and written when that works again, except
        when the error is `RecordLost`."""

    def start(self) -> None:
        """Open the file and begin. A file that cannot be opened is a failing journal, not an error: it is tried again."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        self._opened.wait(_OPENING_S)

    async def close(self, timeout_s: float = 10.0) -> None:
        """Write what is waiting and end the thread. What cannot be written in one last try is lost, and logged as such."""
        self._closing = True
        self._intake.close()
        if not self._thread.ident:
            return
        await asyncio.to_thread(self._thread.join, timeout_s)
        if self._thread.is_alive():
            log.error(
                "journal %s: a write has not ended after %.0f s; %d records are given up",
                self._keeper.path,
                timeout_s,
                self.status().pending,
            )

    @property
    def healthy(self) -> bool:
        """Whether records reach the disk: no error, and none has waited for longer than `stall_s`. Cheap enough for every call."""
        if self._keeper.error is not None or not self._opened.is_set():
            return False
        since_s = self._oldest_since_s()
        return not since_s or time.monotonic() - since_s < self._settings.stall_s

    def status(self) -> Status:
        """Figures for metrics and readiness."""
        keeper = self._keeper
        since_s = self._oldest_since_s()
        return Status(
            journal=keeper.journal,
            healthy=self.healthy,
            failing="" if keeper.error is None else str(keeper.error),
            pending=len(self._intake) + max(self._held, keeper.pending),
            lag_s=max(0.0, time.monotonic() - since_s) if since_s else 0.0,
            written=keeper.written,
            lost=keeper.lost + self._refused,
            moved_aside=keeper.moved_aside,
            expired=keeper.expired,
        )

    def _oldest_since_s(self) -> float:
        return self._held_since_s or (self._intake.since_s if len(self._intake) else 0.0)

    def _overflowed(self, count: int, done: Done | None) -> None:
        # The thread hangs in a call to the system: nothing can be taken from under its hands, so the newest has to go.
        before = self._refused
        self._refused += count
        if before.bit_length() != self._refused.bit_length():  # the more there are, the more seldom it is said
            log.error("journal %s: a write hangs; %d records lost", self._keeper.path, self._refused)
        if done is not None and self._loop is not None:
            self._loop.call_soon(done, RecordLost("the journal hangs, and too many records are waiting"))

    # From here on: the thread.

    def _run(self) -> None:
        try:
            self._keeper.open()
            self._opened.set()
            while not self._closing:
                self._intake.rest(self._keeper.wake_in_s())
                self._write_next(now=False)
                self._keeper.expire()
            while self._intake:
                self._write_next(now=True)
        finally:
            self._opened.set()
            self._keeper.close()

    def _write_next(self, *, now: bool) -> None:
        since_s = self._intake.since_s
        items = self._intake.take(self._settings.max_batch)
        if items and not self._held_since_s:
            self._held_since_s = since_s
        self._held = sum(1 if isinstance(item, Single) else item.frame.count for item in items)
        batch = self._framed(items)
        error = self._keeper.write([frame for frame, _ in batch], now=now or self._closing)
        self._held = 0
        if error is None:
            self._held_since_s = 0.0
        waiting = [done for _, waits in batch for done in waits]
        if waiting:
            self._tell(waiting, error)

    def _framed(self, items: Sequence[Item[R]]) -> list[tuple[Frame, list[Done]]]:
        """Frames to be committed together, and who waits for each: what came singly is put together."""
        batch: list[tuple[Frame, list[Done]]] = []
        singly: list[Single[R]] = []
        for item in items:
            if isinstance(item, Single):
                singly.append(item)
                continue
            batch += self._put_together(singly)
            singly = []
            batch.append((item.frame, [item.done] if item.done is not None else []))
        return batch + self._put_together(singly)

    def _put_together(self, items: list[Single[R]]) -> list[tuple[Frame, list[Done]]]:
        if not items:
            return []
        encode = self._encode
        try:
            frame = framed([(call_id, at_s, encode(record)) for call_id, at_s, record, _ in items])
        except Exception as error:  # noqa: BLE001  whatever the encoder raises must not stop the journal for all other records
            if len(items) == 1:
                self._keeper.lose(1, f"cannot be encoded: {error!r}")
                if (done := items[0].done) is not None:
                    self._tell([done], RecordLost(f"the record cannot be encoded: {error!r}"))
                return []
            return [one for item in items for one in self._put_together([item])]
        return [(frame, [item.done for item in items if item.done is not None])]

    def _tell(self, waiting: list[Done], error: JournalError | None) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(_call_all, waiting, error)


def _call_all(waiting: list[Done], error: JournalError | None) -> None:
    for done in waiting:
        try:
            done(error)
        except Exception:  # one caller's defect must not keep the others waiting for ever
            log.exception("a caller's `done` raised")
