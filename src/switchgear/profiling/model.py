"""The words of a measurement: shape, burst, call, run."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from switchgear.profiling.errors import BadSweep


@dataclass(frozen=True, slots=True, order=True)
class Shape:
    """What one burst asks for: `concurrency` calls sent at the same moment, each with so long a prompt and answer."""

    prompt_tokens: int
    output_tokens: int
    concurrency: int

    def __post_init__(self) -> None:
        for name in ("prompt_tokens", "output_tokens", "concurrency"):
            if getattr(self, name) < 1:
                raise BadSweep(f"{name} is {getattr(self, name)}; give whole numbers above zero")

    @property
    def tokens(self) -> int:
        """Tokens of the burst, in and out."""
        return self.concurrency * (self.prompt_tokens + self.output_tokens)

    def __str__(self) -> str:
        return f"{self.prompt_tokens} in, {self.output_tokens} out, {self.concurrency} at once"


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was answered whole. Times are seconds since its burst was sent."""

    first_s: float
    """When its first token came."""
    last_s: float
    """When its last token came."""
    prompt_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    """Tokens of the prompt that the backend had from an earlier call."""
    counted: bool = True
    """Whether the backend reported the tokens; else they are estimates (four bytes each) or counted events."""


@dataclass(frozen=True, slots=True)
class Run:
    """One burst that was answered whole, its calls in the order in which their first tokens came."""

    shape: Shape
    calls: tuple[Call, ...]
    round: int

    @property
    def ttft_s(self) -> float:
        """Median time to the first token."""
        return statistics.median(call.first_s for call in self.calls)

    @property
    def call_s(self) -> float:
        """Median time of a whole call."""
        return statistics.median(call.last_s for call in self.calls)


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a sweep ends, whatever is left of it. None: no bound."""

    seconds: float | None = None
    tokens: int | None = None
    cost_usd: float | None = None

    def __post_init__(self) -> None:
        for name in ("seconds", "tokens", "cost_usd"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise BadSweep(f"the bound on {name} is {value}; give a number above zero, or leave it out")


@dataclass(frozen=True, slots=True)
class Price:
    """What the backend charges, US dollars per million tokens."""

    input_usd_per_mtok: float
    output_usd_per_mtok: float

    def __post_init__(self) -> None:
        for name in ("input_usd_per_mtok", "output_usd_per_mtok"):
            if not getattr(self, name) >= 0:
                raise BadSweep(f"{name} is {getattr(self, name)}; give US dollars per million tokens, not below zero")

    def cost_usd(self, prompt_tokens: int, output_tokens: int) -> float:
        """US dollars for so many tokens."""
        return (prompt_tokens * self.input_usd_per_mtok + output_tokens * self.output_usd_per_mtok) / 1e6


def by_shape(runs: Sequence[Run]) -> dict[Shape, list[Run]]:
    """Runs of each shape, shapes in ascending order."""
    grouped: dict[Shape, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.shape, run.round)):
        grouped.setdefault(run.shape, []).append(run)
    return grouped
