"""Records as they leave the program: JSON, CSV, and text for a terminal.

A record holds what callers wrote (the model's name), so nothing of it may act: not on a terminal, not in a spreadsheet.
"""

import csv
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from switchgear.core.record import Attempt, Record
from switchgear.gateway.story import amount, duration, moment, usd

_LEFT_OUT = ("candidates", "ruled_out", "attempts")
_SIMPLE = tuple(field for field in Record.__struct_fields__ if field not in _LEFT_OUT)
CSV_COLUMNS = ("at", *_SIMPLE, "candidates", "ruled_out", "attempts")
_COLOURS = {"refused": "yellow", "cancelled": "yellow", "failed": "red", "broken": "red"}


def as_mapping(record: Record) -> dict[str, Any]:
    """A record with the names of its fields, ready for JSON. A cost of null is unpriced."""
    mapping = {name: getattr(record, name) for name in Record.__struct_fields__}
    mapping["candidates"] = [{"backend": backend, "model": model} for backend, model in record.candidates]
    mapping["ruled_out"] = [msgspec.structs.asdict(target) for target in record.ruled_out]
    mapping["attempts"] = [_attempt(attempt) for attempt in record.attempts]
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
        simple = [getattr(record, name) for name in _SIMPLE]
        simple[_SIMPLE.index("outcome")] = record.outcome.value
        simple[_SIMPLE.index("cost_usd")] = "unpriced" if record.cost_usd is None else record.cost_usd
        yield (
            moment(record.at_s),
            *simple,
            " ".join(f"{backend}/{model}" for backend, model in record.candidates),
            " ".join(f"{out.backend}/{out.model}:{out.reason}" for out in record.ruled_out),
            " ".join(f"{a.backend}/{a.model}:{a.kind.value}:{a.error or a.outcome.value}" for a in record.attempts),
        )


def _harmless(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    text = printable(cell)
    # A spreadsheet runs a text that begins like a formula (OWASP, "CSV Injection").
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def printable(text: str) -> str:
    """Text without the characters that a terminal obeys."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def new_table() -> Table:
    """An empty table for `add_row`."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("at (UTC)", "call", "key", "model", "answered by"):
        table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=30)
    for name in ("attempts", "outcome", "status"):
        table.add_column(name, no_wrap=True)
    for name in ("ttft", "time", "tokens", "cost"):
        table.add_column(name, no_wrap=True, justify="right")
    table.add_column("error", overflow="fold")
    return table


def add_row(table: Table, record: Record) -> None:
    """One record as one row."""
    # As Text: what a caller wrote must not be read as markup either.
    cells = (Text(printable(cell)) for cell in _cells(record))
    table.add_row(*cells, style=_COLOURS.get(record.outcome.value, ""))


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
