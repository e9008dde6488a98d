"""An HTTP/1.1 client: pooled keep-alive connections to one origin, every time-out separate, answers pushed to a `Receiver`."""

import asyncio
import collections
import math
from typing import cast

import httptools

from switchgear.wire.errors import (
    AnswerTooLarge,
    Cancelled,
    ConnectTimeout,
    ExchangeError,
    FirstByteTimeout,
    IdleTimeout,
    PoolExhausted,
    ProtocolError,
    ResetError,
    TotalTimeout,
    Truncated,
)
from switchgear.wire.model import Receiver
from switchgear.wire.origin import Origin, connect

_HEAD_BYTES = 64 * 1024
"""An answer's head larger than this is refused."""


class Pool:
    """Connections to one origin: at most `size` at a time, an unused one is closed after `idle_s` seconds."""

    def __init__(self, origin: Origin, *, size: int = 1024, idle_s: float = 30.0) -> None:
        self.origin = origin
        self.size = size
        self.idle_s = idle_s
        self.opened = 0
        """Connections opened so far; with the number of requests it tells how well reuse works."""
        self._open: set[ClientConnection] = set()
        self._idle: collections.deque[ClientConnection] = collections.deque()
        self._pending = 0
        self._waiters: collections.deque[asyncio.Future[None]] = collections.deque()
        self._closed = False
        self._empty = asyncio.Event()

    @property
    def open(self) -> int:
        """Connections open or being opened."""
        return len(self._open) + self._pending

    def try_acquire(self) -> "ClientConnection | None":
        """An idle connection, the last used first, without waiting."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.usable:
                connection.idle = False
                return connection
        return None

    async def acquire(self, connect_s: float) -> "ClientConnection":
        """An idle connection, else a new one, else wait for one, all within `connect_s` seconds.

        Raises ConnectError, ConnectTimeout or PoolExhausted.
        """
        connection = self.try_acquire()
        if connection is not None:
            return connection
        opening = False
        try:
            async with asyncio.timeout(connect_s):
                while len(self._open) + self._pending >= self.size:
                    await self._wait()
                    connection = self.try_acquire()
                    if connection is not None:
                        return connection
                opening = True
                return await self._connect()
        except TimeoutError as error:
            where = self.origin.path or self.origin.authority
            if opening:
                raise ConnectTimeout(f"no connection to {where} within {connect_s:g} s") from error
            raise PoolExhausted(
                f"all {self.size} connections to {where} are in use and none came free within {connect_s:g} s"
            ) from error

    async def _wait(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif waiter.done() and not waiter.cancelled():
                self._wake_one()  # its turn goes to the next
            raise

    async def _connect(self) -> "ClientConnection":
        connection = ClientConnection(self, asyncio.get_running_loop())
        self._pending += 1
        try:
            await connect(self.origin, lambda: connection)
        except BaseException:
            self._wake_one()
            raise
        finally:
            self._pending -= 1
        self._open.add(connection)
        self._empty.clear()
        self.opened += 1
        if self._closed:
            connection.close()
        return connection

    def released(self, connection: "ClientConnection") -> None:
        """A connection's exchange ended well and it may be used again."""
        if self._closed:
            connection.close()
            return
        connection.idle = True
        self._idle.append(connection)
        if self._waiters:
            self._wake_one()

    def lost(self, connection: "ClientConnection") -> None:
        self._open.discard(connection)
        if not self._open:
            self._empty.set()
        if connection.idle:
            connection.idle = False
            self._idle.remove(connection)
        self._wake_one()

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def close_idle(self) -> None:
        """Take no connection back any more; those in use end their exchange first."""
        self._closed = True
        for connection in tuple(self._idle):
            connection.close()

    async def close(self) -> None:
        """Close every connection, those in use too."""
        self.close_idle()
        for connection in tuple(self._open):
            connection.close()
        if self._open:
            await self._empty.wait()


