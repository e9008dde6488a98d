"""OpenAI's API: chat and text completions, embeddings, responses; spoken by vLLM, SGLang, llama.cpp, TGI, Ollama, most clouds.

Connection: HTTP with a bearer token. Wire mapping: bodies pass as they are, but for `model`, and `stream_options` where usage is asked for.
Facts: `continue_final_message` is vLLM's; which error codes mean what stands in `openai_errors`. Shapes: OpenAI's OpenAPI document 2.3.0.
"""

from collections.abc import Mapping

import msgspec

from switchgear.backends.errors import HttpError, InBandError, Malformed
from switchgear.backends.model import Answer, Fields, StreamReader
from switchgear.backends.openai_errors import shaped_error, verdict
from switchgear.backends.openai_shapes import (
    NULL,
    Completion,
    Embeddings,
    Raw,
    Response,
    choice_bytes,
    finish_reason,
    item_bytes,
    lenient,
)
from switchgear.backends.openai_stream import CompletionReader, ResponsesReader
from switchgear.backends.retry_after import parse_retry_after
from switchgear.core.decoding import UNREADABLE
from switchgear.core.snapshot import ContinueTurn, Endpoint

_CONSTRAINTS = (
    *("json_schema", "grammar"),  # llama.cpp
    *("guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs"),  # vLLM
    *("regex", "ebnf"),  # SGLang
)
"""Fields that hold an answer to a grammar, beside `response_format`."""
_decode_completion = msgspec.json.Decoder(Completion).decode
_decode_embeddings = msgspec.json.Decoder(Embeddings).decode
_decode_messages = msgspec.json.Decoder(list[Raw]).decode
_decode_response = msgspec.json.Decoder(Response).decode
_EMBEDDINGS, _RESPONSES = Endpoint.EMBEDDINGS, Endpoint.RESPONSES
_encode = msgspec.json.Encoder().encode


class OpenAI:
    """The adapter for one backend."""

    def __init__(
        self,
        path: str,
        authority: str,
        prefix: str,
        api_key: str | None,
        headers: Mapping[str, str],
        turn: ContinueTurn,
    ) -> None:
        lines = [
            f"host: {authority}",
            "content-type: application/json",
            "accept-encoding: identity",
            "user-agent: switchgear",
        ]
        if api_key:
            lines.append(f"authorization: Bearer {api_key}")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        rest = "".join(f"{line}\r\n" for line in lines)
        base = prefix + path.rstrip("/")
        self._heads = {
            endpoint: f"POST {base}/{endpoint.value} HTTP/1.1\r\n{rest}".encode("latin-1") for endpoint in Endpoint
        }
        self._models = (f"{path.rstrip('/')}/models", "".join(f"{line}\r\n" for line in lines[1:]).encode("latin-1"))
        self._turn = turn

    def head(self, endpoint: Endpoint) -> bytes:
        return self._heads[endpoint]

    def models_request(self) -> tuple[str, bytes]:
        return self._models

    def body(self, fields: Fields) -> bytes:
        return _encode(fields)

    def answer(self, endpoint: Endpoint, body: bytes) -> Answer:
        try:
            if endpoint is _EMBEDDINGS:
                embeddings = _decode_embeddings(body)
                if not embeddings.data:
                    raise Malformed("the answer holds no embedding")
                return Answer(embeddings.usage.usage() if embeddings.usage is not None else None, "", 0)
            if endpoint is _RESPONSES:
                response = _decode_response(body)
                if response.status in ("failed", "cancelled"):
                    raise InBandError(f"the backend's response has status {response.status}")
                if response.usage is not None and (usage := response.usage.usage()) is not None:
                    return Answer(usage, finish_reason(response), 0)
                return Answer(None, finish_reason(response), sum(map(item_bytes, response.output)))
            completion = _decode_completion(body)
            choices, reported = completion.choices, completion.usage
            if not choices:
                raise Malformed("the answer holds no choice")
            reason = choices[0].finish_reason or ""
            if reported is not None and (usage := reported.usage()) is not None:
                return Answer(usage, reason, 0)
            return Answer(None, reason, sum(map(choice_bytes, choices)))
        except UNREADABLE as error:
            raise Malformed(f"the answer cannot be read: {error}") from error

    def reader(self, endpoint: Endpoint, choices: int) -> StreamReader:
        return ResponsesReader() if endpoint is Endpoint.RESPONSES else CompletionReader(choices)

    def error(self, status: int, headers: Mapping[bytes, bytes], body: bytes, now_s: float) -> HttpError:
        shaped, code = shaped_error(status, body)
        after = headers.get(b"retry-after")
        return HttpError(
            status,
            verdict(status, code, body),
            code[:64],
            shaped,
            parse_retry_after(after.decode("latin-1"), now_s) if after is not None else None,
        )

    def continuation(self, endpoint: Endpoint, fields: Fields, text: str) -> Fields | None:
        if self._turn is ContinueTurn.NO or _constrained(fields):
            return None
        fields = dict(fields)
        if endpoint is Endpoint.COMPLETIONS:
            prompt = lenient(fields["prompt"]) if "prompt" in fields else None
            if not isinstance(prompt, str) or bytes(fields.get("echo", NULL)) == b"true":
                return None
            fields["prompt"] = Raw(_encode(prompt + text))
            return fields
        if endpoint is not Endpoint.CHAT:
            return None
        try:
            messages = _decode_messages(fields.get("messages", NULL))
        except UNREADABLE:
            return None  # a place that takes such a call may make of it what it likes
        turn = {"role": "assistant", "content": text}
        last = lenient(messages[-1]) if messages else None
        if isinstance(last, dict) and last.get("role") == "assistant":  # the caller had begun the turn itself
            if not isinstance(last.get("content"), str):
                return None
            turn = {**last, "content": last["content"] + text}
            messages.pop()
        fields["messages"] = Raw(_encode([*messages, turn]))
        if self._turn is ContinueTurn.FLAG:
            fields["continue_final_message"] = Raw(b"true")
            fields["add_generation_prompt"] = Raw(b"false")
        return fields


def _constrained(fields: Fields) -> bool:
    """Whether the answer is held to a grammar: an engine would begin it anew, and no half of a JSON text joins another."""
    if any(name in fields and bytes(fields[name]) != b"null" for name in _CONSTRAINTS):
        return True
    wanted = lenient(fields["response_format"]) if "response_format" in fields else None
    return isinstance(wanted, dict) and wanted.get("type", "text") != "text"
