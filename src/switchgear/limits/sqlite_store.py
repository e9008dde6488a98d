"""Books in a SQLite file: for the workers of one host. A book is one row of JSON, so that `sqlite3` shows it to people."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from switchgear.core.clock import Clock
from switchgear.core.decoding import UNREADABLE
from switchgear.limits.book import Ask, Book, Grant
from switchgear.limits.errors import SharingFailing

_SCHEMA = "CREATE TABLE IF NOT EXISTS limit_book (counter TEXT PRIMARY KEY, book TEXT NOT NULL) WITHOUT ROWID"
_READ = "SELECT counter, book FROM limit_book WHERE counter IN (SELECT value FROM json_each(?))"
_WRITE = """INSERT INTO limit_book (counter, book) SELECT key, value FROM json_each(?) WHERE true
ON CONFLICT (counter) DO UPDATE SET book = excluded.book"""
_DELETE = "DELETE FROM limit_book WHERE counter IN (SELECT value FROM json_each(?))"
_decode = msgspec.json.Decoder(Book).decode


class SqliteStore:
    """A `ports.Store`. Opens its file when it is first used, and again after an error."""

    def __init__(self, path: Path, clock: Clock, *, busy_s: float = 2.0) -> None:
        self._path = path
        self._clock = clock
        self._busy_s = busy_s
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def settle(self, worker: str, asks: Sequence[Ask], lease_s: float) -> list[Grant]:
        try:
            with self._transaction() as connection:
                return self._settle(connection, worker, asks, lease_s)
        except (sqlite3.Error, OSError, *UNREADABLE) as error:
            self.close()
            raise SharingFailing(f"{self._path}: {error}") from error

    def _settle(self, connection: sqlite3.Connection, worker: str, asks: Sequence[Ask], lease_s: float) -> list[Grant]:
        counters = msgspec.json.encode([ask.counter for ask in asks]).decode()
        books = {counter: _decode(text) for counter, text in connection.execute(_READ, (counters,))}
        now_s = self._clock.now_s()
        grants = [books.setdefault(ask.counter, Book()).settle(worker, ask, now_s, lease_s) for ask in asks]
        written = {counter: msgspec.json.encode(book).decode() for counter, book in books.items() if not book.empty}
        empty = [counter for counter, book in books.items() if book.empty]
        if written:
            connection.execute(_WRITE, (msgspec.json.encode(written).decode(),))
        if empty:
            connection.execute(_DELETE, (msgspec.json.encode(empty).decode(),))
        return grants

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        # SQLite would go on writing to a file that was removed under it, unseen by the other workers.
        if self._connection is not None and os.stat(self._path).st_ino != self._inode:
            self.close()
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = self._connection = sqlite3.connect(
                self._path, timeout=self._busy_s, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(_SCHEMA)
            self._inode = os.stat(self._path).st_ino
        return self._connection

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
