"""One unit of the detailed simulation: continuous batching, every step by itself.

The same rules as the emulator's engine (its module says whose they are), and a prefix cache. tests/planner/test_simulate_batch.py holds the
two to the same times.
"""

import collections
from dataclasses import dataclass, field

from switchgear.hardware.roofline import StepCost, StepLoad
from switchgear.planner.fleet_physics import BLOCK_TOKENS


@dataclass(eq=False, slots=True)
class Sequence:
    """One attempt at a unit."""

    prompt_tokens: int
    output_tokens: int
    blocks_of_prompt: tuple[int, ...] = ()
    cached_tokens: int = 0
    generated: int = 0
    computed: int = 0
    """Tokens in the cache."""
    blocks: int = 0
    submitted_s: float = 0.0
    admitted_s: float | None = None
    given_up: bool = False
    """Nobody waits for it any more; it leaves at the end of the step."""

    @property
    def known(self) -> int:
        """Tokens that must be in the cache before the next can be sampled."""
        return self.prompt_tokens + self.generated

    @property
    def decoding(self) -> bool:
        """Whether only the token sampled last is still to be computed."""
        return self.generated > 0 and self.computed == self.known - 1


@dataclass(slots=True)
class Counts:
    """What a unit did."""

    arithmetic_s: float = 0.0
    memory_s: float = 0.0
    busy_s: float = 0.0
    batch_s: float = 0.0
    least_free: int = 0
    preemptions: int = 0
    tokens_in: int = 0
    tokens_hit: int = 0
    tokens_out: int = 0


@dataclass(slots=True)
class Step:
    """What is being computed."""

    start_s: float
    end_s: float
    arithmetic_s: float
    memory_s: float
    decodes: list[Sequence]
    chunks: list[tuple[Sequence, int]]


@dataclass(slots=True)
class Ended:
    """What a step brought: sequences that have their first token, and those that have all."""

    started: list[Sequence] = field(default_factory=list)
    finished: list[Sequence] = field(default_factory=list)


