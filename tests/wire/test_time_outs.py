"""Every time-out by itself, each with its own error; and an exchange that is cancelled."""

import asyncio

import pytest
from tests.wire.scripted_origin import GET, OK, Heard, Line, always_ok, ask, pool_to
from tests.wire.serving import until

from switchgear.wire.errors import ExchangeError, FirstByteTimeout, IdleTimeout, TotalTimeout
from switchgear.wire.fetch import fetch

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"


def saying(*pieces: bytes, pause_s: float = 0.0):
    """An origin that says `pieces`, with a pause after each, and then nothing until its client hangs up."""

    async def script(line: Line) -> None:
        await line.request()
        for piece in pieces:
            await line.send(piece)
            await asyncio.sleep(pause_s)
        await line.hung_up()

    return script


@pytest.mark.parametrize(
    ("pieces", "pause_s", "times", "fault"),
    [
        ((), 0.0, {"first_s": 0.05}, FirstByteTimeout),
        ((HEAD,), 0.0, {"idle_s": 0.05}, IdleTimeout),
        ((HEAD, b"x"), 0.0, {"idle_s": 0.05, "first_s": 0.04}, IdleTimeout),
        ((b"HTTP/1.1 20",), 0.0, {"idle_s": 0.05}, IdleTimeout),
        ((HEAD, *[b"x"] * 90), 0.01, {"idle_s": 5.0, "total_s": 0.15}, TotalTimeout),
        ((), 0.0, {"first_s": 5.0, "total_s": 0.05}, TotalTimeout),
        ((), 0.0, {"first_s": 0.05, "idle_s": 0.01}, FirstByteTimeout),
    ],
)
async def test_each_time_out_has_its_error_and_closes_the_connection(
    pieces: tuple[bytes, ...], pause_s: float, times: dict[str, float], fault: type[ExchangeError]
) -> None:
    async with pool_to(saying(*pieces, pause_s=pause_s)) as (pool, origin):
        heard = await ask(pool, **times)
        assert type(await heard.outcome()) is fault
        await until(lambda: pool.open == 0)
        await until(lambda: origin.ended == 1)


async def test_time_outs_are_counted_anew_for_each_exchange_of_a_connection() -> None:
    async def slower_and_slower(line: Line) -> None:
        for pause_s in (0.0, 0.4, 0.4):
            await line.request()
            await asyncio.sleep(pause_s)
            await line.send(OK)
        await line.request()
        await line.hung_up()

    async with pool_to(slower_and_slower) as (pool, _):
        assert await (await ask(pool, first_s=0.3)).outcome() is None
        assert await (await ask(pool, first_s=5.0)).outcome() is None
        assert await (await ask(pool, first_s=5.0, idle_s=0.01)).outcome() is None
        assert type(await (await ask(pool, first_s=0.1)).outcome()) is FirstByteTimeout
        assert pool.opened == 1


async def test_a_steady_answer_outlasts_first_and_idle_time() -> None:
    async with pool_to(saying(HEAD, *[b"x" * 10] * 10, pause_s=0.06)) as (pool, _):
        heard = await ask(pool, first_s=0.5, idle_s=0.5)
        assert await heard.outcome() is None
        assert len(heard.body) == 100


async def test_a_receiver_may_say_itself_when_the_answer_has_begun() -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(HEAD + b": comment\n\n")
        await line.hung_up()

    async with pool_to(script) as (pool, _):
        for begins, fault in ((False, FirstByteTimeout), (True, IdleTimeout)):
            connection = await pool.acquire(5.0)
            heard = Heard()
            deadline = asyncio.get_running_loop().time() + 5
            connection.send(GET, heard, first_s=0.15, idle_s=0.05, deadline=deadline, hold_first=True)
            await until(lambda heard=heard: heard.data)
            if begins:
                connection.begun()
            assert type(await heard.outcome()) is fault


