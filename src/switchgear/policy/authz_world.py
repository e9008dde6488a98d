"""The tables of a configuration file that policies are about, read by themselves, so that policies can be checked, tested and explained
without a file that can be served from. Whether the rest of the file is right says `switchgear check`.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import msgspec

from switchgear.core.authorization import Place, PlaceFacts, Policies, Team
from switchgear.core.data_class import DataClass
from switchgear.core.errors import ConfigError, Problem
from switchgear.core.external_screening import PLACE, ExternalScreening
from switchgear.policy.cedar_schema import Uid, World


class Target(msgspec.Struct, frozen=True):
    """A target, as `[models.NAME] targets` has it."""

    backend: str
    model: str

    @property
    def backend_name(self) -> str:
        return self.backend


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """A principal: a key of the file, or one that a test makes up."""

    name: str
    team: str = ""
    roles: tuple[str, ...] = ()


class Caller(Principal, frozen=True, kw_only=True):
    """A key or certificate of the file, with what its calls carry at least and at most."""

    data_class: DataClass | None = None
    max_data_class: DataClass | None = None


class _Backend(Place, frozen=True, kw_only=True):
    """Whatever else a backend has is not looked at."""


class _Model(msgspec.Struct, frozen=True, kw_only=True):
    labels: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
    data_class: DataClass | None = None


class _Team(Team, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


class _Policies(Policies, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


class _Provider(msgspec.Struct, frozen=True, kw_only=True):
    team: str = ""
    teams: dict[str, str] = {}


class _Screen(msgspec.Struct, frozen=True, kw_only=True):
    external: ExternalScreening | None = None


class _File(msgspec.Struct, frozen=True, kw_only=True):
    policy: _Policies = _Policies()
    teams: dict[str, _Team] = {}
    backends: dict[str, _Backend] = {}
    screen: _Screen = _Screen()
    models: dict[str, _Model] = {}
    keys: tuple[Caller, ...] = ()
    certificates: tuple[Caller, ...] = ()
    oidc: dict[str, _Provider] = {}


class Described(NamedTuple):
    """What a configuration file says that policies are about."""

    policies: Policies
    world: World
    routes: Mapping[str, tuple[Target, ...]]
    principals: Mapping[str, Caller] = MappingProxyType({})
    model_classes: Mapping[str, DataClass | None] = MappingProxyType({})

    def told(self, who: Principal, model: str, data_class: DataClass | None) -> DataClass | None:
        """What such a call counts as: the strictest that it, its caller, the team or the model says. None: nobody says anything."""
        team = self.world.teams.get(who.team)
        own = who.data_class if isinstance(who, Caller) else None
        said = (data_class, own, team.data_class if team is not None else None, self.model_classes.get(model))
        given = [one for one in said if one is not None]
        return max(given) if given else None


def describe(raw: Mapping[str, Any], name: str) -> Described:
    """Read them of a parsed TOML file called `name`. Raises ConfigError."""
    try:
        file = msgspec.convert(raw, _File)
    except msgspec.ValidationError as error:
        problem = Problem(name, str(error), "`switchgear check` says what each key may be.")
        raise ConfigError([problem]) from error
    principals = {one.name: one for one in (*file.keys, *file.certificates)}
    signed_in = {team for provider in file.oidc.values() for team in (provider.team, *provider.teams.values()) if team}
    return Described(
        file.policy,
        World(
            places(file.backends, file.screen.external),
            {model: said.labels for model, said in file.models.items()},
            file.teams,
            groups_of(principals.values()) | {("Team", team) for team in signed_in},
        ),
        {model: said.targets for model, said in file.models.items()},
        principals,
        {model: said.data_class for model, said in file.models.items()},
    )


def places(backends: Mapping[str, PlaceFacts], external: ExternalScreening | None) -> Mapping[str, PlaceFacts]:
    """All that something can be sent to: backends, and the external screen where there is one."""
    return backends if external is None else {**backends, PLACE: external}


class Grouped(Protocol):
    """What is read of a principal to know teams and roles: a key has it too."""

    @property
    def team(self) -> str: ...
    @property
    def roles(self) -> Iterable[str]: ...


def groups_of(principals: Iterable[Grouped]) -> frozenset[Uid]:
    """Teams and roles that principals name themselves."""
    return frozenset(
        uid for one in principals for uid in (("Team", one.team), *(("Role", role) for role in one.roles)) if uid[1]
    )
