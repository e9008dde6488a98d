"""A reader that reads nothing stalls what feeds it; nothing grows meanwhile."""

import asyncio
import tracemalloc
from collections.abc import Mapping

import pytest
from tests.wire.certificates import Authority
from tests.wire.serving import Caller, serving, until

from switchgear.wire.client import Pool
from switchgear.wire.client_connection import ClientConnection
from switchgear.wire.exchange import Exchange
from switchgear.wire.model import Limits
from switchgear.wire.origin import Origin
from switchgear.wire.server import Server

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
PIECE = b"data: " + b"x" * 1000 + b"\n\n"


class Fountain:
    """An origin that answers with a stream as fast as it is read, and counts what has left it."""

    def __init__(self, pieces: int) -> None:
        self.pieces = pieces
        self.sent = 0
        self.may_go = asyncio.Event()
        self.may_go.set()
        self._running: set[asyncio.Task[None]] = set()

    def __call__(self, exchange: Exchange) -> None:
        exchange.flow = self
        task = asyncio.get_running_loop().create_task(self._run(exchange))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, exchange: Exchange) -> None:
        exchange.start(200)
        while self.sent < self.pieces and exchange.open:
            exchange.write(PIECE)
            self.sent += 1
            await asyncio.sleep(0)
            await self.may_go.wait()
        exchange.finish()

    def pause(self) -> None:
        self.may_go.clear()

    def resume(self) -> None:
        self.may_go.set()


class Relay:
    """Passes an origin's stream on to one exchange, and its stalls back to the origin."""

    def __init__(self, exchange: Exchange, connection: ClientConnection) -> None:
        self.exchange = exchange
        self.connection = connection
        self.fault: Exception | None = None
        self.largest = 0

    def on_whole(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> None:
        self.exchange.reply(status, body)

    def on_head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        self.exchange.start(status)
        self.exchange.flow = self.connection

    def on_data(self, data: bytes) -> None:
        self.largest = max(self.largest, len(data))
        self.exchange.write(data)

    def on_end(self) -> None:
        self.exchange.finish()

    def on_fault(self, error: Exception) -> None:
        self.fault = error
        self.exchange.abort()


class Middle:
    """A handler that relays each exchange to one origin."""

    def __init__(self, pool: Pool, idle_s: float = 60.0) -> None:
        self.pool = pool
        self.idle_s = idle_s
        self.relays: list[Relay] = []
        self._running: set[asyncio.Task[None]] = set()

    def __call__(self, exchange: Exchange) -> None:
        task = asyncio.get_running_loop().create_task(self._run(exchange))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, exchange: Exchange) -> None:
        connection = await self.pool.acquire(5.0)
        relay = Relay(exchange, connection)
        exchange.on_gone = connection.cancel
        self.relays.append(relay)
        deadline = asyncio.get_running_loop().time() + 60.0
        connection.send(GET, relay, first_s=10.0, idle_s=self.idle_s, deadline=deadline)


async def settled(count) -> int:
    """What `count()` comes to rest at."""
    before = -1
    while before != count():
        before = count()
        await asyncio.sleep(0.1)
    return before


@pytest.mark.parametrize("tls", [False, True])
async def test_a_reader_that_reads_nothing_stalls_the_origin_and_memory_stays(tls: bool, tmp_path) -> None:
    authority = Authority(tmp_path)
    fountain = Fountain(40_000)  # 40 MB
    origin = Server(fountain, limits=Limits(write_buffer_bytes=64 * 1024))
    async with serving(origin) as origin_address:
        pool = Pool(Origin(origin_address.host, origin_address.port))
        middle = Middle(pool)
        server = Server(middle, limits=Limits(write_buffer_bytes=64 * 1024))
        async with serving(server, tls=authority.server() if tls else None) as address:
            caller = Caller(address, authority.client() if tls else None)
            caller.limit = 1024  # its own reader stops reading early
            async with caller:
                tracemalloc.start()
                await caller.send(GET)
                await settled(lambda: fountain.sent)
                held_bytes, _ = tracemalloc.get_traced_memory()
                tracemalloc.stop()
                (connection,) = server.connections
                assert connection.stalled
                assert 0 < fountain.sent < 25_000, "the sockets between cannot hold so much"
                # what waits in this process: one write buffer at each server, one read at each reader
                assert connection.transport is not None
                assert connection.transport.get_write_buffer_size() <= 64 * 1024 + middle.relays[0].largest + 64
                assert held_bytes < 3_000_000
                # and when it reads again, nothing is missing
                status, _ = await caller.head()
                assert status == 200
                received = 0
                while chunk := await caller.chunk():
                    received += len(chunk)
                assert received == 40_000 * len(PIECE)
                assert middle.relays[0].fault is None
        await pool.close()


