"""What a company looks for itself: patterns, word lists and canary tokens, in an automaton of their own."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from switchgear.core.screening import CANARY, Canary, OwnPattern, Screening, WordList
from switchgear.policy.detect_automaton import CASELESS, LEFTMOST, UNICODE, UNICODE_CLASSES, Automaton, CannotCompile
from switchgear.policy.detect_place import Characters
from switchgear.policy.errors import ScreenError
from switchgear.policy.model import Finding

_CONTEXT_REACH = 60
_SPACED_REACH = 100
_MAY_MATCH_SPACE = re.compile(r"[ \t\n.]|\\[sWDnrtxpPNRhHvX]|\[\^")
_ESCAPED_OR_CLASS = re.compile(r"\\(?P<escaped>.)|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]", re.DOTALL)
_ANCHORS = frozenset("AZzG")
_REMEDIES = (
    ("Back-references", "Write the repeated part out; a back-reference cannot be matched in linear time."),
    (
        "Zero-width",
        "Leave look-ahead and look-behind out; use `context` for words that must stand nearby, `\\b` for a word's edge.",
    ),
    ("empty buffer", "Let it need at least one character: `+` in place of `*`, or something that is not optional."),
    (
        "too large",
        "Make counted repetitions shorter (`.{0,40}`, not `.{0,200}`), or use `context` for words that stand nearby.",
    ),
)


class _Entry(NamedTuple):
    """One expression of the automaton and what it takes for a match to be a finding."""

    type: str
    expression: bytes
    flags: int
    accept: Callable[[str, int, int], bool] | None


class OwnForms:
    """Patterns, lists and canaries, compiled. One thread's, like its automaton."""

    __slots__ = ("_automaton", "_entries", "matches")

    def __init__(self, entries: Sequence[_Entry]) -> None:
        self._entries = entries
        self._automaton = Automaton([entry.expression for entry in entries], [entry.flags for entry in entries])
        self.matches = self._automaton.matches
        """As `Automaton.matches`."""

    def find(self, text: str, data: bytes, number: int) -> list[Finding]:
        """The findings of text `number`, whose UTF-8 is `data`: those of what was configured first before others; they may overlap."""
        longest: dict[tuple[int, int], int] = {}
        for expression, start, end in self._automaton.hits(data):
            longest[expression, start] = end  # ends come in rising order: the last is the longest
        if not longest:
            return []
        places = Characters(data)
        characters = {at: places.at(at) for at in sorted({start for _, start in longest} | set(longest.values()))}
        found = []
        for (expression, first), last in sorted(longest.items()):
            entry, start, end = self._entries[expression], characters[first], characters[last]
            if entry.accept is None or entry.accept(text, start, end):
                found.append(Finding(entry.type, start, end, number))
        return found


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
        entries.append(_Entry(CANARY, re.escape(canary.token).encode(), LEFTMOST, None))
    return OwnForms(entries) if entries else None


def reach_of(screening: Screening) -> int:
    """How many characters with spaces among them a finding of one's own may have: so many a stream must hold back. 0: none has any."""
    reach = max((len(word) for words in screening.word_lists for word in words.words if " " in word), default=0)
    reach = max((len(canary.token) for canary in screening.canaries if " " in canary.token), default=reach)
    spaced = any(_MAY_MATCH_SPACE.search(pattern.regex) for pattern in screening.patterns)
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
    flags = LEFTMOST | (CASELESS if pattern.ignore_case else 0) | (0 if pattern.regex.isascii() else UNICODE)
    expression = pattern.regex.encode()
    try:
        Automaton([expression], [flags])
    except CannotCompile as error:
        remedies = (remedy for sign, remedy in _REMEDIES if sign in str(error))
        remedy = next(remedies, "See docs/screen.md for what an expression may hold.")
        raise ScreenError(
            path, f"cannot be matched in linear time or not at all: {str(error).rstrip('.')}", remedy
        ) from error
    return _Entry(pattern.name, expression, flags, _near(pattern.context) if pattern.context else None)


def _words(words: WordList) -> Iterable[_Entry]:
    if words.file is not None and not words.words:
        raise ScreenError(
            f"word_lists.{words.name}.file", "was not read", "It is read together with the configuration."
        )
    for word in words.words:
        if not word.strip():
            raise ScreenError(f"word_lists.{words.name}.words", "has an empty word", "Take it out.")
        flags = LEFTMOST
        if words.ignore_case:
            flags |= CASELESS | (0 if word.isascii() else UNICODE_CLASSES)
        yield _Entry(words.name, re.escape(word).encode(), flags, _stands_alone if words.whole_words else None)


def _near(context: Sequence[str]) -> Callable[[str, int, int], bool]:
    words = re.compile("|".join(re.escape(word) for word in context), re.IGNORECASE)

    def accept(text: str, start: int, end: int) -> bool:
        return bool(
            words.search(text, max(0, start - _CONTEXT_REACH), start) or words.search(text, end, end + _CONTEXT_REACH)
        )

    return accept


def _stands_alone(text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    return not (before.isalnum() and text[start].isalnum()) and not (after.isalnum() and text[end - 1].isalnum())
