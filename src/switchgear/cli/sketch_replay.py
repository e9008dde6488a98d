"""Sends a sketch to one backend and says how it ended, in the words of a record."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from switchgear.backends.errors import BackendError, Malformed
from switchgear.backends.model import Adapter, Step, Usage
from switchgear.core.clock import Clock
from switchgear.core.errors import SwitchgearError
from switchgear.core.record import Outcome
from switchgear.core.snapshot import Endpoint, Timeouts
from switchgear.gateway.failure import failure_of
from switchgear.gateway.head import with_usage_asked
from switchgear.sketches.model import Ending, Sketch
from switchgear.sketches.structure import expanded
from switchgear.wire.client import Pool
from switchgear.wire.errors import Truncated
from switchgear.wire.origin import Origin
from switchgear.wire.sse import EventTooLarge, Splitter, data_of

_STREAMABLE = (Endpoint.CHAT, Endpoint.COMPLETIONS)


@dataclass
class _Reading:
    """The `Receiver` of the answer: reads with their times."""

    clock: Clock
    done: "asyncio.Future[None]"
    status: int = 0
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    reads: list[tuple[float, bytes]] = field(default_factory=list)
    fault: Exception | None = None

    def on_head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        self.status = status
        self.headers = headers

    def on_data(self, data: bytes) -> None:
        self.reads.append((self.clock.monotonic_s(), data))

    def on_end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def on_fault(self, error: Exception) -> None:
        self.fault = error
        self.on_end()

    @property
    def body(self) -> bytes:
        return b"".join(data for _, data in self.reads)


async def replay(
    sketch: Sketch, origin: Origin, adapter: Adapter, model: str, timeouts: Timeouts, clock: Clock, rng: random.Random
) -> Ending:
    """Send it, once, and follow its answer to the end. What goes wrong is the ending, not an error."""
    began_s = clock.monotonic_s()
    endpoint = Endpoint(sketch.endpoint)
    body = adapter.body(_fields(sketch, endpoint, model, rng))
    request = adapter.head(endpoint) + origin.proxy_headers + b"content-length: %d\r\n\r\n" % len(body) + body
    loop = asyncio.get_running_loop()
    reading = _Reading(clock, loop.create_future())
    pool = Pool(origin, size=1)
    try:
        connection = await pool.acquire(timeouts.connect_s)
        deadline = loop.time() + timeouts.total_s
        connection.send(request, reading, first_s=timeouts.first_token_s, idle_s=timeouts.idle_s, deadline=deadline)
        await reading.done
    except SwitchgearError as error:
        reading.fault = error
    finally:
        await pool.close()
    ending = _ending(sketch, adapter, endpoint, reading, began_s)
    return msgspec.structs.replace(ending, duration_s=clock.monotonic_s() - began_s)


def _fields(sketch: Sketch, endpoint: Endpoint, model: str, rng: random.Random) -> dict[str, msgspec.Raw]:
    body = expanded(msgspec.json.decode(sketch.body), rng)
    body["model"] = model
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in body.items()}
    if body.get("stream") is True and endpoint in _STREAMABLE:
        with_usage_asked(fields)
    return fields


def _ending(sketch: Sketch, adapter: Adapter, endpoint: Endpoint, reading: _Reading, began_s: float) -> Ending:
    try:
        if reading.fault is not None and not (reading.status == 200 and sketch.streamed):
            raise reading.fault
        if reading.status != 200:
            raise adapter.error(reading.status, reading.headers, reading.body, reading.clock.now_s())
        if sketch.streamed:
            return _streamed(sketch, adapter, endpoint, reading, began_s)
        answer = adapter.answer(endpoint, reading.body)
    except SwitchgearError as error:
        return _failed(error, reading.status, Outcome.FAILED)
    first_s = reading.reads[-1][0] - began_s
    return _well(answer.usage, answer.finish_reason, first_s)


def _streamed(sketch: Sketch, adapter: Adapter, endpoint: Endpoint, reading: _Reading, began_s: float) -> Ending:
    body = msgspec.json.decode(sketch.body)
    choices = body.get("n") if isinstance(body.get("n"), int) else 1
    reader, splitter = adapter.reader(endpoint, choices or 1), Splitter()
    first_s: float | None = None
    try:
        for at_s, data in reading.reads:
            for event in splitter.feed(data):
                content = data_of(event)
                if content is not None and reader.read(content) is Step.TOKEN and first_s is None:
                    first_s = at_s - began_s
        if reading.fault is not None:
            raise reading.fault
        if not reader.whole and not reader.finish_reason:
            raise Truncated("the stream ended before the answer was whole")
    except (BackendError, SwitchgearError) as error:
        failed = _failed(error, reading.status, Outcome.FAILED if first_s is None else Outcome.BROKEN)
        return msgspec.structs.replace(failed, ttft_s=first_s)
    except EventTooLarge as error:
        return _failed(Malformed(str(error)), reading.status, Outcome.BROKEN)
    return _well(reader.usage, reader.finish_reason, first_s)


def _well(usage: Usage | None, finish_reason: str, first_s: float | None) -> Ending:
    used = usage or Usage()
    return Ending(
        Outcome.OK.value,
        200,
        finish_reason=finish_reason,
        ttft_s=first_s,
        prompt_tokens=used.prompt_tokens,
        completion_tokens=used.completion_tokens,
    )


def _failed(error: SwitchgearError, status: int, outcome: Outcome) -> Ending:
    failure = failure_of(error)
    return Ending(outcome.value, status, error=failure.code, attempt_error=failure.reason)
