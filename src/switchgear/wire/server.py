"""An HTTP/1.1 server on asyncio protocols (RFC 9112): listening, limits on connections, draining. One connection is `ServerConnection`."""

import asyncio
import collections
import socket
import ssl
from collections.abc import Callable
from email.utils import formatdate

from switchgear.core.clock import Clock, SystemClock
from switchgear.wire.address import BACKLOG
from switchgear.wire.errors import RefusedRequest
from switchgear.wire.exchange import Exchange, status_line
from switchgear.wire.model import ErrorBody, Limits
from switchgear.wire.server_connection import ServerConnection

__all__ = ["Handler", "HeadCheck", "Server", "ServerConnection"]

Handler = Callable[[Exchange], None]
HeadCheck = Callable[[Exchange], RefusedRequest | None]


def _plain_error(code: str, message: str) -> bytes:
    return b'{"error":{"message":"%b","type":"invalid_request_error","param":null,"code":"%b"}}' % (
        message.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"'),
        code.encode(),
    )


class Server:
    """Accepts connections on any number of listening sockets and hands each whole request to `handler`.

    `handler` is called on the event loop and must not block; it may answer at once or keep the exchange and answer
    later. An exception that it lets out is logged as a defect and answered with 500. `check_head` sees an exchange
    whose body is not read yet and may refuse it (a caller without a key need not send 32 MiB first); the connection
    closes after the refusal. What it leaves in `context` is kept for requests with the same head, but for its length,
    that follow on the connection: they are not shown to it. So a handler that must know what holds now looks again.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        limits: Limits | None = None,
        error_body: ErrorBody = _plain_error,
        check_head: HeadCheck | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.handler = handler
        self.limits = limits or Limits()
        self.error_body = error_body
        self.check_head = check_head
        self.connections: set[ServerConnection] = set()
        self.draining = False
        self.date_line = b""
        self.ok_line = status_line(200)
        """Status line and date of an answer with status 200."""
        self.refused: collections.Counter[str] = collections.Counter()
        """How many requests the server itself refused, by code."""
        self.known_hosts: set[bytes | None] = set()
        """Host headers already found good."""
        self._clock = clock or SystemClock()
        self._servers: list[tuple[asyncio.Server, socket.socket, bool]] = []
        """What listens, at which socket, and whether it speaks TLS."""
        self._ticker: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    async def listen(self, sock: socket.socket, *, tls: ssl.SSLContext | None = None) -> None:
        """Accept connections on a listening socket. The server owns the socket from here on."""
        loop = asyncio.get_running_loop()
        if self._ticker is None:
            self._tick(loop)
        self._servers.append((await self._accept(loop, sock, tls), sock, tls is not None))

    async def renew(self, tls: ssl.SSLContext) -> None:
        """Show other certificates to callers who come from now on, at all sockets that speak TLS. Connections stay, nobody is refused."""
        loop = asyncio.get_running_loop()
        for old in tuple(self._servers):
            server, sock, secure = old
            if not secure:
                continue
            again = sock.dup()
            renewed = await self._accept(loop, again, tls)
            if self.draining:
                renewed.close()
                return
            self._servers[self._servers.index(old)] = (renewed, again, True)
            server.close()  # not before: the queue of those who wait is one, and never without somebody who takes them in

    async def _accept(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, tls: ssl.SSLContext | None
    ) -> asyncio.Server:
        factory = lambda: ServerConnection(self, loop)  # noqa: E731  a bound closure is the cheapest protocol factory
        create = loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
        return await create(
            factory,
            sock=sock,
            backlog=BACKLOG,  # else the loop calls listen() again with its own, and a burst of callers waits for the kernel's retry
            ssl=tls,
            ssl_handshake_timeout=self.limits.head_s if tls is not None else None,
        )

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self.date_line = b"date: %b\r\n" % formatdate(self._clock.now_s(), usegmt=True).encode("ascii")
        self.ok_line = status_line(200) + self.date_line
        self._ticker = loop.call_later(1.0, self._tick, loop)

    def joined(self, connection: ServerConnection) -> None:
        self.connections.add(connection)
        self._idle.clear()

    def left(self, connection: ServerConnection) -> None:
        self.connections.discard(connection)
        if not self.connections:
            self._idle.set()

    def stop_accepting(self) -> None:
        """Close the listening sockets; open connections stay."""
        for server, _, _ in self._servers:
            server.close()
        self._servers.clear()

    async def drain(self, grace_s: float) -> bool:
        """Accept nothing more, answer what was begun, close what is idle. After `grace_s` seconds the rest is cut.

        Returns whether every call in flight came to its end.
        """
        self.draining = True
        self.stop_accepting()
        for connection in tuple(self.connections):
            connection.close_if_idle()
        try:
            await asyncio.wait_for(self._idle.wait(), grace_s)
        except TimeoutError:
            return False
        finally:
            await self.close()
        return True

    async def close(self) -> None:
        """Cut every connection and stop."""
        self.draining = True
        self.stop_accepting()
        for connection in tuple(self.connections):
            connection.abort()
        await self._idle.wait()
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
