"""A fleet in numbers: what `hardware` says of each place, with the source of every figure."""

import math
from typing import NamedTuple

import msgspec

from switchgear.core.snapshot import Kind
from switchgear.hardware import catalogue
from switchgear.hardware.errors import HardwareError
from switchgear.hardware.link import Link, throughput_bytes_per_s, transfer_s
from switchgear.hardware.model import Figure, ModelSpec, Observed, Physics, Profile
from switchgear.hardware.power import PowerModel
from switchgear.hardware.roofline import Placement, StepCost, choose_precision, kv_capacity_tokens
from switchgear.planner.errors import BadFleet
from switchgear.planner.fleet import Fleet, Place

BLOCK_TOKENS = 16
"""Of the KV cache, as in vLLM and in the emulator."""
BYTES_PER_TOKEN = 4.0
"""Of text on the wire; the default of `capabilities.bytes_per_token`."""
MEMORY_SHARE = 0.6
"""Assumed: memory busy all the time adds so much of what separates idle from TDP. Decoding draws well below the TDP, and prefill
reaches it (Patel et al., "Splitwise", ISCA 2024, section III-F)."""
P95_DEVIATIONS = 1.6449
"""The 95th percentile of a normal distribution, in standard deviations from its median."""


class Observation(NamedTuple):
    """A place seen from outside: log-normal time to the first token, then an even rate."""

    median_s: float
    sigma: float
    token_s: float
    per_minute: float


class Site(NamedTuple):
    """One place, ready for simulation. Either `cost` and `placement`, or `observed`."""

    place: Place
    profile: Profile
    spec: ModelSpec
    placement: Placement | None
    cost: StepCost | None
    request_s: float
    """The server's front, seconds before each first token."""
    kv_blocks: int
    window: int
    """Longest sequence, tokens."""
    max_in_flight: int
    power: PowerModel | None
    observed: Observation | None

    @property
    def devices(self) -> int:
        """Accelerators of the place; 0 where nobody sees them."""
        return self.place.units * self.place.devices if self.placement else 0


def sites_of(fleet: Fleet) -> tuple[Site, ...]:
    """Every place of a fleet in numbers. Raises BadFleet, and HardwareError where a model does not fit."""
    spec = catalogue.model_spec(fleet.model)
    return tuple(_site(place, spec) for place in fleet.places)


def power_of(physics: Physics) -> PowerModel:
    """What a device draws where only its TDP is known: arithmetic alone reaches it, memory alone `MEMORY_SHARE` of the way.

    Raises BadFleet.
    """
    if not (physics.tdp_w.known and physics.idle_w.known):
        raise BadFleet(
            "its profile does not know what a device draws; state tdp_w and idle_w in the profile's file, or give the place "
            "power = { idle_w = …, arithmetic_w = …, memory_w = …, limit_w = … }"
        )
    spare_w = physics.tdp_w.value - physics.idle_w.value
    if spare_w <= 0:
        raise BadFleet(
            f"a TDP of {physics.tdp_w.value:g} W is not above idle ({physics.idle_w.value:g} W); correct the profile"
        )
    return PowerModel(
        idle_w=physics.idle_w.value, arithmetic_w=spare_w, memory_w=MEMORY_SHARE * spare_w, limit_w=physics.tdp_w.value
    )


def link_times_s(link: Link | None) -> tuple[float, float]:
    """Seconds one way for an empty message, and for each byte."""
    return (0.0, 0.0) if link is None else (transfer_s(link, 0.0), 1 / throughput_bytes_per_s(link))


def sources(fleet: Fleet) -> dict[str, str]:
    """Every figure of the hardware that a simulation of the fleet rests on, by its path, with its source."""
    found: dict[str, str] = {}
    for site in sites_of(fleet):
        view = site.profile.physics or site.profile.observed
        for name in () if view is None else view.__struct_fields__:
            value = getattr(view, name)
            figures = value.items() if isinstance(value, dict) else [("", value)]
            for key, figure in figures:
                if isinstance(figure, Figure):
                    mark = "assumed: " if figure.assumed and figure.known else ""
                    value_text = f"{figure.value:g}" if figure.known else "unknown"
                    path = f"{site.place.name}.{site.profile.name}.{name}{'.' if key else ''}{key}"
                    found[path] = f"{value_text} ({mark}{figure.source})"
        found[f"{site.place.name}.model"] = f"{site.spec.name} ({site.spec.source})"
    return found


def _site(place: Place, spec: ModelSpec) -> Site:
    profile = catalogue.profile(place.profile) if isinstance(place.profile, str) else place.profile
    if profile.observed is not None:
        return _seen(place, profile, spec, profile.observed)
    if profile.physics is None or spec.architecture is None:
        raise BadFleet(
            f"place {place.name!r} computes, and model {spec.name!r} is only known from outside; choose a model with an architecture"
        )
    try:
        precision = place.precision or choose_precision(profile, spec.architecture, place.devices)
        placement = Placement(profile.physics, spec.architecture, precision, devices=place.devices)
        power = place.power or power_of(profile.physics)
    except (HardwareError, BadFleet) as error:
        raise BadFleet(f"place {place.name!r}: {error}") from error
    blocks = kv_capacity_tokens(placement) // BLOCK_TOKENS
    window = min(spec.context_window_tokens, blocks * BLOCK_TOKENS, place.context_window or spec.context_window_tokens)
    return Site(
        place=place,
        profile=profile,
        spec=spec,
        placement=placement,
        cost=StepCost.of(placement),
        request_s=profile.physics.request_overhead_s.value,
        kv_blocks=blocks,
        window=window,
        max_in_flight=place.max_in_flight or 2 * place.units * place.max_batch,
        power=power,
        observed=None,
    )


def _seen(place: Place, profile: Profile, spec: ModelSpec, view: Observed) -> Site:
    if place.units != 1 or place.weak_units or place.thermal is not None:
        raise BadFleet(
            f"place {place.name!r} is only seen from outside ({profile.name}); leave units, weak_units and thermal out"
        )
    if place.kind != Kind.CLOUD:
        raise BadFleet(
            f"place {place.name!r} is {place.kind}, and its profile is that of a cloud; choose one with physics"
        )
    sigma = math.log(view.ttft_p95_s.value / view.ttft_median_s.value) / P95_DEVIATIONS
    observation = Observation(
        view.ttft_median_s.value,
        sigma,
        1 / view.decode_tokens_per_s.value,
        place.requests_per_minute or view.requests_per_minute.value,
    )
    window = place.context_window or spec.context_window_tokens
    return Site(place, profile, spec, None, None, 0.0, 0, window, place.max_in_flight or 1024, None, observation)


def faster(site_profile: Profile, **factors: float) -> Profile:
    """A profile with figures of its physics multiplied: what an ablation relaxes. Raises BadFleet for a place seen from outside."""
    if site_profile.physics is None:
        raise BadFleet(f"profile {site_profile.name!r} is only seen from outside; nothing of it can be relaxed")
    changed: dict[str, Figure | dict[str, Figure]] = {}
    for name, factor in factors.items():
        old = getattr(site_profile.physics, name)
        if isinstance(old, dict):
            changed[name] = {key: _times(figure, factor) for key, figure in old.items()}
        else:
            changed[name] = _times(old, factor)
    physics = msgspec.structs.replace(site_profile.physics, **changed)
    return msgspec.structs.replace(site_profile, physics=physics)


def _times(figure: Figure, factor: float) -> Figure:
    return Figure(figure.value * factor, f"{figure.source}; x {factor:g} for an ablation", assumed=True)
