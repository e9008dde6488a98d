"""The one seam to the gateway: its own candidates, strategies, chain, breaker, latency and budgets, for calls that nobody made.

Nothing here decides. Routes are built from a snapshot as the gateway builds them; a planned call is the few fields that deciding reads.
These modules are to move to a room of their own below gateway and planner; then only the imports of this file change.
"""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from switchgear.core.authorization import Purpose
from switchgear.core.data_class import DataClass
from switchgear.core.health import HealthSource
from switchgear.core.record import Attempt, AttemptKind, AttemptOutcome
from switchgear.core.snapshot import Backend, Capabilities, Endpoint, Model, make_snapshot
from switchgear.core.snapshot import Target as TargetConfig
from switchgear.gateway.candidates import busy, candidates_of
from switchgear.gateway.chain import Chain
from switchgear.gateway.failure import Failure, Next
from switchgear.gateway.head import CallHead
from switchgear.gateway.strategies import STRATEGIES, Ask
from switchgear.gateway.table import Admission, Builder, Target
from switchgear.planner.errors import BadFleet
from switchgear.planner.fleet import Fleet
from switchgear.planner.fleet_physics import Site
from switchgear.planner.routing_policy import Admissions
from switchgear.planner.simulate_model import PolicyGroup
from switchgear.planner.workload import CLASSES, Caller

if TYPE_CHECKING:
    from switchgear.gateway.call import Call

_WORD = (1 << 64) - 1
_NOWHERE = "http://127.0.0.1:9/v1"
"""Nobody is asked: a pool opens a connection only for a call, and readings of health are simulated."""
READS_HEALTH = ("headroom", "energy")
"""Strategies that depend on what devices tell of themselves. The fast simulation has no readings, so they are simulated in detail."""


def plain_fraction(seed: int, call_id: int, draw: int) -> float:
    """`simulate_kernel_route.fraction` in plain Python (a test holds the two together)."""
    x = (seed * 0x9E3779B97F4A7C15 + call_id * 0xBF58476D1CE4E5B9 + draw * 0x94D049BB133111EB) & _WORD
    x ^= x >> 30
    x = x * 0xBF58476D1CE4E5B9 & _WORD
    x ^= x >> 27
    x = x * 0x94D049BB133111EB & _WORD
    x ^= x >> 31
    return (x >> 11) / 9007199254740992.0


class Draws(random.Random):
    """The draws of one call: the same that the fast simulation takes, in the same order."""

    def __init__(self, seed: int, call_id: int) -> None:
        super().__init__()
        self.stream = seed
        self._id = call_id
        self.taken = 0

    def random(self) -> float:
        self.taken += 1
        return plain_fraction(self.stream, self._id, self.taken - 1)

    def sample(self, population: Sequence[Any], k: int, *, counts: Any = None) -> list[Any]:
        """Two of them, without putting back: all that strategies ask for."""
        if k != 2 or counts is not None:
            raise NotImplementedError("a planned call draws pairs only")
        first, second = int(self.random() * len(population)), int(self.random() * (len(population) - 1))
        return [population[first], population[second + 1 if second >= first else second]]


class PlannedHead(CallHead):
    """What a planned call asks for: a streamed chat of so many tokens."""

    tokens: int = 0

    @property
    def prompt_bytes(self) -> int:
        """One byte for each token; the planned backends count so (`bytes_per_token` 1)."""
        return self.tokens

    def prompt_tokens(self, bytes_per_token: float) -> int:
        """Known, not estimated."""
        return self.tokens


class PlannedCall:
    """The part of a gateway's call that deciding reads."""

    __slots__ = ("admission", "attempts", "candidates", "chain", "deadline_s", "draws", "head", "rescued", "route")

    def __init__(
        self, admission: Admission, draws: Draws, prompt_tokens: int, output_tokens: int, deadline_s: float
    ) -> None:
        self.admission = admission
        self.route = admission.route
        self.draws = draws
        self.head = PlannedHead(
            endpoint=Endpoint.CHAT,
            fields={},
            model="planned",
            streamed=True,
            max_tokens=output_tokens,
            tokens=prompt_tokens,
        )
        self.deadline_s = deadline_s
        self.candidates: list[Target] = []
        self.attempts: list[Attempt] = []
        self.chain: Chain | None = None
        self.rescued: set[Target] = set()

    def may_go(self, target: Target, kind: AttemptKind) -> bool:
        """Whether the call's data may go there, asked once more for each attempt."""
        reach = self.admission.reach
        return reach is None or target in reach.allowed[kind]

    def note(self, target: Target) -> None:
        """One more attempt."""
        self.attempts.append(
            Attempt(target.backend_name, target.model, AttemptKind.FIRST, 0.0, outcome=AttemptOutcome.FAILED)
        )
        if self.chain is None:
            self.chain = Chain(cast("Call", self), self.route, self.draws)  # it reads only what is here

    def failed(self, target: Target, *, again: bool, retry_after_s: float | None, now_s: float) -> None:
        """Tell the chain that an attempt failed."""
        follows = Next.AGAIN if again else Next.ELSEWHERE
        failure = Failure("upstream_error", "planned", "planned", follows, retry_after_s=retry_after_s)
        if self.chain is not None:
            self.chain.failed(target, failure, now_s)

    def next(self, now_s: float) -> tuple[Target, float] | None:
        """Whom to ask next and how long to wait before."""
        choice = None if self.chain is None else self.chain.next(now_s)
        return None if choice is None else (choice[0], choice[2])

    def rescuer(self, now_s: float) -> Target | None:
        """Who gives the whole answer again after a broken stream."""
        if self.chain is None or len(self.attempts) > self.route.config.retry.attempts or now_s >= self.deadline_s:
            return None
        for target in self.chain.rescuers(now_s):
            if target not in self.rescued and self.may_go(target, AttemptKind.RESCUE):
                if not self.route.state.retries.take(now_s):
                    return None
                self.rescued.add(target)
                return target
        return None


