"""SIGKILL, from which no process can defend itself: a worker under load, the supervisor, and `up`."""

import asyncio
import os
import random
import signal
from contextlib import suppress
from pathlib import Path

from tests.system.conftest import StartGateway
from tests.system.gateways import Gateway
from tests.system.program import Program, command_line, descendants, is_running, until

from switchgear.wire.errors import ExchangeError

_CALLERS = 12
_KILLS = 5


class Survivors:
    """Callers that go on whatever happens to their connections, and keep the id of each call whose whole answer they read."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._ending = False
        self.answered: set[str] = set()
        self.broken = 0

    async def __aenter__(self) -> "Survivors":
        self._tasks = [asyncio.ensure_future(self._call(streamed=number % 2 == 0)) for number in range(_CALLERS)]
        return self

    async def __aexit__(self, *error: object) -> None:
        self.stop()
        await asyncio.gather(*self._tasks)

    def stop(self) -> None:
        """Begin no further call."""
        self._ending = True

    async def more(self, count: int) -> None:
        """Wait for so many further answers."""
        goal = len(self.answered) + count
        await until(lambda: len(self.answered) >= goal, f"{goal} answers, there are {len(self.answered)}")

    async def _call(self, *, streamed: bool) -> None:
        caller = self._gateway.caller()
        while not self._ending:
            try:
                if streamed:
                    answer = await caller.stream("chat", "hello", 12, lambda _: None)
                else:
                    answer = await caller.chat("chat", "hello", 12)
            except ExchangeError:
                self.broken += 1
                continue
            assert answer.whole
            self.answered.add(answer.call)
        await caller.close()


async def test_no_answered_call_is_without_its_record_when_workers_are_killed(start: StartGateway) -> None:
    gateway = await start({"durability": "strict"})
    rng = random.Random(11)
    async with Survivors(gateway) as calls:
        for kill in range(1, _KILLS + 1):
            await calls.more(100)
            pids = [worker["pid"] for worker in (await gateway.live())["workers"]]
            os.kill(victim := rng.choice(pids), signal.SIGKILL)
            await until(lambda: not is_running(victim), "the worker is dead")
            while (live := await gateway.live())["restarts"] < kill or len(live["workers"]) < 2:
                await calls.more(1)
            assert victim not in [worker["pid"] for worker in live["workers"]]
        await calls.more(100)
    assert calls.broken > 0, "every kill missed: no call was in flight"
    assert (await gateway.ready())[0] == 200
    assert await gateway.metric("switchgear_worker_restarts_total") == _KILLS
    gateway.program.signal(signal.SIGTERM)
    assert await gateway.program.ended() == 0
    missing = calls.answered - gateway.recorded()
    assert not missing, f"{len(missing)} of {len(calls.answered)} answered calls have no record"


async def test_workers_end_with_their_supervisor_and_answer_nothing_unrecorded(start: StartGateway) -> None:
    gateway = await start({"durability": "strict"})
    workers = [worker["pid"] for worker in (await gateway.live())["workers"]]
    async with Survivors(gateway) as calls:
        await calls.more(100)
        calls.stop()
        gateway.program.signal(signal.SIGKILL)
        await until(lambda: not any(map(is_running, workers)), "the workers end by themselves", within_s=10.0)
    missing = calls.answered - gateway.recorded()
    assert not missing, f"{len(missing)} of {len(calls.answered)} answered calls have no record"


async def test_children_end_with_up(tmp_path: Path) -> None:
    up = Program(tmp_path, "up", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    children: list[int] = []
    try:
        await up.says("Ctrl-C ends all of it")
        children = descendants(up.pid)
        for part in ("gateway.worker", "emulate --profile appliance", "engine llama"):
            assert any(part in command_line(pid) for pid in children), part
        up.signal(signal.SIGKILL)
        await until(lambda: not any(map(is_running, children)), "the children end by themselves", within_s=10.0)
    finally:
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        up.kill()
