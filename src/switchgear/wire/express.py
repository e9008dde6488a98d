"""The short way for a message that one read brings whole: the usual case, at about half the cost.

The same llhttp parses it, but into C methods of a dict and two lists instead of our callbacks, which are called across the
border between C and Python once for each header. Whatever is unusual in a message (a repeated header, a chunked body, spaces
at a line's end, bytes behind it, an error) is no error here: `read` returns None, nothing has happened, and the same bytes go
the long way, which has every rule.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType, SimpleNamespace

import httptools

_LENGTH = re.compile(rb"\r\ncontent-length: ?([0-9]{1,12})\r\n", re.IGNORECASE)
_NOT_HERE = (b"transfer-encoding", b"expect", b"upgrade")
_LONGEST_HEAD = 16 * 1024
LONGEST_LENGTH = 8
"""Digits of a Content-Length: enough for what one read brings; zeros may lead, and how many is the long way's to judge."""


class KnownHead:
    """The head of a message that was read whole. The next message on its connection mostly has the same but for its Content-Length.

    Such a head is recognized by comparing bytes, and not parsed again. The comparison itself stands where the bytes arrive
    (`ServerConnection.data_received`, `ClientConnection.data_received`): it runs for each message, and a call costs as much as it does.
    """

    __slots__ = ("after", "before", "context", "headers", "method", "most", "rest", "start", "target")

    def __init__(self, before: bytes, after: bytes, headers: Mapping[bytes, bytes]) -> None:
        self.before = before
        """The head up to the value of its Content-Length."""
        self.start = len(before)
        self.after = after
        """From the end of that value on, the empty line included."""
        self.rest = len(after)
        self.headers = headers
        """What was read from it, names in lower case, without the length. Shared by all messages that have it: nobody changes it."""
        self.method = b""
        self.target = b""
        self.most = 0
        """Bytes that a body may have."""
        self.context: object = None
        """What the server's `check_head` made of it."""


class _Lane:
    """A parser whose callbacks are C methods. `_marks` loses its one element when a message is complete; a second is an error."""

    __slots__ = ("_headers", "_marks", "_parser", "_pieces", "_protocol", "_urls", "known")

    def __init__(self) -> None:
        self.known: KnownHead | None = None
        """The head of the last message; None: it has none to compare with."""
        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []
        self._urls: list[bytes] = []
        self._marks: list[None] = []
        self._protocol = SimpleNamespace(
            on_url=self._urls.append,
            on_header=self._headers.__setitem__,
            on_body=self._pieces.append,
            on_message_complete=self._marks.pop,
        )

    def _parse(
        self, parser: "httptools.HttpRequestParser | httptools.HttpResponseParser", data: bytes, end: int
    ) -> bytes | None:
        """The body, where `data` is one whole message whose head ends at `end` and has each header once; `_headers` holds those."""
        headers, pieces, marks = self._headers, self._pieces, self._marks
        headers.clear()
        pieces.clear()
        self._urls.clear()
        marks.append(None)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return None
        if marks or data.count(b"\r\n", 0, end) != len(headers):
            return None
        body = b"" if not pieces else pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()  # an idle connection keeps no body
        return body if end + 4 + len(body) == len(data) else None

    def _remember(self, data: bytes, end: int, headers: dict[bytes, bytes]) -> None:
        """Have the next message's head compared with this one, which ends at `end`."""
        match = _LENGTH.search(data, 0, end + 2)
        if match is None:
            self.known = None
        else:
            others = {name: value for name, value in headers.items() if name != b"content-length"}
            self.known = KnownHead(data[: match.start(1)], data[match.end(1) : end + 4], MappingProxyType(others))


def _head_end(data: bytes) -> int:
    """Where the head ends; negative where it does not, or is one for the long way."""
    end = data.find(b"\r\n\r\n", 0, _LONGEST_HEAD)
    if end > 0 and (data.find(b" \r\n", 0, end + 2) >= 0 or data.find(b"\t\r\n", 0, end + 2) >= 0):
        return -1
    return end


class RequestLane(_Lane):
    """For a server's connection."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        self._parser: httptools.HttpRequestParser | None = None

    def read(self, data: bytes) -> tuple[bytes, bytes, dict[bytes, bytes], bytes] | None:
        """Method, target, headers (names in lower case) and body of the one HTTP/1.1 request that `data` is; None: take the long way."""
        end = _head_end(data)
        if end < 0:
            return None
        parser = self._parser or httptools.HttpRequestParser(self._protocol)
        self._parser = None  # put back when all went well; one that stopped within a message is of no further use
        body = self._parse(parser, data, end)
        if body is None:
            self._marks.clear()
            return None
        headers = {name.lower(): value for name, value in self._headers.items()}
        if len(headers) != len(self._headers) or parser.get_http_version() != "1.1":
            return None
        for name in _NOT_HERE:
            if name in headers:
                return None
        if len(headers.get(b"content-length", b"")) > LONGEST_LENGTH:
            return None
        if headers.get(b"connection", b"keep-alive").lower() != b"keep-alive":
            return None
        if len(self._urls) != 1:
            return None
        self._parser = parser
        self._remember(data, end, headers)
        return parser.get_method(), self._urls[0], headers, body


class ResponseLane(_Lane):
    """For a client's connection."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        self._parser: httptools.HttpResponseParser | None = None

    def read(self, data: bytes) -> tuple[dict[bytes, bytes], bytes] | None:
        """Headers (names in lower case) and body of the one HTTP/1.1 answer with status 200 that `data` is; None: take the long way."""
        end = _head_end(data)
        if end < 0 or data[:13] != b"HTTP/1.1 200 " or data.find(b"event-stream", 0, end) >= 0:
            return None
        parser = self._parser or httptools.HttpResponseParser(self._protocol)
        self._parser = None
        body = self._parse(parser, data, end)
        if body is None:
            self._marks.clear()
            return None
        headers = {name.lower(): value for name, value in self._headers.items()}
        if len(headers) != len(self._headers) or b"content-length" not in headers or b"transfer-encoding" in headers:
            return None
        if headers.get(b"connection", b"keep-alive").lower() != b"keep-alive":
            return None
        self._parser = parser
        self._remember(data, end, headers)
        return headers, body
