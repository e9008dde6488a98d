"""What a place remembers of the calls it saw, for the tests of whoever called it. Times are monotonic seconds of this machine."""

import collections
import itertools

import msgspec


class Call(msgspec.Struct, kw_only=True):
    """One call.

    `outcome`: open, finished, refused (an error body), broken (by a fault), cancelled (the caller hung up at `hung_up_s`, and what it had
    of the engine is free again since `ended_s`), closed (the place went away), failed (a defect).
    """

    number: int
    endpoint: str
    received_s: float
    model: str = ""
    stream: bool = False
    faults: str = ""
    outcome: str = "open"
    status: int = 0
    code: str | None = None
    first_token_s: float | None = None
    hung_up_s: float | None = None
    ended_s: float | None = None
    prompt_tokens: int = 0
    sent_tokens: int = 0


class Calls:
    """Counts of all calls and the latest of them."""

    def __init__(self, remembered: int = 1000) -> None:
        self.latest: collections.deque[Call] = collections.deque(maxlen=remembered)
        self.counts: collections.Counter[str] = collections.Counter()
        self._numbers = itertools.count(1)

    def begin(self, endpoint: str, now_s: float) -> Call:
        """A call came in."""
        call = Call(number=next(self._numbers), endpoint=endpoint, received_s=now_s)
        self.latest.append(call)
        self.counts["seen"] += 1
        return call

    def end(self, call: Call, outcome: str, now_s: float) -> None:
        """A call came to its end; what is said first counts."""
        if call.ended_s is None:
            call.outcome = outcome
            call.ended_s = now_s
            self.counts[outcome] += 1
