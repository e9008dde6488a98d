"""Keeps a worker's shares supplied from the books that workers share: in the background, ahead of need, never in a call's way."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from switchgear.core.limits import LimitSharing
from switchgear.core.tasks import TaskOwner
from switchgear.limits.book import Ask, Grant
from switchgear.limits.errors import SharingFailing
from switchgear.limits.ports import Store
from switchgear.limits.shares import Shares
from switchgear.limits.supply import Supply

log = logging.getLogger(__name__)
_GAP_S = 0.01
"""Between two rounds at least: calls that all ask for one get one together."""


class Leaser:
    """One for each worker, on its event loop. The store is used in a thread of the leaser's own.

    `worker` names it among all that use the store, and has to be a fresh name for each start of the process.
    """

    def __init__(self, shares: Shares, store: Store, settings: LimitSharing, worker: str) -> None:
        self.supply = Supply(shares, settings)
        self._shares = shares
        self._store = store
        self._settings = settings
        self._worker = worker
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="limits")
        self._woken = asyncio.Event()
        self._tasks = TaskOwner("limits")
        self._began_s = 0.0
        shares.wake = self._woken.set

    async def start(self) -> None:
        """Lease the first shares, so that the worker can begin to serve. Without the database it begins without, by `on_failure`."""
        await self.sync()
        self._tasks.start(self._run())

    async def close(self) -> None:
        """Tell what was used, give back what is left, let go of the store. Reservations without an end are charged as estimated."""
        await self._tasks.close()
        self._shares.expire(float("inf"))
        await self.sync()  # asks whose answers nobody waited for come first
        await self.sync(final=True)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store.close)
        self._thread.shutdown()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        clock = self._shares.clock
        while True:
            timer = loop.call_later(self._settings.sync_s, self._woken.set)
            await self._woken.wait()
            timer.cancel()
            wait_s = self._began_s + _GAP_S - clock.monotonic_s()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            self._woken.clear()
            await self.sync()

    async def sync(self, *, final: bool = False) -> None:
        """One round: all that there is to tell and to want, in one transaction."""
        clock = self._shares.clock
        self._began_s = clock.monotonic_s()
        told = self.supply.round(self._began_s, final=final)
        if not told.asks:
            self.supply.answered(told, [], clock.monotonic_s())
            return
        loop = asyncio.get_running_loop()
        try:
            grants = await loop.run_in_executor(self._thread, self._settle, told.asks)
        except SharingFailing as error:
            self.supply.failed(error, clock.monotonic_s())
            return
        except Exception as error:
            log.exception("the store of the limits has a defect")
            self.supply.failed(SharingFailing(repr(error)), clock.monotonic_s())
            return
        if self.supply.answered(told, grants, clock.monotonic_s()):
            self._woken.set()

    def _settle(self, asks: list[Ask]) -> list[Grant]:
        """In the thread."""
        return self._store.settle(self._worker, asks, self._settings.lease_s)
