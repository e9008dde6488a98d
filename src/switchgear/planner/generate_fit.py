"""A generator fitted to a trace, and how well it fits.

Burstiness by moments of the gaps within windows in which the rate hardly changes; where gamma distributed gaps are off by more than
5 points, gaps are drawn from those seen (both lose their order). Hours by counts, lengths by their quantiles (or as log-normal by
moments of the logarithm), correlation by ranks (Spearman's, as the copula's: rho = 2 sin(pi r / 6); Kruskal 1958). Goodness is the
Kolmogorov-Smirnov distance between the trace and a workload generated from the fit: the largest difference between the two shares of
calls below any value, so 0.05 is five percentage points.
"""

import math

import msgspec
import numpy as np

from switchgear.planner.errors import BadWorkload
from switchgear.planner.generate import DAY_S, Generator, Lengths, generate
from switchgear.planner.simulate_model import Answer
from switchgear.planner.workload import CLASSES, Floats, Summary, Workload, summary

_FEWEST = 100
_QUANTILES = 201
_WINDOW_CALLS = 200
_CLOSE = 0.05
_GROUPS = 1000
_REPEATED = 100_000


class Goodness(msgspec.Struct, frozen=True, kw_only=True):
    """Kolmogorov-Smirnov distances between the trace and what the fit generates, and what chance alone would leave."""

    prompt_tokens: float
    output_tokens: float
    gaps: float
    by_chance: float
    """Two draws of so many calls from one distribution differ by less in 95 of 100 cases (1.36 sqrt(2 / n); Smirnov 1948)."""


class Fit(Answer, frozen=True, kw_only=True):
    """A fitted generator."""

    generator: Generator
    goodness: Goodness
    trace: Summary
    again: Summary
    """Of what the fit generates, with the seed that `inputs` names."""


def fit_generator(workload: Workload, *, seed: int = 0, lognormal: bool = False) -> Fit:
    """Fit to a trace of at least 100 calls. `lognormal` takes that shape for lengths in place of what was seen.

    What the trace shares of beginnings is not fitted. Raises BadWorkload.
    """
    if len(workload) < _FEWEST:
        raise BadWorkload(f"{workload.source} holds {len(workload)} calls; a fit needs at least {_FEWEST}")
    if workload.duration_s <= 0:
        raise BadWorkload(f"all calls of {workload.source} came at one moment; a fit needs times")
    counts = np.bincount(workload.data_class, minlength=len(CLASSES))
    gaps, burstiness = np.diff(workload.at_s), _burstiness(workload.at_s)
    generator = Generator(
        rate_per_s=len(workload) / workload.duration_s,
        duration_s=workload.duration_s,
        burstiness=burstiness,
        gaps=() if _gamma_fits(gaps, burstiness, seed) else _gap_means(gaps),
        prompt=_length_fit(workload.prompt_tokens.astype(np.float64), lognormal),
        output=_length_fit(workload.output_tokens.astype(np.float64), lognormal),
        correlation=_correlation(workload),
        hours=_hours(workload),
        classes={CLASSES[index]: float(count) for index, count in enumerate(counts) if count},
    )
    again = generate(generator, seed, f"fit to {workload.source}, seed {seed}")
    return Fit(
        generator=generator,
        goodness=Goodness(
            prompt_tokens=distance(workload.prompt_tokens.astype(np.float64), again.prompt_tokens.astype(np.float64)),
            output_tokens=distance(workload.output_tokens.astype(np.float64), again.output_tokens.astype(np.float64)),
            gaps=distance(np.diff(workload.at_s), np.diff(again.at_s)),
            by_chance=1.36 * math.sqrt(1 / len(workload) + 1 / len(again)),
        ),
        trace=summary(workload),
        again=summary(again),
        inputs={"workload": workload.source, "seed": str(seed)},
    )


def distance(one: Floats, other: Floats) -> float:
    """The Kolmogorov-Smirnov distance of two samples: 0 for the same, at most 1."""
    values = np.concatenate([one, other])
    first = np.searchsorted(np.sort(one), values, side="right") / one.size
    second = np.searchsorted(np.sort(other), values, side="right") / other.size
    return float(np.abs(first - second).max())


def _burstiness(at_s: Floats) -> float:
    """Coefficient of variation of gaps, the median over windows of 200 calls: within one the rate hardly changes."""
    gaps = np.diff(at_s)
    windows = (
        gaps[: gaps.size // _WINDOW_CALLS * _WINDOW_CALLS].reshape(-1, _WINDOW_CALLS)
        if gaps.size >= _WINDOW_CALLS
        else gaps[None]
    )
    means = windows.mean(axis=1)
    ratios = windows.std(axis=1)[means > 0] / means[means > 0]
    return float(np.clip(np.median(ratios), 0.0, 50.0)) if ratios.size else 1.0


def _gamma_fits(gaps: Floats, burstiness: float, seed: int) -> bool:
    """Whether gamma distributed gaps of that variation are within 5 points of those seen."""
    if burstiness == 0:
        return True
    shape = 1 / burstiness**2
    drawn = np.random.default_rng(seed).gamma(shape, gaps.mean() / shape, gaps.size)
    return distance(gaps, drawn) <= _CLOSE


def _gap_means(gaps: Floats) -> tuple[float, ...]:
    """Means of up to 1,000 groups of equally many gaps, in order of size: their mean stays what it was."""
    ordered = np.sort(gaps)
    if gaps.size <= _GROUPS:
        return tuple(ordered.tolist())
    if gaps.size <= _REPEATED:  # exactly equal groups: a gap at an edge counts in part on both sides
        return tuple(np.repeat(ordered, _GROUPS).reshape(_GROUPS, -1).mean(axis=1).tolist())
    return tuple(float(group.mean()) for group in np.array_split(ordered, _GROUPS))


def _length_fit(tokens: Floats, lognormal: bool) -> Lengths:
    least, most = int(tokens.min()), max(1, int(tokens.max()))
    if lognormal:
        logs = np.log(np.maximum(tokens, 1.0))
        return Lengths(median=max(1.0, float(np.exp(logs.mean()))), sigma=float(logs.std()), least=least, most=most)
    seen = np.quantile(tokens, np.linspace(0, 1, _QUANTILES))
    return Lengths(least=least, most=most, quantiles=tuple(float(value) for value in seen))


def _correlation(workload: Workload) -> float:
    ranks = [
        np.argsort(np.argsort(column)).astype(np.float64) for column in (workload.prompt_tokens, workload.output_tokens)
    ]
    if workload.prompt_tokens.std() == 0 or workload.output_tokens.std() == 0:
        return 0.0
    spearman = float(np.corrcoef(ranks[0], ranks[1])[0, 1])
    return float(np.clip(2 * math.sin(math.pi * spearman / 6), -1.0, 1.0))


def _hours(workload: Workload) -> tuple[float, ...]:
    """Relative rates; only of whole days, since part of one says nothing of the rest."""
    days = int(workload.duration_s // DAY_S)
    if not days:
        return ()
    within = workload.at_s[workload.at_s < days * DAY_S]
    counts = np.bincount((within // 3600 % 24).astype(np.int64), minlength=24)
    return tuple(float(count) for count in counts / counts.mean())
