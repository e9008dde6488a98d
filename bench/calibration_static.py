"""The part of the calibration on Splitwise's measurements: one batch at a time, no queue, A100 and H100."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.calibration_rows import HELD_OUT, Batch, splitwise_batches
from switchgear.hardware.fit import Errors, Parameter, errors
from switchgear.hardware.fit_serving import factors_of
from switchgear.hardware.fit_steps import Stretch, Stretches, fit_stretches
from switchgear.hardware.roofline import StepLoad
from switchgear.hardware.serving import Factors

PARAMETERS = (
    Parameter("compute_efficiency", 0.5, 0.01, 1.0, 0.6),
    Parameter("bandwidth_efficiency", 0.6, 0.05, 1.0, 0.5),
    Parameter("step_overhead_s", 0.02, 1e-4, 0.2, 1.0),
    Parameter("sequence_overhead_s", 1e-4, 1e-7, 1e-2, 1.5),
    Parameter("collective_s", 15e-6, 1e-7, 1e-3, 0.8),
    Parameter("interconnect_bytes_per_s", 200e9, 1e9, 2e12, 1.0),
)
SEED = 1


@dataclass(frozen=True)
class StaticResult:
    """Errors of one model, on the configurations held out."""

    split: str
    family: str
    prompt: Errors
    token: Errors
    call: Errors


def prompt_load(batch: Batch) -> StepLoad:
    """The step that takes in all prompts of a batch."""
    tokens = batch.prompt_tokens
    return StepLoad(
        prefill_tokens=batch.batch * tokens,
        prefill_pairs=batch.batch * tokens * (tokens + 1) // 2,
        prefills_ended=batch.batch,
    )


def decode_load(batch: Batch) -> StepLoad:
    """A decoding step halfway through the answers."""
    context = batch.prompt_tokens + batch.output_tokens // 2
    return StepLoad(decodes=batch.batch, context_tokens=batch.batch * context)


def stretches(batches: Sequence[Batch]) -> tuple[list[Stretch], list[Stretch]]:
    """Prompt steps, and decoding steps, with what was measured."""
    prompts = [Stretch(batch.placement, (prompt_load(batch),), batch.prompt_s) for batch in batches]
    return prompts, [Stretch(batch.placement, (decode_load(batch),), batch.token_s) for batch in batches]


def fit_batches(batches: Sequence[Batch]) -> Factors:
    """The factors of some configurations."""
    prompts, tokens = stretches(batches)
    return factors_of(fit_stretches(prompts + tokens, PARAMETERS))


def split_batches(batches: Sequence[Batch], seed: int = SEED) -> tuple[list[Batch], list[Batch]]:
    """Seven of ten configurations to fit, three to hold out, by chance."""
    shuffled = list(batches)
    random.Random(seed).shuffle(shuffled)
    cut = round(len(shuffled) * (1 - HELD_OUT))
    return shuffled[:cut], shuffled[cut:]


def static_results() -> tuple[StaticResult, ...]:
    """Configurations held out by model and GPU, and the H100 predicted from the A100."""
    batches = splitwise_batches()
    results = []
    for model in sorted({batch.model for batch in batches}):
        for gpu in sorted({batch.gpu for batch in batches}):
            fitted, held_out = split_batches(_of(batches, model, gpu))
            results.append(_result("configurations held out", f"{model} on {gpu}", fit_batches(fitted), held_out))
            others = [batch for batch in batches if batch.model == model and batch.gpu != gpu]
            unseen = _of(batches, model, gpu)
            results.append(_result("GPU left out", f"{model} on {gpu}", fit_batches(others), unseen))
    return tuple(results)


def _of(batches: Sequence[Batch], model: str, gpu: str) -> list[Batch]:
    return [batch for batch in batches if (batch.model, batch.gpu) == (model, gpu)]


def _result(split: str, family: str, factors: Factors, held_out: Sequence[Batch]) -> StaticResult:
    prompts, tokens = (Stretches(part) for part in stretches(held_out))
    rest = np.array([batch.output_tokens - 1 for batch in held_out], dtype=np.float64)
    prompt_s, token_s = prompts.predict_s(factors), tokens.predict_s(factors)
    return StaticResult(
        split,
        family,
        errors(prompt_s, prompts.seconds),
        errors(token_s, tokens.seconds),
        errors(prompt_s + rest * token_s, prompts.seconds + rest * tokens.seconds),
    )
