"""One caller's connection: its requests are answered in order and held to the limits of time; then it is closed in good order."""

import asyncio
import logging
import math
from time import monotonic
from typing import TYPE_CHECKING, cast

from switchgear.wire import request_rules as rules
from switchgear.wire.errors import RefusedRequest
from switchgear.wire.exchange import JSON, Exchange, header
from switchgear.wire.express import LONGEST_LENGTH, KnownHead
from switchgear.wire.request_reader import RequestReader
from switchgear.wire.timer import LazyTimer

if TYPE_CHECKING:
    from switchgear.wire.server import Server

log = logging.getLogger(__name__)

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_SOON = header("retry-after", "1")
_PIECE = 64 * 1024
"""Held bytes are parsed this many at a time: a held byte of tiny requests costs thirty in parsed ones."""
_HELD_BYTES = 256 * 1024
"""So much may be held even where the limits allow no request of that size."""


class ServerConnection(RequestReader, asyncio.Protocol):
    """One caller's connection.

    While a request is answered, and while its answer waits for a slow reader, further bytes are held unparsed: so the
    connection is still read and a caller that hangs up is noticed at once. What is held may be as large as one more
    request; more stops the reading.
    """

    __slots__ = (
        "_active",
        "_deadline",
        "_held",
        "_linger_until",
        "_lingering",
        "_paused",
        "_pumping",
        "_short",
        "_timer",
        "_unread",
        "peer_certificate",
        "peer_certificate_der",
        "plain",
        "stalled",
        "transport",
    )

    def __init__(self, server: "Server", loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, loop)
        self.stalled = False
        """Whether the caller reads more slowly than its answer is written."""
        self.peer_certificate: dict[str, object] | None = None
        """The certificate that the caller showed and that was verified, as `ssl.SSLSocket.getpeercert` gives it."""
        self.peer_certificate_der = b""
        """The same as it was sent."""
        self.transport: asyncio.Transport | None = None
        self._active: Exchange | None = None
        self._short: KnownHead | None = None
        """The head of the last request, where the next one may be compared with it: nothing is unfinished, and all is well."""
        self.plain = False
        """Whether the active request came that way, keeps the connection, and nothing has happened since."""
        self._held = bytearray()
        self._paused = False
        self._pumping = False
        self._lingering = False
        self._linger_until = 0.0
        self._unread = 0
        """Bytes of answers that had not left when that was last looked at."""
        self._deadline = math.inf
        self._timer = LazyTimer(loop, self._limit, self._expired)

    # -- asyncio.Protocol --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)
        self.transport = transport
        server = self.server
        transport.set_write_buffer_limits(self._limits.write_buffer_bytes)
        server.joined(self)
        if (tls := transport.get_extra_info("ssl_object")) is not None:
            self.peer_certificate = tls.getpeercert() or None
            self.peer_certificate_der = tls.getpeercert(binary_form=True) or b""
        limit = self._limits.connections
        if server.draining:
            transport.close()
        elif len(server.connections) > limit + limit // 8 + 8:  # refusals, too, take a descriptor each
            transport.abort()
        elif len(server.connections) > limit:
            self._refuse(
                RefusedRequest(429, "too_many_connections", "Too many open connections; try again in a moment.")
            )
        else:
            self._arm(self._limits.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._linger()
        self._timer.stop()
        self.server.left(self)
        self._drop_exchanges()
        del self._parser, self._timer  # both hold bound methods of this connection: no cycle is left for the collector

    def eof_received(self) -> bool:
        # A caller that closed its side while it waits for an answer has hung up; half-closed callers are not kept (as in nginx and Go).
        if self._active is not None:
            self.abort()
        return False

    def pause_writing(self) -> None:
        self.stalled = True
        self.plain = False
        self._short = None
        if self._active is not None and self._active.flow is not None:
            self._active.flow.pause()

    def resume_writing(self) -> None:
        self.stalled = False
        if self._active is None:
            self._pump()
        elif self._active.flow is not None:
            self._active.flow.resume()

    def data_received(self, data: bytes) -> None:
        short = self._short
        if short is not None:
            self._short = None
            if data.startswith(short.before):
                start = short.start
                end = data.find(b"\r", start, start + LONGEST_LENGTH + 1)
                if data.startswith(short.after, end):
                    length = data[start:end]
                    body = data[end + short.rest :]
                    if length.isdigit() and int(length) == len(body) <= short.most:
                        self.plain = True
                        self._active = request = Exchange(
                            self, short.method, short.target, short.headers, body, short.context, monotonic()
                        )
                        try:
                            self.server.handler(request)
                        except Exception:
                            log.exception("the handler failed")
                            self._defect(request)
                        return
        if self._lingering:
            return
        if self._active is not None or self.stalled:
            self._hold(data)
        elif (exchange := self._read_express(data)) is not None:
            self.plain = self._passed is not None and not self._pumping
            self._begin(exchange)
        else:
            self.plain = False
            self._feed(data)

    # -- requests --

    def _feed(self, data: bytes) -> None:
        if self._read(data):
            self._arm(self._limits.head_s if self._in_head else self._limits.body_idle_s)
            if self._expects and not (self._body_size or self._active or self._ready):
                self._continue()
        if self._ready:
            self._pump()
        elif self._refusal is not None:
            self._refuse(self._refusal)

    def _pump(self) -> None:
        """Hand over requests one after the other; what is answered at once does not deepen the stack."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._active is None and not self.stalled and not self._lingering:
                if self._ready:
                    self._begin(self._ready.popleft())
                elif self._refusal is not None:
                    self._refuse(self._refusal)
                elif self._held:
                    self._feed_held()
                else:
                    self._await_request()
                    break
            if self.stalled and self._active is None and not self._lingering:
                self._reads_on()
                self._arm(self._limits.keep_alive_s)  # a reader that reads nothing meanwhile is cut then
        finally:
            self._pumping = False

    def _begin(self, exchange: Exchange) -> None:
        self._active = exchange
        server = self.server
        if server.draining:
            self.plain = False
            body = server.error_body("draining", "This server is shutting down; send the request again.")
            exchange.reply(503, body, JSON + _SOON)
            return
        try:
            server.handler(exchange)
        except Exception:
            log.exception("the handler failed")
            self._defect(exchange)

    def _defect(self, exchange: Exchange) -> None:
        if exchange.status:
            exchange.abort()
        else:
            exchange.keep_alive = False
            exchange.reply(500, self.server.error_body("internal_error", "The request could not be answered."))

    def _hold(self, data: bytes) -> None:
        self.plain = False
        self._held += data
        most = max(_HELD_BYTES, self._limits.header_bytes + self._limits.body_bytes)
        if len(self._held) > most and self.transport is not None:
            self.transport.pause_reading()
            self._paused = True

    def _feed_held(self) -> None:
        held = self._held
        piece = bytes(held[:_PIECE])
        del held[:_PIECE]
        if self._paused and self.transport is not None:
            self._paused = False
            self.transport.resume_reading()
        self._feed(piece)

    def _await_request(self) -> None:
        if self._exchange is not None or self._in_head:
            self._arm(self._limits.head_s if self._in_head else self._limits.body_idle_s)
            if self._expects:
                self._continue()
        elif self.server.draining:
            self._end(linger=True)
        else:
            self._rest()

    def _rest(self) -> None:
        """Nothing is unfinished: wait for the next request."""
        self._short = self._passed
        self._deadline = deadline = self._loop.time() + self._limits.keep_alive_s
        if deadline < self._timer.at:
            self._timer.tighten(deadline)

    def _continue(self) -> None:
        self._expects = False
        self.write(_CONTINUE)

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def answer(self, data: bytes) -> None:
        """Send the whole answer to a request that came the short way, while `plain` holds."""
        self._active = None
        self.transport.write(data)  # type: ignore[union-attr]  # while it is plain there is one
        if not self.plain:
            self._pump()  # the write has stalled it
            return
        self._short = self._passed  # as `_rest` has it
        self._deadline = deadline = self._loop.time() + self._limits.keep_alive_s
        if deadline < self._timer.at:
            self._timer.tighten(deadline)

    def finished(self, exchange: Exchange) -> None:
        """The active exchange has its whole answer."""
        exchange.connection = None
        exchange.on_gone = None
        exchange.flow = None
        self._active = None
        if not exchange.keep_alive:
            self._end(linger=True)
        elif self.plain:
            self._rest()
        else:
            self._pump()

    def _refuse(self, refusal: RefusedRequest) -> None:
        """Answer and close."""
        self.server.refused[refusal.code] += 1
        method = b"" if self._in_head else self._parser.get_method()
        exchange = Exchange(self, method, b"", {}, b"", None, self._loop.time(), keep_alive=False)
        self._linger()
        self._active = exchange
        head = JSON + _SOON if refusal.status == 429 else JSON
        exchange.reply(refusal.status, self.server.error_body(refusal.code, str(refusal)), head)

    def _linger(self) -> None:
        """Read no more requests."""
        self._lingering = True
        self.plain = False
        self._short = None

    def _end(self, *, linger: bool) -> None:
        """Close after what is written has left.

        After an answer, `linger`: what still comes is read and dropped for `linger_s`. Closing on bytes that were not read resets the
        connection, and a caller that was still sending would never see its answer.
        """
        transport = self.transport
        self._linger()
        self._forget_request()
        self._held.clear()
        if transport is None:
            return
        self._reads_on()
        self._linger_until = self._loop.time() + self._limits.keep_alive_s
        if linger and transport.can_write_eof():
            if self._paused:
                transport.resume_reading()
            transport.write_eof()
            self._arm(self._limits.linger_s)
        else:
            self._arm(self._limits.keep_alive_s)  # a reader that reads nothing meanwhile is cut then
            transport.close()

    def close_if_idle(self) -> None:
        """Close unless a request is being read or answered."""
        self.plain = False
        self._short = None
        if self._active is None and self._exchange is None and not (self._in_head or self._ready or self._held):
            self._end(linger=False)

    def abort(self) -> None:
        """Cut the connection at once."""
        self._linger()
        if self.transport is not None:
            self.transport.abort()
        self._drop_exchanges()

    def _drop_exchanges(self) -> None:
        exchange, self._active = self._active, None
        self._forget_request()
        self._held.clear()
        if exchange is not None:
            exchange.connection = None
            exchange.flow = None
            if (on_gone := exchange.on_gone) is not None:
                exchange.on_gone = None
                on_gone()

    # -- time --

    def _arm(self, seconds: float) -> None:
        self._deadline = deadline = self._loop.time() + seconds
        if deadline < self._timer.at:
            self._timer.tighten(deadline)

    def _limit(self) -> float:
        return self._deadline if self._active is None or self._lingering else math.inf

    def _reads_on(self) -> bool:
        """Whether the caller has read of its answers since this was last asked."""
        before, self._unread = self._unread, self.transport.get_write_buffer_size() if self.transport is not None else 0
        return self._unread < before

    def _expired(self) -> None:
        transport = self.transport
        if transport is None:
            return
        if self._lingering:
            if self._reads_on():
                self._linger_until = self._loop.time() + self._limits.keep_alive_s
            if self._unread and self._loop.time() < self._linger_until:
                self._arm(self._limits.linger_s)  # the caller is still reading its answer
            else:
                transport.abort()
        elif self.stalled:
            if self._reads_on():
                self._arm(self._limits.keep_alive_s)
            else:
                self.abort()
        elif self._exchange is not None:
            self._refuse(rules.body_too_slow(self._limits))
        elif self._in_head:
            self._refuse(rules.head_too_slow(self._limits))
        else:
            self._end(linger=False)
