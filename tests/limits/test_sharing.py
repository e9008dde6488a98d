"""Workers that share: who gets what, what happens without the database, and what a lost lease means. test_sharing_any.py has the rest."""

import pytest
from tests.limits.workers import IN_FLIGHT, MORNING_S, REQUESTS, SHARING, Worker, admitted_in_all

from switchgear.core.clock import ManualClock
from switchgear.core.limits import Limit, LimitMode, OnSharingFailure
from switchgear.limits.limiter import Limiter
from switchgear.limits.memory_store import MemoryStore
from switchgear.limits.model import NANO, Refusal, RefusalCode
from switchgear.limits.reservation import Reservation


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(MORNING_S)


@pytest.fixture
def store(clock: ManualClock) -> MemoryStore:
    return MemoryStore(clock)


def test_a_worker_without_its_share_asks_to_wait_a_moment_and_then_has_it(
    store: MemoryStore, clock: ManualClock
) -> None:
    worker, woken = Worker(store, clock), list[bool]()
    worker.sync()
    worker.shares.wake = lambda: woken.append(True)
    answers = [worker.ask(1, 0.0) for _ in range(IN_FLIGHT)]
    waiting = next(answer for answer in answers if isinstance(answer, Refusal))
    assert waiting.pending
    assert woken
    worker.sync()
    assert isinstance(worker.ask(1, 0.0), Reservation)


def test_one_worker_alone_gets_to_the_last_call(store: MemoryStore, clock: ManualClock) -> None:
    assert admitted_in_all(store, clock, in_flight=True) == IN_FLIGHT
    clock.advance(61.0)
    assert admitted_in_all(store, clock, in_flight=False) == REQUESTS


def test_what_an_idle_worker_holds_goes_to_the_one_that_needs_it(store: MemoryStore, clock: ManualClock) -> None:
    idle, busy = Worker(store, clock), Worker(store, clock)
    idle.sync()
    busy.sync()
    admitted = 0
    for _ in range(60):
        answer = busy.ask(1, 0.0)
        if isinstance(answer, Reservation):
            admitted += 1
            answer.settle(1, 0.0, clock.monotonic_s())
        clock.advance(0.25)
        busy.sync()
        idle.sync()
    assert admitted == REQUESTS


def test_retry_after_of_a_shared_rate_is_the_time_after_which_it_goes(store: MemoryStore, clock: ManualClock) -> None:
    worker = Worker(store, clock, [Limit(requests_per_minute=4)])
    for _ in range(10):
        worker.sync()
        worker.ask(1, 0.0)
    clock.advance(20.0)
    worker.sync()
    worker.ask(1, 0.0)
    worker.sync()
    refusal = worker.ask(1, 0.0)
    assert isinstance(refusal, Refusal)
    assert refusal.code is RefusalCode.RATE
    wait_s = refusal.retry_after_s
    assert wait_s is not None
    assert 39.0 <= wait_s <= 41.0
    clock.advance(wait_s + 0.001)
    for _ in range(2):
        worker.ask(1, 0.0)
        worker.sync()
    assert isinstance(worker.ask(1, 0.0), Reservation)


def test_without_the_database_the_leased_share_is_kept_and_then_closed(store: MemoryStore, clock: ManualClock) -> None:
    worker = Worker(store, clock, [Limit(name="r", requests_per_minute=80)])
    worker.sync()
    store.unreachable = True
    worker.sync()
    admitted = 0
    while isinstance(answer := worker.ask(), Reservation):
        admitted += 1
    assert admitted == 10, "its first share: an eighth"
    assert answer.code is RefusalCode.UNSHARED
    assert answer.retry_after_s is not None
    store.unreachable = False
    worker.sync()
    assert isinstance(worker.ask(), Reservation)


def test_a_lease_that_is_over_is_used_no_more(store: MemoryStore, clock: ManualClock) -> None:
    worker = Worker(store, clock, [Limit(name="r", requests_per_minute=80)])
    worker.sync()
    assert isinstance(worker.ask(), Reservation)
    clock.advance(SHARING.lease_s)
    refusal = worker.ask()
    assert isinstance(refusal, Refusal)
    assert refusal.code is RefusalCode.UNSHARED


def test_without_the_database_open_lets_through_with_a_flag_and_counts_it_later(
    store: MemoryStore, clock: ManualClock
) -> None:
    limits = [Limit(name="r", requests_per_minute=80, usd_per_day=10.0)]
    worker = Worker(store, clock, limits, OnSharingFailure.OPEN)
    worker.sync()
    store.unreachable = True
    worker.sync()
    clock.advance(SHARING.lease_s)
    for _ in range(100):
        answer = worker.ask(cost_usd=0.05)
        assert isinstance(answer, Reservation)
        assert answer.flags == ("r.requests_per_minute:unshared", "r.usd_per_day:unshared")
        answer.settle(10, 0.05, clock.monotonic_s())
        worker.sync()
    store.unreachable = False
    worker.sync()
    worker.sync()
    refusal = worker.ask(cost_usd=0.05)
    assert isinstance(refusal, Refusal)
    assert refusal.code is RefusalCode.RATE
    spent = store.books["r||usd_per_day"].total()
    assert spent >= 5 * NANO


