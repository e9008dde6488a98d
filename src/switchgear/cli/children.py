"""Child processes of `up`: started, watched, started again when they end, and never left behind, however `up` itself ends."""

import asyncio
import ctypes
import logging
import os
import signal
import sys
from collections.abc import Callable

from switchgear.core.tasks import TaskOwner

log = logging.getLogger(__name__)
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)  # loaded here: after a fork, before the exec, nothing may be imported
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 5.0
_STABLE_S = 10.0


def _end_with(parent: int) -> Callable[[], None]:
    """Runs in the child before its exec: the kernel sends SIGTERM when the parent is gone (prctl(2), PR_SET_PDEATHSIG)."""

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it was gone already
            os._exit(1)

    return prepare


class Child:
    """One child: `switchgear` with other arguments, in a process of its own."""

    def __init__(self, name: str, arguments: list[str]) -> None:
        self.name = name
        self.arguments = arguments
        self.restarts = 0
        self.process: asyncio.subprocess.Process | None = None

    async def spawn(self) -> asyncio.subprocess.Process:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "switchgear",
            *self.arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for `up`, which then ends its children in order
            preexec_fn=_end_with(os.getpid()),
        )
        return self.process


class Children:
    """Keeps children running until it is closed."""

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._tasks = TaskOwner("children")
        self._closing = False

    async def start(self, name: str, arguments: list[str]) -> Child:
        """Start a child and keep it running from now on."""
        child = Child(name, arguments)
        await child.spawn()
        self._children.append(child)
        self._tasks.start(self._watch(child))
        return child

    async def _watch(self, child: Child) -> None:
        loop = asyncio.get_running_loop()
        wait_s = _FIRST_WAIT_S
        while child.process is not None:
            began_s = loop.time()
            status = await child.process.wait()
            if self._closing:
                return
            if loop.time() - began_s > _STABLE_S:
                wait_s = _FIRST_WAIT_S
            log.error("%s (pid %d) ended with status %s; starting it again", child.name, child.process.pid, status)
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
            child.restarts += 1
            await child.spawn()

    async def close(self) -> None:
        """End all: SIGTERM, and SIGKILL for what has not ended after five seconds."""
        self._closing = True
        running = [
            child.process for child in self._children if child.process is not None and child.process.returncode is None
        ]
        for process in running:
            _signal(process, signal.SIGTERM)
        try:
            async with asyncio.timeout(5.0):
                for process in running:
                    await process.wait()
        except TimeoutError:
            for process in running:
                _signal(process, signal.SIGKILL)
        await self._tasks.close()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    if process.returncode is None:
        try:
            process.send_signal(number)
        except ProcessLookupError:
            return
