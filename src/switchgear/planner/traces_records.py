"""Records as workloads: from a journal, in pieces that a year of them fits through, or from an export.

Only calls that were meant to be answered count: those refused because they were wrong are left out, and counted. A record does not hold
prompts, so it says nothing of shared beginnings.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from switchgear.core.data_class import DataClass
from switchgear.core.decoding import UNREADABLE
from switchgear.core.record import Outcome, Record, decode_record
from switchgear.journal.reader import Reader
from switchgear.planner.errors import BadWorkload
from switchgear.planner.workload import CLASSES, Caller, Workload, workload_of

_PIECE = 262_144
_Row = tuple[float, int, int, int, Caller]
ASSUMED = DataClass.INTERNAL
"""What a call carries of which nobody says it, where policies do not say either (`[policy] unknown_class`)."""


class _Exported(msgspec.Struct):
    """What is used of a line of `switchgear records --export jsonl`."""

    at_s: float
    call: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    outcome: str = "ok"
    data_class: str = ""
    model: str = ""
    principal: str = ""
    team: str = ""


_exported = msgspec.json.Decoder(_Exported)


@dataclass(slots=True)
class Read:
    """What was read, beside the calls."""

    source: str
    default_class: DataClass | None = None
    """Of records that do not say; None: nobody knows."""
    model: str = ""
    """Only calls of this model (the alias); all where empty."""
    calls: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    """Records that are no call to be planned for, by reason."""

    def leave_out(self, reason: str) -> None:
        """Count one."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


def is_record_line(line: str) -> bool:
    """Whether a line of JSON is an exported record."""
    try:
        _exported.decode(line)
    except UNREADABLE:
        return False
    return True


def records_of_lines(lines: Iterable[str], source: str, default_class: DataClass | None = None) -> Workload:
    """A whole export as one workload. Raises BadWorkload."""
    read = Read(source, default_class)
    pieces = list(_pieces(_lines(lines, source), read, piece=1 << 62))
    return _only(pieces, read)


def records_of_journal(
    reader: Reader, read: Read, since_s: float | None = None, piece: int = _PIECE
) -> Iterator[Workload]:
    """The calls of a journal in order of arrival, in pieces. `read` tells afterwards what was left out.

    A journal is ordered by the end of calls; arrivals are put in order within a window of pieces. Raises BadWorkload.
    """
    records = (decode_record(row.body) for row in reader.rows(since_s))
    return _pieces(records, read, piece)


def _lines(lines: Iterable[str], source: str) -> Iterator[_Exported]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield _exported.decode(line)
        except UNREADABLE as error:
            raise BadWorkload(f"{source}, line {number}: {error}; export records with --export jsonl") from error


def _only(pieces: list[Workload], read: Read) -> Workload:
    if not pieces:
        raise BadWorkload(f"{read.source} holds no call with token counts; left out: {read.left_out or 'nothing'}")
    return pieces[0]


def _pieces(records: Iterable[Record | _Exported], read: Read, piece: int) -> Iterator[Workload]:
    """Rows are held back until a later piece cannot hold an earlier arrival: as long as the longest call before them."""
    held: list[_Row] = []
    start_s: float | None = None
    longest_s, last_s = 0.0, 0.0
    for record in records:
        row = _row(record, read)
        if row is None:
            continue
        held.append(row)
        longest_s = max(longest_s, float(getattr(record, "duration_s", 0.0)))
        last_s = max(last_s, row[0])
        if len(held) >= 2 * piece:
            held.sort()
            safe = [row for row in held if row[0] < last_s - longest_s]
            if not safe:
                continue
            held = held[len(safe) :]
            start_s = safe[0][0] if start_s is None else start_s
            yield _workload(safe, start_s, read)
    if held:
        held.sort()
        yield _workload(held, held[0][0] if start_s is None else start_s, read)


def _row(record: Record | _Exported, read: Read) -> _Row | None:
    if read.model and record.model != read.model:
        read.leave_out("another model")
        return None
    if record.outcome == Outcome.REFUSED:
        read.leave_out("refused")
        return None
    if record.prompt_tokens < 1:
        read.leave_out("without token counts")
        return None
    read.calls += 1
    told = bool(record.data_class) or read.default_class is not None
    caller = Caller(record.principal, record.team, record.model, told)
    return record.at_s, record.prompt_tokens, record.completion_tokens, _class(record, read), caller


def _class(record: Record | _Exported, read: Read) -> int:
    if not record.data_class:
        return CLASSES.index(read.default_class or ASSUMED)
    try:
        return CLASSES.index(DataClass(record.data_class))
    except ValueError as error:
        raise BadWorkload(
            f"{read.source}: the record of call {record.call} has the data class {record.data_class!r}; there are {', '.join(CLASSES)}"
        ) from error


def _workload(rows: list[_Row], start_s: float, read: Read) -> Workload:
    columns: tuple[Any, ...] = tuple(zip(*rows, strict=True))
    return workload_of(
        at_s=np.array(columns[0]) - start_s,
        prompt_tokens=columns[1],
        output_tokens=columns[2],
        data_class=columns[3],
        callers=columns[4],
        source=read.source,
    )
