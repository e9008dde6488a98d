"""Where calls could run: the places of a fleet, what stands there, what they may take, what goes wrong with them.

A place is what the gateway calls a backend. Its words are those of the configuration file wherever it has them (`max_in_flight`,
`timeouts`, `breaker`, `prices`, `strategy`, `retry`), so that a fleet that was simulated can be configured as it stands.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from switchgear.core.authorization import Authorization, Jurisdiction, Team, Word
from switchgear.core.data_class import DataClass
from switchgear.core.errors import ConfigError
from switchgear.core.health import Energy, problem_of
from switchgear.core.snapshot import Breaker, Count, Kind, Name, Prices, Retry, Seconds, Timeouts
from switchgear.hardware.link import Link
from switchgear.hardware.model import Precision, Profile
from switchgear.hardware.power import Host, PowerModel
from switchgear.hardware.thermal import Thermal
from switchgear.planner.errors import BadFleet
from switchgear.planner.fleet_policy import CalledModel, DefaultCaller, FleetPolicy, Who, authorization_of, with_texts
from switchgear.planner.numbers import NO_TOML, REMEDY, unusable, values_of

Factor = Annotated[float, msgspec.Meta(gt=0, le=1000)]
MOST_PLACES = 16
"""Of one fleet. More replicas are `units`; more kinds of hardware are further places, and no design has so many."""


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A table of a fleet's file: immutable, and an unknown key in it is an error."""


class Trouble(StrEnum):
    """What a fault does to the units that it hits."""

    OUTAGE = "outage"
    """They are off: what they had under way is lost, and whoever asks is refused at once."""
    SLOW = "slow"
    """Each step takes `factor` times as long."""


class Balance(StrEnum):
    """How a place spreads calls over its own units (its load balancer; the gateway sees one backend)."""

    LEAST_LOADED = "least-loaded"
    """The unit with the fewest calls, the first of equals."""
    TWO_CHOICES = "two-choices"
    """The better of two drawn at random (Mitzenmacher 2001)."""
    ROUND_ROBIN = "round-robin"
    PREFIX = "prefix"
    """The unit that the prompt's first block points to, unless it has twice the mean load (consistent hashing with bounded loads)."""


class Fault(Part, frozen=True, kw_only=True):
    """A window in which units of a place misbehave: from `start_s`, for `lasts_s`, again every `every_s` (0: once)."""

    kind: Trouble
    start_s: Annotated[float, msgspec.Meta(ge=0)]
    lasts_s: Seconds
    every_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    units: Count | None = None
    """The first so many units; all where not given."""
    factor: Factor = 4.0
    """Of a slow one."""


class Place(Part, frozen=True, kw_only=True):
    """One backend: some units of the same hardware behind one address, or a cloud."""

    name: Name
    kind: Kind
    profile: str | Profile
    """Name of a hardware profile (`switchgear emulate --list-profiles`), a file of `switchgear profile --save`, or one of your own."""
    units: Count = 1
    """Replicas of the model, each with its own queue, batch and KV cache. Of a cloud always 1: nobody sees them."""
    devices: Count = 1
    """Accelerators that share one replica."""
    precision: Precision | None = None
    """Of the weights; the widest up to 16 bits that fits where not given."""
    max_batch: Count = 256
    """Sequences that a unit computes at once."""
    step_tokens: Count = 2048
    """Tokens of one step of a unit, prompts' chunks included."""
    max_in_flight: Count | None = None
    """Calls that the gateway may have there; twice what the units compute at once where not given (1,024 for a cloud)."""
    prefix_cache: bool = True
    balance: Balance = Balance.LEAST_LOADED
    strictest: DataClass | None = None
    """The strictest data class that may go there. Where not given: internal for a cloud, restricted for all else.
    Of a fleet with policies they decide, and it cannot be given."""
    region: str = ""
    """Where it stands, as policies know it. Empty: not known."""
    jurisdiction: Jurisdiction = ""
    labels: tuple[Word, ...] = ()
    """Words that policies may ask for."""
    attested: bool = False
    model_there: str = ""
    """The model's name there, as policies know it; the fleet's `model` where not given."""
    context_window: Count | None = None
    """Tokens of prompt and answer together; the model's where not given, and never more than a unit's KV cache holds."""
    prices: Prices | None = None
    """Without them a call there is unpriced."""
    weight: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    timeouts: Timeouts = Timeouts()
    breaker: Breaker = Breaker()
    link: Link | None = None
    """Between gateway and place; without one it costs no time."""
    requests_per_minute: Annotated[float, msgspec.Meta(ge=1)] | None = None
    """Of a cloud; the profile's where not given."""
    weak_units: Annotated[int, msgspec.Meta(ge=0)] = 0
    """The last so many units are of a weak batch."""
    weak_factor: Factor = 1.5
    """Times as long as a good unit's is each of their steps."""
    faults: tuple[Fault, ...] = ()
    power: PowerModel | None = None
    """What one device draws; from the profile's TDP where not given (see `fleet_physics.power_of`)."""
    host: Host | None = None
    """What stands around the devices of one server; only boards are counted where not given."""
    thermal: Thermal | None = None
    """Of one device; without it nothing gets warm."""
    energy: Energy | None = None
    """Joules a token where no meter tells them, and the grid, as in the configuration: for the strategy `energy`."""
    ambient_c: Annotated[float, msgspec.Meta(ge=-60, le=90)] = 25.0
    fan: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0

    def __post_init__(self) -> None:
        if self.weak_units > self.units:
            raise BadFleet(
                f"place {self.name!r} has {self.weak_units} weak units of {self.units}; give at most {self.units}"
            )
        grid = self.energy.grid if self.energy is not None else None
        if grid is not None and (problem := problem_of(grid)):
            raise BadFleet(f"place {self.name!r}: its grid {problem}")
        for fault in self.faults:
            if fault.every_s and fault.every_s <= fault.lasts_s:
                raise BadFleet(
                    f"place {self.name!r}: a fault of {fault.lasts_s:g} s every {fault.every_s:g} s never ends; give a longer every_s"
                )
            if fault.units is not None and fault.units > self.units:
                raise BadFleet(
                    f"place {self.name!r}: a fault of {fault.units} units of {self.units}; give at most {self.units}"
                )

    @property
    def allowed(self) -> DataClass:
        """The strictest data class that may go there."""
        if self.strictest is not None:
            return self.strictest
        return DataClass.INTERNAL if self.kind == Kind.CLOUD else DataClass.RESTRICTED