class ClientConnection(asyncio.Protocol):
    """One connection. At most one exchange at a time; after `send` the receiver hears of everything.

    Deadlines: the answer must begin within `first_s`, never stop for longer than `idle_s`, and be whole by `deadline` (event loop's time).
    What "begin" means is the receiver's to say if it sends with `hold_first`: then `begun()` ends that phase, else the first byte does.
    """

    __slots__ = (
        "_close_delimited",
        "_deadline",
        "_extra",
        "_first_at",
        "_head_bytes",
        "_head_ready",
        "_headers",
        "_hold_first",
        "_idle_s",
        "_in_head",
        "_last_s",
        "_loop",
        "_parser",
        "_parts",
        "_pool",
        "_receiver",
        "_reused",
        "_status",
        "_timer",
        "_timer_at",
        "_transport",
        "_whole",
        "idle",
        "received",
    )

    def __init__(self, pool: Pool, loop: asyncio.AbstractEventLoop) -> None:
        self._pool = pool
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._receiver: Receiver | None = None
        self._headers: dict[bytes, bytes] = {}
        self._status = 0
        self._head_bytes = 0
        self._head_ready = False
        self._in_head = False
        self._parts: list[bytes] = []
        self._whole = False
        self._extra = False
        self._close_delimited = False
        self._reused = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._first_at = math.inf
        self._hold_first = False
        self._idle_s = math.inf
        self._last_s = loop.time()
        self._deadline = math.inf
        self.idle = False
        self.received = 0
        """Bytes of the present answer received so far, head included."""

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    # -- for the one who sends --

    def send(
        self,
        request: bytes,
        receiver: Receiver,
        *,
        first_s: float,
        idle_s: float,
        deadline: float,
        hold_first: bool = False,
    ) -> None:
        """Send a whole request and push its answer to `receiver`. The connection goes back to its pool by itself."""
        now = self._loop.time()
        self._receiver = receiver
        self._whole = False
        self.received = 0
        self._idle_s = idle_s
        self._last_s = now
        self._first_at = now + first_s
        self._deadline = deadline
        self._hold_first = hold_first
        transport = self._transport
        if transport is None:
            self._loop.call_soon(self._fail, ResetError("the connection was closed before the request", reused=True))
            return
        transport.write(request)
        limit = self._limit()
        if limit < self._timer_at:
            self._arm(limit)

    def begun(self) -> None:
        """The answer has begun: from here on `idle_s` counts instead of `first_s`."""
        if self._first_at != math.inf:
            self._first_at = math.inf
            limit = self._limit()
            if limit < self._timer_at:
                self._arm(limit)

    def cancel(self) -> None:
        """End the exchange at once by closing the connection. The receiver hears nothing more."""
        self._receiver = None
        self.close()

    def pause(self) -> None:
        """Stop reading; the origin is stalled once the buffers between us are full. A stalled answer does not idle out."""
        if self._transport is not None and self._receiver is not None:
            self._transport.pause_reading()
            self._idle_s += 1e9

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None and self._receiver is not None:
            if self._idle_s >= 1e9:
                self._idle_s -= 1e9
            self._last_s = self._loop.time()
            self._transport.resume_reading()
            limit = self._limit()
            if limit < self._timer_at:
                self._arm(limit)

    def close(self) -> None:
        """Close; an exchange under way fails with `Cancelled`."""
        if self._receiver is not None:
            self._fail(Cancelled("the connection was closed on our side"))
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = math.inf
        receiver = self._receiver
        self._pool.lost(self)
        if receiver is None:
            return
        if self._close_delimited and exc is None and not self._in_head:
            self._receiver = None
            receiver.on_end()
        elif self.received == 0:
            self._fail(ResetError(f"{self._where()} closed the connection without an answer", reused=self._reused), exc)
        else:
            self._fail(Truncated(f"{self._where()} closed the connection within its answer"), exc)

    def data_received(self, data: bytes) -> None:
        receiver = self._receiver
        if receiver is None:
            self.close()  # bytes that nobody asked for: whatever they are, no later request may be answered by them
            return
        self.received += len(data)
        self._last_s = self._loop.time()
        if not self._hold_first and self._first_at != math.inf:
            self.begun()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            cause = error.__context__
            self._fail(
                cause
                if isinstance(cause, ExchangeError)
                else ProtocolError(f"{self._where()} does not speak HTTP/1.1: {error}"),
                error,
            )
            self.close()
            return
        if self._head_ready:
            self._head_ready = False
            receiver.on_head(self._status, self._headers)
        elif self._in_head and self.received > _HEAD_BYTES:
            self._fail(_head_too_large())
            self.close()
            return
        parts = self._parts
        if parts:
            self._parts = []
            if self._receiver is receiver:
                receiver.on_data(parts[0] if len(parts) == 1 else b"".join(parts))
        if self._whole and self._receiver is receiver:
            self._complete(receiver)

    def _complete(self, receiver: Receiver) -> None:
        self._receiver = None
        if self._extra or self._close_delimited or not self._parser.should_keep_alive():
            self.close()
        else:
            self._reused = True
            limit = self._last_s + self._pool.idle_s
            if limit < self._timer_at:
                self._arm(limit)
            self._pool.released(self)
        receiver.on_end()

    # -- httptools --

    def on_message_begin(self) -> None:
        if self._whole or self._receiver is None:
            self._extra = True
            return
        self._headers = {}
        self._head_bytes = 0
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > _HEAD_BYTES:
            raise _head_too_large()
        name = name.lower()
        headers = self._headers
        if name in headers:
            headers[name] += b", " + value
        else:
            headers[name] = value

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._extra or status < 200:  # 1xx: the answer proper is still to come
            return
        self._in_head = False
        self._status = status
        headers = self._headers
        self._close_delimited = (
            b"content-length" not in headers and b"transfer-encoding" not in headers and status not in (204, 304)
        )
        self._head_ready = True

    def on_body(self, body: bytes) -> None:
        if not self._extra:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        if not self._in_head:
            self._whole = True

    # -- failure and time --

    def _fail(self, error: ExchangeError, cause: BaseException | None = None) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            error.__cause__ = cause
            receiver.on_fault(error)

    def _where(self) -> str:
        return self._pool.origin.path or self._pool.origin.authority

    def _limit(self) -> float:
        if self._receiver is None:
            return self._last_s + self._pool.idle_s
        if self._first_at != math.inf:
            return min(self._first_at, self._deadline)
        return min(self._last_s + self._idle_s, self._deadline)

    def _arm(self, limit: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = limit
        self._timer = self._loop.call_at(limit, self._on_timer)

    def _on_timer(self) -> None:
        """The one timer fired; it may be early, since it is moved only to an earlier time."""
        self._timer = None
        self._timer_at = math.inf
        now = self._loop.time() + 0.001
        limit = self._limit()
        if now < limit:
            self._arm(limit)
            return
        if self._receiver is None:
            self.close()
            return
        where = self._where()
        if now >= self._deadline:
            self._fail(TotalTimeout(f"{where} had not answered in whole when its time was up"))
        elif self._first_at != math.inf:
            self._fail(FirstByteTimeout(f"{where} did not begin to answer in time"))
        else:
            self._fail(IdleTimeout(f"{where} stopped within its answer for {self._idle_s:g} s"))
        self.close()


def _head_too_large() -> AnswerTooLarge:
    return AnswerTooLarge(f"the head of the answer is larger than {_HEAD_BYTES} bytes")
