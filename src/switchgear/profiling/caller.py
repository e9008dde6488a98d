"""Sends bursts of streamed chat calls and notes when each piece of their answers came.

While a burst runs nothing is decoded: a read is noted with its time and looked at when the last answer is whole, so that the measuring
takes as little as possible from a backend on the same machine.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from switchgear.backends.errors import BackendError
from switchgear.backends.model import Adapter, Step
from switchgear.core.clock import Clock
from switchgear.core.decoding import UNREADABLE
from switchgear.core.snapshot import Endpoint
from switchgear.profiling.errors import NoAnswer
from switchgear.profiling.model import Call
from switchgear.profiling.prompts import estimated_tokens
from switchgear.wire.client import Pool
from switchgear.wire.errors import ExchangeError
from switchgear.wire.fetch import fetch
from switchgear.wire.origin import Origin
from switchgear.wire.sse import EventTooLarge, Splitter, data_of

_DIALECTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("max_tokens", {"ignore_eos": True, "stream_options": {"include_usage": True}}),
    ("max_tokens", {"stream_options": {"include_usage": True}}),
    ("max_completion_tokens", {"stream_options": {"include_usage": True}}),
    ("max_tokens", {}),
)
"""How the length is asked for and what else is, the most telling first. `ignore_eos` is vLLM's, SGLang's and llama.cpp's."""


class Refused(Exception):
    """A call was answered with an error status; `status` and what the backend said. Stays within this room."""

    def __init__(self, status: int, why: str, retry_after_s: float | None) -> None:
        super().__init__(why)
        self.status = status
        self.retry_after_s = retry_after_s


