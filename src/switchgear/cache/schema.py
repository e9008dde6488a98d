"""The file of kept answers: its tables, how it is opened, and the secret that all who share it make their keys with."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from switchgear.cache.errors import BadCacheKey, CacheFailing, ForeignCache
from switchgear.cache.keys import SECRET_BYTES
from switchgear.cache.sealing import Keyring, Sealed, Unsealable

VERSION = 1
APPLICATION_ID = 0x53774361
"""Stands in the file's header (SQLite file format, section 1.3.17), so that another database is not taken for ours."""

_TABLES = (
    "CREATE TABLE secret (key_id TEXT NOT NULL, sealed BLOB NOT NULL)",
    # AUTOINCREMENT: a number is never given twice, so that another process finds what is new by it.
    "CREATE TABLE answer (seq INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL UNIQUE, stale_until_s REAL NOT NULL,"
    " key_id TEXT NOT NULL, sealed BLOB NOT NULL)",
    "CREATE INDEX answer_end ON answer (stale_until_s)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)
_CONTEXT = b"switchgear cache secret"
_BUSY_S = 5.0


def open_file(path: Path, keyring: Keyring, random: Callable[[int], bytes]) -> tuple[sqlite3.Connection, bytes]:
    """The file, made if it is not there, and its secret. For one thread. Raises BadCacheKey, ForeignCache, CacheFailing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise CacheFailing(f"{path} cannot be opened: {error}") from error
    try:
        _check_identity(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "PRAGMA synchronous = NORMAL"
        )  # in WAL mode only the last answers can be lost, and those are asked anew
        return connection, _prepared(connection, keyring, random)
    except sqlite3.Error as error:
        connection.close()
        raise CacheFailing(
            f"{path} cannot be used: {error}. If it is damaged, delete it: it holds kept answers only."
        ) from error
    except BaseException:
        connection.close()
        raise


def _prepared(connection: sqlite3.Connection, keyring: Keyring, random: Callable[[int], bytes]) -> bytes:
    """Tables and secret. The secret is sealed anew when the key that seals has changed, so that an old key can be taken away."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            for statement in _TABLES:
                connection.execute(statement)
        row = connection.execute("SELECT key_id, sealed FROM secret").fetchone()
        secret = _opened(keyring, Sealed(*row)) if row else random(SECRET_BYTES)
        if not row or row[0] != keyring.primary:
            connection.execute("DELETE FROM secret")
            connection.execute("INSERT INTO secret (key_id, sealed) VALUES (?, ?)", keyring.seal(secret, _CONTEXT))
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return secret


def _opened(keyring: Keyring, sealed: Sealed) -> bytes:
    try:
        return keyring.open(sealed, _CONTEXT)
    except Unsealable as error:
        raise BadCacheKey(
            f"the cache file cannot be opened: {error}. Give the key {sealed.key_id!r} too, behind the one that seals, or delete the file."
        ) from error


def _check_identity(connection: sqlite3.Connection, path: Path) -> None:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    if version == 0 and application == 0:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            return
    elif application == APPLICATION_ID:
        if version <= VERSION:
            return
        raise ForeignCache(
            f"{path} was made by a newer version (its schema is {version}, this program knows {VERSION})"
        )
    raise ForeignCache(f"{path} is a database, but no cache of ours. Move it away, or choose another state_dir.")
