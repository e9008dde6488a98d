"""The automaton: all expressions over a text in one pass, in linear time.

Vectorscan where a release of it is installed that misses nothing, else RE2, which is correct and several times slower on texts that it
has not seen the like of. Why, and what was measured: docs/adr/0009-screen-automaton.md.
"""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import re2  # type: ignore[import-untyped]  # it comes without types

_RE2_MEMORY_BYTES = 256 << 20
"""Bound of RE2's cache of states. It fills as texts need it; when it is full it is begun anew."""
_PROBES: tuple[tuple[bytes, bytes], ...] = (
    (rb"\|\d*x", b"foo23xid fooaididb\xc3\xa9Q1\xc3\xa9kundeb- - id1|xabcEMP-idbpython"),
    (rb"(?:curl|\w){3}\d+\|", b"kunde- - curl zz  abid2323|xQ1 EMP-\xc3\xa9- Q"),
    (rb"curl[\s\S]*\|\s*python", b"curl http://xxx:8000/ 2>&1 | python"),
    (rb"[a-f]+?\|\s{0,30}", b"idcurl zzfookunde\nabca akunde\xc3\xa9kundeabc\xc3\xa9bpython a|"),
)
"""Expressions that match, and that Vectorscan 5.4.12 says do not (VectorCamp/vectorscan, issue 382)."""


def _vectorscan() -> Any:
    try:
        return import_module("hyperscan")
    except ImportError:  # there is no wheel for each Python and each machine
        return None


hyperscan = _vectorscan()


class Automaton(Protocol):
    """Expressions compiled together; one thread's."""

    def matches(self, data: bytes) -> bool:
        """Whether any expression matches anywhere; looks no further than the first."""
        ...

    def hits(self, data: bytes) -> list[tuple[int, int]]:
        """Which expression matched, and the byte after its match, in rising order of the latter."""
        ...


class CannotCompile(Exception):
    """An expression that the automaton cannot hold; the message is its own."""


class Expression(NamedTuple):
    """One of an automaton's expressions."""

    text: bytes
    ignore_case: bool = False
    utf8: bool = False
    """Its characters, and those of texts, are UTF-8; else they are bytes."""


def automaton(expressions: Sequence[Expression]) -> Automaton:
    """Compile expressions. Raises CannotCompile.

    Many expressions take Vectorscan up to a second, without the interpreter's lock: do it in a thread beside a running loop.
    """
    if not expressions:  # neither library takes none
        return Nothing()
    return Vectorscan(expressions) if vectorscan_is_sound() else Re2(expressions)


@cache
def vectorscan_is_sound() -> bool:
    """Whether Vectorscan is there and finds what its broken release misses."""
    if hyperscan is None:
        return False
    return all(Vectorscan([Expression(expression)]).matches(text) for expression, text in _PROBES)


class Nothing:
    """No expressions, as where a company looks for its own words alone."""

    __slots__ = ()

    def matches(self, data: bytes) -> bool:
        """See `Automaton.matches`."""
        return False

    def hits(self, data: bytes) -> list[tuple[int, int]]:
        """See `Automaton.hits`."""
        return []


class Vectorscan:
    """Compiled ahead: each byte costs the same, whatever the text. Matches' beginnings are not asked for: that mode can crash."""

    __slots__ = ("_database", "_hits", "_scan")

    def __init__(self, expressions: Sequence[Expression]) -> None:
        """As `automaton`."""
        count = len(expressions)
        self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        try:
            self._database.compile(
                expressions=[_in_ascii(one.text) if one.utf8 else one.text for one in expressions],
                ids=list(range(count)),
                elements=count,
                flags=[
                    (hyperscan.HS_FLAG_CASELESS if one.ignore_case else 0) | (hyperscan.HS_FLAG_UTF8 if one.utf8 else 0)
                    for one in expressions
                ],
            )
        except hyperscan.error as error:
            raise CannotCompile(str(error)) from error
        self._scan = self._database.scan
        self._hits: list[tuple[int, int]] = []

    def matches(self, data: bytes) -> bool:
        """See `Automaton.matches`."""
        try:
            self._scan(data, _stop)
        except hyperscan.ScanTerminated:
            return True
        return False

    def hits(self, data: bytes) -> list[tuple[int, int]]:
        """See `Automaton.hits`."""
        hits: list[tuple[int, int]] = []
        self._hits = hits
        self._scan(data, self._keep)
        return hits

    def _keep(self, expression: int, _start: int, end: int, _flags: int, _context: object) -> None:
        self._hits.append((expression, end))


def _stop(_expression: int, _start: int, _end: int, _flags: int, _context: object) -> bool:
    return True


def _in_ascii(expression: bytes) -> bytes:
    text = expression.decode()
    return "".join(one if one.isascii() else f"\\x{{{ord(one):x}}}" for one in text).encode()


class Re2:
    """Makes its states as texts need them: what is like what it has seen is fast. Of matches that overlap it tells the first."""

    __slots__ = ("_each", "_set")

    def __init__(self, expressions: Sequence[Expression]) -> None:
        """As `automaton`."""
        options = re2_options(utf8=any(one.utf8 for one in expressions))
        texts = [b"(?i:%b)" % one.text if one.ignore_case else one.text for one in expressions]
        self._set = re2.Set.SearchSet(options)
        try:
            self._each = [re2.compile(expression, options) for expression in texts]
            for expression in texts:
                self._set.Add(expression)
        except re2.error as error:
            raise CannotCompile(str(error)) from error
        self._set.Compile()

    def matches(self, data: bytes) -> bool:
        """See `Automaton.matches`."""
        return bool(self._set.Match(data))

    def hits(self, data: bytes) -> list[tuple[int, int]]:
        """See `Automaton.hits`."""
        found = self._set.Match(data) or ()
        hits = [(number, match.end()) for number in found for match in self._each[number].finditer(data)]
        return sorted(hits, key=_end_of)


def _end_of(hit: tuple[int, int]) -> int:
    return hit[1]


def re2_options(*, utf8: bool) -> re2.Options:
    """How expressions are read here: `.` is no line break, nothing is logged."""
    options = re2.Options()
    options.max_mem = _RE2_MEMORY_BYTES
    options.log_errors = False
    options.encoding = re2.Options.Encoding.UTF8 if utf8 else re2.Options.Encoding.LATIN1
    return options
