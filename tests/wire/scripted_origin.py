"""An origin that answers byte by byte what a test's script says, and sees when its client hangs up."""

import asyncio
import contextlib
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from tests.wire.serving import PATIENCE_S

from switchgear.wire.address import Address, bind, bound_address, parse_address
from switchgear.wire.client import Pool
from switchgear.wire.origin import Origin

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Line:
    """One connection, as the origin has it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def request(self) -> bytes:
        """The next request, head and body."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return head + await self._reader.readexactly(int(line.partition(b":")[2]))
        return head

    async def send(self, data: bytes, piece: int = 0) -> None:
        piece = piece or max(len(data), 1)
        for at in range(0, len(data), piece):
            self._writer.write(data[at : at + piece])
            await self._writer.drain()
            await asyncio.sleep(0)

    async def some(self) -> bytes:
        """Whatever comes next."""
        return await self._reader.read(65536)

    async def hung_up(self) -> bytes:
        """Wait until the client closes; what it still sent."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._reader.read()
        except ConnectionResetError:
            return b""

    def cut(self) -> None:
        """End the TCP connection under TLS, with a FIN and without TLS's own end."""
        with socket.socket(fileno=os.dup(self._writer.get_extra_info("socket").fileno())) as sock:
            sock.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


Script = Callable[[Line], Awaitable[None]]


class ScriptedOrigin:
    """Its first connection runs the first script, the next the next, all further ones the last; a script that ends closes."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = scripts
        self.lines: list[Line] = []
        self.ended = 0
        """Scripts that came to their end, or were left alone by their client."""
        self.failures: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def serving(self, at: str = "127.0.0.1:0", tls: ssl.SSLContext | None = None) -> AsyncIterator[Address]:
        sock = bind(parse_address(at))
        address = bound_address(sock)
        start = asyncio.start_unix_server if address.path else asyncio.start_server
        server = await start(self._connected, sock=sock, ssl=tls)
        try:
            yield address
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            assert self.failures == []

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        line = Line(reader, writer)
        self.lines.append(line)
        try:
            await self.scripts[min(len(self.lines), len(self.scripts)) - 1](line)
            self.ended += 1
        except (ConnectionError, asyncio.IncompleteReadError):
            self.ended += 1  # the client hung up while the script spoke
        except (AssertionError, TimeoutError) as failure:
            self.failures.append(failure)
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()
            self._tasks.discard(task)


def answering(*answers: bytes, piece: int = 0) -> Script:
    """One answer per request, then the end; the last answer serves all further requests where it is OK."""

    async def script(line: Line) -> None:
        for answer in answers:
            await line.request()
            await line.send(answer, piece)

    return script


async def always_ok(line: Line) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError):
        while await line.request():
            await line.send(OK)


@contextlib.asynccontextmanager
async def pool_to(
    *scripts: Script, tls: ssl.SSLContext | None = None, size: int = 10, idle_s: float = 60.0
) -> AsyncIterator[tuple[Pool, ScriptedOrigin]]:
    """A pool of connections to a scripted origin."""
    origin = ScriptedOrigin(*scripts)
    async with origin.serving() as address:
        pool = Pool(Origin(address.host, address.port, tls), size=size, idle_s=idle_s)
        try:
            yield pool, origin
        finally:
            await pool.close()
            assert pool.open == 0


class Heard:
    """A receiver that keeps what it hears and checks that it hears it in order."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Mapping[bytes, bytes] = {}
        self.data: list[bytes] = []
        self.end: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    def on_whole(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> None:
        self.on_head(status, headers)
        if body:
            self.on_data(body)
        self.on_end()

    def on_head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        assert self.status == 0
        assert not self.end.done()
        self.status = status
        self.headers = headers

    def on_data(self, data: bytes) -> None:
        assert self.status
        assert data
        assert not self.end.done()
        self.data.append(data)

    def on_end(self) -> None:
        assert self.status
        self.end.set_result(None)

    def on_fault(self, error: Exception) -> None:
        self.end.set_result(error)

    async def outcome(self) -> BaseException | None:
        """None where the answer is whole, else the fault."""
        return await asyncio.wait_for(asyncio.shield(self.end), PATIENCE_S)

    @property
    def body(self) -> bytes:
        return b"".join(self.data)


GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


async def ask(
    pool: Pool, request: bytes = GET, *, first_s: float = 5.0, idle_s: float = 5.0, total_s: float = 10.0
) -> Heard:
    """Send on a connection of `pool`; what is heard, while it is heard."""
    connection = await pool.acquire(5.0)
    heard = Heard()
    deadline = asyncio.get_running_loop().time() + total_s
    connection.send(request, heard, first_s=first_s, idle_s=idle_s, deadline=deadline)
    return heard