class Unit:
    """One replica. The caller moves the time: `begin` at a boundary, `end` when the step that it started is over."""

    def __init__(self, cost: StepCost, kv_blocks: int, max_batch: int, step_tokens: int, weak: float = 1.0) -> None:
        self.slow = 1.0
        self.weak = weak
        self.clock = 1.0
        self.load = 0
        """Attempts that it was given and that are not over."""
        self.down = False
        self.step: Step | None = None
        self.counts = Counts(least_free=kv_blocks)
        self._cost = cost
        self._capacity = kv_blocks
        self._max_batch = max_batch
        self._step_tokens = step_tokens
        self._free = kv_blocks
        self._waiting: collections.deque[Sequence] = collections.deque()
        self._running: list[Sequence] = []
        self._written = 0
        self._marks: dict[int, int] = {}
        """What was written to the cache when it last had a block of a prompt."""

    def submit(self, one: Sequence, block_tokens: int, now_s: float) -> None:
        """Queue an attempt; begin a step if there is none."""
        one.submitted_s = now_s
        one.cached_tokens = min(one.prompt_tokens, block_tokens * self._hits(one.blocks_of_prompt))
        self._waiting.append(one)
        if self.step is None:
            self.begin(now_s)

    def give_up(self, one: Sequence) -> None:
        """Take an attempt back. One that is in the batch leaves at the end of the step."""
        if one in self._waiting:
            self._waiting.remove(one)
        else:
            one.given_up = True

    def wipe(self, now_s: float) -> None:
        """It went off: what it had under way and its cache are gone."""
        counts = self.counts
        before_s = counts.busy_s
        counts.arithmetic_s, counts.memory_s, counts.busy_s = self.activity(now_s)
        counts.batch_s += (counts.busy_s - before_s) * len(self._running)
        self._waiting.clear()
        self._running.clear()
        self.step = None
        self.load = 0
        self._free = self._capacity
        self._marks.clear()

    def begin(self, now_s: float) -> None:
        """Start the next step, if there is something to do."""
        self.step = None
        if not (self._waiting or self._running):
            return
        decodes = self._grow([one for one in self._running if one.decoding])
        budget = self._step_tokens - len(decodes)
        chunks = self._take_in([one for one in self._running if not one.decoding], budget)
        budget -= sum(size for _, size in chunks)
        chunks += self._take_in(self._admit(budget, now_s), budget)
        self.counts.least_free = min(self.counts.least_free, self._free)
        if not decodes and not chunks:
            return
        load = _load(decodes, chunks)
        arithmetic_s = self._cost.arithmetic_s(load) / self.clock
        memory_s = self._cost.traffic_s(load)
        lasts_s = (max(arithmetic_s, memory_s) + self._cost.overhead_s(load)) * self.slow * self.weak
        factor = self.slow * self.weak
        self.step = Step(now_s, now_s + lasts_s, arithmetic_s * factor, memory_s * factor, decodes, chunks)

    def end(self, now_s: float) -> Ended:
        """The step is over. Begin the next one after what ended was dealt with."""
        step, ended = self.step, Ended()
        if step is None:
            return ended
        self._count(step)
        for one in step.decodes:
            one.computed += 1
            self._sample(one, ended)
        for one, size in step.chunks:
            one.computed += size
            self._written += size
            if one.computed == one.known:
                self.counts.tokens_out += one.generated < one.output_tokens
                for block in () if one.given_up else one.blocks_of_prompt:
                    self._marks[block] = self._written
                self._sample(one, ended)
        over = {id(one) for one in ended.finished} | {id(one) for one in self._running if one.given_up}
        for one in self._running:
            if id(one) in over:
                self._written += one.output_tokens if one.generated >= one.output_tokens > 1 else 0
                self._release(one)
        self._running = [one for one in self._running if id(one) not in over]
        ended.started = [one for one in ended.started if not one.given_up]
        ended.finished = [one for one in ended.finished if not one.given_up]
        self.step = None
        return ended

    def activity(self, now_s: float) -> tuple[float, float, float]:
        """Seconds until now that arithmetic was busy, that memory was, and that it computed; the step under way in part."""
        counts, step = self.counts, self.step
        if step is None:
            return counts.arithmetic_s, counts.memory_s, counts.busy_s
        lasts_s = step.end_s - step.start_s
        part = min(1.0, (now_s - step.start_s) / lasts_s)
        return (
            counts.arithmetic_s + part * step.arithmetic_s,
            counts.memory_s + part * step.memory_s,
            counts.busy_s + part * lasts_s,
        )

    def _count(self, step: Step) -> None:
        counts, lasted_s = self.counts, step.end_s - step.start_s
        counts.arithmetic_s += step.arithmetic_s
        counts.memory_s += step.memory_s
        counts.busy_s += lasted_s
        counts.batch_s += lasted_s * len(self._running)
        counts.tokens_in += sum(size for _, size in step.chunks)
        counts.tokens_out += len(step.decodes)

    def _sample(self, one: Sequence, ended: Ended) -> None:
        first = one.generated == 0
        if one.generated < one.output_tokens:
            one.generated += 1
        if first:
            ended.started.append(one)
        if one.generated >= one.output_tokens:
            ended.finished.append(one)

    def _hits(self, blocks: tuple[int, ...]) -> int:
        hits, room = 0, self._free * BLOCK_TOKENS
        for block in blocks:
            mark = self._marks.get(block)
            if mark is None or self._written - mark > room:
                break
            hits += 1
        return hits

    def _grow(self, decoding: list[Sequence]) -> list[Sequence]:
        """Give each its room for one more token, pushing out the latest comers where there is none."""
        pushed_out: set[int] = set()
        for one in decoding:
            while id(one) not in pushed_out and not self._reserve(one, one.known):
                latest = self._running.pop()
                self._release(latest)
                latest.computed = 0
                self._waiting.appendleft(latest)
                self.counts.preemptions += 1
                pushed_out.add(id(latest))
        return [one for one in decoding if id(one) not in pushed_out] if pushed_out else decoding

    def _admit(self, budget: int, now_s: float) -> list[Sequence]:
        """Let the first in the queue in while there are seats, tokens in the step and room for the whole prompt."""
        admitted: list[Sequence] = []
        while self._waiting and budget > 0 and len(self._running) < self._max_batch:
            one = self._waiting[0]
            if not self._reserve(one, one.known):
                break
            self._running.append(self._waiting.popleft())
            one.computed = min(one.cached_tokens, one.known - 1)
            self.counts.tokens_hit += one.computed
            if one.admitted_s is None:
                one.admitted_s = now_s
            admitted.append(one)
            budget -= one.known - one.computed
        return admitted

    def _take_in(self, prompts: list[Sequence], budget: int) -> list[tuple[Sequence, int]]:
        chunks: list[tuple[Sequence, int]] = []
        for one in prompts:
            size = min(one.known - one.computed, budget)
            if size <= 0:
                break
            chunks.append((one, size))
            budget -= size
        return chunks

    def _reserve(self, one: Sequence, tokens: int) -> bool:
        more = -(-tokens // BLOCK_TOKENS) - one.blocks
        if more > self._free:
            return False
        if more > 0:
            self._free -= more
            one.blocks += more
        return True

    def _release(self, one: Sequence) -> None:
        self._free += one.blocks
        one.blocks = 0


def _load(decodes: list[Sequence], chunks: list[tuple[Sequence, int]]) -> StepLoad:
    return StepLoad(
        decodes=len(decodes),
        context_tokens=sum(one.known for one in decodes),
        prefill_tokens=sum(size for _, size in chunks),
        prefill_pairs=sum(size * one.computed + size * (size + 1) // 2 for one, size in chunks),
        prefill_context_tokens=sum(one.computed for one, _ in chunks),
        prefills_ended=sum(one.computed + size == one.known for one, size in chunks),
    )
