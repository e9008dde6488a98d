"""How long a dense transformer takes on a device: the larger of the time for its arithmetic and the time for its memory traffic.

The bound is the roofline of Williams, Waterman and Patterson, "Roofline: An Insightful Visual Performance Model for Multicore
Architectures" (CACM 52(4), 2009). Arithmetic is two operations per weight and token ("2N"; Kaplan et al., "Scaling Laws for Neural
Language Models", 2020, section 2.1) plus attention; traffic is all weights once a step plus the KV cache of every sequence in it (Pope et
al., "Efficiently Scaling Transformer Inference", 2022, sections 2 and 3.3). Both sides are divided by the fraction of the peak that real
engines reach.

Not modelled: the traffic between devices (with `devices` above one the result is a bound), activations, mixtures of experts,
speculative decoding, prefix caches.
"""

from dataclasses import dataclass

from switchgear.hardware.errors import BadFigure, DoesNotFit, HardwareError
from switchgear.hardware.model import Architecture, Physics, Precision, Profile

BYTES_PER_WEIGHT = {
    Precision.FP32: 4.0,
    Precision.BF16: 2.0,
    Precision.FP8: 1.0,
    Precision.FP4: 0.5625,
    Precision.INT8: 1.0,
    Precision.INT4: 0.5625,
}
"""FP4 as NVFP4: a one-byte scale for 16 weights. INT4 as GGUF Q4_0: a two-byte scale for 32 weights."""

_ARITHMETIC = {
    Precision.FP32: (Precision.FP32,),
    Precision.BF16: (Precision.BF16, Precision.FP32),
    Precision.FP8: (Precision.FP8, Precision.BF16, Precision.FP32),
    Precision.FP4: (Precision.FP4, Precision.BF16, Precision.FP32),
    Precision.INT8: (Precision.INT8, Precision.BF16, Precision.FP32),
    Precision.INT4: (Precision.INT4, Precision.BF16, Precision.FP32, Precision.INT8),
}
"""Where the device lacks the arithmetic of its weights, they are widened on the way in (weight-only quantisation)."""

MEMORY_FRACTION = 0.9
"""Of the memory that weights and KV cache may take; the rest is for activations. The default of vLLM's --gpu-memory-utilization."""

LEAST_KV_TOKENS = 2048
"""A placement with room for fewer cached tokens is refused: it could not hold one short conversation."""


@dataclass(frozen=True, slots=True)
class Placement:
    """One model on one place. Raises `BadFigure`, `HardwareError` (no arithmetic for the precision) or `DoesNotFit`."""

    physics: Physics
    architecture: Architecture
    precision: Precision
    kv_bytes_per_element: float = 2.0
    devices: int = 1
    """Devices among which weights and cache are divided evenly; what they exchange costs nothing here."""

    def __post_init__(self) -> None:
        if self.devices < 1:
            raise BadFigure("devices", self.devices, "at least 1")
        if self.kv_bytes_per_element <= 0:
            raise BadFigure("kv_bytes_per_element", self.kv_bytes_per_element, "2 for 16 bits, 1 for 8 bits")
        arithmetic(self.physics, self.precision)
        tokens = kv_capacity_tokens(self)
        if tokens < LEAST_KV_TOKENS:
            need = weight_bytes(self) + LEAST_KV_TOKENS * kv_bytes_per_token(self)
            have = self.physics.memory_bytes.value * self.devices * MEMORY_FRACTION
            raise DoesNotFit(
                f"{self.architecture.parameters / 1e9:.1f} billion parameters in {self.precision} with {LEAST_KV_TOKENS} cached tokens "
                f"need {need / 1e9:.1f} GB, and {have / 1e9:.1f} GB may be used; choose a narrower precision, a smaller model, "
                f"a larger device or more devices"
            )


@dataclass(frozen=True, slots=True)
class StepLoad:
    """The work of one step of an engine that mixes decoding and prefill.

    `decodes`: sequences that get one more token; `context_tokens`: cached tokens that they attend to, summed over them;
    `prefill_tokens`: prompt tokens taken in; `prefill_pairs`: pairs of a prompt token and a token that it attends to, itself included;
    `prefill_context_tokens`: tokens of those prompts cached by earlier steps; `prefills_ended`: prompts of which this step takes the last
    token, so that it also samples a first token for each.
    """

    decodes: int = 0
    context_tokens: int = 0
    prefill_tokens: int = 0
    prefill_pairs: int = 0
    prefill_context_tokens: int = 0
    prefills_ended: int = 0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 0:
                raise BadFigure(name, getattr(self, name), "a whole number that is not negative")


def arithmetic(physics: Physics, precision: Precision) -> float:
    """Peak operations per second for weights of `precision`. Raises HardwareError where the device has no unit for them."""
    for candidate in _ARITHMETIC[precision]:
        if candidate in physics.flop_per_s:
            return physics.flop_per_s[candidate].value
    have = ", ".join(physics.flop_per_s)
    raise HardwareError(
        f"the device has no arithmetic for {precision} weights; choose a precision that it has ({have})"
    )