async def test_a_stalled_answer_does_not_idle_out_and_its_connection_serves_again() -> None:
    fountain = Fountain(20_000)
    async with serving(Server(fountain)) as origin_address:
        pool = Pool(Origin(origin_address.host, origin_address.port))
        middle = Middle(pool, idle_s=0.2)
        server = Server(middle)
        async with serving(server) as address:
            caller = Caller(address)
            caller.limit = 1024
            async with caller:
                for _ in range(2):
                    fountain.sent = 0
                    await caller.send(GET)
                    await settled(lambda: fountain.sent)
                    resting = asyncio.Event()
                    asyncio.get_running_loop().call_later(0.5, resting.set)
                    await resting.wait()
                    answer = await caller.answer()
                    assert len(answer.body) == 20_000 * len(PIECE)
            assert pool.opened == 1
        await pool.close()


async def test_a_caller_that_pipelines_and_never_reads_gets_no_further_answers() -> None:
    answered = 0

    def handler(exchange: Exchange) -> None:
        nonlocal answered
        answered += 1
        exchange.reply(200, b"x" * 10_000)

    limits = Limits(write_buffer_bytes=32 * 1024)
    server = Server(handler, limits=limits)
    async with serving(server) as address:
        caller = Caller(address)
        caller.limit = 1024
        async with caller:
            await caller.send(GET * 5_000)  # would be 50 MB
            await settled(lambda: answered)
            assert answered < 2_000, "the sockets between cannot hold so much"
            (connection,) = server.connections
            assert connection.transport is not None
            assert connection.transport.get_write_buffer_size() <= 32 * 1024 + 11_000
            for _ in range(5_000):
                assert len((await caller.answer()).body) == 10_000
            assert answered == 5_000


async def test_a_caller_that_never_reads_is_cut_in_the_end() -> None:
    limits = Limits(keep_alive_s=0.3, write_buffer_bytes=32 * 1024)
    server = Server(lambda exchange: exchange.reply(200, b"x" * 20_000_000), limits=limits)
    async with serving(server) as address:
        caller = Caller(address)
        caller.limit = 1024
        async with caller:
            await caller.send(GET)
            await until(lambda: server.connections)
            await until(lambda: not server.connections)


async def test_a_slow_reader_of_a_last_answer_gets_all_of_it() -> None:
    body = b"x" * 20_000_000
    limits = Limits(linger_s=0.1)
    async with serving(Server(lambda exchange: exchange.reply(200, body), limits=limits)) as address:
        caller = Caller(address)
        caller.limit = 1024
        async with caller:
            await caller.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            status, _ = await caller.head()
            assert status == 200
            resting = asyncio.Event()
            asyncio.get_running_loop().call_later(0.4, resting.set)
            await resting.wait()
            assert await caller.ended() == body


@pytest.mark.parametrize("close", [b"", b"Connection: close\r\n"], ids=["kept", "last"])
async def test_a_caller_that_reads_steadily_has_all_the_time_it_takes(close: bytes) -> None:
    body = b"x" * 30_000_000
    limits = Limits(keep_alive_s=0.3, linger_s=0.1)
    server = Server(lambda exchange: exchange.reply(200, body), limits=limits)
    async with serving(server) as address:
        caller = Caller(address)
        caller.limit = 1024
        async with caller:
            await caller.send(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % close)
            status, _ = await caller.head()
            assert status == 200
            loop = asyncio.get_running_loop()
            began_s, read = loop.time(), 0
            while read < len(body):
                resting = asyncio.Event()
                loop.call_later(0.1, resting.set)
                await resting.wait()
                read += len(await caller.reader.readexactly(min(3_000_000, len(body) - read)))
            assert loop.time() - began_s > 2 * limits.keep_alive_s


async def test_requests_for_answers_that_nobody_reads_are_not_taken_in_without_bound() -> None:
    limits = Limits(write_buffer_bytes=32 * 1024, body_bytes=300_000)
    server = Server(lambda exchange: exchange.reply(200, b"x" * 10_000), limits=limits)
    async with serving(server) as address:
        caller = Caller(address)
        caller.limit = 1024
        async with caller:

            async def flood() -> None:
                while True:
                    caller.writer.write(GET * 1000)
                    await caller.writer.drain()

            flooding = asyncio.get_running_loop().create_task(flood())
            await until(lambda: any(connection._paused for connection in server.connections))
            (connection,) = server.connections
            assert connection._active is None
            assert len(connection._held) <= 300_000 + limits.header_bytes + 256 * 1024
            assert len(connection._ready) < 20_000
            flooding.cancel()
