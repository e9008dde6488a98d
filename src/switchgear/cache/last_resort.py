"""Which last resort a call gets when no target can answer it. Pure.

A last resort is for a gateway that has nowhere to go. It is never an answer to a call that is itself at fault, that policy refused, or that
no target could serve however well it was; and never for one whose first byte has gone out.
"""

from collections.abc import Callable
from typing import NamedTuple

from switchgear.core.caching import Degraded, LastResort
from switchgear.core.snapshot import Endpoint

UP_AGAIN_SOON = frozenset(
    (
        "no_target_available",
        "upstream_unreachable",
        "upstream_error",
        "upstream_timeout",
        "upstream_rate_limited",
        "deadline_exceeded",
    )
)
"""Codes of the errors (docs/errors.md) in whose place a last resort is given: all say that the places are at fault, not the call."""


class Situation(NamedTuple):
    """What is known of a call that failed."""

    endpoint: Endpoint
    code: str
    """Of the error that it would get."""
    committed: bool
    """Whether a byte of an answer has gone out."""
    constrained: bool
    """Whether its answer must be JSON, or a tool call: no message is that."""
    expired_s: float | None
    """How long its kept answer is over, seconds (negative: not yet); None where there is none."""
    time_left: bool
    """Whether its deadline leaves time to ask somebody."""


class Choice(NamedTuple):
    """A last resort, and where to go on looking if it comes to nothing."""

    degraded: Degraded
    resort: LastResort
    next_begin: int


def choose(
    resorts: tuple[LastResort, ...], situation: Situation, usable: Callable[[str], bool], begin: int = 0
) -> Choice | None:
    """The first that fits, from `begin` on; None: the error is the answer.

    `usable` tells whether a model may be asked by this call: its caller may use it, policy allows a target, one of them is up, and it
    serves the endpoint. For embeddings only kept answers serve: another model's vectors cannot be compared with the first one's.
    """
    if situation.committed or situation.code not in UP_AGAIN_SOON:
        return None
    for place in range(begin, len(resorts)):
        resort = resorts[place]
        if resort.stale_s is not None:
            if situation.expired_s is not None and situation.expired_s <= resort.stale_s:
                return Choice(Degraded.STALE_CACHE, resort, place + 1)
        elif situation.endpoint is Endpoint.EMBEDDINGS:
            continue
        elif resort.model is not None:
            if situation.time_left and usable(resort.model):
                return Choice(Degraded.SMALLER_MODEL, resort, place + 1)
        elif resort.message is not None and not situation.constrained:
            return Choice(Degraded.MESSAGE, resort, place + 1)
    return None
