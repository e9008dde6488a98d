"""`plan facility`: what a building must bring for a fleet: power, cooling, space, circuits."""

import math
from typing import Annotated

import msgspec

from switchgear.hardware.power import Host, PowerModel, provisioned_w, wall_w
from switchgear.planner.errors import BadQuestion
from switchgear.planner.fleet import Fleet
from switchgear.planner.fleet_physics import Site, sites_of, sources
from switchgear.planner.simulate_model import Answer, Result

BTU_PER_H_PER_W = 3.412141633
"""An international-table BTU is 1,055.05585262 J (ISO 31-4), an hour 3,600 s."""
W_PER_TON = 3516.852842
"""A ton of refrigeration: 12,000 BTU/h."""
CONTINUOUS_SHARE = 0.8
"""Of a breaker's rating, for a load of three hours and more (NFPA 70, National Electrical Code, 210.20(A): rated 125 % of it)."""

Positive = Annotated[float, msgspec.Meta(gt=0)]


class Building(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a building gives to one circuit and one rack. Raises BadQuestion."""

    volts: Positive = 230.0
    """Between the conductors of a circuit: line to neutral for one phase, line to line for three."""
    breaker_a: Positive = 16.0
    phases: int = 1
    power_factor: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.95
    pue: Annotated[float, msgspec.Meta(ge=1)] = 1.4
    """All power over that of the servers (ISO/IEC 30134-2)."""
    rack_units_per_server: Annotated[int, msgspec.Meta(ge=1)] = 8
    rack_units_per_rack: Annotated[int, msgspec.Meta(ge=1)] = 42
    rack_w: Positive | None = None
    """What one rack may draw and be cooled for; what its units hold where not given."""
    redundant_feeds: bool = True
    """Whether each server hangs on two circuits, either of which can carry it."""

    def __post_init__(self) -> None:
        for name in ("volts", "breaker_a", "power_factor", "pue"):
            value = getattr(self, name)
            if not math.isfinite(value) or value <= 0:
                raise BadQuestion(f"{name} is {value!r}; give a number above zero, with its unit as in the name")
        for name, unit, least, most in (("volts", "volts", 12, 1000), ("breaker_a", "amperes", 1, 6300)):
            if not least <= getattr(self, name) <= most:
                raise BadQuestion(f"{name} is {getattr(self, name):g}; give {unit} of low voltage, {least} to {most:,}")
        if self.phases not in (1, 3):
            raise BadQuestion(f"{self.phases} phases; give 1 or 3")
        if self.pue < 1 or self.power_factor > 1:
            raise BadQuestion("a PUE is at least 1 and a power factor at most 1; correct them")


class PlaceFacility(msgspec.Struct, frozen=True, kw_only=True):
    """What one place needs."""

    name: str
    host_stated: bool
    """Whether the fleet says what stands around the devices. If not, a server has the devices of one unit, and nothing else draws."""
    servers: int
    devices: int
    wall_peak_w: float
    """All boards at their limit, with host and power supplies."""
    wall_mean_w: float | None
    """As simulated; None without a simulation."""
    provisioned_w: float
    heat_w: float
    """All that is drawn becomes heat."""
    heat_btu_per_h: float
    rack_units: int
    racks: int
    circuits: int
    circuit_w: float
    """What one circuit carries all the time."""


class Facility(Answer, frozen=True, kw_only=True):
    """The answer of `plan facility`."""

    building: Building
    places: list[PlaceFacility]
    it_kw: float
    """Peak of all servers."""
    total_kw: float
    """The same with cooling and losses, by PUE."""
    cooling_kw: float
    """Heat to be taken away at the peak."""
    cooling_btu_per_h: float
    cooling_tons: float
    rack_units: int
    racks: int
    circuits: int
    energy_mwh_per_year: float | None
    """As simulated, with PUE, if the year goes on so; None without a simulation."""


def facility(fleet: Fleet, building: Building | None = None, result: Result | None = None) -> Facility:
    """What a fleet's own places need of a building. `result` of a simulation of it adds what is drawn in the mean.

    Raises BadQuestion where nothing stands in a building of one's own, or a server is too large for a circuit.
    """
    given = building or Building()
    sites = [site for site in sites_of(fleet) if site.placement is not None]
    if not sites:
        raise BadQuestion(f"nothing of fleet {fleet.name!r} stands in a building of yours; name a place that computes")
    places = [_place(site, given, result) for site in sites]
    it_w = sum(place.wall_peak_w for place in places)
    means = [place.wall_mean_w for place in places]
    mean_w = None if None in means else sum(mean or 0.0 for mean in means)
    return Facility(
        building=given,
        places=places,
        it_kw=it_w / 1000,
        total_kw=it_w * given.pue / 1000,
        cooling_kw=it_w / 1000,
        cooling_btu_per_h=it_w * BTU_PER_H_PER_W,
        cooling_tons=it_w / W_PER_TON,
        rack_units=sum(place.rack_units for place in places),
        racks=sum(place.racks for place in places),
        circuits=sum(place.circuits for place in places),
        energy_mwh_per_year=None if mean_w is None else mean_w * given.pue * 8766 / 1e6,
        inputs={
            **sources(fleet),
            "building": msgspec.json.encode(given).decode(),
            **({} if result is None else {name: result.inputs[name] for name in ("workload", "seed")}),
        },
    )


def peaks_w(fleet: Fleet) -> dict[str, float]:
    """What the servers of each place draw at most at their plugs, watts; without those places of which nobody says what stands around
    their devices.
    """
    return {
        site.place.name: math.ceil(site.devices / site.place.host.boards) * _server_w(site.power, site.place.host)
        for site in sites_of(fleet)
        if site.power is not None and site.place.host is not None
    }


def circuit_w(building: Building) -> float:
    """What one circuit carries all the time, watts: volts x amperes x power factor, x sqrt(3) for three phases, x 80 %."""
    wires = math.sqrt(3) if building.phases == 3 else 1.0
    return building.volts * building.breaker_a * wires * building.power_factor * CONTINUOUS_SHARE


def _place(site: Site, building: Building, result: Result | None) -> PlaceFacility:
    power, host = _power(site)
    servers = math.ceil(site.devices / host.boards)
    each_w = _server_w(power, host)
    carries_w = circuit_w(building)
    feeds = 2 if building.redundant_feeds else 1
    per_server = math.ceil(each_w / carries_w - 1e-9)
    shared = max(1, int(carries_w / each_w + 1e-9))
    circuits = feeds * (math.ceil(servers / shared) if per_server <= 1 else servers * per_server)
    in_rack = building.rack_units_per_rack // building.rack_units_per_server
    if building.rack_w is not None:
        in_rack = min(in_rack, int(building.rack_w / each_w))
    if in_rack < 1:
        raise BadQuestion(
            f"no rack takes a server of {site.place.name!r} ({each_w:.0f} W, {building.rack_units_per_server} units); give a larger rack"
        )
    wall_peak_w = servers * each_w
    return PlaceFacility(
        name=site.place.name,
        host_stated=site.place.host is not None,
        servers=servers,
        devices=site.devices,
        wall_peak_w=wall_peak_w,
        wall_mean_w=_mean_w(site, result),
        provisioned_w=servers * provisioned_w(host, power),
        heat_w=wall_peak_w,
        heat_btu_per_h=wall_peak_w * BTU_PER_H_PER_W,
        rack_units=servers * building.rack_units_per_server,
        racks=math.ceil(servers / in_rack),
        circuits=circuits,
        circuit_w=carries_w,
    )


def _power(site: Site) -> tuple[PowerModel, Host]:
    """Where the fleet does not say what stands around the devices, a server holds the devices of one unit and nothing else draws."""
    if site.power is None:
        raise BadQuestion(f"nothing is known of what {site.place.name!r} draws; give its power")
    return site.power, site.place.host or Host(boards=site.place.devices)


def _server_w(power: PowerModel, host: Host) -> float:
    return wall_w(host, power, host.boards * power.limit_w, 1.0)


def _mean_w(site: Site, result: Result | None) -> float | None:
    if result is None:
        return None
    place = result.place(site.place.name)
    energy_j = place.energy_wall_j if place.energy_wall_j is not None else place.energy_board_j
    return None if energy_j is None else energy_j / max(result.duration_s, 1e-9)
