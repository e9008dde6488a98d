"""One worker: a process that serves calls. Its supervisor gives it sockets and snapshots; it gives back its live state.

Run as `python -m switchgear.gateway.worker --channel FD --number N --log-level LEVEL --listen FD …`.
"""

import argparse
import asyncio
import gc
import logging
import os
import random
import resource
import signal
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import msgspec
import uvloop

from switchgear.core.clock import SystemClock
from switchgear.core.sketching import Sketching
from switchgear.core.snapshot import Snapshot
from switchgear.core.tasks import TaskOwner
from switchgear.gateway.app import Gateway
from switchgear.gateway.cache_keeper import CacheKeeper
from switchgear.gateway.call import Desk
from switchgear.gateway.channel import Channel
from switchgear.gateway.config import GatewayConfig
from switchgear.gateway.errors import CATALOGUE, error_body
from switchgear.gateway.health_poller import HealthPoller
from switchgear.gateway.probe import Prober
from switchgear.gateway.recorder import ChannelRecorder
from switchgear.gateway.screening_keeper import ScreeningKeeper
from switchgear.gateway.sketching import Sketches
from switchgear.gateway.table import Builder
from switchgear.limits.leasing import Leaser
from switchgear.limits.stores import open_store
from switchgear.wire.errors import TlsError
from switchgear.wire.server import Server
from switchgear.wire.tls import server_context

log = logging.getLogger(__name__)
_TIDY_S = 30.0
_MOST_DESCRIPTORS = 1 << 20
"""What Linux allows a process where nothing was changed (fs.nr_open)."""
_COLLECT_AFTER = 20_000
"""Objects made and not yet freed before the youngest are looked through; Python's own 700 costs a tenth of a call."""


class Start(msgspec.Struct):
    """What a worker is given at its start."""

    config: GatewayConfig
    snapshot: Snapshot
    sketches: Sketching = Sketching()


class Drain(msgspec.Struct):
    """Answer what was begun, for so many seconds at most, and end."""

    grace_s: float


