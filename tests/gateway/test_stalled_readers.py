"""A caller that does not read stalls its place, also after a rescue, and memory stays bounded; one that reads again gets all of it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.gateway.plane import KEY, Plane
from tests.gateway.recording import DONE, Recording, chunk, recording
from tests.wire.serving import Caller

from switchgear.core.record import Outcome
from switchgear.core.snapshot import Timeouts
from switchgear.wire.exchange import Exchange

TOTAL_BYTES = 40_000_000
"""More than all socket buffers on the way hold."""
PATIENT = Timeouts(first_token_s=5.0, idle_s=5.0, total_s=30.0)


class Fountain:
    """Writes the pieces of one long answer as fast as they are taken. A `switchgear.wire.model.Flow`."""

    def __init__(self, exchange: Exchange, size: int, cut_after: int | None) -> None:
        self.written = 0
        self.pieces = TOTAL_BYTES // size
        self._event = chunk({"content": "x" * size})
        self._exchange = exchange
        self._cut_after = cut_after
        self._paused = False
        exchange.flow = self
        exchange.start(200)
        self.resume()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        asyncio.get_running_loop().call_soon(self._pour)

    def _pour(self) -> None:
        if self._paused or not self._exchange.open:
            return
        if self.written == self._cut_after:
            self._exchange.abort()
        elif self.written < self.pieces:
            self.written += 1
            self._exchange.write(self._event)
            asyncio.get_running_loop().call_soon(self._pour)
        else:
            self._exchange.finish(chunk({}, "stop") + DONE)


class Springs:
    """A recording place whose answers are fountains; the first `cut` of them break after two pieces."""

    def __init__(self, size: int = 40_000, cut: int = 0) -> None:
        self.answers: list[Fountain] = []
        self._size = size
        self._cut = cut

    def __call__(self, exchange: Exchange) -> None:
        self.answers.append(Fountain(exchange, self._size, 2 if len(self.answers) < self._cut else None))


@pytest.fixture
async def place() -> AsyncIterator[Recording]:
    async with recording(Springs()) as made:
        yield made


async def settled(fountain: Fountain) -> int:
    """How many pieces were written once no more are."""
    async with asyncio.timeout(10.0):
        while True:
            before = fountain.written
            await asyncio.sleep(0.1)
            if fountain.written == before:
                return before


def held_bytes(plane: Plane) -> int:
    """What the gateway itself holds for its callers: its own write buffers."""
    transports = [connection.transport for connection in plane.server.connections]
    return sum(transport.get_write_buffer_size() for transport in transports if transport is not None)


def small_window(caller: Caller) -> None:
    caller.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)


async def read_all(caller: Caller) -> int:
    """The bytes of content in the rest of the stream, which must end well."""
    content, last = 0, b""
    while piece := await caller.chunk():
        content += piece.count(b"x")
        last = piece
    assert last.endswith(DONE)
    return content


def request() -> bytes:
    data = b'{"model":"chat","messages":[],"stream":true}'
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: {len(data)}\r\n\r\n"
    return head.encode() + data


async def check_stall(plane: Plane, springs: Any, number: int) -> None:
    """A caller reads nothing; then it reads everything."""
    async with Caller(plane.address) as caller:
        small_window(caller)
        await caller.send(request())
        await caller.head()
        async with asyncio.timeout(5.0):
            while len(springs.answers) < number:
                await asyncio.sleep(0.01)
        written = await settled(springs.answers[-1])
        assert written < springs.answers[-1].pieces * 0.8, "the place is stalled"
        assert held_bytes(plane) < 4 * 1024 * 1024
        assert await read_all(caller) >= TOTAL_BYTES
    record = await plane.record()
    assert record.outcome is Outcome.OK


@pytest.mark.parametrize("size", [40_000, 10_000], ids=["events in pieces", "whole events"])
async def test_a_caller_that_does_not_read_stalls_its_place(size: int) -> None:
    springs = Springs(size)
    async with (
        recording(springs) as place,
        Plane("a", urls={"a": place.base_url}, backends={"a": {"timeouts": PATIENT}}) as plane,
    ):
        await check_stall(plane, springs, 1)


async def test_a_stream_that_was_carried_on_stalls_too() -> None:
    springs = Springs(cut=1)
    async with (
        recording(springs) as place,
        Plane("a", urls={"a": place.base_url}, backends={"a": {"timeouts": PATIENT}}) as plane,
    ):
        await check_stall(plane, springs, 2)
        record = await plane.record()
    assert [attempt.kind for attempt in record.attempts] == ["first", "rescue"]


async def test_a_stream_that_breaks_while_its_caller_does_not_read_is_carried_on_no_faster_than_it_reads() -> None:
    timeouts = {"a": {"timeouts": Timeouts(first_token_s=5.0, total_s=0.4)}, "b": {"timeouts": PATIENT}}
    first, second = Springs(), Springs()
    async with (
        recording(first) as one,
        recording(second) as two,
        Plane("a", "b", urls={"a": one.base_url, "b": two.base_url}, backends=timeouts) as plane,
    ):
        await check_stall(plane, second, 1)
        assert first.answers[0].written < first.answers[0].pieces * 0.8
        assert [attempt.kind for attempt in (await plane.record()).attempts] == ["first", "rescue"]


async def test_a_stalled_stream_does_not_idle_out(place: Recording) -> None:
    short = Timeouts(first_token_s=5.0, idle_s=0.2, total_s=30.0)
    async with Plane("a", urls={"a": place.base_url}, backends={"a": {"timeouts": short}}) as plane:
        async with Caller(plane.address) as caller:
            small_window(caller)
            await caller.send(request())
            await caller.head()
            await settled(place.answer.answers[0])  # type: ignore[attr-defined]  # the fixture's answer is a Springs
            await asyncio.sleep(0.4)
            assert await read_all(caller) >= TOTAL_BYTES
        assert (await plane.record()).outcome is Outcome.OK


async def test_a_stalled_caller_that_hangs_up_frees_its_place(place: Recording) -> None:
    async with Plane("a", urls={"a": place.base_url}, backends={"a": {"timeouts": PATIENT}}) as plane:
        async with Caller(plane.address) as caller:
            small_window(caller)
            await caller.send(request())
            await caller.head()
            await settled(place.answer.answers[0])  # type: ignore[attr-defined]  # the fixture's answer is a Springs
        record = await plane.record()
        assert record.outcome is Outcome.CANCELLED
        async with asyncio.timeout(5.0):
            while place.requests[0].open:
                await asyncio.sleep(0.01)


async def test_one_stalled_caller_slows_no_other(place: Recording) -> None:
    backends = {"a": {"timeouts": PATIENT}}
    async with (
        Plane("a", "b", urls={"a": place.base_url}, backends=backends) as plane,
        Caller(plane.address) as caller,
    ):
        small_window(caller)
        await caller.send(request())
        await caller.head()
        await settled(place.answer.answers[0])  # type: ignore[attr-defined]  # the fixture's answer is a Springs
        for _ in range(5):
            assert await plane.stream(model="chat@b")
