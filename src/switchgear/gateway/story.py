"""One call's story, in words and as a timeline, from its record."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from switchgear.core.caching import Degraded, Reuse
from switchgear.core.escalation import Confidence
from switchgear.core.record import Attempt, AttemptKind, AttemptOutcome, Outcome, Record, inter_token_s
from switchgear.core.screening import Found
from switchgear.gateway.candidates import why_out
from switchgear.gateway.errors import CATALOGUE
from switchgear.policy.external import LATE

_KINDS = {
    AttemptKind.FIRST: "first choice",
    AttemptKind.RETRY: "the same target again",
    AttemptKind.FALLBACK: "the next candidate",
    AttemptKind.HEDGE: "a second target beside the slow first one",
    AttemptKind.RESCUE: "asked again for the whole answer, after the stream had broken",
    AttemptKind.CONTINUE: "asked to go on from the text already sent",
    AttemptKind.ESCALATE: "the larger model, because the smaller one was unsure",
}
_REUSED: dict[str, str] = {
    Reuse.HIT: "It was kept from an earlier call that said the same",
    Reuse.COLLAPSED: "Another call that said the same was under way, and its answer was this one's too",
    Reuse.STALE: "It was kept from an earlier call that said the same, and its time was over",
}
_DEGRADED: dict[str, str] = {
    Degraded.STALE_CACHE: "a kept answer whose time was over",
    Degraded.SMALLER_MODEL: "another model's answer",
    Degraded.MESSAGE: "a fixed message",
    Degraded.UNSURE: "the unsure answer itself, because the larger model gave none",
}
_ERRORS = {
    "connect_failed": "no connection",
    "connect_timeout": "no connection in time",
    "out_of_sockets": "the gateway could open no further connection",
    "pool_exhausted": "no connection was free in time",
    "connection_reset": "the connection ended before any byte of an answer",
    "answer_truncated": "the connection ended within the answer",
    "first_byte_timeout": "no first token in time",
    "idle_timeout": "the answer stopped",
    "total_timeout": "the answer was not whole in time",
    "protocol_error": "what came was not HTTP",
    "malformed_answer": "what came was not an answer of its protocol",
    "upstream_in_band_error": "an error came within the stream",
    "context_length_exceeded": "the call is too long for it",
}
_OUTCOMES = {
    Outcome.OK: "The caller got a whole answer",
    Outcome.REFUSED: "The caller got an error before any target was asked",
    Outcome.FAILED: "The caller got an error after the targets had been asked",
    Outcome.BROKEN: "The caller's stream ended in an error event",
    Outcome.CANCELLED: "The caller hung up",
}
_PIECE = {True: "token", False: "byte"}
"""What comes first of an answer, by whether it is streamed."""


class Event(NamedTuple):
    """One moment of a call."""

    at_s: float
    """Since its head had arrived."""
    what: str
    """asked, waiting, attempt, first token (or first byte), ended, answered, done."""
    text: str


def explain(record: Record) -> list[str]:
    """The story, one sentence or two a line."""
    lines = [_who(record), *_screened(record)]
    if record.pinned:
        lines.append(f"The caller chose the backend {record.pinned}.")
    lines += [f"Ruled out: {out.backend} ({out.model}) {why_out(out.reason)}." for out in record.ruled_out]
    if record.candidates:
        order = ", then ".join(f"{backend} ({model})" for backend, model in record.candidates)
        lines.append(f"Candidates in order: {order}.")
    elif record.ruled_out:
        lines.append("No candidate was left.")
    lines += [
        f"Attempt {number}: {_attempt(attempt, record.streamed)}" for number, attempt in enumerate(record.attempts, 1)
    ]
    lines.append(_ending(record))
    lines += _came(record)
    if record.flags:
        lines.append(f"Beyond limits that did not refuse it: {', '.join(record.flags)}.")
    if record.attempts:
        lines.append(_use(record))
    return lines


def timeline(record: Record) -> list[Event]:
    """What happened when, in order of time."""
    events = [
        Event(0.0, "asked", f"{record.endpoint} for {record.model or 'no model'}, {amount(record.request_bytes)} bytes")
    ]
    for number, attempt in enumerate(record.attempts, 1):
        events += _attempt_events(number, attempt, record.streamed)
    if record.ttft_s is not None:
        events.append(Event(record.ttft_s, "answered", "first byte to the caller (the commit point)"))
    text = f"{record.outcome.value}{_status(record)}, {amount(record.answer_bytes)} bytes"
    events.append(Event(record.duration_s, "done", text))
    # Stable: of what happened in the same microsecond (times are floats), what was found first stays first.
    return sorted(events, key=lambda event: round(event.at_s, 6))


def duration(seconds: float) -> str:
    """A time as people read it: 180 us, 6.1 ms, 2.50 s."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"


