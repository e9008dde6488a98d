"""Continuous batching with a limited KV cache, in virtual time.

Iteration-level scheduling after Yu et al., "Orca" (OSDI 2022): sequences join and leave between steps. The KV cache is kept in blocks of
16 tokens and taken as a sequence grows; when none is free the sequence that came last is pushed out and later computed anew (Kwon et al.,
"Efficient Memory Management for Large Language Model Serving with PagedAttention", SOSP 2023, section 4.5). Prompts are taken in by
chunks beside the decoding sequences, which go first (Agrawal et al., "Sarathi-Serve", OSDI 2024), up to a budget of tokens a step.

A step lasts as long as the roofline says for what is in it. Prompts that share a beginning share nothing here: there is no prefix cache.
"""

import collections
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from switchgear.emulator.errors import EmulatorError
from switchgear.hardware.roofline import Placement, StepCost, StepLoad, kv_capacity_tokens

BLOCK_TOKENS = 16

Pace = Callable[[StepCost, StepLoad, float], float]
"""How long a step lasts that begins at a time: what a device makes of the roofline when it is hot, or short of power."""


class Emission(NamedTuple):
    """A sequence has `tokens` tokens now; `ended` when there will be no more; `lost` where that is because the device went off."""

    sequence: int
    tokens: int
    ended: bool
    at_s: float
    lost: bool = False


class Load(NamedTuple):
    """What an engine is busy with."""

    running: int
    waiting: int
    kv_used_tokens: int
    kv_capacity_tokens: int
    preemptions: int


class Engine(Protocol):
    """Produces tokens in virtual time. Times are seconds of that time and never go back from one call to the next.

    `submit` raises `ApiError` (429) where a rate limit refuses the sequence.
    """

    def submit(self, sequence: int, prompt_tokens: int, output_tokens: int, now_s: float) -> None:
        """Queue a sequence; with `output_tokens` 0 it ends when its prompt is taken in."""
        ...

    def cancel(self, sequence: int) -> None:
        """Forget a sequence; its place is free at once. Unknown ones are ignored."""
        ...

    def next_s(self) -> float | None:
        """When something will happen next, or None while there is nothing to do."""
        ...

    def advance(self, now_s: float, most: int = 256) -> list[Emission]:
        """Do what is due by `now_s`, at most `most` steps of it, in order."""
        ...

    def load(self) -> Load:
        """How busy it is."""
        ...


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What one step may hold; the defaults are vLLM's for an online server."""

    sequences: int = 256
    step_tokens: int = 2048


class _Sequence:
    __slots__ = ("blocks", "computed", "generated", "key", "output_tokens", "prompt_tokens")

    def __init__(self, key: int, prompt_tokens: int, output_tokens: int) -> None:
        self.key = key
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        self.generated = 0
        self.computed = 0
        """Tokens in the cache."""
        self.blocks = 0

    @property
    def known(self) -> int:
        """Tokens that must be in the cache before the next can be sampled."""
        return self.prompt_tokens + self.generated

    @property
    def decoding(self) -> bool:
        """Whether only the token sampled last is still to be computed."""
        return self.generated > 0 and self.computed == self.known - 1


class _Step(NamedTuple):
    ends_s: float
    decodes: list[_Sequence]
    chunks: list[tuple[_Sequence, int]]


