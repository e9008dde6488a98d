"""A site too large to simulate unit by unit: classes of replicas, of each a sample.

The approximation is that of mean-field models of load balancing (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing",
IEEE TPDS 12(10), 2001): among very many replicas of a class one replica's course depends on the others only through shares, so a system
of R replicas with 1/f of the calls, in which f = units / R, goes on like the whole. What it gets wrong shrinks like 1 / R, on the careful
side: a small pool has larger relative swings, hence longer queues. `error_of` measures it on a site that is small enough both ways.
Calls that the whole gets in bursts are thinned: of a renewal process with variation c, one in f has c^2 = 1 + (c^2 - 1) / f.
"""

import math

import msgspec

from switchgear.core.snapshot import Kind
from switchgear.planner.errors import BadFleet, BadQuestion
from switchgear.planner.fleet import Fault, Fleet, Place
from switchgear.planner.fleet_physics import sites_of
from switchgear.planner.generate import Generator, generated
from switchgear.planner.simulate import simulate
from switchgear.planner.simulate_model import Answer, Result

SAMPLED = 64
"""Replicas of the largest class that are simulated."""
LEAST = 4
"""Of the smallest class."""


class ClassOfUnits(msgspec.Struct, frozen=True, kw_only=True):
    """One place of a large site."""

    name: str
    units: int
    devices: int
    sampled: int
    rounding: float
    """By how much the sampled class is too large for its share (0.02: by 2 %)."""
    energy_board_j: float | None
    power_board_w: float | None
    """Mean of all its devices."""
    answered: float
    utilisation: float | None


class SiteResult(Answer, frozen=True, kw_only=True):
    """What a large site does."""

    devices: int
    units: int
    factor: float
    """Units for each one that was simulated."""
    calls: float
    """Calls that those simulated stand for."""
    calls_simulated: int
    classes: list[ClassOfUnits]
    power_board_w: float
    sampled: Result
    """Of the sample: times and shares are the site's, counts and energy are to be multiplied by `factor`."""


class SiteError(Answer, frozen=True, kw_only=True):
    """How far the approximation is off at a size that can be simulated whole: relative differences."""

    units: int
    factor: float
    ttft_p50: float
    ttft_p99: float
    e2e_p50: float
    e2e_p95: float
    utilisation: float
    energy: float


def simulate_site(fleet: Fleet, generator: Generator, *, seed: int = 0, sampled: int = SAMPLED) -> SiteResult:
    """Simulate a sample of each class with its share of the calls. Raises BadQuestion, BadFleet, BadWorkload."""
    if sampled < LEAST:
        raise BadQuestion(f"a sample of {sampled} replicas says little; take {LEAST} or more")
    counts = [site.place.units for site in sites_of(fleet) if site.placement is not None]
    if not counts:
        raise BadFleet(f"fleet {fleet.name!r} has no hardware to sample; simulate it as it is")
    factor = max(1.0, min(max(counts) / sampled, min(counts) / LEAST))
    return _with_factor(fleet, generator, seed, factor)


def error_of(fleet: Fleet, generator: Generator, *, factor: float, seed: int = 0) -> SiteError:
    """Simulate a small fleet whole and by a sample, and compare. Raises as `simulate_site`."""
    whole = _with_factor(fleet, generator, seed, 1.0)
    part = _with_factor(fleet, generator, seed, factor)

    def off(one: float | None, other: float | None) -> float:
        return 0.0 if not one or other is None else other / one - 1

    a, b = whole.sampled, part.sampled
    return SiteError(
        units=whole.units,
        factor=factor,
        ttft_p50=off(a.ttft.p50, b.ttft.p50),
        ttft_p99=off(a.ttft.p99, b.ttft.p99),
        e2e_p50=off(a.e2e.p50, b.e2e.p50),
        e2e_p95=off(a.e2e.p95, b.e2e.p95),
        utilisation=off(a.places[0].utilisation, b.places[0].utilisation),
        energy=off(whole.power_board_w, part.power_board_w),
        inputs=whole.inputs,
    )


def thinned(generator: Generator, factor: float) -> Generator:
    """What one of `factor` equal parts of a site gets of its calls."""
    variation = math.sqrt(max(0.0, 1 + (generator.burstiness**2 - 1) / factor))
    return msgspec.structs.replace(
        generator,
        rate_per_s=generator.rate_per_s / factor,
        burstiness=variation,
        gaps=() if factor > 1 else generator.gaps,
    )


def _with_factor(fleet: Fleet, generator: Generator, seed: int, factor: float) -> SiteResult:
    small = msgspec.structs.replace(fleet, places=tuple(_sample(place, factor) for place in fleet.places))
    result = simulate(small, generated(thinned(generator, factor), seed), seed=seed)
    sites = sites_of(fleet)
    classes = []
    for site, place, found in zip(sites, small.places, result.places, strict=True):
        weight = site.place.units / place.units
        energy_j = None if found.energy_board_j is None else found.energy_board_j * weight
        classes.append(
            ClassOfUnits(
                name=place.name,
                units=site.place.units,
                devices=site.devices,
                sampled=place.units,
                rounding=place.units * factor / site.place.units - 1 if site.placement is not None else 0.0,
                energy_board_j=energy_j,
                power_board_w=None if energy_j is None else energy_j / result.duration_s,
                answered=found.answered * factor,
                utilisation=found.utilisation,
            )
        )
    return SiteResult(
        devices=sum(site.devices for site in sites),
        units=sum(site.place.units for site in sites if site.placement is not None),
        factor=factor,
        calls=result.calls * factor,
        calls_simulated=result.calls,
        classes=classes,
        power_board_w=sum(one.power_board_w or 0.0 for one in classes),
        sampled=result,
        inputs={**result.inputs, "factor": f"{factor:g} units for each simulated"},
    )


def _sample(place: Place, factor: float) -> Place:
    if factor == 1.0:
        return place
    if place.kind == Kind.CLOUD:
        limit = None if place.requests_per_minute is None else max(1.0, place.requests_per_minute / factor)
        flight = None if place.max_in_flight is None else max(1, round(place.max_in_flight / factor))
        return msgspec.structs.replace(place, requests_per_minute=limit, max_in_flight=flight)
    units = max(1, round(place.units / factor))
    share = units / place.units
    return msgspec.structs.replace(
        place,
        units=units,
        weak_units=round(place.weak_units * share),
        max_in_flight=None if place.max_in_flight is None else max(1, round(place.max_in_flight * share)),
        faults=tuple(_sample_fault(fault, share) for fault in place.faults),
    )


def _sample_fault(fault: Fault, share: float) -> Fault:
    return fault if fault.units is None else msgspec.structs.replace(fault, units=max(1, round(fault.units * share)))
