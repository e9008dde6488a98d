"""Expect: 100-continue (RFC 9110, 10.1.1): the body is asked for when it is this request's turn, and not when it would be refused."""

import pytest
from tests.wire.serving import Caller, answer_ok, serving
from tests.wire.test_exchange import Keeper

from switchgear.wire.errors import RefusedRequest
from switchgear.wire.exchange import Exchange
from switchgear.wire.model import Limits
from switchgear.wire.server import Server

EXPECTING = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"


async def test_the_body_is_asked_for() -> None:
    keeper = Keeper()
    async with serving(Server(keeper)) as address, Caller(address) as caller:
        for count in (1, 2):
            await caller.send(EXPECTING + b"Content-Length: 5\r\n\r\n")
            assert (await caller.answer()).status == 100
            assert len(keeper.kept) == count - 1
            await caller.send(b"hello")
            exchange = await keeper.next(count)
            assert exchange.body == b"hello"
            exchange.reply(200, b"")
            assert (await caller.answer()).status == 200


async def test_a_body_in_chunks_is_asked_for_once() -> None:
    keeper = Keeper()
    async with serving(Server(keeper)) as address, Caller(address) as caller:
        await caller.send(EXPECTING + b"Transfer-Encoding: chunked\r\n\r\n")
        assert (await caller.answer()).status == 100
        await caller.send(b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", 4)
        (await keeper.next()).reply(200, b"")
        assert (await caller.answer()).status == 200


async def test_a_body_that_comes_along_is_not_asked_for() -> None:
    async with serving(Server(answer_ok)) as address, Caller(address) as caller:
        await caller.send(EXPECTING + b"Content-Length: 5\r\n\r\nhello")
        assert (await caller.answer()).status == 200


async def test_nothing_is_asked_for_where_there_is_no_body() -> None:
    async with serving(Server(answer_ok)) as address, Caller(address) as caller:
        await caller.send(EXPECTING + b"\r\n")
        assert (await caller.answer()).status == 200


async def test_http_1_0_is_never_asked() -> None:
    async with serving(Server(answer_ok)) as address, Caller(address) as caller:
        await caller.send(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        await caller.send(b"hello")
        assert (await caller.answer()).status == 200


async def test_a_body_that_would_be_too_large_is_refused_before_it_is_sent() -> None:
    async with serving(Server(answer_ok, limits=Limits(body_bytes=10))) as address, Caller(address) as caller:
        await caller.send(EXPECTING + b"Content-Length: 11\r\n\r\n")
        assert (await caller.answer()).status == 413
        assert await caller.ended() == b""


async def test_a_caller_that_may_not_call_is_refused_before_it_sends_its_body() -> None:
    def check(exchange: Exchange) -> RefusedRequest | None:
        if b"authorization" in exchange.headers:
            return None
        return RefusedRequest(401, "no_key", "No key.")

    keeper = Keeper()
    async with serving(Server(keeper, check_head=check)) as address:
        async with Caller(address) as caller:
            await caller.send(EXPECTING + b"Content-Length: 5\r\n\r\n")
            answer = await caller.answer()
            assert (answer.status, answer.headers["connection"]) == (401, "close")
            assert b'"no_key"' in answer.body
            assert await caller.ended() == b""
            assert keeper.kept == []
        async with Caller(address) as caller:
            await caller.send(EXPECTING + b"Authorization: Bearer x\r\nContent-Length: 5\r\n\r\n")
            assert (await caller.answer()).status == 100


@pytest.mark.parametrize("together", [True, False])
async def test_in_a_pipeline_the_body_is_asked_for_after_the_answer_in_front(together: bool) -> None:
    keeper = Keeper()
    first = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    second = EXPECTING + b"Content-Length: 5\r\n\r\n"
    async with serving(Server(keeper)) as address, Caller(address) as caller:
        if together:
            await caller.send(first + second)
            await keeper.next()
        else:
            await caller.send(first)
            await keeper.next()
            await caller.send(second)
        keeper.kept[0].reply(200, b"first")
        assert (await caller.answer()).body == b"first"
        assert (await caller.answer()).status == 100
        await caller.send(b"hello")
        (await keeper.next(2)).reply(200, b"second")
        assert (await caller.answer()).body == b"second"


async def test_in_a_pipeline_a_body_too_large_is_refused_after_the_answer_in_front() -> None:
    keeper = Keeper()
    async with serving(Server(keeper, limits=Limits(body_bytes=10))) as address, Caller(address) as caller:
        await caller.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + EXPECTING + b"Content-Length: 11\r\n\r\n")
        (await keeper.next()).reply(200, b"first")
        assert (await caller.answer()).body == b"first"
        assert (await caller.answer()).status == 413
        assert await caller.ended() == b""
        assert len(keeper.kept) == 1
