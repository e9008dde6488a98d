"""The calls that every benchmark makes, and the answers that every upstream gives: the same bytes for each side."""

import json

PATH = "/v1/chat/completions"
ALIAS = "chat"
"""The model's name that callers use."""
TARGET_MODEL = "llama-8b"
"""Its name at the backend: another one, so that a side which maps names has to change the body."""
KEY = "sk-bench-5f1d2c7a90e84b36"
PROMPT_BYTES = 1024
ANSWER_BYTES = 600

_SENTENCE = "Explain in plain words what a switchgear does, why it has breakers, and who has to look after it. "
_ANSWER = "A switchgear sits between the supply and the machines and opens the circuit before harm is done. "


class Void(Exception):
    """The run proves nothing: a request failed, a stream was not whole, a side did not start."""


def _filled(sentence: str, length: int) -> str:
    return (sentence * (length // len(sentence) + 1))[:length]


def chat_body(*, stream: bool, include_usage: bool = True) -> bytes:
    """A chat completion request whose user message holds `PROMPT_BYTES` bytes."""
    body: dict[str, object] = {
        "model": ALIAS,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": _filled(_SENTENCE, PROMPT_BYTES)},
        ],
        "temperature": 0.2,
        "max_tokens": 256,
    }
    if stream:
        body["stream"] = True
        if include_usage:
            body["stream_options"] = {"include_usage": True}
    return json.dumps(body).encode()


def chat_answer() -> bytes:
    """A chat completion of exactly `ANSWER_BYTES` bytes, with usage, in the shape of OpenAI's API."""

    def encoded(text: str) -> bytes:
        message = {"role": "assistant", "content": text}
        answer = {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 1760000000,
            "model": TARGET_MODEL,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 231, "completion_tokens": 64, "total_tokens": 295},
        }
        return json.dumps(answer, separators=(",", ":")).encode()

    return encoded(_filled(_ANSWER, ANSWER_BYTES - len(encoded(""))))


def stream_word(index: int) -> str:
    """The text of content chunk `index` of a stream, so that the one who reads can tell a missing chunk from a doubled one."""
    return f" word{index}"


def stream_events(content_chunks: int, *, include_usage: bool) -> list[bytes]:
    """The events of one stream as a server sends them: role, content, finish reason, usage where it was asked for, `[DONE]`."""

    def event(choices: list[dict[str, object]], **more: object) -> bytes:
        chunk = {
            "id": "chatcmpl-bench",
            "object": "chat.completion.chunk",
            "created": 1760000000,
            "model": TARGET_MODEL,
            "system_fingerprint": "fp_bench",
            "choices": choices,
            **more,
        }
        return b"data: %b\n\n" % json.dumps(chunk, separators=(",", ":")).encode()

    def choice(delta: dict[str, str], finish_reason: str | None = None) -> list[dict[str, object]]:
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]

    events = [event(choice({"role": "assistant", "content": ""}))]
    events += [event(choice({"content": stream_word(index)})) for index in range(content_chunks)]
    events.append(event(choice({}, "stop")))
    if include_usage:
        usage = {"prompt_tokens": 231, "completion_tokens": content_chunks, "total_tokens": 231 + content_chunks}
        events.append(event([], usage=usage))
    events.append(b"data: [DONE]\n\n")
    return events
