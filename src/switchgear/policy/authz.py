"""Who may send what where: Cedar's decisions, kept by exactly what they depend on, for as long as the snapshot lives.

For a call it is one lookup:

    reach = authorizer.reach[standing, model, data_class]

`standing` is what policies can tell of the principal, made once for each key or verified token. A decision of Cedar's takes about 100 us
(bench/authz.py); it is asked for once for each target of a model, principal as the policies see it, and data class.

What a decision depends on: the principal's name, team and roles, as far as a policy names them; the model, and its name at the backend;
the data class; the backend's kind, region, jurisdiction, labels and attestation; the purpose. The time, the caller's address and the
content are not among them, on purpose: no policy can ask for anything else, so nothing else can make a kept decision wrong. An authorizer
is made of one snapshot and never changed; another snapshot is another authorizer, and what was kept ends with the old one.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Generic, TypeVar

from switchgear.core.authorization import Purpose
from switchgear.core.data_class import DataClass
from switchgear.policy.authz_cache import Made, Recent
from switchgear.policy.authz_model import Destination, Reach, Refusal, StaleStanding, Standing
from switchgear.policy.authz_refusal import MODELS_TRIED, make_refusal
from switchgear.policy.cedar import Decision, PolicySet, Sending
from switchgear.policy.cedar_schema import GROUPS, Uid, ancestry

T = TypeVar("T", bound=Destination)
_SIZE = 4096
"""Of each mapping that is kept: 64 standings, 16 models and 4 classes. An entry takes some 2 KB."""


class Authorizer(Generic[T]):
    """Decides for one snapshot."""

    def __init__(
        self,
        policies: PolicySet,
        routes: Mapping[str, Sequence[T]],
        *,
        unknown_class: DataClass = DataClass.RESTRICTED,
        size: int = _SIZE,
    ) -> None:
        decider = self._decider = _Decider(policies, routes, unknown_class)
        self.policies = policies
        self.reach: Made[tuple[Standing, str, DataClass | None], Reach[T]] = Made(decider.reach, size)
        """`reach[standing, model, data_class]`: where such calls may go. None is a class that nobody told."""
        self.decision: Made[tuple[Standing, str, DataClass | None, Sending], Decision] = Made(decider.decision, size)
        """`decision[standing, model, data_class, sending]`: whether one thing may go to one place of the world, a target or not,
        for instance to an external screen."""
        self._standings: Recent[tuple[frozenset[Uid], str], Standing] = Recent(size)

    def standing(self, name: str, team: str = "", roles: Iterable[str] = ()) -> Standing:
        """What policies can tell of a principal. For each key or token, not for each call: 1 us, and 30 the first time."""
        own = frozenset(roles)
        told = ancestry(name, team, own, self.policies.world.teams) & self.policies.uids
        key = (told, name if self.policies.reads_names else "")
        found = self._standings.find(key)
        if found is None:
            around = self.policies.with_principal(name, team, own)
            found = self._standings.keep(key, Standing(self._decider, name, around))
        return found

    def refuse(self, standing: Standing, model: str, data_class: DataClass | None) -> Refusal:
        """What to tell a caller whose call may go nowhere."""
        reach = self.reach[standing, model, data_class]
        if reach.refusal is None:
            decider = self._decider
            reach.refusal = make_refusal(
                model,
                reach,
                self.policies.policies,
                islice((name for name in decider.routes if name != model), MODELS_TRIED),
                lambda name, one: decider.first(standing, name, one),
            )
        return reach.refusal


class _Decider(Generic[T]):
    """Asks Cedar and keeps nothing: so the mappings above refer to it, and nothing refers back to them."""

    def __init__(self, policies: PolicySet, routes: Mapping[str, Sequence[T]], unknown_class: DataClass) -> None:
        self.routes = {name: tuple(targets) for name, targets in routes.items()}
        self._policies = policies
        self._unknown_class = unknown_class
        self._alike = _alike(policies.uids)

    def reach(self, key: tuple[Standing, str, DataClass | None]) -> Reach[T]:
        standing, model, told = key
        data_class = told or self._unknown_class
        targets = self.routes.get(model, ())
        made: dict[Purpose, tuple[Decision, ...]] = {}

        def decide(purpose: Purpose) -> tuple[Decision, ...]:
            like = self._alike[purpose]
            if like not in made:
                made[like] = self._ask(standing, model, data_class, [_sending(like, target) for target in targets])
            return made[like]

        return Reach(data_class, targets, decide)

    def first(self, standing: Standing, model: str, data_class: DataClass) -> list[T]:
        """Targets that a call may begin at."""
        targets = self.routes[model]
        sendings = [_sending(Purpose.FIRST, target) for target in targets]
        decisions = self._ask(standing, model, data_class, sendings)
        return [target for target, decision in zip(targets, decisions, strict=True) if decision.allowed]

    def decision(self, key: tuple[Standing, str, DataClass | None, Sending]) -> Decision:
        standing, model, told, sending = key
        return self._ask(standing, model, told or self._unknown_class, [sending])[0]

    def _ask(
        self, standing: Standing, model: str, data_class: DataClass, sendings: Sequence[Sending]
    ) -> tuple[Decision, ...]:
        if standing.of is not self:
            raise StaleStanding("This standing was made for another snapshot. Make it anew of the principal.")
        return tuple(self._policies.decide(standing.name, standing.around, model, data_class, sendings))


def _sending(purpose: Purpose, target: Destination) -> Sending:
    return Sending(purpose, target.backend_name, target.model)


def _alike(named: frozenset[Uid]) -> dict[Purpose, Purpose]:
    """For each purpose the first one that no policy tells from it: a policy can tell purposes apart by naming actions only."""
    first: dict[frozenset[str], Purpose] = {}
    return {
        purpose: first.setdefault(frozenset(name for name in names if ("Action", name) in named), purpose)
        for purpose, names in GROUPS.items()
    }
