"""Records cannot be written: another process holds the file's lock, or the file system takes no more bytes."""

import asyncio
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.system.conftest import StartGateway
from tests.system.gateways import Gateway, settled
from tests.system.program import descendants, until

from switchgear.cli.demo_caller import Answer


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that a writer of the file needs."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def full(pids: list[int]) -> Iterator[None]:
    """No file of these processes may grow, as on a full disk."""
    before = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY)) for pid in pids}
    yield
    for pid, limit in before.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)


def unwritable(how: str, gateway: Gateway) -> AbstractContextManager[None]:
    if how == "locked":
        return locked(gateway.folder / "state" / "journal" / "worker-0.db")
    return full([gateway.program.pid, *descendants(gateway.program.pid)])


async def call(gateway: Gateway, streamed: bool = False) -> Answer:
    caller = gateway.caller()
    try:
        if streamed:
            return await caller.stream("chat", "hello", 8, lambda _: None)
        return await caller.chat("chat", "hello", 8)
    finally:
        await caller.close()


async def ready(gateway: Gateway, wanted: int, *, alarms: bool = False, failing: bool = False) -> dict[str, Any]:
    """Wait until /readyz says so and, where it is `failing`, a record waits: an idle journal is taken for whole at its next try."""
    async with asyncio.timeout(20.0):
        while True:
            journal = (await gateway.live())["journal"]
            status, told = await gateway.ready()
            if status == wanted and bool(told["alarms"]) == alarms and bool(journal["pending"]) == failing:
                return told
            await asyncio.sleep(0.02)


async def pending(gateway: Gateway, count: int) -> None:
    """Wait until so many records wait: a worker gathers them for some milliseconds."""
    async with asyncio.timeout(20.0):
        while await gateway.metric("switchgear_journal_pending_records") != count:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("how", ["locked", "full"])
async def test_refuse_answers_503_until_it_can_be_written(start: StartGateway, how: str) -> None:
    gateway = await start({"workers": 1, "on_journal_failure": "refuse"})
    answered = [await call(gateway)]
    await settled(gateway, 1)
    with unwritable(how, gateway):
        answered.append(await call(gateway))  # nobody knows yet
        told = await ready(gateway, 503, failing=True)
        assert "worker 0 cannot write its journal" in told["not_ready"][0]
        refused = await call(gateway)
        assert refused.status == 503
        assert refused.error == "journal_unavailable"
        assert (await gateway.admin("/healthz")).status == 200
        assert await gateway.metric("switchgear_journal_failing") == 1
    await ready(gateway, 200)
    answered.append(await call(gateway))
    assert all(answer.whole for answer in answered)
    await settled(gateway, 4)
    assert gateway.recorded() == {answer.call for answer in (*answered, refused)}
    assert (await gateway.live())["journal"]["lost"] == 0


async def test_a_worker_without_calls_learns_that_it_may_serve_again(start: StartGateway) -> None:
    gateway = await start({"workers": 1, "on_journal_failure": "refuse"})
    await call(gateway)
    with unwritable("locked", gateway):
        while (await call(gateway)).whole:
            pass
    # The admin address is not asked: whoever asks it has the worker told.
    await until(lambda: "told that records can be written again" in gateway.program.errors, "the worker is told")
    assert (await call(gateway)).whole


@pytest.mark.parametrize("how", ["locked", "full"])
@pytest.mark.parametrize("durability", ["batched", "strict"])
async def test_serve_goes_on_with_an_alarm(start: StartGateway, durability: str, how: str) -> None:
    gateway = await start({"workers": 1, "on_journal_failure": "serve", "durability": durability})
    answered = [await call(gateway)]
    await settled(gateway, 1)
    with unwritable(how, gateway):
        answered.append(await call(gateway))
        told = await ready(gateway, 200, alarms=True, failing=True)
        assert "worker 0 cannot write its journal" in told["alarms"][0]
        answered += [await call(gateway), await call(gateway, streamed=True)]
        assert await gateway.metric("switchgear_journal_failing") == 1
        await pending(gateway, 3)
    await ready(gateway, 200)
    answered.append(await call(gateway))
    assert all(answer.whole for answer in answered)
    await settled(gateway, len(answered))
    assert gateway.recorded() == {answer.call for answer in answered}
    assert await gateway.metric("switchgear_journal_failing") == 0


@pytest.mark.parametrize("streamed", [False, True])
async def test_strict_and_refuse_give_no_answer_whose_record_is_not_kept(start: StartGateway, streamed: bool) -> None:
    gateway = await start({"workers": 1, "on_journal_failure": "refuse", "durability": "strict"})
    await call(gateway)
    with unwritable("locked", gateway):
        answer = await call(gateway, streamed)
        assert not answer.whole
        assert answer.error == "journal_unavailable"
    await ready(gateway, 200)
    assert (await call(gateway, streamed)).whole
