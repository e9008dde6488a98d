"""The file: its tables, and how it is opened for writing and for reading."""

import logging
import os
import secrets
import sqlite3
from itertools import groupby
from pathlib import Path

from switchgear.journal.errors import DamagedJournal, ForeignJournal, JournalFailing
from switchgear.journal.frame import framed, placed

log = logging.getLogger(__name__)

VERSION = 2
APPLICATION_ID = 0x53774A6C
"""Stands in the file's header (SQLite file format, section 1.3.17), so that another database is not taken for a journal."""

_FRAME = (
    # AUTOINCREMENT: the place of a deleted record is never given to another one.
    "CREATE TABLE frame (last_seq INTEGER PRIMARY KEY AUTOINCREMENT, count INTEGER NOT NULL, min_id TEXT NOT NULL, max_id TEXT NOT NULL,"
    " min_at_s REAL NOT NULL, max_at_s REAL NOT NULL, rows BLOB NOT NULL)"
)
_TABLES = (
    "CREATE TABLE journal (id TEXT NOT NULL)",
    _FRAME,
    # Smallest and largest id and time of each run of frames, so that a call is found without looking at all of them: ids grow with
    # time, which makes this about as good as an index and nearly free (PostgreSQL calls the same a BRIN index).
    "CREATE TABLE extent (first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, min_id TEXT NOT NULL, max_id TEXT NOT NULL,"
    " min_at_s REAL NOT NULL, max_at_s REAL NOT NULL)",
    "CREATE TABLE consumer (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)

INSERT = "INSERT INTO frame (last_seq, count, min_id, max_id, min_at_s, max_at_s, rows) VALUES (?,?,?,?,?,?,?)"
_OLD_ROWS = "SELECT seq, id, at_s, body FROM record WHERE seq > ? ORDER BY seq LIMIT 512"
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
        check_identity(connection, path, oldest=1)
        connection.execute("PRAGMA journal_mode = WAL")
        # FULL and not NORMAL. Both keep every committed row when the process is killed; only FULL does when the power fails, because
        # NORMAL syncs at checkpoints alone, and with few calls the last checkpoint may be hours old. It costs one fsync a batch:
        # measured on a virtual disk, 0.3 ms of waiting outside the GIL, and 0.1 to 0.2 ms of CPU.
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
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        for statement in _TABLES:
            connection.execute(statement)
        connection.execute("INSERT INTO journal (id) VALUES (?)", (secrets.token_hex(8),))
    elif version == 1:
        _put_into_frames(connection)
    connection.execute("COMMIT")


def _put_into_frames(connection: sqlite3.Connection) -> None:
    """A journal of version 1 had a row for each record; each keeps its place."""
    connection.execute(_FRAME)
    connection.execute(
        "INSERT INTO sqlite_sequence (name, seq) SELECT 'frame', seq FROM sqlite_sequence WHERE name = 'record'"
    )
    last_seq = 0
    while rows := connection.execute(_OLD_ROWS, (last_seq,)).fetchall():
        for _, run in groupby(enumerate(rows), lambda one: one[1][0] - one[0]):  # places that follow each other
            of_frame = [row for _, row in run]
            last_seq = of_frame[-1][0]
            frame = framed([row[1:] for row in of_frame])
            connection.executemany(INSERT, placed([frame], last_seq - frame.count))
    connection.execute("DROP TABLE record")
    connection.execute(f"PRAGMA user_version = {VERSION}")


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


def check_identity(connection: sqlite3.Connection, path: Path, oldest: int = VERSION) -> bool:
    """Whether the journal has its tables: an empty one was just made, or the process that made it was killed at once.

    Raises `ForeignJournal` for a database that is no journal, or whose schema is newer than this program's, or before `oldest`.
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
    if version < oldest:
        raise ForeignJournal(
            f"{path} was made by an older version (its schema is {version}); a gateway that starts with its folder converts it"
        )
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
