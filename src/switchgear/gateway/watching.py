"""A streamed answer on its way through the screen, event by event.

Each text of the answer (a choice, the arguments of a tool call, an item's part) has a `Watch` of its own. An event goes on when
every piece of text in it may, and when those before it have gone: so their order stays, and an event in which nothing was replaced
goes on byte for byte.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from switchgear.core.data_class import DataClass
from switchgear.core.decoding import UNREADABLE
from switchgear.policy.model import Finding, Verdict
from switchgear.policy.screen import Screen
from switchgear.policy.watch import Watch
from switchgear.wire.sse import data_of

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.encode
_DELTA = "delta"
_TEXTS = ("content", "refusal", "reasoning_content", "reasoning")
"""Texts in the delta of a chat's choice."""
Key = tuple[object, ...]


class _Pending:
    """An event that came and has not gone."""

    __slots__ = ("event", "missing", "set", "value")

    def __init__(self, event: bytes) -> None:
        self.event = event
        self.missing = 0
        """Pieces of it that are still held."""
        self.value: Any = None
        self.set = False
        """Whether a piece of it was replaced."""


class AnswerWatch:
    """Follows one streamed answer. `feed` and `finish` return the events that may go."""

    def __init__(self, screen: Screen, verdict: Verdict, data_class: DataClass | None) -> None:
        self._screen = screen
        self._verdict = verdict
        self._data_class = data_class
        self._watches: dict[Key, Watch] = {}
        self._waiting: dict[Key, deque[tuple[_Pending, Callable[[str], None], str]]] = {}
        self._events: deque[_Pending] = deque()
        self.blocked_by = ""
        """The rule that ended the answer: nothing more goes."""

    @property
    def findings(self) -> list[Finding]:
        """What rules were for, text by text."""
        return [finding for watch in self._watches.values() for finding in watch.findings]

    def feed(self, events: list[bytes]) -> list[bytes]:
        """Take events in, in order."""
        for event in events:
            pending = _Pending(event)
            self._events.append(pending)
            data = data_of(event)
            if data is None or data[:1] != b"{":
                continue
            try:
                pending.value = value = _decode(data)
            except UNREADABLE:
                continue  # its reader has judged it already
            if isinstance(value, dict):
                self._take(pending, value)
        return self._gone()

    def finish(self) -> list[bytes]:
        """The answer has ended: all that is still held."""
        for key, watch in self._watches.items():
            self._release(key, watch, watch.finish())
        return self._gone()

    def _take(self, pending: _Pending, value: dict[str, Any]) -> None:
        kind = value.get("type")
        if isinstance(kind, str) and not kind.endswith(".delta"):
            self._whole(pending, value)  # it repeats what came in pieces
            return
        pieces = list(_pieces(value))
        pending.missing = len(pieces)
        for key, piece, put in pieces:
            watch = self._watches.get(key)
            if watch is None:
                made = self._screen.watch(
                    self._verdict, self._data_class, choice=_number(key), in_json=key[0] == "arguments"
                )
                if made is None:
                    pending.missing -= 1
                    continue
                watch = self._watches[key] = made
                self._waiting[key] = deque()
            self._waiting[key].append((pending, put, piece))
            self._release(key, watch, watch.feed(piece))

    def _whole(self, pending: _Pending, value: dict[str, Any]) -> None:
        checked = self._screen.answer(_encode(value), self._verdict, self._data_class)
        if checked.blocked_by:
            self.blocked_by = checked.blocked_by
        elif (after := _decode(checked.body)) != value:
            pending.value, pending.set = after, True

    def _release(self, key: Key, watch: Watch, pieces: list[str]) -> None:
        waiting = self._waiting[key]
        for piece in pieces:
            pending, put, came = waiting.popleft()
            pending.missing -= 1
            if piece != came:
                put(piece)
                pending.set = True
        if watch.blocked_by:
            self.blocked_by = watch.blocked_by

    def _gone(self) -> list[bytes]:
        gone: list[bytes] = []
        while self._events and not self._events[0].missing:
            pending = self._events.popleft()
            gone.append(_written(pending) if pending.set else pending.event)
        return gone


def _written(pending: _Pending) -> bytes:
    """An event anew: its other lines (`event:`, `id:`) as they were."""
    lines = [line for line in pending.event.splitlines() if line and not line.startswith(b"data")]
    return b"".join(line + b"\n" for line in lines) + b"data: " + _encode(pending.value) + b"\n\n"


def _number(key: Key) -> int:
    return key[1] if isinstance(key[1], int) else 0


def _setter(holder: dict[str, Any], name: str) -> Callable[[str], None]:
    return lambda text: holder.__setitem__(name, text)


def _pieces(value: dict[str, Any]) -> Iterator[tuple[Key, str, Callable[[str], None]]]:
    """Each piece of text in an event: whose it is, what it says, and how another is put in its place."""
    if isinstance(value.get("type"), str):
        piece = value.get(_DELTA)
        if isinstance(piece, str):
            name = "arguments" if "arguments" in value["type"] else value["type"]
            yield (name, value.get("output_index", 0), value.get("content_index", 0)), piece, _setter(value, _DELTA)
        return
    choices = value.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            continue
        index = choice.get("index", 0)
        if isinstance(choice.get("text"), str):
            yield ("text", index), choice["text"], _setter(choice, "text")
        delta = choice.get(_DELTA)
        if isinstance(delta, dict):
            yield from _of_delta(index, delta)


def _of_delta(index: object, delta: dict[str, Any]) -> Iterator[tuple[Key, str, Callable[[str], None]]]:
    for name in _TEXTS:
        if isinstance(delta.get(name), str) and delta[name]:
            yield (name, index), delta[name], _setter(delta, name)
    calls = delta.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("arguments"), str) and function["arguments"]:
            key = ("arguments", index, call.get("index", 0))
            yield key, function["arguments"], _setter(function, "arguments")
