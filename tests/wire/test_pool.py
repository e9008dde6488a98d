"""A pool of connections: reuse, its bound, whose turn it is, and how it ends."""

import asyncio
import contextlib
import os
import random
import resource
from collections.abc import Callable

import pytest
from tests.wire.scripted_origin import GET, OK, Heard, Line, ScriptedOrigin, always_ok, ask, pool_to
from tests.wire.serving import PATIENCE_S, until
from tests.wire.still_loop import KeptTransport

from switchgear.wire.client import Pool
from switchgear.wire.errors import (
    Cancelled,
    ConnectError,
    ConnectTimeout,
    OutOfSockets,
    PoolExhausted,
    ResetError,
    Truncated,
)
from switchgear.wire.fetch import fetch
from switchgear.wire.origin import Origin
from switchgear.wire.tls import client_context


def start(awaitable) -> "asyncio.Task[object]":
    return asyncio.get_running_loop().create_task(awaitable)


async def test_one_connection_serves_call_after_call() -> None:
    async with pool_to(always_ok) as (pool, origin):
        for _ in range(20):
            assert (await fetch(pool, "GET", "/")).body == b"ok"
        assert (pool.opened, pool.open, len(origin.lines)) == (1, 1, 1)


async def test_the_last_used_connection_is_used_first_so_that_the_rest_may_idle_out() -> None:
    async with pool_to(always_ok) as (pool, _):
        connections = [await pool.acquire(5.0) for _ in range(3)]
        heard = [Heard() for _ in connections]
        deadline = asyncio.get_running_loop().time() + 5
        for connection, receiver in zip(connections, heard, strict=True):
            connection.send(GET, receiver, first_s=5, idle_s=5, deadline=deadline)
            assert await receiver.outcome() is None
        assert [pool.try_acquire() for _ in range(4)] == [*reversed(connections), None]


async def test_an_unused_connection_is_closed_after_its_idle_time() -> None:
    async with pool_to(always_ok, idle_s=0.1) as (pool, origin):
        await fetch(pool, "GET", "/")
        assert pool.open == 1
        await until(lambda: pool.open == 0)
        await until(lambda: origin.ended == 1)
        await fetch(pool, "GET", "/")
        assert pool.opened == 2


async def test_a_connection_that_is_closing_is_neither_handed_out_nor_tripped_over() -> None:
    """Between `close` and `connection_lost` an idle connection still stands in the pool."""
    async with pool_to(always_ok) as (pool, _):
        await fetch(pool, "GET", "/")
        connection = pool.try_acquire()
        assert connection is not None
        pool.released(connection)
        connection.close()
        assert pool.try_acquire() is None
        await until(lambda: pool.open == 0)
        assert (await fetch(pool, "GET", "/")).status == 200


async def test_a_stale_connection_is_replaced_unseen() -> None:
    async def one_answer(line: Line) -> None:
        await line.request()
        await line.send(OK)

    async with pool_to(one_answer) as (pool, origin):
        await fetch(pool, "GET", "/")
        await until(lambda: origin.ended == 1)
        await until(lambda: pool.open == 0)
        assert (await fetch(pool, "GET", "/")).status == 200


async def test_a_connection_that_closes_as_the_next_request_is_sent_is_replaced_unseen() -> None:
    async def answers_once(line: Line) -> None:
        await line.request()
        await line.send(OK)
        await line.request()  # and closes on it

    async with pool_to(answers_once, answers_once, answers_once) as (pool, _):
        for count in (1, 2, 3):
            assert (await fetch(pool, "GET", "/")).status == 200
            assert pool.opened == count


async def test_a_new_connection_that_closes_without_an_answer_is_not_tried_again() -> None:
    async def closes(line: Line) -> None:
        await line.request()

    async with pool_to(closes) as (pool, origin):
        with pytest.raises(ResetError):
            await fetch(pool, "GET", "/")
        assert len(origin.lines) == 1


async def test_an_origin_that_closes_every_connection_at_once_ends_in_an_error_and_costs_no_place() -> None:
    async def closes(line: Line) -> None:
        line.reset()

    async with pool_to(closes, size=2) as (pool, _):
        for _ in range(10):
            with pytest.raises((ResetError, ConnectError)):
                await fetch(pool, "GET", "/", total_s=PATIENCE_S)
        await until(lambda: pool.open == 0)


