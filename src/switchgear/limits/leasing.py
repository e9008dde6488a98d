"""Keeps a worker's shares supplied from the books that workers share: in the background, ahead of need, never in a call's way."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from switchgear.core.limits import LimitSharing
from switchgear.core.tasks import TaskOwner
from switchgear.limits.book import Ask, Grant
from switchgear.limits.errors import SharingFailing
from switchgear.limits.ports import Store
from switchgear.limits.share import Share
from switchgear.limits.shares import Shares

log = logging.getLogger(__name__)
_GAP_S = 0.01
"""Between two asks at least: calls that all wake it get one ask together."""
_RENEWALS = 3
"""So many in the time of a lease: two may fail."""


class Leaser:
    """One for each worker. `worker` is its name among all that use the store, and a fresh one for each start of the process."""

    def __init__(self, shares: Shares, store: Store, settings: LimitSharing, worker: str) -> None:
        if not shares.leased:
            raise ValueError("only leased shares can be supplied: make them with leased=True")
        self._shares = shares
        self._store = store
        self._settings = settings
        self._worker = worker
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="limits")
        self._woken = asyncio.Event()
        self._tasks = TaskOwner("limits")
        self._seq = 0
        self._renew_s = 0.0
        self._asked_at_s = 0.0
        self.last_error = ""
        shares.wake = self._woken.set
        shares.fresh_s = max(1.0, 4 * settings.sync_s)

    async def start(self) -> None:
        """Lease the first shares, so that the worker can begin to serve. Without the database it begins without, by `on_failure`."""
        await self.sync()
        self._tasks.start(self._run())

    async def close(self) -> None:
        """Tell what was used and give back what is left. Calls that are still under way lose their places and stay charged."""
        await self._tasks.close()
        self._shares.expire(float("inf"))
        await self.sync()  # asks whose answers were not waited for come first
        await self.sync(final=True)
        self._thread.shutdown(wait=False)
        self._shares.wake = _nobody

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            timer = loop.call_later(self._settings.sync_s, self._woken.set)
            await self._woken.wait()
            timer.cancel()
            wait_s = self._asked_at_s + _GAP_S - self._shares.clock.monotonic_s()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            self._woken.clear()
            await self.sync()

    async def sync(self, *, final: bool = False) -> None:
        """One round: all that there is to tell and to want, in one transaction."""
        shares, now_s = self._shares, self._shares.clock.monotonic_s()
        self._asked_at_s = now_s
        renew = final or shares.lost or now_s >= self._renew_s
        asking = [share for share in shares if renew or share.stirred]
        self._seq += 1
        asks = [share.ask(self._seq, now_s, final=final) for share in asking]
        loop = asyncio.get_running_loop()
        try:
            grants = await loop.run_in_executor(self._thread, self._settle, asks, final)
        except SharingFailing as error:
            self._failed(error)
            return
        self._answered(asking, grants, now_s, renewed=renew)

    def _settle(self, asks: list[Ask], final: bool) -> list[Grant]:
        """In the thread."""
        try:
            return self._store.settle(self._worker, asks, self._settings.lease_s)
        finally:
            if final:
                self._store.close()

    def _failed(self, error: SharingFailing) -> None:
        shares = self._shares
        if not shares.failing:
            log.warning("limits cannot be shared now, the leased share is kept for %g s: %s", self._left_s(), error)
        shares.failing = True
        self.last_error = str(error)
        if not shares.lost and shares.clock.monotonic_s() >= shares.lease_until_s:
            shares.lose()

    def _left_s(self) -> float:
        return max(0.0, self._shares.lease_until_s - self._shares.clock.monotonic_s())

    def _answered(self, asked: list[Share], grants: list[Grant], sent_s: float, *, renewed: bool) -> None:
        shares = self._shares
        if shares.failing:
            log.warning("limits are shared again")
        shares.failing = False
        self.last_error = ""
        for share, grant in zip(asked, grants, strict=True):
            share.accept(grant, sent_s)
        if renewed:
            self._renew_s = sent_s + self._settings.lease_s / _RENEWALS
            if sent_s + self._settings.lease_s > shares.clock.monotonic_s():
                shares.lost = False
                shares.lease_until_s = sent_s + self._settings.lease_s
        if any(grant.lost for grant in grants):
            log.warning(
                "the lease of this worker's limits was over before it was renewed; what it held counts as spent"
            )
            shares.lose()
            self._woken.set()


def _nobody() -> None:
    """Nobody leases any more."""
