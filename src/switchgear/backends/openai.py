"""OpenAI's API: chat and text completions, embeddings, responses; spoken by vLLM, SGLang, llama.cpp, TGI, Ollama, most clouds.

Connection: HTTP with a bearer token. Wire mapping: bodies pass as they are, but for `model`, and `stream_options` where usage is asked for.
Facts: which error codes mean what; `continue_final_message` is vLLM's. Shapes: OpenAI's OpenAPI document 2.3.0.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from switchgear.backends.errors import HttpError, InBandError, Malformed, Verdict
from switchgear.backends.model import Answer, Fields, Step, StreamReader, Usage
from switchgear.backends.retry_after import parse_retry_after
from switchgear.core.snapshot import ContinueTurn, Endpoint

Raw = msgspec.Raw
_ABSENT = Raw()
_AGAIN = frozenset((408, 425, 429))
_ELSEWHERE = frozenset((401, 402, 403, 404, 405, 407))
_TOO_LONG = ("context_length_exceeded", "exceed_context_size_error")
_TOO_LONG_TEXTS = (b"maximum context length", b"context size", b"context window")
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_CONSTRAINTS = (
    *("json_schema", "grammar"),  # llama.cpp
    *("guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs"),  # vLLM
    *("regex", "ebnf"),  # SGLang
)
"""Fields that hold an answer to a grammar, beside `response_format`."""


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    """Both namings: completions' and responses'."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    input_tokens_details: _PromptDetails | None = None

    def usage(self) -> Usage:
        details = self.prompt_tokens_details or self.input_tokens_details
        return Usage(
            self.prompt_tokens or self.input_tokens or 0,
            self.completion_tokens or self.output_tokens or 0,
            (details.cached_tokens or 0) if details is not None else 0,
        )


class _Choice(msgspec.Struct):
    finish_reason: str | None = None
    message: Raw = _ABSENT
    text: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


class _Embeddings(msgspec.Struct):
    data: list[Raw]
    usage: _Usage | None = None


class _Reason(msgspec.Struct):
    reason: str = ""


class _Response(msgspec.Struct):
    status: str
    output: list[Raw] = []
    usage: _Usage | None = None
    incomplete_details: _Reason | None = None
    id: str = ""


class _Delta(msgspec.Struct):
    content: str | None = None
    tool_calls: list[Raw] | None = None


class _ChunkChoice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: Raw = _ABSENT


class _Chunk(msgspec.Struct):
    choices: list[_ChunkChoice] | None = None
    usage: _Usage | None = None
    error: Raw = _ABSENT


class _OpeningChoice(msgspec.Struct):
    delta: dict[str, Raw] = {}


class _OpeningChunk(msgspec.Struct):
    id: str = ""
    choices: list[_OpeningChoice] = []


class _Event(msgspec.Struct):
    """An event of the responses API."""

    type: str
    delta: Raw = _ABSENT
    response: _Response | None = None


class _ErrorObject(msgspec.Struct):
    message: str = ""
    type: str | None = None
    code: str | int | None = None


class _ErrorBody(msgspec.Struct):
    error: _ErrorObject | str


class _BareError(msgspec.Struct):
    """An error that is not wrapped in `error`: vLLM's until its version 0.9."""

    message: str
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


_decode_completion = msgspec.json.Decoder(_Completion).decode
_decode_embeddings = msgspec.json.Decoder(_Embeddings).decode
_decode_response = msgspec.json.Decoder(_Response).decode
_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_opening = msgspec.json.Decoder(_OpeningChunk).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_error = msgspec.json.Decoder(_ErrorBody).decode
_decode_bare_error = msgspec.json.Decoder(_BareError).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_NULL = Raw(b"null")
_EMPTY_VALUES = (b"null", b'""', b"[]", b"{}")


