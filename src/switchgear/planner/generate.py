"""Workloads that nobody recorded: arrivals, lengths, the course of a day and a week, sessions with a shared beginning. From a seed."""

import math
from collections.abc import Iterator
from typing import Annotated

import msgspec
import numpy as np

from switchgear.core.data_class import DataClass
from switchgear.planner.errors import BadWorkload
from switchgear.planner.workload import CLASSES, LONGEST_TOKENS, YEAR_S, Floats, Ints, Workload, workload_of

DAY_S = 86_400.0
MOST_CALLS = 200_000_000
"""Of one workload: some five gigabytes of columns. A larger site is planned by a sample of its units (`plan site`)."""
_CHUNK = 262_144
_REGULAR = 1e-3
"""Below this variation a gamma distribution is a metronome, and too steep for its generator."""


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A table of a generator's file: immutable, and an unknown key in it is an error."""


class Lengths(Part, frozen=True, kw_only=True):
    """How long prompts or answers are: log-normal, or drawn from what was seen. Raises BadWorkload."""

    median: Annotated[float, msgspec.Meta(ge=1)] = 1000.0
    """Tokens."""
    sigma: Annotated[float, msgspec.Meta(ge=0, le=10)] = 1.0
    """Of the logarithm; 0 makes all alike."""
    least: Annotated[int, msgspec.Meta(ge=0)] = 1
    most: Annotated[int, msgspec.Meta(ge=1)] = 131_072
    quantiles: tuple[float, ...] = ()
    """Lengths at evenly spaced quantiles, ascending, in place of the log-normal distribution."""

    def __post_init__(self) -> None:
        if self.least > self.most:
            raise BadWorkload(
                f"lengths from {self.least} to {self.most} cannot be; give a most that is not below least"
            )
        if any(b < a for a, b in zip(self.quantiles, self.quantiles[1:], strict=False)) or len(self.quantiles) == 1:
            raise BadWorkload("quantiles of lengths must ascend and be two or more; sort them")

    def of(self, uniform: Floats, normal: Floats) -> Ints:
        """Lengths for draws: evenly distributed ones where there are quantiles, else normal ones."""
        if self.quantiles:
            values = np.interp(uniform, np.linspace(0, 1, len(self.quantiles)), self.quantiles)
        else:
            values = self.median * np.exp(self.sigma * normal)
        return np.clip(np.rint(values), self.least, self.most).astype(np.int64)


class Generator(Part, frozen=True, kw_only=True):
    """What a workload is like. Raises BadWorkload."""

    rate_per_s: Annotated[float, msgspec.Meta(gt=0)]
    """Mean arrivals over a day; of sessions' turns together."""
    duration_s: Annotated[float, msgspec.Meta(gt=0)]
    burstiness: Annotated[float, msgspec.Meta(ge=0, le=50)] = 1.0
    """Coefficient of variation of the times between arrivals: 1 is Poisson, above it bursts (gamma distributed), 0 a metronome."""
    gaps: tuple[Annotated[float, msgspec.Meta(ge=0)], ...] = ()
    """Times between arrivals to draw from with equal chances, relative to their mean, in place of `burstiness`: what a trace had."""
    prompt: Lengths = Lengths()
    output: Lengths = Lengths(median=200.0)
    correlation: Annotated[float, msgspec.Meta(ge=-1, le=1)] = 0.0
    """Of the lengths of prompt and answer (of their normal scores: a Gaussian copula)."""
    hours: tuple[Annotated[float, msgspec.Meta(ge=0)], ...] = ()
    """Relative rate of the 24 hours of the day; even where not given. The trace begins at hour 0."""
    weekend: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    """Rate of days 6 and 7 relative to the others; the trace begins on day 1."""
    growth_per_year: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    """"times 3 in a year" is 3; the rate grows steadily from the beginning on."""
    turns: Annotated[float, msgspec.Meta(ge=1, le=1000)] = 1.0
    """Mean calls of a session (geometrically distributed). From the second on a prompt is what was said before, and more."""
    think_s: Annotated[float, msgspec.Meta(ge=0)] = 30.0
    """Mean time between two calls of a session (exponentially distributed)."""
    system_tokens: Annotated[int, msgspec.Meta(ge=0, le=LONGEST_TOKENS)] = 0
    """A beginning that all prompts share."""
    block_tokens: Annotated[int, msgspec.Meta(ge=1)] = 512
    classes: dict[DataClass, Annotated[float, msgspec.Meta(ge=0)]] = {}
    """Shares of the data classes; all internal where not given."""

    def __post_init__(self) -> None:
        if self.hours and (len(self.hours) != 24 or not sum(self.hours)):
            raise BadWorkload(f"{len(self.hours)} relative rates of hours; give 24, not all zero")
        if self.classes and not sum(self.classes.values()):
            raise BadWorkload("the shares of all data classes are zero; give at least one above it")
        if self.gaps and not sum(self.gaps):
            raise BadWorkload("all gaps are zero; give at least one above it")
        for name, value in (("rate_per_s", self.rate_per_s), ("duration_s", self.duration_s)):
            if not math.isfinite(value) or value <= 0:
                raise BadWorkload(f"{name} is {value:g}; give a number above zero")
        if self.duration_s > 100 * YEAR_S:
            raise BadWorkload(f"duration_s is {self.duration_s:g}; give seconds, and at most a hundred years of them")

    @property
    def sessions(self) -> bool:
        """Whether prompts share beginnings."""
        return self.turns > 1 or self.system_tokens > 0


