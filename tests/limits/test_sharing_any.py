"""Several workers, one set of books: whatever they do and whatever goes wrong, they never use more than there is, and nothing leaks.

The machine below drives real shares over a real store by hand: rounds that get lost on the way there or back, answers that come late,
workers that crash, stop, or are silent for longer than their lease.
"""

from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.limits.workers import IN_FLIGHT, MORNING_S, REQUESTS, SHARING, TOKENS, USD, Worker, admitted_in_all

from switchgear.core.clock import ManualClock
from switchgear.limits.memory_store import MemoryStore
from switchgear.limits.model import NANO
from switchgear.limits.reservation import Reservation


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


Sharing.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None, derandomize=True)
TestSharing = Sharing.TestCase
