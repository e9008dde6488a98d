"""A real server on a free loopback port, for one test, and a caller that speaks to it byte by byte."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

import pytest

from switchgear.wire.address import Address, bind, bound_address, parse_address
from switchgear.wire.exchange import Exchange
from switchgear.wire.server import Server

PATIENCE_S = 10.0
"""Longer than anything here takes; a test that waits so long has hung."""


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6 loopback")


def answer_ok(exchange: Exchange) -> None:
    exchange.reply(200, b'{"ok":true}')


@contextlib.asynccontextmanager
async def serving(server: Server, at: str = "127.0.0.1:0", tls: ssl.SSLContext | None = None) -> AsyncIterator[Address]:
    """`server` listening; its address."""
    sock = bind(parse_address(at))
    address = bound_address(sock)
    await server.listen(sock, tls=tls)
    try:
        yield address
    finally:
        await server.close()


class Answer:
    """One answer as a caller sees it; `chunks` are kept apart where it was chunked."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes, chunks: list[bytes]) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.chunks = chunks


class Caller:
    """Sends bytes as they are and reads answers by their framing; `EOFError` tells of an answer that ended too early."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None = None, name: str = "localhost") -> None:
        self._address = address
        self._tls = tls
        self._name = name if tls is not None else None
        self.limit = 64 * 1024
        """Bytes read ahead of the test, and as many again; then the caller's side stops reading."""
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        if self._address.path:
            connecting = asyncio.open_unix_connection(self._address.path, limit=self.limit)
        else:
            connecting = asyncio.open_connection(
                self._address.host, self._address.port, limit=self.limit, ssl=self._tls, server_hostname=self._name
            )
        self.reader, self.writer = await asyncio.wait_for(connecting, PATIENCE_S)
        if (sock := self.writer.get_extra_info("socket")) is not None and not self._address.path:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.transport.abort()  # whatever is not sent yet, nobody waits for it
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def send(self, data: bytes, piece: int = 0) -> None:
        """Send in one go, or in pieces of so many bytes, each on its way before the next. A server that has closed is no error."""
        with contextlib.suppress(OSError):
            piece = piece or max(len(data), 1)
            for at in range(0, len(data), piece):
                self.writer.write(data[at : at + piece])
                await self.writer.drain()
                await asyncio.sleep(0)

    async def head(self) -> tuple[int, dict[str, str]]:
        """The next status and headers; raises EOFError where none comes."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                raw = await self.reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionResetError) as error:
                raise EOFError(getattr(error, "partial", b"")) from error
        first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            assert name not in headers, f"{name} is given twice"
            headers[name] = value
        return int(status), headers

    async def answer(self, *, head_only: bool = False) -> Answer:
        """The next whole answer."""
        status, headers = await self.head()
        body = b""
        chunks: list[bytes] = []
        async with asyncio.timeout(PATIENCE_S):
            if head_only or status < 200 or status in (204, 304):
                pass
            elif headers.get("transfer-encoding") == "chunked":
                assert "content-length" not in headers
                while chunk := await self.chunk():
                    chunks.append(chunk)
                body = b"".join(chunks)
            elif "content-length" in headers:
                body = await self.exactly(int(headers["content-length"]))
            else:
                body = await self.reader.read()
        return Answer(status, headers, body, chunks)

    async def chunk(self) -> bytes:
        """The next chunk, empty for the last."""
        line = await self.reader.readline()
        if not line:
            raise EOFError
        data = await self.exactly(int(line, 16) + 2)
        assert data.endswith(b"\r\n")
        return data[:-2]

    async def exactly(self, size: int) -> bytes:
        try:
            return await asyncio.wait_for(self.reader.readexactly(size), PATIENCE_S)
        except asyncio.IncompleteReadError:
            raise EOFError from None

    async def ended(self) -> bytes:
        """What still comes before the server closes."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.read()


async def until(condition: Callable[[], object]) -> None:
    """Let the event loop run until `condition` holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.001)
