"""The gateway's parent process: binds the sockets, keeps the workers running, hands them snapshots, and answers for all of them.

It serves no call. Listening sockets stay open here while a worker is replaced, so that no connection is refused meanwhile;
each worker has a socket of its own on a shared TCP port (SO_REUSEPORT), unix sockets are shared as they are.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from switchgear.core.errors import SwitchgearError
from switchgear.core.snapshot import Snapshot, encode_snapshot
from switchgear.core.tasks import TaskOwner
from switchgear.gateway.channel import Channel, ChannelError
from switchgear.gateway.config import Config, GatewayConfig, snapshot_of
from switchgear.gateway.worker import Drain, Start
from switchgear.wire.address import Address, bind, bound_address, parse_address

log = logging.getLogger(__name__)
_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 5.0
_STABLE_S = 10.0
_START_S = 30.0


class WorkerHandle:
    """One worker's process, kept running."""

    def __init__(self, number: int, listeners: list[socket.socket]) -> None:
        self.number = number
        self.restarts = 0
        self.channel: Channel | None = None
        """None while the worker is not serving."""
        self.process: asyncio.subprocess.Process | None = None
        self.listeners = listeners

    async def spawn(self, start: Start) -> None:
        """Start the process and wait until it serves. Raises ChannelError with the worker's reason."""
        ours, theirs = socket.socketpair()
        descriptors = [theirs.fileno(), *(listener.fileno() for listener in self.listeners)]
        arguments = ["--channel", str(theirs.fileno()), "--number", str(self.number)]
        for listener in self.listeners:
            arguments += ["--listen", str(listener.fileno())]
        try:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "switchgear.gateway.worker", *arguments, pass_fds=descriptors
            )
        finally:
            theirs.close()
        channel = await Channel.open(ours, {}, lambda: None)
        try:
            await channel.ask("start", start, timeout_s=_START_S)
        except ChannelError:
            channel.close()
            await self.process.wait()
            raise
        self.channel = channel


