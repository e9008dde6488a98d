"""Many steps, prompts or sequences at once, as NumPy arrays: the same coefficients and the same formula as `roofline`.

Needs NumPy (`pip install 'switchgear[plan]'`). Nothing that serves calls imports this file.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from switchgear.hardware.errors import BadFigure
from switchgear.hardware.roofline import StepCost

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StepLoads:
    """As `roofline.StepLoad`, one element for each step; arrays of one shape, or that broadcast to one."""

    decodes: Floats
    context_tokens: Floats
    prefill_tokens: Floats
    prefill_pairs: Floats
    prefill_context_tokens: Floats
    prefills_ended: Floats

    @classmethod
    def of(
        cls,
        *,
        decodes: ArrayLike = 0,
        context_tokens: ArrayLike = 0,
        prefill_tokens: ArrayLike = 0,
        prefill_pairs: ArrayLike = 0,
        prefill_context_tokens: ArrayLike = 0,
        prefills_ended: ArrayLike = 0,
    ) -> "StepLoads":
        """Loads of whatever converts to arrays. Raises BadFigure for a negative one."""
        given = {
            "decodes": decodes,
            "context_tokens": context_tokens,
            "prefill_tokens": prefill_tokens,
            "prefill_pairs": prefill_pairs,
            "prefill_context_tokens": prefill_context_tokens,
            "prefills_ended": prefills_ended,
        }
        arrays = {name: np.asarray(value, dtype=np.float64) for name, value in given.items()}
        for name, array in arrays.items():
            if not np.all(array >= 0):
                raise BadFigure(name, float(np.min(array)), "numbers that are not negative")
        return cls(**arrays)


def step_s(cost: StepCost, loads: StepLoads) -> Floats:
    """Seconds of each step; 0 for one without work."""
    busy = (loads.decodes > 0) | (loads.prefill_tokens > 0)
    return np.where(busy, cost.step_s(loads), 0.0)


def decode_step_s(cost: StepCost, batch: ArrayLike, context_tokens: ArrayLike) -> Floats:
    """Seconds until each of `batch` sequences, of `context_tokens` cached tokens each on average, has one more token."""
    sequences, context = np.asarray(batch, dtype=np.float64), np.asarray(context_tokens, dtype=np.float64)
    return step_s(cost, StepLoads.of(decodes=sequences, context_tokens=sequences * context))


def prefill_s(
    cost: StepCost, prompt_tokens: ArrayLike, cached_tokens: ArrayLike = 0, chunk_tokens: int = 2048
) -> Floats:
    """As `roofline.chunks_s`, for many prompts: seconds to take each in alone, by chunks, after a prefix that is cached already."""
    prompt, cached = np.broadcast_arrays(
        np.asarray(prompt_tokens, dtype=np.float64), np.asarray(cached_tokens, dtype=np.float64)
    )
    if not np.all(prompt >= 1):
        raise BadFigure("prompt_tokens", float(np.min(prompt)), "at least 1")
    if not np.all((cached >= 0) & (cached <= prompt)):
        raise BadFigure("cached_tokens", float(np.min(prompt - cached)), "0 to prompt_tokens for each")
    if chunk_tokens < 1:
        raise BadFigure("chunk_tokens", chunk_tokens, "at least 1")
    done = np.minimum(cached, prompt - 1)
    total_s = np.zeros(prompt.shape)
    while np.any(done < prompt):
        size = np.clip(prompt - done, 0, chunk_tokens)
        total_s += step_s(
            cost,
            StepLoads.of(
                prefill_tokens=size,
                prefill_pairs=size * done + size * (size + 1) / 2,
                prefill_context_tokens=np.where(size > 0, done, 0.0),
                prefills_ended=(size > 0) & (done + size >= prompt),
            ),
        )
        done = done + size
    return total_s
