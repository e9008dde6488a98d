"""A data plane whose models keep answers, escalate or have last resorts, in front of recording places."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any, Self

import msgspec
from tests.gateway.plane import KEY, Plane
from tests.gateway.recording import DONE, USAGE, WHOLE, Recording, chunk, recording, replies, streams
from tests.wire.serving import Answer, Caller

from switchgear.cache.keys import SECRET_BYTES, Keys
from switchgear.cache.memory import Memory
from switchgear.cache.service import AnswerCache
from switchgear.core.record import AttemptKind, AttemptOutcome, Record
from switchgear.core.snapshot import Snapshot, Target
from switchgear.wire.exchange import Exchange

ASKED: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "temperature": 0}
STREAMED: dict[str, Any] = {**ASKED, "stream": True}


def chat(text: str, **more: Any) -> bytes:
    """A whole answer that says `text`."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", **more}
    return json.dumps({**WHOLE, "choices": [choice]}).encode()


def pieces(*texts: str) -> list[bytes]:
    """The events of a whole stream that says these texts."""
    return [*(chunk({"content": text}) for text in texts), chunk({}, "stop"), chunk(usage=USAGE), DONE]


def as_asked(*texts: str) -> Callable[[Exchange], None]:
    """Says these texts, streamed or whole as it is asked."""

    def answer(exchange: Exchange) -> None:
        streamed = json.loads(exchange.body).get("stream")
        (streams(*pieces(*texts)) if streamed else replies(chat("".join(texts))))(exchange)

    return answer


class Gate:
    """Answers nothing by itself: each request waits in `waiting` until the test deals with it."""

    def __init__(self) -> None:
        self.waiting: list[Exchange] = []

    def __call__(self, exchange: Exchange) -> None:
        self.waiting.append(exchange)

    async def came(self, count: int = 1) -> Exchange:
        """The `count`th request, once it is there."""
        await until(lambda: len(self.waiting) >= count)
        return self.waiting[count - 1]


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that happens on this loop."""
    async with asyncio.timeout(5.0):
        while not condition():
            await asyncio.sleep(0.002)


def text_of(answer: Answer) -> str:
    """What an answer says, whole or streamed."""
    if answer.headers["content-type"] == "application/json":
        said: str = json.loads(answer.body)["choices"][0]["message"]["content"]
        return said
    events = [json.loads(one[6:]) for one in answer.body.decode().split("\n\n") if one and one != "data: [DONE]"]
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event.get("choices", ()))


def story(record: Record) -> list[tuple[str, AttemptKind, AttemptOutcome]]:
    return [(attempt.backend, attempt.kind, attempt.outcome) for attempt in record.attempts]


def at(*names: str) -> tuple[Target, ...]:
    """Targets at these backends."""
    return tuple(Target(backend=name, model=f"m-{name}") for name in names)


def swap(plane: Plane, **changes: Any) -> Snapshot:
    """Serve another snapshot from now on."""
    snapshot: Snapshot = msgspec.structs.replace(plane.snapshot, **changes)
    plane.gateway.serve(plane.builder.build(snapshot))
    plane.snapshot = snapshot
    return snapshot


class Cared:
    """Places by name with what each answers; `plane` in front of them, its cache in memory."""

    def __init__(
        self,
        places: Mapping[str, Callable[[Exchange], None]],
        *,
        memory_bytes: int = 1024 * 1024,
        **settings: Any,
    ) -> None:
        self._answers = places
        self._settings = settings
        self.cache: AnswerCache[Any] = AnswerCache(Memory(memory_bytes), Keys(os.urandom(SECRET_BYTES)))
        self.places: dict[str, Recording] = {}
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        for name, answer in self._answers.items():
            self.places[name] = await self._stack.enter_async_context(recording(answer))
        urls = {name: place.base_url for name, place in self.places.items()}
        served = {name: f"m-{name}" for name in urls}
        made = Plane(*urls, urls=urls, served=served, **self._settings)
        self.plane = await self._stack.enter_async_context(made)
        self.plane.gateway.desk.cache = self.cache
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    def asked(self, name: str) -> int:
        """How many requests a place got."""
        return len(self.places[name].requests)

    async def send(self, body: Any = ASKED, **more: Any) -> Answer:
        return await self.plane.send(body, **more)

    async def record(self, count: int = 1) -> Record:
        return await self.plane.record(count)

    async def idle(self) -> None:
        """Nothing is under way, and nothing is left behind."""
        await until(lambda: self.plane.gateway.desk.calls == 0)
        assert len(self.cache.flights) == 0
        states = [(target.state, target.backend_state) for target in self.plane.gateway.table.targets()]
        await until(lambda: not any(state.in_flight or backend.in_flight for state, backend in states))


def request(body: Any, key: str = KEY, path: str = "chat/completions") -> bytes:
    """A call as bytes, for one who hangs up before its answer."""
    data = json.dumps(body).encode()
    head = f"POST /v1/{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {len(data)}\r\n\r\n"
    return head.encode() + data


@contextlib.asynccontextmanager
async def calling(plane: Plane, body: Any) -> AsyncIterator[Caller]:
    """A caller that has sent its call, and hangs up at the end of the block."""
    async with Caller(plane.address) as caller:
        await caller.send(request(body))
        yield caller
