"""How long a transformer takes on a device: the larger of the time for its arithmetic and the time for its memory traffic.

The bound is the roofline of Williams, Waterman and Patterson, "Roofline: An Insightful Visual Performance Model for Multicore
Architectures" (CACM 52(4), 2009). Arithmetic is two operations per weight and token ("2N"; Kaplan et al., "Scaling Laws for Neural
Language Models", 2020, section 2.1) plus attention; traffic is all weights once a step plus the KV cache of every sequence in it (Pope et
al., "Efficiently Scaling Transformer Inference", 2022, sections 2 and 3.3). Both sides are divided by the fraction of the peak that real
engines reach.

Devices that share a model (tensor parallelism) exchange their partial sums twice a layer (Shoeybi et al., "Megatron-LM", 2019, section 3).
Each all-reduce costs a latency and, as a ring, 2 (n - 1) / n times its bytes over the link (Patarasuk and Yuan, "Bandwidth Optimal
All-reduce Algorithms for Clusters of Workstations", JPDC 69(2), 2009, section 3; latency and bandwidth apart: Thakur et al.,
"Optimization of Collective Communication Operations in MPICH", IJHPCA 19(1), 2005, section 3). It is not overlapped with anything.

Of routed experts a step reads those that its tokens choose: of E, with k a token and t tokens, E (1 - (1 - k/E)^t) are expected where
choices are even and independent.

`StepCost` holds every coefficient, in seconds; `StepCost.step_s` is the formula, for numbers and for NumPy arrays alike.

Not modelled: activations, speculative decoding, how unevenly experts are chosen.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from switchgear.hardware.errors import BadFigure, DoesNotFit, HardwareError
from switchgear.hardware.model import Architecture, Physics, Precision, Profile

if TYPE_CHECKING:
    from switchgear.hardware.loads import StepLoads

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
    """Devices among which weights and cache are divided evenly; what they exchange costs what `physics` says of their interconnect."""

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
    """Memory that one cached token takes, bytes: in each layer a key and a value for each KV head (Pope et al. 2022, 3.3), or a latent."""
    shape = placement.architecture
    elements = shape.latent_dim or 2 * shape.kv_heads * shape.head_dim
    return shape.caching_layers * elements * placement.kv_bytes_per_element


def kv_capacity_tokens(placement: Placement) -> int:
    """Tokens that the KV cache holds in the memory that the weights leave; 0 where they leave none."""
    usable = placement.physics.memory_bytes.value * placement.devices * MEMORY_FRACTION
    return max(0, int((usable - weight_bytes(placement)) // kv_bytes_per_token(placement)))


@dataclass(frozen=True, slots=True)
class StepCost:
    """What the parts of a step cost on one placement, seconds each: every coefficient of the roofline in one place."""

    token_s: float
    """Arithmetic of one token through the layers."""
    sampled_s: float
    """Arithmetic of the output table for one sampled token."""
    pair_s: float
    """Arithmetic of attention for one pair of a prompt's token and a token that it attends to."""
    cached_pair_s: float
    """The same for a decoding sequence's new token and a cached one."""
    weights_s: float
    """Reading the weights that every step reads."""
    experts_s: float
    """Reading all routed experts; 0 for a dense model."""
    expert_miss: float
    """Chance that one token does not choose one expert."""
    cached_s: float
    """Reading or writing the cache of one token."""
    step_overhead_s: float
    sequence_overhead_s: float
    exchange_s: float
    """Latency of a step's collectives; 0 on one device."""
    exchange_token_s: float
    """What the collectives take longer for each token."""

    @classmethod
    def of(cls, placement: Placement, clock: float = 1.0) -> "StepCost":
        """The coefficients of a placement. `clock` is the core clock as a fraction of the full one; memory keeps its own.

        Raises BadFigure where the clock is not above 0 and at most 1.
        """
        if not 0 < clock <= 1:
            raise BadFigure("clock", clock, "a fraction above 0 and at most 1; a device that is off takes no step")
        shape, physics, devices = placement.architecture, placement.physics, placement.devices
        flop_s = 1 / (arithmetic(physics, placement.precision) * physics.compute_efficiency.value * devices * clock)
        attended_s = flop_s / physics.attention_efficiency.value
        byte_s = 1 / (physics.memory_bandwidth_bytes_per_s.value * physics.bandwidth_efficiency.value * devices)
        weight_s = BYTES_PER_WEIGHT[placement.precision] * byte_s
        pair = shape.caching_layers * shape.attention_heads
        latent_pair = (
            2 * pair * (2 * shape.latent_dim - LATENT_ROTARY) if shape.latent_dim else 4 * pair * shape.head_dim
        )
        exchange_s, exchange_token_s = _exchange(placement)
        return cls(
            token_s=2 * shape.active_parameters * flop_s,
            sampled_s=2 * shape.head_parameters * flop_s,
            pair_s=4 * pair * shape.head_dim * attended_s,
            cached_pair_s=latent_pair * attended_s,
            weights_s=(shape.shared_parameters + shape.head_parameters) * weight_s,
            experts_s=shape.experts * shape.expert_parameters * weight_s,
            expert_miss=1 - shape.experts_per_token / shape.experts if shape.experts else 1.0,
            cached_s=kv_bytes_per_token(placement) * byte_s,
            step_overhead_s=physics.step_overhead_s.value,
            sequence_overhead_s=physics.sequence_overhead_s.value,
            exchange_s=exchange_s,
            exchange_token_s=exchange_token_s,
        )

    def arithmetic_s(self, load: "StepLoad | StepLoads") -> Any:
        """Seconds that arithmetic needs; a float for a load, an array for loads."""
        tokens = load.decodes + load.prefill_tokens
        sampled = load.decodes + load.prefills_ended
        pairs = load.prefill_pairs * self.pair_s + load.context_tokens * self.cached_pair_s
        return tokens * self.token_s + sampled * self.sampled_s + pairs

    def traffic_s(self, load: "StepLoad | StepLoads") -> Any:
        """Seconds that memory needs; a float for a load, an array for loads."""
        tokens = load.decodes + load.prefill_tokens
        cached = load.context_tokens + load.prefill_context_tokens + tokens
        return self.weights_s + self.experts_s * (1 - self.expert_miss**tokens) + cached * self.cached_s

    def overhead_s(self, load: "StepLoad | StepLoads") -> Any:
        """Seconds that neither arithmetic nor memory is busy: launches, sampling, exchange."""
        tokens = load.decodes + load.prefill_tokens
        sampled = load.decodes + load.prefills_ended
        fixed = self.step_overhead_s + self.exchange_s
        return fixed + tokens * self.exchange_token_s + sampled * self.sequence_overhead_s

    def step_s(self, load: "StepLoad | StepLoads") -> Any:
        """Seconds of a step that has work: max(arithmetic, traffic) and its overhead; a float for a load, an array for loads."""
        flop, traffic = self.arithmetic_s(load), self.traffic_s(load)
        larger = (flop + traffic + abs(flop - traffic)) / 2  # max() of numbers and arrays alike, without NumPy
        return larger + self.overhead_s(load)

    def activity(self, load: "StepLoad | StepLoads") -> tuple[Any, Any]:
        """Fractions of a step for which arithmetic and memory are busy, for `power.board_w`."""
        step_s = self.step_s(load)
        return self.arithmetic_s(load) / step_s, self.traffic_s(load) / step_s


