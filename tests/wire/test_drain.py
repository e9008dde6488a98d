"""Ending a server: what was begun is answered, what is idle is closed, what is new is refused."""

import asyncio

import pytest
from tests.wire.serving import PATIENCE_S, Caller, answer_ok, serving, until
from tests.wire.test_exchange import Keeper

from switchgear.wire.address import bind, bound_address, parse_address
from switchgear.wire.model import Limits
from switchgear.wire.server import Server

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def draining(server: Server, grace_s: float = PATIENCE_S) -> "asyncio.Task[bool]":
    return asyncio.get_running_loop().create_task(server.drain(grace_s))


async def test_calls_in_flight_end_and_their_connections_close() -> None:
    keeper = Keeper()
    server = Server(keeper)
    async with serving(server) as address, Caller(address) as whole, Caller(address) as stream:
        await whole.send(GET)
        await stream.send(GET)
        one, two = await keeper.next(1), await keeper.next(2)
        two.start(200)
        two.write(b"one ")
        drain = draining(server)
        await asyncio.sleep(0)
        one.reply(200, b"whole")
        answer = await whole.answer()
        assert (answer.body, answer.headers["connection"]) == (b"whole", "close")
        assert await whole.ended() == b""
        assert not drain.done()
        two.finish(b"two")
        assert (await stream.answer()).body == b"one two"
        assert await stream.ended() == b""
        for caller in (whole, stream):
            caller.writer.close()
        assert await drain
        assert not server.connections


async def test_idle_connections_close_at_once() -> None:
    server = Server(answer_ok)
    async with serving(server) as address, Caller(address) as fresh, Caller(address) as used:
        await used.send(GET)
        await used.answer()
        await until(lambda: len(server.connections) == 2)
        assert await draining(server)
        assert await fresh.ended() == b""
        assert await used.ended() == b""


async def test_nobody_new_is_let_in() -> None:
    keeper = Keeper()
    server = Server(keeper)
    async with serving(server) as address, Caller(address) as caller:
        await caller.send(GET)
        exchange = await keeper.next()
        drain = draining(server)
        await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            await Caller(address).__aenter__()
        exchange.reply(200, b"")
        caller.writer.close()
        assert await drain


async def test_a_request_that_was_still_being_sent_is_refused_when_it_is_whole() -> None:
    keeper = Keeper()
    server = Server(keeper)
    async with serving(server) as address, Caller(address) as caller:
        await caller.send(GET[:10])
        await until(lambda: any(connection._in_head for connection in server.connections))
        drain = draining(server)
        await asyncio.sleep(0)
        await caller.send(GET[10:])
        answer = await caller.answer()
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        assert b'"draining"' in answer.body
        assert answer.headers["retry-after"] == "1"
        assert await caller.ended() == b""
        assert keeper.kept == []
        caller.writer.close()
        assert await drain


async def test_requests_pipelined_behind_one_in_flight_are_not_begun() -> None:
    keeper = Keeper()
    server = Server(keeper)
    async with serving(server) as address, Caller(address) as caller:
        await caller.send(GET * 3)
        exchange = await keeper.next()
        drain = draining(server)
        await asyncio.sleep(0)
        exchange.reply(200, b"first")
        assert (await caller.answer()).body == b"first"
        assert await caller.ended() == b""
        assert len(keeper.kept) == 1
        caller.writer.close()
        assert await drain


async def test_what_outlasts_the_grace_is_cut_and_told() -> None:
    keeper = Keeper()
    server = Server(keeper)
    gone: list[str] = []
    async with serving(server) as address, Caller(address) as caller:
        await caller.send(GET)
        exchange = await keeper.next()
        exchange.on_gone = lambda: gone.append("gone")
        assert not await draining(server, 0.05)
        assert gone == ["gone"]
        with pytest.raises(EOFError):
            await caller.head()


async def test_a_caller_that_keeps_its_side_open_does_not_hold_up_the_end_for_long() -> None:
    keeper = Keeper()
    server = Server(keeper, limits=Limits(linger_s=0.1))
    async with serving(server) as address, Caller(address) as caller:
        await caller.send(GET)
        exchange = await keeper.next()
        drain = draining(server)
        await asyncio.sleep(0)
        exchange.reply(200, b"")
        assert await drain


async def test_several_sockets_one_server() -> None:
    server = Server(answer_ok)
    sockets = [bind(parse_address("127.0.0.1:0")) for _ in range(2)]
    addresses = [bound_address(sock) for sock in sockets]
    for sock in sockets:
        await server.listen(sock)
    for address in addresses:
        async with Caller(address) as caller:
            await caller.send(GET)
            assert (await caller.answer()).status == 200
    assert await draining(server)
    for address in addresses:
        with pytest.raises(ConnectionRefusedError):
            await Caller(address).__aenter__()


async def test_close_cuts_everything_and_may_be_called_again() -> None:
    keeper = Keeper()
    server = Server(keeper)
    async with serving(server) as address, Caller(address) as caller:
        await caller.send(GET)
        exchange = await keeper.next()
        await server.close()
        assert not exchange.open
        await server.close()
        with pytest.raises(EOFError):
            await caller.head()
