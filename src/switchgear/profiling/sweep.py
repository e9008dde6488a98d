"""Runs a design against a backend, within its bounds."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from switchgear.core.clock import Clock
from switchgear.profiling.caller import Caller, Refused
from switchgear.profiling.design import Design
from switchgear.profiling.errors import BadSweep, NoAnswer
from switchgear.profiling.model import Bounds, Price, Run, Shape
from switchgear.profiling.prompts import FALLBACK_BYTES_PER_TOKEN, Scale, measured_scale, text

_SHORT_WORDS, _LONG_WORDS = 16, 64
_MOST_FAILURES = 5
_LONGEST_WAIT_S = 10.0


@dataclass
class Swept:
    """What came of a sweep."""

    runs: list[Run] = field(default_factory=list)
    seconds: float = 0.0
    prompt_tokens: int = 0
    output_tokens: int = 0
    refused: int = 0
    """Bursts that the backend refused or did not answer whole; they are not among the runs."""
    ended_by: str = ""
    """The bound that ended it; empty where the whole design was run."""
    counted: bool = True
    """Whether the backend counted the tokens itself."""

    @property
    def cached(self) -> float:
        """Fraction of prompt tokens that came from a cache of the backend's."""
        calls = [call for run in self.runs for call in run.calls]
        return sum(call.cached_tokens for call in calls) / max(1, sum(call.prompt_tokens for call in calls))


Progress = Callable[[int, int, str], None]
"""Told after each burst: bursts done, bursts planned, and the shape just done."""


class Sweep:
    """One sweep. `progress` hears of each burst."""

    def __init__(
        self,
        caller: Caller,
        plan: Design,
        bounds: Bounds,
        clock: Clock,
        *,
        price: Price | None = None,
        progress: Progress | None = None,
    ) -> None:
        if bounds.cost_usd is not None and price is None:
            raise BadSweep("a bound on the cost needs prices; give what the backend charges, or bound tokens instead")
        self._caller = caller
        self._plan = plan
        self._bounds = bounds
        self._clock = clock
        self._price = price
        self._progress = progress or (lambda done, planned, what: None)
        self._random = Random(plan.seed + 1)  # noqa: S311  words of prompts, not secrets
        self._swept = Swept()
        self._longest_s: dict[Shape, float] = {}
        self._failures = 0

    async def run(self) -> Swept:
        """Send the bursts until the design is done or a bound is reached. Raises NoAnswer."""
        began_s = self._clock.monotonic_s()
        scale = await self._scale()
        planned = len(self._plan.shapes) * self._plan.rounds
        for done, (number, shape) in enumerate(self._plan.order()):
            self._swept.ended_by = self._bound(shape, began_s)
            if self._swept.ended_by:
                break
            self._progress(done, planned, str(shape))
            left_s = (
                None if self._bounds.seconds is None else self._bounds.seconds - self._clock.monotonic_s() + began_s
            )
            try:
                async with asyncio.timeout(left_s):
                    await self._burst(number, shape, scale)
            except TimeoutError:
                self._swept.ended_by = "seconds"
                break
        else:
            self._progress(planned, planned, "done")
        self._swept.seconds = self._clock.monotonic_s() - began_s
        return self._swept

    async def _scale(self) -> Scale:
        """Ask with a short and a longer prompt how many tokens words make here; this also wakes the backend up."""
        short = await self._caller.settle(text(self._random, _SHORT_WORDS))
        try:
            (longer,) = await self._caller.burst([text(self._random, _LONG_WORDS)], 8)
        except Refused as error:
            raise NoAnswer(f"the backend refused a call: {error}; try again when it is less busy") from error
        self._swept.counted = short.counted and longer.counted
        for call in (short, longer):
            self._count(call.prompt_tokens, call.output_tokens)
        if not self._swept.counted:
            return Scale(0.0, 6 / FALLBACK_BYTES_PER_TOKEN)  # a word and its space have about six bytes
        return measured_scale(_SHORT_WORDS, short.prompt_tokens, _LONG_WORDS, longer.prompt_tokens)

    def _bound(self, shape: Shape, began_s: float) -> str:
        """The bound that the next burst would break, or nothing. A shape that was sent before will take as long again."""
        bounds, swept = self._bounds, self._swept
        elapsed_s = self._clock.monotonic_s() - began_s
        if bounds.seconds is not None and elapsed_s + self._longest_s.get(shape, 0.0) > bounds.seconds:
            return "seconds"
        if bounds.tokens is not None and swept.prompt_tokens + swept.output_tokens + shape.tokens > bounds.tokens:
            return "tokens"
        if bounds.cost_usd is not None and self._price is not None:
            spent = self._price.cost_usd(swept.prompt_tokens, swept.output_tokens)
            each = self._price.cost_usd(shape.prompt_tokens, shape.output_tokens)
            if spent + each * shape.concurrency > bounds.cost_usd:
                return "cost_usd"
        return ""

    async def _burst(self, number: int, shape: Shape, scale: Scale) -> None:
        words = scale.words(shape.prompt_tokens)
        prompts = [text(self._random, words) for _ in range(shape.concurrency)]
        began_s = self._clock.monotonic_s()
        try:
            calls = await self._caller.burst(prompts, shape.output_tokens)
        except (Refused, NoAnswer) as error:
            await self._failed(error)
            return
        self._failures = 0
        self._longest_s[shape] = max(self._longest_s.get(shape, 0.0), self._clock.monotonic_s() - began_s)
        for call in calls:
            self._count(call.prompt_tokens, call.output_tokens)
        self._swept.runs.append(Run(shape, calls, number))

    async def _failed(self, error: Refused | NoAnswer) -> None:
        """One burst failed: go on, after the time that the backend asks for, unless too many failed in a row."""
        self._swept.refused += 1
        self._failures += 1
        if self._failures >= _MOST_FAILURES:
            raise NoAnswer(
                f"{self._failures} bursts in a row failed, the last: {error}; sweep shorter or fewer calls"
            ) from error
        wait_s = error.retry_after_s if isinstance(error, Refused) else None
        await asyncio.sleep(min(wait_s or 0.0, _LONGEST_WAIT_S))

    def _count(self, prompt_tokens: int, output_tokens: int) -> None:
        self._swept.prompt_tokens += prompt_tokens
        self._swept.output_tokens += output_tokens
