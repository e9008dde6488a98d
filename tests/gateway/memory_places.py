"""Places on memory lines: each remembers what reached it, and answers well or badly by chance."""

import asyncio
import json
import re
from random import Random
from typing import NamedTuple

from tests.gateway.memory_net import MemoryTransport

_CALL = re.compile(rb'"user": ?"call-(\d+)"')
_MODEL = re.compile(rb'"model": ?"([^"]+)"')
_OWN_WORDS = re.compile(rb'"role": ?"assistant"')
UNSURE = "I cannot say"
"""How an unsure answer begins."""
_WORDS = ("The ", "river ", "runs ", "to ", "the ", "sea.")
_BREAKS = ("cut", "cut", "stall")
_FAULTS = (
    "refuse",
    "reset",
    "silent",
    "503",
    "429",
    "401",
    "length",
    "garbage",
    "cut",
    "stall",
    "unsure",
    "unsure",
    "late",
)


class Seen(NamedTuple):
    """One request that reached a place."""

    call: int
    backend: str
    model: str
    goes_on: bool
    """Whether it holds text of an answer, to be continued."""


class Place:
    """One backend."""

    def __init__(self, name: str, rng: Random, seen: list[Seen], *, trouble: float) -> None:
        """`trouble`: the share of requests that go wrong."""
        self.name = name
        self._random = rng
        self._seen = seen
        self._trouble = trouble
        self._own_text = rng.random() < 0.5

    def refuses(self) -> bool:
        return self._random.random() < self._trouble / 8

    def received(self, line: MemoryTransport, data: bytes) -> None:
        call, model = _CALL.search(data), _MODEL.search(data)
        assert call is not None, data
        assert model is not None, data
        goes_on = _OWN_WORDS.search(data) is not None
        self._seen.append(Seen(int(call[1]), self.name, model[1].decode(), goes_on))
        streamed = b'"stream":true' in data or b'"stream": true' in data
        faults = (*_FAULTS, *_BREAKS) if streamed else _FAULTS
        fault = self._random.choice(faults) if self._random.random() < self._trouble else ""
        loop = asyncio.get_running_loop()
        if fault == "silent":
            return
        if fault in ("reset", "refuse"):
            loop.call_later(0.002, line.hang_up)
            return
        answer = _error(fault) or (self._stream(fault, goes_on) if streamed else self._whole(fault))
        at_s = 0.3 if fault == "late" else 0.002
        for part in answer:
            loop.call_later(at_s, line.send, part)
            at_s += 0.002
        if fault == "cut":
            loop.call_later(at_s, line.hang_up)

    def lost(self, line: MemoryTransport) -> None:
        """What is still to be sent goes nowhere."""

    def _words(self, fault: str) -> list[str]:
        words = [f"{self.name}: ", *_WORDS] if self._own_text else list(_WORDS)
        return [UNSURE, *words] if fault == "unsure" else words

    def _whole(self, fault: str) -> list[bytes]:
        text = "".join(self._words(fault))
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        body = json.dumps({"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": _USAGE})
        head, content = _headed(200, body.encode())
        if fault == "cut":
            return [head + content[: len(content) // 2]]
        return [head] if fault == "stall" else [head + content]

    def _stream(self, fault: str, goes_on: bool) -> list[bytes]:
        events = [_event({"content": word}) for word in self._words(fault)]
        if goes_on:
            events = events[-2:]
        if fault in ("cut", "stall"):
            events = events[: self._random.randint(0, len(events))]
        else:
            events.append(_event({}, "stop") + _event(None) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        return [_STREAM_HEAD, *events]


_USAGE = {"prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15}
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _headed(status: int, body: bytes, head: str = "") -> tuple[bytes, bytes]:
    lines = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{head}content-length: {len(body)}\r\n\r\n"
    return lines.encode(), body


def _error(fault: str) -> list[bytes]:
    if fault == "garbage":
        return [b"".join(_headed(200, b"{"))]
    codes = {"503": "overloaded", "429": "rate_limit", "401": "unauthorized", "length": "context_length_exceeded"}
    if fault not in codes:
        return []
    body = json.dumps({"error": {"message": "no", "type": "x", "code": codes[fault]}}).encode()
    status = 400 if fault == "length" else int(fault)
    return [b"".join(_headed(status, body, "retry-after: 1\r\n" if fault == "429" else ""))]


def _event(delta: dict[str, str] | None, end: str | None = None) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": end}]
    more = {"usage": _USAGE} if delta is None else {}
    value = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": choices, **more}
    return _chunk(b"data: %b\n\n" % json.dumps(value).encode())


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
