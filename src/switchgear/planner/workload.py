"""Calls as columns: when each came, how long its prompt and answer are, what it carries, which beginning it shares with others.

A shared beginning is said by the hashes of its blocks, as vLLM's prefix cache and Mooncake's trace have it: two prompts that begin with the
same block ids begin with the same text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from switchgear.core.data_class import DataClass
from switchgear.planner.errors import BadWorkload

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CLASSES = tuple(DataClass)
"""A call's data class is kept as its place in this tuple."""
LONGEST_TOKENS = 100_000_000
"""A prompt or answer above this is a unit mistaken (characters, bytes), not a length."""
YEAR_S = 365.25 * 86_400.0


def _no_ints() -> Ints:
    return np.zeros(0, dtype=np.int64)


class Caller(NamedTuple):
    """What policies may ask of a call beside its data class. Empty: it does not say."""

    principal: str = ""
    team: str = ""
    model: str = ""
    """The name called, an alias."""
    class_told: bool = True
    """Whether the call's data class is known; where it is not, what the workload says of it is an assumption."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Calls in order of arrival. Made by `workload_of`, which checks them; what is made otherwise is not checked again."""

    at_s: Floats
    """Seconds since the first moment of the trace, ascending."""
    prompt_tokens: Ints
    output_tokens: Ints
    """0: the call ends with its prompt (an embedding)."""
    data_class: NDArray[np.int8]
    """Place in `CLASSES`."""
    source: str
    """Where the calls come from: a file, a journal, a generator and its seed."""
    block_tokens: int = 512
    """Tokens of one block of a shared beginning."""
    block_ids: Ints = field(default_factory=_no_ints)
    """Blocks of all prompts, one after the other; empty where nothing is known of shared beginnings."""
    block_ends: Ints = field(default_factory=_no_ints)
    """For call i its blocks are block_ids[block_ends[i]:block_ends[i + 1]]; one longer than the calls, or empty."""
    callers: tuple[Caller, ...] = (Caller(),)
    """Each who called, once."""
    caller: Ints = field(default_factory=_no_ints)
    """Place in `callers`, of each call; empty where there is only one."""

    def __len__(self) -> int:
        return int(self.at_s.size)

    @property
    def duration_s(self) -> float:
        """From the first moment of the trace to the last arrival."""
        return float(self.at_s[-1]) if len(self) else 0.0

    @property
    def shares_prefixes(self) -> bool:
        return self.block_ids.size > 0

    def part(self, start: int, stop: int) -> "Workload":
        """Calls `start` to `stop` with their times unchanged."""
        ends = self.block_ends[start : stop + 1] if self.shares_prefixes else self.block_ends
        ids = self.block_ids[ends[0] : ends[-1]] if self.shares_prefixes else self.block_ids
        return replace(
            self,
            at_s=self.at_s[start:stop],
            prompt_tokens=self.prompt_tokens[start:stop],
            output_tokens=self.output_tokens[start:stop],
            data_class=self.data_class[start:stop],
            block_ids=ids,
            block_ends=ends - ends[0] if self.shares_prefixes else ends,
            caller=self.caller[start:stop],
        )

    def parts(self, size: int = 262_144) -> Iterator["Workload"]:
        """The same calls in pieces, for what streams."""
        for start in range(0, len(self), size):
            yield self.part(start, min(start + size, len(self)))

    def between(self, start_s: float, end_s: float) -> "Workload":
        """Calls from `start_s` to before `end_s`, with times from `start_s` on. Raises BadWorkload where there is none."""
        first, last = np.searchsorted(self.at_s, (start_s, end_s))
        if first == last:
            raise BadWorkload(
                f"no call of {self.source} lies between {start_s:g} s and {end_s:g} s; it lasts {self.duration_s:g} s"
            )
        cut = self.part(int(first), int(last))
        return replace(cut, at_s=cut.at_s - start_s, source=f"{self.source}, {start_s:g} s to {end_s:g} s")


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a workload is like."""

    source: str
    calls: int
    duration_s: float
    rate_per_s: float
    peak_rate_per_s: float
    """Of the busiest minute; of the whole where it is shorter than one."""
    interarrival_cv: float
    """Coefficient of variation of the times between arrivals; 1 for Poisson."""
    prompt_tokens_median: float
    prompt_tokens_mean: float
    prompt_tokens_p99: float
    output_tokens_median: float
    output_tokens_mean: float
    output_tokens_p99: float
    classes: dict[str, int]
    """Calls of each data class."""
    shared_prefix_share: float
    """Of the prompt tokens, those in blocks that an earlier call of the workload had at the same place: the most that a cache can hit."""


def workload_of(
    *,
    at_s: ArrayLike,
    prompt_tokens: ArrayLike,
    output_tokens: ArrayLike,
    source: str,
    data_class: ArrayLike | None = None,
    blocks: Sequence[Sequence[int]] | None = None,
    block_tokens: int = 512,
    callers: Sequence[Caller] = (),
) -> Workload:
    """A checked workload. Raises BadWorkload with what is wrong, where, and what to do."""
    times = np.ascontiguousarray(at_s, dtype=np.float64)
    prompts = _counts("prompt_tokens", prompt_tokens, source)
    outputs = _counts("output_tokens", output_tokens, source)
    classes = np.zeros(times.size, np.int8) if data_class is None else np.ascontiguousarray(data_class, dtype=np.int8)
    if not times.size:
        raise BadWorkload(f"{source} holds no call; give a trace with at least one, or generate a workload")
    for name, column in (("prompt_tokens", prompts), ("output_tokens", outputs), ("data_class", classes)):
        if column.shape != times.shape:
            raise BadWorkload(f"{source}: {column.size} {name} for {times.size} arrivals; give one for each")
    _check_times(times, source)
    _first_bad(prompts < 1, "prompt_tokens", prompts, source, "at least 1")
    _first_bad((classes < 0) | (classes >= len(CLASSES)), "data_class", classes, source, f"0 to {len(CLASSES) - 1}")
    ids, ends = _flat(blocks, times.size, source)
    if block_tokens < 1:
        raise BadWorkload(f"{source}: block_tokens is {block_tokens}; give the tokens of one block, 512 for Mooncake")
    known, caller = _known(callers, times.size, source)
    return Workload(times, prompts, outputs, classes, source, block_tokens, ids, ends, known, caller)


def scaled(workload: Workload, factor: float) -> Workload:
    """The same calls in less time: `factor` times the rate, lengths and order unchanged. Raises BadWorkload.

    Bursts get closer with all the rest, so the shape of the day shrinks too; a fitted generator (`generate`) keeps the day.
    """
    if not 0 < factor < 1e6:
        raise BadWorkload(f"a load of {factor:g} times cannot be; give a factor above 0, for example 3")
    source = f"{workload.source}, rate x {factor:g}"
    with np.errstate(over="ignore"):
        times = workload.at_s / factor
    _check_times(times, source)
    return replace(workload, at_s=times, source=source)


def grown(factor_per_year: float, years: float) -> float:
    """The factor after `years` of growth: "times 3 in a year" is 3 after one, 1.73 after half of one. Raises BadWorkload."""
    if not 0 < factor_per_year < 1e6 or not 0 <= years <= 100:
        raise BadWorkload(
            f"times {factor_per_year:g} a year for {years:g} years cannot be; give a factor above 0 and up to 100 years"
        )
    return float(factor_per_year**years)


def merged(workloads: Sequence[Workload], source: str = "") -> Workload:
    """Several workloads as one, in order of arrival. Raises BadWorkload where there is none, or where blocks differ in size."""
    if not workloads:
        raise BadWorkload("no workload to merge; give at least one")
    sharing = [one for one in workloads if one.shares_prefixes]
    if len({one.block_tokens for one in sharing}) > 1:
        raise BadWorkload("the workloads' blocks differ in size; bring them to one block_tokens first")
    times = np.concatenate([one.at_s for one in workloads])
    order = np.argsort(times, kind="stable")
    blocks: list[Sequence[int]] | None = None
    if sharing:
        offset, blocks = 0, []
        for one in workloads:  # ids of two traces mean different texts
            blocks += [(row + offset).tolist() for row in _rows(one)]
            offset += int(one.block_ids.max(initial=0)) + 1
        blocks = [blocks[index] for index in order]
    return workload_of(
        at_s=times[order],
        prompt_tokens=np.concatenate([one.prompt_tokens for one in workloads])[order],
        output_tokens=np.concatenate([one.output_tokens for one in workloads])[order],
        data_class=np.concatenate([one.data_class for one in workloads])[order],
        source=source or " and ".join(one.source for one in workloads),
        blocks=blocks,
        block_tokens=sharing[0].block_tokens if sharing else 512,
        callers=_callers_of(workloads, order),
    )


def summary(workload: Workload) -> Summary:
    """What a workload is like. Raises BadWorkload for an empty one."""
    if not len(workload):
        raise BadWorkload(f"{workload.source} holds no call; there is nothing to sum up")
    gaps = np.diff(workload.at_s)
    duration_s = workload.duration_s
    minutes = np.bincount((workload.at_s // 60.0).astype(np.int64)) if duration_s >= 60 else None
    rate = len(workload) / duration_s if duration_s > 0 else float(len(workload))
    median, p99 = (np.percentile((workload.prompt_tokens, workload.output_tokens), at, axis=1) for at in (50, 99))
    counts = np.bincount(workload.data_class, minlength=len(CLASSES))
    return Summary(
        source=workload.source,
        calls=len(workload),
        duration_s=duration_s,
        rate_per_s=rate,
        peak_rate_per_s=float(minutes.max()) / 60.0 if minutes is not None else rate,
        interarrival_cv=float(gaps.std() / gaps.mean()) if gaps.size and gaps.mean() > 0 else 0.0,
        prompt_tokens_median=float(median[0]),
        prompt_tokens_mean=float(workload.prompt_tokens.mean()),
        prompt_tokens_p99=float(p99[0]),
        output_tokens_median=float(median[1]),
        output_tokens_mean=float(workload.output_tokens.mean()),
        output_tokens_p99=float(p99[1]),
        classes={str(CLASSES[index]): int(count) for index, count in enumerate(counts) if count},
        shared_prefix_share=_shared(workload),
    )


def _shared(workload: Workload) -> float:
    seen: set[int] = set()
    hits = 0
    for row, prompt in zip(_rows(workload), workload.prompt_tokens.tolist(), strict=False):
        for index, block in enumerate(row.tolist()):
            if block not in seen:
                break
            hits += min(workload.block_tokens, prompt - index * workload.block_tokens)
        seen.update(row.tolist())
    return hits / float(workload.prompt_tokens.sum())


def _rows(workload: Workload) -> list[Ints]:
    if not workload.shares_prefixes:
        return [_no_ints()] * len(workload)
    return np.split(workload.block_ids, workload.block_ends[1:-1])


def _known(callers: Sequence[Caller], calls: int, source: str) -> tuple[tuple[Caller, ...], Ints]:
    if not callers:
        return (Caller(),), _no_ints()
    if len(callers) not in (1, calls):
        raise BadWorkload(f"{source}: {len(callers)} callers for {calls} calls; give one for each, or one for all")
    places = {caller: place for place, caller in enumerate(dict.fromkeys(callers))}
    if len(places) == 1:
        return tuple(places), _no_ints()
    return tuple(places), np.fromiter((places[caller] for caller in callers), np.int64, calls)


def _callers_of(workloads: Sequence[Workload], order: Ints) -> list[Caller]:
    if len({caller for one in workloads for caller in one.callers}) == 1:
        return [workloads[0].callers[0]]
    each = [
        one.callers[place]
        for one in workloads
        for place in (one.caller.tolist() if one.caller.size else [0] * len(one))
    ]
    return [each[place] for place in order.tolist()]


def _flat(blocks: Sequence[Sequence[int]] | None, calls: int, source: str) -> tuple[Ints, Ints]:
    if blocks is None:
        return _no_ints(), _no_ints()
    if len(blocks) != calls:
        raise BadWorkload(f"{source}: blocks of {len(blocks)} prompts for {calls} calls; give a list for each")
    ends = np.zeros(calls + 1, dtype=np.int64)
    np.cumsum([len(row) for row in blocks], out=ends[1:])
    try:
        ids = np.fromiter((block for row in blocks for block in row), dtype=np.int64, count=int(ends[-1]))
    except OverflowError as error:
        raise BadWorkload(f"{source}: a block id does not fit into 63 bits; number the blocks from 0 on") from error
    if ids.size and ids.min() < 0:
        raise BadWorkload(f"{source}: a block id is negative; give ids from 0 on")
    return (ids, ends) if ids.size else (_no_ints(), _no_ints())


def _counts(name: str, values: ArrayLike, source: str) -> Ints:
    column = np.asarray(values)
    if column.dtype.kind == "f":
        _first_bad(
            ~np.isfinite(column) | (column != np.floor(column)), name, column, source, "a whole number of tokens"
        )
    elif column.dtype.kind not in "iu" and column.size:
        raise BadWorkload(f"{source}: {name} are no numbers; give whole numbers of tokens")
    _first_bad(column < 0, name, column, source, "a number of tokens that is not negative")
    _first_bad(column > LONGEST_TOKENS, name, column, source, "tokens, not characters or bytes")
    return np.ascontiguousarray(column, dtype=np.int64)


def _check_times(times: Floats, source: str) -> None:
    _first_bad(~np.isfinite(times), "at_s", times, source, "seconds")
    back = np.flatnonzero(np.diff(times) < 0)
    if back.size:
        row = int(back[0]) + 1
        raise BadWorkload(
            f"{source}: call {row} came at {times[row]:g} s, before the one ahead of it ({times[row - 1]:g} s); sort the calls by arrival"
        )
    _first_bad(times < 0, "at_s", times, source, "seconds since the beginning of the trace, not before it")
    if times[-1] > 100 * YEAR_S:
        raise BadWorkload(
            f"{source}: it lasts {times[-1] / YEAR_S:,.5g} years; give seconds since its beginning, not since 1970 and not milliseconds"
        )


def _first_bad(bad: NDArray[np.bool_], name: str, column: NDArray[np.generic], source: str, expected: str) -> None:
    rows = np.flatnonzero(bad)
    if rows.size:
        row = int(rows[0])
        raise BadWorkload(f"{source}: {name} of call {row} is {column[row]}; give {expected}")
