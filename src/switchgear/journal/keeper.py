"""Gets frames of records onto the disk in spite of failures: keeps them, tries again, never writes one twice. Used by one thread."""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from switchgear.core.clock import Clock
from switchgear.journal.backlog import Backlog
from switchgear.journal.errors import DamagedJournal, JournalError, JournalFailing
from switchgear.journal.frame import Frame
from switchgear.journal.model import Settings
from switchgear.journal.schema import move_aside, translated
from switchgear.journal.store import Store

log = logging.getLogger(__name__)

_DAY_S = 86_400.0


class Keeper:
    """The disk side of a writer. Its counters are read by other threads; everything else belongs to one."""

    def __init__(
        self, path: Path, settings: Settings, clock: Clock, open_store: Callable[[Path, float], Store] = Store
    ) -> None:
        self.path = path
        self._settings = settings
        self._clock = clock
        self._open_store = open_store
        self._store: Store | None = None
        self._attempt: list[Frame] = []  # the batch that is tried; it never changes while a commit of it is in doubt
        self._doubt: tuple[str, int] | None = None  # journal and last row before a commit whose end is not known
        self._backlog = Backlog(settings.max_pending, settings.max_pending_bytes)
        self._damaged = False
        self._retry_at_s = 0.0
        self._retry_s = settings.retry_s
        self._expire_at_s = clock.monotonic_s() if settings.keep_days is not None else float("inf")
        self.error: JournalError | None = None
        """Why nothing can be written now; None when it can."""
        self.journal = ""
        self.written = self.lost = self.moved_aside = self.expired = 0

    @property
    def pending(self) -> int:
        """Records that are not on the disk yet."""
        return _records(self._attempt) + len(self._backlog)

    def open(self) -> None:
        """Open the file now instead of with the first record. A failure is kept in `error`, and tried again later."""
        try:
            self._opened()
        except Exception as error:  # noqa: BLE001  as in `write`
            self._fail(error)

    def write(self, frames: list[Frame], *, now: bool = False) -> JournalError | None:
        """Commit `frames`, behind those that wait already. Returns why they must wait, if they must; None: they are on the disk.

        While the journal is failing, the disk is asked again only when the back-off is over, or when `now` is set.
        """
        if self.error is not None or self._attempt:
            self._let_wait(frames)
            if self.error is not None and not now and self._clock.monotonic_s() < self._retry_at_s:
                return self.error
        else:
            self._attempt = frames
        try:
            self._opened()
            while self._attempt or self._backlog:
                if not self._attempt:
                    self._attempt = self._backlog.take(self._settings.max_batch)
                self._commit()
        except Exception as error:  # noqa: BLE001  even a defect of ours must not end the thread: it counts as failing, and is tried again
            return self._fail(error)
        if self.error is not None:
            self._opened_again()
        return None

    def wake_in_s(self) -> float | None:
        """Seconds until there is something to do even if no record comes; None: nothing."""
        at_s = self._retry_at_s if self.error is not None else self._expire_at_s
        return None if at_s == float("inf") else max(0.0, at_s - self._clock.monotonic_s())

    def expire(self) -> None:
        """Delete some records that are too old, when it is time to."""
        keep_days = self._settings.keep_days
        if keep_days is None or self.error is not None or self._clock.monotonic_s() < self._expire_at_s:
            return
        try:
            before_s = self._clock.now_s() - keep_days * _DAY_S
            deleted, more = self._opened().expire(before_s, drop_unacknowledged=self._settings.drop_unacknowledged)
        except Exception as error:  # noqa: BLE001  as in `write`
            self._fail(error)
            return
        self.expired += deleted
        if not more:
            self._expire_at_s = self._clock.monotonic_s() + self._settings.expire_every_s

    def lose(self, count: int, why: str) -> None:
        """Count records that will never be written, and say so."""
        self.lost += count
        log.error("journal %s: %d records lost: %s (%d in all)", self.path, count, why, self.lost)

    def close(self) -> None:
        """Close the file. What still waits is lost."""
        if self.pending:
            self.lose(self.pending, f"closing while the journal cannot be written: {self.error}")
            self._attempt = []
            self._backlog.take(len(self._backlog))
        self._close_store()

    def _commit(self) -> None:
        store = self._opened()
        if not self._attempt:
            return  # it was in doubt, and is on the disk
        self._doubt = (store.id, store.last_seq)
        store.append(self._attempt)
        self.written += _records(self._attempt)
        self._attempt, self._doubt = [], None

    def _opened(self) -> Store:
        if self._store is not None:
            return self._store
        if self._damaged:
            self._move_aside()
        try:
            store = self._open_store(self.path, self._settings.busy_s)
        except sqlite3.Error as error:
            if not isinstance(translated(error), DamagedJournal):
                raise
            self._move_aside()
            store = self._open_store(self.path, self._settings.busy_s)
        self._store, self.journal = store, store.id
        if self._doubt is not None and self._doubt[0] == store.id and store.holds_after(self._doubt[1], self._attempt):
            self.written += _records(self._attempt)
            self._attempt = []
        self._doubt = None
        return store

    def _opened_again(self) -> None:
        log.warning("journal %s can be written again", self.path)
        self.error = None
        self._retry_s = self._settings.retry_s

    def _move_aside(self) -> None:
        aside = move_aside(self.path)
        self.moved_aside += 1
        self._damaged = False
        log.error(
            "journal %s was damaged; it was moved to %s and a new one begun. Its records can be salvaged there",
            self.path,
            aside,
        )

    def _fail(self, cause: Exception) -> JournalError:
        error = cause if isinstance(cause, JournalError) else _as_journal_error(cause)
        self._close_store()
        self._damaged = isinstance(error, DamagedJournal)
        if self.error is None:
            log.error("journal %s cannot be written: %s. Records are kept in memory until it can", self.path, error)
        self.error = error
        self._retry_at_s = self._clock.monotonic_s() + self._retry_s
        self._retry_s = min(self._retry_s * 2, self._settings.max_retry_s)
        return error

    def _close_store(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            with suppress(sqlite3.Error, OSError):  # the failure that made us close it is what counts
                store.close()

    def _let_wait(self, frames: Sequence[Frame]) -> None:
        if dropped := self._backlog.add(frames):
            self.lose(dropped, "too many are waiting; these were the oldest")


def _as_journal_error(cause: Exception) -> JournalError:
    if isinstance(cause, sqlite3.Error | OSError):
        error: JournalError = translated(cause)
    else:
        error = JournalFailing(str(cause))
    error.__cause__ = cause
    return error


def _records(frames: Sequence[Frame]) -> int:
    return sum(frame.count for frame in frames)
