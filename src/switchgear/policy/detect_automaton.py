"""The automaton: all expressions over a text in one pass, in linear time (Vectorscan, see docs/adr/0009-screen-automaton.md)."""

from collections.abc import Sequence

import hyperscan

CASELESS: int = hyperscan.HS_FLAG_CASELESS
LEFTMOST: int = hyperscan.HS_FLAG_SOM_LEFTMOST
UNICODE: int = hyperscan.HS_FLAG_UTF8
UNICODE_CLASSES: int = hyperscan.HS_FLAG_UTF8 | hyperscan.HS_FLAG_UCP
CannotCompile = hyperscan.error


class Automaton:
    """Expressions compiled together. For one thread: a scan uses the automaton's own scratch space.

    Compiling takes up to a second for many expressions and releases the interpreter's lock: do it in a thread beside a running loop.
    """

    __slots__ = ("_database", "_hits", "_scan")

    def __init__(self, expressions: Sequence[bytes], flags: Sequence[int]) -> None:
        """`flags` go with the expressions one by one. Raises CannotCompile."""
        self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        self._database.compile(
            expressions=list(expressions),
            ids=list(range(len(expressions))),
            elements=len(expressions),
            flags=[flag | hyperscan.HS_FLAG_DOTALL for flag in flags],
        )
        self._scan = self._database.scan
        self._hits: list[tuple[int, int, int]] = []

    def matches(self, data: bytes) -> bool:
        """Whether any expression matches anywhere; looks no further than the first."""
        try:
            self._scan(data, _stop)
        except hyperscan.ScanTerminated:
            return True
        return False

    def hits(self, data: bytes) -> list[tuple[int, int, int]]:
        """Every match: which expression, its first byte (0 without `LEFTMOST`), the byte after its last; in the order of their ends."""
        hits: list[tuple[int, int, int]] = []
        self._hits = hits
        self._scan(data, self._keep)
        return hits

    def _keep(self, expression: int, start: int, end: int, _flags: int, _context: object) -> None:
        self._hits.append((expression, start, end))


def _stop(_expression: int, _start: int, _end: int, _flags: int, _context: object) -> bool:
    return True
