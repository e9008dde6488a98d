"""A place that keeps every request byte for byte and answers as it is told, for what no emulated place would show."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from switchgear.wire.address import bind, bound_address, parse_address
from switchgear.wire.exchange import JSON, Exchange
from switchgear.wire.server import Server

USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
WHOLE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "own-name",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi you"}, "finish_reason": "stop"}],
    "usage": USAGE,
}


def chunk(delta: dict[str, Any] | None = None, end: str | None = None, **more: Any) -> bytes:
    """One event of a streamed chat."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": end}]
    value = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": choices, **more}
    return b"data: %b\n\n" % json.dumps(value).encode()


DONE = b"data: [DONE]\n\n"
STREAM = [chunk({"role": "assistant", "content": "hi"}), chunk({"content": " you"}), chunk({}, "stop")]


class Recording:
    """Its requests in order; `answer` replies to each."""

    def __init__(self, answer: Callable[[Exchange], None]) -> None:
        self.answer = answer
        self.requests: list[Exchange] = []
        self.bodies: list[bytes] = []
        self.base_url = ""

    def handle(self, exchange: Exchange) -> None:
        self.requests.append(exchange)
        self.bodies.append(exchange.body)
        self.answer(exchange)

    @property
    def fields(self) -> dict[str, Any]:
        """The last body, read."""
        value: dict[str, Any] = json.loads(self.bodies[-1])
        return value


def replies(value: Any = WHOLE, status: int = 200, head: bytes = JSON) -> Callable[[Exchange], None]:
    """Answers with one body."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return lambda exchange: exchange.reply(status, body, head)


def streams(*events: bytes) -> Callable[[Exchange], None]:
    """Answers with events, each in a chunk of its own, and a proper end of the HTTP message."""

    def answer(exchange: Exchange) -> None:
        exchange.start(200)
        for event in events:
            exchange.write(event)
        exchange.finish()

    return answer


@contextlib.asynccontextmanager
async def recording(answer: Callable[[Exchange], None] | None = None) -> AsyncIterator[Recording]:
    """A recording place on a free loopback port."""
    place = Recording(answer or replies())
    server = Server(place.handle)
    sock = bind(parse_address("127.0.0.1:0"))
    place.base_url = f"http://{bound_address(sock)}/v1"
    await server.listen(sock)
    try:
        yield place
    finally:
        await server.close()
