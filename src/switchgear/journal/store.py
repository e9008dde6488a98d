"""The writer's side of one file: append a batch in one transaction, delete what is old. Used by one thread."""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from switchgear.journal.errors import JournalFailing
from switchgear.journal.frame import Frame, first_from, placed, without_first
from switchgear.journal.schema import INSERT, open_for_writing

EXTENT_ROWS = 1024

_CLOSE_EXTENT = """
INSERT INTO extent (first_seq, last_seq, min_id, max_id, min_at_s, max_at_s)
SELECT min(last_seq - count + 1), max(last_seq), min(min_id), max(max_id), min(min_at_s), max(max_at_s) FROM frame WHERE last_seq > ?"""
_OLDEST_EXTENT = "SELECT first_seq, last_seq, max_at_s FROM extent ORDER BY first_seq LIMIT 1"
_FIRST_YOUNG = "SELECT last_seq, count, rows FROM frame WHERE last_seq <= ? AND max_at_s >= ? ORDER BY last_seq LIMIT 1"
_AT = "SELECT last_seq, count, rows FROM frame WHERE last_seq >= ? ORDER BY last_seq LIMIT 1"
_TRIM = """
UPDATE frame SET count = ?, min_id = ?, max_id = ?, min_at_s = ?, max_at_s = ?, rows = ? WHERE last_seq = ?"""


class Store:
    """An open journal file. Methods raise sqlite3.Error or OSError as they come; the writer translates them."""

    def __init__(self, path: Path, busy_s: float) -> None:
        """Open or make it. Raises `JournalFailing` when another process writes it, `ForeignJournal` when it is something else."""
        self.path = path
        self._lock = _owned(path)
        try:
            self._connection = open_for_writing(path, busy_s)
        except BaseException:
            os.close(self._lock)
            raise
        try:
            self.id: str = self._one("SELECT id FROM journal")
            self.last_seq: int = self._one("SELECT seq FROM sqlite_sequence WHERE name = 'frame'")
            self._extent_end: int = self._one("SELECT max(last_seq) FROM extent") or 0
            self._inode = os.stat(path).st_ino
        except BaseException:
            self.close()
            raise

    def _one(self, sql: str, *values: object) -> Any:
        row = self._connection.execute(sql, values).fetchone()
        return row[0] if row else 0

    def append(self, frames: Sequence[Frame]) -> None:
        """Commit `frames`, of which there is at least one: all or none."""
        # SQLite would go on writing to a file that was removed under it, and all of it would be gone with the process.
        if os.stat(self.path).st_ino != self._inode:
            raise JournalFailing(f"{self.path} was replaced by another file")
        connection = self._connection
        last_seq = self.last_seq + sum(frame.count for frame in frames)
        if last_seq - self._extent_end >= EXTENT_ROWS:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(INSERT, placed(frames, self.last_seq))
            connection.execute(_CLOSE_EXTENT, (self._extent_end,))
            connection.execute("COMMIT")
            self._extent_end = last_seq
        elif len(frames) == 1:
            connection.execute(INSERT, *placed(frames, self.last_seq))  # a transaction of its own
        else:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(INSERT, placed(frames, self.last_seq))
            connection.execute("COMMIT")
        self.last_seq = last_seq

    def holds_after(self, seq: int, frames: Sequence[Frame]) -> bool:
        """Whether the frames behind a place are exactly these: a commit that reported an error may have reached the disk all the same."""
        found = self._connection.execute(
            "SELECT count, rows FROM frame WHERE last_seq > ? ORDER BY last_seq LIMIT ?", (seq, len(frames) + 1)
        )
        return found.fetchall() == [(frame.count, frame.rows) for frame in frames]

    def expire(self, before_s: float, *, drop_unacknowledged: bool) -> tuple[int, bool]:
        """Delete records older than `before_s`, at most one extent of them, from the oldest on; and whether there may be more.

        A record that a registered consumer has not acknowledged stays, unless `drop_unacknowledged`.
        """
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        extent: tuple[int, int, float] | None = connection.execute(_OLDEST_EXTENT).fetchone()
        end = extent[1] if extent else self.last_seq
        more = extent is not None
        if extent is None or extent[2] >= before_s:
            young = connection.execute(_FIRST_YOUNG, (end, before_s)).fetchone()
            end, more = (first_from(young, before_s) - 1 if young else end), False
        acknowledged: int | None = self._one("SELECT min(seq) FROM consumer")
        if acknowledged is not None and acknowledged < end and not drop_unacknowledged:
            end, more = acknowledged, False
        deleted = self._delete_up_to(end)
        connection.execute("DELETE FROM extent WHERE last_seq <= ?", (end,))
        connection.execute("COMMIT")
        return deleted, more

    def _delete_up_to(self, end: int) -> int:
        """Delete the records up to a place, within a transaction; how many there were."""
        connection = self._connection
        deleted = self._one("SELECT sum(count) FROM frame WHERE last_seq <= ?", end) or 0
        connection.execute("DELETE FROM frame WHERE last_seq <= ?", (end,))
        found = connection.execute(_AT, (end,)).fetchone()
        over = end - (found[0] - found[1]) if found else 0
        if over > 0:  # the place lies within a frame
            connection.execute(_TRIM, (*msgspec.structs.astuple(without_first(found, over)), found[0]))
            deleted += over
        return int(deleted)

    def close(self) -> None:
        """Close it; what was appended is committed already."""
        try:
            self._connection.close()
        finally:
            os.close(self._lock)


def _owned(path: Path) -> int:
    """A lock on `path`.lock, held until its descriptor is closed or the process ends, however it ends.

    Two writers of one file would each take the other's rows for their own.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise JournalFailing(f"another process writes {path}; two that run at once need a directory each") from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
