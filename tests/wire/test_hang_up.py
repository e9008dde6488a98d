"""A caller that hangs up is noticed at once, whatever its connection is doing; what it asked for is told so once."""

import asyncio
import contextlib
import socket
import struct
from pathlib import Path

import pytest
from tests.wire.certificates import Authority
from tests.wire.serving import Caller, serving, until
from tests.wire.test_exchange import Keeper

from switchgear.wire.exchange import Exchange
from switchgear.wire.model import Limits
from switchgear.wire.server import Server

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Flow:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")


def watch(exchange: Exchange) -> list[str]:
    gone: list[str] = []
    exchange.on_gone = lambda: gone.append("gone")
    return gone


async def no_answer_begun(exchange: Exchange, caller: Caller) -> None:
    pass


async def streaming(exchange: Exchange, caller: Caller) -> None:
    exchange.start(200)
    exchange.write(b"data: 1\n\n")
    assert (await caller.head())[0] == 200
    assert await caller.chunk() == b"data: 1\n\n"


async def reader_stalls(exchange: Exchange, caller: Caller) -> None:
    flow = Flow()
    exchange.flow = flow
    exchange.start(200)
    while not exchange.stalled:
        exchange.write(b"x" * 100_000)
        await asyncio.sleep(0)
    assert flow.calls == ["pause"]


async def next_requests_are_held(exchange: Exchange, caller: Caller) -> None:
    await caller.send(GET * 1000 + b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 900_000)


STATES = [no_answer_begun, streaming, reader_stalls, next_requests_are_held]


def close(caller: Caller) -> None:
    caller.writer.transport.close()


def close_one_side(caller: Caller) -> None:
    caller.writer.write_eof()


def reset(caller: Caller) -> None:
    sock = caller.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    caller.writer.transport.abort()


@pytest.mark.parametrize("end", [close, close_one_side, reset])
@pytest.mark.parametrize("state", STATES)
async def test_the_exchange_hears_that_its_caller_is_gone(state, end) -> None:
    keeper = Keeper()
    server = Server(keeper)
    async with serving(server) as address, Caller(address) as caller:
        await caller.send(GET)
        exchange = await keeper.next()
        gone = watch(exchange)
        await state(exchange, caller)
        assert gone == []
        end(caller)
        await until(lambda: gone)
        assert not exchange.open
        assert exchange.flow is None
        exchange.write(b"too late")
        exchange.finish()
        exchange.reply(200, b"too late")
        await until(lambda: not server.connections)
        assert gone == ["gone"]
        assert len(keeper.kept) == 1


@pytest.mark.parametrize("end", [close, reset])
@pytest.mark.parametrize("state", STATES)
async def test_over_tls_too(state, end, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    keeper = Keeper()
    server = Server(keeper)
    async with serving(server, tls=authority.server()) as address, Caller(address, authority.client()) as caller:
        await caller.send(GET)
        exchange = await keeper.next()
        gone = watch(exchange)
        await state(exchange, caller)
        end(caller)
        await until(lambda: gone)
        await until(lambda: not server.connections)
        assert gone == ["gone"]


async def test_over_a_unix_socket_too(tmp_path: Path) -> None:
    keeper = Keeper()
    async with serving(Server(keeper), f"unix:{tmp_path}/s") as address, Caller(address) as caller:
        await caller.send(GET)
        gone = watch(await keeper.next())
        close(caller)
        await until(lambda: gone)


async def test_a_caller_that_hangs_up_within_its_request_disturbs_nobody() -> None:
    keeper = Keeper()
    server = Server(keeper)
    async with serving(server) as address:
        for data in (b"", b"GE", GET[:-2], b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhel"):
            async with Caller(address) as caller:
                await caller.send(data)
                await until(lambda: server.connections)
                await asyncio.sleep(0.01)
                caller.writer.write_eof()
                assert await caller.ended() == b""
            await until(lambda: not server.connections)
        assert keeper.kept == []
        assert not server.refused


async def test_a_caller_that_sends_all_and_closes_its_side_gets_what_was_answered_at_once() -> None:
    def handler(exchange: Exchange) -> None:
        exchange.reply(200, exchange.target)

    async with serving(Server(handler)) as address, Caller(address) as caller:
        caller.writer.write(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        caller.writer.write_eof()
        assert [(await caller.answer()).body, (await caller.answer()).body] == [b"/1", b"/2"]
        assert await caller.ended() == b""


async def test_a_finished_exchange_hears_nothing_of_the_end_of_its_connection() -> None:
    keeper = Keeper()
    server = Server(keeper)
    async with serving(server) as address, Caller(address) as caller:
        await caller.send(GET)
        exchange = await keeper.next()
        gone = watch(exchange)
        exchange.reply(200, b"")
        await caller.answer()
        close(caller)
        await until(lambda: not server.connections)
        assert gone == []


async def test_what_is_held_behind_an_unanswered_request_is_bounded() -> None:
    keeper = Keeper()
    limits = Limits(body_bytes=300_000, write_buffer_bytes=1024)
    server = Server(keeper, limits=limits)
    async with serving(server) as address, Caller(address) as caller:
        await caller.send(GET)
        exchange = await keeper.next()

        async def flood() -> None:
            while True:
                caller.writer.write(GET * 1000)
                await caller.writer.drain()

        flooding = asyncio.get_running_loop().create_task(flood())
        (connection,) = server.connections
        await until(lambda: connection._paused)
        assert len(connection._held) <= 300_000 + limits.header_bytes + 256 * 1024
        flooding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await flooding
        exchange.reply(200, b"")
        for count in range(2, 300):  # and reading goes on when there is room again
            (await keeper.next(count)).reply(200, b"")


async def test_after_a_last_answer_reading_goes_on_so_that_the_end_is_noticed() -> None:
    keeper = Keeper()
    server = Server(keeper, limits=Limits(body_bytes=300_000, linger_s=60.0))
    async with serving(server) as address:
        async with Caller(address) as caller:
            await caller.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            exchange = await keeper.next()
            (connection,) = server.connections
            while not connection._paused:
                caller.writer.write(b"x" * 100_000)
                await asyncio.sleep(0)
            exchange.reply(200, b"last")
            assert (await caller.answer()).body == b"last"
            assert await caller.ended() == b""
        await until(lambda: not server.connections)
