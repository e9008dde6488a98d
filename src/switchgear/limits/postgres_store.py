"""Books in PostgreSQL: for workers of several hosts. The time is the database's own, so that hosts need not agree on theirs.

psycopg and not asyncpg: a store waits in a thread of its own, and there a plain blocking driver with the shape of sqlite3 is all it takes.
"""

from collections.abc import Sequence

import msgspec
import psycopg

from switchgear.core.clock import Clock
from switchgear.core.decoding import UNREADABLE
from switchgear.limits.book import Ask, Book, Grant
from switchgear.limits.errors import SharingFailing

_LOCK = 0x5357_4C49_4D49_5453
"""Of this schema, among the advisory locks of a database: "SWLIMITS"."""
_SCHEMA = "CREATE TABLE IF NOT EXISTS limit_book (counter text PRIMARY KEY, book text NOT NULL)"
_READ = "SELECT counter, book FROM limit_book WHERE counter = ANY(%s)"
_WRITE = """INSERT INTO limit_book (counter, book) SELECT * FROM unnest(%s::text[], %s::text[])
ON CONFLICT (counter) DO UPDATE SET book = excluded.book"""
_DELETE = "DELETE FROM limit_book WHERE counter = ANY(%s)"
_decode = msgspec.json.Decoder(Book).decode


class PostgresStore:
    """A `ports.Store`. Connects when it is first used, and again after an error.

    A transaction holds one lock for all books: it is a millisecond long, cannot deadlock, and workers nearly always want the same books.
    """

    def __init__(self, url: str, clock: Clock | None = None, *, patience_s: float = 2.0) -> None:
        """`clock`: instead of the database's. `patience_s`: how long to wait for a connection, the lock, or one statement."""
        self._url = url
        self._clock = clock
        self._patience_s = patience_s
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None

    def settle(self, worker: str, asks: Sequence[Ask], lease_s: float) -> list[Grant]:
        try:
            connection = self._open()
            with connection.transaction():
                return self._settle(connection, worker, asks, lease_s)
        except (psycopg.Error, OSError, *UNREADABLE) as error:
            self.close()
            raise SharingFailing(f"PostgreSQL: {str(error).strip() or type(error).__name__}") from error

    def _settle(
        self,
        connection: psycopg.Connection[tuple[object, ...]],
        worker: str,
        asks: Sequence[Ask],
        lease_s: float,
    ) -> list[Grant]:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        rows = connection.execute(_READ, ([ask.counter for ask in asks],)).fetchall()
        books = {str(counter): _decode(str(text)) for counter, text in rows}
        now_s = self._now_s(connection)
        grants = [books.setdefault(ask.counter, Book()).settle(worker, ask, now_s, lease_s) for ask in asks]
        written = {counter: msgspec.json.encode(book).decode() for counter, book in books.items() if not book.empty}
        empty = [counter for counter, book in books.items() if book.empty]
        if written:
            connection.execute(_WRITE, (list(written), list(written.values())))
        if empty:
            connection.execute(_DELETE, (empty,))
        return grants

    def _now_s(self, connection: psycopg.Connection[tuple[object, ...]]) -> float:
        if self._clock is not None:
            return self._clock.now_s()
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
        if row is None or not isinstance(row[0], float):
            raise SharingFailing(f"PostgreSQL told {row!r} for its time")
        return row[0]

    def _open(self) -> psycopg.Connection[tuple[object, ...]]:
        if self._connection is None:
            patience_ms = int(self._patience_s * 1000)
            connection = self._connection = psycopg.connect(
                self._url,
                autocommit=True,
                application_name="switchgear limits",
                connect_timeout=max(2, round(self._patience_s)),  # libpq takes less than 2 for 2
                tcp_user_timeout=patience_ms,
                options=f"-c statement_timeout={patience_ms} -c lock_timeout={patience_ms}"
                f" -c idle_in_transaction_session_timeout={patience_ms}",
            )
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                connection.execute(_SCHEMA)
        return self._connection

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
