"""What is read of an answer to tell how sure it is, whole or event by event. Shapes: OpenAI's OpenAPI document 2.3.0."""

from collections.abc import Iterator
from typing import Any

import msgspec


class Alternative(msgspec.Struct, gc=False):
    token: str = ""
    logprob: float = 0.0


class TokenLogprob(msgspec.Struct):
    """Chat's and responses'."""

    logprob: float
    token: str = ""
    top_logprobs: list[Alternative] = []


class Logprobs(msgspec.Struct):
    """Of a choice: chat's lists of tokens, or the text completions' parallel lists."""

    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None


class Function(msgspec.Struct):
    arguments: str | None = None


class ToolCall(msgspec.Struct):
    index: int = 0
    function: Function | None = None


class Message(msgspec.Struct):
    """A whole message, or the delta of a chunk."""

    content: Any = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None


class Choice(msgspec.Struct):
    index: int = 0
    message: Message | None = None
    delta: Message | None = None
    text: str | None = None
    logprobs: Logprobs | None = None
    finish_reason: str | None = None


class Completion(msgspec.Struct):
    """A whole chat or text completion, or a chunk of one."""

    choices: list[Choice] = []


class Part(msgspec.Struct):
    type: str = ""
    text: str | None = None
    refusal: str | None = None
    logprobs: list[TokenLogprob] | None = None


class Item(msgspec.Struct):
    type: str = ""
    content: list[Part] | None = None
    arguments: str | None = None


class Reason(msgspec.Struct):
    reason: str = ""


class Response(msgspec.Struct):
    status: str = ""
    output: list[Item] = []
    incomplete_details: Reason | None = None


class ResponseEvent(msgspec.Struct):
    type: str
    delta: Any = None
    logprobs: list[TokenLogprob] | None = None
    response: Response | None = None


decode_completion = msgspec.json.Decoder(Completion).decode
decode_response = msgspec.json.Decoder(Response).decode
decode_event = msgspec.json.Decoder(ResponseEvent).decode

Scored = tuple[float, float | None]
"""Log-probability of a token, and of the best alternative to it where there is one."""


def scored(logprobs: Logprobs) -> Iterator[Scored]:
    """The tokens of a choice, a refusal's too."""
    for content in (logprobs.content, logprobs.refusal):
        if content:
            yield from scored_tokens(content)
    if logprobs.token_logprobs:
        alternatives = logprobs.top_logprobs or []
        tokens = logprobs.tokens or []
        for place, logprob in enumerate(logprobs.token_logprobs):
            if logprob is None:  # the first token of an echoed prompt has none
                continue
            others = alternatives[place] if place < len(alternatives) else None
            token = tokens[place] if place < len(tokens) else ""
            yield (
                logprob,
                max((value for other, value in others.items() if other != token), default=None) if others else None,
            )


def scored_tokens(tokens: list[TokenLogprob]) -> Iterator[Scored]:
    """Chat's and responses' tokens."""
    for token in tokens:
        best = None
        for other in token.top_logprobs:
            if other.token != token.token and (best is None or other.logprob > best):
                best = other.logprob
        yield token.logprob, best
