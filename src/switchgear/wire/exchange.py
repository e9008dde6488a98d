"""One request that came in and the answer that goes out."""

import enum
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from switchgear.wire.model import Flow

if TYPE_CHECKING:
    from switchgear.wire.server_connection import ServerConnection

JSON = b"content-type: application/json\r\n"
EVENT_STREAM = b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode("ascii")) for status in HTTPStatus
}
_BODILESS = frozenset((HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED))
"""Statuses whose answer ends with its head (RFC 9112, 6.3)."""
_FORBIDDEN_IN_HEADER = frozenset("\r\n\0")


def header(name: str, value: str) -> bytes:
    """One header line for `reply` and `start`. Raises ValueError on characters that would end the line early."""
    if not _FORBIDDEN_IN_HEADER.isdisjoint(name) or not _FORBIDDEN_IN_HEADER.isdisjoint(value):
        raise ValueError(f"header {name!r} holds a line break or NUL")
    return f"{name}: {value}\r\n".encode("latin-1", "replace")


def status_line(status: int) -> bytes:
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d Unknown\r\n" % status


class _Framing(enum.Enum):
    """How an answer of unknown length is sent: in chunks, up to the end of the connection, or (to HEAD) not at all."""

    CHUNKED = enum.auto()
    RAW = enum.auto()
    MUTE = enum.auto()


_CHUNKED = _Framing.CHUNKED


class Exchange(msgspec.Struct, eq=False):
    """A whole request, and the means to answer it: either `reply` once, or `start`, any number of `write`, and `finish`.

    `headers` have lower-case names; a repeated header is joined by a comma. `head` arguments are header lines, each
    ended by CRLF, as `header` makes them. After the answer is finished, or the caller is gone, every further call does
    nothing.

    Set `on_gone` to hear that the caller hung up before its answer was finished, and `flow` to be stalled while it does
    not read.
    """

    connection: "ServerConnection | None"
    method: bytes
    target: bytes
    headers: Mapping[bytes, bytes]
    """Not to be changed: requests with the same head share them, and then without their Content-Length."""
    body: bytes
    context: object
    """Whatever `check_head` wants the handler to know."""
    received_s: float
    """The event loop's time when the head was whole, seconds."""
    keep_alive: bool = True
    http_1_0: bool = False
    status: int = 0
    """The status answered, 0 before."""
    on_gone: Callable[[], None] | None = None
    flow: Flow | None = None
    pending: bytes | None = None
    """The head of an answer that was begun, until its first bytes go out."""
    framing: _Framing = _CHUNKED

    @property
    def open(self) -> bool:
        """Whether an answer can still be written."""
        return self.connection is not None

    @property
    def stalled(self) -> bool:
        """Whether the caller reads more slowly than the answer comes."""
        return self.connection is not None and self.connection.stalled

    def reply_ok(self, body: bytes, head: bytes) -> None:
        """`reply` with status 200, in fewer steps where request, answer and connection are the usual ones."""
        connection = self.connection
        if connection is None:
            return
        if not connection.plain or self.status:
            self.reply(200, body, head)
            return
        self.status = 200
        self.connection = None
        self.on_gone = None
        connection.answer(b"%b%bcontent-length: %d\r\n\r\n%b" % (connection.server.ok_line, head, len(body), body))

    def reply(self, status: int, body: bytes, head: bytes = JSON) -> None:
        """Answer in one go.

        After a `start` of which nothing is sent yet this answer takes its place; after more the connection is cut.
        """
        connection = self.connection
        if connection is None:
            return
        if self.status and self.pending is None:
            self.abort()
            return
        self.status = status
        server = connection.server
        if server.draining:
            self.keep_alive = False
        if status == 200 and self.keep_alive and not self.http_1_0 and self.method != b"HEAD":
            connection.write(b"%b%bcontent-length: %d\r\n\r\n%b" % (server.ok_line, head, len(body), body))
        elif self.method == b"HEAD" or status in _BODILESS:
            length = b"" if status in _BODILESS else b"content-length: %d\r\n" % len(body)
            connection.write(
                b"%b%b%b%b%b\r\n" % (status_line(status), server.date_line, self._connection_line(), head, length)
            )
        else:
            connection.write(
                b"%b%b%b%bcontent-length: %d\r\n\r\n%b"
                % (status_line(status), server.date_line, self._connection_line(), head, len(body), body)
            )
        connection.finished(self)

    def start(self, status: int, head: bytes = EVENT_STREAM) -> None:
        """Begin an answer of unknown length. Nothing is sent until the first `write` or `finish`."""
        connection = self.connection
        if connection is None:
            return
        self.status = status
        server = connection.server
        if server.draining:
            self.keep_alive = False
        framing = b""
        if self.method == b"HEAD" or status in _BODILESS:
            self.framing = _Framing.MUTE
        elif self.http_1_0:  # no chunked framing before 1.1: the end of the connection ends the answer
            self.keep_alive = False
            self.framing = _Framing.RAW
        else:
            framing = b"transfer-encoding: chunked\r\n"
        self.pending = b"%b%b%b%b%b\r\n" % (
            status_line(status),
            server.date_line,
            self._connection_line(),
            head,
            framing,
        )

    @property
    def chunk_writer(self) -> Callable[[bytes], None] | None:
        """Sends a chunk that is framed already; None where the answer has not begun or is not chunked. Not to be used after its end."""
        connection = self.connection
        if (
            connection is None
            or connection.transport is None
            or self.pending is not None
            or self.framing is not _CHUNKED
        ):
            return None
        return connection.transport.write

    def write(self, data: bytes) -> None:
        """Send `data` as one chunk."""
        connection = self.connection
        if connection is None:
            return
        framed = b"%x\r\n%b\r\n" % (len(data), data) if self.framing is _CHUNKED and data else self._unchunked(data)
        if self.pending is not None:
            framed = self.pending + framed
            self.pending = None
        if framed:
            connection.write(framed)

    def finish(self, data: bytes = b"") -> None:
        """Send the last of the answer and end it."""
        connection = self.connection
        if connection is None:
            return
        if self.framing is not _CHUNKED:
            framed = self._unchunked(data)
        elif data:
            framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)
        else:
            framed = b"0\r\n\r\n"
        if self.pending is not None:
            framed = self.pending + framed
            self.pending = None
        if framed:
            connection.write(framed)
        connection.finished(self)

    def abort(self) -> None:
        """End the connection without an end of the answer, so that the caller cannot take it for whole. `on_gone` is not called."""
        if self.connection is not None:
            self.on_gone = None
            self.connection.abort()

    def _unchunked(self, data: bytes) -> bytes:
        return data if self.framing is _Framing.RAW else b""

    def _connection_line(self) -> bytes:
        if not self.keep_alive:
            return b"connection: close\r\n"
        return b"connection: keep-alive\r\n" if self.http_1_0 else b""
