"""Log probabilities that are no model's, but are the same on every run and look like a model's: never above 0, the sampled token first."""

import hashlib
import math
from typing import NamedTuple

_OTHERS = (" the", " a", ",", " and", " of", " in", " to", ".", " is", " one")


class Scored(NamedTuple):
    """A token and its log probability."""

    token: str
    logprob: float


def scored(token: str, position: int) -> Scored:
    """The sampled token's log probability: its probability is between 0.5 and 1."""
    draw = hashlib.blake2b(f"{position}\0{token}".encode("utf-8", "surrogatepass"), digest_size=2).digest()
    return Scored(token, round(math.log(0.5 + int.from_bytes(draw, "big") / 2**17), 6))


def alternatives(token: str, position: int, count: int) -> list[Scored]:
    """The `count` likeliest tokens, the sampled one first; what it leaves is halved among the others."""
    first = scored(token, position)
    if count < 1:
        return []
    left = max(1e-9, 1 - math.exp(first.logprob))
    others = [other for other in _OTHERS if other != token]
    rest = [Scored(other, round(math.log(left / 2 ** (rank + 1)), 6)) for rank, other in enumerate(others)]
    return [first, *rest[: count - 1]]
