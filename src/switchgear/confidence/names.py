"""The names that a rule may use."""

from enum import IntFlag
from typing import NamedTuple


class Needs(IntFlag):
    """What a rule must know of an answer."""

    NOTHING = 0
    LOGPROBS = 1
    """The log-probability of each token."""
    ALTERNATIVES = 2
    """The best alternative to each token too."""
    FORMAT = 4
    """Whether JSON that was asked for is JSON."""


class Name(NamedTuple):
    """One name: whether it is a number or true and false, what it needs, whether only the end of an answer shows it, what it means."""

    numeric: bool
    needs: Needs
    at_end: bool
    meaning: str


NAMES = {
    "mean_logprob": Name(True, Needs.LOGPROBS, False, "mean log-probability of the tokens, at most 0"),
    "min_logprob": Name(True, Needs.LOGPROBS, False, "log-probability of the unlikeliest token, at most 0"),
    "margin": Name(
        True,
        Needs.LOGPROBS | Needs.ALTERNATIVES,
        False,
        "mean over the tokens of the log-probability of the token minus that of the best alternative to it",
    ),
    "min_margin": Name(True, Needs.LOGPROBS | Needs.ALTERNATIVES, False, "the smallest of these differences"),
    "tokens": Name(True, Needs.LOGPROBS, False, "how many tokens were looked at"),
    "refusal": Name(
        False,
        Needs.NOTHING,
        False,
        "the target says that it refuses, a content filter ended the answer, or it begins with a configured phrase",
    ),
    "format_failure": Name(
        False, Needs.FORMAT, True, "JSON was asked for, and the answer is none or does not fit its schema"
    ),
    "length_cut": Name(False, Needs.NOTHING, True, "the answer ended at the limit of tokens"),
}
