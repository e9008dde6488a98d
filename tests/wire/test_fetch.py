"""One request, its whole answer."""

import asyncio

import pytest
from tests.wire.scripted_origin import OK, Line, always_ok, pool_to
from tests.wire.serving import PATIENCE_S, needs_ipv6, serving, until
from tests.wire.test_exchange import Keeper

from switchgear.wire.client import Pool
from switchgear.wire.errors import AnswerTooLarge, ConnectError, PoolExhausted, TotalTimeout
from switchgear.wire.exchange import header
from switchgear.wire.fetch import fetch
from switchgear.wire.origin import Origin
from switchgear.wire.server import Server


async def test_what_is_sent_arrives_and_so_does_the_answer() -> None:
    keeper = Keeper()
    async with serving(Server(keeper)) as address:
        pool = Pool(Origin(address.host, address.port))
        task = asyncio.get_running_loop().create_task(
            fetch(pool, "POST", "/v1/x?y", headers=header("x-test", "yes"), body=b"question" * 100_000)
        )
        exchange = await keeper.next()
        assert (exchange.method, exchange.target) == (b"POST", b"/v1/x?y")
        assert exchange.headers == {
            b"host": f"127.0.0.1:{address.port}".encode(),
            b"x-test": b"yes",
            b"content-length": b"800000",
        }
        assert exchange.body == b"question" * 100_000
        exchange.reply(418, b"answer" * 100_000)
        response = await task
        assert (response.status, response.body) == (418, b"answer" * 100_000)
        assert response.headers[b"content-type"] == b"application/json"
        await pool.close()


@pytest.mark.parametrize("at", ["127.0.0.1:0", pytest.param("[::1]:0", marks=needs_ipv6), "unix"])
async def test_over_every_kind_of_socket(at: str, tmp_path) -> None:
    keeper = Keeper()
    async with serving(Server(keeper), f"unix:{tmp_path}/s" if at == "unix" else at) as address:
        pool = Pool(Origin(address.host, address.port, path=address.path))
        task = asyncio.get_running_loop().create_task(fetch(pool, "GET", "/"))
        exchange = await keeper.next()
        if at == "[::1]:0":
            assert exchange.headers[b"host"] == b"[::1]:%d" % address.port
        exchange.reply(200, b"")
        assert (await task).body == b""
        await pool.close()


async def test_no_body_is_not_a_body_of_no_bytes() -> None:
    keeper = Keeper()
    async with serving(Server(keeper)) as address:
        pool = Pool(Origin(address.host, address.port))
        for count, (body, length) in enumerate(((None, None), (b"", b"0")), 1):
            task = asyncio.get_running_loop().create_task(fetch(pool, "POST", "/", body=body))
            exchange = await keeper.next(count)
            assert exchange.headers.get(b"content-length") == length
            exchange.reply(200, b"")
            await task
        await pool.close()


@pytest.mark.parametrize("body", [b"x" * 1001, b"x" * 2_000_000])
async def test_an_answer_larger_than_wanted_is_an_error(body: bytes) -> None:
    async def large(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await always_ok(line)

    async with pool_to(large, always_ok) as (pool, _):
        with pytest.raises(AnswerTooLarge, match="larger than 1000 bytes"):
            await fetch(pool, "GET", "/", max_bytes=1000)
        assert (await fetch(pool, "GET", "/", max_bytes=1000)).body == b"ok"


async def test_total_time_covers_all_of_it() -> None:
    async def slow(line: Line) -> None:
        await line.request()
        await line.hung_up()

    async with pool_to(slow, size=1) as (pool, _):
        with pytest.raises(TotalTimeout):
            await fetch(pool, "GET", "/", total_s=0.05)
        held = await pool.acquire(5.0)
        with pytest.raises(PoolExhausted):
            await asyncio.wait_for(fetch(pool, "GET", "/", connect_s=60.0, total_s=0.05), PATIENCE_S)
        held.close()


async def test_total_time_is_not_renewed_by_a_retry() -> None:
    async def one_then_silence(line: Line) -> None:
        await line.request()
        await line.send(OK)
        await line.request()

    async def silence(line: Line) -> None:
        await line.request()
        await line.hung_up()

    async with pool_to(one_then_silence, silence) as (pool, origin):
        await fetch(pool, "GET", "/")
        with pytest.raises(TotalTimeout):
            await fetch(pool, "GET", "/", total_s=0.1)
        assert len(origin.lines) == 2
        await until(lambda: pool.open == 0)


async def test_errors_of_names_and_addresses_are_ours() -> None:
    for host in ("a" * 70, "a..b"):
        pool = Pool(Origin(host, 80))
        with pytest.raises(ConnectError, match="cannot connect to"):
            await fetch(pool, "GET", "/")
        await pool.close()
    pool = Pool(Origin("", 0, path="/no/such/socket"))
    with pytest.raises(ConnectError, match="/no/such/socket"):
        await fetch(pool, "GET", "/")
    await pool.close()


async def test_what_one_answer_said_does_not_change_with_the_next() -> None:
    async def growing(line: Line) -> None:
        for size in (1, 22, 333):
            await line.request()
            await line.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (size, b"x" * size))
        await line.hung_up()

    async with pool_to(growing) as (pool, _):
        responses = [await fetch(pool, "GET", "/") for _ in range(3)]
        assert [response.headers[b"content-length"] for response in responses] == [b"1", b"22", b"333"]
        assert [len(response.body) for response in responses] == [1, 22, 333]
        assert pool.opened == 1
