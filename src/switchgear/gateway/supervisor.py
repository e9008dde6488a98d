"""The gateway's parent process: binds the sockets, keeps the workers running, hands them snapshots, and answers for all of them.

It serves no call. Listening sockets stay open here while a worker is replaced, so that no connection is refused meanwhile;
each worker has a socket of its own on a shared TCP port (SO_REUSEPORT), unix sockets are shared as they are.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from switchgear.core.clock import SystemClock
from switchgear.core.errors import SwitchgearError
from switchgear.core.record import Record, encode_record
from switchgear.core.snapshot import Snapshot, encode_snapshot
from switchgear.core.tasks import TaskOwner
from switchgear.gateway.channel import ChannelClosed, ChannelError
from switchgear.gateway.config import Config, GatewayConfig, snapshot_of
from switchgear.gateway.sketching import open_keeper
from switchgear.gateway.worker import Start
from switchgear.gateway.worker_handle import WorkerHandle
from switchgear.journal.model import Settings
from switchgear.journal.writer import Writer
from switchgear.wire.address import Address, bind, bound_address, parse_address, unbind

if TYPE_CHECKING:
    from switchgear.sketches.keeper import Keeper

log = logging.getLogger(__name__)
_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 5.0
_STABLE_S = 10.0
_JOURNAL_S = 0.05


class StateDirUnusable(SwitchgearError):
    """`gateway.state_dir` cannot be made, or is no directory."""

    code = "state_dir_unusable"


class Supervisor:
    """Runs a gateway from its configuration until it is told to stop.

    `reload` reads the configuration again for SIGHUP; without it there is nothing to read, and SIGHUP means what it means to any
    program: its terminal is gone, so it ends.
    """

    def __init__(self, config: Config, reload: Callable[[], Config] | None = None) -> None:
        self.config = config
        self.snapshot: Snapshot = snapshot_of(config)
        self.listening: list[Address] = []
        """Where calls are taken, once started."""
        self.workers: list[WorkerHandle] = []
        self.reload_error = ""
        """Why the last reload was refused; empty when it was not."""
        self.keep_error = ""
        """Why the last good snapshot is not on the disk; empty when it is."""
        self._reload = reload
        self._swapping = asyncio.Lock()  # two reloads, or a reload and a start, must not hand out snapshots crosswise
        self._tasks = TaskOwner("supervisor")
        self._stopping = asyncio.Event()
        self._sockets: list[socket.socket] = []
        self._sketches: Keeper | None = None

    @property
    def stopping(self) -> bool:
        """Whether its end has begun: calls in flight are answered, and no more are taken."""
        return self._stopping.is_set()

    @property
    def gateway_config(self) -> GatewayConfig:
        return self.config.gateway

    # -- life --

    async def start(self) -> None:
        """Bind and start all workers. Raises StateDirUnusable, AddressError, or ChannelError with a worker's reason."""
        try:
            self._make_state_dir()
            self._sketches = open_keeper(
                self.config.sketches,
                self.config.screen,
                Path(self.gateway_config.state_dir),
                os.environ,
                SystemClock(),
            )
            self._bind(self.gateway_config)
            async with asyncio.TaskGroup() as group:
                for worker in self.workers:
                    group.create_task(worker.spawn(self._start(self.snapshot)))
        except BaseExceptionGroup as group_error:
            await self.stop(0.0)
            raise group_error.exceptions[0] from group_error
        except BaseException:
            await self.stop(0.0)
            raise
        self._keep_last_good()
        for worker in self.workers:
            self._tasks.start(self._watch(worker))
        self._tasks.start(self._watch_journals())

    def _start(self, snapshot: Snapshot) -> Start:
        return Start(self.gateway_config, snapshot, self.config.sketches)

    def _make_state_dir(self) -> None:
        path = Path(self.gateway_config.state_dir)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateDirUnusable(
                f"cannot use {path} as gateway.state_dir: {error.strerror or error}; name a directory that can be written"
            ) from error

    def _bind(self, config: GatewayConfig) -> None:
        own: list[list[socket.socket]] = [[] for _ in range(config.workers)]
        for text in config.listen:
            address = parse_address(text)
            first = bind(address)
            self._sockets.append(first)
            if config.workers > 1 and not address.path:
                # Not before: with SO_REUSEPORT from the beginning, a second gateway on this port would get half of the calls of the
                # first one, and nobody an error.
                first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound = bound_address(first)
            self.listening.append(bound)
            for number in range(config.workers):
                if number == 0 or address.path:
                    listener = first
                else:
                    listener = bind(bound, reuse_port=True)
                    self._sockets.append(listener)
                own[number].append(listener)
        self.workers = [
            WorkerHandle(number, listeners, self._journal(number), self._sketches)
            for number, listeners in enumerate(own)
        ]

    def _journal(self, number: int) -> Writer[Record]:
        config = self.gateway_config
        writer: Writer[Record] = Writer(
            Path(config.state_dir) / "journal" / f"worker-{number}.db",
            encode_record,
            Settings(keep_days=config.journal_keep_days, interval_s=0.0),  # its worker has gathered already
        )
        writer.start()
        return writer

    async def _watch(self, worker: WorkerHandle) -> None:
        """Start a worker again whenever it ends: at once, and more slowly the more often it does so."""
        loop = asyncio.get_running_loop()
        wait_s = _FIRST_WAIT_S
        while True:
            began_s = loop.time()
            status = await worker.ended()
            if self._stopping.is_set():
                return
            pid = worker.process.pid if worker.process is not None else 0
            log.error("worker %d (pid %d) ended with status %s; starting it again", worker.number, pid, status)
            if loop.time() - began_s > _STABLE_S:
                wait_s = _FIRST_WAIT_S
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
            if self._stopping.is_set():
                return
            worker.restarts += 1
            try:
                await self._start_again(worker)
            except (SwitchgearError, OSError) as error:
                log.error("worker %d does not start: %s", worker.number, error)

    async def _watch_journals(self) -> None:
        """Workers decide by it whether they may take calls."""
        while True:
            await asyncio.sleep(_JOURNAL_S)
            for worker in self.workers:
                if not worker.journal_told:
                    await worker.tell_journal()

    async def _start_again(self, worker: WorkerHandle) -> None:
        given = self.snapshot
        await worker.spawn(self._start(given))
        async with self._swapping:
            if self.snapshot is not given and worker.channel is not None:  # a reload went by while it started
                await worker.channel.ask("swap", self.snapshot)

    async def wait_for_signal(self) -> None:
        """Wait for SIGTERM or SIGINT; SIGHUP meanwhile reloads, where there is something to read. It may have been blocked until now."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        if self._reload is not None:
            loop.add_signal_handler(signal.SIGHUP, lambda: self._tasks.start(self.reload()))
        elif signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup sets it so
            loop.add_signal_handler(signal.SIGHUP, self._stopping.set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        await self._stopping.wait()

    async def stop(self, grace_s: float) -> None:
        """End all workers: calls in flight get `grace_s` seconds."""
        self._stopping.set()
        for sock in self._sockets:
            unbind(sock)
        self._sockets.clear()
        self.listening.clear()
        for worker in self.workers:
            await worker.begin_to_end(grace_s)
        for worker in self.workers:
            await worker.end(grace_s)
            await worker.journal.close()
        await self._tasks.close()
        if self._sketches is not None:
            await asyncio.to_thread(self._sketches.close)

    # -- snapshots --

    async def reload(self) -> None:
        """Read the configuration again and swap it in everywhere; one that cannot be served from changes nothing."""
        if self._reload is None:
            return
        async with self._swapping:
            try:
                config = self._reload()
                snapshot = snapshot_of(config)
                await self._swap_everywhere(snapshot)
            except SwitchgearError as error:
                self.reload_error = str(error)
                log.error("reload refused, serving snapshot %s as before:\n%s", self.snapshot.id, error)
                return
            if config.gateway != self.gateway_config or config.sketches != self.config.sketches:
                log.warning("changes in [gateway] and [sketches] take effect at the next start")
            self.config = msgspec.structs.replace(config, gateway=self.gateway_config, sketches=self.config.sketches)
            self.snapshot = snapshot
            self.reload_error = ""
        self._keep_last_good()
        log.info("serving snapshot %s", snapshot.id)

    async def _swap_everywhere(self, snapshot: Snapshot) -> None:
        """Raises ChannelError when a worker refuses; those that had taken it already are then put back."""
        taken: list[WorkerHandle] = []
        for worker in self.workers:
            try:
                if worker.channel is not None:
                    taken.append(worker)
                    await worker.channel.ask("swap", snapshot)
            except ChannelClosed:
                continue  # it is being started again, and gets this snapshot then
            except ChannelError:
                await self._put_back(taken)
                raise

    async def _put_back(self, workers: list[WorkerHandle]) -> None:
        for worker in workers:
            if worker.channel is not None:
                try:
                    await worker.channel.ask("swap", self.snapshot)
                except ChannelError as error:
                    log.error("worker %d: %s", worker.number, error)

    def _keep_last_good(self) -> None:
        path = Path(self.gateway_config.state_dir) / "snapshot.msgpack"
        draft = path.with_suffix(".new")
        try:
            draft.write_bytes(encode_snapshot(self.snapshot))
            os.replace(draft, path)
        except OSError as error:  # calls are served all the same
            self.keep_error = f"{path} cannot be written: {error.strerror or error}"
            log.error("%s", self.keep_error)
        else:
            self.keep_error = ""

    # -- live state --

    async def live(self) -> list[dict[str, object]]:
        """The live state of each worker that answers."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._live(worker)) for worker in self.workers]
        return [state for task in tasks if (state := task.result())]

    async def _live(self, worker: WorkerHandle) -> dict[str, object]:
        if worker.channel is None:
            return {}
        try:
            content, journal = await worker.live()
        except ChannelError as error:
            log.warning("worker %d does not tell its state: %s", worker.number, error)
            return {}
        state = msgspec.msgpack.decode(content, type=dict[str, Any])
        state["journal"] = msgspec.to_builtins(msgspec.structs.replace(journal, lost=journal.lost + state.pop("lost")))
        return state
