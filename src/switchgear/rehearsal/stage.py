"""What a rehearsal runs on: devices as HTTP servers, and a gateway in front of them, all on the running event loop."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from switchgear.core.clock import Clock
from switchgear.emulator.health import HEALTH, Publishes
from switchgear.emulator.site import Site
from switchgear.gateway.app import Gateway
from switchgear.gateway.call import Desk
from switchgear.gateway.config import Config, snapshot_of
from switchgear.gateway.errors import error_body
from switchgear.gateway.health import BackendHealth
from switchgear.gateway.health_poller import HealthPoller
from switchgear.gateway.table import Builder
from switchgear.rehearsal.configuration import staged
from switchgear.rehearsal.model import Scenario
from switchgear.rehearsal.recording import JournalRecorder
from switchgear.wire.address import Address, bind, bound_address, parse_address
from switchgear.wire.client import Pool
from switchgear.wire.origin import Origin
from switchgear.wire.server import Server

_PATHS = {words: path for path, words in HEALTH.items()}


class Stage:
    """Open while the rehearsal runs. The scenario's time 0 is when it is entered.

    In virtual time every listener is a unix socket in `folder`, each backend's and the gateway's; in real time devices share a TCP socket.
    """

    def __init__(
        self, scenario: Scenario, config: Config | None, clock: Clock, folder: Path, *, speed: float, virtual: bool
    ) -> None:
        self.scenario = scenario
        self.health: dict[str, BackendHealth] = {}
        self.address = Address()
        """Where calls are sent: the gateway, or a socket of the devices'."""
        self.recorder: JournalRecorder | None = None
        self._config = config
        self._clock = clock
        self._folder = folder
        self._speed = speed
        self._virtual = virtual
        self._exits = AsyncExitStack()
        listen = f"unix:{folder}/devices.sock" if virtual else "127.0.0.1:0"
        self.site = Site(
            scenario.specs(), scenario.timelines(), clock, speed=speed, seed=scenario.seed, listen=(listen,)
        )

    def scenario_s(self) -> float:
        """The scenario's time."""
        return (self._clock.monotonic_s() - self.site.origin_s) * self._speed

    async def __aenter__(self) -> Self:
        try:
            await self._exits.enter_async_context(self.site)
            if self._config is None:
                self.address = self.site.addresses[0]
            else:
                await self._open_gateway(self._config)
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    def pool(self) -> Pool:
        """Connections to where calls are sent."""
        address = self.address
        if address.path:
            return Pool(Origin("rehearsal", 80, path=address.path), size=20_000)
        return Pool(Origin(address.host, address.port), size=20_000)

    async def _open_gateway(self, config: Config) -> None:
        timeline = self.scenario.gateway_timeline()
        recorder = self.recorder = JournalRecorder(self._folder / "journal", timeline, self.scenario_s, self._speed)
        recorder.start()
        self._exits.push_async_callback(recorder.close)
        urls = {name: await self._base_url(name) for name in config.backends}
        health_urls = {name: url for name in config.backends if (url := self._health_url(name))}
        snapshot = snapshot_of(staged(config, urls, health_urls, self._speed))
        builder = Builder({}, clock=self._clock, state_dir=self._folder)
        loop = asyncio.get_running_loop()
        now_s: Callable[[], float] = self._clock.now_s
        if len(timeline.times_s) > 1:
            now_s = lambda: self._clock.now_s() + timeline.at(self.scenario_s()).clock_offset_s  # noqa: E731  one of two clocks
        desk = Desk(loop, "rehearsal/0", now_s, recorder, refuse_unrecorded=False)
        table = builder.build(snapshot)
        self.health = {name: state.health or BackendHealth() for name, state in builder.live.backends.items()}
        gateway = Gateway(table, desk, rng=random.Random(self.scenario.seed))  # noqa: S311  routing
        server = Server(gateway.handle, check_head=gateway.check_head, error_body=error_body, clock=self._clock)
        sock = bind(parse_address(f"unix:{self._folder}/gateway.sock" if self._virtual else "127.0.0.1:0"))
        self.address = bound_address(sock)
        self._exits.push_async_callback(self._close_gateway, gateway)
        await server.listen(sock)
        self._exits.push_async_callback(server.close)
        poller = HealthPoller(self._clock)
        self._exits.push_async_callback(poller.close)
        await poller.watch(self.health)

    async def _base_url(self, name: str) -> str:
        if not self._virtual:
            return f"{self.site.url(name)}/v1"
        address = await self.site.listen_for(name, f"unix:{self._folder}/{name}.sock")
        return f"unix:{address.path}"

    def _health_url(self, name: str) -> str:
        """Where a device says how it is; empty where it publishes nothing."""
        words = self.scenario.specs()[name].published()
        if words is Publishes.NOTHING:
            return ""
        path = _PATHS[words]
        return f"unix:{self._folder}/{name}.sock:{path}" if self._virtual else f"{self.site.url(name)}{path}"

    async def _close_gateway(self, gateway: Gateway) -> None:
        await gateway.desk.tasks.close()
        for pool in gateway.table.pools.values():
            await pool.close()
