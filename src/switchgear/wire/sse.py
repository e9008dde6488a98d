"""Server-sent events as the WHATWG HTML standard, section 9.2.6, has them parsed and interpreted.

Two readers: `Splitter` cuts a byte stream at the ends of its events and leaves the bytes as they are, for relaying; `interpret` makes
an event of one such piece. Together they are the standard's parser: lines end with CR, LF or CRLF wherever the stream is cut, a line
that begins with a colon is a comment, several data lines are joined by LF, one space after the colon is dropped, an event ends at an
empty line.
"""

import re
from typing import NamedTuple

_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))")
_LINE = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event: its type ("message" when the stream names none), data, and last id (None when it sets none)."""

    type: str
    data: str
    id: str | None = None


class EventTooLarge(ValueError):
    """An event grew beyond the limit before its end came."""


class Splitter:
    """Cuts a stream into whole events, byte for byte: the pieces joined, plus what `rest` still holds, are the stream.

    Only a byte order mark at its very beginning is left out. An event is given as soon as its empty line is there: where
    the stream is cut within the CRLF of that line, the LF comes first in the next piece, where an empty line changes
    nothing.
    """

    __slots__ = ("_limit", "_size", "_started", "_tail", "parts")

    def __init__(self, limit: int = 16 * 1024 * 1024) -> None:
        self._limit = limit
        self._started = False
        self.parts: list[bytes] = []
        """Pieces of an event that has not ended; joined when it has, so that no byte is copied with each read."""
        self._tail = b""  # the last bytes of the parts: with what comes, an empty line may begin in them
        self._size = 0

    @property
    def rest(self) -> bytes:
        """Bytes of an event that has not ended."""
        return b"".join(self.parts)

    def feed(self, data: bytes) -> list[bytes]:
        """The events that ended with `data`, each with its blank line. Raises EventTooLarge."""
        if not data:
            return []
        if not self._started:
            data = self.rest + data
            self.parts = [data]
            if len(data) < len(_BOM) and _BOM.startswith(data):
                return []
            self._started = True
            self.parts = []
            data = data.removeprefix(_BOM)
        if self.parts:
            return self._go_on(data)
        return self._split(data)

    def _go_on(self, data: bytes) -> list[bytes]:
        near = self._tail + data
        self.parts.append(data)
        if b"\n\n" in near or (b"\r" in near and _BLANK_LINE.search(near)):
            data = self.rest
            self.parts = []
            return self._split(data)
        self._keep(near, self._size + len(data))
        return []

    def _split(self, data: bytes) -> list[bytes]:
        if b"\r" not in data:  # what every server of the field sends
            *events, rest = data.split(b"\n\n")
            if events:
                events = [event + b"\n\n" for event in events]
        else:
            events = []
            start = 0
            for match in _BLANK_LINE.finditer(data):
                events.append(data[start : match.end()])
                start = match.end()
            rest = data[start:]
        if rest:
            self.parts = [rest]
            self._keep(rest, len(rest))
        return events

    def _keep(self, end: bytes, size: int) -> None:
        if size > self._limit:
            raise EventTooLarge(f"an event is larger than {self._limit} bytes")
        self._tail = end[-3:]
        self._size = size


def data_of(event: bytes) -> bytes | None:
    """The data of one event as bytes, or None where it has no data line. The common form, one `data: ` line, costs a slice."""
    if event.startswith(b"data: ") and event.endswith(b"\n\n"):
        data = event[6:-2]
        if b"\n" not in data and b"\r" not in data:
            return data
    lines = []
    for line in _LINE.split(event):
        if line.startswith(b"data:"):
            lines.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line == b"data":
            lines.append(b"")
    return b"\n".join(lines) if lines else None


def interpret(event: bytes) -> Event | None:
    """One event as the standard dispatches it: None where it has no data line (a comment, a bare id, a retry)."""
    kind = ""
    last_id: str | None = None
    for line in _LINE.split(event):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            kind = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            last_id = value.decode("utf-8", "replace")
    data = data_of(event)
    if data is None:
        return None
    return Event(kind or "message", data.decode("utf-8", "replace"), last_id)


def encode(data: str | bytes, *, event: str = "", id: str = "") -> bytes:
    """One event's bytes. Data of several lines becomes several data lines. Raises ValueError on a line break in `event` or `id`."""
    text = data.encode() if isinstance(data, str) else data
    for field in (event, id):
        if "\n" in field or "\r" in field or "\0" in field:
            raise ValueError("a line break in an event's type or id would end the field")
    head = (f"event: {event}\n" if event else "") + (f"id: {id}\n" if id else "")
    if b"\n" in text or b"\r" in text:
        return head.encode() + b"".join(b"data: %b\n" % line for line in _LINE.split(text)) + b"\n"
    return b"%bdata: %b\n\n" % (head.encode(), text)


def comment(text: str = "") -> bytes:
    """A comment, which readers ignore: keeps a connection alive."""
    return b"".join(b": %b\n" % line for line in _LINE.split(text.encode())) + b"\n"