def generate(generator: Generator, seed: int, source: str = "") -> Workload:
    """A whole workload. Raises BadWorkload where the draws bring no call."""
    pieces = list(generated(generator, seed, source))
    if len(pieces) == 1:
        return pieces[0]
    return workload_of(
        at_s=np.concatenate([piece.at_s for piece in pieces]),
        prompt_tokens=np.concatenate([piece.prompt_tokens for piece in pieces]),
        output_tokens=np.concatenate([piece.output_tokens for piece in pieces]),
        data_class=np.concatenate([piece.data_class for piece in pieces]),
        source=pieces[0].source,
    )


def generated(generator: Generator, seed: int, source: str = "") -> Iterator[Workload]:
    """The same in pieces, so that a year fits through; sessions come as one piece. Raises BadWorkload where there is no call."""
    name = source or f"generated with seed {seed}"
    rng = np.random.default_rng(seed)
    calls = _unrolled(generator, generator.duration_s)
    if not calls <= MOST_CALLS:
        raise BadWorkload(f"{name}: {calls:.3g} calls are more than {MOST_CALLS:,}; give less rate_per_s or duration_s")
    if generator.sessions:
        yield _with_sessions(generator, rng, name)
        return
    end, empty = _unrolled(generator, generator.duration_s), True
    at = 0.0
    while at < end:
        times = at + np.cumsum(_gaps(generator, rng, _CHUNK))
        at = float(times[-1])
        times = _rolled(generator, times[times < end])
        if not times.size:
            break
        empty = False
        prompts, outputs = _lengths(generator, rng, times.size)
        yield workload_of(
            at_s=np.minimum(times, generator.duration_s),
            prompt_tokens=prompts,
            output_tokens=outputs,
            source=name,
            data_class=_classes(generator, rng, times.size),
        )
    if empty:
        raise BadWorkload(
            f"{name}: no call in {generator.duration_s:g} s at {generator.rate_per_s:g} a second; make it longer"
        )


def _gaps(generator: Generator, rng: np.random.Generator, count: int) -> Floats:
    """Times between arrivals at a rate of 1."""
    if generator.gaps:
        return rng.choice(np.array(generator.gaps) / np.mean(generator.gaps), count)
    if generator.burstiness < _REGULAR:
        return np.ones(count)
    shape = 1 / generator.burstiness**2
    return rng.gamma(shape, 1 / shape, count)


def _lengths(generator: Generator, rng: np.random.Generator, count: int) -> tuple[Ints, Ints]:
    one, other = rng.standard_normal(count), rng.standard_normal(count)
    rho = generator.correlation
    answer = rho * one + math.sqrt(1 - rho * rho) * other
    uniform = _normal_cdf(np.concatenate([one, answer]))
    prompts = generator.prompt.of(uniform[:count], one) + generator.system_tokens
    return np.maximum(prompts, 1), generator.output.of(uniform[count:], answer)


