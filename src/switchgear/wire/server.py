"""An HTTP/1.1 server on asyncio protocols (RFC 9112).

httptools (llhttp in its strict mode) refuses most of what could be read in two ways: folded headers, bare CR or LF, repeated or signed
lengths, both lengths and chunks, bad chunk sizes. What it lets through and we do not is in `ServerConnection.on_headers_complete`.
"""

import asyncio
import collections
import math
import socket
import ssl
from collections.abc import Callable
from email.utils import formatdate
from typing import cast

import httptools

from switchgear.core.clock import Clock, SystemClock
from switchgear.wire.errors import RefusedRequest
from switchgear.wire.exchange import Exchange
from switchgear.wire.model import ErrorBody, Limits

Handler = Callable[[Exchange], None]
HeadCheck = Callable[[Exchange], RefusedRequest | None]

_ONCE = frozenset((b"host", b"authorization", b"content-length", b"transfer-encoding", b"content-type", b"expect"))
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_HELD_BYTES = 256 * 1024
"""Bytes of further requests kept while one is answered; more stops the reading."""


def _plain_error(code: str, message: str) -> bytes:
    return b'{"error":{"message":"%b","type":"invalid_request_error","param":null,"code":"%b"}}' % (
        message.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"'),
        code.encode(),
    )


