"""How long calls take at a server with a steady number of callers: what benchmarks of servers measure.

`callers` each send their next call when they have their answer (a closed loop). One call then takes

- time to first token: the server's front, half a decoding step (the one under way when it comes), its own prefill, and its queue;
- time per output token: one decoding step of all callers, at half of the answer's length, and its share of the others' prefills, of which
  there is one for each caller in the time of one answer (Little's law).

Three figures say how the queue is formed, which depends on the server's scheduler and on how it was measured: `first_wave`, the part of
the others' prefills that a call waits for (all callers start at once, so half of the calls' first wave; more where the waves stay in
step); `interleaved`, the part of the prefills that holds up decoding; `excess_callers`, callers more than the server has seats.

Works on numbers and NumPy arrays; needs NumPy (`pip install 'switchgear[plan]'`).
"""

from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from switchgear.hardware.bounds import efficiency, not_negative, positive
from switchgear.hardware.loads import Floats, StepLoads
from switchgear.hardware.model import Figure, Physics
from switchgear.hardware.roofline import Placement, StepCost


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """What a serving engine makes of a device's peaks, each fitted or assumed. Raises BadFigure."""

    compute_efficiency: float
    bandwidth_efficiency: float
    step_overhead_s: float
    attention_efficiency: float = 1.0
    """Of `compute_efficiency`."""
    sequence_overhead_s: float = 0.0
    request_overhead_s: float = 0.0
    collective_s: float = 0.0
    interconnect_bytes_per_s: float = 0.0
    first_wave: float = 0.0
    interleaved: float = 1.0
    excess_callers: float = 0.0

    def __post_init__(self) -> None:
        efficiency(
            compute_efficiency=self.compute_efficiency,
            bandwidth_efficiency=self.bandwidth_efficiency,
            attention_efficiency=self.attention_efficiency,
        )
        not_negative(
            **{field.name: getattr(self, field.name) for field in fields(self) if "efficiency" not in field.name}
        )


class Served(NamedTuple):
    """What the callers see, seconds; floats as 0-d arrays."""

    ttft_s: Floats
    token_s: Floats


def ideal(placement: Placement) -> StepCost:
    """The coefficients at full efficiency and without overheads. `exchange_s` counts collectives, `exchange_token_s` bytes."""
    one, none = Figure(1.0, "the bound itself", assumed=True), Figure(0.0, "the bound itself", assumed=True)
    physics: Physics = msgspec.structs.replace(
        placement.physics,
        compute_efficiency=one,
        bandwidth_efficiency=one,
        attention_efficiency=one,
        step_overhead_s=none,
        sequence_overhead_s=none,
        request_overhead_s=none,
        collective_s=one,
        interconnect_bytes_per_s=one,
    )
    return StepCost.of(replace(placement, physics=physics))


def stacked(costs: list[StepCost]) -> StepCost:
    """Many placements' coefficients as one of arrays, so that many rows are predicted at once."""
    arrays: dict[str, Any] = {
        field.name: np.array([getattr(cost, field.name) for cost in costs]) for field in fields(StepCost)
    }
    return StepCost(**arrays)


def reached(bound: StepCost, factors: Factors) -> StepCost:
    """The coefficients that an engine reaches, from `ideal` ones (or from stacked ideal ones)."""
    flop, byte = 1 / factors.compute_efficiency, 1 / factors.bandwidth_efficiency
    attended = flop / factors.attention_efficiency
    per_byte = 1 / factors.interconnect_bytes_per_s if factors.interconnect_bytes_per_s else 0.0
    return replace(
        bound,
        token_s=bound.token_s * flop,
        sampled_s=bound.sampled_s * flop,
        pair_s=bound.pair_s * attended,
        cached_pair_s=bound.cached_pair_s * attended,
        weights_s=bound.weights_s * byte,
        experts_s=bound.experts_s * byte,
        cached_s=bound.cached_s * byte,
        step_overhead_s=factors.step_overhead_s,
        sequence_overhead_s=factors.sequence_overhead_s,
        exchange_s=bound.exchange_s * factors.collective_s,
        exchange_token_s=bound.exchange_token_s * per_byte,
    )


class ClosedLoop:
    """Runs of `callers` who each ask for so many tokens of so long prompts: what is in their steps, worked out once.

    Raises BadFigure for lengths below 1 and fewer than one caller.
    """

    def __init__(self, prompt_tokens: ArrayLike, output_tokens: ArrayLike, callers: ArrayLike) -> None:
        prompt, output, batch = (
            np.asarray(value, dtype=np.float64) for value in (prompt_tokens, output_tokens, callers)
        )
        positive(prompt_tokens=float(np.min(prompt)), output_tokens=float(np.min(output)), callers=float(np.min(batch)))
        self.output_tokens, self.callers = output, batch
        self._decoding = StepLoads.of(decodes=batch, context_tokens=batch * (prompt + output / 2))
        self._taking_in = StepLoads.of(
            prefill_tokens=prompt, prefill_pairs=prompt * (prompt + 1) / 2, prefills_ended=np.ones_like(prompt)
        )

    def served(self, cost: StepCost, factors: Factors) -> Served:
        """What the callers see. `cost` is what `reached` or `StepCost.of` gives; of `factors` only the front and the queue are used."""
        decode_s: Floats = cost.step_s(self._decoding)
        taken_in_s: Floats = cost.step_s(self._taking_in)
        # A prefill beside decoding needs no step of its own.
        added_s = np.maximum(taken_in_s - cost.step_overhead_s - cost.exchange_s, 0.0)
        token_s = decode_s + factors.interleaved * self.callers * added_s / self.output_tokens
        wave_s = factors.first_wave * (self.callers - 1) * added_s
        seat_s = factors.excess_callers * self.output_tokens * token_s / self.callers
        return Served(factors.request_overhead_s + taken_in_s + decode_s / 2 + wave_s + seat_s, token_s)


def closed_loop(
    cost: StepCost, factors: Factors, prompt_tokens: ArrayLike, output_tokens: ArrayLike, callers: ArrayLike
) -> Served:
    """`ClosedLoop.served` for one use."""
    return ClosedLoop(prompt_tokens, output_tokens, callers).served(cost, factors)
