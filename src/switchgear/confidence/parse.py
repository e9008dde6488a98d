"""Reads the text of a rule. Every error says at which column, and what to write instead."""

import re
from difflib import get_close_matches
from math import isinf
from typing import NamedTuple

from switchgear.confidence.errors import BadRule
from switchgear.confidence.names import NAMES
from switchgear.confidence.rule import SIGNS, Comparison, Every, Flag, Node, Not, Rule, Some, make_rule

_MAX_LETTERS = 2000
_MAX_DEPTH = 32
_WORDS = ("and", "or", "not")
_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<number>[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.])"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<sign><=|>=|==|!=|<|>)|(?P<bracket>[()])"
)


class _Token(NamedTuple):
    kind: str
    text: str
    column: int


def parse(text: str) -> Rule:
    """A rule from its text. Raises BadRule."""
    if len(text) > _MAX_LETTERS:
        raise BadRule(f"the rule is longer than {_MAX_LETTERS} letters", _MAX_LETTERS + 1, "Write a shorter one.")
    parser = _Parser(_tokens(text), len(text) + 1)
    root = parser.some(0)
    parser.end()
    return make_rule(root)


def _tokens(text: str) -> list[_Token]:
    tokens = []
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise BadRule(
                f"{_shown(text[place:].split()[0][:16])} has no meaning here", place + 1, _remedy_for(text[place:])
            )
        kind = str(found.lastgroup)
        if kind == "name" and found[0] in _WORDS:
            kind = found[0]
        if kind != "space":
            tokens.append(_Token(kind, found[0], place + 1))
        place = found.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[_Token], end: int) -> None:
        self._tokens = tokens
        self._place = 0
        self._end = end

    def _peek(self) -> _Token:
        if self._place < len(self._tokens):
            return self._tokens[self._place]
        return _Token("end", "", self._end)

    def _take(self) -> _Token:
        token = self._peek()
        self._place += 1
        return token

    def _has(self, kind: str) -> bool:
        if self._peek().kind == kind:
            self._place += 1
            return True
        return False

    def end(self) -> None:
        token = self._peek()
        if token.kind == "sign":
            raise BadRule("a comparison has two sides only", token.column, "Join two comparisons with and.")
        if token.text == ")":
            raise BadRule("there is no ( for this )", token.column, "Remove it, or open it before.")
        if token.kind != "end":
            raise BadRule(
                f"{_shown(token.text)} follows, and nothing joins it to what stands before",
                token.column,
                "Write and or or between them.",
            )

    def some(self, depth: int) -> Node:
        parts = [self._every(depth)]
        while self._has("or"):
            parts.append(self._every(depth))
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _every(self, depth: int) -> Node:
        parts = [self._term(depth)]
        while self._has("and"):
            parts.append(self._term(depth))
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _term(self, depth: int) -> Node:
        token = self._peek()
        if depth > _MAX_DEPTH:
            raise BadRule(
                f"the rule is nested more than {_MAX_DEPTH} deep", token.column, "Write it with fewer brackets."
            )
        if self._has("not"):
            return Not(self._term(depth + 1))
        if token.text == "(":
            self._place += 1
            inside = self.some(depth + 1)
            if self._peek().text != ")":
                raise BadRule("this ( is never closed", token.column, "Write ) behind what it holds.")
            self._place += 1
            return inside
        return self._comparison()

    def _comparison(self) -> Node:
        first = self._peek()
        left = self._side("a name, a number, not or (")
        sign = self._peek()
        if sign.kind != "sign":
            return self._flag(first, left, sign)
        self._place += 1
        _check_number(first, left)
        second = self._peek()
        right = self._side("a name or a number")
        _check_number(second, right)
        if not isinstance(left, str) and not isinstance(right, str):
            raise BadRule("two numbers are compared", first.column, f"Compare a name: {_numbers()}.")
        return Comparison(left, sign.text, right)

    def _side(self, wanted: str) -> str | float:
        token = self._take()
        if token.kind == "number":
            if isinf(float(token.text)):
                raise BadRule(f"the number {token.text} is too large", token.column, "Write a number like -0.5 or 4.")
            return float(token.text)
        if token.kind == "name":
            if token.text not in NAMES:
                near = get_close_matches(token.text, NAMES, n=1, cutoff=0.6)
                remedy = f"Did you mean {near[0]}?" if near else f"Known names: {', '.join(NAMES)}."
                raise BadRule(f"there is no name {token.text}", token.column, remedy)
            return token.text
        what = "the rule ends" if token.kind == "end" else f"{_shown(token.text)} stands"
        raise BadRule(f"{what} where {wanted} is missing", token.column, "For example: mean_logprob < -0.5 or refusal.")

    @staticmethod
    def _flag(token: _Token, value: str | float, sign: _Token) -> Node:
        if not isinstance(value, str):
            raise BadRule(
                f"the number {token.text} is compared with nothing",
                token.column,
                "Write a comparison, for example mean_logprob < -0.5.",
            )
        if NAMES[value].numeric:
            raise BadRule(
                f"{value} is a number and is compared with nothing", sign.column, f"For example: {value} < -0.5."
            )
        return Flag(value)


def _check_number(token: _Token, side: str | float) -> None:
    if isinstance(side, str) and not NAMES[side].numeric:
        raise BadRule(f"{side} is true or false, no number", token.column, f"Write {side}, or not {side}.")


def _numbers() -> str:
    return ", ".join(name for name, facts in NAMES.items() if facts.numeric)


def _shown(text: str) -> str:
    return repr(text) if text.isprintable() else "a character that cannot be shown"


def _remedy_for(rest: str) -> str:
    if rest.startswith("="):
        return "Equal is written ==."
    if rest.startswith(("&", "|", "!")):
        return "Write and, or, not."
    if rest[0] in "+-*/%":
        return "There is no arithmetic: compare a name with a number."
    if rest[0].isdigit() or rest[0] == ".":
        return "Write a number like -0.5 or 4."
    return f"A rule has names, numbers, {' '.join(SIGNS)}, and, or, not and brackets."
