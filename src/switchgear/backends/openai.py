"""OpenAI's API: chat and text completions, embeddings, responses; spoken by vLLM, SGLang, llama.cpp, TGI, Ollama, most clouds.

Connection: HTTP with a bearer token. Wire mapping: bodies pass as they are, but for `model`, and `stream_options` where usage is asked for.
Facts: which error codes mean what; `continue_final_message` is vLLM's. Shapes: OpenAI's OpenAPI document 2.3.0.
"""

from collections.abc import Mapping

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


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    """Both namings: completions' and responses'."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None
    input_tokens_details: _PromptDetails | None = None

    def usage(self) -> Usage:
        details = self.prompt_tokens_details or self.input_tokens_details
        return Usage(
            self.prompt_tokens or self.input_tokens,
            self.completion_tokens or self.output_tokens,
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


_decode_completion = msgspec.json.Decoder(_Completion).decode
_decode_embeddings = msgspec.json.Decoder(_Embeddings).decode
_decode_response = msgspec.json.Decoder(_Response).decode
_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_opening = msgspec.json.Decoder(_OpeningChunk).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_error = msgspec.json.Decoder(_ErrorBody).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_NULL = Raw(b"null")
_EMPTY_VALUES = (b"null", b'""', b"[]", b"{}")


class CompletionReader:
    """Follows a stream of chat or text completion chunks."""

    __slots__ = ("_choices", "_finished", "_opened", "finish_reason", "id", "plain", "text", "usage", "whole")

    def __init__(self, choices: int) -> None:
        self.usage: Usage | None = None
        self.finish_reason = ""
        self.whole = False
        self.text: list[str] = []
        self.plain = choices == 1
        self.id = ""
        self._choices = choices
        self._finished = 0
        self._opened = False

    def read(self, data: bytes) -> Step:
        if data == b"[DONE]":
            return Step.END
        try:
            chunk = _decode_chunk(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
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
            elif choice.text:
                self.text.append(choice.text)
            if choice.logprobs is not _ABSENT and choice.logprobs != _NULL:
                self.plain = False
            if choice.finish_reason is not None:
                self.finish_reason = choice.finish_reason
                self._finished += 1
                self.whole = self._finished >= self._choices
        if not self._opened:
            return self._open(data)
        return Step.TOKEN

    def _open(self, data: bytes) -> Step:
        """Until the first token each chunk is looked at more closely: only a role, or empty content, is no token yet."""
        opening = _decode_opening(data)
        self.id = opening.id
        carries = (
            bool(self.text)
            or self._finished
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

    __slots__ = ("finish_reason", "id", "plain", "text", "usage", "whole")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finish_reason = ""
        self.whole = False
        self.text: list[str] = []
        self.plain = False  # its events carry positions and ids of items: another backend's cannot be joined to them
        self.id = ""

    def read(self, data: bytes) -> Step:
        if data == b"[DONE]":
            return Step.END
        try:
            event = _decode_event(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed(f"an event of the stream cannot be read: {error}") from error
        kind = event.type
        if kind.endswith(".delta"):
            if kind == "response.output_text.delta" and event.delta is not _ABSENT:
                delta = _decode_any(event.delta)
                if isinstance(delta, str):
                    self.text.append(delta)
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
                usage = response.usage.usage() if response.usage is not None else None
                return Answer(usage, _finish_reason(response), sum(map(len, map(bytes, response.output))))
            completion = _decode_completion(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed(f"the answer cannot be read: {error}") from error
        if not completion.choices:
            raise Malformed("the answer holds no choice")
        reported = completion.usage
        return Answer(
            reported.usage() if reported is not None else None,
            completion.choices[0].finish_reason or "",
            0 if reported is not None else _text_bytes(completion.choices),
        )

    def reader(self, endpoint: Endpoint, choices: int) -> StreamReader:
        return ResponsesReader() if endpoint is Endpoint.RESPONSES else CompletionReader(choices)

    def error(self, status: int, headers: Mapping[bytes, bytes], body: bytes, now_s: float) -> HttpError:
        code = ""
        try:
            error = _decode_error(body).error
        except (msgspec.DecodeError, UnicodeDecodeError):
            shaped = wrap_error(status, body)
        else:
            if isinstance(error, str):
                shaped = wrap_error(status, error.encode())
            else:
                shaped = body
                code = error.code if isinstance(error.code, str) else ""
                code = code or error.type or ""
        after = headers.get(b"retry-after")
        return HttpError(
            status,
            _verdict(status, code, body),
            code[:64],
            shaped,
            parse_retry_after(after.decode("latin-1"), now_s) if after is not None else None,
        )

    def continuation(self, endpoint: Endpoint, fields: Fields, text: str) -> Fields | None:
        if self._turn is ContinueTurn.NO:
            return None
        fields = dict(fields)
        if endpoint is Endpoint.COMPLETIONS:
            prompt = _decode_any(fields["prompt"]) if "prompt" in fields else None
            if not isinstance(prompt, str):
                return None
            fields["prompt"] = Raw(_encode(prompt + text))
            return fields
        if endpoint is not Endpoint.CHAT:
            return None
        messages = msgspec.json.decode(fields["messages"], type=list[Raw])
        messages.append(Raw(_encode({"role": "assistant", "content": text})))
        fields["messages"] = Raw(_encode(messages))
        if self._turn is ContinueTurn.FLAG:
            fields["continue_final_message"] = Raw(b"true")
            fields["add_generation_prompt"] = Raw(b"false")
        return fields


def _text_bytes(choices: list[_Choice]) -> int:
    return sum(len(bytes(choice.message)) or len(choice.text or "") for choice in choices)


def _verdict(status: int, code: str, body: bytes) -> Verdict:
    if status >= 500 or status in _AGAIN or 300 <= status < 400:
        return Verdict.AGAIN
    if status in (400, 413, 422) and (
        code in _TOO_LONG or (code != "content_filter" and any(text in body for text in _TOO_LONG_TEXTS))
    ):
        return Verdict.LARGER
    if status in _ELSEWHERE:
        return Verdict.ELSEWHERE
    return Verdict.ANSWER


def wrap_error(status: int, text: bytes) -> bytes:
    """An error body in OpenAI's shape around whatever a backend sent instead; at most 2,000 bytes of it."""
    message = text[:2000].decode("utf-8", "replace").strip() or f"The backend answered with status {status}."
    kind = "invalid_request_error" if status < 500 else "upstream_error"
    return _encode({"error": {"message": message, "type": kind, "param": None, "code": "upstream_status"}})
