"""Workers that share limits, driven by hand: real shares over a real store, one round at a time."""

from switchgear.core.clock import ManualClock
from switchgear.core.limits import Limit, LimitSharing, OnSharingFailure
from switchgear.limits.book import Grant
from switchgear.limits.errors import SharingFailing
from switchgear.limits.limiter import Limiter
from switchgear.limits.memory_store import MemoryStore
from switchgear.limits.model import Refusal, RefusalCode
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
