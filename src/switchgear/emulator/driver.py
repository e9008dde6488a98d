"""Runs an engine in real time: virtual seconds are real seconds times `speed`."""

import asyncio
import itertools

from switchgear.core.clock import Clock
from switchgear.emulator.engine import Engine, Load

_CLOSE_S = 1e-6


class Progress:
    """How far the sequences of one call are.

    `times_s[i]` are the real (monotonic) times of sequence i's tokens; `ended[i]` its end; `lost`: the device went off under it.
    """

    __slots__ = ("_news", "ended", "ended_s", "keys", "lost", "started_s", "times_s")

    def __init__(self, keys: list[int], started_s: float) -> None:
        self.keys = keys
        self.started_s = started_s
        self.lost = False
        self.times_s: list[list[float]] = [[] for _ in keys]
        self.ended = [False] * len(keys)
        self.ended_s = [0.0] * len(keys)
        self._news = asyncio.Event()

    def note(self, index: int, tokens: int, ended: bool, at_s: float) -> None:
        """Sequence `index` has `tokens` tokens now."""
        times = self.times_s[index]
        times.extend([at_s] * (tokens - len(times)))
        if ended:
            self.ended[index] = True
            self.ended_s[index] = at_s
        self._news.set()

    def lose(self) -> None:
        """Nothing more will come."""
        self.lost = True
        self._news.set()

    async def news(self) -> None:
        """Wait for a `note` since the last wait."""
        await self._news.wait()
        self._news.clear()


class Driver:
    """Feeds an engine with the calls of a server and wakes it when it has something to tell. Runs on one event loop, without a task."""

    def __init__(self, engine: Engine, clock: Clock, speed: float, origin_s: float | None = None) -> None:
        """`origin_s`: the monotonic time at which the engine's time is 0; now where not given."""
        self.engine = engine
        self.speed = speed
        self._clock = clock
        self._origin_s = clock.monotonic_s() if origin_s is None else origin_s
        self._keys = itertools.count(1)
        self._live: dict[int, tuple[Progress, int]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def submit(self, sequences: list[tuple[int, int]]) -> Progress:
        """Start one sequence for each pair of prompt and output tokens.

        Raises ApiError where the engine refuses one (429); then none is started.
        """
        started_s = self._clock.monotonic_s()
        now_s = self._virtual_s(started_s)
        progress = Progress([next(self._keys) for _ in sequences], started_s)
        try:
            for key, (prompt_tokens, output_tokens) in zip(progress.keys, sequences, strict=True):
                self.engine.submit(key, prompt_tokens, output_tokens, now_s)
        except BaseException:
            self.cancel(progress)
            raise
        self._live.update((key, (progress, index)) for index, key in enumerate(progress.keys))
        self._arm()
        return progress

    def cancel(self, progress: Progress) -> None:
        """Stop what is left of a call; its places are free at once."""
        for key in progress.keys:
            self.engine.cancel(key)
            self._live.pop(key, None)

    def load(self) -> Load:
        """How busy the engine is."""
        return self.engine.load()

    def close(self) -> None:
        """Stop waking."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def now_s(self) -> float:
        """The engine's time."""
        return self._virtual_s(self._clock.monotonic_s())

    def _virtual_s(self, monotonic_s: float) -> float:
        return (monotonic_s - self._origin_s) * self.speed

    def _arm(self) -> None:
        self.close()
        due_s = self.engine.next_s()
        if due_s is not None:
            wait_s = due_s / self.speed + self._origin_s - self._clock.monotonic_s()
            self._timer = asyncio.get_running_loop().call_later(max(0.0, wait_s), self._wake)

    def _wake(self) -> None:
        self._timer = None
        now_s, due_s = self.now_s(), self.engine.next_s()
        if due_s is not None and now_s < due_s < now_s + _CLOSE_S:
            now_s = due_s  # woken for it; what is missing is lost between two readings of a clock
        for emission in self.engine.advance(now_s):
            live = self._live.get(emission.sequence)
            if live is None:
                continue
            progress, index = live
            if emission.lost:
                progress.lose()
                del self._live[emission.sequence]
                continue
            progress.note(index, emission.tokens, emission.ended, emission.at_s / self.speed + self._origin_s)
            if emission.ended:
                del self._live[emission.sequence]
        self._arm()