def weight_bytes(placement: Placement) -> float:
    """Memory that the weights take, bytes, over all devices."""
    return placement.architecture.parameters * BYTES_PER_WEIGHT[placement.precision]


def kv_bytes_per_token(placement: Placement) -> float:
    """Memory that one cached token takes, bytes: a key and a value for each layer and KV head (Pope et al. 2022, section 3.3)."""
    shape = placement.architecture
    return 2 * shape.layers * shape.kv_heads * shape.head_dim * placement.kv_bytes_per_element


def kv_capacity_tokens(placement: Placement) -> int:
    """Tokens that the KV cache holds in the memory that the weights leave; 0 where they leave none."""
    usable = placement.physics.memory_bytes.value * placement.devices * MEMORY_FRACTION
    return max(0, int((usable - weight_bytes(placement)) // kv_bytes_per_token(placement)))


def step_flop(placement: Placement, load: StepLoad) -> float:
    """Arithmetic of one step, operations: 2 per weight and token, and 4 per layer, head dimension and attended pair.

    The output table is used for sampled tokens only. Attention is scores and values: 2 operations each (Kaplan et al. 2020, table 1,
    without its average over causal positions, because the pairs are counted).
    """
    shape = placement.architecture
    sampled = load.decodes + load.prefills_ended
    matrices = 2 * shape.body_parameters * (load.decodes + load.prefill_tokens) + 2 * shape.head_parameters * sampled
    pairs = load.context_tokens + load.prefill_pairs
    return float(matrices + 4 * shape.layers * shape.attention_heads * shape.head_dim * pairs)


def step_bytes(placement: Placement, load: StepLoad) -> float:
    """Memory traffic of one step, bytes: the weights once, the cache of every sequence read once, new entries written once."""
    cached = load.context_tokens + load.prefill_context_tokens + load.prefill_tokens + load.decodes
    weights = placement.architecture.streamed_parameters * BYTES_PER_WEIGHT[placement.precision]
    return weights + cached * kv_bytes_per_token(placement)


def step_s(placement: Placement, load: StepLoad) -> float:
    """Seconds for one step: max(arithmetic, traffic) at the rates that engines reach, and the step's overhead. 0 for no work."""
    if not load.decodes and not load.prefill_tokens:
        return 0.0
    physics = placement.physics
    flop_rate = arithmetic(physics, placement.precision) * physics.compute_efficiency.value * placement.devices
    byte_rate = physics.memory_bandwidth_bytes_per_s.value * physics.bandwidth_efficiency.value * placement.devices
    bound = max(step_flop(placement, load) / flop_rate, step_bytes(placement, load) / byte_rate)
    return bound + physics.step_overhead_s.value


def decode_step_s(placement: Placement, batch: int, context_tokens: int) -> float:
    """Seconds until each of `batch` sequences, with `context_tokens` cached each, has one more token."""
    if batch < 1:
        raise BadFigure("batch", batch, "at least 1")
    return step_s(placement, StepLoad(decodes=batch, context_tokens=batch * context_tokens))


def prefill_s(placement: Placement, prompt_tokens: int, cached_tokens: int = 0) -> float:
    """Seconds to take in `prompt_tokens` after `cached_tokens` in one step and to sample the first token."""
    if prompt_tokens < 1:
        raise BadFigure("prompt_tokens", prompt_tokens, "at least 1")
    return step_s(placement, prefill_load(prompt_tokens, cached_tokens, ends=True))


def prefill_load(tokens: int, cached_tokens: int, *, ends: bool) -> StepLoad:
    """The load of a piece of a prompt: token i of it attends to what is cached, to its predecessors and to itself."""
    return StepLoad(
        prefill_tokens=tokens,
        prefill_pairs=tokens * cached_tokens + tokens * (tokens + 1) // 2,
        prefill_context_tokens=cached_tokens,
        prefills_ended=int(ends),
    )


def choose_precision(profile: Profile, architecture: Architecture, devices: int = 1) -> Precision:
    """The widest precision up to 16 bits whose weights fit the place and leave room for LEAST_KV_TOKENS.

    Raises DoesNotFit where none does, and HardwareError for a place that is only seen from outside.
    """
    if profile.physics is None:
        raise HardwareError(f"profile {profile.name!r} is only seen from outside; choose one with physics")
    refusal: HardwareError | None = None
    for precision in (Precision.BF16, Precision.FP8, Precision.INT8, Precision.FP4, Precision.INT4):
        if precision is not Precision.INT4 and precision not in profile.physics.flop_per_s:
            continue
        try:
            Placement(profile.physics, architecture, precision, devices=devices)
        except HardwareError as error:
            refusal = error
        else:
            return precision
    raise refusal or HardwareError(f"profile {profile.name!r} has no arithmetic for 16 bits or fewer")
