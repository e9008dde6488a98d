"""A whole answer, screened: its texts are read like a call's."""

from typing import Any

import msgspec

from switchgear.core.screening import AnswerAction
from switchgear.policy.detect import Detectors
from switchgear.policy.detect_place import united
from switchgear.policy.model import AnswerVerdict, Finding, Verdict
from switchgear.policy.redact import replace_texts
from switchgear.policy.screen_rules import AnswerDecider
from switchgear.policy.screen_text import Text, read_texts, without_escapes
from switchgear.policy.watch_judge import Edit, PutBack, edited, judge, mask


def screen_answer(body: bytes, detectors: Detectors | None, rules: AnswerDecider, verdict: Verdict) -> AnswerVerdict:
    """The body that the caller may have, and what was found in it. `body` must be JSON; its bytes stay where nothing is to be done."""
    watched = detectors if rules else None
    suspicious = watched is not None and watched.matches(without_escapes(body) if b"\\" in body else body)
    if not suspicious and not (verdict.originals and b"[" in body):
        return AnswerVerdict(body)
    put_back = PutBack(verdict.originals)
    replaced: list[tuple[Text, str]] = []
    findings: list[Finding] = []
    masked = False
    for number, text in enumerate(read_texts(body)):
        edits: list[Edit] = []
        taken_out: list[Finding] = []
        if suspicious and watched is not None:
            for finding, action, rule in judge(text.value, watched.find_all(text.value, number), rules, verdict):
                findings.append(finding)
                if action is AnswerAction.BLOCK:
                    return AnswerVerdict(body, tuple(findings), rule)
                if action is AnswerAction.REDACT:
                    taken_out.append(finding)
            edits = [Edit(one.start, one.end, mask(one.type)) for one in united(taken_out)]
            masked = masked or bool(edits)
        edits += [edit for edit in put_back.edits(text.value) if not any(_overlap(edit, other) for other in edits)]
        if edits:
            replaced.append((text, edited(text.value, sorted(edits))))
    if not replaced:
        return AnswerVerdict(body, tuple(findings))
    body = replace_texts(body, replaced)
    return AnswerVerdict(_without_logprobs(body) if masked else body, tuple(findings))


def _overlap(one: Edit, other: Edit) -> bool:
    return one.start < other.end and other.start < one.end


def _without_logprobs(body: bytes) -> bytes:
    """They spell the text out again, token by token: what was taken out of the one must not stay in the other."""
    return msgspec.json.encode(_emptied(msgspec.json.decode(body))) if b'"logprobs"' in body else body


def _emptied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: None if key == "logprobs" else _emptied(inner) for key, inner in value.items()}
    return [_emptied(inner) for inner in value] if isinstance(value, list) else value
