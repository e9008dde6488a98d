"""Asks backends for their telemetry, each in its own rhythm, in tasks of its own: no call ever waits for it."""

import asyncio
import logging
import os
from collections.abc import Mapping

from switchgear.core.clock import Clock
from switchgear.core.errors import SwitchgearError
from switchgear.core.tasks import TaskOwner
from switchgear.gateway.health import BackendHealth
from switchgear.gateway.health_formats import read_telemetry
from switchgear.wire.client import Pool
from switchgear.wire.errors import ExchangeError
from switchgear.wire.fetch import fetch
from switchgear.wire.origin import Origin, parse_url, port_of, proxy_for
from switchgear.wire.tls import client_context

log = logging.getLogger(__name__)
_MOST_BYTES = 4 * 1024 * 1024
_GRID_S = 60.0


class HealthPoller:
    """Keeps each `BackendHealth` fresh that has a source; `watch` begins anew with others."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks = TaskOwner("health")
        self._running: list[asyncio.Task[None]] = []
        self._pools: list[Pool] = []

    async def watch(self, backends: Mapping[str, BackendHealth]) -> None:
        """Ask for these from now on, and for no others."""
        await self._stop()
        sources = [(name, health) for name, health in backends.items() if health.source is not None]
        for number, (name, health) in enumerate(sources):
            self._running.append(self._tasks.start(self._poll(name, health, number / len(sources))))
        grids = [health for health in backends.values() if health.energy is not None and health.energy.grid is not None]
        if grids:
            self._running.append(self._tasks.start(self._keep_grids(grids)))

    async def close(self) -> None:
        """Stop asking."""
        await self._stop()
        await self._tasks.close()

    async def _stop(self) -> None:
        running, self._running = self._running, []
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        pools, self._pools = self._pools, []
        for pool in pools:
            await pool.close()

    async def _poll(self, name: str, health: BackendHealth, phase: float) -> None:
        """`phase`, 0 to 1, spreads the askings of many backends over the interval."""
        source = health.source
        assert source is not None  # noqa: S101  only those with one are watched
        try:
            pool, path = _address(source.url)
        except (SwitchgearError, ValueError, OSError) as error:
            health.miss(f"{source.url} cannot be asked: {error}")
            log.error("backend %s: %s", name, health.error)
            return
        self._pools.append(pool)
        failing = False
        await asyncio.sleep(min(phase * source.every_s, 1.0))
        while True:
            try:
                response = await fetch(pool, "GET", path, total_s=source.timeout_s, max_bytes=_MOST_BYTES)
                if response.status != 200:
                    raise ExchangeError(f"status {response.status}")
                health.take(read_telemetry(response.body), self._clock.monotonic_s())
                failing = False
            except (SwitchgearError, ExchangeError) as error:
                health.miss(str(error) or type(error).__name__)
                if not failing:
                    log.warning("backend %s: health is not told: %s", name, health.error)
                failing = True
            await asyncio.sleep(source.every_s)

    async def _keep_grids(self, grids: list[BackendHealth]) -> None:
        while True:
            now_s = self._clock.now_s()
            for health in grids:
                if health.energy is not None and health.energy.grid is not None:
                    health.grid_g_per_kwh = health.energy.grid.at_g_per_kwh(now_s)
            await asyncio.sleep(_GRID_S)


def _address(url: str) -> tuple[Pool, str]:
    """A pool of one connection, and the path to ask for."""
    if url.startswith("unix:"):
        path, colon, target = url.removeprefix("unix:").rpartition(":")
        if not colon:
            path, target = target, "/metrics"
        return Pool(Origin("localhost", 80, path=path), size=1), target
    parsed = parse_url(url)
    tls = client_context() if parsed.scheme == "https" else None
    origin = Origin(parsed.hostname or "", port_of(parsed), tls, proxy=proxy_for(parsed, os.environ))
    return Pool(origin, size=1), (parsed.path or "/") + (f"?{parsed.query}" if parsed.query else "")