class Supervisor:
    """Runs a gateway from its configuration until it is told to stop."""

    def __init__(self, config: Config, reload: Callable[[], Config] | None = None) -> None:
        self.config = config
        self.snapshot: Snapshot = snapshot_of(config)
        self.listening: list[Address] = []
        """Where calls are taken, once started."""
        self.workers: list[WorkerHandle] = []
        self.reload_error = ""
        """Why the last reload was refused; empty when it was not."""
        self._reload = reload
        self._tasks = TaskOwner("supervisor")
        self._stopping = asyncio.Event()
        self._sockets: list[socket.socket] = []

    @property
    def gateway_config(self) -> GatewayConfig:
        return self.config.gateway

    # -- life --

    async def start(self) -> None:
        """Bind and start all workers. Raises AddressError, or ChannelError with a worker's reason."""
        config = self.gateway_config
        try:
            self._bind(config)
            start = Start(config, self.snapshot)
            async with asyncio.TaskGroup() as group:
                for worker in self.workers:
                    group.create_task(worker.spawn(start))
        except BaseExceptionGroup as group_error:
            await self.stop(0.0)
            raise group_error.exceptions[0] from group_error
        except BaseException:
            await self.stop(0.0)
            raise
        self._keep_last_good()
        for worker in self.workers:
            self._tasks.start(self._watch(worker))

    def _bind(self, config: GatewayConfig) -> None:
        Path(config.state_dir).mkdir(parents=True, exist_ok=True)
        own: list[list[socket.socket]] = [[] for _ in range(config.workers)]
        for text in config.listen:
            address = parse_address(text)
            first = bind(address, reuse_port=config.workers > 1)
            self._sockets.append(first)
            bound = bound_address(first)
            self.listening.append(bound)
            for number in range(config.workers):
                if number == 0 or address.path:
                    listener = first
                else:
                    listener = bind(bound, reuse_port=True)
                    self._sockets.append(listener)
                own[number].append(listener)
        self.workers = [WorkerHandle(number, listeners) for number, listeners in enumerate(own)]

    async def _watch(self, worker: WorkerHandle) -> None:
        """Start a worker again whenever it ends: at once, and more slowly the more often it does so."""
        loop = asyncio.get_running_loop()
        wait_s = _FIRST_WAIT_S
        while not self._stopping.is_set():
            began_s = loop.time()
            process = worker.process
            if process is not None:
                status = await process.wait()
                worker.channel = None
                if self._stopping.is_set():
                    return
                log.error(
                    "worker %d (pid %d) ended with status %d; starting it again", worker.number, process.pid, status
                )
            if loop.time() - began_s > _STABLE_S:
                wait_s = _FIRST_WAIT_S
            else:
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
            worker.restarts += 1
            try:
                await worker.spawn(Start(self.gateway_config, self.snapshot))
            except (SwitchgearError, OSError) as error:
                log.error("worker %d does not start: %s", worker.number, error)

    async def wait_for_signal(self) -> None:
        """Wait for SIGTERM or SIGINT; SIGHUP meanwhile reloads."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._tasks.start(self.reload()))
        await self._stopping.wait()

    async def stop(self, grace_s: float) -> None:
        """End all workers: calls in flight get `grace_s` seconds."""
        self._stopping.set()
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()
        for worker in self.workers:
            process = worker.process
            if process is None or process.returncode is not None:
                continue
            try:
                if worker.channel is None:
                    process.terminate()
                else:
                    await worker.channel.ask("drain", Drain(grace_s), timeout_s=5.0)
            except (ChannelError, ProcessLookupError):
                pass
        for worker in self.workers:
            await _ended(worker.process, grace_s + 15.0)
        await self._tasks.close()
        self._remove_unix_sockets()

    def _remove_unix_sockets(self) -> None:
        for address in self.listening:
            if address.path:
                Path(address.path).unlink(missing_ok=True)

    # -- snapshots --

    async def reload(self) -> None:
        """Read the configuration again and swap it in everywhere; one that cannot be served from changes nothing."""
        if self._reload is None:
            return
        try:
            config = self._reload()
            snapshot = snapshot_of(config)
            for worker in self.workers:
                if worker.channel is not None:
                    await worker.channel.ask("swap", snapshot)
        except SwitchgearError as error:
            self.reload_error = str(error)
            log.error("reload refused, serving snapshot %s as before:\n%s", self.snapshot.id, error)
            await self._restore()
            return
        if config.gateway != self.gateway_config:
            log.warning("changes in [gateway] take effect at the next start")
        self.config = msgspec.structs.replace(config, gateway=self.gateway_config)
        self.snapshot = snapshot
        self.reload_error = ""
        self._keep_last_good()
        log.info("serving snapshot %s", snapshot.id)

    async def _restore(self) -> None:
        """Put workers that had already taken a refused snapshot back to the one before."""
        for worker in self.workers:
            if worker.channel is not None:
                try:
                    await worker.channel.ask("swap", self.snapshot)
                except ChannelError as error:
                    log.error("worker %d: %s", worker.number, error)

    def _keep_last_good(self) -> None:
        path = Path(self.gateway_config.state_dir) / "snapshot.msgpack"
        draft = path.with_suffix(".new")
        draft.write_bytes(encode_snapshot(self.snapshot))
        os.replace(draft, path)

    # -- live state --

    async def live(self) -> list[dict[str, object]]:
        """The live state of each worker that answers."""
        answers: list[dict[str, object]] = []
        for worker in self.workers:
            if worker.channel is None:
                continue
            try:
                content = await worker.channel.ask("live", timeout_s=2.0)
            except ChannelError as error:
                log.warning("worker %d does not tell its state: %s", worker.number, error)
            else:
                answers.append(msgspec.msgpack.decode(content, type=dict[str, object]))
        return answers


async def _ended(process: asyncio.subprocess.Process | None, within_s: float) -> None:
    if process is None:
        return
    try:
        await asyncio.wait_for(process.wait(), within_s)
    except TimeoutError:
        process.kill()
        await process.wait()
