"""Several workers, one set of books: whatever they do and whatever goes wrong, they never use more than there is, and nothing leaks.

The machine below drives real shares over a real store by hand: rounds that get lost on the way there or back, answers that come late,
workers that crash, stop, or are silent for longer than their lease.
"""

from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from switchgear.core.clock import ManualClock
from switchgear.core.limits import Limit, LimitMode, LimitSharing, OnSharingFailure
from switchgear.limits.book import Grant
from switchgear.limits.errors import SharingFailing
from switchgear.limits.limiter import Limiter
from switchgear.limits.memory_store import MemoryStore
from switchgear.limits.model import NANO, Refusal, RefusalCode
from switchgear.limits.reservation import Reservation
from switchgear.limits.shares import Shares
from switchgear.limits.supply import Round, Supply

MORNING_S = 1_700_030_000.0
REQUESTS, TOKENS, IN_FLIGHT, USD = 20, 1000, 6, 2.0
LIMITS = [
    Limit(name="all", requests_per_minute=REQUESTS, tokens_per_minute=TOKENS, in_flight=IN_FLIGHT, usd_per_day=USD)
]
SHARING = LimitSharing(sync_s=0.25, lease_s=15.0)


class Worker:
    """One process: its shares, its limiter, its way to the store."""

    count = 0

    def __init__(
        self,
        store: MemoryStore,
        clock: ManualClock,
        limits: list[Limit] = LIMITS,
        on_failure: OnSharingFailure = OnSharingFailure.CLOSED,
    ) -> None:
        Worker.count += 1
        self.name = f"host/0/{Worker.count}"
        self.store = store
        self.clock = clock
        self.shares = Shares(clock, leased=True, on_failure=on_failure)
        self.limiter = Limiter(limits, self.shares)
        self.limiter.prepare([("k", "t")], ["m"], [])
        self.plan = self.limiter.plan("k", "t", "m")
        self.supply = Supply(self.shares, SHARING)
        self.on_the_way: tuple[Round, list[Grant]] | None = None

    def ask(self, tokens: int = 10, cost_usd: float = 0.01) -> Reservation | Refusal:
        return self.limiter.reserve(self.plan, tokens, cost_usd, self.clock.monotonic_s())

    def send(self, *, final: bool = False) -> None:
        """One round; its answers are on the way until `receive`."""
        told = self.supply.round(self.clock.monotonic_s(), final=final)
        try:
            self.on_the_way = told, self.store.settle(self.name, told.asks, SHARING.lease_s)
        except SharingFailing as error:
            self.supply.failed(error, self.clock.monotonic_s())

    def receive(self) -> None:
        if self.on_the_way is not None:
            told, grants = self.on_the_way
            self.on_the_way = None
            self.supply.answered(told, grants, self.clock.monotonic_s())

    def sync(self, *, final: bool = False) -> None:
        self.receive()
        self.send(final=final)
        self.receive()

    def close(self) -> None:
        self.shares.expire(float("inf"))
        self.sync()
        self.sync(final=True)

    @property
    def leased(self) -> bool:
        return not self.shares.lost and self.clock.monotonic_s() < self.shares.lease_until_s


class Use(NamedTuple):
    """What a call really used, and when it was admitted."""

    at_s: float
    tokens: int


