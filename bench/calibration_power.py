"""The part of the calibration on Splitwise's power measurements: the A100's peak and mean power by configuration."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.calibration_rows import Batch, splitwise_batches
from bench.calibration_static import decode_load, fit_batches, prompt_load, split_batches
from switchgear.hardware.fit import Errors, Fit
from switchgear.hardware.fit_power import Draw, Phase, fit_power, power_errors
from switchgear.hardware.power import PowerModel
from switchgear.hardware.roofline import StepCost, StepLoad
from switchgear.hardware.serving import Factors, ideal, reached

PEAK_OVER_TDP = 1.03
"""The A100s drew up to 3 % above their TDP for moments; the limit that the fit holds them at."""


@dataclass(frozen=True)
class PowerResult:
    """What was fitted and how well it predicts configurations that were not."""

    fitted: int
    held_out: Errors
    fit: Fit


def power_result() -> PowerResult:
    """Fit idle, arithmetic and memory power on seven of ten configurations, after their times were fitted on the same ones."""
    batches = [batch for batch in splitwise_batches() if batch.peak_power is not None]
    fitted, held_out = split_batches(batches)
    factors = {
        model: fit_batches([batch for batch in fitted if batch.model == model]) for model in {b.model for b in fitted}
    }
    physics = batches[0].placement.physics
    limit_w = physics.tdp_w.value * PEAK_OVER_TDP
    draws = _draws(fitted, factors)
    found = fit_power(draws, physics.idle_w.value, limit_w)
    model = PowerModel(limit_w=limit_w, **found.values)
    return PowerResult(len(draws), power_errors(_draws(held_out, factors), model), found)


def _draws(batches: Sequence[Batch], factors: dict[str, Factors]) -> list[Draw]:
    """The peak is that of the prompt's step; the mean is over the whole call, by the shares of time of its two phases."""
    draws = []
    for batch in batches:
        cost = reached(ideal(batch.placement), factors[batch.model])
        tdp_w = batch.placement.physics.tdp_w.value
        prompt_s, decoding_s = batch.prompt_s, batch.token_s * (batch.output_tokens - 1)
        share = prompt_s / (prompt_s + decoding_s)
        if batch.peak_power:
            draws.append(Draw((_phase(cost, prompt_load(batch), 1.0),), batch.peak_power * tdp_w))
        if batch.mean_power:
            phases = _phase(cost, prompt_load(batch), share), _phase(cost, decode_load(batch), 1 - share)
            draws.append(Draw(phases, batch.mean_power * tdp_w))
    return draws


def _phase(cost: StepCost, load: StepLoad, share: float) -> Phase:
    arithmetic, memory = cost.activity(load)
    return Phase(share, min(1.0, float(arithmetic)), min(1.0, float(memory)))
