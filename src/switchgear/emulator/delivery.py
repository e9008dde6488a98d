"""Sends one answer as its tokens come due, whole or streamed, well or as its faults have it."""

import asyncio
import contextlib
import math
import socket
import struct

from switchgear.core.clock import Clock
from switchgear.emulator.behaviour import Behaviour, Breakage
from switchgear.emulator.calls import Call, Calls
from switchgear.emulator.driver import Progress
from switchgear.emulator.presence import Presence
from switchgear.emulator.shapes import WholeWriter, Writer
from switchgear.emulator.streaming import Streaming, due_s
from switchgear.wire.exchange import JSON, Exchange

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER, on, 0 seconds: closing sends RST (socket(7))."""


class _Gate:
    """Lets a stream wait for a slow reader. Implements `switchgear.wire.model.Flow`."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()

    def pause(self) -> None:
        self._open.clear()

    def resume(self) -> None:
        self._open.set()

    async def passed(self) -> None:
        """Wait until the reader has read enough."""
        await self._open.wait()


class Delivery:
    """One answer on its way."""

    def __init__(
        self,
        exchange: Exchange,
        behaviour: Behaviour,
        call: Call,
        calls: Calls,
        clock: Clock,
        presence: Presence | None = None,
    ) -> None:
        self._exchange = exchange
        self._behaviour = behaviour
        self._call = call
        self._calls = calls
        self._clock = clock
        self._presence = presence

    async def whole(self, progress: Progress, writer: WholeWriter) -> None:
        """Wait for the last token and send one body."""
        while not all(progress.ended):
            await progress.news()
            if progress.lost:
                self._gone()
                return
        ready_s = due_s(self._behaviour, progress.started_s, max(progress.ended_s))
        await asyncio.sleep(max(0.0, ready_s - self._clock.monotonic_s()))
        if not await self._passes():
            return
        self._call.first_token_s = self._clock.monotonic_s()
        breakage = self._behaviour.breakage
        body = writer.whole()
        if self._behaviour.malformed_body or (breakage and breakage.kind in ("end_early", "malformed_event")):
            self._reply_malformed(body)
        elif breakage is not None:
            await self._break_body(body, breakage)
        else:
            self._call.sent_tokens = writer.answer.completion_tokens
            self._exchange.reply(200, body)
            self._end("finished")

    async def stream(self, progress: Progress, writer: Writer) -> None:
        """Send each token as an event when it is due."""
        if self._behaviour.malformed_body:
            self._reply_malformed(writer.whole())
            return
        gate = _Gate()
        self._exchange.flow = gate
        self._exchange.start(200)
        streaming = Streaming(writer, progress, self._behaviour)
        while not streaming.ended:
            if not await self._passes():
                return
            data, broken, next_s = streaming.due(self._clock.monotonic_s())
            self._call.first_token_s, self._call.sent_tokens = streaming.begun_s, streaming.sent_tokens
            if data:
                self._exchange.write(data)
            if broken is not None:
                await self._break_stream(broken)
                return
            await gate.passed()
            if progress.lost:
                self._gone()
                return
            if not streaming.ended:
                await self._wait(progress, next_s)
        last = writer.last() if self._behaviour.done else b""
        self._exchange.finish(writer.closing() + last)
        self._end("finished" if last else "broken")

    async def _passes(self) -> bool:
        """Wait while the link is silent. False where it is down otherwise: the answer is cut."""
        if self._presence is not None and not await self._presence.reached():
            self._gone()
            return False
        return True

    def _gone(self) -> None:
        """The device went away under the answer."""
        self._end("broken")
        reset(self._exchange)

    async def _wait(self, progress: Progress, next_s: float) -> None:
        """Until there is news of the engine or `next_s` has come."""
        wait_s = None if next_s == math.inf else max(0.0, next_s - self._clock.monotonic_s())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await progress.news()

    async def _break_stream(self, breakage: Breakage) -> None:
        match breakage.kind:
            case "end_early":
                self._exchange.finish()
                self._end("broken")
            case "cut":
                self._cut()
            case _:
                await asyncio.get_running_loop().create_future()  # until the caller hangs up

    async def _break_body(self, body: bytes, breakage: Breakage) -> None:
        """Send half of a body whose length is announced in full, then stall or close."""
        connection = self._exchange.connection
        if connection is not None:
            head = b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n" % (JSON, len(body))
            connection.write(head + body[: len(body) // 2])
        if breakage.kind == "cut":
            self._cut()
        else:
            await asyncio.get_running_loop().create_future()  # until the caller hangs up

    def _cut(self) -> None:
        """Close the connection after what is written, without an end of the answer."""
        self._end("broken")
        connection = self._exchange.connection
        if connection is not None:
            self._exchange.keep_alive = False
            connection.finished(self._exchange)

    def _reply_malformed(self, body: bytes) -> None:
        self._exchange.reply(200, body[: len(body) * 2 // 3])
        self._end("broken")

    def _end(self, outcome: str) -> None:
        self._calls.end(self._call, outcome, self._clock.monotonic_s())


def reset(exchange: Exchange) -> None:
    """Reset the connection: the caller sees ECONNRESET, not an orderly end."""
    connection = exchange.connection
    if connection is None:
        return
    transport = connection.transport
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    exchange.on_gone = None
    exchange.abort()
