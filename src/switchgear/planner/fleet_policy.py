"""What a fleet's file says that policies are about: who calls, what the called models are, and the policies themselves.

The words are those of the gateway's configuration, so that its policies can be named as they stand. A record says who called and for which
team, but not in which roles: those are given here, for principals and for teams.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from switchgear.core.authorization import Authorization, PlaceFacts, Policies, PolicyText, Team, Word
from switchgear.core.data_class import DataClass
from switchgear.core.errors import ConfigError, Problem
from switchgear.planner.errors import BadFleet
from switchgear.policy.cedar_files import load_policies

_Name = Annotated[str, msgspec.Meta(min_length=1)]


class FleetPolicy(Policies, frozen=True, kw_only=True):
    """`[policy]`. Without policies, data classes alone decide (`strictest` of each place)."""

    texts: tuple[PolicyText, ...] = ()
    """What the files say. `read_fleet` reads them; a file may also hold policies itself, as `[[policy.texts]]` with `file` and `text`."""


class CalledModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[models.NAME]`: a name that is called. All names of a fleet are served by the fleet's one model."""

    labels: tuple[Word, ...] = ()
    data_class: DataClass | None = None
    """What its calls carry at least."""


class Who(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[principals.NAME]`: what records do not say of a principal."""

    team: str = ""
    """Where the record names none."""
    roles: tuple[_Name, ...] = ()
    data_class: DataClass | None = None
    """What its calls carry at least. Where nobody says more, it is their class."""


class DefaultCaller(Who, frozen=True, kw_only=True):
    """`[caller]`: who makes the calls that do not say it, as traces and generators do not."""

    name: _Name
    model: str = ""
    """The name that they call; the only one where there is only one."""


def with_texts(policy: FleetPolicy) -> FleetPolicy:
    """The same with its files read, from the working directory; none is left to be read. Raises ConfigError."""
    if not policy.files:
        return policy
    return msgspec.structs.replace(policy, files=(), texts=(*policy.texts, *load_policies(policy.files)))


def authorization_of(
    policy: FleetPolicy,
    places: Mapping[str, PlaceFacts],
    models: Mapping[str, CalledModel],
    teams: Mapping[str, Team],
    principals: Mapping[str, Who],
) -> tuple[Authorization, tuple[Problem, ...]]:
    """What a snapshot carries, and warnings. Raises BadFleet where files were not read, and ConfigError where policies are wrong."""
    if policy.files:
        raise BadFleet("the fleet names policy files that were not read; make it with read_fleet, or give policy.texts")
    if not policy.texts:
        return Authorization(), ()
    # Cedar's engine takes 40 ms and some MB to load, which a fleet without policies need not pay.
    from switchgear.policy.cedar_check import check
    from switchgear.policy.cedar_schema import World

    groups = frozenset(
        uid for who in principals.values() for uid in (("Team", who.team), *(("Role", role) for role in who.roles))
    )
    world = World(places, {name: model.labels for name, model in models.items()}, teams, groups - {("Team", "")})
    checked = check(policy.texts, world)
    if checked.problems:
        raise ConfigError(list(checked.problems))
    made = Authorization(texts=policy.texts, teams=dict(teams), unknown_class=policy.unknown_class)
    return made, checked.warnings