def _normal_cdf(values: Floats) -> Floats:
    """Of the standard normal distribution, within 1e-3 of a percent (Abramowitz and Stegun, 7.1.26)."""
    x = np.abs(values) / math.sqrt(2)
    t = 1 / (1 + 0.3275911 * x)
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.where(values >= 0, 1 - 0.5 * poly * np.exp(-x * x), 0.5 * poly * np.exp(-x * x))


def _classes(generator: Generator, rng: np.random.Generator, count: int) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    if not generator.classes:
        return np.full(count, CLASSES.index(DataClass.INTERNAL), np.int8)
    shares = np.array([generator.classes.get(one, 0.0) for one in CLASSES])
    return rng.choice(len(CLASSES), count, p=shares / shares.sum()).astype(np.int8)


def _grid(generator: Generator) -> tuple[Floats, Floats]:
    """Times, hour by hour, and arrivals expected until then (time-rescaling: Brown et al., Neural Computation 14, 2002)."""
    steps = math.ceil(generator.duration_s / 3600.0)
    begins = np.arange(steps) * 3600.0
    ends = np.minimum(begins + 3600.0, generator.duration_s)
    hours = np.array(generator.hours or (1.0,) * 24)
    shape = hours[(begins // 3600 % 24).astype(int)] / hours.mean()
    days = np.where(begins // DAY_S % 7 >= 5, generator.weekend, 1.0)
    with np.errstate(over="ignore"):  # infinitely many calls are refused as too many
        growth = generator.growth_per_year ** ((begins + ends) / 2 / YEAR_S)
        expected = np.concatenate([[0.0], np.cumsum(generator.rate_per_s * shape * days * growth * (ends - begins))])
    return np.concatenate([begins, [generator.duration_s]]), expected


def _unrolled(generator: Generator, at_s: float) -> float:
    """Arrivals expected until a time."""
    return float(np.interp(at_s, *_grid(generator)))


def _rolled(generator: Generator, expected: Floats) -> Floats:
    """The times by which so many arrivals are expected."""
    times, until = _grid(generator)
    return np.interp(expected, until, times)


def _with_sessions(generator: Generator, rng: np.random.Generator, name: str) -> Workload:
    """Sessions begin as calls would; each goes on for a few turns, and each turn's prompt begins with all that was said before."""
    count = max(16, int(_unrolled(generator, generator.duration_s) / generator.turns * 1.5) + 64)
    begins = np.cumsum(_gaps(generator, rng, count)) * generator.turns
    begins = _rolled(generator, begins[begins < _unrolled(generator, generator.duration_s)])
    turns = rng.geometric(1 / generator.turns, begins.size)
    total = int(turns.sum())
    new, outputs = _lengths(generator, rng, total)
    new -= generator.system_tokens
    waits = rng.exponential(generator.think_s, total)
    at, prompts, blocks, next_block, row = np.zeros(total), np.zeros(total, np.int64), [], 0, 0
    shared = generator.system_tokens // generator.block_tokens
    next_block = shared
    for begin_s, length in zip(begins.tolist(), turns.tolist(), strict=True):
        said, moment, own = generator.system_tokens, begin_s, list(range(shared))
        for turn in range(row, row + length):
            moment += float(waits[turn]) if turn > row else 0.0
            said = min(said + int(new[turn]), generator.prompt.most)
            while len(own) < said // generator.block_tokens:
                own.append(next_block)
                next_block += 1
            at[turn], prompts[turn] = moment, max(1, said)
            blocks.append(own[: said // generator.block_tokens])
            said += int(outputs[turn])
        row += length
    kept = np.argsort(at, kind="stable")
    kept = kept[at[kept] < generator.duration_s]
    return workload_of(
        at_s=at[kept],
        prompt_tokens=prompts[kept],
        output_tokens=outputs[kept],
        source=name,
        data_class=_classes(generator, rng, kept.size),
        blocks=[blocks[index] for index in kept],
        block_tokens=generator.block_tokens,
    )
