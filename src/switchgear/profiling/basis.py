"""What a fit stands on: the figures of a datasheet, or, for a machine of which nothing is known, peaks that leave all to the fit."""

from dataclasses import dataclass

import msgspec

from switchgear.hardware.fit import Estimate, Fit, Parameter
from switchgear.hardware.model import Architecture, Figure, Physics, Precision, unknown
from switchgear.hardware.roofline import BYTES_PER_WEIGHT, LEAST_KV_TOKENS, MEMORY_FRACTION, Placement, arithmetic

_ABOVE = 1e3
"""Peaks of an unknown machine stand so far above what was reached that no bound of an efficiency is ever near."""
_NOT_STATED = "switchgear profile measures times only; state it yourself"


@dataclass(frozen=True, slots=True)
class Rates:
    """What a backend reached in the runs, roughly: where a fit starts."""

    flop_per_s: float
    bytes_per_s: float
    step_s: float
    """The shortest decoding step."""
    front_s: float
    """The shortest time to a first token."""


ONE_A_SECOND = Rates(1 / _ABOVE, 1 / _ABOVE, 1.0, 1.0)
"""With these `of_nothing` has peaks of one operation and one byte a second, so that its times are counts."""


@dataclass(frozen=True, slots=True)
class Basis:
    """A placement to fit, and whether its peaks are a datasheet's."""

    placement: Placement
    datasheet: bool

    def parameters(self, rates: Rates) -> tuple[Parameter, ...]:
        """What is fitted, and where from."""
        physics = self.placement.physics
        peak_flop = _flop(self.placement)
        peak_bytes = physics.memory_bandwidth_bytes_per_s.value * self.placement.devices
        return (
            _efficiency("compute_efficiency", rates.flop_per_s / peak_flop),
            _efficiency("bandwidth_efficiency", rates.bytes_per_s / peak_bytes),
            Parameter("attention_efficiency", 0.7, 0.01, 1.0, 0.7),
            _overhead("step_overhead_s", 0.05 * rates.step_s),
            _overhead("sequence_overhead_s", 0.02 * rates.step_s),
            _overhead("request_overhead_s", 0.3 * rates.front_s),
        )

    def fitted(self, found: Fit, source: str, measured: dict[str, Figure]) -> Physics:
        """The physics with what was fitted, each figure with its interval, and with what else was `measured`."""
        physics, estimates = self.placement.physics, found.estimates
        others = {
            name: _figure(estimates[name], 1.0, source)
            for name in ("step_overhead_s", "sequence_overhead_s", "request_overhead_s")
        }
        others["attention_efficiency"] = _figure(estimates["attention_efficiency"], 1.0, source)
        compute, bandwidth = estimates["compute_efficiency"], estimates["bandwidth_efficiency"]
        if self.datasheet:
            rates = {
                "compute_efficiency": _figure(compute, 1.0, source),
                "bandwidth_efficiency": _figure(bandwidth, 1.0, source),
            }
            return msgspec.structs.replace(physics, **others, **rates, **measured)
        reached = Figure(1.0, "the rates above are those that were reached", assumed=True)
        peak = physics.flop_per_s[self.placement.precision].value
        return msgspec.structs.replace(
            physics,
            flop_per_s={self.placement.precision: _figure(compute, peak, source)},
            memory_bandwidth_bytes_per_s=_figure(bandwidth, physics.memory_bandwidth_bytes_per_s.value, source),
            compute_efficiency=reached,
            bandwidth_efficiency=reached,
            **others,
            **measured,
        )


def of_datasheet(physics: Physics, shape: Architecture, precision: Precision, devices: int) -> Basis:
    """Fit efficiencies of known peaks. Raises HardwareError where the model does not fit the device."""
    return Basis(Placement(physics, shape, precision, devices=devices), datasheet=True)


def of_nothing(shape: Architecture, precision: Precision, rates: Rates, held_tokens: int) -> Basis:
    """Fit the rates themselves. The memory is assumed to be what the sweep needed, with room for `held_tokens` in the cache."""
    guess = "a peak that only the fit gives a meaning"
    zero = Figure(0.0, "fitted", assumed=True)
    cache_bytes = 4 * shape.caching_layers * max(shape.latent_dim, shape.kv_heads * shape.head_dim)
    weights = shape.parameters * BYTES_PER_WEIGHT[precision]
    memory = (weights + max(held_tokens, 2 * LEAST_KV_TOKENS) * cache_bytes) / MEMORY_FRACTION
    physics = Physics(
        memory_bandwidth_bytes_per_s=Figure(rates.bytes_per_s * _ABOVE, guess, assumed=True),
        memory_bytes=Figure(
            memory, "weights and cache that the sweep needed: a lower bound; state the device's own", assumed=True
        ),
        flop_per_s={precision: Figure(rates.flop_per_s * _ABOVE, guess, assumed=True)},
        tdp_w=unknown(_NOT_STATED),
        idle_w=unknown(_NOT_STATED),
        price_usd=unknown(_NOT_STATED),
        compute_efficiency=Figure(1.0, guess, assumed=True),
        bandwidth_efficiency=Figure(1.0, guess, assumed=True),
        step_overhead_s=zero,
    )
    return Basis(Placement(physics, shape, precision), datasheet=False)


def _flop(placement: Placement) -> float:
    return arithmetic(placement.physics, placement.precision) * placement.devices


def _efficiency(name: str, start: float) -> Parameter:
    return Parameter(name, min(0.9, max(1e-8, start)), 1e-9, 1.0, 1.5)


def _overhead(name: str, start_s: float) -> Parameter:
    return Parameter(name, min(1.0, max(1e-7, start_s)), 1e-8, 10.0, 1.5)


def _figure(estimate: Estimate, unit: float, source: str) -> Figure:
    where = source if estimate.identified else f"{source}; the runs say next to nothing about it"
    return Figure(estimate.value * unit, where, low=estimate.low * unit, high=estimate.high * unit)
