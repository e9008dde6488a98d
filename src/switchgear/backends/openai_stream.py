"""Streams of OpenAI's API: chunks of completions, events of responses. Each event is read once, on its way to the caller."""

import re
from typing import Annotated, Literal

import msgspec

from switchgear.backends.errors import InBandError, Malformed
from switchgear.backends.model import SPECIAL, Step, Usage
from switchgear.backends.openai_shapes import (
    ABSENT,
    NULL,
    Raw,
    ReportedUsage,
    Response,
    called_bytes,
    decode_any,
    encoded,
    finish_reason,
)
from switchgear.core.decoding import UNREADABLE

_EVENT = re.compile(rb"data: (\{[^\r\n]*\})\n\n").fullmatch
_CONTENT = re.compile(rb'"content": ?"').search
_LESSONS = 64
"""So often at most it is learned what stands around the text: in the streams of some backends that changes with each event."""
_EMPTY_VALUES = (b"null", b'""', b"[]", b"{}")


class _Delta(msgspec.Struct):
    content: str | None = None
    tool_calls: list[Raw] | None = None


class _ChunkChoice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: Raw = ABSENT


class _Chunk(msgspec.Struct):
    choices: list[_ChunkChoice] | None = None
    usage: ReportedUsage | None = None
    error: Raw = ABSENT


class _TokenDelta(msgspec.Struct):
    content: Annotated[str, msgspec.Meta(min_length=1)]
    tool_calls: None = None


class _TokenChoice(msgspec.Struct):
    delta: _TokenDelta
    index: Literal[0] = 0
    logprobs: None = None
    finish_reason: None = None


class _Token(msgspec.Struct):
    """A piece of the one choice's text and nothing else that matters: whatever is more fails to decode."""

    choices: Annotated[list[_TokenChoice], msgspec.Meta(min_length=1, max_length=1)]
    usage: None = None
    error: None = None


class _OpeningChoice(msgspec.Struct):
    delta: dict[str, Raw] = {}


class _OpeningChunk(msgspec.Struct):
    id: str = ""
    choices: list[_OpeningChoice] = []


class _Event(msgspec.Struct):
    """An event of the responses API."""

    type: str
    delta: Raw = ABSENT
    response: Response | None = None


_decode_token = msgspec.json.Decoder(_Token).decode
_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_opening = msgspec.json.Decoder(_OpeningChunk).decode
_decode_event = msgspec.json.Decoder(_Event).decode


class CompletionReader:
    """Follows a stream of chat or text completion chunks."""

    __slots__ = (
        "_choices",
        "_finished",
        "_lessons",
        "_opened",
        "_seen",
        "_tool_bytes",
        "after",
        "before",
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
        self.before: bytes | None = None
        self.after = b""
        self._lessons = _LESSONS

    @property
    def text_bytes(self) -> int:
        return encoded(self.text) + self._tool_bytes

    def read_token(self, data: bytes, begin: int, end: int) -> bool:
        """One event mostly differs from the one before in its text alone. So what stands around that text is kept and compared.

        A text of ASCII without quotes, backslashes and control characters can be put in the place of another without the event meaning
        anything else; every other event is decoded.
        """
        before = self.before
        if before is not None and data.startswith(before, begin) and data.endswith(self.after, begin, end):
            raw = data[begin + len(before) : end - len(self.after)]
            if raw and SPECIAL.isdisjoint(raw):
                self.text.append(raw.decode("ascii"))
                return True
        event = _EVENT(data, begin, end)
        if event is None:
            return False
        try:
            text = _decode_token(event[1]).choices[0].delta.content
        except UNREADABLE:
            return False
        self.text.append(text)
        if self._lessons:
            self._lessons -= 1
            self._learn(event[0], text)
        return True

    def _learn(self, event: bytes, text: str) -> None:
        """Keep what stands around the text of an event, if it is certain where the text is."""
        self.before = None
        if event.count(b'"content"') == 1 and (match := _CONTENT(event)) is not None:
            begin = match.end()
            end = begin + len(raw := text.encode())
            if event[begin:end] == raw and event[end : end + 1] == b'"':
                self.before, self.after = event[:begin], event[end:]

    def read(self, data: bytes) -> Step:
        if data == b"[DONE]":
            # a backend may give fewer choices than were asked for (some know only one), but none of them may be unfinished
            self.whole = bool(self._finished) and self._finished >= self._seen
            return Step.END
        try:
            chunk = _decode_chunk(data)
        except UNREADABLE as error:
            raise Malformed(f"an event of the stream cannot be read: {error}") from error
        if chunk.usage is not None:
            self.usage = chunk.usage.usage()
        choices = chunk.choices
        if not choices:
            if chunk.error is not ABSENT and chunk.error != NULL:
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
                    self._tool_bytes += called_bytes(delta.tool_calls)
            elif choice.text:
                self.text.append(choice.text)
            if choice.logprobs is not ABSENT and choice.logprobs != NULL:
                self.plain = False
            if self._choices != 1:
                self._seen.add(choice.index)
            if choice.finish_reason:  # some write an empty one where OpenAI has null: nothing is finished by it
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

    __slots__ = ("_other_bytes", "after", "before", "finish_reason", "id", "plain", "text", "usage", "whole")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finish_reason = ""
        self.whole = False
        self.text: list[str] = []
        self.before: bytes | None = None
        self.after = b""
        self.plain = False  # its events carry positions and ids of items: another backend's cannot be joined to them
        self.id = ""
        self._other_bytes = 0

    @property
    def text_bytes(self) -> int:
        return encoded(self.text) + self._other_bytes

    def read_token(self, data: bytes, begin: int, end: int) -> bool:
        return False  # its events are long and few

    def read(self, data: bytes) -> Step:
        if data == b"[DONE]":
            return Step.END
        try:
            event = _decode_event(data)
            delta = decode_any(event.delta) if event.delta is not ABSENT else None
        except UNREADABLE as error:
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
            self.finish_reason = finish_reason(response)
            self.whole = True
            return Step.TOKEN
        return Step.TOKEN if self.text else Step.PREAMBLE
