"""Random worlds and random policies over them, and what those policies mean, worked out here without Cedar.

A condition is made once and said twice: as Cedar text, and as a Python function. So what the product decides is held against something that
shares neither the engine, nor the schema, nor the cache with it.
"""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from switchgear.core.authorization import ATTEMPTS, Place, PolicyText, Purpose, Team
from switchgear.core.data_class import DataClass
from switchgear.policy.authz_world import Principal, Target
from switchgear.policy.cedar_schema import World

ROLES = ("contractor", "eu-data", "auditor")
TEAMS = ("research", "agency", "sales")
NAMES = ("ada", "bob", "eve", "oidc:auth0|1")
LABELS = ("gpu", "large", "old")
JURISDICTIONS = ("", "EU", "EU/DE", "EU/FR", "US", "US/CA")
REGIONS = ("", "north", "south")
KINDS = ("cloud", "onprem", "appliance", "edge")
THERE = ("llama", "gpt-x")


class Missing(Exception):
    """A policy read what is not known."""


class Question(NamedTuple):
    """One thing that may be sent, or may not."""

    who: Principal
    model: str
    data_class: DataClass
    purpose: Purpose
    target: Target


Holds = Callable[["Case", Question], bool]


class Said(NamedTuple):
    """One condition, in Cedar and in Python."""

    cedar: str
    holds: Holds


class Rule(NamedTuple):
    """One policy."""

    id: str
    permits: bool
    cedar: str
    parts: tuple[Holds, ...]
    """Asked one after the other until one does not hold."""


class Case(NamedTuple):
    """A world with policies over it."""

    world: World
    routes: dict[str, tuple[Target, ...]]
    rules: tuple[Rule, ...]

    @property
    def texts(self) -> tuple[PolicyText, ...]:
        return (PolicyText("any.cedar", "\n".join(rule.cedar for rule in self.rules)),)

    def allows(self, question: Question) -> bool:
        """What the policies mean: a policy that fails forbids, a forbid wins, and something must permit."""
        permitted = False
        forbidden = False
        for rule in self.rules:
            try:
                applies = all(part(self, question) for part in rule.parts)
            except Missing:
                return False
            permitted |= applies and rule.permits
            forbidden |= applies and not rule.permits
        return permitted and not forbidden

    def roles(self, who: Principal) -> set[str]:
        team = self.world.teams.get(who.team)
        return {*who.roles, *(team.roles if team is not None else ())}


def any_case(rng: Random) -> Case:
    """A world of a few backends and models, and a few policies, most of them forbids."""
    places = {
        f"b{number}": Place(
            kind=rng.choice(KINDS),
            region=rng.choice(REGIONS),
            jurisdiction=rng.choice(JURISDICTIONS),
            labels=tuple(_some(rng, LABELS)),
            attested=rng.random() < 0.5,
        )
        for number in range(rng.randint(1, 4))
    }
    models = {name: tuple(_some(rng, LABELS)) for name in ("chat", "big")}
    teams = {name: Team(roles=tuple(_some(rng, ROLES))) for name in _some(rng, TEAMS)}
    routes = {
        name: tuple(Target(rng.choice(list(places)), rng.choice(THERE)) for _ in range(rng.randint(1, 3)))
        for name in models
    }
    case = Case(World(places, models, teams), routes, ())
    rules = [_rule(rng, case, f"p{number}", permits=number < rng.randint(1, 2)) for number in range(rng.randint(1, 5))]
    if rng.random() < 0.7:
        rules.append(Rule("all", True, '@id("all") permit (principal, action, resource);', ()))
    return case._replace(rules=tuple(rules))


def any_principal(rng: Random) -> Principal:
    return Principal(name=rng.choice(NAMES), team=rng.choice(("", *TEAMS)), roles=tuple(_some(rng, ROLES)))


def _some(rng: Random, words: tuple[str, ...]) -> list[str]:
    return [word for word in words if rng.random() < 0.4]


def _rule(rng: Random, case: Case, name: str, *, permits: bool) -> Rule:
    scope = (_principal(rng), _action(rng), _resource(rng, case))
    clauses = [(rng.random() < 0.6, _condition(rng, case, 2)) for _ in range(rng.randint(0, 2))]
    said = " ".join(f"{'when' if when else 'unless'} {{ {condition.cedar} }}" for when, condition in clauses)
    text = f'@id("{name}") {"permit" if permits else "forbid"} ({", ".join(one.cedar for one in scope)}) {said};'
    parts = [one.holds for one in scope]
    parts += [condition.holds if when else _not(condition).holds for when, condition in clauses]
    return Rule(name, permits, text, tuple(parts))


