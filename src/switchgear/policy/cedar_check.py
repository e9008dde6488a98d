"""What is wrong with policies, before they decide anything: words that the schema lacks, and names of things that are not there.

Cedar says of a word that is not known, at most, that it is not: a backend's misspelt name in a forbid would never forbid. So
every name is held against what there is.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple

import cedarpy

from switchgear.core.authorization import PolicyText, Purpose
from switchgear.core.data_class import DataClass
from switchgear.core.errors import Problem
from switchgear.core.snapshot import Kind
from switchgear.policy.cedar_schema import ATTRIBUTES, SCHEMA, TYPES, Uid, World, wider
from switchgear.policy.cedar_text import Policy, read

_FOR_POLICY = re.compile(r"^for policy `[^`]*`[,:] ")
_PER_ACTION = re.compile(r' for Action::"[^"]*"')
"""Cedar repeats what is wrong with the context for each action."""
_ATTRIBUTE = re.compile(r"attribute `([^`]+)`(?: on entity type `([^`]+)`)?")
_ENTITY = re.compile(r'`(\w+)::"([^"]*)"`')
_TYPE = re.compile(r"unrecognized entity type `([^`]+)`")
_TYPES = re.compile(r"the types String and (\w+) are not compatible")
_FOLLOWS = "unable to find an applicable action"
"""What Cedar adds to an error that it has told already."""
_MUST_EXIST = {"Backend": "backend", "Model": "model", "DataClass": "data class"}
_MAY_EXIST = {"Team": "team", "Role": "role", "Region": "region", "Jurisdiction": "jurisdiction"}


class Checked(NamedTuple):
    """Policies that can be read, and what is to be said of all."""

    policies: tuple[Policy, ...]
    problems: tuple[Problem, ...]
    """Reasons not to decide by them. In the order of files and lines."""
    warnings: tuple[Problem, ...]


def check(texts: tuple[PolicyText, ...], world: World | None = None) -> Checked:
    """Read and check policies. Without a world, only what holds in every one is checked."""
    policies, problems = read(texts)
    warnings: list[Problem] = []
    schema = cedarpy.Schema.from_str(SCHEMA)
    for policy in policies:
        problems += _against_schema(policy, schema)
        if world is not None:
            unknown = list(_unknown(policy, world))
            problems += [problem for problem, refused in unknown if refused]
            warnings += [problem for problem, refused in unknown if not refused]
    if policies and not any(policy.permits for policy in policies):
        where = policies[0].statement.file
        warnings.append(
            Problem(where, "no policy permits anything: every call will be refused", "Write at least one permit.")
        )
    order = {text.file: index for index, text in enumerate(texts)}

    def place(problem: Problem) -> tuple[int, int]:
        return order[problem.path], problem.line or 0

    return Checked(tuple(policies), tuple(sorted(problems, key=place)), tuple(sorted(warnings, key=place)))


def _against_schema(policy: Policy, schema: cedarpy.Schema) -> list[Problem]:
    result = cedarpy.validate_policies(policy.statement.text, schema)
    messages = [_PER_ACTION.sub("", _FOR_POLICY.sub("", error.error)) for error in result.errors]
    told = [message for message in messages if not message.startswith(_FOLLOWS)]
    if not told and not result.validation_passed:
        message = "can never apply: no action takes such a principal and such a resource"
        return [
            policy.statement.problem(
                f"policy {policy.id} {message}", "The principal is a Principal, the resource a Backend."
            )
        ]
    return [_schema_problem(policy, message) for message in dict.fromkeys(told)]


def _schema_problem(policy: Policy, message: str) -> Problem:
    at, remedy = "", "See docs/policy.md for the types, attributes and actions."
    if found := _ATTRIBUTE.search(message):
        at = rf'(?:\.|\["|\bhas\s+){re.escape(found[1])}\b'
        remedy = nearest(found[1], ATTRIBUTES.get(found[2] or "context", ()))
    elif found := _TYPE.search(message):
        at, remedy = rf"\b{re.escape(found[1])}::", nearest(found[1], TYPES)
    elif found := _ENTITY.search(message):
        kind, name = found[1], found[2]
        at = _entity(kind, name)
        known = tuple(Kind) if kind == "Kind" else (*Purpose, "attempt", "send")
        remedy = nearest(name, known)
    elif found := _TYPES.search(message):
        at, remedy = r'[=!]=\s*"|"\s*[=!]=', f'Write it as an entity: {found[1]}::"…".'
    return policy.statement.problem(f"policy {policy.id}: {message}", remedy, at=at)


def _unknown(policy: Policy, world: World) -> Iterable[tuple[Problem, bool]]:
    """Names in a policy that nothing has, and whether that is a reason to refuse it."""
    for kind, name in sorted(policy.uids):
        what = _MUST_EXIST.get(kind) or _MAY_EXIST.get(kind)
        known = sorted(_known(kind, world))
        if what is None or name in known:
            continue
        word = f'{kind}::"{name}"'
        if kind in _MUST_EXIST:
            message = f"policy {policy.id} names no {what}: {word}"
            yield policy.statement.problem(message, nearest(name, known), at=_entity(kind, name)), True
        else:
            message = f"policy {policy.id} names a {what} that nothing here has: {word}"
            yield policy.statement.problem(message, nearest(name, known), at=_entity(kind, name)), False
    labels = {label for place in world.places.values() for label in place.labels}
    labels.update(label for found in world.models.values() for label in found)
    for label in sorted(policy.labels - labels):
        message = f'policy {policy.id} asks for a label that nothing here has: "{label}"'
        yield policy.statement.problem(message, nearest(label, sorted(labels)), at=re.escape(f'"{label}"')), False


def _entity(kind: str, name: str) -> str:
    return rf'\b{kind}\s*::\s*"{re.escape(name)}"'


def _known(kind: str, world: World) -> set[str]:
    match kind:
        case "Backend":
            return set(world.places)
        case "Model":
            return set(world.models)
        case "DataClass":
            return {one.value for one in DataClass}
        case "Region":
            return {place.region for place in world.places.values()} - {""}
        case "Jurisdiction":
            return {path for place in world.places.values() for path in wider(place.jurisdiction)}
    groups: set[Uid] = {*world.groups, *(("Team", name) for name in world.teams)}
    groups.update(("Role", role) for team in world.teams.values() for role in team.roles)
    return {name for group, name in groups if group == kind}


def nearest(name: str, known: Iterable[str]) -> str:
    """A remedy for a name that is not known: the nearest one that is, or all of them."""
    names = {str(one).casefold(): str(one) for one in known}
    near = get_close_matches(name.casefold(), names, n=1)
    if near:
        return f'Did you mean "{names[near[0]]}"?'
    return f"Known here: {', '.join(names.values()) or 'none'}."
