"""The record: what one call leaves behind. Never a prompt, never an answer.

Records are MessagePack arrays. The schema grows at the end only: a new field comes last and has a default, `VERSION` goes
up, and a sample of each version stays readable (tests/core/records). Times are seconds; a field that ends in `_s` counts
from the call's beginning unless it says otherwise.
"""

from enum import StrEnum
from typing import Literal

import msgspec

from switchgear.core.escalation import Confidence
from switchgear.core.screening import Found

VERSION = 2
LONGEST_REASON = 64


class Outcome(StrEnum):
    """How a call ended for its caller."""

    OK = "ok"
    """A whole answer."""
    REFUSED = "refused"
    """A clear error before any target was asked: the call was wrong, not allowed, or had nowhere to go."""
    FAILED = "failed"
    """A clear error after the targets were asked."""
    BROKEN = "broken"
    """An in-band error after the commit point."""
    CANCELLED = "cancelled"
    """The caller hung up."""


class AttemptKind(StrEnum):
    """Why a target was asked."""

    FIRST = "first"
    RETRY = "retry"
    """The same target again."""
    FALLBACK = "fallback"
    """The next candidate."""
    HEDGE = "hedge"
    """A second one beside a slow first."""
    RESCUE = "rescue"
    """After the commit point: asked again for the whole answer."""
    CONTINUE = "continue"
    """After the commit point: asked to go on from the text already sent."""
    ESCALATE = "escalate"
    """A target of the larger model, because the smaller one was unsure."""


class AttemptOutcome(StrEnum):
    """How one attempt ended."""

    OK = "ok"
    """Its answer, or the rest of it, went to the caller."""
    FAILED = "failed"
    """It gave no whole answer; `error` says why."""
    LOST = "lost"
    """A hedge: the other one was first, and this one was cancelled."""
    CANCELLED = "cancelled"
    """The caller hung up."""
    DISCARDED = "discarded"
    """A rescue whose answer did not begin with the text already sent."""
    UNSURE = "unsure"
    """Its answer was unsure and went to nobody: a larger model was asked."""


UsageSource = Literal["reported", "estimated", "none"]


class Attempt(msgspec.Struct, array_like=True, gc=False):
    """One try at one target."""

    backend: str
    model: str
    """The model's name at that backend."""
    kind: AttemptKind
    started_s: float
    duration_s: float = 0.0
    """From asking to its end."""
    ttft_s: float | None = None
    """From asking to its first token (or first byte where nothing is streamed)."""
    status: int = 0
    """HTTP status of the backend, 0 where none came."""
    outcome: AttemptOutcome = AttemptOutcome.FAILED
    error: str = ""
    """Stable code of what went wrong; see docs/errors.md."""
    waited_s: float = 0.0
    """Back-off before it."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt tokens, those that the backend reported as cached."""
    completion_tokens: int = 0
    usage: UsageSource = "none"
    cost_usd: float | None = 0.0
    """None: unpriced. A failed attempt costs nothing here: it is not billed as a completion."""
    confidence: Confidence | None = None
    """Since version 2. How sure its answer was, where that was asked."""
    energy_j: float | None = None
    """Since version 2. What it took there, joules, by meter or by estimate; None is unknown, never nothing."""
    co2_g: float | None = None
    """Since version 2. Grams of CO2 of that; None is unknown."""


class RuledOut(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A target that was no candidate for this call, and why."""

    backend: str
    model: str
    reason: str
    """Stable code, for example `lacks_tools`, `breaker_open`, `full`."""


class Record(msgspec.Struct, array_like=True, gc=False):
    """One call. It must not change once it was given away: it is encoded later."""

    version: int
    call: str
    """Its id, as in the header `x-switchgear-call`."""
    at_s: float
    """When its head had arrived, Unix time."""
    gateway: str
    """Which data plane served it: `host/worker`."""
    snapshot: str
    """Id of the snapshot it was served from."""
    endpoint: str
    principal: str = ""
    """Name of the key; empty where the caller is not known."""
    team: str = ""
    data_class: str = ""
    """Empty: not classified."""
    model: str = ""
    """The name called, an alias."""
    pinned: str = ""
    """The backend that the caller chose by model@backend."""
    streamed: bool = False
    candidates: list[tuple[str, str]] = []
    """Backend and model of the targets that were allowed, in the order of routing."""
    ruled_out: list[RuledOut] = []
    attempts: list[Attempt] = []
    outcome: Outcome = Outcome.OK
    status: int = 0
    """HTTP status that the caller got; 0 where it hung up before one."""
    error: str = ""
    """Stable code of the error that the caller got."""
    backend: str = ""
    """Who gave the answer (its end, after a rescue)."""
    answered_model: str = ""
    """The model's name there."""
    finish_reason: str = ""
    """In the backend's words, as far as `LONGEST_REASON` characters go."""
    ttft_s: float | None = None
    """To the first byte of the answer sent to the caller."""
    duration_s: float = 0.0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    usage: UsageSource = "none"
    cost_usd: float | None = 0.0
    """Of all attempts together; None: unpriced."""
    request_bytes: int = 0
    answer_bytes: int = 0
    flags: list[str] = []
    """Since version 2. What was let through all the same: soft limits as `LIMIT.MEASURE`."""
    findings: list[Found] = []
    """Since version 2. What the screen found in the call: types, how many, where; never what."""
    answer_findings: list[Found] = []
    """Since version 2. The same of the answer."""
    screen_rules: list[str] = []
    """Since version 2. Names of the screen's rules that applied."""
    reuse: str = ""
    """Since version 2. A `Reuse`: how the answer came, where it was not asked for anew."""
    degraded: str = ""
    """Since version 2. A `Degraded`: which last resort the answer was."""
    energy_j: float | None = None
    """Since version 2. Of all attempts together, joules; None where that of one that took some is unknown."""
    co2_g: float | None = None
    """Since version 2. Of all attempts together, grams; None likewise."""
    standings: list[str] = []
    """Since version 2. How the hardware of each candidate stood: good, unknown or bad; empty where none is asked."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)
encode_record = _encoder.encode


def decode_record(data: bytes) -> Record:
    """Read a record of this or an earlier version. Raises msgspec.DecodeError."""
    try:
        return _decoder.decode(data)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from error


def inter_token_s(record: Record) -> float | None:
    """Mean time between two tokens after the first, seconds; None where it cannot be known (not streamed, fewer than two tokens)."""
    if not record.streamed or record.ttft_s is None or record.completion_tokens < 2:
        return None
    return max(0.0, record.duration_s - record.ttft_s) / (record.completion_tokens - 1)