class CompletionReader:
    """Follows a stream of chat or text completion chunks."""

    __slots__ = (
        "_choices",
        "_finished",
        "_opened",
        "_seen",
        "_tool_bytes",
        "finish_reason",
        "id",
        "plain",
        "text",
        "usage",
        "whole",
    )

    def __init__(self, choices: int) -> None:
        self.usage: Usage | None = None
        self.finish_reason = ""
        self.whole = False
        self.text: list[str] = []
        self.plain = choices == 1
        self.id = ""
        self._choices = choices
        self._seen: set[int] = set()
        """Indexes of the choices that have begun, where there are several."""
        self._finished: set[int] = set()
        self._tool_bytes = 0
        self._opened = False

    @property
    def text_bytes(self) -> int:
        return _encoded(self.text) + self._tool_bytes

    def read(self, data: bytes) -> Step:
        if data == b"[DONE]":
            # a backend may give fewer choices than were asked for (some know only one), but none of them may be unfinished
            self.whole = bool(self._finished) and self._finished >= self._seen
            return Step.END
        try:
            chunk = _decode_chunk(data)
        except _UNREADABLE as error:
            raise Malformed(f"an event of the stream cannot be read: {error}") from error
        if chunk.usage is not None:
            self.usage = chunk.usage.usage()
        choices = chunk.choices
        if not choices:
            if chunk.error is not _ABSENT and chunk.error != _NULL:
                raise InBandError("the backend reported an error within its stream")
            if choices is None and chunk.usage is None:
                raise Malformed("an event of the stream has neither choices nor usage")
            return Step.USAGE if chunk.usage is not None else Step.PREAMBLE
        for choice in choices:
            delta = choice.delta
            if delta is not None:
                if delta.content:
                    self.text.append(delta.content)
                if delta.tool_calls:
                    self.plain = False
                    self._tool_bytes += _called_bytes(map(_decode_any, delta.tool_calls))
            elif choice.text:
                self.text.append(choice.text)
            if choice.logprobs is not _ABSENT and choice.logprobs != _NULL:
                self.plain = False
            if self._choices != 1:
                self._seen.add(choice.index)
            if choice.finish_reason is not None:
                self.finish_reason = choice.finish_reason
                self._finished.add(choice.index)
                self.whole = len(self._finished) >= self._choices
        if not self._opened:
            return self._open(data)
        return Step.TOKEN

    def _open(self, data: bytes) -> Step:
        """Until the first token each chunk is looked at more closely: only a role, or empty content, is no token yet."""
        opening = _decode_opening(data)
        self.id = opening.id
        carries = (
            bool(self.text)
            or bool(self._finished)
            or any(
                bytes(value) not in _EMPTY_VALUES
                for choice in opening.choices
                for name, value in choice.delta.items()
                if name != "role"
            )
        )
        if not carries:
            return Step.PREAMBLE
        self._opened = True
        return Step.TOKEN


class ResponsesReader:
    """Follows a stream of the responses API, whose events are typed and which ends with `response.completed` or `.incomplete`."""

    __slots__ = ("_other_bytes", "finish_reason", "id", "plain", "text", "usage", "whole")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finish_reason = ""
        self.whole = False
        self.text: list[str] = []
        self.plain = False  # its events carry positions and ids of items: another backend's cannot be joined to them
        self.id = ""
        self._other_bytes = 0

    @property
    def text_bytes(self) -> int:
        return _encoded(self.text) + self._other_bytes

    def read(self, data: bytes) -> Step:
        if data == b"[DONE]":
            return Step.END
        try:
            event = _decode_event(data)
            delta = _decode_any(event.delta) if event.delta is not _ABSENT else None
        except _UNREADABLE as error:
            raise Malformed(f"an event of the stream cannot be read: {error}") from error
        kind = event.type
        if kind.endswith(".delta"):
            if isinstance(delta, str):
                if kind == "response.output_text.delta":
                    self.text.append(delta)
                else:
                    self._other_bytes += len(delta.encode())
            return Step.TOKEN
        if kind in ("error", "response.failed"):
            raise InBandError("the backend reported an error within its stream")
        if kind in ("response.completed", "response.incomplete"):
            response = event.response
            if response is None:
                raise Malformed("the last event of the stream has no response")
            self.usage = response.usage.usage() if response.usage is not None else None
            self.finish_reason = _finish_reason(response)
            self.whole = True
            return Step.TOKEN
        return Step.TOKEN if self.text else Step.PREAMBLE