@dataclass
class _Reading:
    """The `Receiver` of one answer: reads with their times."""

    clock: Clock
    done: "asyncio.Future[None]"
    status: int = 0
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    reads: list[tuple[float, bytes]] = field(default_factory=list)

    def on_head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        self.status = status
        self.headers = headers

    def on_data(self, data: bytes) -> None:
        self.reads.append((self.clock.monotonic_s(), data))

    def on_end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def on_fault(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(frozen=True)
class Waits:
    """Time-outs of the calls, seconds."""

    connect_s: float = 5.0
    first_s: float = 60.0
    idle_s: float = 60.0
    total_s: float = 300.0


class Caller:
    """Calls one model of one backend."""

    def __init__(self, origin: Origin, adapter: Adapter, model: str, clock: Clock, waits: Waits | None = None) -> None:
        self._origin = origin
        self._adapter = adapter
        self._head = adapter.head(Endpoint.CHAT) + origin.proxy_headers
        self._clock = clock
        self._waits = waits or Waits()
        self._dialect = _DIALECTS[0]
        self.model = model

    async def models(self) -> list[str]:
        """Names of the models that the backend says it serves. Raises NoAnswer."""
        path, lines = self._adapter.models_request()
        pool = Pool(self._origin, size=1)
        try:
            response = await fetch(
                pool, "GET", path, headers=lines, connect_s=self._waits.connect_s, total_s=self._waits.idle_s
            )
        except ExchangeError as error:
            raise NoAnswer(f"{error}; check the URL and that the backend runs") from error
        finally:
            await pool.close()
        try:
            listed = msgspec.json.decode(response.body, type=_Models)
        except UNREADABLE as error:
            raise NoAnswer(
                f"{path} was answered {response.status} without a list of models; name one with --model"
            ) from error
        return [model.id for model in listed.data]

    async def settle(self, prompt: str) -> Call:
        """A first call, to find out which fields the backend takes. Raises NoAnswer with what it said to the last try."""
        refused: Refused | None = None
        for self._dialect in _DIALECTS:
            try:
                return (await self.burst([prompt], 8))[0]
            except Refused as error:
                refused = error
                if error.status not in (400, 422):
                    break
        raise NoAnswer(f"the backend refuses the calls: {refused}; check the model's name and the key") from refused

    async def burst(self, prompts: Sequence[str], output_tokens: int) -> tuple[Call, ...]:
        """Send all prompts at the same moment and wait for all answers; the calls in the order of their first tokens.

        Each burst has connections of its own, opened before. Raises Refused for an error status and NoAnswer for an answer that is not
        whole.
        """
        requests = [self._request(prompt, output_tokens) for prompt in prompts]
        pool = Pool(self._origin, size=len(requests))
        try:
            sent_s, readings = await self._send(pool, requests)
        except ExchangeError as error:
            raise NoAnswer(f"an answer is not whole: {error}; give the backend longer, or send less at once") from error
        finally:
            await pool.close()
        calls = [self._call(reading, prompt, sent_s) for reading, prompt in zip(readings, prompts, strict=True)]
        return tuple(sorted(calls, key=lambda call: call.first_s))

    def _request(self, prompt: str, output_tokens: int) -> bytes:
        limit, more = self._dialect
        fields = {"model": self.model, "messages": [{"role": "user", "content": prompt}], limit: output_tokens}
        body = msgspec.json.encode({**fields, "stream": True, **more})
        return self._head + b"content-length: %d\r\n\r\n" % len(body) + body

    async def _send(self, pool: Pool, requests: Sequence[bytes]) -> tuple[float, list[_Reading]]:
        loop = asyncio.get_running_loop()
        readings = [_Reading(self._clock, loop.create_future()) for _ in requests]
        connections = [await pool.acquire(self._waits.connect_s) for _ in requests]
        deadline = loop.time() + self._waits.total_s
        sent_s = self._clock.monotonic_s()
        for connection, request, reading in zip(connections, requests, readings, strict=True):
            connection.send(request, reading, first_s=self._waits.first_s, idle_s=self._waits.idle_s, deadline=deadline)
        try:
            await asyncio.gather(*(reading.done for reading in readings))
        finally:
            for connection, reading in zip(connections, readings, strict=True):
                if not reading.done.done():  # another failed, or the burst was called off
                    connection.cancel(reading)
                    reading.done.cancel()
                elif not reading.done.cancelled():
                    reading.done.exception()  # seen: the first failure speaks for all
        return sent_s, readings

    def _call(self, reading: _Reading, prompt: str, sent_s: float) -> Call:
        if reading.status != 200:
            body = b"".join(data for _, data in reading.reads)
            error = self._adapter.error(reading.status, reading.headers, body, self._clock.now_s())
            said = body[:300].decode("utf-8", "replace").strip()
            raise Refused(reading.status, f"{error}: {said}", error.retry_after_s)
        try:
            return self._read(reading, prompt, sent_s)
        except (BackendError, EventTooLarge) as error:
            raise NoAnswer(f"an answer cannot be read: {error}; check that the backend speaks OpenAI's API") from error

    def _read(self, reading: _Reading, prompt: str, sent_s: float) -> Call:
        splitter, reader = Splitter(), self._adapter.reader(Endpoint.CHAT, 1)
        came_s: list[float] = []
        for at_s, data in reading.reads:
            for event in splitter.feed(data):
                content = data_of(event)
                pieces = len(reader.text)
                if content is None or reader.read(content) is not Step.TOKEN:
                    continue
                if any(reader.text[pieces:]):  # not the last chunk, which has a finish reason and no text
                    came_s.append(at_s)
        if not came_s:
            raise NoAnswer("an answer has no text; ask for more output tokens, or name another model")
        if not reader.whole and not reader.finish_reason:
            raise NoAnswer("an answer is not whole: its stream ended without a finish reason; give the backend longer")
        estimate = Call(came_s[0] - sent_s, came_s[-1] - sent_s, estimated_tokens(prompt), len(came_s), counted=False)
        usage = reader.usage
        if usage is None or not usage.prompt_tokens or not usage.completion_tokens:
            return estimate
        return replace(
            estimate,
            prompt_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            cached_tokens=min(usage.cached_tokens, usage.prompt_tokens - 1),
            counted=True,
        )


class _Named(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Named]