class Sharing(RuleBasedStateMachine):
    """Real use is written down apart from what the shares and books say."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(MORNING_S)
        self.store = MemoryStore(self.clock)
        self.workers = [Worker(self.store, self.clock) for _ in range(3)]
        self.running: list[tuple[Worker, Reservation]] = []
        self.uses: list[Use] = []
        self.spent = 0
        """Billionths of a dollar."""
        self.smooth = True
        """Whether nothing went wrong: then the books agree with what was really used to the last token."""

    workers_at = st.integers(0, 2)

    @rule(at=workers_at, tokens=st.integers(1, 200), milli_usd=st.integers(0, 300))
    def reserve(self, at: int, tokens: int, milli_usd: int) -> None:
        worker = self.workers[at]
        answer = worker.ask(tokens, milli_usd / 1000)
        if isinstance(answer, Reservation):
            self.running.append((worker, answer))
            self.uses.append(Use(self.clock.monotonic_s(), tokens))
            assert worker.leased, "admitted without a lease"

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 50), part=st.floats(0.0, 1.0), unknown=st.booleans())
    def settle(self, which: int, part: float, unknown: bool) -> None:
        _, reservation = self.running.pop(which % len(self.running))
        tokens, cost_usd = int(reservation.tokens * part), reservation.nano_usd * part / NANO
        self.uses.remove(Use(reservation.taken_s, reservation.tokens))
        self.uses.append(Use(reservation.taken_s, tokens))
        self.spent += reservation.nano_usd if unknown else int(cost_usd * NANO + 0.5)
        assert reservation.settle(tokens, None if unknown else cost_usd, self.clock.monotonic_s())
        assert not reservation.release(self.clock.monotonic_s())

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 50))
    def release(self, which: int) -> None:
        _, reservation = self.running.pop(which % len(self.running))
        self.uses.remove(Use(reservation.taken_s, reservation.tokens))
        assert reservation.release(self.clock.monotonic_s())

    @rule(at=workers_at)
    def sync(self, at: int) -> None:
        self.workers[at].sync()

    @rule(at=workers_at)
    def send(self, at: int) -> None:
        self.workers[at].receive()
        self.workers[at].send()

    @rule(at=workers_at)
    def receive(self, at: int) -> None:
        self.workers[at].receive()

    @rule(at=workers_at, written=st.booleans())
    def lose_a_round(self, at: int, written: bool) -> None:
        """On the way there, or its answers on the way back."""
        self.workers[at].receive()
        self.store.unreachable, self.store.answers_lost = not written, written
        self.workers[at].send()
        self.store.unreachable = self.store.answers_lost = False

    @rule(at=workers_at)
    def crash(self, at: int) -> None:
        """Its calls may have cost all that they were estimated at."""
        dead = self.workers[at]
        for worker, reservation in self.running:
            if worker is dead:
                self.spent += reservation.nano_usd
        self.running = [(worker, reservation) for worker, reservation in self.running if worker is not dead]
        self.workers[at] = Worker(self.store, self.clock)
        self.smooth = False

    @rule(at=workers_at)
    def stop_and_start(self, at: int) -> None:
        worker = self.workers[at]
        if any(one is worker for one, _ in self.running):
            return
        lost = worker.shares.lease > 0 or not worker.leased
        worker.close()
        assert not worker.shares.outstanding
        assert lost or all(worker.name not in book.holds for book in self.store.books.values())
        self.workers[at] = Worker(self.store, self.clock)

    @rule(seconds=st.floats(0.0, 3.0))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.floats(5.0, 40.0))
    def pass_much_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.smooth = False  # leases end

    @invariant()
    def no_minute_has_more_than_the_bound(self) -> None:
        self.uses = [use for use in self.uses if use.at_s > self.clock.monotonic_s() - 120.0] or self.uses[-1:]
        for begin_s, _ in self.uses:
            inside = [use for use in self.uses if begin_s <= use.at_s < begin_s + 60.0]
            assert len(inside) <= REQUESTS
            assert sum(use.tokens for use in inside) <= TOKENS

    @invariant()
    def no_more_is_in_flight_than_may_be(self) -> None:
        leased = [r for worker, r in self.running if worker.leased and r.lease == worker.shares.lease]
        assert len(leased) <= IN_FLIGHT

    @invariant()
    def no_more_is_spent_than_there_is(self) -> None:
        assert self.spent + sum(reservation.nano_usd for _, reservation in self.running) <= USD * NANO

    @invariant()
    def workers_know_of_every_reservation(self) -> None:
        for worker in self.workers:
            assert worker.shares.outstanding == {r for owner, r in self.running if owner is worker}

    def teardown(self) -> None:
        """Everything ends: nothing is held, what was really used is in the books, and a new worker gets all that is left."""
        for _, reservation in self.running:
            self.spent += reservation.nano_usd
            reservation.settle(None, None, self.clock.monotonic_s())
        for worker in self.workers:
            worker.close()
        self.clock.advance(SHARING.lease_s + 61.0)
        late = Worker(self.store, self.clock)
        late.sync()
        late.close()
        books = self.store.books
        assert all(not book.holds for book in books.values())
        day = books["all||usd_per_day"]
        assert day.total() >= self.spent
        if self.smooth:
            assert day.total() == self.spent
        assert admitted_in_all(self.store, self.clock, in_flight=False) == REQUESTS


def admitted_in_all(store: MemoryStore, clock: ManualClock, *, in_flight: bool) -> int:
    """How many calls that cost nothing a fresh worker can get admitted, one after the other, with what it takes to fetch its share."""
    worker, admitted = Worker(store, clock), 0
    for _ in range(500):
        answer = worker.ask(1, 0.0)
        if isinstance(answer, Reservation):
            admitted += 1
            if not in_flight:
                answer.settle(1, 0.0, clock.monotonic_s())
        elif answer.pending or answer.code is RefusalCode.UNSHARED:
            worker.sync()
        else:
            break
    worker.close()
    return admitted


Sharing.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None, derandomize=True)
TestSharing = Sharing.TestCase


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
