"""What the screen says of a call: findings, and the verdict that follows from them."""

from collections.abc import Sequence

import msgspec

from switchgear.core.data_class import DataClass
from switchgear.core.screening import Action, Found

Fields = dict[str, msgspec.Raw]
"""The top level of a call's body: names, and values as the caller wrote them."""

OFFSETS_KEPT = 16
"""Of each type, the record keeps where the first ones stood: a record stays small whatever a call holds."""


class Finding(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One place in a text. The text itself is never kept."""

    type: str
    """Value of a `Detector`, `canary`, or the name of an own pattern or word list."""
    start: int
    """First character, in characters of the text (not bytes, and after JSON's escapes are read)."""
    end: int
    """The character after its last."""
    text: int = 0
    """Which text: counted from 0 through all strings of the screened fields, in the order of the body. In an answer, its choice."""


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What the screen says of one call."""

    findings: tuple[Finding, ...] = ()
    action: Action | None = None
    """The strictest action of the rules that apply; None where nothing was found."""
    rules: tuple[str, ...] = ()
    """Names of the rules that apply."""
    refused_by: str = ""
    """The rule that refuses the call; empty where none does."""
    raised_to: DataClass | None = None
    """The class that findings raise the call to. It only raises: take the strictest of it and the declared one."""
    redacted: Fields | None = None
    """The call's fields with placeholders in place of findings; None where nothing is redacted."""
    originals: dict[str, str] = {}
    """What stood where each placeholder stands. For the call's own lifetime only: never written anywhere."""
    seen: frozenset[str] = frozenset()
    """What was found, normalised, so that an answer's finding can be told from one that stood in the prompt. As short-lived."""


CLEAN = Verdict()
"""Nothing found."""


class AnswerVerdict(msgspec.Struct, frozen=True, gc=False):
    """What the screen says of one whole answer."""

    body: bytes
    """What the caller may have: the answer as it came, or with findings replaced and placeholders put back."""
    findings: tuple[Finding, ...] = ()
    blocked_by: str = ""
    """The rule that blocks the answer; empty where none does."""


def tally(findings: Sequence[Finding]) -> list[Found]:
    """Findings as the record keeps them: for each type how many, and where the first `OFFSETS_KEPT` stood."""
    places: dict[str, list[tuple[int, int, int]]] = {}
    for finding in findings:
        places.setdefault(finding.type, []).append((finding.text, finding.start, finding.end))
    return [Found(name, len(found), found[:OFFSETS_KEPT]) for name, found in places.items()]


def normalised(value: str) -> str:
    """A value's letters and digits in lower case: `4111 1111…` in a prompt and `4111-1111…` in an answer are one."""
    return "".join(filter(str.isalnum, value.casefold()))