async def test_a_paused_exchange_has_only_its_deadline() -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(HEAD + b"x")
        await line.hung_up()

    async with pool_to(script) as (pool, _):
        connection = await pool.acquire(5.0)
        heard = Heard()
        deadline = asyncio.get_running_loop().time() + 0.9
        connection.send(GET, heard, first_s=0.3, idle_s=0.3, deadline=deadline)
        await until(lambda: heard.data)
        connection.pause()
        connection.pause()
        assert type(await heard.outcome()) is TotalTimeout


async def test_after_a_pause_the_idle_time_counts_from_its_end() -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(HEAD + b"x")
        await line.hung_up()

    async with pool_to(script) as (pool, _):
        connection = await pool.acquire(5.0)
        heard = Heard()
        loop = asyncio.get_running_loop()
        connection.send(GET, heard, first_s=5, idle_s=0.3, deadline=loop.time() + 5)
        await until(lambda: heard.data)
        connection.pause()
        paused_s = loop.time()
        rested = asyncio.Event()
        loop.call_later(0.4, rested.set)
        await rested.wait()
        assert not heard.end.done()
        connection.resume()
        connection.resume()
        assert type(await heard.outcome()) is IdleTimeout
        assert loop.time() >= paused_s + 0.69


async def test_a_pause_before_the_answer_begins_does_not_use_up_its_time() -> None:
    async def script(line: Line) -> None:
        await line.request()
        await asyncio.sleep(0.2)
        await line.send(OK)
        await line.hung_up()

    async with pool_to(script) as (pool, _):
        connection = await pool.acquire(5.0)
        heard = Heard()
        loop = asyncio.get_running_loop()
        connection.send(GET, heard, first_s=0.15, idle_s=5, deadline=loop.time() + 5)
        connection.pause()
        loop.call_later(0.3, connection.resume)
        assert await heard.outcome() is None


async def test_a_connection_paused_at_the_end_of_its_answer_reads_the_next() -> None:
    class Pauses(Heard):
        def on_data(self, data: bytes) -> None:
            super().on_data(data)
            connection.pause()

    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"

    async def script(line: Line) -> None:
        await line.request()
        await line.send(chunked)
        await always_ok(line)

    async with pool_to(script) as (pool, _):
        connection = await pool.acquire(5.0)
        heard = Pauses()
        connection.send(GET, heard, first_s=5, idle_s=5, deadline=asyncio.get_running_loop().time() + 5)
        assert await heard.outcome() is None
        assert (await fetch(pool, "GET", "/", total_s=2.0)).body == b"ok"
        assert pool.opened == 1
        connection.resume()  # by a reader that comes late: nothing to resume
        assert (await fetch(pool, "GET", "/")).body == b"ok"


@pytest.mark.parametrize("said", [(), (HEAD,), (HEAD, b"x")])
async def test_a_cancelled_exchange_closes_its_connection_at_once_and_hears_nothing(said: tuple[bytes, ...]) -> None:
    async with pool_to(saying(*said)) as (pool, origin):
        connection = await pool.acquire(5.0)
        heard = Heard()
        connection.send(GET, heard, first_s=5, idle_s=5, deadline=asyncio.get_running_loop().time() + 5)
        await until(lambda: len(heard.data) == len(said[1:]) and (heard.status or not said))
        connection.cancel()
        await until(lambda: origin.ended == 1)
        await until(lambda: pool.open == 0)
        assert not heard.end.done()


async def test_a_late_cancel_does_not_touch_the_exchange_that_has_the_connection_now() -> None:
    async with pool_to(always_ok) as (pool, _):
        connection = await pool.acquire(5.0)
        first, second = Heard(), Heard()
        deadline = asyncio.get_running_loop().time() + 5
        connection.send(GET, first, first_s=5, idle_s=5, deadline=deadline)
        assert await first.outcome() is None
        assert pool.try_acquire() is connection
        connection.send(GET, second, first_s=5, idle_s=5, deadline=deadline)
        connection.cancel(first)
        assert await second.outcome() is None


async def test_a_cancelled_fetch_closes_its_connection_at_once() -> None:
    async with pool_to(saying(HEAD)) as (pool, origin):
        task = asyncio.get_running_loop().create_task(fetch(pool, "GET", "/"))
        await until(lambda: origin.lines and pool.open)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: origin.ended == 1)
        assert pool.open == 0
