"""The writer's side of one file: append a batch in one transaction, delete what is old. Used by one thread."""

import fcntl
import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from switchgear.journal.errors import JournalFailing
from switchgear.journal.model import Entry
from switchgear.journal.schema import open_for_writing

EXTENT_ROWS = 1024

# sqlite3 gives the GIL back for each step and has to win it again from the busy event loop. So a batch goes in with few statements
# of many rows: any number below 512 takes one statement for each 1 in its binary form. 256 rows of three values are below the 999
# variables that old versions of SQLite allow.
_INSERTS = tuple(
    (1 << power, "INSERT INTO record (id, at_s, body) VALUES " + ",".join(["(?,?,?)"] * (1 << power)))  # noqa: S608  only marks
    for power in range(8, -1, -1)
)
_CLOSE_EXTENT = """
INSERT INTO extent (first_seq, last_seq, min_id, max_id, min_at_s, max_at_s)
SELECT min(seq), max(seq), min(id), max(id), min(at_s), max(at_s) FROM record WHERE seq > ?"""
_OLDEST_EXTENT = "SELECT first_seq, last_seq, max_at_s FROM extent ORDER BY first_seq LIMIT 1"
_FIRST_YOUNG = "SELECT min(seq) FROM record WHERE seq <= ? AND at_s >= ?"


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
            self.last_seq: int = self._one("SELECT max(seq) FROM record") or self._one(
                "SELECT seq FROM sqlite_sequence WHERE name = 'record'"
            )
            self._extent_end: int = self._one("SELECT max(last_seq) FROM extent") or 0
            self._inode = os.stat(path).st_ino
        except BaseException:
            self.close()
            raise

    def _one(self, sql: str, *values: object) -> Any:
        row = self._connection.execute(sql, values).fetchone()
        return row[0] if row else 0

    def append(self, entries: Sequence[Entry]) -> None:
        """Commit `entries`, of which there is at least one: all or none."""
        # SQLite would go on writing to a file that was removed under it, and all of it would be gone with the process.
        if os.stat(self.path).st_ino != self._inode:
            raise JournalFailing(f"{self.path} was replaced by another file")
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        values = list(chain.from_iterable(entries))
        begin = 0
        for size, sql in _INSERTS:
            step = 3 * size
            while len(values) - begin >= step:
                cursor = connection.execute(sql, values[begin : begin + step])
                begin += step
        last_seq = int(cursor.lastrowid or 0)
        extent_end = self._extent_end
        if last_seq - extent_end >= EXTENT_ROWS:
            connection.execute(_CLOSE_EXTENT, (extent_end,))
            extent_end = last_seq
        connection.execute("COMMIT")
        self.last_seq, self._extent_end = last_seq, extent_end

    def holds_after(self, seq: int, entries: Sequence[Entry]) -> bool:
        """Whether the rows after `seq` are exactly `entries`: a commit that reported an error may have reached the disk all the same."""
        rows = self._connection.execute(
            "SELECT id, at_s, body FROM record WHERE seq > ? ORDER BY seq LIMIT ?", (seq, len(entries) + 1)
        )
        return rows.fetchall() == list(entries)

    def expire(self, before_s: float, *, drop_unacknowledged: bool) -> tuple[int, bool]:
        """Delete rows older than `before_s`, at most one extent of them, from the oldest on; and whether there may be more.

        A row that a registered consumer has not acknowledged stays, unless `drop_unacknowledged`.
        """
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        extent: tuple[int, int, float] | None = connection.execute(_OLDEST_EXTENT).fetchone()
        end = extent[1] if extent else self.last_seq
        more = extent is not None
        if extent is None or extent[2] >= before_s:
            first_young: int | None = self._one(_FIRST_YOUNG, end, before_s)
            end, more = (first_young - 1 if first_young else end), False
        acknowledged: int | None = self._one("SELECT min(seq) FROM consumer")
        if acknowledged is not None and acknowledged < end and not drop_unacknowledged:
            end, more = acknowledged, False
        deleted = connection.execute("DELETE FROM record WHERE seq <= ?", (end,)).rowcount
        connection.execute("DELETE FROM extent WHERE last_seq <= ?", (end,))
        connection.execute("COMMIT")
        return deleted, more

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
        raise JournalFailing(f"another process writes {path}") from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
