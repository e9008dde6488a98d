"""One connection to an origin: a request goes out, its answer is pushed to a `Receiver`, every time-out is separate."""

import asyncio
import math
from typing import TYPE_CHECKING, cast

import httptools

from switchgear.wire.errors import (
    AnswerTooLarge,
    Cancelled,
    ExchangeError,
    FirstByteTimeout,
    IdleTimeout,
    ProtocolError,
    ResetError,
    TotalTimeout,
    Truncated,
)
from switchgear.wire.express import LONGEST_LENGTH, ResponseLane
from switchgear.wire.model import OnChunk, OnWhole, Receiver, WholeReceiver
from switchgear.wire.timer import LazyTimer

if TYPE_CHECKING:
    from switchgear.wire.client import Pool

_HEAD_BYTES = 64 * 1024
"""An answer's head larger than this is refused."""


_SIZES = {b"%x\r\n" % size: size for size in range(1, 2048)}
"""Sizes of chunks as we write them ourselves, for a chunk that one read brings whole. Any other goes the long way, through llhttp."""


class ClientConnection(asyncio.Protocol):
    """One connection. At most one exchange at a time; after `send` the receiver hears of everything.

    Deadlines: the answer must begin within `first_s`, never stop for longer than `idle_s`, and be whole by `deadline`
    (event loop's time).
    What "begin" means is the receiver's to say if it sends with `hold_first`: then `begun()` ends that phase, else the first byte does.
    """

    __slots__ = (
        "_boundary",
        "_close_delimited",
        "_deadline",
        "_ended",
        "_extra",
        "_first_at",
        "_head_bytes",
        "_head_only",
        "_head_ready",
        "_headers",
        "_hold_first",
        "_idle_s",
        "_in_head",
        "_keep",
        "_lane",
        "_last_s",
        "_loop",
        "_on_chunk",
        "_on_whole",
        "_parser",
        "_parts",
        "_paused_s",
        "_pool",
        "_receiver",
        "_reused",
        "_status",
        "_timer",
        "_transport",
        "_whole",
        "idle",
        "received",
        "usable",
    )

    def __init__(self, pool: "Pool", loop: asyncio.AbstractEventLoop) -> None:
        self._pool = pool
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._lane = ResponseLane()
        self._on_chunk: OnChunk | None = None
        self._boundary = False
        """Whether llhttp stands between two chunks, having read everything so far."""
        self._transport: asyncio.Transport | None = None
        self._receiver: Receiver | None = None
        self._on_whole: OnWhole | None = None
        self._reused = False
        # the answer
        self._headers: dict[bytes, bytes] = {}
        self._status = 0
        self._head_bytes = 0
        self._in_head = False
        self._head_ready = False
        self._head_only = False  # it answers HEAD: whatever length it names, no body follows
        self._close_delimited = False
        self._parts: list[bytes] = []
        self._whole = False
        self._keep = False  # the connection may serve again
        self._extra = False  # more came than was asked for
        self._ended = False  # the origin has closed its side
        # time
        self._first_at = math.inf
        self._hold_first = False
        self._idle_s = math.inf
        self._last_s = loop.time()
        self._deadline = math.inf
        self._paused_s: float | None = None
        self._timer = LazyTimer(loop, self._limit, self._expired)
        self.idle = False
        self.usable = False
        """Whether it is open, and neither side has closed it."""
        self.received = 0
        """Bytes of the present answer received so far, head included."""

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
        self._on_whole = getattr(receiver, "on_whole", None)
        self._idle_s = idle_s
        self._last_s = now
        self._first_at = now + first_s
        self._deadline = deadline
        self._hold_first = hold_first
        if request.startswith(b"HEAD "):
            self._head_only = True
            self._on_whole = None
        self._write(request)

    def send_whole(self, request: bytes, receiver: WholeReceiver, deadline: float) -> None:
        """`send` for an answer that may come at any time until `deadline`. Not for HEAD."""
        self._receiver = receiver
        self._on_whole = receiver.on_whole
        self._deadline = deadline
        transport = self._transport
        if transport is None:
            self._write(request)
            return
        transport.write(request)
        if deadline < self._timer.at:
            self._watch()

    def _write(self, request: bytes) -> None:
        transport = self._transport
        if transport is None:
            error = ResetError(f"{self._where()} closed the connection before the request", reused=self._reused)
            self._loop.call_soon(self._fail, error)
            return
        transport.write(request)
        if (self._first_at if self._first_at < self._deadline else self._deadline) < self._timer.at:
            self._watch()

    def chunks_to(self, on_chunk: OnChunk | None) -> None:
        """From now on, for the present answer: a read that brings one whole chunk and nothing else is given to `on_chunk`.

        Where that returns False it goes the long way, to `on_data`.
        """
        self._on_chunk = on_chunk

    def begun(self) -> None:
        """The answer has begun: from here on `idle_s` counts instead of `first_s`."""
        if self._first_at != math.inf:
            self._first_at = math.inf
            if self._transport is not None:
                self._watch()

    def cancel(self, receiver: Receiver | None = None) -> None:
        """End the exchange at once by closing the connection. The receiver hears nothing more.

        With `receiver`, only if the present exchange is still that receiver's: an exchange that has just ended may have
        given its connection to another.
        """
        if receiver is None or receiver is self._receiver:
            self._receiver = self._on_chunk = None
            self.close()

    def pause(self) -> None:
        """Stop reading; the origin is stalled once the buffers between us are full. A stalled answer does not idle out."""
        if self._transport is not None and self._receiver is not None and self._paused_s is None:
            self._transport.pause_reading()
            self._paused_s = self._loop.time()

    def resume(self) -> None:
        """Read again."""
        paused_s, self._paused_s = self._paused_s, None
        if self._transport is not None and paused_s is not None:
            self._last_s = self._loop.time()
            self._first_at += self._last_s - paused_s
            self._transport.resume_reading()
            self._watch()

    def close(self) -> None:
        """Close; an exchange under way fails with `Cancelled`."""
        if self._receiver is not None:
            self._fail(Cancelled("the connection was closed on our side"))
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.usable = True

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.usable = False
        self._timer.stop()
        receiver = self._receiver
        self._pool.lost(self)
        if receiver is None:
            return
        if self._close_delimited and self._ended and not self._in_head:
            self._receiver = None
            receiver.on_end()
        elif self.received == 0:
            self._fail(ResetError(f"{self._where()} closed the connection without an answer", reused=self._reused), exc)
        else:
            self._fail(Truncated(f"{self._where()} closed the connection within its answer"), exc)

    def eof_received(self) -> None:
        """The origin closed its side. Under TLS it must say so: the mere end of the TCP connection, which anyone can cause, is not told."""
        self._ended = True
        self.usable = False

    def data_received(self, data: bytes) -> None:
        on_chunk = self._on_chunk
        if on_chunk is not None and self._boundary:
            begin = data.find(b"\n", 0, 5) + 1
            size = _SIZES.get(data[:begin])
            if size is not None:
                end = begin + size
                if end + 2 == len(data) and data.endswith(b"\r\n") and on_chunk(data, begin, end):
                    self._last_s = self._loop.time()
                    return
        receiver = self._receiver
        if receiver is None:
            self.close()  # bytes that nobody asked for: whatever they are, no later request may be answered by them
            return
        self._last_s = self._loop.time()
        on_whole = self._on_whole
        if on_whole is not None:
            self._on_whole = None  # either this read brings the whole answer, or it goes the long way
            known = self._lane.known
            if known is not None and data.startswith(known.before):
                start = known.start
                end = data.find(b"\r", start, start + LONGEST_LENGTH + 1)
                if data.startswith(known.after, end):
                    length = data[start:end]
                    body = data[end + known.rest :]
                    if length.isdigit() and int(length) == len(body):
                        self._receiver = None
                        pool = self._pool
                        if self._reused and not pool.in_demand and self._last_s + pool.idle_s >= self._timer.at:
                            self.idle = True  # as `_give_back` has it
                            pool.idle.append(self)
                        else:
                            self._give_back()
                        on_whole(200, known.headers, body)
                        return
            read = self._lane.read(data)
            if read is not None:
                self._receiver = None
                self._give_back()
                on_whole(200, *read)
                return
        self.received += len(data)
        if not self._hold_first and self._first_at != math.inf:
            self.begun()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._whole:
                self._fail(self._fault_for(error), error)
                self.close()
                return
            self._extra = True
        if self._boundary and data[-2:] != b"\r\n":  # the next chunk's size has begun
            self._boundary = False
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

    def _fault_for(self, error: Exception) -> ExchangeError:
        cause = error.__context__
        if isinstance(cause, ExchangeError):
            return cause
        return ProtocolError(f"{self._where()} does not speak HTTP/1.1: {error}")

    def _complete(self, receiver: Receiver) -> None:
        self._receiver = None
        if self._extra or not self._keep:
            self.close()
        else:
            if self._head_only:
                self._parser = httptools.HttpResponseParser(self)  # the old one still waits for the body
                self._head_only = False
            if self._paused_s is not None:
                self.resume()
            self._whole = False
            self.received = 0
            self._first_at = self._idle_s = math.inf
            self._hold_first = False
            self._give_back()
        receiver.on_end()

    def _give_back(self) -> None:
        self._reused = True
        pool = self._pool
        if pool.in_demand:
            pool.released(self)
        else:
            self.idle = True
            pool.idle.append(self)
        if self._last_s + pool.idle_s < self._timer.at:
            self._watch()

    # -- httptools --

    def on_message_begin(self) -> None:
        if self._whole or self._receiver is None:
            self._extra = True
            return
        self._headers = {}
        self._head_bytes = 0
        self._in_head = True
        self._boundary = False
        self._on_chunk = None

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > _HEAD_BYTES:
            raise _head_too_large()
        name = name.lower()
        headers = self._headers
        if name in headers:
            headers[name] += b", " + value.rstrip()
        else:
            headers[name] = value.rstrip()

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._extra:
            return
        if status < 200:
            if status < 100 or b"content-length" in self._headers or b"transfer-encoding" in self._headers:
                raise ProtocolError(f"{self._where()} gave an interim answer with status {status} or with a body")
            return  # the answer proper is still to come
        self._in_head = False
        self._status = status
        self._head_ready = True
        headers = self._headers
        self._close_delimited = False
        if self._head_only:
            self._whole = True
            self._keep = self._parser.should_keep_alive()
        elif b"content-length" not in headers and status not in (204, 304):
            coding = headers.get(b"transfer-encoding", b"identity").lower()
            if coding == b"identity":
                self._close_delimited = True
            elif coding != b"chunked":
                raise ProtocolError(f"{self._where()} uses a transfer coding other than chunked: {coding[:40]!r}")

    def on_chunk_header(self) -> None:
        self._boundary = False

    def on_chunk_complete(self) -> None:
        self._boundary = not self._whole

    def on_body(self, body: bytes) -> None:
        if self._whole:
            self._extra = True
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        self._boundary = False
        if not (self._in_head or self._whole):
            self._whole = True
            self._keep = self._parser.should_keep_alive()

    # -- failure and time --

    def _fail(self, error: ExchangeError, cause: BaseException | None = None) -> None:
        receiver, self._receiver = self._receiver, None
        self._on_chunk = None
        if receiver is not None:
            error.__cause__ = cause
            receiver.on_fault(error)

    def _where(self) -> str:
        return self._pool.origin.path or self._pool.origin.authority

    def _limit(self) -> float:
        if self._receiver is None:
            return self._last_s + self._pool.idle_s
        if self._paused_s is not None:
            return self._deadline
        if self._first_at != math.inf:
            return min(self._first_at, self._deadline)
        return min(self._last_s + self._idle_s, self._deadline)

    def _watch(self) -> None:
        limit = self._limit()
        if limit < self._timer.at:
            self._timer.tighten(limit)

    def _expired(self) -> None:
        where = self._where()
        if self._receiver is None:
            pass
        elif self._loop.time() + 0.001 >= self._deadline:
            self._fail(TotalTimeout(f"{where} had not answered in whole when its time was up"))
        elif self._first_at != math.inf:
            self._fail(FirstByteTimeout(f"{where} did not begin to answer in time"))
        else:
            self._fail(IdleTimeout(f"{where} stopped within its answer for {self._idle_s:g} s"))
        self.close()


def _head_too_large() -> AnswerTooLarge:
    return AnswerTooLarge(f"the head of the answer is larger than {_HEAD_BYTES} bytes")
