"""Child processes of `up`: started, watched, started again when they end, and never left behind, however `up` itself ends."""

import asyncio
import ctypes
import logging
import os
import re
import signal
import sys
from collections.abc import Callable

from switchgear.core.errors import SwitchgearError
from switchgear.core.tasks import TaskOwner

log = logging.getLogger(__name__)
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)  # loaded here: after a fork, before the exec, nothing may be imported
_SERVES = re.compile(rb" on (http://[!-~]+)$", re.MULTILINE)
_LONGEST_WAIT_S = 5.0
_STABLE_S = 10.0
_END_S = 5.0


class ChildFailed(SwitchgearError):
    """A child ended, or said nothing, before it served."""

    code = "child_failed"


def _end_with(parent: int) -> Callable[[], None]:
    """Runs in the child before its exec: the kernel sends SIGTERM when the parent is gone (prctl(2), PR_SET_PDEATHSIG)."""

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it was gone already
            os._exit(1)

    return prepare


class Child:
    """One child: `switchgear` with other arguments, in a process of its own. When it serves, it prints `… on URL`."""

    def __init__(self, name: str, arguments: list[str]) -> None:
        self.name = name
        self.arguments = arguments
        self.restarts = 0
        self.process: asyncio.subprocess.Process | None = None

    async def spawn(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "switchgear",
            *self.arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for `up`, which then ends its children in order
            preexec_fn=_end_with(os.getpid()),
        )

    async def url(self) -> str:
        """Where it serves, as it says itself: whoever else may answer there is not it. Empty when it ended before."""
        assert self.process is not None  # noqa: S101  asked only after `spawn`
        assert self.process.stdout is not None  # noqa: S101  it is a pipe
        while line := await self.process.stdout.readline():
            if found := _SERVES.search(line):
                return found[1].decode()
        return ""

    async def drop_output(self) -> None:
        """Read what it still says, until its end: a full pipe would stop it."""
        assert self.process is not None  # noqa: S101  asked only after `spawn`
        assert self.process.stdout is not None  # noqa: S101  it is a pipe
        while await self.process.stdout.read(4096):
            pass

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.process is not None and self.process.returncode is None:
            try:
                self.process.send_signal(number)
            except ProcessLookupError:
                return

    async def end(self) -> None:
        """SIGTERM, and SIGKILL if it has not ended after five seconds."""
        if self.process is None:
            return
        self.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), _END_S)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.process.wait()


class Children:
    """Keeps children running until it is closed. One that ends is started again `first_wait_s` later; later, the more often it ends."""

    def __init__(self, first_wait_s: float = 0.1) -> None:
        self._first_wait_s = first_wait_s
        self._children: list[Child] = []
        self._tasks = TaskOwner("children")

    async def start(self, child: Child, within_s: float) -> str:
        """Start a child; the URL where it serves. From then on it is kept running.

        Raises ChildFailed when it ends before, or says nothing within so many seconds.
        """
        await child.spawn()
        try:
            url = await asyncio.wait_for(child.url(), within_s)
        except BaseException as error:
            await child.end()
            if isinstance(error, TimeoutError):
                raise ChildFailed(f"{child.name} does not serve within {within_s:g} s") from error
            raise
        if not url:
            await child.end()
            raise ChildFailed(f"{child.name} does not start; its reason stands above")
        self._children.append(child)
        self._tasks.start(self._watch(child))
        return url

    async def _watch(self, child: Child) -> None:
        loop = asyncio.get_running_loop()
        wait_s = self._first_wait_s
        while child.process is not None:
            began_s = loop.time()
            await child.drop_output()
            status = await child.process.wait()
            if loop.time() - began_s > _STABLE_S:
                wait_s = self._first_wait_s
            log.error("%s (pid %d) ended with status %s; starting it again", child.name, child.process.pid, status)
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
            child.restarts += 1
            await child.spawn()

    async def close(self) -> None:
        """End all."""
        await self._tasks.close()  # first of all, so that none is started again
        async with asyncio.TaskGroup() as group:
            for child in self._children:
                group.create_task(child.end())