def _finish_reason(response: _Response) -> str:
    if response.status == "completed":
        return "stop"
    return response.incomplete_details.reason if response.incomplete_details is not None else response.status


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
            if endpoint is Endpoint.EMBEDDINGS:
                embeddings = _decode_embeddings(body)
                if not embeddings.data:
                    raise Malformed("the answer holds no embedding")
                return Answer(embeddings.usage.usage() if embeddings.usage is not None else None, "", 0)
            if endpoint is Endpoint.RESPONSES:
                response = _decode_response(body)
                if response.status in ("failed", "cancelled"):
                    raise InBandError(f"the backend's response has status {response.status}")
                if response.usage is not None:
                    return Answer(response.usage.usage(), _finish_reason(response), 0)
                return Answer(None, _finish_reason(response), sum(map(_item_bytes, map(_decode_any, response.output))))
            completion = _decode_completion(body)
            if not completion.choices:
                raise Malformed("the answer holds no choice")
            finish_reason = completion.choices[0].finish_reason or ""
            if completion.usage is not None:
                return Answer(completion.usage.usage(), finish_reason, 0)
            return Answer(None, finish_reason, sum(map(_choice_bytes, completion.choices)))
        except _UNREADABLE as error:
            raise Malformed(f"the answer cannot be read: {error}") from error

    def reader(self, endpoint: Endpoint, choices: int) -> StreamReader:
        return ResponsesReader() if endpoint is Endpoint.RESPONSES else CompletionReader(choices)

    def error(self, status: int, headers: Mapping[bytes, bytes], body: bytes, now_s: float) -> HttpError:
        shaped, code = _shaped_error(status, body)
        after = headers.get(b"retry-after")
        return HttpError(
            status,
            _verdict(status, code, body),
            code[:64],
            shaped,
            parse_retry_after(after.decode("latin-1"), now_s) if after is not None else None,
        )

    def continuation(self, endpoint: Endpoint, fields: Fields, text: str) -> Fields | None:
        if self._turn is ContinueTurn.NO or _constrained(fields):
            return None
        fields = dict(fields)
        if endpoint is Endpoint.COMPLETIONS:
            prompt = _decode_any(fields["prompt"]) if "prompt" in fields else None
            if not isinstance(prompt, str) or bytes(fields.get("echo", _NULL)) == b"true":
                return None
            fields["prompt"] = Raw(_encode(prompt + text))
            return fields
        if endpoint is not Endpoint.CHAT:
            return None
        messages = msgspec.json.decode(fields["messages"], type=list[Raw])
        turn = {"role": "assistant", "content": text}
        last = _decode_any(messages[-1]) if messages else None
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
    wanted = _decode_any(fields["response_format"]) if "response_format" in fields else None
    return isinstance(wanted, dict) and wanted.get("type", "text") != "text"


def _encoded(texts: list[str]) -> int:
    return sum(len(text.encode()) for text in texts)


def _called_bytes(calls: Iterable[Any]) -> int:
    """Bytes of the names and arguments in tool calls, or in pieces of them."""
    texts: list[str] = []
    for call in calls:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            texts += [text for text in (function.get("name"), function.get("arguments")) if isinstance(text, str)]
    return _encoded(texts)


def _choice_bytes(choice: _Choice) -> int:
    """Bytes of text in a choice, tool calls included: what a stream of it would have brought."""
    message = _decode_any(choice.message) if choice.message is not _ABSENT else {}
    if not isinstance(message, dict):
        return 0
    text = message.get("content") or choice.text
    return (len(text.encode()) if isinstance(text, str) else 0) + _called_bytes(message.get("tool_calls") or ())


def _item_bytes(item: Any) -> int:
    """Bytes of text in one item of a response's output."""
    if not isinstance(item, dict):
        return 0
    parts = [part for part in item.get("content") or () if isinstance(part, dict)]
    texts = [item.get("arguments"), *(part.get("text", part.get("refusal")) for part in parts)]
    return _encoded([text for text in texts if isinstance(text, str)])


def _verdict(status: int, code: str, body: bytes) -> Verdict:
    if status == 500 and b"too large to process" in body:  # llama.cpp, of an embedding's input
        return Verdict.LARGER
    if status >= 500 or status in _AGAIN or 300 <= status < 400:
        return Verdict.AGAIN
    if status in (400, 413, 422) and (
        code in _TOO_LONG or (code != "content_filter" and any(text in body for text in _TOO_LONG_TEXTS))
    ):
        return Verdict.LARGER
    if status in _ELSEWHERE:
        return Verdict.ELSEWHERE
    return Verdict.ANSWER


def _shaped_error(status: int, body: bytes) -> tuple[bytes, str]:
    """An error body in OpenAI's shape, as it came where it has that shape, and its code (or else its type)."""
    error: _ErrorObject | _BareError | str
    try:
        try:
            error = _decode_error(body).error
        except msgspec.ValidationError:
            error = _decode_bare_error(body)
        decoded = _decode_any(body)
    except _UNREADABLE:
        return wrap_error(status, body), ""
    if isinstance(error, str):
        return wrap_error(status, error.encode()), ""
    code = error.code if isinstance(error.code, str) else ""
    own = decoded["error"] if isinstance(error, _ErrorObject) else {"param": error.param}
    shaped = {
        "param": None,
        **own,
        "message": error.message or f"The backend answered with status {status}.",
        "type": error.type or _kind(status),
        "code": str(error.code) if error.code is not None else None,
    }
    if shaped != own:
        body = _encode({**(decoded if "error" in decoded else {}), "error": shaped})
    return body, code or error.type or ""


def _kind(status: int) -> str:
    return "invalid_request_error" if status < 500 else "upstream_error"


def wrap_error(status: int, text: bytes) -> bytes:
    """An error body in OpenAI's shape around whatever a backend sent instead; at most 2,000 bytes of it."""
    message = text[:2000].decode("utf-8", "replace").strip() or f"The backend answered with status {status}."
    return _encode({"error": {"message": message, "type": _kind(status), "param": None, "code": "upstream_status"}})