def usd(cost_usd: float | None) -> str:
    """A cost as people read it; None is unpriced, never zero."""
    if cost_usd is None:
        return "unpriced"
    if cost_usd == 0 or cost_usd >= 1:
        return f"${cost_usd:.2f}"
    digits = max(2, 2 - math.floor(math.log10(cost_usd)))  # three that count, written out
    return f"${cost_usd:.{digits}f}"


def amount(number: int) -> str:
    """A number with its thousands apart."""
    return f"{number:,}".replace(",", " ")


def moment(at_s: float) -> str:
    """Unix time as text, UTC, to the millisecond."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(sep=" ", timespec="milliseconds").replace("+00:00", " UTC")


def _who(record: Record) -> str:
    caller = f"key {record.principal}" if record.principal else "an unknown caller"
    team = f" (team {record.team})" if record.team else ""
    model = f"model {record.model}" if record.model else "no model"
    ways = [
        way
        for way, is_so in ((f"data class {record.data_class}", record.data_class), ("streamed", record.streamed))
        if is_so
    ]
    manner = f", {', '.join(ways)}" if ways else ""
    return f"{moment(record.at_s)}: {caller}{team} asked {model} for {record.endpoint}{manner}."


def _screened(record: Record) -> list[str]:
    """What the content screen found, by which rules it went, and what it could not see."""
    lines = []
    unseen = [rule.removeprefix(f"{LATE}:") for rule in record.screen_rules if rule.startswith(LATE)]
    rules = [rule for rule in record.screen_rules if not rule.startswith(LATE)]
    if record.findings:
        by = f"; rules: {', '.join(rules)}" if rules else "; no rule was for that"
        lines.append(f"The content screen found {_found(record.findings)}{by}.")
    lines += [f"The external screen did not look at it: {why}." for why in unseen]
    if record.answer_findings:
        lines.append(f"In the answer it found {_found(record.answer_findings)}.")
    return lines


def _found(findings: Iterable[Found]) -> str:
    return ", ".join(f"{one.count} x {one.type}" for one in findings)


def _attempt(attempt: Attempt, streamed: bool) -> str:
    waited = f" after a wait of {duration(attempt.waited_s)}" if attempt.waited_s else ""
    text = f"at {duration(attempt.started_s)}{waited}, {attempt.backend} ({attempt.model}), {_KINDS[attempt.kind]}. "
    if attempt.ttft_s is not None:
        text += f"First {_PIECE[streamed]} after {duration(attempt.ttft_s)}. "
    end, why = _attempt_end(attempt)
    sure = f" {_sureness(attempt.confidence)}" if attempt.confidence is not None else ""
    return f"{text}{end} after {duration(attempt.duration_s)}{why}{_tokens(attempt)}.{sure}"


def _sureness(told: Confidence) -> str:
    numbers = [
        f"{name.replace('_', ' ')} {value:.3g}"
        for name in ("mean_logprob", "min_logprob", "margin", "min_margin")
        if (value := getattr(told, name)) is not None
    ]
    flags = [name.replace("_", " ") for name in ("refusal", "format_failure", "length_cut") if getattr(told, name)]
    looked_at = [f"over {told.tokens} tokens"] if told.tokens else []
    why = ", ".join([*numbers, *looked_at, *flags]) or "no log-probabilities"
    return f"The rule called it {'unsure' if told.unsure else 'sure'} ({why})."


def _came(record: Record) -> list[str]:
    """How an answer came that was not simply the model's own, and what the caller was told of that."""
    lines = []
    if record.reuse:
        why = _REUSED.get(record.reuse, "It was not asked for anew")  # a record may be of a newer version
        lines.append(f"{why} (x-switchgear-cache: {record.reuse}).")
    if record.degraded:
        what = _DEGRADED.get(record.degraded, record.degraded)
        lines.append(f"It was a last resort: {what} (x-switchgear-degraded: {record.degraded}).")
    return lines


