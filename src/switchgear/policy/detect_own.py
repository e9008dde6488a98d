"""What a company looks for itself: patterns, word lists and canary tokens, in an automaton of their own."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import re2  # type: ignore[import-untyped]  # it comes without types

from switchgear.core.screening import CANARY, Canary, OwnPattern, Screening, WordList
from switchgear.policy.detect_automaton import CannotCompile, Expression, automaton, re2_options
from switchgear.policy.detect_place import Characters
from switchgear.policy.errors import ScreenError
from switchgear.policy.model import Finding

_CONTEXT_REACH = 60
_LARGEST_PROGRAM = 2_000
"""Instructions of RE2: what has more takes seconds to compile."""
_SPACED_REACH = 100
_MAY_MATCH_SPACE = re.compile(r"[ \t\n.]|\\[sWDnrtxpPNRhHvX]|\[\^")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
)
"""Letters of scripts that put no spaces between words, or none before what they attach to them."""
_ESCAPED_OR_CLASS = re.compile(r"\\(?P<escaped>.)|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]", re.DOTALL)
_ANCHORS = frozenset("AZzG")
_REMEDIES = (
    ("ack-references", "Write the repeated part out; a back-reference cannot be matched in linear time."),
    (
        "ero-width",
        "Leave look-ahead and look-behind out; use `context` for words that must stand nearby, `\\b` for a word's edge.",
    ),
    ("empty buffer", "Let it need at least one character: `+` in place of `*`, or something that is not optional."),
    (
        "too large",
        "Make counted repetitions shorter (`.{0,40}`, not `.{0,200}`), or use `context` for words that stand nearby.",
    ),
    (
        "repetition size",
        "Make counted repetitions shorter (at most 1,000), or use `context` for words that stand nearby.",
    ),
    ("invalid escape", "Write the repeated part out; a back-reference cannot be matched in linear time."),
    (
        "perl operator",
        "Leave look-ahead and look-behind out; use `context` for words that must stand nearby, `\\b` for a word's edge.",
    ),
)
_ANY_REMEDY = "See docs/screen.md for what an expression may hold."


class _Entry(NamedTuple):
    """One expression of the automaton, and what finds where its matches begin."""

    type: str
    expression: Expression
    locate: Callable[[str, bytes, Sequence[int]], Iterator[tuple[int, int]]]
    """From a text, its UTF-8 and the ends of matches in that, to findings in characters."""


class OwnForms:
    """Patterns, lists and canaries, compiled. One thread's, like its automaton."""

    __slots__ = ("_automaton", "_entries", "matches")

    def __init__(self, entries: Sequence[_Entry]) -> None:
        self._entries = entries
        self._automaton = automaton([entry.expression for entry in entries])
        self.matches = self._automaton.matches
        """As `Automaton.matches`; the bytes must be UTF-8."""

    def find(self, text: str, data: bytes, number: int) -> list[Finding]:
        """The findings of text `number`, whose UTF-8 is `data`: those of what was configured first before others; they may overlap."""
        ends: dict[int, list[int]] = {}
        for expression, end in self._automaton.hits(data):
            ends.setdefault(expression, []).append(end)
        return [
            Finding(self._entries[expression].type, start, end, number)
            for expression in sorted(ends)
            for start, end in self._entries[expression].locate(text, data, ends[expression])
        ]


def compile_own(
    patterns: Iterable[OwnPattern], word_lists: Iterable[WordList], canaries: Iterable[Canary] = ()
) -> OwnForms | None:
    """None where nothing is configured. Raises ScreenError, naming the one that cannot be compiled and what to do."""
    entries: list[_Entry] = []
    for pattern in patterns:
        entries.append(_pattern(pattern))
    for words in word_lists:
        entries.extend(_words(words))
    for canary in canaries:
        if not canary.token:
            raise ScreenError(f"canaries.{canary.name}", "has no token", "Give `token`, `token_env` or `token_file`.")
        entries.append(
            _Entry(
                CANARY,
                Expression(re.escape(canary.token).encode()),
                _literal(canary.token, ignore_case=False, alone=False),
            )
        )
    return OwnForms(entries) if entries else None


