"""Records that are committed together lie in the file as one row, a frame: SQLite takes 3 to 4 us for a row, whatever is in it.

Places (`seq`) are given to records, not to frames: a frame whose last record has place `n` holds the `count` records up to it.
"""

from collections.abc import Iterable, Sequence
from sqlite3 import Connection
from typing import TypeAlias

import msgspec

from switchgear.journal.model import Entry, Row

_FORWARD = "SELECT last_seq, count, rows FROM frame WHERE last_seq > ? ORDER BY last_seq"
_BACKWARD = """
SELECT last_seq, count, rows FROM frame
WHERE last_seq <= coalesce((SELECT min(last_seq) FROM frame WHERE last_seq >= ?), ?) ORDER BY last_seq DESC"""
_WITH_ID = """
SELECT last_seq, count, rows FROM frame
WHERE last_seq BETWEEN ? AND ? AND min_id <= ? AND max_id >= ? ORDER BY last_seq DESC"""
LAST = 2**63 - 1


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """Records in the order in which they are kept; never empty."""

    count: int
    min_id: str
    max_id: str
    min_at_s: float
    max_at_s: float
    rows: bytes
    """Ids, times and bodies, as `pack` puts them together."""


class _Rows(msgspec.Struct, array_like=True):
    ids: list[str]
    times: list[float]
    bodies: list[bytes]


class _Bodies(msgspec.Struct, array_like=True):
    """The same where only the bodies are wanted."""

    ids: msgspec.Raw
    times: msgspec.Raw
    bodies: list[bytes]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Rows).decode
_decode_bodies = msgspec.msgpack.Decoder(_Bodies).decode
Found: TypeAlias = tuple[int, int, bytes]
"""A frame as it lies in the file: `last_seq`, `count`, `rows`."""


def pack(ids: Sequence[str], times: Sequence[float], bodies: Sequence[bytes | bytearray]) -> Frame:
    """One frame of as many records: their ids, Unix times and encoded bodies.

    Raises ValueError for a time that is no number, or an id that is no text (UnicodeEncodeError is one).
    """
    total = sum(times)
    if total != total:
        raise ValueError("a record's time is no number")
    return Frame(len(ids), min(ids), max(ids), min(times), max(times), _encode((ids, times, bodies)))


def framed(entries: Sequence[Entry]) -> Frame:
    """The same of entries. Raises like `pack`."""
    ids, times, bodies = zip(*entries, strict=True)
    return pack(ids, times, bodies)


def rows_of(journal: str, found: Found) -> list[Row]:
    """The records of a frame, each with its place. Raises msgspec.DecodeError where it is damaged."""
    last_seq, count, data = found
    rows = _decode(data)
    places = range(last_seq - count + 1, last_seq + 1)
    return [Row(journal, *of_one) for of_one in zip(places, rows.ids, rows.times, rows.bodies, strict=True)]


def read_forward(connection: Connection, journal: str, after: int, limit: int) -> list[Row]:
    """The next records after a place, at most `limit`. Raises sqlite3.Error, msgspec.DecodeError."""
    rows: list[Row] = []
    for found in _fetched(connection, after, limit):
        rows += rows_of(journal, found)
    return _within(rows, after, limit)


def read_bodies(connection: Connection, after: int, limit: int) -> tuple[list[bytes], int]:
    """The bodies of the same, and the place of the last. Half the cost. Raises like `read_forward`."""
    bodies: list[bytes] = []
    first = after + 1
    for number, (last_seq, count, data) in enumerate(_fetched(connection, after, limit)):
        if number == 0:
            first = last_seq - count + 1
        bodies += _decode_bodies(data).bodies
    kept = bodies[max(0, after + 1 - first) :][:limit]
    return kept, max(first, after + 1) + len(kept) - 1


def read_backward(connection: Connection, journal: str, before: int, limit: int) -> list[Row]:
    """The records before a place, the last of them first; at most `limit`. Raises like `read_forward`."""
    rows: list[Row] = []
    cursor = connection.execute(_BACKWARD, (before - 1, LAST))
    try:
        for found in cursor:
            rows += [row for row in reversed(rows_of(journal, found)) if row.seq < before]
            if len(rows) >= limit:
                break
    finally:
        cursor.close()
    return rows[:limit]


def read_id(connection: Connection, journal: str, first: int, last: int, call_id: str) -> list[Row]:
    """The last record of a call among the frames that end between two places. Raises like `read_forward`."""
    for found in connection.execute(_WITH_ID, (first, last, call_id, call_id)).fetchall():
        for row in reversed(rows_of(journal, found)):
            if row.id == call_id:
                return [row]
    return []


def without_first(found: Found, count: int) -> Frame:
    """A frame less its first records. Raises msgspec.DecodeError where it is damaged."""
    rows = _decode(found[2])
    return pack(rows.ids[count:], rows.times[count:], rows.bodies[count:])


def first_from(found: Found, since_s: float) -> int:
    """The place of the first record that is not before a time; there is one. Raises msgspec.DecodeError where it is damaged."""
    last_seq, count, data = found
    return next(last_seq - count + 1 + number for number, at_s in enumerate(_decode(data).times) if at_s >= since_s)


def _fetched(connection: Connection, after: int, limit: int) -> Iterable[Found]:
    """Frames that hold at least `limit` records after a place, or all that there are."""
    found: list[Found] = []
    held = 0
    cursor = connection.execute(_FORWARD, (after,))
    try:
        for frame in cursor:
            found.append(frame)
            held += min(frame[1], frame[0] - after)
            if held >= limit:
                break
    finally:
        cursor.close()  # a statement left open would keep the writer's log from being emptied
    return found


def _within(rows: list[Row], after: int, limit: int) -> list[Row]:
    begin = max(0, after + 1 - rows[0].seq) if rows else 0
    return rows[begin : begin + limit]


def placed(frames: Iterable[Frame], last_seq: int) -> Iterable[tuple[object, ...]]:
    """Each frame as it goes into the file behind a place: `last_seq`, and its fields."""
    for frame in frames:
        last_seq += frame.count
        yield (last_seq, *msgspec.structs.astuple(frame))
