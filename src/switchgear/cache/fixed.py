"""An answer that is a fixed message, in the shape of each endpoint: the last of last resorts. Pure; `replay.as_stream` streams it."""

from typing import Any

import msgspec

from switchgear.core.snapshot import Endpoint

_encode = msgspec.json.Encoder().encode
_PREFIX = {Endpoint.CHAT: "chatcmpl-", Endpoint.COMPLETIONS: "cmpl-", Endpoint.RESPONSES: "resp_"}
_NO_TOKENS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def fixed_answer(endpoint: Endpoint, model: str, message: str, answer_id: str, now_s: float) -> bytes:
    """A whole answer of `model` (the alias called) that says `message`, with no tokens. Raises ValueError for embeddings."""
    if endpoint is Endpoint.EMBEDDINGS:
        raise ValueError("no message is an embedding")
    head = {"id": f"{_PREFIX[endpoint]}{answer_id}", "model": model}
    if endpoint is Endpoint.RESPONSES:
        return _encode({**head, **_response(message, answer_id, int(now_s))})
    end = {"index": 0, "logprobs": None, "finish_reason": "stop"}
    if endpoint is Endpoint.CHAT:
        kind = "chat.completion"
        choice: dict[str, Any] = {"message": {"role": "assistant", "content": message, "refusal": None}, **end}
    else:
        kind = "text_completion"
        choice = {"text": message, **end}
    return _encode({**head, "object": kind, "created": int(now_s), "choices": [choice], "usage": _NO_TOKENS})


def _response(message: str, answer_id: str, now_s: int) -> dict[str, Any]:
    part = {"type": "output_text", "text": message, "annotations": [], "logprobs": []}
    item = {"id": f"msg_{answer_id}", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    return {
        "object": "response",
        "created_at": now_s,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "output": [item],
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "store": False,
        "usage": {
            "input_tokens": 0,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 0,
        },
    }
