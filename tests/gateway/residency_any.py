"""Random snapshots with what their policies mean, and random calls."""

import hashlib
from random import Random
from typing import Any, NamedTuple

from tests.gateway.memory_places import UNSURE
from tests.policy.authz_any import (
    JURISDICTIONS,
    NAMES,
    REGIONS,
    THERE,
    Case,
    Question,
    Rule,
    any_case,
    any_principal,
)

from switchgear.core.authorization import ATTEMPTS, Authorization, Place, Purpose, Team
from switchgear.core.caching import LastResort, ModelCache, Repeatable, Scope
from switchgear.core.data_class import DataClass
from switchgear.core.escalation import Escalate
from switchgear.core.external_screening import PLACE, ExternalScreening, OnLate
from switchgear.core.screening import Action, Detector, Screening, ScreenRule, WordList
from switchgear.core.snapshot import (
    Backend,
    Breaker,
    Capabilities,
    ContinueTurn,
    Delivery,
    Hedge,
    Key,
    Kind,
    Model,
    Retry,
    Snapshot,
    Target,
    Timeouts,
    make_snapshot,
)
from switchgear.policy.authz_world import Principal
from switchgear.policy.authz_world import Target as Destination

QUICK = Timeouts(connect_s=0.5, first_token_s=0.2, idle_s=0.2, total_s=1.0)
NEVER = Breaker(consecutive=10_000, min_calls=10_000)
SOON = Breaker(consecutive=2, open_s=0.3)
PURPOSES = (*ATTEMPTS, Purpose.CACHE, Purpose.SCREEN)
CLASSES = (None, *DataClass)
WORD = "Nightjar"
"""What the screen looks for."""
_OWN = tuple(purpose for purpose in ATTEMPTS if purpose is not Purpose.ESCALATE)
_NAMES = ", ".join(f'Action::"{purpose.value}"' for purpose in _OWN)
_ONLY_ESCALATED = Rule(
    "only-escalated",
    False,
    f'@id("only-escalated") forbid (principal, action in [{_NAMES}], resource) when {{ context.model == Model::"big" }};',
    (lambda _, asked: asked.purpose in _OWN, lambda _, asked: asked.model == "big"),
)
"""The large model is asked where the small one was unsure, once and for nothing else."""


class Asked(NamedTuple):
    """One call."""

    who: str
    model: str
    told: DataClass | None
    streamed: bool
    named: bool
    """Whether it holds the word that the screen looks for."""
    found: bool = False
    """Whether an external screen found something in it, or gave no answer where that counts as much."""


class Rules(NamedTuple):
    """A snapshot with what its policies mean."""

    case: Case
    snapshot: Snapshot
    keys: dict[str, Key]

    def class_of(self, asked: Asked, model: str) -> DataClass:
        """The strictest that was told, or what counts where nobody told anything; what was found in it raises that, and so does the
        model that is asked in place of the one that was called.
        """
        key, teams, screen = self.keys[asked.who], self.snapshot.authorization.teams, self.snapshot.screen
        team = teams[key.team].data_class if key.team in teams else None
        told = _strictest(key.data_class, team, asked.told, self.snapshot.models[asked.model].data_class)
        named = screen.rules[0].raise_to if asked.named and screen is not None else None
        found = screen.rules[1].raise_to if asked.found and screen is not None else None
        other = self.snapshot.models[model].data_class if model != asked.model else None
        strictest = _strictest(told or self.snapshot.authorization.unknown_class, named, found, other)
        assert strictest is not None
        return strictest

    def allows(self, asked: Asked, model: str, purpose: Purpose, target: tuple[str, str]) -> bool:
        key = self.keys[asked.who]
        data_class = self.class_of(asked, model)
        most = key.max_data_class
        if most is not None and list(DataClass).index(data_class) > list(DataClass).index(most):
            return False
        who = Principal(name=key.name, team=key.team, roles=key.roles)
        return self.case.allows(Question(who, model, data_class, purpose, Destination(*target)))

    def has(self, model: str, target: tuple[str, str]) -> bool:
        return any((one.backend, one.model) == target for one in self.case.routes[model])


def _strictest(*told: DataClass | None) -> DataClass | None:
    return max((one for one in told if one is not None), key=list(DataClass).index, default=None)