def _attempt_end(attempt: Attempt) -> tuple[str, str]:
    match attempt.outcome:
        case AttemptOutcome.OK:
            return "It answered", ""
        case AttemptOutcome.LOST:
            return "It was cancelled", ", because the other one was first"
        case AttemptOutcome.CANCELLED:
            return "It was cancelled", ", because the caller hung up"
        case AttemptOutcome.DISCARDED:
            return "It was given up", ": its answer did not begin with the text already sent"
        case AttemptOutcome.UNSURE:
            return "It was unsure", f": {in_words(attempt.error)}" if attempt.error else ""
        case AttemptOutcome.FAILED:
            return "It failed", f": {in_words(attempt.error)}{_in_brackets(attempt)}"


def in_words(code: str) -> str:
    """An attempt's error code as people read it; codes of backends stay as they are."""
    return _ERRORS.get(code) or (f"status {code[7:]}" if code.startswith("status_") else code or "no reason given")


def _in_brackets(attempt: Attempt) -> str:
    known = [attempt.error] if attempt.error in _ERRORS else []
    if attempt.status and not attempt.error.startswith("status_"):
        known.append(f"status {attempt.status}")
    return f" ({', '.join(known)})" if known else ""


def _tokens(attempt: Attempt) -> str:
    if attempt.usage == "none":
        return ""
    return f", {amount(attempt.prompt_tokens)} + {amount(attempt.completion_tokens)} tokens, {usd(attempt.cost_usd)}"


def _attempt_events(number: int, attempt: Attempt, streamed: bool) -> Iterable[Event]:
    where = f"attempt {number}, {attempt.backend} ({attempt.model})"
    if attempt.waited_s:
        yield Event(
            attempt.started_s - attempt.waited_s, "waiting", f"{duration(attempt.waited_s)} before attempt {number}"
        )
    yield Event(attempt.started_s, "attempt", f"{where}: {_KINDS[attempt.kind]}")
    if attempt.ttft_s is not None:
        yield Event(attempt.started_s + attempt.ttft_s, f"first {_PIECE[streamed]}", where)
    error = f": {in_words(attempt.error)}" if attempt.error else ""
    yield Event(attempt.started_s + attempt.duration_s, "ended", f"{where}: {attempt.outcome.value}{error}")


def _status(record: Record) -> str:
    return f", status {record.status}" if record.status else ""


def _ending(record: Record) -> str:
    text = _OUTCOMES[record.outcome]
    if record.outcome is Outcome.OK:
        rescued = any(
            a.kind in (AttemptKind.RESCUE, AttemptKind.CONTINUE) and a.outcome is AttemptOutcome.OK
            for a in record.attempts
        )
        if record.backend:
            text += f" from {record.backend} ({record.answered_model})"
        text += ", which carried a broken stream to its end" if rescued else ""
        if record.finish_reason:
            text += f"; it ended with {record.finish_reason}"
    elif record.error:
        shape = CATALOGUE.get(record.error)
        text += f": {record.error}" + (f" ({shape.meaning.rstrip('.')})" if shape else "")
    times = [f"in {duration(record.duration_s)}"]
    if record.ttft_s is not None and record.streamed:
        times.append(f"the first byte after {duration(record.ttft_s)}")
    if (token_s := inter_token_s(record)) is not None:
        times.append(f"{duration(token_s)} a token")
    return f"{text}{_status(record)}, {', '.join(times)}."


def _use(record: Record) -> str:
    if record.usage == "none" and not record.cost_usd:
        return (
            "No tokens were counted."
            if record.cost_usd is not None
            else "No tokens were counted; the cost is unpriced."
        )
    cached = f" ({amount(record.cached_tokens)} of them cached)" if record.cached_tokens else ""
    source = ", estimated" if record.usage == "estimated" else ""
    return (
        f"Tokens: {amount(record.prompt_tokens)} of prompt{cached}, {amount(record.completion_tokens)} of answer{source}. "
        f"Cost of all attempts: {usd(record.cost_usd)}."
    )
