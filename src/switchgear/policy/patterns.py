"""How one type of data looks: what the automaton looks for, and what decides whether a candidate is a finding.

Both come from one expression, so they cannot drift apart. Some of its parts are written as marks, because the automaton reads
UTF-8 bytes and the decision reads characters:

======  =========================================================
`§L`    a letter, a digit or `_`, of any script
`§U`    a capital letter, or any letter beyond ASCII
`§S`    what stands between groups of digits: space, `.`, `-` and their typographic relatives
`§G`    a gap of at most 30 characters, 45 bytes, between a word of context and the value
======  =========================================================

A group `(?P<v>…)` is the finding where there is one; else all of the expression is.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from switchgear.core.screening import Detector

Check = Callable[[re.Match[str]], bool]
"""Whether a candidate is a finding. Pure; its cost is bounded, for candidates are."""

_MARKS = (
    ("§L", r"[\w\u0080-\U0010ffff]", r"[\w\x80-\xff]"),
    ("§U", r"[A-Z\u0080-\U0010ffff]", r"[A-Z\x80-\xff]"),
    ("§S", r"[ .\-\u00a0\u2007-\u2011\u202f]", r"(?:[ .\-]|\xc2\xa0|\xe2\x80[\x87-\x91\xaf])"),
    ("§G", r"[\s\S]{0,30}?", r"[\x00-\xff]{0,45}"),
)


class Shape(NamedTuple):
    """One way in which a type of data is written."""

    detector: Detector
    core: str
    """The expression, with marks; no look-around, no back-reference: the automaton knows none."""
    left: str = r"(?<![A-Za-z0-9_])"
    """A look-behind that holds where a finding begins; the automaton does not see it."""
    right: str = r"(?![A-Za-z0-9_])"
    """A look-ahead that holds where it ends."""
    check: Check | None = None
    before: int = 100
    """A finding, with its context, begins at most so many characters before the end of the automaton's match."""
    after: int = 40
    """It ends at most so many characters after that."""
    extend: Callable[[str, int], int] | None = None
    """From the text and the finding's end to where it really ends, for what is too long for an expression."""
    candidate: str = ""
    """What the automaton looks for where that is less than `core`: a part of it that every finding has."""

    def automaton_expression(self) -> bytes:
        """For the automaton: over UTF-8 bytes."""
        expression = self.candidate or self.core
        for mark, _, of_bytes in _MARKS:
            expression = expression.replace(mark, of_bytes)
        return expression.encode()

    def expression(self) -> re.Pattern[str]:
        """For the decision: over characters. Only ASCII counts as a letter beside a finding, so that `电话13812345678` is one."""
        expression = self.core
        for mark, of_characters, _ in _MARKS:
            expression = expression.replace(mark, of_characters)
        return re.compile(f"{self.left}(?:{expression}){self.right}", re.ASCII)


def digits_of(match: re.Match[str]) -> str:
    """The finding's ASCII digits."""
    return "".join(character for character in value_of(match) if "0" <= character <= "9")


def compact_of(match: re.Match[str]) -> str:
    """The finding's ASCII letters and digits, in upper case."""
    return "".join(character for character in value_of(match) if character.isascii() and character.isalnum()).upper()


def value_of(match: re.Match[str]) -> str:
    """The finding itself, without its context."""
    return match["v"] if "v" in match.re.groupindex else match[0]


def by_digits(rule: Callable[[str], bool]) -> Check:
    """A check by the digits alone."""
    return lambda match: rule(digits_of(match))


def by_letters_and_digits(rule: Callable[[str], bool]) -> Check:
    """A check by letters and digits."""
    return lambda match: rule(compact_of(match))


def words(text: str) -> list[str]:
    """The words of a text: long tables are easier to read and to compare with their source so."""
    return text.split()


def any_of(text: str) -> str:
    """An alternation of the words in a text; `_` stands for a space, or the like, or nothing."""
    return "(?:" + "|".join(re.escape(word).replace("_", r"[\s_-]{0,2}") for word in words(text)) + ")"