def _blocks(tokens: int) -> int:
    return -(-tokens // BLOCK_TOKENS)


def by_roofline(cost: StepCost, load: StepLoad, begins_s: float) -> float:
    """The pace of a device that is well: the roofline's time, whenever the step begins."""
    return float(cost.step_s(load))


class BatchEngine:
    """One model on one place seen from inside. An `Engine`."""

    def __init__(self, placement: Placement, limits: BatchLimits | None = None, pace: Pace = by_roofline) -> None:
        self._cost = StepCost.of(placement)
        self._pace = pace
        self._limits = limits or BatchLimits()
        self._capacity_blocks = kv_capacity_tokens(placement) // BLOCK_TOKENS
        self._free_blocks = self._capacity_blocks
        self._waiting: collections.deque[_Sequence] = collections.deque()
        self._running: list[_Sequence] = []
        self._step: _Step | None = None
        self._idle_since_s = 0.0
        self._preemptions = 0

    @property
    def longest_sequence_tokens(self) -> int:
        """Tokens of the longest sequence that the cache can hold alone."""
        return self._capacity_blocks * BLOCK_TOKENS

    def submit(self, sequence: int, prompt_tokens: int, output_tokens: int, now_s: float) -> None:
        if prompt_tokens + output_tokens > self.longest_sequence_tokens:
            raise EmulatorError(
                f"a sequence of {prompt_tokens + output_tokens} tokens never fits a KV cache of {self.longest_sequence_tokens}; "
                f"check lengths against longest_sequence_tokens first"
            )
        if self._step is None and not self._waiting:
            self._idle_since_s = max(self._idle_since_s, now_s)
        self._waiting.append(_Sequence(sequence, max(1, prompt_tokens), output_tokens))

    def cancel(self, sequence: int) -> None:
        for one in self._running:
            if one.key == sequence:
                self._release(one)
                self._running.remove(one)
                return
        self._waiting = collections.deque(one for one in self._waiting if one.key != sequence)

    def next_s(self) -> float | None:
        if self._step is not None:
            return self._step.ends_s
        return self._idle_since_s if self._waiting or self._running else None

    def advance(self, now_s: float, most: int = 256) -> list[Emission]:
        emissions: list[Emission] = []
        for _ in range(most):
            if self._step is None and not self._begin(now_s):
                break
            step = self._step
            if step is None or step.ends_s > now_s:
                break
            emissions.extend(self._end(step))
        return emissions

    def clear(self) -> list[int]:
        """Forget every sequence, the step under way too; their keys, in order of their coming."""
        lost = [one.key for one in (*self._running, *self._waiting)]
        for one in self._running:
            self._release(one)
        self._running.clear()
        self._waiting.clear()
        self._step = None
        return lost

    def load(self) -> Load:
        return Load(
            running=len(self._running),
            waiting=len(self._waiting),
            kv_used_tokens=(self._capacity_blocks - self._free_blocks) * BLOCK_TOKENS,
            kv_capacity_tokens=self.longest_sequence_tokens,
            preemptions=self._preemptions,
        )

    def _begin(self, now_s: float) -> bool:
        """Start the next step; False where there is nothing to do by `now_s`."""
        if self._idle_since_s > now_s or not (self._waiting or self._running):
            return False
        decodes = self._grow([one for one in self._running if one.decoding])
        budget = self._limits.step_tokens - len(decodes)
        chunks = self._take_in([one for one in self._running if not one.decoding], budget)
        budget -= sum(size for _, size in chunks)
        chunks += self._take_in(self._admit(budget), budget)
        duration_s = self._pace(self._cost, _step_load(decodes, chunks), self._idle_since_s)
        self._step = _Step(self._idle_since_s + duration_s, decodes, chunks)
        return True

    def _grow(self, decoding: list[_Sequence]) -> list[_Sequence]:
        """Give each its room for one more token, pushing out the latest comers where there is none."""
        pushed_out: set[int] = set()
        for one in decoding:
            while one.key not in pushed_out and not self._reserve(one, one.known):
                latest = self._running[-1]
                self._preempt(latest)
                pushed_out.add(latest.key)
        return [one for one in decoding if one.key not in pushed_out] if pushed_out else decoding

    def _preempt(self, one: _Sequence) -> None:
        self._release(one)
        self._running.remove(one)
        one.computed = 0
        self._waiting.appendleft(one)
        self._preemptions += 1

    def _admit(self, budget: int) -> list[_Sequence]:
        """Let the first in the queue in, as long as there are seats, tokens in the step and room for the whole prompt."""
        admitted: list[_Sequence] = []
        while self._waiting and budget > 0 and len(self._running) < self._limits.sequences:
            one = self._waiting[0]
            if not self._reserve(one, one.known):
                break
            self._waiting.popleft()
            self._running.append(one)
            admitted.append(one)
            budget -= one.known
        return admitted

    def _take_in(self, prompts: Iterable[_Sequence], budget: int) -> list[tuple[_Sequence, int]]:
        chunks: list[tuple[_Sequence, int]] = []
        for one in prompts:
            size = min(one.known - one.computed, budget)
            if size <= 0:
                break
            chunks.append((one, size))
            budget -= size
        return chunks

    def _reserve(self, one: _Sequence, tokens: int) -> bool:
        more = _blocks(tokens) - one.blocks
        if more > self._free_blocks:
            return False
        if more > 0:
            self._free_blocks -= more
            one.blocks += more
        return True

    def _release(self, one: _Sequence) -> None:
        self._free_blocks += one.blocks
        one.blocks = 0

    def _end(self, step: _Step) -> list[Emission]:
        self._step = None
        self._idle_since_s = step.ends_s
        emissions: list[Emission] = []
        for one in step.decodes:
            one.computed += 1
            emissions.append(self._sample(one, step.ends_s))
        for one, size in step.chunks:
            one.computed += size
            if one.computed == one.known:
                emissions.append(self._sample(one, step.ends_s))
        left = {emission.sequence for emission in emissions if emission.ended}
        present = {one.key for one in self._running}
        for one in self._running:
            if one.key in left:
                self._release(one)
        self._running = [one for one in self._running if one.key not in left]
        return [emission for emission in emissions if emission.sequence in present]

    def _sample(self, one: _Sequence, at_s: float) -> Emission:
        if one.generated < one.output_tokens:
            one.generated += 1
        return Emission(one.key, one.generated, one.generated >= one.output_tokens, at_s)


def _step_load(decodes: list[_Sequence], chunks: list[tuple[_Sequence, int]]) -> StepLoad:
    """A decoding sequence attends to what is cached and to its newest token; a chunk to what is cached, its predecessors and itself."""
    return StepLoad(
        decodes=len(decodes),
        context_tokens=sum(one.known for one in decodes),
        prefill_tokens=sum(size for _, size in chunks),
        prefill_pairs=sum(size * one.computed + size * (size + 1) // 2 for one, size in chunks),
        prefill_context_tokens=sum(one.computed for one, _ in chunks),
        prefills_ended=sum(one.computed + size == one.known for one, size in chunks),
    )
