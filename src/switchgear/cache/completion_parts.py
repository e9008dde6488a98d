"""A streamed chat or text completion, put together to the whole one. Nothing is lost in silence: what is not understood makes it None."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec

from switchgear.core.decoding import UNREADABLE

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_HEAD = ("id", "created", "model", "system_fingerprint", "service_tier")
"""Fields of each chunk that are the answer's. Others (padding against eavesdroppers, timings) are the stream's own."""
_TEXTS = ("content", "refusal", "reasoning_content", "reasoning")
"""Texts of a delta that come in pieces; the last two are vLLM's, SGLang's and others'."""


class _TextDelta(msgspec.Struct, forbid_unknown_fields=True):
    content: str
    role: Literal["assistant"] | None = None
    refusal: None = None
    reasoning_content: None = None
    reasoning: None = None
    tool_calls: None = None
    function_call: None = None


class _TextChoice(msgspec.Struct, forbid_unknown_fields=True):
    delta: _TextDelta
    index: int = 0
    logprobs: None = None
    finish_reason: None = None
    stop_reason: None = None


class _TextChunk(msgspec.Struct):
    """A chunk that is a piece of text and nothing else: whatever is more fails to decode."""

    choices: Annotated[list[_TextChoice], msgspec.Meta(min_length=1, max_length=1)]
    usage: None = None
    error: None = None


_decode_text = msgspec.json.Decoder(_TextChunk).decode


class _NotUnderstood(Exception):
    """The stream holds something that has no place in the whole answer."""


def assembled(events: Iterable[bytes], *, chat: bool) -> bytes | None:
    """The whole completion; None where it is not whole or not understood."""
    stream = _Stream(chat=chat)
    try:
        for data in events:
            if not stream.take_text(data) and data != b"[DONE]":
                stream.take(_decode(data))
        return _encode(stream.whole())
    except (*UNREADABLE, _NotUnderstood):
        return None


class _Stream:
    def __init__(self, *, chat: bool) -> None:
        self._chat = chat
        self._head: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}
        self._usage: Any = None

    def take_text(self, data: bytes) -> bool:
        """The short way for what most events are, a piece of text of a choice that has begun; False, and nothing taken in, for all else."""
        try:
            part = _decode_text(data).choices[0]
        except UNREADABLE:
            return False
        choice = self._choices.get(part.index)
        if choice is None:
            return False
        choice.texts.setdefault("content", []).append(part.delta.content)
        return True

    def take(self, chunk: Any) -> None:
        if not isinstance(chunk, dict) or chunk.get("error") is not None:
            raise _NotUnderstood
        for name in _HEAD:
            if self._head.get(name) is None and chunk.get(name) is not None:
                self._head[name] = chunk[name]
        if chunk.get("usage") is not None:
            self._usage = chunk["usage"]
        for part in chunk.get("choices") or ():
            if not isinstance(part, dict):
                raise _NotUnderstood
            index = part.get("index", 0)
            choice = self._choices.get(index)
            if choice is None:
                choice = self._choices[index] = _Choice(chat=self._chat)
            choice.take(part)

    def whole(self) -> dict[str, Any]:
        if not self._choices or "id" not in self._head:
            raise _NotUnderstood
        body = {
            "id": self._head.pop("id"),
            "object": "chat.completion" if self._chat else "text_completion",
            **self._head,
        }
        body["choices"] = [self._choices[index].whole(index) for index in sorted(self._choices)]
        if self._usage is not None:
            body["usage"] = self._usage
        return body


class _Choice:
    def __init__(self, *, chat: bool) -> None:
        self._chat = chat
        self.texts: dict[str, list[str]] = {}
        self._calls: dict[int, dict[str, Any]] = {}
        self._function: dict[str, Any] = {}
        self._role = "assistant"
        self._logprobs: dict[str, list[Any]] = {}
        self._finish_reason: str | None = None
        self._rest: dict[str, Any] = {}

    def take(self, part: dict[str, Any]) -> None:
        for name, value in part.items():
            if name == "index" or value is None:
                continue
            if name == "delta":
                self._take_delta(value)
            elif name == "text":
                self._take_text("text", value)
            elif name == "logprobs":
                self._take_logprobs(value)
            elif name == "finish_reason":
                self._finish_reason = value
            elif isinstance(value, str | int | float):
                self._rest[name] = value
            elif value:
                raise _NotUnderstood

    def _take_delta(self, delta: dict[str, Any]) -> None:
        for name, value in delta.items():
            if name in _TEXTS:
                if value is not None:
                    self._take_text(name, value)
            elif name == "role":
                self._role = value or self._role
            elif name == "tool_calls":
                for piece in value or ():
                    self._take_call(piece)
            elif name == "function_call":
                if value is not None:
                    _join_function(self._function, value)
            elif value:
                raise _NotUnderstood

    def _take_text(self, name: str, value: Any) -> None:
        if not isinstance(value, str):
            raise _NotUnderstood
        self.texts.setdefault(name, []).append(value)

    def _take_call(self, piece: dict[str, Any]) -> None:
        call = self._calls.setdefault(piece.get("index", len(self._calls)), {})
        for name, value in piece.items():
            if name in ("function", "custom"):
                if value is not None:
                    _join_function(call.setdefault(name, {}), value)
            elif name != "index" and value is not None:
                call[name] = value

    def _take_logprobs(self, value: dict[str, Any]) -> None:
        for name, pieces in value.items():
            if isinstance(pieces, list):
                self._logprobs.setdefault(name, []).extend(pieces)
            elif pieces is not None:
                raise _NotUnderstood

    def whole(self, index: int) -> dict[str, Any]:
        if self._finish_reason is None:
            raise _NotUnderstood
        logprobs = self._whole_logprobs()
        end = {"logprobs": logprobs, "finish_reason": self._finish_reason, **self._rest}
        if not self._chat:
            return {"text": self._text("text") or "", "index": index, **end}
        message: dict[str, Any] = {
            "role": self._role,
            "content": self._text("content"),
            "refusal": self._text("refusal"),
        }
        for name in _TEXTS[2:]:
            if name in self.texts:
                message[name] = self._text(name)
        if self._calls:
            message["tool_calls"] = [self._calls[place] for place in sorted(self._calls)]
            message["content"] = message["content"] or None
        if self._function:
            message["function_call"] = self._function
            message["content"] = message["content"] or None
        return {"index": index, "message": message, **end}

    def _text(self, name: str) -> str | None:
        pieces = self.texts.get(name)
        if pieces is None:
            return None
        return "".join(pieces)

    def _whole_logprobs(self) -> dict[str, Any] | None:
        if not self._logprobs:
            return None
        return {"content": None, "refusal": None, **self._logprobs} if self._chat else dict(self._logprobs)


def _join_function(whole: dict[str, Any], piece: dict[str, Any]) -> None:
    """Name and arguments (or input) come in pieces."""
    for name, value in piece.items():
        if isinstance(value, str):
            whole[name] = whole.get(name, "") + value
        elif value is not None:
            raise _NotUnderstood
