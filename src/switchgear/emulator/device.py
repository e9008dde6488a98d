"""A device of a scenario: an engine that runs in a body. An `Engine` itself, so what drives an engine drives it, in real or virtual time.

The engine's steps begin and end in the body's time, and the body tells how long each lasts. When the body goes off, what the engine had
under way is lost at that moment.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from switchgear.emulator.body import Body, Reading
from switchgear.emulator.body_model import Figures, Run
from switchgear.emulator.conditions import Conditions, Timeline
from switchgear.emulator.engine import Emission, Engine, Load, Pace
from switchgear.emulator.errors import ApiError
from switchgear.emulator.rules import chance

_AT_ONCE = 256


class Clearable(Engine, Protocol):
    """An engine whose sequences can be lost together."""

    def clear(self) -> list[int]:
        """Forget every sequence; their keys."""
        ...


class Device:
    """One device under its timeline. `make_engine` is given the pace of its steps."""

    def __init__(
        self, name: str, figures: Figures, timeline: Timeline, make_engine: Callable[[Pace], Clearable], seed: int = 0
    ) -> None:
        self.name = name
        self.timeline = timeline
        self.body = Body(figures, timeline)
        self.engine = make_engine(self.body.begin_step)
        self.body.went_off = self._went_off  # one that is off from the beginning has lost nothing
        self.prompt_tokens = 0
        """Taken in so far; with the next, what a serving engine counts (vLLM: vllm:prompt_tokens_total)."""
        self.generated_tokens = 0
        self._tokens: dict[int, int] = {}
        """Of each sequence, tokens that are counted."""
        self._seed = seed
        self._number = 0
        self._lost: list[Emission] = []

    # -- the way in --

    def conditions(self, now_s: float) -> Conditions:
        """What the world does to it at a time."""
        return self.timeline.at(now_s)

    def refusal(self, now_s: float) -> ApiError | None:
        """Why it takes no call at a time: it loads its model, or its firmware fails this call. One that is off cannot even say so."""
        self.body.settle(now_s)
        if self.body.state.run is Run.BOOTING:
            return ApiError(
                503, "The model is being loaded.", kind="server_error", error_code="loading", retry_after="1"
            )
        conditions = self.conditions(now_s)
        self._number += 1
        if conditions.error_ratio and chance(self._seed, 0, self._number) < conditions.error_ratio:
            return ApiError(500, f"Firmware {conditions.firmware} failed.", kind="server_error", error_code=None)
        return None

    def off(self, now_s: float) -> bool:
        """Whether nobody is there to answer."""
        self.body.settle(now_s)
        return self.body.state.run is Run.OFF

    def read(self, now_s: float) -> Reading:
        """What its instruments show."""
        return self.body.read(now_s)

    # -- Engine --

    def submit(self, sequence: int, prompt_tokens: int, output_tokens: int, now_s: float) -> None:
        self.body.settle(now_s)
        if self.body.state.run is not Run.ON:
            raise ApiError(503, "The device is not on.", kind="server_error", error_code="not_on", retry_after="1")
        self.engine.submit(sequence, prompt_tokens, output_tokens, now_s)
        self._tokens[sequence] = 0
        self.prompt_tokens += prompt_tokens

    def cancel(self, sequence: int) -> None:
        self.engine.cancel(sequence)
        self._tokens.pop(sequence, None)

    def next_s(self) -> float | None:
        if self._lost:
            return self._lost[0].at_s
        next_s = self.engine.next_s()
        return None if next_s is None else min(next_s, self.body.next_event_s())

    def advance(self, now_s: float, most: int = _AT_ONCE) -> list[Emission]:
        emissions: list[Emission] = []
        for _ in range(most):
            next_s = self.engine.next_s()
            self.body.settle(now_s if next_s is None else min(now_s, next_s))
            if self._lost:
                emissions += self._lost
                self._lost = []
            elif next_s is None or next_s > now_s:
                break
            else:
                emissions += self._counted(self.engine.advance(next_s, 1))
        return emissions

    def load(self) -> Load:
        return self.engine.load()

    def _counted(self, emissions: Sequence[Emission]) -> Sequence[Emission]:
        for emission in emissions:
            self.generated_tokens += emission.tokens - self._tokens.get(emission.sequence, emission.tokens)
            if emission.ended:
                self._tokens.pop(emission.sequence, None)
            else:
                self._tokens[emission.sequence] = emission.tokens
        return emissions

    def _went_off(self, at_s: float) -> None:
        self._lost += [Emission(key, self._tokens.pop(key, 0), True, at_s, True) for key in self.engine.clear()]
