"""Records as they leave the program: JSON, CSV, and text for a terminal.

A record holds what callers wrote (the model's name), so nothing of it may act: not on a terminal, not in a spreadsheet.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from typing import Any

import msgspec
from rich.cells import cell_len
from rich.console import JustifyMethod, OverflowMethod
from rich.table import Table
from rich.text import Text

from switchgear.core.record import Attempt, Outcome, Record
from switchgear.core.screening import Found
from switchgear.gateway.story import amount, duration, moment, usd

_LEFT_OUT = ("candidates", "ruled_out", "attempts")
_SIMPLE = tuple(field for field in Record.__struct_fields__ if field not in _LEFT_OUT)
CSV_COLUMNS = ("at", *_SIMPLE, "candidates", "ruled_out", "attempts")
_MOST_CELLS = 30
"""Where a name that is too long ends; the id of a call never does: `explain` wants it whole."""
_COLUMNS = (
    "at (UTC)", "call", "key", "model", "answered by", "attempts", "outcome", "status", "ttft", "time", "tokens", "cost", "error",
)  # fmt: skip
_FIGURES = {"ttft", "time", "tokens", "cost"}
_SPARED = ("ttft", "tokens", "key", "attempts", "model", "cost", "time", "at (UTC)", "status")
"""What a narrow terminal goes without, the first of them first."""
_COLOURS = {"refused": "yellow", "cancelled": "yellow", "failed": "red", "broken": "red"}


def as_mapping(record: Record) -> dict[str, Any]:
    """A record with the names of its fields, ready for JSON. A cost of null is unpriced."""
    mapping = {name: getattr(record, name) for name in Record.__struct_fields__}
    mapping["candidates"] = [{"backend": backend, "model": model} for backend, model in record.candidates]
    mapping["ruled_out"] = [msgspec.structs.asdict(target) for target in record.ruled_out]
    mapping["attempts"] = [_attempt(attempt) for attempt in record.attempts]
    for name in ("findings", "answer_findings"):
        mapping[name] = [msgspec.structs.asdict(found) for found in getattr(record, name)]
    return mapping


def _attempt(attempt: Attempt) -> dict[str, Any]:
    mapping = msgspec.structs.asdict(attempt)
    if attempt.confidence is not None:
        mapping["confidence"] = msgspec.structs.asdict(attempt.confidence)
    return mapping


def json_line(record: Record) -> str:
    """One record as one line of JSON."""
    return msgspec.json.encode(as_mapping(record)).decode()


def csv_lines(records: Iterable[Record]) -> Iterator[str]:
    """Records as CSV, a header first; without the lines' ends."""
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")  # it quotes what is in the line's end, so both
    for row in _rows(records):
        writer.writerow([_harmless(cell) for cell in row])
        yield buffer.getvalue().removesuffix("\r\n")
        buffer.seek(0)
        buffer.truncate()


def _rows(records: Iterable[Record]) -> Iterator[tuple[object, ...]]:
    yield CSV_COLUMNS
    for record in records:
        simple = [_plain(getattr(record, name)) for name in _SIMPLE]
        simple[_SIMPLE.index("cost_usd")] = "unpriced" if record.cost_usd is None else record.cost_usd
        yield (
            moment(record.at_s),
            *simple,
            " ".join(f"{backend}/{model}" for backend, model in record.candidates),
            " ".join(f"{out.backend}/{out.model}:{out.reason}" for out in record.ruled_out),
            " ".join(f"{a.backend}/{a.model}:{a.kind.value}:{a.error or a.outcome.value}" for a in record.attempts),
        )


def _plain(value: object) -> object:
    if isinstance(value, list):
        return " ".join(f"{one.type}:{one.count}" if isinstance(one, Found) else str(one) for one in value)
    return value.value if isinstance(value, Outcome) else value


def _harmless(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    text = printable(cell)
    # A spreadsheet runs a text that begins like a formula (OWASP, "CSV Injection").
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def printable(text: str) -> str:
    """Text without the characters that a terminal obeys."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def table_of(records: Sequence[Record], width: int) -> tuple[Table, list[str]]:
    """Records as a table that a terminal of `width` cells can show, and the columns that it was too narrow for."""
    rows = [tuple(printable(cell) for cell in _cells(record)) for record in records]
    left_out = _too_many(rows, width)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in _COLUMNS:
        if name not in left_out:
            long = None if name in ("call", "error") else _MOST_CELLS
            overflow: OverflowMethod = "fold" if name == "error" else "ellipsis"
            justify: JustifyMethod = "right" if name in _FIGURES else "left"
            table.add_column(name, no_wrap=name != "error", overflow=overflow, max_width=long, justify=justify)
    for record, row in zip(records, rows, strict=True):
        # As Text: what a caller wrote must not be read as markup either.
        cells = (Text(cell) for name, cell in zip(_COLUMNS, row, strict=True) if name not in left_out)
        table.add_row(*cells, style=_COLOURS.get(record.outcome.value, ""))
    return table, left_out


def _too_many(rows: Sequence[tuple[str, ...]], width: int) -> list[str]:
    widths = {
        name: max(cell_len(name), *(min(cell_len(cell), _MOST_CELLS) for cell in column))
        for name, *column in zip(_COLUMNS, *rows, strict=True)
    }
    needed = sum(widths.values()) + 2 * (len(widths) - 1)
    left_out: list[str] = []
    for name in _SPARED:
        if needed <= width:
            break
        needed -= widths[name] + 2
        left_out.append(name)
    return left_out


def line(record: Record) -> str:
    """One record as one line, for a list that goes on."""
    widths = (23, 29, 12, 16, 24, 1, 9, 3, 7, 7, 11, 10, 0)
    return "  ".join(f"{printable(cell):<{width}}" for cell, width in zip(_cells(record), widths, strict=True)).rstrip()


def _cells(record: Record) -> tuple[str, ...]:
    return (
        moment(record.at_s).removesuffix(" UTC"),
        record.call,
        record.principal or "-",
        record.model or "-",
        f"{record.backend}/{record.answered_model}" if record.backend else "-",
        str(len(record.attempts)),
        f"{record.outcome.value}{f' ({how})' if (how := record.degraded or record.reuse) else ''}",
        str(record.status or "-"),
        "-" if record.ttft_s is None else duration(record.ttft_s),
        duration(record.duration_s),
        f"{amount(record.prompt_tokens)}+{amount(record.completion_tokens)}",
        usd(record.cost_usd),
        record.error,
    )
