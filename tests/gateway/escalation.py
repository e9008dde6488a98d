"""What tests of escalation share: a small and a larger model, and answers with log-probabilities."""

import json
from collections.abc import Callable
from typing import Any

from tests.gateway.cared import Cared, at, chat
from tests.gateway.recording import DONE, USAGE, chunk, replies

from switchgear.core.escalation import Escalate
from switchgear.core.record import AttemptKind, AttemptOutcome
from switchgear.core.snapshot import Retry
from switchgear.wire.exchange import Exchange

ASKED: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}
STREAMED: dict[str, Any] = {**ASKED, "stream": True}
RULE = Escalate(when="mean_logprob < -1", to="large")
FIRST, ESCALATE = AttemptKind.FIRST, AttemptKind.ESCALATE
OK, UNSURE, FAILED = AttemptOutcome.OK, AttemptOutcome.UNSURE, AttemptOutcome.FAILED
BOTH = [("small", FIRST, UNSURE), ("large", ESCALATE, OK)]


def scored(text: str, logprob: float) -> dict[str, Any]:
    """Log-probabilities of one token."""
    other = {"token": "?", "logprob": logprob - 1.0}
    token = {"token": text, "logprob": logprob, "top_logprobs": [other]}
    return {"content": [token], "refusal": None}


def whole(text: str, logprob: float | None) -> Callable[[Exchange], None]:
    """A whole answer of one token."""
    return replies(chat(text, **({"logprobs": scored(text, logprob)} if logprob is not None else {})))


def piece(text: str, logprob: float) -> bytes:
    """An event with one token and its log-probability."""
    choice = {"index": 0, "delta": {"content": text}, "logprobs": scored(text, logprob), "finish_reason": None}
    event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice]}
    return b"data: %b\n\n" % json.dumps(event).encode()


def told(*tokens: tuple[str, float]) -> list[bytes]:
    return [*(piece(*token) for token in tokens), chunk({}, "stop"), chunk(usage=USAGE), DONE]


def world(
    small: Callable[[Exchange], None],
    large: Callable[[Exchange], None],
    rule: Escalate = RULE,
    *,
    model: dict[str, Any] | None = None,
    larger: dict[str, Any] | None = None,
    **settings: Any,
) -> Cared:
    return Cared(
        {"small": small, "large": large},
        model={"targets": at("small"), "escalate": rule, "retry": Retry(attempts=1), **(model or {})},
        aliases={"large": {"targets": at("large"), "retry": Retry(attempts=1), **(larger or {})}},
        **settings,
    )