async def test_a_connection_lost_before_it_is_handed_over_costs_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    async def made_and_lost(origin: Origin, factory: Callable[[], asyncio.Protocol]) -> None:
        connection = factory()
        connection.connection_made(KeptTransport())
        connection.connection_lost(None)

    async with pool_to(always_ok, size=1) as (pool, _):
        with monkeypatch.context() as patch:
            patch.setattr("switchgear.wire.client.connect", made_and_lost)
            with pytest.raises(ConnectError, match="as soon as it was open"):
                await pool.acquire(5.0)
        assert pool.open == 0
        assert (await fetch(pool, "GET", "/")).status == 200


async def test_no_more_connections_than_may_be_and_everyone_gets_one() -> None:
    most = 0

    async def counted(line: Line) -> None:
        nonlocal most
        most = max(most, pool.open)
        await always_ok(line)

    async with pool_to(counted, size=3) as (pool, origin):
        answers = await asyncio.gather(*(fetch(pool, "GET", f"/{number}") for number in range(50)))
        assert [answer.body for answer in answers] == [b"ok"] * 50
        assert len(origin.lines) == 3
        assert most <= 3


async def test_want_of_descriptors_is_no_fault_of_the_origin() -> None:
    async with pool_to(always_ok) as (pool, _):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(highest, soft), hard))
        taken: list[int] = []
        try:
            with contextlib.suppress(OSError):  # those below the highest that are free
                while True:
                    taken.append(os.dup(0))
            with pytest.raises(OutOfSockets, match="raise this process's limit of open files"):
                await pool.acquire(5.0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for number in taken:
                os.close(number)
        assert pool.open == 0
        assert (await fetch(pool, "GET", "/")).status == 200


async def test_who_waits_is_served_in_turn_even_if_others_come_later() -> None:
    async with pool_to(always_ok, size=1) as (pool, _):
        first = await pool.acquire(5.0)
        order: list[int] = []

        async def call(number: int) -> None:
            connection = await pool.acquire(5.0)
            order.append(number)
            heard = Heard()
            connection.send(GET, heard, first_s=5, idle_s=5, deadline=asyncio.get_running_loop().time() + 5)
            await heard.outcome()

        waiting = []
        for number in range(5):
            waiting.append(start(call(number)))
            await asyncio.sleep(0)
        heard = Heard()
        first.send(GET, heard, first_s=5, idle_s=5, deadline=asyncio.get_running_loop().time() + 5)
        await heard.outcome()
        assert pool.try_acquire() is None, "it belongs to the first who waits"
        waiting.append(start(call(5)))
        await asyncio.gather(*waiting)
        assert order == [0, 1, 2, 3, 4, 5]


async def test_waiting_ends_with_the_time_to_connect() -> None:
    async with pool_to(always_ok, size=1) as (pool, _):
        held = await pool.acquire(5.0)
        with pytest.raises(PoolExhausted, match="all 1 connections"):
            await pool.acquire(0.05)
        held.close()
        connection = await pool.acquire(5.0)
        assert connection.usable
        connection.close()


async def test_a_place_that_comes_free_is_filled_by_who_waits() -> None:
    async with pool_to(always_ok, size=1) as (pool, _):
        held = await pool.acquire(5.0)
        waiting = [start(fetch(pool, "GET", "/")) for _ in range(3)]
        await asyncio.sleep(0)
        held.close()
        await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE_S)
        assert pool.opened == 2


@pytest.mark.parametrize("free", ["connection", "place"])
async def test_who_gives_up_as_its_turn_comes_passes_it_on(free: str) -> None:
    class Cancels(Heard):
        def on_end(self) -> None:
            super().on_end()
            gives_up.cancel()  # it has been given the connection, and does not know yet

    async with pool_to(always_ok, size=1) as (pool, _):
        held = await pool.acquire(5.0)
        gives_up = start(pool.acquire(5.0))
        next_one = start(pool.acquire(5.0))
        await until(lambda: len(pool._waiters) == 2)
        if free == "connection":
            deadline = asyncio.get_running_loop().time() + 5
            held.send(GET, Cancels(), first_s=5, idle_s=5, deadline=deadline)
        else:
            held.close()
            pool.lost(held)  # as it is told in a moment; now, so that the turn and the cancellation meet
            gives_up.cancel()
        connection = await asyncio.wait_for(next_one, PATIENCE_S)
        with pytest.raises(asyncio.CancelledError):
            await gives_up
        connection.close()
        await until(lambda: pool.open == 0)


