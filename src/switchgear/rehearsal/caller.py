"""The callers of a rehearsal: each call is sent at its time and watched to its end, whatever becomes of the others."""

import asyncio
from collections.abc import Callable, Mapping

from switchgear.core.clock import Clock
from switchgear.core.tasks import TaskOwner
from switchgear.rehearsal.arrivals import Arrival
from switchgear.rehearsal.seen import CallSeen, Ending
from switchgear.wire.client import Pool
from switchgear.wire.errors import ExchangeError
from switchgear.wire.exchange import header
from switchgear.wire.fetch import request_head

_TAIL = 64
_CHAT = "/v1/chat/completions"


class _Watcher:
    """Follows one answer. A `switchgear.wire.model.Receiver`."""

    def __init__(self, seen: CallSeen, now_s: Callable[[], float]) -> None:
        self.seen = seen
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.first_s: float | None = None
        self._now_s = now_s
        self._tail = b""
        self._erred = False

    def on_head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        self.seen.status = status
        self.seen.call = headers.get(b"x-switchgear-call", b"").decode("latin-1")
        self.seen.device = headers.get(b"x-switchgear-backend", b"").decode("latin-1") or self.seen.device

    def on_data(self, data: bytes) -> None:
        if self.first_s is None:
            self.first_s = self._now_s()
        self._erred = self._erred or data.startswith(b'data: {"error"') or b'\n\ndata: {"error"' in data
        self._tail = (self._tail + data)[-_TAIL:]

    def on_end(self) -> None:
        seen = self.seen
        if seen.status != 200:
            seen.ending = Ending.REFUSED
        elif self._erred or (seen.streamed and b"data: [DONE]" not in self._tail):
            seen.ending, seen.error = Ending.BROKEN, "no good end"
        else:
            seen.ending = Ending.OK
        self._finish()

    def on_fault(self, error: Exception) -> None:
        self.seen.ending = Ending.LOST if self.first_s is None else Ending.BROKEN
        self.seen.error = getattr(error, "code", type(error).__name__)
        self._finish()

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class Callers:
    """Sends calls over one pool, to a gateway or (with `prefixed`) to devices that share an address."""

    def __init__(self, pool: Pool, key: str, clock: Clock, speed: float, origin_s: float, *, prefixed: bool) -> None:
        self.seen: list[CallSeen] = []
        self._pool = pool
        self._key = key
        self._now_s = clock.monotonic_s
        self._speed = speed
        self._origin_s = origin_s
        """The clock's time at the scenario's beginning."""
        self._prefixed = prefixed
        self._tasks = TaskOwner("callers")

    async def run(self, calls: list[Arrival]) -> None:
        """Send each at its time."""
        for arrival in calls:
            wait_s = self._origin_s + arrival.at_s / self._speed - self._now_s()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            self._tasks.start(self._call(arrival))

    async def settle(self, settle_s: float) -> None:
        """Give those under way so many seconds of the scenario."""
        try:
            async with asyncio.timeout(settle_s / self._speed + 1e-6):
                await self._tasks.wait()
        except TimeoutError:
            await self._tasks.close()

    async def _call(self, arrival: Arrival) -> None:
        load = arrival.load
        seen = CallSeen(
            number=arrival.number,
            at_s=arrival.at_s,
            model=arrival.model,
            data_class=arrival.data_class,
            device=arrival.device,
            streamed=load.stream,
        )
        self.seen.append(seen)
        began_s = self._now_s()
        watcher = _Watcher(seen, self._now_s)
        patience_s = load.patience_s / self._speed
        try:
            connection = await self._pool.acquire(patience_s)
            deadline = asyncio.get_running_loop().time() + patience_s
            request = self._request(arrival)
            connection.send(request, watcher, first_s=patience_s, idle_s=patience_s, deadline=deadline)
            try:
                await watcher.done
            except asyncio.CancelledError:
                connection.cancel(watcher)
                raise
        except ExchangeError as error:
            seen.error = error.code
        finally:
            seen.latency_s = (self._now_s() - began_s) * self._speed
            if watcher.first_s is not None and seen.status == 200:
                seen.ttft_s = (watcher.first_s - began_s) * self._speed

    def _request(self, arrival: Arrival) -> bytes:
        lines = header("authorization", f"Bearer {self._key}") + b"content-type: application/json\r\n"
        if arrival.data_class is not None and not self._prefixed:
            lines += header("x-switchgear-data-class", arrival.data_class.value)
        path = f"/{arrival.device}{_CHAT}" if self._prefixed else _CHAT
        return request_head("POST", path, "rehearsal", lines, arrival.body) + arrival.body
