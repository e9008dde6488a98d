"""A named consumer of all journals in a folder: it gets every row, in the order of writing, and says when it is done with it.

Exactly once takes two. The journal never leaves a row out and forgets none before it is acknowledged; but a consumer that dies
between the effect of a batch and `acknowledge` gets its rows again, perhaps in batches of another size. So it keeps, together with the
effect and in the same transaction, the greatest `seq` of each journal (which never goes back), and applies only rows `beyond` it.
Positions live in the journal files, so that a copied or restored file brings its own.
"""

import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from switchgear.core.decoding import UNREADABLE
from switchgear.journal.errors import StaleBatch
from switchgear.journal.folder import Folder, OpenJournal
from switchgear.journal.frame import read_forward
from switchgear.journal.model import Row
from switchgear.journal.schema import open_for_acknowledging, translated

_POSITION = "SELECT seq FROM consumer WHERE name = ?"
_REGISTER = "INSERT INTO consumer (name, seq) VALUES (?, 0) ON CONFLICT DO NOTHING"
_ACKNOWLEDGE = "INSERT INTO consumer (name, seq) VALUES (?, ?) ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)"
_BEHIND = "SELECT coalesce(sum(min(count, last_seq - ?1)), 0) FROM frame WHERE last_seq > ?1"


class Batch(msgspec.Struct, frozen=True):
    """Rows of one journal that follow each other; never empty."""

    journal: str
    rows: Sequence[Row]

    @property
    def last_seq(self) -> int:
        """Place of its last row."""
        return self.rows[-1].seq

    def beyond(self, seq: int) -> Sequence[Row]:
        """The rows after `seq`, the last that had its effect; 0: none had."""
        return [row for row in self.rows if row.seq > seq]


class Cursor:
    """The consumer `name`. Belongs to one thread. It is registered in each journal as soon as it is seen; age deletes no row that a
    registered consumer has not acknowledged, so a consumer that is given up must `forget`.
    """

    def __init__(self, directory: Path, name: str, busy_s: float = 1.0) -> None:
        self.name = name
        self._folder = Folder(directory, partial(open_for_acknowledging, busy_s=busy_s))
        self._turn = 0

    def read(self, limit: int = 1000) -> Batch | None:
        """The next rows that are not acknowledged; None when there is none. Without `acknowledge` they come again.

        Raises `JournalError` when this consumer cannot be registered.
        """
        journals = self._folder.journals()
        for step in range(len(journals)):
            journal = journals[(self._turn + step) % len(journals)]
            if rows := self._rows(journal, limit):
                return Batch(journal.id, rows)
        return None

    def acknowledge(self, batch: Batch) -> None:
        """Say that the effect of `batch` is safe. Doing so twice changes nothing.

        Raises `StaleBatch` when its journal is gone, `JournalError` when the position cannot be written.
        """
        for number, journal in enumerate(self._folder.journals()):
            if journal.id == batch.journal:
                self._write(journal, _ACKNOWLEDGE, (self.name, batch.last_seq))
                self._turn = number + 1  # the others have theirs next
                return
        raise StaleBatch(f"journal {batch.journal} is no longer in {self._folder.directory}")

    def behind(self) -> int:
        """How many rows wait to be acknowledged."""
        return sum(
            int(journal.connection.execute(_BEHIND, (self._position(journal),)).fetchone()[0])
            for journal in self._folder.journals()
        )

    def forget(self) -> None:
        """Give the consumer up: nothing is kept for it any longer. Raises `JournalError` when that cannot be written."""
        for journal in self._folder.journals():
            self._write(journal, "DELETE FROM consumer WHERE name = ?", (self.name,))

    def close(self) -> None:
        """Close all files. The positions stay."""
        self._folder.close()

    def _rows(self, journal: OpenJournal, limit: int) -> list[Row]:
        try:
            return read_forward(journal.connection, journal.id, self._position(journal), limit)
        except (sqlite3.Error, *UNREADABLE) as error:
            self._folder.let_go(journal, error)
            return []

    def _position(self, journal: OpenJournal) -> int:
        row = journal.connection.execute(_POSITION, (self.name,)).fetchone()
        if row is None:
            self._write(journal, _REGISTER, (self.name,))
            return 0
        return int(row[0])

    def _write(self, journal: OpenJournal, sql: str, values: tuple[object, ...]) -> None:
        try:
            journal.connection.execute(sql, values)
        except sqlite3.Error as error:
            raise translated(error) from error