class Router:
    """The routes of a fleet, and for each group of calls where it may go. Raises BadFleet."""

    def __init__(self, fleet: Fleet, sites: Sequence[Site]) -> None:
        if fleet.strategy not in STRATEGIES:
            raise BadFleet(f"there is no strategy {fleet.strategy!r}; choose one of {', '.join(STRATEGIES)}")
        metered = fleet.strategy in READS_HEALTH
        backends = {site.place.name: _backend(site, metered) for site in sites}
        table = Builder({}).build(make_snapshot(backends, _models(fleet), (), authorization=fleet.authorization()[0]))
        route = next(iter(table.routes.values()))
        for other in table.routes.values():
            other.state = route.state  # one retry budget for all names, as the fast simulation has it
        self.targets = route.targets
        self._admissions = Admissions(fleet, table)
        self._strategy = STRATEGIES[fleet.strategy]
        self._plain = fleet.strategy == "priority"

    def group(self, caller: Caller, data_class: DataClass) -> int:
        """The number of a call's group. Raises BadFleet where the fleet does not say what policies ask of it."""
        return self._admissions.group(caller, data_class)

    def row(self, group: int) -> Sequence[int]:
        """Where its calls may go, as `planner.admitting` has it."""
        return self._admissions.row(group)

    def rank(self, group: int) -> int:
        """Of the data class that its calls count as."""
        return CLASSES.index(DataClass(self._admissions.made[group].class_word))

    def describe(self, group: int, calls: int) -> PolicyGroup:
        """What was decided, in words."""
        return self._admissions.describe(group, calls)

    def call(self, draws: Draws, group: int, prompt_tokens: int, output_tokens: int, deadline_s: float) -> PlannedCall:
        """A call of this group."""
        return PlannedCall(self._admissions.made[group], draws, prompt_tokens, output_tokens, deadline_s)

    def order(self, call: PlannedCall, now_s: float) -> bool:
        """Find and order the candidates, as `gateway.entrance` does. Returns whether a place was only busy, where there is none."""
        route, reach = call.route, call.admission.reach
        route.state.retries.call(now_s)
        found, ruled_out = candidates_of(route, call.head, now_s, call.admission)
        if not any(call.may_go(target, AttemptKind.FIRST) for target in found):
            return any(out.reason in ("breaker_open", "full") for out in ruled_out)
        if len(found) > 1 and not self._plain:
            found = self._strategy(found, Ask(now_s, call.head.tokens, call.head.max_tokens, call.draws))
        if reach is not None and not reach.uniform:  # some may be asked later only: after a failure
            first = reach.allowed[Purpose.FIRST]
            found.sort(key=lambda target: (target not in first, target.state.rest_until_s > now_s))
        elif found[0].state.rest_until_s > now_s:
            found.sort(key=lambda target: target.state.rest_until_s > now_s)
        call.candidates = list(found)
        return True

    def rested(self, call: PlannedCall, now_s: float) -> None:
        """Candidates anew after a rest, as `gateway.dispatch` does."""
        free, _ = candidates_of(call.route, call.head, now_s, call.admission)
        found = [target for target in call.candidates if target in free]
        found.sort(
            key=lambda target: (not call.may_go(target, AttemptKind.FIRST), max(target.state.rest_until_s, now_s))
        )
        call.candidates = found if found and call.may_go(found[0], AttemptKind.FIRST) else []


def is_busy(target: Target, now_s: float) -> bool:
    """Whether a target cannot take a call at this moment."""
    return bool(busy(target, now_s))


def _models(fleet: Fleet) -> dict[str, Model]:
    targets = tuple(
        TargetConfig(backend=place.name, model=place.model_there or fleet.model, weight=place.weight)
        for place in fleet.places
    )
    return {
        name: Model(
            targets=targets,
            strategy=fleet.strategy,
            retry=fleet.retry,
            deadline_s=fleet.deadline_s,
            labels=said.labels,
            data_class=said.data_class,
        )
        for name, said in fleet.called.items()
    }


def _backend(site: Site, metered: bool) -> Backend:
    place = site.place
    return Backend(
        kind=place.kind,
        region=place.region,
        jurisdiction=place.jurisdiction,
        labels=place.labels,
        attested=place.attested,
        base_url=_NOWHERE,
        max_in_flight=site.max_in_flight,
        prices=place.prices,
        timeouts=place.timeouts,
        breaker=place.breaker,
        health=HealthSource(url=_NOWHERE) if metered and site.power is not None else None,
        energy=place.energy if metered else None,
        capabilities=Capabilities(context_window=site.window, bytes_per_token=1.0),
    )
