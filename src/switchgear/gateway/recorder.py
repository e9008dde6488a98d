"""Records into the journal."""

from collections.abc import Callable

from switchgear.core.record import Record
from switchgear.journal.writer import Writer


class JournalRecorder:
    """The `Recorder` of a data plane that keeps its records on disk."""

    __slots__ = ("_writer", "strict")

    def __init__(self, writer: Writer[Record], *, strict: bool) -> None:
        self.strict = strict
        self._writer = writer

    def append(self, record: Record) -> None:
        self._writer.append(record.call, record.at_s + record.duration_s, record)

    def append_strict(self, record: Record, done: Callable[[Exception | None], None]) -> None:
        self._writer.append_strict(record.call, record.at_s + record.duration_s, record, done)
