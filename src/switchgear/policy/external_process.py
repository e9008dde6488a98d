"""An external screen in a child process: asked over pipes, started again when it crashes, and never waited for beyond a call's limit."""

import asyncio
import logging
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence

import msgspec

from switchgear.core.decoding import UNREADABLE
from switchgear.core.external_screening import ExternalScreening
from switchgear.core.tasks import TaskOwner
from switchgear.policy.errors import PolicyError
from switchgear.policy.external import ExternalAnswer, Told
from switchgear.policy.external_frames import LARGEST_LINE, Ready, Reply, Request, line
from switchgear.policy.model import Finding

log = logging.getLogger(__name__)
PRESIDIO = (sys.executable, "-m", "switchgear.policy.external_presidio")
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 30.0
_START_S = 60.0
"""Loading a large model takes tens of seconds."""
_END_S = 5.0
_STUCK_S = 10.0
"""A process that answers nothing for so long, while as many wait as may, is started again."""


class ExternalFailed(PolicyError):
    """The process cannot be used: its extra or its model is not installed."""

    code = "external_screen_failed"


class ExternalProcess:
    """An `ExternalScreen`. Use on one event loop; `start`, then `close`."""

    def __init__(self, settings: ExternalScreening, command: Sequence[str] = PRESIDIO) -> None:
        self._settings = settings
        self._command = command
        self._process: Process | None = None
        self._ready = False
        self._number = 0
        self._waiting: dict[int, tuple[asyncio.Handle, Told]] = {}
        self._unanswered = 0
        """Requests that the process has not answered, those included that nobody waits for any more."""
        self._heard_s = 0.0
        """When it last answered, or came up; event loop's time."""
        self._tasks = TaskOwner("external screen")
        self.restarts = 0
        """How often the process was started again."""
        self.late = 0
        """Calls that had no answer in time."""

    async def start(self) -> None:
        """Start the process and wait until it can be asked. Raises ExternalFailed with the remedy."""
        await self._spawn()
        self._tasks.start(self._follow())

    def keep_trying(self) -> None:
        """After a `start` that failed: try again until it succeeds. Until then it is down."""
        self._tasks.start(self._follow())

    @property
    def ready(self) -> bool:
        """Whether it can be asked."""
        return self._ready

    async def close(self) -> None:
        """End the process; whoever waits is told that it is down."""
        await self._tasks.close()
        await self._end()
        self._tell_all("down")

    def ask(self, texts: Sequence[str], timeout_s: float, told: Told) -> Callable[[], None]:
        """As `ExternalScreen.ask`."""
        loop = asyncio.get_running_loop()
        self._number = number = self._number + 1
        why = self._cannot()
        if why:
            timer: asyncio.Handle = loop.call_soon(self._answer, number, ExternalAnswer(late=why))
        else:
            assert self._process is not None  # noqa: S101  `_cannot` says so
            assert self._process.stdin is not None  # noqa: S101  it was started with a pipe
            self._process.stdin.write(line(Request(number, list(texts))))
            self._unanswered += 1
            timer = loop.call_later(timeout_s, self._answer, number, ExternalAnswer(late="timeout"))
        self._waiting[number] = (timer, told)

        def gone() -> None:
            self._forget(number)

        return gone

    def _cannot(self) -> str:
        if not self._ready or self._process is None:
            return "down"
        if self._unanswered < self._settings.max_waiting:
            return ""
        if asyncio.get_running_loop().time() - self._heard_s > _STUCK_S and self._process.returncode is None:
            log.error("the external screen has not answered for %.0f s; ending it", _STUCK_S)
            self._process.kill()  # `_follow` sees its end
        return "overloaded"

    def _forget(self, number: int) -> Told | None:
        timer, told = self._waiting.pop(number, (None, None))
        if timer is not None:
            timer.cancel()
        return told

    def _answer(self, number: int, answer: ExternalAnswer) -> None:
        told = self._forget(number)
        if told is not None:
            self.late += bool(answer.late)
            told(answer)

    def _tell_all(self, why: str) -> None:
        for number in tuple(self._waiting):
            self._answer(number, ExternalAnswer(late=why))

    # -- the process --

    async def _spawn(self) -> None:
        settings = msgspec.json.encode(self._settings).decode()
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command, settings, stdin=PIPE, stdout=PIPE, limit=LARGEST_LINE, start_new_session=True
        )
        assert process.stdout is not None  # noqa: S101  it was started with a pipe
        try:
            async with asyncio.timeout(_START_S):
                first = await process.stdout.readline()
            said = msgspec.json.decode(first, type=Ready).error if first else "it ended at once"
        except (TimeoutError, *UNREADABLE) as error:
            said = f"it does not say that it is ready ({type(error).__name__})"
        if said:
            await self._end()
            raise ExternalFailed(
                f"the external screen cannot be used: {said}. Install it with `pip install 'switchgear[presidio]'`, and the spaCy"
                " model that screen.external.model names; or take the table out."
            )
        self._unanswered = 0
        self._heard_s = asyncio.get_running_loop().time()
        self._ready = True

    async def _follow(self) -> None:
        """Read answers; when the process ends, start it again, the later the oftener."""
        wait_s = _FIRST_WAIT_S
        while True:
            if self._ready:
                wait_s = _FIRST_WAIT_S if await self._read() else wait_s
                log.error("the external screen ended; starting it again in %.1f s", wait_s)
            self._tell_all("down")
            await self._end()
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
            self.restarts += 1
            try:
                await self._spawn()
            except (ExternalFailed, OSError) as error:
                log.error("%s", error)

    async def _read(self) -> int:
        """Take answers until the process ends. Returns how many came."""
        assert self._process is not None  # noqa: S101  it is ready
        assert self._process.stdout is not None  # noqa: S101  it was started with a pipe
        decode, count, loop = msgspec.json.Decoder(Reply).decode, 0, asyncio.get_running_loop()
        try:
            while text := await self._process.stdout.readline():
                reply = decode(text)
                count += 1
                self._unanswered -= 1
                self._heard_s = loop.time()
                if reply.error:
                    self._answer(reply.number, ExternalAnswer(late="failed"))
                else:
                    findings = tuple(Finding(*one) for one in reply.findings)
                    self._answer(reply.number, ExternalAnswer(findings))
        except (msgspec.DecodeError, ValueError) as error:
            log.error("the external screen's answer cannot be read: %s", type(error).__name__)
        return count

    async def _end(self) -> None:
        process, self._process, self._ready = self._process, None, False
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        if process.stdin is not None:
            process.stdin.close()
        async with asyncio.timeout(_END_S):
            await process.wait()
