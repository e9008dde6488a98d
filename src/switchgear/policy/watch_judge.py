"""What is to be done about an answer's findings: shared by whole answers and streams."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from switchgear.core.screening import AnswerAction
from switchgear.policy.model import Finding, Verdict, normalised
from switchgear.policy.screen_rules import AnswerDecider


class Edit(NamedTuple):
    """A stretch of text and what goes in its stead."""

    start: int
    end: int
    value: str


class Judged(NamedTuple):
    """A finding in an answer and what the rules say of it."""

    finding: Finding
    action: AnswerAction
    rule: str


def judge(text: str, findings: Iterable[Finding], rules: AnswerDecider, verdict: Verdict) -> list[Judged]:
    """Findings that some rule is for. One that stood in the prompt is none where its rule says so."""
    judged = []
    for finding in findings:
        in_prompt = bool(verdict.seen) and normalised(text[finding.start : finding.end]) in verdict.seen
        said = rules.decide(finding.type, in_prompt=in_prompt)
        if said is not None:
            judged.append(Judged(finding, *said))
    return judged


def mask(kind: str) -> str:
    """What the caller gets in place of a finding: it cannot be put back."""
    return f"[{kind.upper().replace('-', '_')}]"


class PutBack:
    """The originals of a call, to go where its answer names their placeholders."""

    __slots__ = ("_expression", "_originals")

    def __init__(self, originals: Mapping[str, str], *, in_json: bool = False) -> None:
        """`in_json`: the text is JSON, so that what goes into its strings is escaped."""
        self._originals = {
            placeholder: msgspec.json.encode(value).decode()[1:-1] if in_json else value
            for placeholder, value in originals.items()
        }
        self._expression = re.compile("|".join(map(re.escape, originals))) if originals else None

    def edits(self, text: str) -> list[Edit]:
        """Where placeholders stand and what they stood for."""
        if self._expression is None or "[" not in text:
            return []
        return [Edit(*found.span(), self._originals[found[0]]) for found in self._expression.finditer(text)]


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text with its edits, which are in order and do not overlap."""
    parts: list[str] = []
    at = 0
    for edit in edits:
        parts += (text[at : edit.start], edit.value)
        at = edit.end
    parts.append(text[at:])
    return "".join(parts)
