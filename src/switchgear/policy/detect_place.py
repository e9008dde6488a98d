"""Where in a text: from bytes of its UTF-8 to characters, and which of several findings a place belongs to."""

from bisect import bisect_left
from collections.abc import Iterable

from switchgear.policy.model import Finding


class Characters:
    """From positions in bytes to positions in characters, asked for in rising order: the whole text is counted once."""

    __slots__ = ("_at", "_characters", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._characters = 0

    def at(self, position: int) -> int:
        """The characters before `position`; one that begins before it counts whole."""
        data = self._data
        while position < len(data) and data[position] & 0xC0 == 0x80:
            position += 1
        self._characters += len(data[self._at : position].decode())
        self._at = position
        return self._characters


def united(findings: Iterable[Finding]) -> list[Finding]:
    """Of findings of one text those that overlap as one, of the type of the longest; in order of place."""
    kept: list[Finding] = []
    longest = 0
    for finding in sorted(findings, key=lambda one: (one.start, -one.end)):
        size = finding.end - finding.start
        if not kept or kept[-1].end <= finding.start:
            kept.append(finding)
            longest = size
            continue
        last = kept[-1]
        kind = finding.type if size > longest else last.type
        longest = max(longest, size)
        kept[-1] = Finding(kind, last.start, max(last.end, finding.end), last.text)
    return kept


def without_overlaps(findings: Iterable[Finding]) -> list[Finding]:
    """Of findings of one text, in order of preference, those that overlap no preferred one; in order of place."""
    starts: list[int] = []
    kept: list[Finding] = []
    for finding in findings:
        at = bisect_left(starts, finding.start)
        if (at == 0 or kept[at - 1].end <= finding.start) and (at == len(kept) or finding.end <= kept[at].start):
            starts.insert(at, finding.start)
            kept.insert(at, finding)
    return kept
