"""Rules such as `mean_logprob < -0.5 or min_logprob < -4 or refusal`: read by a parser of our own, evaluated on what is known so far.

::

    rule       = conjunction { "or" conjunction }
    conjunction = term { "and" term }
    term       = "not" term | "(" rule ")" | comparison | name of something true or false
    comparison = side ( "<" | "<=" | ">" | ">=" | "==" | "!=" ) side
    side       = name of a number | number

Values are three (Kleene, 1938): while an answer is still coming, or where a log-probability is missing, a comparison may be unknown. A rule
is decided as soon as nothing that may still come can change it.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from switchgear.confidence.names import NAMES, Needs

Truth = bool | None
"""None: not known, or not yet."""


class Range(NamedTuple):
    """Where a number lies or may still come to lie."""

    low: float
    high: float


Known = Mapping[str, Range | bool]
"""What is known. A name that is not there is not known."""


class Node(msgspec.Struct, frozen=True):
    """A part of a rule."""

    def truth(self, known: Known) -> Truth:
        raise NotImplementedError

    def names(self) -> frozenset[str]:
        raise NotImplementedError


class Flag(Node, frozen=True):
    """A name of something true or false."""

    name: str

    def truth(self, known: Known) -> Truth:
        value = known.get(self.name)
        return value if isinstance(value, bool) else None

    def names(self) -> frozenset[str]:
        return frozenset((self.name,))

    def __str__(self) -> str:
        return self.name


class Comparison(Node, frozen=True):
    """Two numbers compared."""

    left: str | float
    sign: str
    right: str | float

    def truth(self, known: Known) -> Truth:
        left, right = _range(self.left, known), _range(self.right, known)
        if left is None or right is None:
            return None
        return _COMPARE[self.sign](left, right)

    def names(self) -> frozenset[str]:
        return frozenset(side for side in (self.left, self.right) if isinstance(side, str))

    def __str__(self) -> str:
        return f"{_written(self.left)} {self.sign} {_written(self.right)}"


class Not(Node, frozen=True):
    part: Node

    def truth(self, known: Known) -> Truth:
        value = self.part.truth(known)
        return None if value is None else not value

    def names(self) -> frozenset[str]:
        return self.part.names()

    def __str__(self) -> str:
        return f"not {_inside(self.part)}"


class Every(Node, frozen=True):
    """Parts joined by `and`."""

    parts: tuple[Node, ...]

    def truth(self, known: Known) -> Truth:
        result: Truth = True
        for part in self.parts:
            value = part.truth(known)
            if value is False:
                return False
            if value is None:
                result = None
        return result

    def names(self) -> frozenset[str]:
        return frozenset[str]().union(*(part.names() for part in self.parts))

    def __str__(self) -> str:
        return " and ".join(map(_inside, self.parts))


class Some(Node, frozen=True):
    """Parts joined by `or`."""

    parts: tuple[Node, ...]

    def truth(self, known: Known) -> Truth:
        result: Truth = False
        for part in self.parts:
            value = part.truth(known)
            if value is True:
                return True
            if value is None:
                result = None
        return result

    def names(self) -> frozenset[str]:
        return frozenset[str]().union(*(part.names() for part in self.parts))

    def __str__(self) -> str:
        return " or ".join(map(_inside, self.parts))


class Rule(msgspec.Struct, frozen=True):
    """A whole rule, what it needs to know, and which of its names only the end of an answer shows."""

    root: Node
    needs: Needs
    at_end: tuple[str, ...]

    def truth(self, known: Known) -> Truth:
        """Whether it holds; None where that is not known (yet)."""
        return self.root.truth(known)

    def __str__(self) -> str:
        return str(self.root)


def make_rule(root: Node) -> Rule:
    """A rule of its parts."""
    names = sorted(root.names())
    needs = Needs.NOTHING
    for name in names:
        needs |= NAMES[name].needs
    return Rule(root, needs, tuple(name for name in names if NAMES[name].at_end))


def _range(side: str | float, known: Known) -> Range | None:
    if isinstance(side, str):
        value = known.get(side)
        return value if isinstance(value, Range) else None
    return Range(side, side)


def _less(left: Range, right: Range) -> Truth:
    if left.high < right.low:
        return True
    return False if left.low >= right.high else None


def _not(value: Truth) -> Truth:
    return None if value is None else not value


def _equal(left: Range, right: Range) -> Truth:
    if left.high < right.low or right.high < left.low:
        return False
    return True if left.low == left.high == right.low == right.high else None


_COMPARE: dict[str, Callable[[Range, Range], Truth]] = {
    "<": _less,
    ">": lambda left, right: _less(right, left),
    "<=": lambda left, right: _not(_less(right, left)),
    ">=": lambda left, right: _not(_less(left, right)),
    "==": _equal,
    "!=": lambda left, right: _not(_equal(left, right)),
}
SIGNS = tuple(_COMPARE)


def _written(side: str | float) -> str:
    return side if isinstance(side, str) else f"{side:.17g}" if float(f"{side:g}") != side else f"{side:g}"


def _inside(part: Node) -> str:
    return f"({part})" if isinstance(part, Every | Some) else str(part)
