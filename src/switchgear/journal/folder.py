"""The journals of one folder, kept open: new ones are found, replaced and removed ones let go."""

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from switchgear.journal.errors import JournalError
from switchgear.journal.schema import translated

log = logging.getLogger(__name__)

PATTERN = "*.db"


class OpenJournal:
    """One journal file and a connection to it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, inode: int, journal_id: str) -> None:
        self.path = path
        self.connection = connection
        self.inode = inode
        self.id = journal_id

    def close(self) -> None:
        """Close the connection."""
        with suppress(sqlite3.Error):
            self.connection.close()


class Folder:
    """Opens each journal with `opener` when it appears. A file that cannot be read stands in `problems` and is left out."""

    def __init__(self, directory: Path, opener: Callable[[Path], sqlite3.Connection]) -> None:
        self.directory = directory
        self._opener = opener
        self._open: dict[Path, OpenJournal] = {}
        self.problems: dict[Path, str] = {}
        """Files that could not be read when they were last tried, and why."""

    def journals(self) -> list[OpenJournal]:
        """All that can be read now, in order of their names."""
        present: dict[Path, int] = {}
        for path in sorted(self.directory.glob(PATTERN)):
            with suppress(FileNotFoundError):  # removed in this moment
                present[path] = os.stat(path).st_ino
        for path, journal in list(self._open.items()):
            if present.get(path) != journal.inode:
                self.let_go(journal)
        for path in list(self.problems):
            if path not in present:
                del self.problems[path]
        for path, inode in present.items():
            if path not in self._open:
                self._try(path, inode)
        return [self._open[path] for path in present if path in self._open]

    def let_go(self, journal: OpenJournal, error: Exception | None = None) -> None:
        """Close a journal; it is opened again when it is next asked for. With `error`, it has a problem."""
        self._open.pop(journal.path, None)
        journal.close()
        if error is not None:
            self._note(journal.path, error)

    def close(self) -> None:
        """Close them all."""
        for journal in list(self._open.values()):
            self.let_go(journal)

    def _try(self, path: Path, inode: int) -> None:
        try:
            connection = self._opener(path)
        except (sqlite3.Error, JournalError) as error:
            self._note(path, error)
            return
        try:
            row = connection.execute("SELECT id FROM journal").fetchone()
        except sqlite3.Error as error:
            connection.close()
            if "no such table" not in str(error):  # just made, and not filled yet
                self._note(path, error)
            return
        self._open[path] = OpenJournal(path, connection, inode, row[0])
        self.problems.pop(path, None)

    def _note(self, path: Path, error: Exception) -> None:
        text = str(translated(error)) if isinstance(error, sqlite3.Error) else str(error)
        if self.problems.get(path) != text:
            log.warning("journal %s cannot be read: %s", path, text)
        self.problems[path] = text