class Worker:
    """Owns the data plane of one process."""

    def __init__(self, number: int, listeners: list[socket.socket]) -> None:
        self._number = number
        self._listeners = listeners
        self._clock = SystemClock()
        self._builder: Builder | None = None
        self._ended = asyncio.Event()
        self._gateway: Gateway | None = None
        self._server: Server | None = None
        self._recorder: ChannelRecorder | None = None
        self._prober: Prober | None = None
        self._channel: Channel | None = None
        self._config: GatewayConfig | None = None
        self._leaser: Leaser | None = None
        self._poller: HealthPoller | None = None
        self._cache: CacheKeeper | None = None
        self._screening: ScreeningKeeper | None = None
        self._tasks = TaskOwner("worker")
        self._grace_s = 0.0

    async def run(self, channel: socket.socket) -> None:
        """Serve until told to drain, signalled, or left alone by the supervisor."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._signalled)
        for number in (signal.SIGINT, signal.SIGHUP):  # whoever sends these means the supervisor
            signal.signal(number, signal.SIG_IGN)
        operations = {
            "start": self._start,
            "swap": self._swap,
            "journal": self._journal,
            "live": self._live,
            "drain": self._drain,
        }
        self._channel = await Channel.open(channel, operations, self._ended.set)
        await self._ended.wait()
        await self._close()

    def _signalled(self) -> None:
        self._grace_s = self._config.drain_s if self._config is not None else 0.0
        self._ended.set()

    # -- operations of the supervisor --

    async def _start(self, content: msgspec.Raw) -> object:
        start = msgspec.msgpack.decode(content, type=Start)
        config = self._config = start.config
        assert self._channel is not None  # noqa: S101  over which this came
        recorder = self._recorder = ChannelRecorder(self._channel, strict=config.durability == "strict")
        sharing = start.snapshot.limit_sharing
        builder = self._builder = Builder(
            os.environ, clock=self._clock, state_dir=Path(config.state_dir), sharing=sharing
        )
        await asyncio.to_thread(builder.screen, start.snapshot)
        self._screening = ScreeningKeeper(builder)
        await self._screening.follow(start.snapshot)
        table = builder.build(start.snapshot)
        desk = Desk(
            asyncio.get_running_loop(),
            f"{socket.gethostname()}/{self._number}",
            self._clock.now_s,
            recorder,
            refuse_unrecorded=config.on_journal_failure == "refuse",
        )
        if start.sketches.keep:
            desk.sketches = Sketches(start.sketches, self._channel, random.Random())  # noqa: S311  which calls are kept is no secret
        cache = self._cache = CacheKeeper(desk, Path(config.state_dir), os.environ, self._clock)
        await cache.follow(start.snapshot)
        gateway = self._gateway = Gateway(table, desk)
        self._prober = Prober(gateway, builder)
        self._prober.start(start.snapshot)
        self._poller = HealthPoller(self._clock)
        await self._watch_health()
        if sharing.database:
            name = f"{desk.name}/{os.urandom(6).hex()}"  # a fresh one for each start: what the last one leased runs out
            store = open_store(sharing.database, self._clock)
            self._leaser = Leaser(builder.shares, store, sharing, name)
            await self._leaser.start()
        self._tasks.start(self._tidy())
        self._tasks.start(cache.tidy())
        server = self._server = Server(
            gateway.handle,
            limits=config.limits,
            error_body=_error_body,
            check_head=gateway.check_head,
            clock=self._clock,
        )
        context = _tls_context(config)
        gc.collect()
        gc.freeze()  # what is there now stays; calls leave no cycles, so the collector need not come often
        gc.set_threshold(_COLLECT_AFTER, 50, 50)
        for listener in self._listeners:
            await server.listen(listener, tls=context if listener.family != socket.AF_UNIX else None)
        return None

    async def _swap(self, content: msgspec.Raw) -> object:
        snapshot = msgspec.msgpack.decode(content, type=Snapshot)
        assert self._gateway is not None  # noqa: S101  the supervisor starts a worker before it sends it anything else
        assert self._prober is not None  # noqa: S101  as above
        assert self._builder is not None  # noqa: S101  as above
        assert self._cache is not None  # noqa: S101  as above
        assert self._screening is not None  # noqa: S101  as above
        await self._cache.follow(snapshot)
        await asyncio.to_thread(self._builder.screen, snapshot)  # compiling takes a second, and calls go on meanwhile
        await self._screening.follow(snapshot)
        self._gateway.serve(self._builder.build(snapshot))
        self._prober.start(snapshot)
        await self._watch_health()
        await self._renew_certificates()
        return snapshot.id

    async def _renew_certificates(self) -> None:
        """Show what the files of the certificates hold now."""
        assert self._config is not None  # noqa: S101  as above
        assert self._server is not None  # noqa: S101  as above
        try:
            context = _tls_context(self._config)
        except TlsError as error:  # calls are served all the same
            log.error("callers are shown the certificate that was read before: %s", error)
            return
        if context is not None:
            await self._server.renew(context)

    async def _watch_health(self) -> None:
        """Ask the backends that are served how their hardware is."""
        if self._gateway is not None and self._poller is not None:
            states = self._gateway.backend_states()
            await self._poller.watch({name: one.health for name, one in states.items() if one.health is not None})

    async def _journal(self, content: msgspec.Raw) -> object:
        if self._recorder is not None:
            healthy = msgspec.msgpack.decode(content, type=bool)
            self._recorder.told(healthy=healthy)
            log.info("told that records %s", "can be written again" if healthy else "cannot be written")
        return None

    async def _live(self, content: msgspec.Raw) -> object:
        gateway, server, recorder, builder = self._gateway, self._server, self._recorder, self._builder
        if gateway is None or server is None or recorder is None or builder is None:
            return {}
        return {
            "worker": self._number,
            "pid": os.getpid(),
            "ready": gateway.ready(),
            "connections": len(server.connections),
            "refused": dict(server.refused),
            "lost": recorder.lost,
            "cache": self._cache.live() if self._cache is not None else None,
            "external_screen": self._screening.live() if self._screening is not None else None,
            "identity": builder.identities.live(self._clock.now_s()),
            **gateway.live(),
        }

    async def _drain(self, content: msgspec.Raw) -> object:
        self._grace_s = msgspec.msgpack.decode(content, type=Drain).grace_s
        self._ended.set()
        return None

    async def _tidy(self) -> None:
        """Let go of what is over: reservations whose call never told its end, limits of callers that are gone."""
        while True:
            await asyncio.sleep(_TIDY_S)
            if self._gateway is not None:
                table = self._gateway.table
                longest_s = max((model.deadline_s for model in table.snapshot.models.values()), default=0.0)
                table.limiter.tidy(self._clock.monotonic_s(), longest_s + _TIDY_S)

    # -- the end --

    async def _close(self) -> None:
        if self._server is not None:
            if self._grace_s > 0:
                await self._server.drain(self._grace_s)
            await self._server.close()
        if self._prober is not None:
            await self._prober.close()
        await self._tasks.close()
        if self._poller is not None:
            await self._poller.close()
        if self._builder is not None:
            await self._builder.identities.close()
        if self._leaser is not None:
            await self._leaser.close()
        if self._gateway is not None:
            await self._gateway.desk.tasks.close()
            for pool in self._gateway.table.pools.values():
                await pool.close()
        if self._cache is not None:
            await self._cache.close()
        if self._screening is not None:
            await self._screening.close()
        if self._recorder is not None:
            await self._recorder.close()
        if self._channel is not None:
            self._channel.close()


def _tls_context(config: GatewayConfig) -> ssl.SSLContext | None:
    """What the TCP addresses speak, read from its files; None where that is plain HTTP. Raises TlsError."""
    tls = config.tls
    if tls is None:
        return None
    client_ca = Path(tls.client_ca) if tls.client_ca else None
    return server_context(Path(tls.cert), Path(tls.key), client_ca=client_ca, require_client=tls.require_client)


def _error_body(code: str, message: str) -> bytes:
    return error_body(code if code in CATALOGUE else "malformed_request", message)


def _take_descriptors() -> None:
    """Have as many file descriptors as this process may. A login shell allows 1,024 at first, which five hundred streams use up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # then it serves with what it has
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> None:
    """Entry point of the worker's process."""
    _take_descriptors()
    parser = argparse.ArgumentParser()
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--log-level", type=int, default=logging.INFO)
    parser.add_argument("--listen", type=int, action="append", default=[])
    options = parser.parse_args()
    logging.basicConfig(
        level=options.log_level, format=f"%(asctime)s %(levelname)s worker {options.number}: %(message)s"
    )
    listeners = [socket.socket(fileno=fd) for fd in options.listen]
    for listener in listeners:
        listener.setblocking(False)

    async def run() -> None:
        await Worker(options.number, listeners).run(socket.socket(fileno=options.channel))

    uvloop.run(run())


if __name__ == "__main__":
    main()