def any_rules(rng: Random, about: Purpose | None = None) -> Rules:
    """A random case, some more forbids on single purposes, and a configuration around it."""
    case = any_case(rng)
    there = [Destination(place, model) for place in case.world.places for model in THERE]
    routes = {name: tuple(rng.sample(there, min(len(there), rng.randint(1, 4)))) for name in case.routes}
    rules = [rule for rule in case.rules if rule.id != "all" and rng.random() < 0.5]
    often = PURPOSES if about is None else (about,)
    rules += [_on_purpose(rng, often, number) for number in range(rng.randint(0, 3) if about is None else 2)]
    if rng.random() < (0.5 if about is Purpose.ESCALATE else 0.05):
        rules.append(_ONLY_ESCALATED)
    if rng.random() < 0.9:
        rules.append(Rule("all", True, '@id("all") permit (principal, action, resource);', ()))
    teams = {name: Team(roles=team.roles, data_class=rng.choice(CLASSES)) for name, team in case.world.teams.items()}
    case = case._replace(routes=routes, rules=tuple(rules), world=case.world._replace(teams=teams))
    keys = {name: _any_key(rng, name) for name in NAMES}
    plain, escalates = about is None and rng.random() < 0.3, about is Purpose.ESCALATE
    models = {name: _any_model(rng, case, name, plain=plain, escalates=escalates) for name in routes}
    backends = {
        name: Backend(
            kind=Kind(place.kind),
            region=place.region,
            jurisdiction=place.jurisdiction,
            labels=tuple(place.labels),
            attested=place.attested,
            base_url=f"http://{name}/v1",
            timeouts=QUICK,
            breaker=rng.choice((NEVER, NEVER, SOON)),
            max_in_flight=rng.choice((1, 2, 1000, 1000)),
            capabilities=Capabilities(continue_turn=rng.choice((ContinueTurn.PREFILL, ContinueTurn.NO))),
        )
        for name, place in case.world.places.items()
    }
    authorization = Authorization(texts=case.texts, teams=teams, unknown_class=rng.choice(list(DataClass)))
    screen = _any_screen(rng, about) if rng.random() < (1.0 if about is Purpose.SCREEN else 0.5) else None
    if screen is not None and screen.external is not None:
        out = screen.external
        place = Place(
            kind=out.kind, region=out.region, jurisdiction=out.jurisdiction, labels=out.labels, attested=out.attested
        )
        case = case._replace(world=case.world._replace(places={**case.world.places, PLACE: place}))
    snapshot = make_snapshot(backends, models, tuple(keys.values()), authorization=authorization, screen=screen)
    return Rules(case, snapshot, keys)


def _any_screen(rng: Random, about: Purpose | None) -> Screening:
    """Ours looks for a word, and an external one beside it for whatever it finds."""
    above = list(DataClass)[1:]
    named, found = rng.choice(above), rng.choice(above)
    words = WordList(name="project", words=(WORD,))
    rules = [ScreenRule(name="project", find=("project",), action=Action.ROUTE, raise_to=named)]
    external = None
    if about is Purpose.SCREEN or rng.random() < 0.5:
        rules.append(ScreenRule(name="people", find=("person",), action=Action.ROUTE, raise_to=found))
        external = ExternalScreening(
            entities=("PERSON",),
            timeout_s=0.1,
            on_late=rng.choice(list(OnLate)),
            late_class=found,
            region=rng.choice(REGIONS),
            jurisdiction=rng.choice(JURISDICTIONS),
            labels=("gpu",),
            attested=rng.random() < 0.5,
        )
    mac = (Detector.MAC_ADDRESS,)
    return Screening(detectors=mac, word_lists=(words,), rules=tuple(rules), external=external)


def _on_purpose(rng: Random, purposes: tuple[Purpose, ...], number: int) -> Rule:
    """A forbid of one purpose, at one place or everywhere."""
    purpose, place = rng.choice(purposes), rng.choice(("", "b0"))
    resource = f'resource == Backend::"{place}"' if place else "resource"
    text = f'@id("q{number}") forbid (principal, action == Action::"{purpose.value}", {resource});'
    return Rule(
        f"q{number}",
        False,
        text,
        (
            lambda _, asked: asked.purpose is purpose,
            lambda _, asked: not place or asked.target.backend == place,
        ),
    )


def _any_key(rng: Random, name: str) -> Key:
    who = any_principal(rng)
    return Key(
        name=name,
        sha256=hashlib.sha256(name.encode()).hexdigest(),
        team=who.team,
        roles=tuple(who.roles),
        data_class=rng.choice((None, *CLASSES)),
        max_data_class=DataClass.CONFIDENTIAL if rng.random() < 0.1 else None,
    )


def _any_model(rng: Random, case: Case, name: str, *, plain: bool, escalates: bool) -> Model:
    """`plain`: one whose calls can go the short way."""
    more: dict[str, Any] = {}
    if not plain:
        more["strategy"] = rng.choice(("priority", "priority", "weighted", "least-loaded"))
        more["hedge"] = Hedge(after_s=0.05, max_ratio=1.0) if rng.random() < 0.4 else None
        if rng.random() < 0.3:
            scope = rng.choice(list(Scope))
            more["cache"] = ModelCache(ttl_s=1.0, scope=scope, repeatable=Repeatable.EVERY, ignore=("user",))
        if name == "chat" and (escalates or rng.random() < 0.4):
            more["escalate"] = Escalate(when="refusal", to="big", refusal_phrases=(UNSURE,))
    if name == "chat" and rng.random() < 0.3:
        resorts = (LastResort(stale_s=100.0), LastResort(model="big"), LastResort(message="Not now."))
        more["last_resort"] = resorts[0 if "cache" in more else 1 :]
    return Model(
        targets=tuple(Target(backend=one.backend, model=one.model) for one in case.routes[name]),
        retry=Retry(attempts=rng.randint(1, 4), backoff_s=0.05, max_backoff_s=0.1, budget_floor=10_000),
        delivery=rng.choice((Delivery.STREAM, Delivery.STREAM, Delivery.WHOLE)),
        rescue=rng.random() < 0.9,
        deadline_s=rng.choice((30.0, 30.0, 0.5)),
        labels=tuple(case.world.models[name]),
        data_class=rng.choice((None, None, None, *DataClass)),
        **more,
    )
