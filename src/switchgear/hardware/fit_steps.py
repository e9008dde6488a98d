"""Fitting `serving.Factors` to measured stretches of an engine's steps: a prefill, a decoding step, or a burst of calls from first to last.

What is in each step must be known, which it is where calls start together: which tokens a step takes in does not depend on how long it
lasts. So each step's load is worked out once (`burst_loads`) and a fit only prices them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from switchgear.hardware.errors import BadFigure
from switchgear.hardware.fit import Errors, Fit, Parameter, errors, fit
from switchgear.hardware.loads import Floats, StepLoads, step_s
from switchgear.hardware.roofline import Placement, StepCost, StepLoad
from switchgear.hardware.serving import Factors, ideal, reached, stacked

_LOAD_FIELDS = (
    "decodes",
    "context_tokens",
    "prefill_tokens",
    "prefill_pairs",
    "prefill_context_tokens",
    "prefills_ended",
)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Measured seconds of consecutive steps on one placement. `requests`: calls whose front the time includes."""

    placement: Placement
    loads: tuple[StepLoad, ...]
    seconds: float
    requests: float = 0.0

    def __post_init__(self) -> None:
        if not self.loads:
            raise BadFigure("number of steps", 0, "at least one in each measured stretch")
        if not self.seconds > 0:
            raise BadFigure("seconds", self.seconds, "a measured time above zero")


class Stretches:
    """Stretches as arrays, so that a fit prices all of their steps at once."""

    def __init__(self, stretches: Sequence[Stretch]) -> None:
        if not stretches:
            raise BadFigure("number of stretches", 0, "at least one measured")
        loads = [load for stretch in stretches for load in stretch.loads]
        self._loads = StepLoads.of(**{name: [getattr(load, name) for load in loads] for name in _LOAD_FIELDS})
        counts = [len(stretch.loads) for stretch in stretches]
        self._starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        bounds = {id(stretch.placement): ideal(stretch.placement) for stretch in stretches}
        self._bound: StepCost = stacked([bounds[id(stretch.placement)] for stretch in stretches for _ in stretch.loads])
        self._requests = np.array([stretch.requests for stretch in stretches])
        self.seconds = np.array([stretch.seconds for stretch in stretches])

    def predict_s(self, factors: Factors) -> Floats:
        """Seconds of each stretch."""
        steps = step_s(reached(self._bound, factors), self._loads)
        summed: Floats = np.add.reduceat(steps, self._starts)
        return summed + self._requests * factors.request_overhead_s

    def errors(self, factors: Factors) -> Errors:
        """How well that meets what was measured."""
        return errors(self.predict_s(factors), self.seconds)


def fit_stretches(stretches: Sequence[Stretch], parameters: Sequence[Parameter]) -> Fit:
    """Fit those of `serving.Factors` that `parameters` name; the others are left at what costs nothing."""
    arrays = Stretches(stretches)
    nothing = Factors(compute_efficiency=1.0, bandwidth_efficiency=1.0, step_overhead_s=0.0)

    def log_ratios(values: Mapping[str, float]) -> Floats:
        ratios: Floats = np.log(arrays.predict_s(replace(nothing, **values)) / arrays.seconds)
        return ratios

    return fit(parameters, log_ratios)


@dataclass(frozen=True, slots=True)
class Burst:
    """The steps of calls that start together: all steps, and after how many of them each call has its first and its last token."""

    loads: tuple[StepLoad, ...]
    first_after: tuple[int, ...]
    last_after: tuple[int, ...]


def burst_loads(
    calls: Sequence[tuple[int, int]],
    *,
    cached: Sequence[int] = (),
    step_tokens: int = 2048,
    seats: int = 256,
    one_first: bool = True,
) -> Burst:
    """The steps that continuous batching makes of calls (prompt tokens, output tokens) that start together, first come first served.

    An idle engine begins with the first call before it has seen the others: with `one_first` the first step takes in that call alone.
    Decoding goes first, prompts are taken in by chunks up to `step_tokens` a step, at most `seats` calls at a time: the scheduler of
    Sarathi-Serve (Agrawal et al., OSDI 2024, section 4.2) and of the emulator. `cached` are tokens of each prompt that a prefix cache
    has already. Raises BadFigure for lengths below 1.
    """
    if step_tokens < 1 or seats < 1:
        raise BadFigure("step_tokens and seats", min(step_tokens, seats), "at least 1 each")
    for prompt, output in calls:
        if prompt < 1 or output < 1:
            raise BadFigure("prompt and output tokens", min(prompt, output), "at least 1 each")
    computed = [min(have, prompt - 1) for have, (prompt, _) in zip(cached or [0] * len(calls), calls, strict=True)]
    made = [0] * len(calls)
    first, last = [0] * len(calls), [0] * len(calls)
    loads: list[StepLoad] = []
    unfinished = list(range(len(calls)))
    while unfinished:
        seated = unfinished[: seats if loads or not one_first else 1]
        decoding = [call for call in seated if made[call]]
        context = sum(computed[call] + made[call] for call in decoding)
        chunks = _chunks(
            [call for call in seated if not made[call]], calls, computed, max(1, step_tokens - len(decoding))
        )
        loads.append(_step(decoding, context, chunks, calls, computed))
        for call, size in chunks:
            computed[call] += size
        for call in decoding + [call for call, _ in chunks if computed[call] == calls[call][0]]:
            made[call] += 1
            if made[call] == 1:
                first[call] = len(loads)
            if made[call] == calls[call][1]:
                last[call] = len(loads)
        unfinished = [call for call in unfinished if made[call] < calls[call][1]]
    return Burst(tuple(loads), tuple(first), tuple(last))


def _chunks(
    waiting: list[int], calls: Sequence[tuple[int, int]], computed: list[int], budget: int
) -> list[tuple[int, int]]:
    chunks = []
    for call in waiting:
        size = min(calls[call][0] - computed[call], budget)
        if size <= 0:
            break
        chunks.append((call, size))
        budget -= size
    return chunks


def _step(
    decoding: list[int],
    context: int,
    chunks: list[tuple[int, int]],
    calls: Sequence[tuple[int, int]],
    computed: list[int],
) -> StepLoad:
    return StepLoad(
        decodes=len(decoding),
        context_tokens=context,
        prefill_tokens=sum(size for _, size in chunks),
        prefill_pairs=sum(size * computed[call] + size * (size + 1) // 2 for call, size in chunks),
        prefill_context_tokens=sum(computed[call] for call, _ in chunks),
        prefills_ended=sum(computed[call] + size == calls[call][0] for call, size in chunks),
    )
