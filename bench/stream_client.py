"""The client of the streaming benchmarks: holds many streams open at once and checks, event by event, that each is whole."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import httptools
import msgspec

from bench.sides import Running
from bench.traffic import PATH, Void, chat_body, stream_word


class Delta(msgspec.Struct):
    """What a chunk adds to the message."""

    content: str | None = None


class Choice(msgspec.Struct):
    """One choice of a chunk."""

    delta: Delta
    finish_reason: str | None = None


class Usage(msgspec.Struct):
    """Tokens as the server counted them."""

    completion_tokens: int


class Chunk(msgspec.Struct):
    """One event of a stream, as far as the check needs it."""

    choices: list[Choice]
    usage: Usage | None = None


_decode_chunk = msgspec.json.Decoder(Chunk).decode


def check_whole(body: bytes, content_chunks: int, *, include_usage: bool) -> int:
    """The number of events in the body of one stream. Raises `Void` when one is missing, doubled, changed or out of order."""
    *events, rest = body.split(b"\n\n")
    if rest or not events or events[-1] != b"data: [DONE]":
        raise Void(f"a stream of {len(events)} events does not end with [DONE]")
    chunks = [_decode_chunk(event.removeprefix(b"data: ")) for event in events[:-1]]
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    if text != "".join(stream_word(index) for index in range(content_chunks)):
        raise Void(f"a stream's text is not what the upstream sent: {len(text)} characters")
    if sum(1 for chunk in chunks for choice in chunk.choices if choice.finish_reason) != 1:
        raise Void("a stream has no finish reason, or several")
    usage = [chunk.usage.completion_tokens for chunk in chunks if chunk.usage]
    if usage != ([content_chunks] if include_usage else []):
        raise Void(f"a stream's usage is {usage}")
    return len(events)


@dataclass
class Tally:
    """What all streams brought: `events`, in `reads` reads of the client's sockets, in `duration_s`."""

    events: int = 0
    reads: int = 0
    streams: int = 0
    duration_s: float = 0.0


class Caller(asyncio.Protocol):
    """One connection, which calls again on the same connection when a stream has ended."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.reads = 0
        self.body: list[bytes] = []
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected; the caller of `call` does the rest."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports are none by inheritance

    def call(self) -> asyncio.Future[bytes]:
        """Send the request; the future brings the body of the whole answer, or `Void`."""
        self.ended = asyncio.get_running_loop().create_future()
        self.body = []
        self.parser = httptools.HttpResponseParser(self)
        self.transport.write(self.request)
        return self.ended

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer."""
        self.reads += 1
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """A part of the body, from the parser."""
        self.body.append(body)
        if not self.first.done():
            self.first.set_result(None)

    def on_message_complete(self) -> None:
        """The answer has ended."""
        status = self.parser.get_status_code()
        body = b"".join(self.body)
        if status == 200:
            self.ended.set_result(body)
        else:
            self._fail(f"a stream was answered with {status}: {body[:300].decode(errors='replace')}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed, by us or by the side."""
        self._fail(f"the connection closed inside a stream: {exc!r}")

    def _fail(self, why: str) -> None:
        for future in (self.first, self.ended):
            if not future.done():
                future.set_exception(Void(why))
                future.exception()  # marked as seen: who waits for the other future hears of it there


def _request(side: Running, *, include_usage: bool) -> bytes:
    body = chat_body(stream=True, include_usage=include_usage)
    headers = {"host": f"127.0.0.1:{side.launch.port}", "content-type": "application/json", **side.launch.headers}
    lines = [
        f"POST {PATH} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers.items()),
        f"content-length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def _connect(side: Running, request: bytes) -> Caller:
    loop = asyncio.get_running_loop()
    _, caller = await loop.create_connection(lambda: Caller(request), "127.0.0.1", side.launch.port)
    return caller


async def relay_streams(
    side: Running, streams: int, waves: int, content_chunks: int, pace_per_s: float, *, include_usage: bool
) -> Tally:
    """Hold `streams` streams at once, `waves` after one another on each connection, and check each. Raises `Void`.

    The connections start spread evenly over one interval of the pace: servers that are asked independently do not tick together.
    """
    loop = asyncio.get_running_loop()
    request = _request(side, include_usage=include_usage)
    callers = [await _connect(side, request) for _ in range(streams)]
    started = loop.time()

    async def one(index: int, caller: Caller) -> list[bytes]:
        await asyncio.sleep(index / streams / pace_per_s)
        return [await caller.call() for _ in range(waves)]

    expected_s = waves * (content_chunks + 4) / pace_per_s
    try:
        async with asyncio.timeout(30.0 + 3.0 * expected_s), asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(index, caller)) for index, caller in enumerate(callers)]
    except TimeoutError as error:
        raise Void(f"the streams of {side.name} have not ended after three times their time") from error
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    tally = Tally(duration_s=loop.time() - started, reads=sum(caller.reads for caller in callers))
    # The checking waits until the clock has stopped, so that it takes no time from the side.
    for body in (body for task in tasks for body in task.result()):
        tally.events += check_whole(body, content_chunks, include_usage=include_usage)
        tally.streams += 1
    for caller in callers:
        caller.transport.close()
    return tally


async def with_open_streams(side: Running, streams: int, measure: Callable[[], int]) -> int:
    """Open `streams` streams, wait until each has brought its first event, and return what `measure` says meanwhile.

    Raises `Void` when a stream is refused or ends early.
    """
    request = _request(side, include_usage=True)
    callers = []
    for begin in range(0, streams, 100):  # in steps, so that the queue of new connections never overflows
        step = [await _connect(side, request) for _ in range(min(100, streams - begin))]
        for caller in step:
            caller.call()
        for caller in step:
            await asyncio.wait_for(caller.first, 30)
        callers += step
    await asyncio.sleep(2.0)  # what the opening left behind is settled before the measure is taken
    measured = measure()
    if any(caller.ended.done() for caller in callers):
        raise Void("a stream that was to stay open has ended")
    for caller in callers:
        caller.transport.close()
    return measured
