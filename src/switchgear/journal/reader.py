"""Reads the journals of a folder, all of them as one. Never stops a writer: it reads in small pieces over read-only connections."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import Any

from switchgear.core.decoding import UNREADABLE
from switchgear.journal.folder import Folder, OpenJournal
from switchgear.journal.frame import LAST, read_backward, read_bodies, read_forward, read_id
from switchgear.journal.model import Position, Row
from switchgear.journal.schema import open_for_reading

_CHUNK = 500
_FAILED = (sqlite3.Error, *UNREADABLE)
_EXTENTS = "SELECT first_seq, last_seq FROM extent WHERE min_id <= ? AND max_id >= ? ORDER BY first_seq DESC"
_EXTENTS_END = "SELECT coalesce(max(last_seq), 0) FROM extent"
_BEFORE = """
SELECT coalesce(min(first_seq) - 1, (SELECT coalesce(max(last_seq), 0) FROM extent)) FROM extent WHERE max_at_s >= ?"""


def at(row: Row) -> float:
    """The key by which rows of several journals are put in order."""
    return row.at_s


def advanced(position: Position, rows: Sequence[Row]) -> dict[str, int]:
    """`position` after `rows` were read, as `Reader.read` gave them."""
    return {**position, **{row.journal: row.seq for row in rows}}


class Reader:
    """Rows of all journals in `directory`, in order of time as far as each journal is. Belongs to one thread.

    A file that cannot be read is left out and stands in `problems`; a folder that is not there is an empty one.
    """

    def __init__(self, directory: Path) -> None:
        self._folder = Folder(directory, open_for_reading)

    @property
    def problems(self) -> dict[Path, str]:
        """Files that could not be read when they were last tried, and why."""
        return self._folder.problems

    def end(self) -> dict[str, int]:
        """The position behind everything that is there now."""
        found = {}
        for journal in self._folder.journals():
            if last_seq := self._number(journal, "SELECT max(last_seq) FROM frame"):
                found[journal.id] = last_seq
        return found

    def count(self) -> int:
        """How many rows there are now."""
        return sum(
            self._number(journal, "SELECT coalesce(sum(count), 0) FROM frame") for journal in self._folder.journals()
        )

    def read(self, after: Position, limit: int = 1000) -> list[Row]:
        """The next rows after a position, at most `limit`; none when nothing is new. `advanced` gives the position after them."""
        journals = self._folder.journals()
        found = [self._rows(journal, read_forward, after.get(journal.id, 0), limit) for journal in journals]
        filled = [rows for rows in found if rows]
        return filled[0] if len(filled) == 1 else list(islice(merge(*filled, key=at), limit))

    def bodies(self, after: Position, limit: int = 1000) -> tuple[list[bytes], dict[str, int]]:
        """Like `read`, for views that only want what is in the rows: bodies, at most `limit` of each journal, in no order between
        journals; and the position after them. Half the cost of `read`.
        """
        bodies: list[bytes] = []
        position = dict(after)
        for journal in self._folder.journals():
            try:
                found, last_seq = read_bodies(journal.connection, after.get(journal.id, 0), limit)
            except _FAILED as error:
                self._folder.let_go(journal, error)
                continue
            if found:
                bodies += found
                position[journal.id] = last_seq
        return bodies, position

    def rows(self, since_s: float | None = None) -> Iterator[Row]:
        """All rows, oldest first; those before `since_s` (Unix time) are left out."""
        parts = [self._forward(journal, since_s) for journal in self._folder.journals()]
        return (row for row in merge(*parts, key=at) if since_s is None or row.at_s >= since_s)

    def newest(self) -> Iterator[Row]:
        """All rows, newest first."""
        parts = [self._backward(journal) for journal in self._folder.journals()]
        return merge(*parts, key=at, reverse=True)

    def follow(self, after: Position, wait: Callable[[], None]) -> Iterator[Row]:
        """Rows after a position, and then each that is written. Calls `wait` when nothing is new; never ends unless that raises."""
        while True:
            rows = self.read(after)
            after = advanced(after, rows)
            yield from rows
            if not rows:
                wait()

    def find(self, call_id: str) -> Row | None:
        """The row of a call; the latest if there are several."""
        found = [row for journal in self._folder.journals() for row in self._find(journal, call_id)]
        return max(found, key=at, default=None)

    def close(self) -> None:
        """Close all files."""
        self._folder.close()

    def _fetch(self, journal: OpenJournal, sql: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        # All rows at once: a statement left open between two reads would keep the writer's log from being emptied.
        try:
            return journal.connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            self._folder.let_go(journal, error)
            return []

    def _rows(self, journal: OpenJournal, read: Callable[..., list[Row]], *values: object) -> list[Row]:
        try:
            return read(journal.connection, journal.id, *values)
        except _FAILED as error:
            self._folder.let_go(journal, error)
            return []

    def _number(self, journal: OpenJournal, sql: str, *values: object) -> int:
        found = self._fetch(journal, sql, values)
        return int(found[0][0] or 0) if found else 0

    def _forward(self, journal: OpenJournal, since_s: float | None) -> Iterator[Row]:
        seq = 0 if since_s is None else self._number(journal, _BEFORE, since_s)
        while rows := self._rows(journal, read_forward, seq, _CHUNK):
            yield from rows
            seq = rows[-1].seq

    def _backward(self, journal: OpenJournal) -> Iterator[Row]:
        seq = LAST
        while rows := self._rows(journal, read_backward, seq, _CHUNK):
            yield from rows
            seq = rows[-1].seq

    def _find(self, journal: OpenJournal, call_id: str) -> list[Row]:
        tail = self._number(journal, _EXTENTS_END)
        if found := self._rows(journal, read_id, tail + 1, LAST, call_id):
            return found
        for first, last in self._fetch(journal, _EXTENTS, (call_id, call_id)):
            if found := self._rows(journal, read_id, first, last, call_id):
                return found
        return []
