"""One worker as its supervisor holds it: a process, the line to it, and the sockets that outlive both."""

import asyncio
import logging
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from switchgear.core.record import Record
from switchgear.gateway.channel import Answer, Channel, ChannelClosed, ChannelError
from switchgear.gateway.recorder import Keeping
from switchgear.gateway.sketching import take
from switchgear.gateway.worker import Drain, Start
from switchgear.journal.model import Status
from switchgear.journal.writer import Writer

if TYPE_CHECKING:
    from switchgear.sketches.keeper import Keeper

_START_S = 30.0
_DRAIN_ANSWER_S = 5.0
_TELL_S = 2.0
_LIVE_S = 2.0
_AFTER_DRAIN_S = 15.0
"""What a worker may take to close after its calls have ended: its last records are sent and kept then."""


class WorkerHandle:
    """One worker's place: its process changes, its number and its sockets stay."""

    def __init__(
        self,
        number: int,
        listeners: list[socket.socket],
        journal: Writer[Record],
        sketches: "Keeper | None" = None,
    ) -> None:
        self.number = number
        self.listeners = listeners
        self.journal = journal
        """Where the records of this place go, whoever fills it."""
        self._keeping = Keeping(journal)
        self._sketches = sketches
        self.restarts = 0
        self.channel: Channel | None = None
        """None while the worker is not serving."""
        self.process: asyncio.subprocess.Process | None = None
        self._told_healthy = True
        """What the worker believes of its journal; a new one believes that it can be written."""
        self._telling = asyncio.Lock()

    async def spawn(self, start: Start) -> None:
        """Start the process and wait until it serves. It logs at this process's level. Raises ChannelError with the worker's reason."""
        ours, theirs = socket.socketpair()
        descriptors = [theirs.fileno(), *(listener.fileno() for listener in self.listeners)]
        arguments = ["--channel", str(theirs.fileno()), "--number", str(self.number)]
        arguments += ["--log-level", str(logging.getLogger().getEffectiveLevel())]
        for listener in self.listeners:
            arguments += ["--listen", str(listener.fileno())]
        try:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "switchgear.gateway.worker",
                *arguments,
                pass_fds=descriptors,
                start_new_session=True,  # what the terminal sends (Ctrl-C, a hang-up) is for the supervisor
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._told_healthy = True
        channel = await Channel.open(ours, {}, lambda: None, {"records": self._keeping.keep, "sketch": self._sketch})
        try:
            await channel.ask("start", start, timeout_s=_START_S)
        except BaseException:
            channel.close()
            _kill(self.process)
            raise
        self.channel = channel

    def _sketch(self, content: msgspec.Raw, answer: Answer) -> None:
        if self._sketches is None:
            raise ChannelError("no sketches are kept here")
        take(content, self._sketches, answer)

    @property
    def journal_told(self) -> bool:
        """Whether the worker knows how its journal is doing."""
        return self.channel is None or self.journal.healthy == self._told_healthy

    async def tell_journal(self) -> Status:
        """Have the worker know when its journal begins or ceases to fail. Returns the state that it knows then."""
        async with self._telling:  # whoever comes while it is told waits until it knows
            status = self.journal.status()
            if self.channel is not None and status.healthy != self._told_healthy:
                self._told_healthy = status.healthy
                try:
                    await self.channel.ask("journal", status.healthy, timeout_s=_TELL_S)
                except ChannelError:
                    self._told_healthy = not status.healthy  # it is told again
            return status

    async def live(self) -> tuple[msgspec.Raw, Status]:
        """Its live state, and its journal's: one that it acts upon when this is read. Raises ChannelError when it does not answer."""
        if self.channel is None:
            raise ChannelClosed("the worker is not serving")
        content = await self.channel.ask("live", timeout_s=_LIVE_S)
        # Told afterwards: the journal may begin to fail while the worker answers.
        return content, await self.tell_journal()

    async def ended(self) -> int | None:
        """Wait until the process has ended; its status. None where there is none."""
        if self.process is None:
            return None
        status = await self.process.wait()
        self.channel = None
        return status

    async def begin_to_end(self, grace_s: float) -> None:
        """Have it take no more calls and end when those in flight have, after `grace_s` seconds at most."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        try:
            if self.channel is None:
                process.terminate()
            else:
                await self.channel.ask("drain", Drain(grace_s), timeout_s=_DRAIN_ANSWER_S)
        except (ChannelError, ProcessLookupError):
            return  # it is gone, or stuck: `end` sees to both

    async def end(self, within_s: float) -> None:
        """Wait for the end that was begun; kill what outlasts it."""
        if self.process is None:
            return
        try:
            await asyncio.wait_for(self.process.wait(), within_s + _AFTER_DRAIN_S)
        except TimeoutError:
            _kill(self.process)
            await self.process.wait()


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