@pytest.mark.parametrize("seed", range(5))
async def test_no_wake_up_is_lost_whatever_is_cancelled_or_closed(seed: int) -> None:
    """Calls of every kind over two connections: each ends, and afterwards both places are free."""
    chance = random.Random(seed)

    async def fickle(line: Line) -> None:
        while await line.request():
            fate = chance.random()
            if fate < 0.15:
                return
            if fate < 0.25:
                await line.send(OK[:30])
                return
            if fate < 0.35:
                await line.send(OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
                return
            await line.send(OK)

    async def call(pool: Pool) -> int:
        async with asyncio.timeout(chance.choice((0.0005, 0.002, PATIENCE_S))):
            return (await fetch(pool, "GET", "/", connect_s=PATIENCE_S)).status

    async with pool_to(fickle, size=2) as (pool, _):
        calls = asyncio.gather(*(call(pool) for _ in range(300)), return_exceptions=True)
        ends = await asyncio.wait_for(calls, 3 * PATIENCE_S)
        assert {type(end) for end in ends} <= {int, TimeoutError, ResetError, Truncated}
        assert ends.count(200) > 10
        assert not pool._waiters
        await until(lambda: pool._pending == 0 and pool.open == len(pool.idle))
        assert pool.open <= 2
        connections = [await pool.acquire(PATIENCE_S) for _ in range(2)]
        for connection in connections:
            connection.close()


async def test_connecting_has_its_own_time() -> None:
    silent = asyncio.Event()

    async def handshake_never_ends(line: Line) -> None:
        await silent.wait()

    origin = ScriptedOrigin(handshake_never_ends)
    async with origin.serving() as address:
        pool = Pool(Origin(address.host, address.port, client_context(verify=False)))
        with pytest.raises(ConnectTimeout, match=r"within 0\.05 s"):
            await pool.acquire(0.05)
        assert pool.open == 0
        silent.set()


async def test_a_retired_pool_lets_calls_in_flight_end_and_begin_again_but_keeps_nothing() -> None:
    may_answer = asyncio.Event()

    async def waits(line: Line) -> None:
        await line.request()
        await may_answer.wait()
        await line.send(OK)
        await line.hung_up()

    async with pool_to(waits, always_ok, always_ok) as (pool, _):
        in_flight = await ask(pool)
        await fetch(pool, "GET", "/")
        assert pool.open == 2
        pool.close_idle()
        await until(lambda: pool.open == 1)
        may_answer.set()
        assert await in_flight.outcome() is None
        assert (await fetch(pool, "GET", "/")).status == 200  # a retry within a call that the old pool still serves
        await until(lambda: pool.open == 0)


async def test_a_closed_pool_cancels_what_is_under_way_and_what_waits() -> None:
    async def never(line: Line) -> None:
        await line.request()
        await line.hung_up()

    async with pool_to(never, size=1) as (pool, origin):
        in_flight = await ask(pool)
        waiting = start(pool.acquire(PATIENCE_S))
        await until(lambda: pool._waiters)
        await pool.close()
        assert isinstance(await in_flight.outcome(), Cancelled)
        with pytest.raises(Cancelled):
            await waiting
        with pytest.raises(Cancelled):
            await pool.acquire(1.0)
        assert pool.open == 0
        await until(lambda: origin.ended == 1)
        await pool.close()


async def test_a_pool_that_is_closed_while_it_connects_leaves_nothing_open() -> None:
    async with pool_to(always_ok) as (pool, origin):
        connecting = start(pool.acquire(5.0))
        await asyncio.sleep(0)
        await pool.close()
        with contextlib.suppress(Cancelled):
            (await connecting).close()
        await until(lambda: pool.open == 0)
        await until(lambda: origin.ended == len(origin.lines))