def _principal(rng: Random) -> Said:
    match rng.randint(0, 4):
        case 0:
            name = rng.choice(NAMES)
            return Said(f'principal == Principal::"{name}"', lambda _, asked: asked.who.name == name)
        case 1:
            team = rng.choice(TEAMS)
            return Said(f'principal in Team::"{team}"', lambda _, asked: asked.who.team == team)
        case 2:
            role = rng.choice(ROLES)
            return Said(f'principal in Role::"{role}"', lambda case, asked: role in case.roles(asked.who))
    return Said("principal", lambda *_: True)


def _action(rng: Random) -> Said:
    purpose = rng.choice(list(Purpose))
    other = rng.choice(list(Purpose))
    match rng.randint(0, 5):
        case 0:
            return Said(f'action == Action::"{purpose.value}"', lambda _, asked: asked.purpose is purpose)
        case 1:
            return Said('action in Action::"attempt"', lambda _, asked: asked.purpose in ATTEMPTS)
        case 2:
            return Said(
                f'action in [Action::"{purpose.value}", Action::"{other.value}"]',
                lambda _, asked: asked.purpose in (purpose, other),
            )
        case 3:
            return Said('action in Action::"send"', lambda *_: True)
    return Said("action", lambda *_: True)


def _resource(rng: Random, case: Case) -> Said:
    if rng.random() < 0.2:
        place = rng.choice(list(case.world.places))
        return Said(f'resource == Backend::"{place}"', lambda _, asked: asked.target.backend == place)
    return Said("resource", lambda *_: True)


def _condition(rng: Random, case: Case, depth: int) -> Said:
    if depth and rng.random() < 0.5:
        one, other = _condition(rng, case, depth - 1), _condition(rng, case, depth - 1)
        match rng.randint(0, 2):
            case 0:
                return Said(f"({one.cedar} && {other.cedar})", lambda c, q: one.holds(c, q) and other.holds(c, q))
            case 1:
                return Said(f"({one.cedar} || {other.cedar})", lambda c, q: one.holds(c, q) or other.holds(c, q))
        return _not(one)
    return rng.choice((_about_data, _about_place, _about_place, _about_who))(rng)


def _not(one: Said) -> Said:
    return Said(f"!({one.cedar})", lambda case, asked: not one.holds(case, asked))


def _about_data(rng: Random) -> Said:
    data_class = rng.choice(list(DataClass))
    label = rng.choice(LABELS)
    match rng.randint(0, 4):
        case 0:
            word = f'context.data_class in DataClass::"{data_class.value}"'
            return Said(word, lambda _, asked: asked.data_class >= data_class)
        case 1:
            word = f'context.data_class == DataClass::"{data_class.value}"'
            return Said(word, lambda _, asked: asked.data_class is data_class)
        case 2:
            return Said('context.model == Model::"big"', lambda _, asked: asked.model == "big")
        case 3:
            there = rng.choice(THERE)
            return Said(f'context.model_there == "{there}"', lambda _, asked: asked.target.model == there)
    word = f'context.model.labels.contains("{label}")'
    return Said(word, lambda case, asked: label in case.world.models[asked.model])


def _about_place(rng: Random) -> Said:
    match rng.randint(0, 4):
        case 0:
            kind = rng.choice(KINDS)
            return Said(f'resource.kind == Kind::"{kind}"', lambda case, asked: _place(case, asked).kind == kind)
        case 1:
            region = rng.choice(REGIONS[1:])
            word = f'resource.region == Region::"{region}"'
            return Said(word, lambda case, asked: _known(_place(case, asked).region) == region)
        case 2:
            wide = rng.choice(JURISDICTIONS[1:])
            word = f'resource.jurisdiction in Jurisdiction::"{wide}"'
            return Said(word, lambda case, asked: f"{_known(_place(case, asked).jurisdiction)}/".startswith(f"{wide}/"))
        case 3:
            label = rng.choice(LABELS)
            word = f'resource.labels.contains("{label}")'
            return Said(word, lambda case, asked: label in _place(case, asked).labels)
    return Said("resource.attested", lambda case, asked: _place(case, asked).attested)


def _about_who(rng: Random) -> Said:
    role = rng.choice(ROLES)
    match rng.randint(0, 3):
        case 0:
            return Said(f'principal in Role::"{role}"', lambda case, asked: role in case.roles(asked.who))
        case 1:
            return Said('principal.name like "oidc:*"', lambda _, asked: asked.who.name.startswith("oidc:"))
        case 2:
            other = rng.choice(ROLES)
            word = f'principal in [Role::"{role}", Role::"{other}"]'
            return Said(word, lambda case, asked: not case.roles(asked.who).isdisjoint((role, other)))
    return Said('action == Action::"hedge"', lambda _, asked: asked.purpose is Purpose.HEDGE)


def _place(case: Case, asked: Question) -> Place:
    place = case.world.places[asked.target.backend]
    assert isinstance(place, Place)
    return place


def _known(word: str) -> str:
    if not word:
        raise Missing
    return word
