"""A place seen only from outside: its times come from a distribution, whatever its load, until a rate limit refuses. In virtual time."""

import collections
import heapq
import math

from switchgear.emulator.engine import Emission, Load
from switchgear.emulator.errors import rate_limited
from switchgear.emulator.text import Draws
from switchgear.hardware.model import Observed

_P95_DEVIATIONS = 1.6449
"""The 95th percentile of a normal distribution, in standard deviations from its median."""
_JITTER = 0.2
"""How much shorter or longer than the mean the time between two tokens may be, evenly distributed."""


class ObservedEngine:
    """One model behind a cloud API. An `Engine`.

    The time to the first token is log-normal through the observed median and 95th percentile (a usual shape of service times); the same
    seed gives the same times in the same order of calls.
    """

    def __init__(self, observed: Observed, seed: int, requests_per_minute: float | None = None) -> None:
        self._median_s = observed.ttft_median_s.value
        self._sigma = math.log(observed.ttft_p95_s.value / self._median_s) / _P95_DEVIATIONS
        self._interval_s = 1 / observed.decode_tokens_per_s.value
        self._limit = observed.requests_per_minute.value if requests_per_minute is None else requests_per_minute
        self._draws = Draws("observed", str(seed))
        self._recent: collections.deque[float] = collections.deque()
        self._due: list[tuple[float, int, int, int]] = []
        """Heap of (when, sequence, tokens it will then have, tokens in the end)."""
        self._live: set[int] = set()

    def submit(self, sequence: int, prompt_tokens: int, output_tokens: int, now_s: float) -> None:
        recent = self._recent
        while recent and recent[0] <= now_s - 60:
            recent.popleft()
        if len(recent) >= self._limit:
            raise rate_limited(str(max(1, math.ceil(recent[0] + 60 - now_s))))
        recent.append(now_s)
        self._live.add(sequence)
        heapq.heappush(self._due, (now_s + self._first_token_s(), sequence, min(1, output_tokens), output_tokens))

    def cancel(self, sequence: int) -> None:
        self._live.discard(sequence)

    def clear(self) -> list[int]:
        """Forget every sequence; their keys."""
        lost = sorted(self._live)
        self._live.clear()
        return lost

    def next_s(self) -> float | None:
        while self._due and self._due[0][1] not in self._live:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def advance(self, now_s: float, most: int = 256) -> list[Emission]:
        emissions: list[Emission] = []
        while len(emissions) < most and (due_s := self.next_s()) is not None and due_s <= now_s:
            at_s, sequence, tokens, output_tokens = heapq.heappop(self._due)
            ended = tokens >= output_tokens
            if ended:
                self._live.discard(sequence)
            else:
                heapq.heappush(self._due, (at_s + self._gap_s(), sequence, tokens + 1, output_tokens))
            emissions.append(Emission(sequence, tokens, ended, at_s))
        return emissions

    def load(self) -> Load:
        return Load(running=len(self._live), waiting=0, kv_used_tokens=0, kv_capacity_tokens=0, preemptions=0)

    def _first_token_s(self) -> float:
        """One draw of the log-normal distribution (Box and Muller, 1958)."""
        radius = math.sqrt(-2 * math.log(1 - self._draws.fraction()))
        return self._median_s * math.exp(self._sigma * radius * math.cos(2 * math.pi * self._draws.fraction()))

    def _gap_s(self) -> float:
        return self._interval_s * (1 + _JITTER * (2 * self._draws.fraction() - 1))
