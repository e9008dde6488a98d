"""Records that between them use every field: what the frozen samples are made of (`python -m tests.core.sample_records` writes one)."""

import sys
from pathlib import Path
from typing import Any

import msgspec

from switchgear.core.escalation import Confidence
from switchgear.core.record import (
    VERSION,
    Attempt,
    AttemptKind,
    AttemptOutcome,
    Outcome,
    Record,
    RuledOut,
    encode_record,
)
from switchgear.core.screening import Found

FOLDER = Path(__file__).parent / "records"
AT_S = 1_760_000_000.25


def answered() -> Record:
    """The plain case."""
    attempt = Attempt(
        "appliance", "llama-8b", AttemptKind.FIRST, started_s=0.0001, duration_s=0.25, ttft_s=0.05, status=200,
        outcome=AttemptOutcome.OK, prompt_tokens=250, cached_tokens=50, completion_tokens=121, usage="reported", cost_usd=0.0000146,
    )  # fmt: skip
    return Record(
        VERSION, "call_019a0000001", AT_S, "host/0", "abcdef012345", "chat/completions", principal="demo", team="platform",
        model="chat", streamed=True, candidates=[("appliance", "llama-8b"), ("cloud", "gpt-x")], attempts=[attempt],
        status=200, backend="appliance", answered_model="llama-8b", finish_reason="stop", ttft_s=0.06, duration_s=0.30,
        prompt_tokens=250, cached_tokens=50, completion_tokens=121, usage="reported", cost_usd=0.0000146,
        request_bytes=1100, answer_bytes=6400,
    )  # fmt: skip


def rescued() -> Record:
    """Ruled out, failed, waited, hedged, discarded, continued, unpriced."""
    asked = [
        Attempt("appliance", "llama-8b", AttemptKind.FIRST, 0.0001, 0.2, None, 503, error="status_503"),
        Attempt("appliance", "llama-8b", AttemptKind.RETRY, 0.35, 0.4, 0.1, 200, error="answer_truncated", waited_s=0.15,
                prompt_tokens=250, completion_tokens=11, usage="estimated", cost_usd=0.00001),
        Attempt("onprem", "llama-70b", AttemptKind.HEDGE, 0.5, 0.1, None, 0, AttemptOutcome.LOST),
        Attempt("onprem", "llama-70b", AttemptKind.RESCUE, 0.76, 0.2, 0.1, 200, AttemptOutcome.DISCARDED, "diverged"),
        Attempt("cloud", "gpt-x", AttemptKind.CONTINUE, 1.0, 0.5, 0.2, 200, AttemptOutcome.OK, "", 0.0, 261, 0, 100,
                "reported", None),
    ]  # fmt: skip
    return Record(
        VERSION, "call_019a0000002", AT_S + 1, "host/1", "abcdef012345", "chat/completions", "demo", "platform", "internal",
        "chat", "", True, [("appliance", "llama-8b"), ("onprem", "llama-70b"), ("cloud", "gpt-x")],
        [RuledOut("edge", "tiny", "lacks_tools"), RuledOut("lab", "llama-8b", "breaker_open")], asked, Outcome.OK, 200, "",
        "cloud", "gpt-x", "length", 0.5, 1.5, 250, 0, 111, "estimated", None, 1200, 5000,
    )  # fmt: skip


def refused() -> Record:
    """Nobody known, nothing asked."""
    return Record(
        VERSION, "call_019a0000003", AT_S + 2, "host/0", "abcdef012345", "embeddings", model="no such model", outcome=Outcome.REFUSED,
        status=404, error="model_not_found", duration_s=0.0002, request_bytes=20, answer_bytes=150,
    )  # fmt: skip


def failed() -> Record:
    """Every target was asked in vain; the caller had chosen one."""
    attempt = Attempt("cloud", "gpt-x", AttemptKind.FIRST, 0.0002, 2.0, error="connect_timeout")
    return Record(
        VERSION, "call_019a0000004", AT_S + 3, "host/0", "abcdef012345", "completions", "demo", "", "", "chat", "cloud",
        candidates=[("cloud", "gpt-x")], ruled_out=[RuledOut("appliance", "llama-8b", "not_pinned")], attempts=[attempt],
        outcome=Outcome.FAILED, status=503, error="upstream_unreachable", duration_s=2.001,
    )  # fmt: skip


def cancelled() -> Record:
    """The caller hung up."""
    attempt = Attempt("appliance", "llama-8b", AttemptKind.FIRST, 0.0001, 0.1, 0.05, 200, AttemptOutcome.CANCELLED)
    return Record(
        VERSION, "call_019a0000005", AT_S + 4, "host/0", "abcdef012345", "responses", "demo", model="chat", streamed=True,
        candidates=[("appliance", "llama-8b")], attempts=[attempt], outcome=Outcome.CANCELLED, status=200, ttft_s=0.06, duration_s=0.1001,
    )  # fmt: skip


def escalated() -> Record:
    """An unsure answer, a larger model, findings on both ways, a soft limit, energy; and how it came to the caller."""
    record = answered()
    unsure = msgspec.structs.replace(
        record.attempts[0],
        outcome=AttemptOutcome.UNSURE,
        confidence=Confidence(mean_logprob=-0.7, min_logprob=-4.5, margin=0.9, min_margin=0.01, tokens=121),
        energy_j=310.5,
        co2_g=0.03,
    )
    large = Attempt(
        "cloud", "gpt-x", AttemptKind.ESCALATE, 0.26, 0.4, 0.1, 200, AttemptOutcome.OK, "", 0.0, 250, 0, 80, "reported", 0.002,
    )  # fmt: skip
    return msgspec.structs.replace(
        record,
        call="call_019a0000006",
        data_class="confidential",
        attempts=[unsure, large],
        flags=["gentle.requests_per_minute"],
        findings=[Found("email", 2, [(0, 10, 30), (1, 0, 12)])],
        answer_findings=[Found("aws_key", 1, [(0, 5, 25)])],
        screen_rules=["no-mail"],
        reuse="collapsed",
        degraded="smaller-model",
        energy_j=310.5,
        co2_g=0.03,
        standings=["good", "unknown"],
    )


def all_samples() -> list[Record]:
    """One of each way to end."""
    return [answered(), rescued(), refused(), failed(), cancelled()]


def frozen_samples() -> list[Record]:
    """What the sample of this version holds: between them they use every field."""
    return [*all_samples(), escalated()]


def described(record: Record) -> dict[str, Any]:
    """Its fields by name, as plain values."""

    def plain(value: Any) -> Any:
        if isinstance(value, msgspec.Struct):
            return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        return [plain(part) for part in value] if isinstance(value, list | tuple) else msgspec.to_builtins(value)

    described_record: dict[str, Any] = plain(record)
    return described_record


def main() -> int:
    """Write the sample of this version, once: a frozen sample is never written again."""
    path = FOLDER / f"v{VERSION}.msgpack"
    if path.exists():
        sys.stderr.write(f"{path.name} is frozen\n")
        return 1
    FOLDER.mkdir(exist_ok=True)
    path.write_bytes(msgspec.msgpack.encode([encode_record(record) for record in frozen_samples()]))
    content = msgspec.json.encode([described(record) for record in frozen_samples()])
    path.with_suffix(".json").write_bytes(msgspec.json.format(content) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
