"""The upstream of the streaming benchmarks: OpenAI's server-sent events at a steady pace, each in a write of its own.

    python -m bench.paced_upstream --port PORT --pace 100 --chunks 250
    python -m bench.paced_upstream --port PORT --hold       # each stream up to its first token, then silence

A program of its own, so that its CPU time is nobody's but its own.
"""

import argparse
import asyncio
import socket
from functools import lru_cache
from typing import cast

import httptools
import msgspec
import uvloop

from bench.traffic import chat_answer, stream_events

_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


class StreamOptions(msgspec.Struct):
    """What a caller asks about its stream."""

    include_usage: bool = False


class Head(msgspec.Struct):
    """The fields of a request that decide the answer."""

    stream: bool = False
    stream_options: StreamOptions | None = None


_decode_head = msgspec.json.Decoder(Head).decode


@lru_cache
def _writes(chunks: int, include_usage: bool) -> list[bytes]:
    """Each event as one HTTP chunk; the last brings the end of the body with it."""
    framed = [b"%x\r\n%b\r\n" % (len(event), event) for event in stream_events(chunks, include_usage=include_usage)]
    return [*framed[:-1], framed[-1] + b"0\r\n\r\n"]


def _json_answer() -> bytes:
    answer = chat_answer()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(answer), answer)


class Caller(asyncio.Protocol):
    """One connection: one call at a time, as relays make them. Event k is written at start + k / pace, so that delays do not add up."""

    def __init__(self, pace_per_s: float, chunks: int, hold: bool) -> None:
        self.interval_s = 1.0 / pace_per_s
        self.chunks = chunks
        self.hold = hold
        self.loop = asyncio.get_running_loop()
        self.timer: asyncio.TimerHandle | None = None
        self.body: list[bytes] = []
        self.writes: list[bytes] = []
        self.next = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A relay has connected."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports are none by inheritance
        self.parser = httptools.HttpRequestParser(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone: nothing more to write."""
        if self.timer is not None:
            self.timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """A part of the body, from the parser."""
        self.body.append(body)

    def on_message_complete(self) -> None:
        """The request is whole: begin the answer."""
        head, self.body = _decode_head(b"".join(self.body)), []
        if not head.stream:
            self.transport.write(_json_answer())
            return
        options = head.stream_options or StreamOptions()
        self.writes, self.next = _writes(self.chunks, options.include_usage), 0
        self.started = self.loop.time()
        if self.hold:  # with the first token: a gateway may keep what comes before it to itself
            self.transport.write(_STREAM_HEAD + self.writes[0])
            self.transport.write(self.writes[1])
            return
        self.transport.write(_STREAM_HEAD + self.writes[0])
        self._plan_next()

    def _plan_next(self) -> None:
        self.next += 1
        self.timer = self.loop.call_at(self.started + self.next * self.interval_s, self._write_next)

    def _write_next(self) -> None:
        self.transport.write(self.writes[self.next])
        if self.next + 1 < len(self.writes):
            self._plan_next()


async def serve(options: argparse.Namespace) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    listening = socket.create_server(("127.0.0.1", options.port), backlog=4096)
    server = await loop.create_server(lambda: Caller(options.pace, options.chunks, options.hold), sock=listening)
    await server.serve_forever()


def main() -> None:
    """Read the options and serve."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--pace", type=float, default=100.0, help="events per second and stream")
    options.add_argument("--chunks", type=int, default=250, help="content chunks per stream")
    options.add_argument("--hold", action="store_true", help="stop after the first token and keep the stream open")
    uvloop.run(serve(options.parse_args()))


if __name__ == "__main__":
    main()