def test_what_was_used_beyond_a_share_is_told_even_when_the_lease_ends_first(
    store: MemoryStore, clock: ManualClock
) -> None:
    """A soft limit lets calls use more than was leased; the round that tells of them fails until the lease is over."""
    worker = Worker(store, clock, [Limit(name="r", requests_per_minute=80, usd_per_day=2.0, mode=LimitMode.SOFT)])
    worker.sync()
    leased = store.books["r||requests_per_minute"].held(), store.books["r||usd_per_day"].held()
    assert leased == (10, NANO // 100)
    store.unreachable = True
    for _ in range(30):
        answer = worker.ask(cost_usd=0.01)
        assert isinstance(answer, Reservation)
        answer.settle(10, 0.01, clock.monotonic_s())
    worker.sync()
    clock.advance(SHARING.lease_s)
    worker.sync()
    store.unreachable = False
    for _ in range(3):
        worker.sync()
    assert store.books["r||requests_per_minute"].total() == 30
    assert store.books["r||usd_per_day"].total() == 30 * NANO // 100


def test_a_first_ask_whose_answer_is_lost_with_the_lease_counts_once(store: MemoryStore, clock: ManualClock) -> None:
    old, new = Limit(name="old", requests_per_minute=80), Limit(name="new", requests_per_minute=80, mode=LimitMode.SOFT)
    worker = Worker(store, clock, [old])
    worker.sync()
    clock.advance(SHARING.lease_s - 1.0)
    worker.limiter = Limiter([old, new], worker.shares)
    worker.plan = worker.limiter.plan("k", "t", "m")
    for _ in range(3):
        worker.ask()
    store.answers_lost = True
    worker.send()
    clock.advance(1.0)
    store.answers_lost = False
    assert isinstance(worker.ask(), Refusal), "the lease is over"
    worker.sync()
    assert store.books["new||requests_per_minute"].total() == 3


def test_a_lease_that_its_worker_gave_up_first_counts_as_spent(store: MemoryStore, clock: ManualClock) -> None:
    worker = Worker(store, clock, [Limit(name="r", requests_per_minute=80)])
    worker.sync()
    worker.ask()
    worker.shares.lose()  # its clock is a little ahead of the store's
    worker.sync()
    assert store.books["r||requests_per_minute"].total() == 10


def test_calls_under_way_over_a_lost_lease_are_counted_once(store: MemoryStore, clock: ManualClock) -> None:
    worker = Worker(store, clock, [Limit(name="r", in_flight=8, usd_per_day=10.0)])
    for _ in range(3):
        worker.sync()
        worker.ask(cost_usd=1.0)
    running = [answer for answer in (worker.ask(cost_usd=0.01),) if isinstance(answer, Reservation)]
    under_way = tuple(worker.shares.outstanding)
    assert under_way
    clock.advance(SHARING.lease_s + 1.0)
    worker.sync()
    worker.sync()
    assert store.books["r||in_flight"].holds[worker.name].amount >= len(under_way), "they still run"
    charged = store.books["r||usd_per_day"].total()
    for reservation in under_way:
        reservation.settle(10, 0.001, clock.monotonic_s())
    worker.sync()
    worker.close()
    assert store.books["r||usd_per_day"].total() == charged
    assert not store.books["r||in_flight"].holds
    assert len(running) <= 1


def test_a_counter_that_no_snapshot_names_gives_back_what_it_holds(store: MemoryStore, clock: ManualClock) -> None:
    worker = Worker(store, clock, [Limit(name="r", requests_per_minute=80)])
    worker.sync()
    assert store.books["r||requests_per_minute"].held() == 10
    worker.limiter = Limiter([], worker.shares)
    worker.sync()
    assert store.books["r||requests_per_minute"].held() == 0
    worker.limiter.tidy(clock.monotonic_s(), 900.0)
    assert len(worker.shares) == 0


def test_a_bound_that_is_lowered_holds_for_all_workers_within_a_round(store: MemoryStore, clock: ManualClock) -> None:
    workers = [Worker(store, clock, [Limit(name="r", requests_per_minute=800)]) for _ in range(2)]
    for worker in workers:
        worker.sync()
        worker.limiter = Limiter([Limit(name="r", requests_per_minute=4)], worker.shares)
        worker.plan = worker.limiter.plan("k", "t", "m")
    for _ in range(3):
        for worker in workers:
            worker.sync()
    admitted = 0
    for _ in range(20):
        for worker in workers:
            admitted += isinstance(worker.ask(1), Reservation)
            worker.sync()
    assert admitted == 4


def test_an_answer_that_comes_after_the_lease_it_renews_is_no_lease(store: MemoryStore, clock: ManualClock) -> None:
    worker = Worker(store, clock, [Limit(name="r", requests_per_minute=80)])
    worker.send()
    clock.advance(SHARING.lease_s)
    worker.receive()
    assert worker.shares.lost
    refusal = worker.ask()
    assert isinstance(refusal, Refusal)
    assert refusal.code is RefusalCode.UNSHARED
