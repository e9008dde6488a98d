"""The words of our Cedar policies: types, attributes and actions, and entities made of them.

What is not known of a place (`region`, `jurisdiction`) is left out of its entity, although the schema promises the attribute. So a policy
that reads it fails to evaluate there, and a policy that fails forbids (`policy.cedar`): what is not known never widens what is
allowed, whether it was written as a permit or as a forbid.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from switchgear.core.authorization import ATTEMPTS, PlaceFacts, Purpose, Team
from switchgear.core.data_class import DataClass
from switchgear.core.snapshot import Kind

Json = dict[str, object]
Uid = tuple[str, str]
"""Type and id of an entity."""

_KINDS = ", ".join(f'"{kind.value}"' for kind in Kind)
_ATTEMPTS = ", ".join(f'"{purpose.value}"' for purpose in ATTEMPTS)
_OTHERS = ", ".join(f'"{purpose.value}"' for purpose in Purpose if purpose not in ATTEMPTS)

SCHEMA = f"""\
// Who: principal in Team::"research", principal in Role::"contractor". A team's roles are its members'.
entity Role;
entity Team in [Role];
entity Principal in [Team, Role] {{ name: String }};

// What: context.data_class in DataClass::"confidential" means confidential or stricter.
entity DataClass in [DataClass];
entity Model {{ labels: Set<String> }};

// Where: resource.kind == Kind::"cloud", resource.jurisdiction in Jurisdiction::"EU", resource.labels.contains("gpu").
entity Kind enum [{_KINDS}];
entity Region;
entity Jurisdiction in [Jurisdiction];
entity Backend {{
  kind: Kind,
  region: Region,
  jurisdiction: Jurisdiction,
  labels: Set<String>,
  attested: Bool,
}};

// model is the name that was called, model_there the model's name at the backend.
type Sending = {{ model: Model, model_there: String, data_class: DataClass }};

// Why: action == Action::"shadow", or action in Action::"attempt". "send" is all of them.
action "send";
action "attempt" in ["send"];
action {_ATTEMPTS} in ["attempt"]
  appliesTo {{ principal: [Principal], resource: [Backend], context: Sending }};
action {_OTHERS} in ["send"]
  appliesTo {{ principal: [Principal], resource: [Backend], context: Sending }};
"""
"""Cedar schema; `switchgear policy schema` prints it for editors."""

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "Principal": ("name",),
    "Model": ("labels",),
    "Backend": ("kind", "region", "jurisdiction", "labels", "attested"),
    "context": ("model", "model_there", "data_class"),
}
TYPES = ("Principal", "Team", "Role", "Model", "DataClass", "Backend", "Kind", "Region", "Jurisdiction", "Action")
GROUPS: dict[Purpose, tuple[str, ...]] = {
    purpose: (purpose.value, "attempt", "send") if purpose in ATTEMPTS else (purpose.value, "send")
    for purpose in Purpose
}
"""Every action that a purpose is, itself and groups."""


class World(NamedTuple):
    """What policies are about: everything but the principal, who comes with each call."""

    places: Mapping[str, PlaceFacts]
    """By name: backends, and services such as an external screen."""
    models: Mapping[str, Iterable[str]]
    """Labels of each model that can be called."""
    teams: Mapping[str, Team] = MappingProxyType({})
    groups: frozenset[Uid] = frozenset()
    """Further teams and roles that principals are known to have: a policy that names another is worth a warning."""


def uid(kind: str, name: str) -> Json:
    """The name of an entity, as Cedar's JSON has it."""
    return {"type": kind, "id": name}


def reference(kind: str, name: str) -> Json:
    """An entity as a value of an attribute."""
    return {"__entity": uid(kind, name)}


def entities(world: World) -> list[Json]:
    """Entities of a world, as Cedar's JSON has them."""
    made = [
        _entity("DataClass", one, above=[("DataClass", milder) for milder in DataClass if milder < one])
        for one in DataClass
    ]
    made += [_entity("Action", names[0], above=[("Action", name) for name in names[1:]]) for names in GROUPS.values()]
    made += [_entity("Team", team, above=[("Role", role) for role in said.roles]) for team, said in world.teams.items()]
    made += [_entity("Model", model, {"labels": sorted(labels)}) for model, labels in world.models.items()]
    made += [_entity("Backend", name, _facts(place)) for name, place in world.places.items()]
    paths = {path for place in world.places.values() for path in wider(place.jurisdiction)}
    made += [
        _entity("Jurisdiction", path, above=[("Jurisdiction", one) for one in wider(path)[:-1]])
        for path in sorted(paths)
    ]
    return made


def principal(name: str, team: str, roles: Iterable[str]) -> Json:
    """The entity of a principal."""
    above = [("Role", role) for role in sorted(roles)]
    if team:
        above.append(("Team", team))
    return _entity("Principal", name, {"name": name}, above)


def ancestry(name: str, team: str, roles: Iterable[str], teams: Mapping[str, Team]) -> frozenset[Uid]:
    """Every entity that a principal is or is in: all that a policy can find of it but its attributes."""
    shared = teams[team].roles if team in teams else ()
    found = {("Principal", name), *(("Role", role) for role in (*roles, *shared))}
    if team:
        found.add(("Team", team))
    return frozenset(found)


def wider(jurisdiction: str) -> list[str]:
    """A jurisdiction and those around it, widest first: EU/DE is in EU."""
    parts = jurisdiction.split("/") if jurisdiction else []
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _facts(place: PlaceFacts) -> Json:
    facts: Json = {
        "kind": reference("Kind", place.kind),
        "labels": sorted(place.labels),
        "attested": place.attested is True,
    }
    if place.region:
        facts["region"] = reference("Region", place.region)
    if place.jurisdiction:
        facts["jurisdiction"] = reference("Jurisdiction", place.jurisdiction)
    return facts


def _entity(kind: str, name: str, facts: Json | None = None, above: Iterable[Uid] = ()) -> Json:
    return {"uid": uid(kind, name), "attrs": facts or {}, "parents": [uid(*one) for one in above]}
