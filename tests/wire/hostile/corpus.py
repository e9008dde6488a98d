"""Malformed and ambiguous requests, and how each must end: refused with one status, or read in exactly one way.

`CASES` is data: a name, the bytes that a caller sends on one connection, the requests that the handler may see (and no other), and the
status of the refusal that follows them, if one does. Where nothing is refused, the connection stays open unless `closes` says otherwise.
"""

from tests.wire.hostile import framing, heads, sequences
from tests.wire.hostile.case import LIMITS, Call, Case

__all__ = ["CASES", "GROUPS", "LIMITS", "Call", "Case"]

GROUPS: dict[str, tuple[Case, ...]] = {
    group.__name__: tuple(group())
    for group in (
        framing.lengths,
        framing.codings,
        framing.chunks,
        framing.trailers,
        heads.request_lines,
        heads.hosts,
        heads.headers,
        sequences.bodies,
        sequences.connections,
        sequences.expectations,
        sequences.pipelines,
    )
}
CASES: tuple[Case, ...] = tuple(case for cases in GROUPS.values() for case in cases)
