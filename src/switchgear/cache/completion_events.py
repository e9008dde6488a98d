"""A whole chat or text completion, told as a stream: for each choice its role, its content in one piece, its end; then the usage."""

from typing import Any

import msgspec

from switchgear.core.decoding import UNREADABLE

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode
_DONE = b"data: [DONE]\n\n"


def as_stream(whole: bytes, *, chat: bool, include_usage: bool) -> bytes | None:
    """The stream's bytes; None where the answer is not of that shape."""
    try:
        body = _decode(whole)
        choices = body.pop("choices")
        usage = body.pop("usage", None)
        head = {**body, "object": "chat.completion.chunk" if chat else "text_completion"}
        tail: dict[str, Any] = {"usage": None} if include_usage else {}
        events = []
        for choice in choices:
            told = _chat_choice(choice) if chat else [choice]
            events += [{**head, "choices": [part], **tail} for part in told]
    except (*UNREADABLE, KeyError, TypeError, AttributeError):
        return None
    if include_usage and usage is not None:
        events.append({**head, "choices": [], "usage": usage})
    return b"".join(b"data: %b\n\n" % _encode(event) for event in events) + _DONE


def _chat_choice(choice: dict[str, Any]) -> list[dict[str, Any]]:
    message = dict(choice["message"])
    index = choice.get("index", 0)
    rest = {
        name: value for name, value in choice.items() if name not in ("index", "message", "logprobs", "finish_reason")
    }
    calls = message.pop("tool_calls", None)
    deltas: list[dict[str, Any]] = [
        {"role": message.pop("role", "assistant"), "content": None if message.get("content") is None else ""}
    ]
    said = {name: value for name, value in message.items() if value not in (None, "", [])}
    content = said.pop("content", None)
    if said:  # reasoning and refusal come before the text
        deltas.append(said)
    if content is not None:
        deltas.append({"content": content})
    if calls:
        deltas.append({"tool_calls": [{"index": place, **call} for place, call in enumerate(calls)]})
    parts = [_part(index, delta) for delta in deltas]
    parts[-1]["logprobs"] = choice.get("logprobs")
    parts.append({**_part(index, {}), "finish_reason": choice.get("finish_reason"), **rest})
    return parts


def _part(index: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