class Fleet(Part, frozen=True, kw_only=True):
    """Places that serve one model, and how the gateway chooses among them. Raises BadFleet."""

    name: str = "fleet"
    model: str
    """Name of a model specification (`switchgear emulate --list-profiles`). A cloud serves what it calls so, whatever that is."""
    places: tuple[Place, ...]
    """In order of preference."""
    strategy: str = "priority"
    """How targets are ordered for a call, as in `[models.…]` of the configuration."""
    retry: Retry = Retry()
    deadline_s: Seconds = 300.0
    rescue: bool = True
    """Whether a stream that broke after its first token is carried on by another place."""
    policy: FleetPolicy = FleetPolicy()
    teams: dict[str, Team] = {}
    principals: dict[str, Who] = {}
    models: dict[str, CalledModel] = {}
    """Names that are called, where policies tell them apart; one, the fleet's `model`, where none is given."""
    caller: DefaultCaller | None = None

    def __post_init__(self) -> None:
        if not self.places:
            raise BadFleet(f"fleet {self.name!r} has no place; give at least one")
        if len(self.places) > MOST_PLACES:
            raise BadFleet(
                f"fleet {self.name!r} has {len(self.places)} places; join those of one kind as units, {MOST_PLACES} at most"
            )
        names = [place.name for place in self.places]
        if len(set(names)) < len(names):
            raise BadFleet(f"fleet {self.name!r} has two places of one name; name each once")
        strict = [place.name for place in self.places if place.strictest is not None]
        if strict and self.has_policies:
            raise BadFleet(
                f"fleet {self.name!r} has policies, and place {strict[0]!r} says `strictest`; policies decide: take one of them out"
            )

    @property
    def has_policies(self) -> bool:
        """Whether Cedar policies decide where calls may go."""
        return bool(self.policy.files or self.policy.texts)

    @property
    def called(self) -> dict[str, CalledModel]:
        """Names that are called, with what policies know of them."""
        return self.models or {self.model: CalledModel()}

    def authorization(self) -> tuple[Authorization, tuple[str, ...]]:
        """What policies decide from, checked, and warnings. Raises BadFleet with all that is wrong."""
        places = {place.name: place for place in self.places}
        try:
            made, warnings = authorization_of(self.policy, places, self.called, self.teams, self.principals_known)
        except ConfigError as error:
            raise BadFleet(f"the policies of fleet {self.name!r} cannot be used:\n{error}") from error
        return made, tuple(str(warning) for warning in warnings)

    @property
    def principals_known(self) -> dict[str, Who]:
        """Those of the file, the default caller among them."""
        return {**({self.caller.name: self.caller} if self.caller is not None else {}), **self.principals}

    def place(self, name: str) -> Place:
        """The place of this name. Raises BadFleet."""
        for place in self.places:
            if place.name == name:
                return place
        raise BadFleet(f"fleet {self.name!r} has no place {name!r}; it has {', '.join(p.name for p in self.places)}")

    def with_place(self, changed: Place) -> "Fleet":
        """The same fleet with the place of this name replaced. Raises BadFleet where there is none."""
        self.place(changed.name)
        places = tuple(changed if place.name == changed.name else place for place in self.places)
        return msgspec.structs.replace(self, places=places)


def read_fleet(file: Path) -> Fleet:
    """A fleet from a TOML file: the keys of `Fleet`, and `[[places]]`; its policies are read and checked too. Raises BadFleet."""
    try:
        data = values_of(file.read_bytes())
        for key, number in unusable(data):
            raise BadFleet(f"{key} is {number}. {REMEDY}")
        fleet = msgspec.convert(data, Fleet)
        if fleet.policy.files:
            fleet = msgspec.structs.replace(fleet, policy=with_texts(fleet.policy))
        fleet.authorization()
    except OSError as error:
        raise BadFleet(f"{file} cannot be read: {error.strerror}; give the path of a fleet's file") from error
    except BadFleet as error:
        raise BadFleet(f"{file}: {error}") from error
    except ConfigError as error:
        raise BadFleet(f"{file}: its policies cannot be read: {error}") from error
    except msgspec.ValidationError as error:
        raise BadFleet(f"{file}: {error}; docs/planner.md lists the keys") from error
    except NO_TOML as error:
        raise BadFleet(f"{file} is no TOML: {error}; correct it") from error
    return fleet
