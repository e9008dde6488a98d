"""What a place is made of and what a model is made of. Every figure says where it comes from."""

import math
from enum import StrEnum

import msgspec

from switchgear.hardware.errors import BadFigure


class Kind(StrEnum):
    """The kind of place, as in a backend's configuration."""

    CLOUD = "cloud"
    ONPREM = "onprem"
    APPLIANCE = "appliance"
    EDGE = "edge"


class Precision(StrEnum):
    """How a weight is stored. `FP4` is NVFP4, `INT4` is group-wise quantised."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP8 = "fp8"
    FP4 = "fp4"
    INT8 = "int8"
    INT4 = "int4"


class Figure(msgspec.Struct, frozen=True):
    """A number with its source: the document and the place in it, or, where `assumed`, the reasoning behind a guess.

    One that nobody knows (`unknown`) is not a number: whatever is computed with it is none either, and never a silent zero.
    """

    value: float
    source: str
    assumed: bool = False
    low: float | None = None
    """Lower end of the 95 % confidence interval, where the figure was fitted."""
    high: float | None = None
    known: bool = True

    def __post_init__(self) -> None:
        if not self.known:
            return
        if not math.isfinite(self.value) or self.value < 0:
            raise BadFigure("a figure", self.value, "a finite number that is not negative")
        if (self.low is None) != (self.high is None):
            raise BadFigure("number of ends of an interval", 1, "both low and high, or neither")
        if self.low is not None and self.high is not None and not self.low <= self.value <= self.high:
            raise BadFigure("a figure", self.value, f"a number within its interval, {self.low:g} to {self.high:g}")


def unknown(why: str) -> Figure:
    """A figure that nobody knows, and why."""
    return Figure(math.nan, why, assumed=True, known=False)


def not_modelled(what: str) -> Figure:
    """A zero that says so: the profile leaves `what` out."""
    return Figure(0.0, f"{what} is left out of this profile", assumed=True)


class Physics(msgspec.Struct, frozen=True, kw_only=True):
    """A device seen from inside: what the roofline needs, and what it draws and costs."""

    memory_bandwidth_bytes_per_s: Figure
    memory_bytes: Figure
    """Memory that holds weights and KV cache. Decimal bytes, as vendors count them."""
    flop_per_s: dict[Precision, Figure]
    """Peak dense (never sparse) operations per second of each arithmetic that the device has."""
    tdp_w: Figure
    """May be unknown, like the next two: a profile that was measured from outside says nothing about them."""
    idle_w: Figure
    price_usd: Figure
    compute_efficiency: Figure
    """Fraction of the peak arithmetic that a good serving engine reaches."""
    bandwidth_efficiency: Figure
    """Fraction of the peak memory bandwidth that a good serving engine reaches."""
    step_overhead_s: Figure
    """Seconds of each step that go neither into arithmetic nor into memory: kernel launches, sampling, scheduling."""
    attention_efficiency: Figure = Figure(1.0, "attention is taken to be as efficient as matrices", assumed=True)
    """Of `compute_efficiency`, the fraction that attention's arithmetic reaches."""
    sequence_overhead_s: Figure = not_modelled("a sequence's own share of a step")
    """Seconds that each sequence adds to each step: sampling, detokenising, sending."""
    request_overhead_s: Figure = not_modelled("the server's front")
    """Seconds that each request adds before its first token, outside of the steps: reading, tokenising, queueing, answering."""
    interconnect_bytes_per_s: Figure = not_modelled("what devices of a group exchange")
    """What one device sends to others of its group, one way, at the rate that collectives reach. 0: what they exchange costs nothing."""
    collective_s: Figure = not_modelled("the latency of a collective")
    """Seconds of one all-reduce of a few bytes among the devices of a group."""

    def __post_init__(self) -> None:
        if not self.flop_per_s:
            raise BadFigure("number of arithmetic units", 0, "flop_per_s for at least one precision")
        positive = {
            "memory_bandwidth_bytes_per_s": self.memory_bandwidth_bytes_per_s,
            "memory_bytes": self.memory_bytes,
            **{f"flop_per_s.{precision}": figure for precision, figure in self.flop_per_s.items()},
        }
        for name, figure in positive.items():
            if not figure.value > 0:
                raise BadFigure(name, figure.value, "a number above zero")
        for name, figure in {
            "compute_efficiency": self.compute_efficiency,
            "bandwidth_efficiency": self.bandwidth_efficiency,
            "attention_efficiency": self.attention_efficiency,
        }.items():
            if not 0 < figure.value <= 1:
                raise BadFigure(name, figure.value, "a fraction above 0 and at most 1")


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """A place seen only from outside: how long it takes, not why. Independent of its load, up to its rate limit."""

    ttft_median_s: Figure
    """Seconds from the request to the first token; half of the calls are faster."""
    ttft_p95_s: Figure
    decode_tokens_per_s: Figure
    """Tokens per second of one stream after its first token."""
    requests_per_minute: Figure
    """The rate limit of one key; a call above it is answered 429."""

    def __post_init__(self) -> None:
        if not 0 < self.ttft_median_s.value <= self.ttft_p95_s.value:
            raise BadFigure("ttft_p95_s", self.ttft_p95_s.value, "a 95th percentile not below a median above zero")
        if self.decode_tokens_per_s.value == 0:
            raise BadFigure("decode_tokens_per_s", 0, "a number above zero")
        if self.requests_per_minute.value < 1:
            raise BadFigure("requests_per_minute", self.requests_per_minute.value, "at least 1")


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One place where inference can run: either `physics` (seen from inside) or `observed` (seen from outside)."""

    name: str
    title: str
    kind: Kind
    note: str = ""
    """What a reader must know before trusting a simulation of it."""
    physics: Physics | None = None
    observed: Observed | None = None

    def __post_init__(self) -> None:
        if (self.physics is None) == (self.observed is None):
            raise BadFigure("number of views of a profile", 0 if self.physics is None else 2, "physics or observed")


class Architecture(msgspec.Struct, frozen=True, kw_only=True):
    """The shape of a decoder-only transformer, dense or with routed experts, as its published config.json gives it."""

    parameters: int
    layers: int
    hidden: int
    attention_heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied_embeddings: bool
    """Whether the table that reads tokens in is also the one that scores them on the way out."""
    experts: int = 0
    """Routed experts of a layer; 0 for a dense model."""
    experts_per_token: int = 0
    expert_parameters: int = 0
    """Weights of one routed expert, summed over the layers that have experts."""
    latent_dim: int = 0
    """Elements that the cache keeps for a token in a layer in place of keys and values (multi-head latent attention; DeepSeek-V2,
    2024, section 2.1): the compressed latent and the shared rotary key. 0: keys and values."""
    attention_layers: int = 0
    """Layers whose cache grows with the context, where others keep a state of fixed size. 0: all."""

    def __post_init__(self) -> None:
        for name in ("parameters", "layers", "hidden", "attention_heads", "kv_heads", "head_dim", "vocabulary"):
            value = getattr(self, name)
            if value < 1:
                raise BadFigure(name, value, "a whole number above zero")
        self._check_experts()
        if self.attention_heads % self.kv_heads:
            raise BadFigure("kv_heads", self.kv_heads, f"a divisor of attention_heads ({self.attention_heads})")
        if self.shared_parameters < 0:
            raise BadFigure("parameters", self.parameters, "at least the embedding tables and all experts")

    def _check_experts(self) -> None:
        for name in ("experts", "experts_per_token", "expert_parameters", "latent_dim", "attention_layers"):
            if getattr(self, name) < 0:
                raise BadFigure(name, getattr(self, name), "a whole number that is not negative")
        if self.experts and not (0 < self.experts_per_token <= self.experts and self.expert_parameters):
            raise BadFigure(
                "experts_per_token", self.experts_per_token, "1 to experts, with expert_parameters above zero"
            )
        if self.attention_layers > self.layers:
            raise BadFigure("attention_layers", self.attention_layers, f"at most layers ({self.layers})")

    @property
    def caching_layers(self) -> int:
        """Layers whose cache grows with the context."""
        return self.attention_layers or self.layers

    @property
    def shared_parameters(self) -> int:
        """Weights of the body that every token passes through, whatever its experts."""
        return self.body_parameters - self.experts * self.expert_parameters

    @property
    def active_parameters(self) -> int:
        """Weights of the body that one token passes through."""
        return self.shared_parameters + self.experts_per_token * self.expert_parameters

    @property
    def head_parameters(self) -> int:
        """Weights of the output table, which scores the vocabulary once for each sampled token."""
        return self.vocabulary * self.hidden

    @property
    def body_parameters(self) -> int:
        """Weights of the layers: all but the embedding tables."""
        return self.parameters - self.head_parameters * (1 if self.tied_embeddings else 2)

    @property
    def streamed_parameters(self) -> int:
        """Weights read from memory in a step that uses every expert. Of an untied input table only the step's rows are read."""
        return self.body_parameters + self.head_parameters


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A model that a place can run. `architecture` is None where nobody outside knows it."""

    name: str
    title: str
    context_window_tokens: int
    embedding_dimensions: int
    """Length of the vectors that `/v1/embeddings` gives for this model."""
    source: str
    architecture: Architecture | None = None

    def __post_init__(self) -> None:
        if self.context_window_tokens < 1:
            raise BadFigure("context_window_tokens", self.context_window_tokens, "a whole number above zero")
        if self.embedding_dimensions < 1:
            raise BadFigure("embedding_dimensions", self.embedding_dimensions, "a whole number above zero")
