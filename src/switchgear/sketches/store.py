"""Sketches in one file, sealed. For one thread; other processes may read it meanwhile."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from switchgear.core.decoding import UNREADABLE
from switchgear.core.sealing import Keyring, Sealed, Unsealable
from switchgear.sketches.errors import ForeignFile, NoSketch, StoreFailing
from switchgear.sketches.model import Sketch

FILE = "sketches.db"
"""Its name in state_dir."""
VERSION = 1
APPLICATION_ID = 0x5377536B
"""Stands in the file's header (SQLite file format, section 1.3.17), so that another database is not taken for ours."""

_TABLES = (
    "CREATE TABLE sketch (seq INTEGER PRIMARY KEY AUTOINCREMENT, call TEXT NOT NULL UNIQUE, at_s REAL NOT NULL,"
    " key_id TEXT NOT NULL, sealed BLOB NOT NULL)",
    "CREATE INDEX sketch_at ON sketch (at_s)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)
_PUT = "INSERT OR REPLACE INTO sketch (call, at_s, key_id, sealed) VALUES (?, ?, ?, ?)"
_GET = "SELECT call, key_id, sealed FROM sketch WHERE call >= ? AND call < ? ORDER BY call LIMIT 2"
_NEWEST = "SELECT call, key_id, sealed FROM sketch ORDER BY at_s DESC, seq DESC"
_OLDEST = "DELETE FROM sketch WHERE seq IN (SELECT seq FROM sketch ORDER BY at_s LIMIT max(1, (SELECT count(*) FROM sketch) / 20))"
_BUSY_S = 5.0
_DAY_S = 86_400.0
_decode = msgspec.msgpack.Decoder(Sketch).decode
_encode = msgspec.msgpack.Encoder().encode


class Store:
    """An open file. The id of a call, its time and the id of a key can be read without the key; nothing else can."""

    def __init__(self, path: Path, keyring: Keyring, *, read_only: bool = False) -> None:
        """Raises ForeignFile, StoreFailing; NoSketch where a file to read is not there."""
        if read_only and not path.is_file():
            raise NoSketch(f"there is no {path}: no sketch was kept there. --state-dir or --config says where.")
        self._keyring = keyring
        self._connection = _opened(path)
        self.unreadable = 0
        """Sketches that could not be opened: their key is not given, or they were changed."""

    @property
    def used_bytes(self) -> int:
        """Bytes of the file that hold something."""
        pages, free, size = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def put(self, sketch: Sketch) -> None:
        """Keep a sketch. Raises StoreFailing."""
        sealed = self._keyring.seal(_encode(sketch), sketch.call.encode())
        try:
            self._connection.execute(_PUT, (sketch.call, sketch.at_s, *sealed))
        except sqlite3.Error as error:
            raise StoreFailing(f"a sketch cannot be kept: {error}") from error

    def trim(self, now_s: float, keep_days: float, max_bytes: int) -> None:
        """Delete what is too old, and the oldest while the file is too large. Raises StoreFailing."""
        try:
            self._connection.execute("DELETE FROM sketch WHERE at_s < ?", (now_s - keep_days * _DAY_S,))
            while self.used_bytes > max_bytes and self._connection.execute(_OLDEST).rowcount > 0:
                pass
            self._connection.execute("PRAGMA incremental_vacuum")
        except sqlite3.Error as error:
            raise StoreFailing(f"old sketches cannot be deleted: {error}") from error

    def get(self, begin: str) -> Sketch:
        """The sketch whose id begins so. Raises NoSketch where none does or several do, Unsealable where it cannot be opened."""
        rows = self._connection.execute(_GET, (begin, begin + "\U0010ffff")).fetchall()
        if not rows:
            raise NoSketch(
                f"there is no sketch {begin!r}; it may be too old. `switchgear sketch list` shows those that are kept."
            )
        if len(rows) > 1 and rows[0][0] != begin:
            raise NoSketch(f"several sketches begin with {begin!r}; give more of the id.")
        return self._open(*rows[0])

    def newest(self) -> Iterator[Sketch]:
        """All that can be opened, newest first."""
        for row in self._connection.execute(_NEWEST):
            try:
                yield self._open(*row)
            except Unsealable:
                self.unreadable += 1

    def _open(self, call: str, key_id: str, data: bytes) -> Sketch:
        try:
            return _decode(self._keyring.open(Sealed(key_id, data), call.encode()))
        except UNREADABLE as error:
            raise Unsealable(f"the sketch {call} was made by another version: {error}") from error

    def close(self) -> None:
        """Close it; what was put is committed."""
        self._connection.close()


def _opened(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise StoreFailing(f"{path} cannot be opened: {error}") from error
    try:
        _check_identity(connection, path)
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        _prepare(connection)
    except sqlite3.Error as error:
        connection.close()
        raise StoreFailing(
            f"{path} cannot be used: {error}. If it is damaged, delete it: it holds sketches only."
        ) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            for statement in _TABLES:
                connection.execute(statement)
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _check_identity(connection: sqlite3.Connection, path: Path) -> None:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    if version == 0 and application == 0:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            return
    elif application == APPLICATION_ID:
        if version <= VERSION:
            return
        raise ForeignFile(f"{path} was made by a newer version (its schema is {version}, this program knows {VERSION})")
    raise ForeignFile(
        f"{path} is a database, but holds no sketches of ours. Move it away, or choose another state_dir."
    )
