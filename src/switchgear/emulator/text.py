"""What an emulated model says: a function of its name, the prompt and the request's seed, and of nothing else.

So a second place that serves a model of the same name gives the same answer, word for word, and a model of another name gives another.
"""

import functools
import hashlib
from collections.abc import Sequence

from switchgear.emulator.tokens import count_tokens

_OPENERS = (
    "In practice",
    "As a rule",
    "On most days",
    "For the same reason",
    "At a closer look",
    "In the end",
    "Before that",
    "By contrast",
    "Over a longer time",
    "To be exact",
)
_SUBJECTS = (
    "the night shift",
    "a careful operator",
    "the older station",
    "every second relay",
    "the river crossing",
    "a small workshop",
    "the harbour office",
    "the first draft",
    "an honest estimate",
    "the spare transformer",
    "the whole district",
    "a patient reader",
    "the weather report",
    "one of the engineers",
    "the committee",
    "the last train",
)
_VERBS = (
    "keeps",
    "measures",
    "replaces",
    "explains",
    "carries",
    "follows",
    "protects",
    "describes",
    "repairs",
    "questions",
    "balances",
    "remembers",
    "improves",
    "limits",
)
_OBJECTS = (
    "the slow part of the network",
    "a short list of reasons",
    "the load of the evening",
    "what nobody wrote down",
    "two of the three lines",
    "the cost of a single failure",
    "a map of the old cables",
    "the difference between both answers",
    "the reserve for the winter",
    "the simplest of the plans",
    "its own record",
    "more than it needs",
    "the heat of the machine room",
    "a clear and bounded answer",
)
_TAILS = (
    "without any hurry",
    "for as long as it is asked",
    "when the wind turns",
    "before anyone notices",
    "as the manual says",
    "with one exception",
    "at half the price",
    "until the next inspection",
    "although it is rarely thanked",
    "and then starts again",
    "in plain words",
    "",
    "",
    "",
)
_JOINERS = ("and", "while", "because", "so that", "but")

SHORTEST_TOKENS, LONGEST_TOKENS = 24, 140
"""Where answers end of their own accord: after the first sentence beyond a length drawn from this range."""


class Draws:
    """A stream of choices that depends on its key alone, on every machine and Python version: SHA-256 in counter mode."""

    __slots__ = ("_block", "_counter", "_key", "_used")

    def __init__(self, *key: str) -> None:
        self._key = hashlib.sha256("\0".join(key).encode("utf-8", "surrogatepass")).digest()
        self._block = b""
        self._counter = 0
        self._used = 0

    def below(self, bound: int) -> int:
        """A whole number from 0 up to but without `bound`; for bounds far below 2**16 nearly even."""
        if self._used + 2 > len(self._block):
            self._block = hashlib.sha256(self._key + self._counter.to_bytes(8, "big")).digest()
            self._counter += 1
            self._used = 0
        value = int.from_bytes(self._block[self._used : self._used + 2], "big")
        self._used += 2
        return value % bound

    def pick(self, choices: Sequence[str]) -> str:
        """One of `choices`."""
        return choices[self.below(len(choices))]

    def fraction(self) -> float:
        """A number from 0 up to but without 1, in steps of 2**-32."""
        return (self.below(1 << 16) * (1 << 16) + self.below(1 << 16)) / (1 << 32)


def _clause(draws: Draws) -> str:
    tail = draws.pick(_TAILS)
    clause = f"{draws.pick(_SUBJECTS)} {draws.pick(_VERBS)} {draws.pick(_OBJECTS)}"
    return f"{clause} {tail}" if tail else clause


def _sentence(draws: Draws) -> str:
    shape = draws.below(4)
    if shape == 0:
        sentence = f"{draws.pick(_OPENERS)}, {_clause(draws)}"
    elif shape == 1:
        sentence = f"{_clause(draws)}, {draws.pick(_JOINERS)} {_clause(draws)}"
    else:
        sentence = _clause(draws)
    return sentence[0].upper() + sentence[1:] + "."


@functools.lru_cache(maxsize=2048)
def _speech(model: str, prompt: str, seed: int, choice: int, at_least: int) -> str:
    draws = Draws("speech", model, prompt, str(seed), str(choice))
    length = max(SHORTEST_TOKENS + draws.below(LONGEST_TOKENS - SHORTEST_TOKENS + 1), at_least)
    parts: list[str] = []
    spoken = 0
    while spoken < length:
        sentence = _sentence(draws)
        separator = "" if not parts else "\n\n" if len(parts) % 8 == 0 else " "
        parts.append(separator + sentence)
        spoken += count_tokens(parts[-1])
    return "".join(parts)


def say(model: str, prompt: str, *, seed: int = 0, choice: int = 0, at_least_tokens: int = 0) -> str:
    """The whole answer of `model` to `prompt`; a longer `at_least_tokens` only adds to its end."""
    return _speech(model, prompt, seed, choice, at_least_tokens)


def go_on(model: str, prompt: str, prefix: str, *, seed: int = 0, choice: int = 0, at_least_tokens: int = 0) -> str:
    """What follows `prefix`, the beginning of an assistant turn that `model` is asked to continue.

    Where `prefix` is the beginning of its own answer, the rest of that answer; else some text that depends on `prefix` too.
    """
    own = say(model, prompt, seed=seed, choice=choice, at_least_tokens=count_tokens(prefix) + at_least_tokens)
    if own.startswith(prefix):
        return own[len(prefix) :]
    other = say(model, f"{prompt}\0{prefix}", seed=seed, choice=choice, at_least_tokens=at_least_tokens)
    return other if not prefix or prefix[-1].isspace() else f" {other}"
