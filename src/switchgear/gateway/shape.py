"""OpenAI's streamed shapes as the caller sees them: events written anew where a rescue joins two answers into one."""

import msgspec

from switchgear.backends.model import Fields
from switchgear.core.snapshot import Endpoint
from switchgear.gateway.errors import CATALOGUE, error_body

DONE = b"data: [DONE]\n\n"
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def event(data: bytes) -> bytes:
    return b"data: %b\n\n" % data


def with_text(data: bytes, text: str, answer_id: str) -> bytes:
    """The data of a completion chunk once more, with other text and the given answer's id."""
    chunk = _decode(data)
    chunk["id"] = answer_id
    for choice in chunk["choices"]:
        if "text" in choice:
            choice["text"] = text
        elif (delta := choice.get("delta")) is not None and (text or "content" in delta):
            delta["content"] = text
    return _encode(chunk)


def with_id(data: bytes, answer_id: str) -> bytes:
    """The data of a chunk once more, with the given answer's id."""
    chunk = msgspec.json.decode(data, type=Fields)
    chunk["id"] = msgspec.Raw(_encode(answer_id))
    return _encode(chunk)


def with_tokens_moved(data: bytes, tokens: int) -> bytes:
    """The data of a usage chunk once more: tokens that were given to the second backend as prompt were completion to the caller."""
    chunk = _decode(data)
    usage = chunk.get("usage")
    if isinstance(usage, dict):
        usage["prompt_tokens"] = max(0, (usage.get("prompt_tokens") or 0) - tokens)
        usage["completion_tokens"] = (usage.get("completion_tokens") or 0) + tokens
    return _encode(chunk)


def error_event(endpoint: Endpoint, code: str, message: str) -> bytes:
    """An error within a stream: what OpenAI's own clients raise as an API error."""
    if endpoint is Endpoint.RESPONSES:
        data = {"type": "error", "code": code, "message": message, "param": None, "sequence_number": 0}
        return b"event: error\ndata: %b\n\n" % _encode({**data, "error": {**data, "type": CATALOGUE[code].type}})
    return event(error_body(code, message))
