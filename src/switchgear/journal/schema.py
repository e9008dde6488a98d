"""The file: its tables, and how it is opened for writing and for reading."""

import logging
import os
import secrets
import sqlite3
from pathlib import Path

from switchgear.journal.errors import DamagedJournal, ForeignJournal, JournalFailing

log = logging.getLogger(__name__)

VERSION = 1
APPLICATION_ID = 0x53774A6C
"""Stands in the file's header (SQLite file format, section 1.3.17), so that another database is not taken for a journal."""

_TABLES = (
    "CREATE TABLE journal (id TEXT NOT NULL)",
    # AUTOINCREMENT: the number of a deleted row is never given to another one.
    "CREATE TABLE record (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, at_s REAL NOT NULL, body BLOB NOT NULL)",
    # Smallest and largest id and time of each run of rows. An index on record.id costs 1.5 to 2.4 us for each row, this 0.2 us;
    # ids that grow with time make it about as good (PostgreSQL calls the same a BRIN index).
    "CREATE TABLE extent (first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, min_id TEXT NOT NULL, max_id TEXT NOT NULL,"
    " min_at_s REAL NOT NULL, max_at_s REAL NOT NULL)",
    "CREATE TABLE consumer (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)

SIDE_FILES = ("-wal", "-shm")
WAL_LIMIT_BYTES = 64 * 1024 * 1024
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def translated(error: sqlite3.Error | OSError) -> DamagedJournal | JournalFailing:
    """What an error of SQLite or of the file system means for the journal."""
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    name = getattr(error, "sqlite_errorname", "")
    text = f"{error} ({name})" if name else str(error)
    return DamagedJournal(text) if primary in _DAMAGED else JournalFailing(text)


def open_for_writing(path: Path, busy_s: float) -> sqlite3.Connection:
    """The journal at `path`, made if it is not there.

    Raises sqlite3.Error or OSError when it cannot be opened or made, `ForeignJournal` when it is something else.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    made = not path.exists()
    connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None)
    try:
        check_identity(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        # FULL and not NORMAL. Both keep every committed row when the process is killed; only FULL does when the power fails, because
        # NORMAL syncs at checkpoints alone, and with few calls the last checkpoint may be hours old. It costs one fsync a batch:
        # measured on a virtual disk, 0.3 ms of waiting outside the GIL, and 0.1 to 0.2 ms of CPU: 1 to 2 us a record at 20,000 a second.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        _make_tables(connection)
        if made:
            _sync_folder(path.parent)
    except BaseException:
        connection.close()
        raise
    return connection


def _make_tables(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
        for statement in _TABLES:
            connection.execute(statement)
        connection.execute("INSERT INTO journal (id) VALUES (?)", (secrets.token_hex(8),))
    connection.execute("COMMIT")


def _sync_folder(folder: Path) -> None:
    # A new file survives a power failure only when its name does.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_for_reading(path: Path) -> sqlite3.Connection:
    """The journal at `path`, for reading only: such a connection cannot hold a lock that stops a writer.

    Raises sqlite3.Error when it cannot be opened, `ForeignJournal` when it is something else.
    """
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=1.0, isolation_level=None)
    try:
        check_identity(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_acknowledging(path: Path, busy_s: float) -> sqlite3.Connection:
    """The journal at `path`, to move a consumer's position. Raises like `open_for_reading`.

    Not synced: a position that is lost in a power failure makes rows come again, which a consumer tells by (journal, seq). And never
    the one to run a checkpoint: its lock on the file lasts for one small write.
    """
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=busy_s, isolation_level=None)
    try:
        check_identity(connection, path)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
    except BaseException:
        connection.close()
        raise
    return connection


def check_identity(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the journal has its tables: an empty one was just made, or the process that made it was killed at once.

    Raises `ForeignJournal` for a database that is no journal, or one that a newer version made.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    if (
        version == 0
        and application == 0
        and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    ):
        return False
    if application != APPLICATION_ID:
        raise ForeignJournal(f"{path} is a database, but not a journal")
    if version > VERSION:
        raise ForeignJournal(
            f"{path} was made by a newer version (its schema is {version}, this program knows {VERSION})"
        )
    return True


def move_aside(path: Path) -> Path:
    """Rename a damaged journal and its side files, so that a new one can begin; nothing is deleted. Raises OSError."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for suffix in ("", *SIDE_FILES):
        side = Path(f"{path}{suffix}")
        if side.exists():
            side.rename(f"{aside}{suffix}")
    return aside
