"""What the configuration says of asking a larger model when a small one is unsure; and how sure an answer was, for its record."""

from enum import StrEnum
from typing import Annotated

import msgspec


class WhenMissing(StrEnum):
    """What an answer is taken for whose rule cannot be decided, since the target gave no log-probabilities."""

    ESCALATE = "escalate"
    """Unsure: what is not known is not confidence."""
    KEEP = "keep"
    """Sure."""


class Escalate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Answer with this model first, and ask another one where the answer is unsure."""

    when: Annotated[str, msgspec.Meta(min_length=1)]
    """The rule that calls an answer unsure, for example "mean_logprob < -0.5 or refusal"; see docs/escalate.md."""
    to: str
    """The model that is asked then, by its alias."""
    first_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Streams: decide on so many first tokens and hold back no more; the whole answer where not given."""
    refusal_phrases: tuple[str, ...] = ()
    """An answer that begins with one of these (upper or lower case) is a refusal, beside those that the target marks so."""
    when_missing: WhenMissing = WhenMissing.ESCALATE
    """What an answer without log-probabilities is taken for, where the rule needs them."""


class Confidence(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How sure an answer was. Log-probabilities are natural logarithms; None: the target gave none.

    Like the record that it stands in, it grows at the end only.
    """

    mean_logprob: float | None = None
    """Mean over the tokens that were looked at."""
    min_logprob: float | None = None
    """Of the unlikeliest of them."""
    margin: float | None = None
    """Mean over the tokens: log-probability of the token minus that of the best alternative to it."""
    min_margin: float | None = None
    """The smallest of these."""
    tokens: int = 0
    """How many had a log-probability and were looked at."""
    refusal: bool = False
    """The answer refuses: the target says so, a content filter ended it, or it begins with a configured phrase."""
    format_failure: bool = False
    """JSON was asked for, and the answer is none or does not fit its schema."""
    length_cut: bool = False
    """The answer ended at the limit of tokens."""
    unsure: bool = False
    """What the rule said of it."""
