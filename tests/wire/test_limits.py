"""Each limit has its own status and code, closes the connection, and is counted."""

import asyncio
import json

import pytest
from tests.wire.serving import Caller, answer_ok, serving, until
from tests.wire.test_exchange import Keeper

from switchgear.wire.model import Limits
from switchgear.wire.server import Server

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"
SHORT = Limits(head_s=0.15, body_idle_s=0.15, keep_alive_s=0.15, linger_s=0.15)


LIMIT = {
    "header_too_large": "header_bytes",
    "too_many_headers": "header_count",
    "body_too_large": "body_bytes",
    "head_timeout": "head_s",
    "body_timeout": "body_idle_s",
}


@pytest.mark.parametrize(
    ("limits", "data", "status", "code"),
    [
        (Limits(header_bytes=200), HEAD + b"X: " + b"y" * 200 + b"\r\n\r\n", 431, "header_too_large"),
        (Limits(header_bytes=200), b"GET /" + b"y" * 200 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431, "header_too_large"),
        (Limits(header_count=3), HEAD + b"X: y\r\nX: y\r\nZ: w\r\n\r\n", 431, "too_many_headers"),
        (Limits(body_bytes=4), HEAD + b"Content-Length: 5\r\n\r\n", 413, "body_too_large"),
        (Limits(body_bytes=4), HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello", 413, "body_too_large"),
        (SHORT, b"POST / HTTP/1.1\r\nHo", 408, "head_timeout"),
        (SHORT, HEAD + b"Content-Length: 5\r\n\r\nhell", 408, "body_timeout"),
        (SHORT, HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 408, "body_timeout"),
        (SHORT, HEAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", 408, "body_timeout"),
        (Limits(connections=0), b"", 429, "too_many_connections"),
    ],
)
async def test_what_exceeds_a_limit_is_refused_with_its_own_code(
    limits: Limits, data: bytes, status: int, code: str
) -> None:
    server = Server(answer_ok, limits=limits)
    async with serving(server) as address, Caller(address) as caller:
        await caller.send(data)
        answer = await caller.answer()
        if answer.status == 100:
            answer = await caller.answer()
        error = json.loads(answer.body)["error"]
        assert (answer.status, error["code"], error["type"]) == (status, code, "invalid_request_error")
        remedy = f"limits.{LIMIT[code]} raised" if code in LIMIT else "try again in a moment"
        assert error["message"].endswith(f"{remedy}.")
        assert answer.headers["connection"] == "close"
        assert answer.headers.get("retry-after") == ("1" if status == 429 else None)
        assert await caller.ended() == b""
        assert server.refused == {code: 1}


@pytest.mark.parametrize(
    ("limits", "data"),
    [
        (Limits(header_bytes=200), HEAD + b"X: " + b"y" * 150 + b"\r\n\r\n"),
        (Limits(header_count=4), HEAD + b"X: y\r\nX: y\r\nZ: w\r\n\r\n"),
        (Limits(body_bytes=5), HEAD + b"Content-Length: 5\r\n\r\nhello"),
        (Limits(body_bytes=5), HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        (Limits(connections=1), HEAD + b"\r\n"),
    ],
)
async def test_what_just_keeps_to_a_limit_is_served(limits: Limits, data: bytes) -> None:
    async with serving(Server(answer_ok, limits=limits)) as address, Caller(address) as caller:
        await caller.send(data)
        assert (await caller.answer()).status == 200


async def test_the_error_body_is_the_users_own() -> None:
    server = Server(answer_ok, error_body=lambda code, message: f"{code}|{message}".encode())
    async with serving(server) as address, Caller(address) as caller:
        await caller.send(b"GET / HTTP/1.1\r\n\r\n")
        assert (await caller.answer()).body == b"missing_host|An HTTP/1.1 request needs a Host header."


async def test_a_head_that_drips_is_not_given_more_time_by_each_drop() -> None:
    async with serving(Server(answer_ok, limits=SHORT)) as address, Caller(address) as caller:

        async def drip() -> None:
            await caller.send(HEAD + b"X: " + b"y" * 10_000, 1)

        dripping = asyncio.get_running_loop().create_task(drip())
        assert (await caller.answer()).status == 408
        await caller.ended()
        dripping.cancel()


async def test_a_trailer_that_drips_is_not_given_more_time_by_each_drop() -> None:
    async with serving(Server(answer_ok, limits=SHORT)) as address, Caller(address) as caller:
        await caller.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n")

        async def drip() -> None:
            await caller.send(b"X: " + b"y" * 10_000, 1)

        dripping = asyncio.get_running_loop().create_task(drip())
        assert (await caller.answer()).status == 408
        await caller.ended()
        dripping.cancel()


async def test_each_piece_of_a_body_gives_the_next_its_time() -> None:
    keeper = Keeper()
    limits = Limits(body_idle_s=0.3)
    async with serving(Server(keeper, limits=limits)) as address, Caller(address) as caller:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await caller.send(HEAD + b"Content-Length: 50\r\n\r\n")
        sent = 0
        while loop.time() < began_s + 2 * limits.body_idle_s or sent < 10:
            await caller.send(b"x")
            sent += 1
            await asyncio.sleep(0.02)
        await caller.send(b"x" * (50 - sent))
        (await keeper.next()).reply(200, b"")
        assert (await caller.answer()).status == 200


@pytest.mark.parametrize(
    "before", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n"]
)
async def test_a_connection_that_asks_nothing_is_closed_without_a_word(before: bytes) -> None:
    server = Server(answer_ok, limits=SHORT)
    async with serving(server) as address, Caller(address) as caller:
        if before:
            await caller.send(before)
            assert (await caller.answer()).status == 200
        assert await caller.ended() == b""
        assert not server.refused


async def test_a_request_has_no_limit_of_time_while_it_is_answered() -> None:
    keeper = Keeper()
    async with serving(Server(keeper, limits=SHORT)) as address, Caller(address) as caller:
        await caller.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /half HTT")
        exchange = await keeper.next()
        done = asyncio.Event()
        asyncio.get_running_loop().call_later(3 * SHORT.head_s, done.set)
        await done.wait()
        exchange.reply(200, b"late")
        assert (await caller.answer()).body == b"late"
        assert (await caller.answer()).status == 408  # and only now the next one's time runs


async def test_connections_beyond_the_limit_are_told_so_and_those_within_are_served() -> None:
    server = Server(answer_ok, limits=Limits(connections=2))
    async with serving(server) as address:
        async with Caller(address) as one, Caller(address) as two, Caller(address) as three:
            assert (await three.answer()).status == 429
            assert await three.ended() == b""
            for caller in (one, two):
                await caller.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert (await caller.answer()).status == 200
        await until(lambda: not server.connections)
        async with Caller(address) as caller:
            await caller.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await caller.answer()).status == 200


async def test_a_flood_of_connections_beyond_the_limit_costs_a_bounded_number_of_descriptors() -> None:
    server = Server(answer_ok, limits=Limits(connections=8, linger_s=5.0))
    most = 0
    async with serving(server) as address:
        callers = [Caller(address) for _ in range(60)]
        for caller in callers:
            await caller.__aenter__()
            await asyncio.sleep(0)
            most = max(most, len(server.connections))
        await until(lambda: len(server.connections) <= 17)
        assert most <= 60
        for caller in callers:
            await caller.__aexit__(None, None, None)


async def test_a_refused_caller_that_keeps_sending_reads_its_refusal_and_is_cut_after_a_while() -> None:
    server = Server(answer_ok, limits=Limits(body_bytes=10, linger_s=0.3))
    async with serving(server) as address, Caller(address) as caller:
        await caller.send(HEAD + b"Content-Length: 1000000000\r\n\r\n")
        assert (await caller.answer()).status == 413

        async def flood() -> None:
            while True:
                caller.writer.write(b"x" * 100_000)
                await caller.writer.drain()

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(flood(), 10)
        await until(lambda: not server.connections)