def reach_of(screening: Screening) -> int:
    """How many characters a finding of one's own may have that is more than a word between spaces: so many a stream must hold back.

    0: none is.
    """
    words = [word for words in screening.word_lists for word in words.words]
    words += [canary.token for canary in screening.canaries]
    reach = max((len(word) for word in words if " " in word or _UNSPACED.search(word)), default=0)
    spaced = any(
        _MAY_MATCH_SPACE.search(pattern.regex) or _UNSPACED.search(pattern.regex) for pattern in screening.patterns
    )
    return max(reach, _SPACED_REACH if spaced else 0)


def _pattern(pattern: OwnPattern) -> _Entry:
    path = f"patterns.{pattern.name}.regex"
    without = _ESCAPED_OR_CLASS.sub(lambda found: "^" if found["escaped"] in _ANCHORS else "", pattern.regex)
    if "^" in without or "$" in without:
        raise ScreenError(
            path,
            "is anchored",
            "Leave `^`, `$`, `\\A` and `\\Z` out: a text has no fixed beginning. `\\b` is a word's edge.",
        )
    if "\0" in pattern.regex:
        raise ScreenError(path, "holds a zero byte", "Write it as \\x00.")
    expression = Expression(pattern.regex.encode(), pattern.ignore_case, utf8=True)
    try:
        compiled = re2.compile(
            f"(?i:{pattern.regex})" if pattern.ignore_case else pattern.regex, re2_options(utf8=True)
        )
        if compiled.programsize > _LARGEST_PROGRAM:
            raise CannotCompile("it is too large")
        automaton([expression])
    except (CannotCompile, re2.error) as error:
        remedy = next((remedy for sign, remedy in _REMEDIES if sign in str(error)), _ANY_REMEDY)
        message = f"cannot be matched in linear time or not at all: {str(error).rstrip('.')}"
        raise ScreenError(path, message, remedy) from error
    return _Entry(pattern.name, expression, _regular(compiled, pattern.context))


def _words(words: WordList) -> Iterator[_Entry]:
    if words.file is not None and not words.words:
        raise ScreenError(
            f"word_lists.{words.name}.file", "was not read", "It is read together with the configuration."
        )
    for word in words.words:
        if not word.strip():
            raise ScreenError(f"word_lists.{words.name}.words", "has an empty word", "Take it out.")
        expression = Expression(re.escape(word).encode(), words.ignore_case, utf8=not word.isascii())
        yield _Entry(words.name, expression, _literal(word, ignore_case=words.ignore_case, alone=words.whole_words))


def _regular(
    compiled: "re2.Pattern[bytes]", context: Sequence[str]
) -> Callable[[str, bytes, Sequence[int]], Iterator[tuple[int, int]]]:
    """The leftmost matches, found by RE2: linear in the text, whatever the pattern."""
    near = re.compile("|".join(re.escape(word) for word in context), re.IGNORECASE)

    def locate(text: str, data: bytes, _ends: Sequence[int]) -> Iterator[tuple[int, int]]:
        places = Characters(data)
        for match in compiled.finditer(data):
            start, end = places.at(match.start()), places.at(match.end())
            if (
                not context
                or near.search(text, max(0, start - _CONTEXT_REACH), start)
                or near.search(text, end, end + _CONTEXT_REACH)
            ):
                yield start, end

    return locate


def _literal(
    word: str, *, ignore_case: bool, alone: bool
) -> Callable[[str, bytes, Sequence[int]], Iterator[tuple[int, int]]]:
    """A word where the automaton saw it end. Other cases of a letter may be longer or shorter than it."""

    def locate(text: str, data: bytes, ends: Sequence[int]) -> Iterator[tuple[int, int]]:
        expression = re.compile(re.escape(word), re.IGNORECASE if ignore_case else 0)
        places = Characters(data)
        at = 0
        for end in ends:
            stop = places.at(end)
            for match in expression.finditer(text, max(at, stop - 2 * len(word)), stop):
                at = match.end()
                if not alone or _stands_alone(text, *match.span()):
                    yield match.span()

    return locate


def _stands_alone(text: str, start: int, end: int) -> bool:
    if _in_one_word(text[start - 1 : start], text[start]):
        return False
    return not _in_one_word(text[end - 1], text[end : end + 1])


def _in_one_word(one: str, other: str) -> bool:
    """Whether two characters beside each other belong together. Where a script has no spaces, any place may be a word's edge."""
    return one.isalnum() and other.isalnum() and _UNSPACED.match(one) is None and _UNSPACED.match(other) is None
