"""Bytes in, requests out: the callbacks of httptools, and what is refused while a request is read.

httptools (llhttp in its strict mode) refuses most of what could be read in two ways; `switchgear.wire.request_rules`
has the rest.
"""

import asyncio
import collections
import logging
from time import monotonic
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import httptools

from switchgear.wire import request_rules as rules
from switchgear.wire.errors import RefusedRequest
from switchgear.wire.exchange import Exchange
from switchgear.wire.express import KnownHead, RequestLane

if TYPE_CHECKING:
    from switchgear.wire.server import Server
    from switchgear.wire.server_connection import ServerConnection

log = logging.getLogger(__name__)

_SEPARATE_PIECES = 512
"""Pieces of a body kept as they came; further ones are gathered, for a chunk of one byte costs forty as a piece."""


class RequestReader:
    """Reads the requests of one connection. `ServerConnection` is the only one that derives from it and adds what happens next.

    `_read` leaves whole requests in `_ready`; then `_refusal`, if reading cannot go on; else `_in_head` or `_exchange`
    tell what is unfinished.
    """

    __slots__ = (
        "_body",
        "_body_follows",
        "_body_size",
        "_exchange",
        "_expects",
        "_gathered",
        "_head_bytes",
        "_headers",
        "_in_head",
        "_lane",
        "_limits",
        "_loop",
        "_parser",
        "_passed",
        "_ready",
        "_refusal",
        "_repeats",
        "_stray",
        "_upgrade",
        "_url",
        "server",
    )

    def __init__(self, server: "Server", loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self._limits = server.limits
        self._loop = loop
        self._parser = httptools.HttpRequestParser(self)
        self._lane = RequestLane()
        self._passed: KnownHead | None = None
        """The head of the last plain request, which went through all checks."""
        self._ready: collections.deque[Exchange] = collections.deque()
        self._refusal: RefusedRequest | None = None
        self._in_head = False
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = 0
        self._repeats = 0
        self._exchange: Exchange | None = None  # its head is whole, its body is not
        self._expects = False  # an answer to Expect: 100-continue is owed
        self._upgrade = False
        self._body_follows = False
        self._body: list[bytes | bytearray] = []
        self._gathered: bytearray | None = None
        self._body_size = 0
        self._stray = 0  # bytes read since a head began or a body grew; -1 when that was in the last read

    def _read_express(self, data: bytes) -> Exchange | None:
        """The request that `data` is, where it is one, whole and plain, and nothing is unfinished; else nothing has happened."""
        if self._in_head or self._exchange is not None or self._ready or self._stray > 0:
            return None
        read = self._lane.read(data)
        if read is None:
            return None
        method, target, headers, body = read
        self._passed = None
        limits = self._limits
        server = self.server
        if (
            headers.get(b"host") not in server.known_hosts
            or target[:1] != b"/"
            or b"#" in target
            or len(body) > limits.body_bytes
            or len(data) - len(body) > limits.header_bytes
            or len(headers) > limits.header_count
            or method == b"CONNECT"
        ):
            return None
        connection = cast("ServerConnection", self)  # only that derives from this
        exchange = Exchange(connection, method, target, headers, body, None, monotonic())
        if server.check_head is not None and server.check_head(exchange) is not None:
            return None  # the long way refuses it
        known = self._lane.known
        if known is not None and method != b"HEAD":
            known.method = method
            known.target = target
            known.most = limits.body_bytes
            known.context = exchange.context
            self._passed = known
        return exchange

    def _read(self, data: bytes) -> bool:
        """Whether an unfinished request came further; a read that brings it no further is limited in bytes, and gets it no more time."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            return self._body_follows and self._pass_over_upgrade(data[offer.args[0] :])
        except httptools.HttpParserError as error:
            self._refusal = self._refusal_for(error)
            return False
        if self._exchange is None and not self._in_head:
            return False
        if self._stray < 0:
            self._stray = 0
            return True
        self._stray += len(data)
        if self._stray > 2 * self._limits.header_bytes:  # twice, for spaces and line ends, which are not counted
            self._refusal = rules.head_too_large(self._limits)
        return False

    def _refusal_for(self, error: httptools.HttpParserError) -> RefusedRequest:
        cause = error.__context__
        if isinstance(cause, RefusedRequest):
            return cause
        if isinstance(error, httptools.HttpParserCallbackError):
            log.error("reading a request failed: %r", cause, exc_info=cause)
            return RefusedRequest(500, "internal_error", "The request could not be read.")
        return RefusedRequest(400, "malformed_request", f"Not a valid HTTP/1.1 request: {error}.")

    def _pass_over_upgrade(self, rest: bytes) -> bool:
        """Where httptools reads no body, after an offer to upgrade. We ignore the offer (RFC 9110, 7.8); a fresh parser reads the body.

        It gets a head of the same framing, and whatever follows the body is an error to it: this request is the
        connection's last.
        """
        length = self._headers.get(b"content-length")
        framing = b"transfer-encoding: chunked" if length is None else b"content-length: " + length
        self._body_follows = False
        self._parser = httptools.HttpRequestParser(
            SimpleNamespace(on_body=self.on_body, on_message_complete=self.on_message_complete)
        )
        self._parser.feed_data(b"POST / HTTP/1.1\r\nconnection: close\r\n" + framing + b"\r\n\r\n")
        return self._read(rest)

    def _forget_request(self) -> None:
        """Nothing more will be read."""
        self._ready.clear()
        self._refusal = None
        self._exchange = None
        self._body = []
        self._gathered = None

    # -- httptools --

    def on_message_begin(self) -> None:
        self._headers = {}
        self._head_bytes = 0
        self._repeats = 0
        self._url = b""
        self._in_head = True
        self._stray = -1

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > self._limits.header_bytes:
            raise rules.head_too_large(self._limits)

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if not self._in_head:
            rules.check_trailer(name)  # the good ones are read and dropped (RFC 9110, 6.5.1)
            return
        size = self._head_bytes + len(name) + len(value) + 4
        self._head_bytes = size
        if size > self._limits.header_bytes:
            raise rules.head_too_large(self._limits)
        headers = self._headers
        if name in headers:
            rules.check_repeated(name)
            self._repeats += 1
            headers[name] += b", " + value.rstrip()
        else:
            headers[name] = value.rstrip()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stray = -1
        server = self.server
        limits = self._limits
        headers = self._headers
        parser = self._parser
        if self._head_bytes + len(self._url) > limits.header_bytes:
            raise rules.head_too_large(limits)
        if len(headers) + self._repeats > limits.header_count:
            raise rules.too_many_headers(limits)
        version = parser.get_http_version()
        http_1_0 = version == "1.0"
        if version != "1.1" and not http_1_0:
            raise RefusedRequest(400, "unsupported_http_version", "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
        method = parser.get_method()
        if parser.should_upgrade():
            self._offered_upgrade(method)
        host = headers.get(b"host")
        if host not in server.known_hosts:
            rules.check_host(host, http_1_0, server.known_hosts)
        target = self._url
        if target[:1] != b"/" or b"#" in target:
            target = rules.origin_form(method, target, headers)
        if b"transfer-encoding" in headers:
            rules.check_coding(headers[b"transfer-encoding"], http_1_0)
        elif b"content-length" in headers:
            rules.check_length(headers[b"content-length"], limits)
        exchange = Exchange(
            cast("ServerConnection", self),  # only that derives from this
            method,
            target,
            headers,
            b"",
            None,
            monotonic(),
            not self._upgrade and parser.should_keep_alive(),
            http_1_0,
        )
        check = server.check_head
        if check is not None and (refusal := check(exchange)) is not None:
            raise refusal
        if b"expect" in headers:
            rules.check_expectation(headers[b"expect"])
            self._expects = not http_1_0
        self._exchange = exchange

    def _offered_upgrade(self, method: bytes) -> None:
        rules.check_no_tunnel(method)
        self._upgrade = True
        self._body_follows = b"transfer-encoding" in self._headers or self._headers.get(b"content-length", b"0") != b"0"

    def on_body(self, body: bytes) -> None:
        self._stray = -1
        self._body_size += len(body)
        if self._body_size > self._limits.body_bytes:
            raise rules.body_too_large(self._limits)
        if len(self._body) < _SEPARATE_PIECES:
            self._body.append(body)
        elif self._gathered is None:
            self._gathered = bytearray(body)
            self._body.append(self._gathered)
        else:
            self._gathered += body

    def on_message_complete(self) -> None:
        exchange = self._exchange
        if exchange is None or self._body_follows:
            return
        self._exchange = None
        self._expects = False
        body = self._body
        if body:
            exchange.body = cast(bytes, body[0]) if len(body) == 1 else b"".join(body)
            self._body = []
            self._gathered = None
            self._body_size = 0
        self._ready.append(exchange)
