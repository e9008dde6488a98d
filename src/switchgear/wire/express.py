"""The short way for a message that one read brings whole: the usual case, at about half the cost.

The same llhttp parses it, but into C methods of a dict and two lists instead of our callbacks, which are called across the
border between C and Python once for each header. Whatever is unusual in a message (a repeated header, a chunked body, spaces
at a line's end, bytes behind it, an error) is no error here: `read` returns None, nothing has happened, and the same bytes go
the long way, which has every rule.
"""

import re
from types import SimpleNamespace

import httptools

_LENGTH = re.compile(rb"\r\ncontent-length: ?([0-9]{1,12})\r\n", re.IGNORECASE)
_NOT_HERE = (b"transfer-encoding", b"expect", b"upgrade")
_LONGEST_HEAD = 16 * 1024
_LONGEST_LENGTH = 8
"""Digits of a Content-Length: enough for what one read brings; zeros may lead, and how many is the long way's to judge."""


class _Lane:
    """A parser whose callbacks are C methods. `_marks` loses its one element when a message is complete; a second is an error.

    The next message on a connection mostly has the head of the one before but for its Content-Length: such a head is
    recognized by comparing bytes, and not parsed again.
    """

    __slots__ = (
        "_after",
        "_before",
        "_headers",
        "_known",
        "_marks",
        "_parser",
        "_pieces",
        "_protocol",
        "_urls",
        "again",
    )

    def __init__(self) -> None:
        self._before: bytes | None = None
        """The last head up to the value of its Content-Length; None: there is none to compare with."""
        self._after = b""
        """That head from the end of the value on, the empty line included."""
        self._known: dict[bytes, bytes] = {}
        """What was read from it."""
        self.again = False
        """Whether the last `read` found the head of the one before, but for its length."""
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

    def _same_head(self, data: bytes) -> tuple[dict[bytes, bytes], bytes] | None:
        """Headers and body, where `data` is one whole message whose head is the known one but for its length."""
        self.again = False
        before = self._before
        if before is None or not data.startswith(before):
            return None
        start = len(before)
        end = data.find(b"\r", start, start + 13)
        if end < 0 or not data.startswith(self._after, end):
            return None
        length = data[start:end]
        body = data[end + len(self._after) :]
        if not length.isdigit() or int(length) != len(body):
            return None
        headers = self._known.copy()  # the last message's are its own
        headers[b"content-length"] = length
        self.again = True
        return headers, body

    def _remember(self, data: bytes, end: int, headers: dict[bytes, bytes]) -> None:
        """Compare the next message's head with this one, which ends at `end`."""
        match = _LENGTH.search(data, 0, end + 2)
        if match is None:
            self._before = None
        else:
            self._before = data[: match.start(1)]
            self._after = data[match.end(1) : end + 4]
            self._known = headers.copy()


def _head_end(data: bytes) -> int:
    """Where the head ends; negative where it does not, or is one for the long way."""
    end = data.find(b"\r\n\r\n", 0, _LONGEST_HEAD)
    if end > 0 and (data.find(b" \r\n", 0, end + 2) >= 0 or data.find(b"\t\r\n", 0, end + 2) >= 0):
        return -1
    return end


class RequestLane(_Lane):
    """For a server's connection."""

    __slots__ = ("_line",)

    def __init__(self) -> None:
        super().__init__()
        self._line = (b"", b"")
        """Method and target of the known head."""
        self._parser: httptools.HttpRequestParser | None = None

    def read(self, data: bytes) -> tuple[bytes, bytes, dict[bytes, bytes], bytes] | None:
        """Method, target, headers (names in lower case) and body of the one HTTP/1.1 request that `data` is; None: take the long way."""
        if (same := self._same_head(data)) is not None:
            return *self._line, *same
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
        if len(headers.get(b"content-length", b"")) > _LONGEST_LENGTH:
            return None
        if headers.get(b"connection", b"keep-alive").lower() != b"keep-alive":
            return None
        urls = self._urls
        if len(urls) != 1:
            return None
        self._parser = parser
        self._line = (parser.get_method(), urls[0])
        self._remember(data, end, headers)
        return *self._line, headers, body


class ResponseLane(_Lane):
    """For a client's connection."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        self._parser: httptools.HttpResponseParser | None = None

    def read(self, data: bytes) -> tuple[dict[bytes, bytes], bytes] | None:
        """Headers (names in lower case) and body of the one HTTP/1.1 answer with status 200 that `data` is; None: take the long way."""
        if (same := self._same_head(data)) is not None:
            return same
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