LATENT_ROTARY = 64
"""Of a latent, the elements that only scores use, not values (DeepSeek-V2, section 2.1.3, d_h^R)."""
ACTIVATION_BYTES = 2.0
"""An element that devices exchange: 16 bits."""


def _exchange(placement: Placement) -> tuple[float, float]:
    """Seconds of a step's all-reduces that do not, and that do, grow with its tokens (the latter for one token)."""
    physics, shape, devices = placement.physics, placement.architecture, placement.devices
    if devices == 1:
        return 0.0, 0.0
    collectives = 2 * shape.layers
    sent = 2 * (devices - 1) / devices * shape.hidden * ACTIVATION_BYTES
    rate = physics.interconnect_bytes_per_s.value
    return collectives * physics.collective_s.value, collectives * sent / rate if rate else 0.0


def step_s(placement: Placement, load: StepLoad) -> float:
    """Seconds for one step; 0 for no work. A simulation keeps `StepCost.of(placement)` instead of making it for each step."""
    if not load.decodes and not load.prefill_tokens:
        return 0.0
    return float(StepCost.of(placement).step_s(load))


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


def chunks_s(cost: StepCost, prompt_tokens: int, cached_tokens: int = 0, chunk_tokens: int = 2048) -> float:
    """Seconds to take in a prompt alone, in chunks of at most `chunk_tokens` (Agrawal et al., "Sarathi-Serve", OSDI 2024, section 4.1).

    `cached_tokens` of its `prompt_tokens` are in the prefix cache already; at least the last token is computed all the same.
    """
    if prompt_tokens < 1:
        raise BadFigure("prompt_tokens", prompt_tokens, "at least 1")
    if chunk_tokens < 1:
        raise BadFigure("chunk_tokens", chunk_tokens, "at least 1")
    if not 0 <= cached_tokens <= prompt_tokens:
        raise BadFigure("cached_tokens", cached_tokens, f"0 to prompt_tokens ({prompt_tokens})")
    done, total_s = min(cached_tokens, prompt_tokens - 1), 0.0
    while done < prompt_tokens:
        size = min(chunk_tokens, prompt_tokens - done)
        total_s += cost.step_s(prefill_load(size, done, ends=done + size == prompt_tokens))
        done += size
    return total_s


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