class Server:
    """Accepts connections on any number of listening sockets and hands each whole request to `handler`.

    `handler` is called on the event loop and must not block; it may answer at once or keep the exchange and answer later.
    `check_head` sees an exchange whose body is not read yet and may refuse it (a caller without a key need not send 32 MiB first).
    """

    def __init__(
        self,
        handler: Handler,
        *,
        limits: Limits | None = None,
        error_body: ErrorBody = _plain_error,
        check_head: HeadCheck | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.handler = handler
        self.limits = limits or Limits()
        self.error_body = error_body
        self.check_head = check_head
        self.connections: set[ServerConnection] = set()
        self.draining = False
        self.date_line = b""
        self.refused: collections.Counter[str] = collections.Counter()
        """How many requests the server itself refused, by code."""
        self._clock = clock or SystemClock()
        self._servers: list[asyncio.Server] = []
        self._ticker: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    async def listen(self, sock: socket.socket, *, tls: ssl.SSLContext | None = None) -> None:
        """Accept connections on a listening socket. The server owns the socket from here on."""
        loop = asyncio.get_running_loop()
        if self._ticker is None:
            self._tick(loop)
        factory = lambda: ServerConnection(self, loop)  # noqa: E731  a bound closure is the cheapest protocol factory
        if sock.family == socket.AF_UNIX:
            server = await loop.create_unix_server(factory, sock=sock, ssl=tls)
        else:
            server = await loop.create_server(factory, sock=sock, ssl=tls)
        self._servers.append(server)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self.date_line = b"date: %b\r\n" % formatdate(self._clock.now_s(), usegmt=True).encode("ascii")
        self._ticker = loop.call_later(1.0, self._tick, loop)

    def joined(self, connection: "ServerConnection") -> None:
        self.connections.add(connection)
        self._idle.clear()

    def left(self, connection: "ServerConnection") -> None:
        self.connections.discard(connection)
        if not self.connections:
            self._idle.set()

    def stop_accepting(self) -> None:
        """Close the listening sockets; open connections stay."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    async def drain(self, grace_s: float) -> bool:
        """Accept nothing more, answer what was begun, close what is idle. After `grace_s` seconds the rest is cut.

        Returns whether every call in flight came to its end.
        """
        self.draining = True
        self.stop_accepting()
        for connection in tuple(self.connections):
            connection.close_if_idle()
        try:
            await asyncio.wait_for(self._idle.wait(), grace_s)
        except TimeoutError:
            return False
        finally:
            await self.close()
        return True

    async def close(self) -> None:
        """Cut every connection and stop."""
        self.draining = True
        self.stop_accepting()
        for connection in tuple(self.connections):
            connection.abort()
        await self._idle.wait()
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None


class ServerConnection(asyncio.Protocol):
    """One caller's connection: parses requests, answers them in order, and keeps the limits.

    While a request is being answered further bytes are held unparsed (up to `_HELD_BYTES`), so the connection is still read and a caller
    that hangs up is noticed at once.
    """

    __slots__ = (
        "_active",
        "_body",
        "_body_size",
        "_deadline",
        "_exchange",
        "_expects",
        "_head_bytes",
        "_header_count",
        "_headers",
        "_held",
        "_held_size",
        "_in_head",
        "_lingering",
        "_loop",
        "_parser",
        "_paused",
        "_pumping",
        "_ready",
        "_refusal",
        "_timer",
        "_timer_at",
        "_transport",
        "_upgraded",
        "_url",
        "peer_certificate",
        "server",
        "stalled",
    )

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self.stalled = False
        self.peer_certificate: dict[str, object] | None = None
        self._loop = loop
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._active: Exchange | None = None
        self._ready: collections.deque[Exchange] = collections.deque()
        self._held: list[bytes] = []
        self._held_size = 0
        self._exchange: Exchange | None = None
        self._body: list[bytes] = []
        self._body_size = 0
        self._headers: dict[bytes, bytes] = {}
        self._header_count = 0
        self._head_bytes = 0
        self._url = b""
        self._in_head = False
        self._expects = False
        self._upgraded = False
        self._paused = False
        self._pumping = False
        self._lingering = False
        self._refusal: RefusedRequest | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._deadline = math.inf

    # -- asyncio.Protocol --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)
        self._transport = transport
        transport.set_write_buffer_limits(self.server.limits.write_buffer_bytes)
        self.server.joined(self)
        if (tls := transport.get_extra_info("ssl_object")) is not None:
            self.peer_certificate = tls.getpeercert() or None
        if self.server.draining:
            transport.close()
        elif len(self.server.connections) > self.server.limits.connections:
            self._refuse(
                RefusedRequest(429, "too_many_connections", "Too many open connections; try again in a moment.")
            )
        else:
            self._arm(self.server.limits.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.server.left(self)
        self._drop_exchanges()

    def eof_received(self) -> bool:
        # A caller that closed its side while it waits for an answer has hung up; half-closed callers are not kept (as in nginx and Go).
        return False

    def pause_writing(self) -> None:
        self.stalled = True
        if self._active is not None and self._active.flow is not None:
            self._active.flow.pause()

    def resume_writing(self) -> None:
        self.stalled = False
        if self._active is not None and self._active.flow is not None:
            self._active.flow.resume()

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        if self._active is not None:
            self._held.append(data)
            self._held_size += len(data)
            if self._held_size > _HELD_BYTES and self._transport is not None:
                self._transport.pause_reading()
                self._paused = True
            return
        self._feed(data)

    # -- parsing --

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._upgraded = True  # an offer that we may ignore (RFC 9110, 7.8); llhttp reads no further, so this is the last request
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, RefusedRequest):
                self._refusal = cause
            elif isinstance(error, httptools.HttpParserCallbackError):
                raise
            else:
                self._refusal = RefusedRequest(400, "malformed_request", f"Not a valid HTTP/1.1 request: {error}.")
        else:
            if self._exchange is not None:
                self._arm(self.server.limits.body_idle_s)
            elif self._in_head:
                self._watch_head(len(data))
        if self._ready:
            self._pump()
        elif self._refusal is not None:
            self._refuse(self._refusal)

    def _watch_head(self, size: int) -> None:
        """The head is still unfinished after a read of `size` bytes."""
        if self._head_bytes == 0 or self._deadline == math.inf:
            self._arm(self.server.limits.head_s)
        self._head_bytes += size
        if self._head_bytes > self.server.limits.header_bytes:
            self._refusal = _head_too_large(self.server.limits.header_bytes)

    def on_message_begin(self) -> None:
        self._headers = {}
        self._header_count = 0
        self._head_bytes = 0
        self._url = b""
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # trailers are read and dropped (RFC 9110, 6.5.1)
        self._header_count += 1
        name = name.lower()
        headers = self._headers
        if name in headers:
            if name in _ONCE:
                raise RefusedRequest(400, "repeated_header", f"Header {name.decode('latin-1')} is given twice.")
            headers[name] += b", " + value
        else:
            headers[name] = value

    def on_headers_complete(self) -> None:
        self._in_head = False
        limits = self.server.limits
        headers = self._headers
        if self._header_count > limits.header_count:
            raise RefusedRequest(431, "too_many_headers", f"More than {limits.header_count} headers.")
        size = len(self._url) + sum(map(len, headers)) + sum(map(len, headers.values())) + 4 * len(headers)
        if size > limits.header_bytes:
            raise _head_too_large(limits.header_bytes)
        parser = self._parser
        version = parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise RefusedRequest(400, "unsupported_http_version", "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
        if version == "1.1" and b"host" not in headers:
            raise RefusedRequest(400, "missing_host", "An HTTP/1.1 request needs a Host header.")
        self._check_framing(headers, version)
        method = parser.get_method()
        if method == b"CONNECT":
            raise RefusedRequest(405, "method_not_allowed", "This is no proxy: CONNECT is not served.")
        self._head_bytes = 0
        exchange = Exchange(
            self,
            method,
            self._url,
            headers,
            keep_alive=parser.should_keep_alive(),
            http_1_0=version == "1.0",
            received_s=self._loop.time(),
        )
        check = self.server.check_head
        if check is not None and (refusal := check(exchange)) is not None:
            raise refusal
        self._exchange = exchange
        if b"expect" in headers:
            self._expect(headers[b"expect"], version)

    def _check_framing(self, headers: dict[bytes, bytes], version: str) -> None:
        coding = headers.get(b"transfer-encoding")
        if coding is not None:
            if coding.strip().lower() != b"chunked":
                raise RefusedRequest(501, "unsupported_transfer_encoding", "Only Transfer-Encoding: chunked is read.")
            if version == "1.0":
                raise RefusedRequest(400, "malformed_request", "Transfer-Encoding has no meaning in HTTP/1.0.")
        length = headers.get(b"content-length")
        if length is not None and int(length) > self.server.limits.body_bytes:
            raise _body_too_large(self.server.limits.body_bytes)

    def _expect(self, expectation: bytes, version: str) -> None:
        if expectation.lower() != b"100-continue":
            raise RefusedRequest(417, "expectation_failed", "Only Expect: 100-continue is understood.")
        if version == "1.1":
            self._expects = True
            if self._active is None and not self._ready:
                self._continue()

    def _continue(self) -> None:
        self._expects = False
        self.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        if self._body_size > self.server.limits.body_bytes:
            raise _body_too_large(self.server.limits.body_bytes)
        self._body.append(body)

    def on_message_complete(self) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        self._exchange = None
        self._expects = False
        body = self._body
        if body:
            exchange.body = body[0] if len(body) == 1 else b"".join(body)
            self._body = []
            self._body_size = 0
        if self._parser.should_upgrade():
            exchange.keep_alive = False
        self._ready.append(exchange)

    # -- answering --

    def _pump(self) -> None:
        """Hand over requests one after the other; what is answered at once does not deepen the stack."""
        if self._pumping:
            return
        self._pumping = True
        while self._active is None and self._transport is not None and not self._lingering:
            if self._ready:
                self._begin(self._ready.popleft())
            elif self._refusal is not None:
                self._refuse(self._refusal)
            elif self._held:
                held, self._held, self._held_size = b"".join(self._held), [], 0
                self._feed(held)
                if self._paused and self._transport is not None:
                    self._paused = False
                    self._transport.resume_reading()
            else:
                self._await_request()
                break
        self._pumping = False

    def _begin(self, exchange: Exchange) -> None:
        if self.server.draining:
            exchange.keep_alive = False
            self._active = exchange
            exchange.reply(
                503,
                self.server.error_body("draining", "This server is shutting down; send the request again."),
            )
            return
        self._active = exchange
        self._deadline = math.inf
        self.server.handler(exchange)

    def _await_request(self) -> None:
        if self._exchange is not None or self._in_head:
            if self._expects:
                self._continue()
            self._arm(self.server.limits.body_idle_s if self._exchange is not None else self.server.limits.head_s)
        elif self.server.draining:
            self.close()
        else:
            self._arm(self.server.limits.keep_alive_s)

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def finished(self, exchange: Exchange) -> None:
        """The active exchange has its whole answer."""
        exchange.connection = None
        exchange.on_gone = None
        exchange.flow = None
        self._active = None
        if not exchange.keep_alive or self._upgraded:
            self._ready.clear()
            self.close()
        else:
            self._pump()

    def _refuse(self, refusal: RefusedRequest) -> None:
        """Answer and close; what still comes is read and dropped for a while, or the caller may never see the answer."""
        self._refusal = None
        self._exchange = None
        self._body = []
        self.server.refused[refusal.code] += 1
        exchange = Exchange(self, b"", b"", {}, keep_alive=False, http_1_0=False, received_s=self._loop.time())
        self._lingering = True
        self._active = exchange
        exchange.reply(refusal.status, self.server.error_body(refusal.code, str(refusal)))

    def close(self) -> None:
        """Close after what is written has left."""
        transport = self._transport
        if transport is None:
            return
        if self._lingering and transport.can_write_eof():
            transport.write_eof()
            self._arm(self.server.limits.linger_s)
        else:
            self._lingering = True
            self._arm(self.server.limits.keep_alive_s)  # a reader that never reads is cut then
            transport.close()

    def close_if_idle(self) -> None:
        """Close unless a request is being read or answered."""
        if self._active is None and self._exchange is None and not self._in_head and not self._ready:
            self.close()

    def abort(self) -> None:
        """Cut the connection at once."""
        if self._transport is not None:
            self._transport.abort()
        self._drop_exchanges()

    def _drop_exchanges(self) -> None:
        exchange, self._active = self._active, None
        self._ready.clear()
        self._held.clear()
        if exchange is not None:
            exchange.connection = None
            if exchange.on_gone is not None:
                exchange.on_gone()

    # -- time --

    def _arm(self, seconds: float) -> None:
        """Set the one deadline. The timer is moved only to an earlier time; one that fires early arms itself again."""
        self._deadline = deadline = self._loop.time() + seconds
        if deadline < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = deadline
            self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_at = math.inf
        deadline = self._deadline
        if deadline == math.inf or self._transport is None:
            return
        if self._loop.time() < deadline - 0.001:
            self._timer_at = deadline
            self._timer = self._loop.call_at(deadline, self._on_timer)
        elif self._lingering:
            self._transport.abort()
        elif self._exchange is not None:
            self._refuse(RefusedRequest(408, "body_timeout", "The body stopped arriving."))
        elif self._in_head:
            self._refuse(RefusedRequest(408, "head_timeout", "The head of the request took too long."))
        else:
            self.close()


def _head_too_large(limit: int) -> RefusedRequest:
    return RefusedRequest(431, "header_too_large", f"Request line and headers are larger than {limit} bytes.")


def _body_too_large(limit: int) -> RefusedRequest:
    return RefusedRequest(413, "body_too_large", f"The body is larger than {limit} bytes.")
