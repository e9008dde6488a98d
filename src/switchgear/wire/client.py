"""An HTTP/1.1 client: pooled keep-alive connections to one origin. One connection is `ClientConnection`."""

import asyncio
import collections

from switchgear.wire.client_connection import ClientConnection
from switchgear.wire.errors import Cancelled, ConnectError, ConnectTimeout, PoolExhausted
from switchgear.wire.origin import Origin, connect

__all__ = ["ClientConnection", "Pool"]


class Pool:
    """Connections to one origin: at most `size` at a time, an unused one is closed after `idle_s` seconds.

    Whoever waits for a connection is served in turn: one that comes free is handed over, and a place that comes free is
    kept for the one handed it, so that nobody who comes later takes it first.
    """

    def __init__(self, origin: Origin, *, size: int = 1024, idle_s: float = 30.0) -> None:
        self.origin = origin
        self.size = size
        self.idle_s = idle_s
        self.opened = 0
        """Connections opened so far; with the number of requests it tells how well reuse works."""
        self._open: set[ClientConnection] = set()
        self.idle: collections.deque[ClientConnection] = collections.deque()
        """Connections that wait for a request, the last used last."""
        self.in_demand = False
        """Whether a connection that comes free has somewhere else to go: somebody waits for it, or the pool is retired."""
        self._pending = 0
        self._waiters: collections.deque[asyncio.Future[ClientConnection | None]] = collections.deque()
        self._retired = False
        self._closed = False
        self._empty = asyncio.Event()

    @property
    def open(self) -> int:
        """Connections open or being opened."""
        return len(self._open) + self._pending

    def try_acquire(self) -> ClientConnection | None:
        """An idle connection, the last used first, without waiting."""
        idle = self.idle
        while idle:
            connection = idle.pop()
            connection.idle = False
            if connection.usable:
                return connection
        return None

    async def acquire(self, connect_s: float) -> ClientConnection:
        """An idle connection, else a new one, else wait for one, all within `connect_s` seconds.

        Raises ConnectError, ConnectTimeout, OutOfSockets or PoolExhausted; Cancelled if the pool is closed meanwhile.
        """
        connection = self.try_acquire()
        if connection is not None:
            return connection
        opening = False
        try:
            async with asyncio.timeout(connect_s):
                while self.open >= self.size and not self._closed:
                    connection = await self._turn()
                    if connection is None:
                        break
                    if connection.usable:
                        return connection
                else:
                    self._pending += 1
                opening = True
                return await self._connect()
        except TimeoutError as error:
            where = self.origin.path or self.origin.authority
            if opening:
                raise ConnectTimeout(f"no connection to {where} within {connect_s:g} s") from error
            raise PoolExhausted(
                f"all {self.size} connections to {where} are in use and none came free within {connect_s:g} s"
            ) from error

    async def _turn(self) -> ClientConnection | None:
        """Wait for a connection that came free, or for None: a place is kept, to be filled by `_connect`."""
        waiter: asyncio.Future[ClientConnection | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self.in_demand = True
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:  # its turn goes to the next
                connection = waiter.result()
                if connection is None:
                    self._pending -= 1
                    self._offer_places()
                elif connection.usable:
                    self.released(connection)
            raise

    async def _connect(self) -> ClientConnection:
        """Fill a place already counted in `_pending`."""
        try:
            self._refuse_if_closed()
            connection = ClientConnection(self, asyncio.get_running_loop())
            await connect(self.origin, lambda: connection)
            if not connection.usable:
                where = self.origin.path or self.origin.authority
                raise ConnectError(f"{where} closed the connection as soon as it was open")
            self._open.add(connection)
            self._empty.clear()
            self.opened += 1
        finally:
            self._pending -= 1
            self._offer_places()
        if self._closed:
            connection.close()
            self._refuse_if_closed()
        return connection

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise Cancelled("the pool of connections was closed")

    def released(self, connection: ClientConnection) -> None:
        """A connection's exchange ended well and it may be used again."""
        if self._retired:
            connection.close()
            return
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self.in_demand = False
        connection.idle = True
        self.idle.append(connection)

    def lost(self, connection: ClientConnection) -> None:
        self._open.discard(connection)
        if not self._open:
            self._empty.set()
        if connection.idle:
            connection.idle = False
            self.idle.remove(connection)
        self._offer_places()

    def _offer_places(self) -> None:
        while self._waiters and self.open < self.size:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._pending += 1
                waiter.set_result(None)

    def close_idle(self) -> None:
        """Retire: calls in flight end, and may still open connections; none is kept after its exchange."""
        self._retired = self.in_demand = True
        for connection in tuple(self.idle):
            connection.close()

    async def close(self) -> None:
        """Close every connection, those in use too; whoever waits for one gets Cancelled."""
        self._closed = True
        self.close_idle()
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(Cancelled("the pool of connections was closed"))
        for connection in tuple(self._open):
            connection.close()
        if self._open:
            await self._empty.wait()
