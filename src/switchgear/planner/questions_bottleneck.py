"""`plan bottleneck`: what limits a fleet, by relaxing one thing at a time and simulating again.

What helps most when there is more of it, limits. That is an answer of its own kind, beside utilisation: a link can be used at 5 % and still
make most of the time to the first token.
"""

import math
from collections.abc import Callable
from typing import Annotated

import msgspec

from switchgear.planner.errors import BadQuestion
from switchgear.planner.fleet import Fleet, Place
from switchgear.planner.fleet_physics import Site, faster, sites_of
from switchgear.planner.simulate import simulate
from switchgear.planner.simulate_model import Answer, Result
from switchgear.planner.workload import Workload

FACTOR = 2.0
"""How much more there is of what is relaxed."""
_NOTICEABLE = 0.02
Positive = Annotated[float, msgspec.Meta(gt=0)]
_Change = Callable[[Place, Site], Place | None]


class Relaxed(msgspec.Struct, frozen=True, kw_only=True):
    """One limit with `FACTOR` times as much of it."""

    limit: str
    what: str
    """What was changed."""
    ttft_p99_s: float | None
    e2e_p95_s: float | None
    availability: float
    score: float
    """How much better the whole is: the larger share by which TTFT p99 or E2E p95 falls, or of the lost calls that are now answered."""


class Bottleneck(Answer, frozen=True, kw_only=True):
    """The answer of `plan bottleneck`."""

    limits: list[Relaxed]
    """The strongest first."""
    limited_by: str
    """The strongest; `nothing` where none changes TTFT p99, E2E p95 or availability by 2 %."""
    base: Result


def bottleneck(fleet: Fleet, workload: Workload, *, place: str = "", seed: int = 0) -> Bottleneck:
    """What limits a place; the first that computes where none is named. Raises BadQuestion, BadFleet, BadWorkload."""
    sites = sites_of(fleet)
    site = _chosen(fleet, sites, place)
    base = simulate(fleet, workload, seed=seed)
    found = []
    for limit, (what, change) in _CHANGES.items():
        changed = change(site.place, site)
        if changed is None:
            continue
        result = simulate(fleet.with_place(changed), workload, seed=seed)
        found.append(
            Relaxed(
                limit=limit,
                what=what,
                ttft_p99_s=result.ttft.p99,
                e2e_p95_s=result.e2e.p95,
                availability=result.availability,
                score=_score(base, result),
            )
        )
    found.sort(key=lambda one: -one.score)
    strongest = found[0].limit if found and found[0].score >= _NOTICEABLE else "nothing"
    return Bottleneck(limits=found, limited_by=strongest, base=base, inputs={**base.inputs, "place": site.place.name})


def _chosen(fleet: Fleet, sites: tuple[Site, ...], place: str) -> Site:
    if place:
        fleet.place(place)
    for site in sites:
        if site.placement is not None and place in ("", site.place.name):
            return site
    raise BadQuestion(f"{place or fleet.name!r} has no hardware that can be relaxed; name a place that computes")


def _score(base: Result, result: Result) -> float:
    lost = 1 - base.availability
    regained = (result.availability - base.availability) / lost if lost > 1e-12 else 0.0
    return max(_fall(base.ttft.p99, result.ttft.p99), _fall(base.e2e.p95, result.e2e.p95), regained)


def _fall(before: float | None, after: float | None) -> float:
    return 0.0 if not before or after is None else 1 - after / before


def _with_profile(place: Place, site: Site, **factors: float) -> Place:
    return msgspec.structs.replace(place, profile=faster(site.profile, **factors), precision=_precision(site))


def _precision(site: Site) -> object:
    """The one in use: with more memory a wider one would fit, and that would change two things at once."""
    return site.placement.precision if site.placement is not None else None


def _compute(place: Place, site: Site) -> Place:
    return _with_profile(place, site, flop_per_s=FACTOR)


def _bandwidth(place: Place, site: Site) -> Place:
    return _with_profile(place, site, memory_bandwidth_bytes_per_s=FACTOR)


def _kv(place: Place, site: Site) -> Place:
    """Twice the cache, not twice the memory: the weights stay where they are."""
    if site.placement is None:
        return place
    spare = site.kv_blocks * 16 * _bytes_per_token(site) / site.placement.devices / 0.9
    memory = site.placement.physics.memory_bytes.value
    return _with_profile(place, site, memory_bytes=(memory + (FACTOR - 1) * spare) / memory)


def _bytes_per_token(site: Site) -> float:
    from switchgear.hardware.roofline import kv_bytes_per_token

    return kv_bytes_per_token(site.placement) if site.placement is not None else 0.0


def _seats(place: Place, site: Site) -> Place:
    more = max(1, math.ceil(site.max_in_flight * FACTOR))
    return msgspec.structs.replace(place, max_batch=int(place.max_batch * FACTOR), max_in_flight=more)


def _network(place: Place, site: Site) -> Place | None:
    link = place.link
    if link is None:
        return None
    wider = msgspec.structs.replace(
        link,
        latency_s=link.latency_s / FACTOR,
        bandwidth_bytes_per_s=link.bandwidth_bytes_per_s * FACTOR,
        loss=link.loss / FACTOR,
        jitter_s=link.jitter_s / FACTOR,
    )
    return msgspec.structs.replace(place, link=wider)


def _power(place: Place, site: Site) -> Place | None:
    if site.power is None:
        return None
    return msgspec.structs.replace(
        place, power=msgspec.structs.replace(site.power, limit_w=site.power.limit_w * FACTOR)
    )


def _heat(place: Place, site: Site) -> Place | None:
    if place.thermal is None:
        return None
    thermal = place.thermal
    cooler = msgspec.structs.replace(
        thermal,
        case_k_per_w=thermal.case_k_per_w / FACTOR,
        flow_k_per_w=thermal.flow_k_per_w / FACTOR,
        still_k_per_w=thermal.still_k_per_w / FACTOR,
    )
    return msgspec.structs.replace(place, thermal=cooler)


def _units(place: Place, site: Site) -> Place:
    limit = None if place.max_in_flight is None else int(place.max_in_flight * FACTOR)
    return msgspec.structs.replace(place, units=int(place.units * FACTOR), max_in_flight=limit)


_CHANGES: dict[str, tuple[str, _Change]] = {
    "compute": ("twice the arithmetic", _compute),
    "memory bandwidth": ("twice the memory bandwidth", _bandwidth),
    "kv cache": ("twice the room for cached tokens", _kv),
    "seats": ("twice the sequences of a batch and the calls in flight", _seats),
    "network": ("half the latency and loss, twice the bandwidth", _network),
    "power": ("twice the power limit", _power),
    "heat": ("half the thermal resistance", _heat),
    "units": ("twice the units", _units),
}
