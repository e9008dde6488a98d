"""The leaser: an event loop, a thread and a real database between a worker and its share."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from switchgear.core.clock import SystemClock
from switchgear.core.limits import Limit, LimitSharing
from switchgear.limits.leasing import Leaser
from switchgear.limits.limiter import Limiter
from switchgear.limits.memory_store import MemoryStore
from switchgear.limits.model import Refusal, RefusalCode
from switchgear.limits.reservation import Reservation
from switchgear.limits.shares import Shares
from switchgear.limits.sqlite_store import SqliteStore
from switchgear.limits.view import LimitsView

CLOCK = SystemClock()
SETTINGS = LimitSharing(sync_s=0.02, lease_s=30.0)


class Worker:
    """Shares of its own over a store that it may share."""

    def __init__(self, store: SqliteStore | MemoryStore, limits: list[Limit], name: str = "one") -> None:
        self.shares = Shares(CLOCK, leased=True)
        self.limiter = Limiter(limits, self.shares)
        self.limiter.prepare([("k", "t")], ["m"], [])
        self.plan = self.limiter.plan("k", "t", "m")
        self.leaser = Leaser(self.shares, store, SETTINGS, name)

    def ask(self) -> Reservation | Refusal:
        return self.limiter.reserve(self.plan, 10, 0.01, CLOCK.monotonic_s())

    async def call(self) -> Refusal | None:
        """One call, patient while the share is being fetched."""
        for _ in range(500):
            answer = self.ask()
            if isinstance(answer, Reservation):
                answer.settle(10, 0.01, CLOCK.monotonic_s())
                return None
            if not answer.pending:
                return answer
            await asyncio.sleep(0.01)
        raise AssertionError("the share never came")

    def view(self) -> LimitsView:
        return self.limiter.view(CLOCK.monotonic_s())


async def until(condition: object) -> None:
    """Wait for something that happens soon."""
    assert callable(condition)
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")


@pytest.fixture
async def workers(tmp_path: Path) -> AsyncIterator[list[Worker]]:
    limits = [Limit(name="r", requests_per_minute=60, usd_per_day=100.0)]
    workers = [Worker(SqliteStore(tmp_path / "limits.db", CLOCK), limits, f"worker {number}") for number in range(3)]
    for worker in workers:
        await worker.leaser.start()
    yield workers
    for worker in workers:
        await worker.leaser.close()


async def test_a_worker_that_has_started_can_serve_at_once(workers: list[Worker]) -> None:
    assert all(isinstance(worker.ask(), Reservation) for worker in workers)


async def test_workers_together_admit_what_the_limit_allows(workers: list[Worker]) -> None:
    answers = await asyncio.gather(*(worker.call() for worker in workers for _ in range(40)))
    refusals = [answer for answer in answers if answer is not None]
    assert {refusal.code for refusal in refusals} == {RefusalCode.RATE}
    assert 50 <= len(answers) - len(refusals) <= 60, "an idle rest may lie with another worker for a while"


async def test_after_the_end_nothing_is_held_and_what_was_spent_is_known(tmp_path: Path) -> None:
    limits = [Limit(name="r", in_flight=50, usd_per_day=100.0)]
    first = Worker(SqliteStore(tmp_path / "limits.db", CLOCK), limits, "first")
    await first.leaser.start()
    for _ in range(10):
        assert await first.call() is None
    assert isinstance(first.ask(), Reservation)
    await first.leaser.close()
    assert not first.shares.outstanding
    second = Worker(SqliteStore(tmp_path / "limits.db", CLOCK), limits, "second")
    await second.leaser.start()
    left = {counter.measure: counter.left for counter in second.view().counters}
    assert left == {"in_flight": 50, "usd_per_day": pytest.approx(100.0 - 11 * 0.01)}
    await second.leaser.close()


async def test_a_database_that_fails_and_comes_back_is_seen_in_the_view() -> None:
    store = MemoryStore(CLOCK)
    worker = Worker(store, [Limit(name="r", requests_per_minute=80)])
    await worker.leaser.start()
    assert (worker.view().sharing, worker.view().lease_left_s > 20) == ("ok", True)
    store.unreachable = True
    worker.ask()
    await until(lambda: worker.view().sharing == "failing")
    assert worker.leaser.supply.last_error == "the store was made unreachable"
    assert isinstance(worker.ask(), Reservation), "the leased share is kept"
    store.unreachable = False
    await until(lambda: worker.view().sharing == "ok")
    await worker.leaser.close()


async def test_it_starts_without_a_database_and_refuses_until_there_is_one() -> None:
    store = MemoryStore(CLOCK)
    store.unreachable = True
    worker = Worker(store, [Limit(name="r", requests_per_minute=80)])
    await worker.leaser.start()
    refusal = worker.ask()
    assert isinstance(refusal, Refusal)
    assert refusal.code is RefusalCode.UNSHARED
    store.unreachable = False
    await until(lambda: isinstance(worker.ask(), Reservation))
    await worker.leaser.close()


async def test_a_defect_of_a_store_does_not_end_the_leasing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MemoryStore):
        broken = False

        def settle(self, *arguments: object) -> list[object]:  # type: ignore[override]  # it is broken
            if self.broken:
                raise RuntimeError("boom")
            return super().settle(*arguments)  # type: ignore[arg-type,return-value]

    store = Broken(CLOCK)
    worker = Worker(store, [Limit(name="r", requests_per_minute=80)])
    await worker.leaser.start()
    store.broken = True
    worker.ask()
    await until(lambda: worker.view().sharing == "failing")
    store.broken = False
    await until(lambda: worker.view().sharing == "ok")
    assert "has a defect" in caplog.text
    await worker.leaser.close()


def test_only_leased_shares_can_be_supplied() -> None:
    with pytest.raises(ValueError, match="leased=True"):
        Leaser(Shares(CLOCK), MemoryStore(CLOCK), SETTINGS, "one")
