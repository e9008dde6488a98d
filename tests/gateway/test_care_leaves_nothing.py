"""Calls with kept answers, escalation and last resorts leave no cycles, as a worker collects seldom; and strict records wait for all."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.gateway.cared import ASKED, STREAMED, Cared, as_asked, at, chat, text_of
from tests.gateway.recording import chunk, replies, streams

from switchgear.core.caching import LastResort, ModelCache
from switchgear.core.escalation import Escalate

CUT = chunk({"content": "no"}), chunk({}, "length"), b"data: [DONE]\n\n"
KEPT = {"cache": ModelCache(ttl_s=60.0)}
UNSURE = {"targets": at("a"), "escalate": Escalate(when="length_cut", to="other")}
WORLDS: dict[str, Callable[..., Cared]] = {
    "asked": lambda **more: Cared({"a": as_asked("ye", "s")}, model=KEPT, **more),
    "hit": lambda **more: Cared(
        {"a": as_asked("yes")}, model={"cache": ModelCache(ttl_s=9.0, ignore=("user",))}, **more
    ),
    "escalated": lambda **more: Cared(
        {"a": replies(chat("no", finish_reason="length")), "b": replies(chat("yes"))},
        model=UNSURE,
        aliases={"other": {"targets": at("b")}},
        **more,
    ),
    "escalated stream": lambda **more: Cared(
        {"a": streams(*CUT), "b": as_asked("yes")}, model=UNSURE, aliases={"other": {"targets": at("b")}}, **more
    ),
    "unsure": lambda **more: Cared(
        {"a": streams(*CUT), "b": lambda exchange: exchange.abort()},
        model=UNSURE,
        aliases={"other": {"targets": at("b")}},
        **more,
    ),
    "smaller": lambda **more: Cared(
        {"a": lambda exchange: exchange.reply(503, b"{}"), "b": as_asked("yes")},
        model={"targets": at("a"), "last_resort": (LastResort(model="other"),)},
        aliases={"other": {"targets": at("b")}},
        **more,
    ),
    "message": lambda **more: Cared(
        {"a": lambda exchange: exchange.abort()}, model={"last_resort": (LastResort(message="yes"),)}, **more
    ),
}


def body(name: str, number: int) -> dict[str, Any]:
    streamed = name in ("escalated stream", "unsure", "hit")
    return {**(STREAMED if streamed else ASKED), "user": str(number)}


@pytest.mark.parametrize("name", WORLDS)
async def test_no_cycle_is_left(name: str) -> None:
    async with WORLDS[name]() as world:
        for number in range(3):
            await world.send(body(name, number))
        await world.idle()
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for number in range(5):
                await world.send(body(name, 10 + number))
            await world.idle()
            gc.collect()
            left = {type(one).__qualname__ for one in gc.garbage if type(one).__module__.startswith("switchgear")}
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
        assert left == set()


@pytest.mark.parametrize("name", WORLDS)
async def test_strict_records(name: str) -> None:
    async with WORLDS[name](strict=True) as world:
        calls: list[Awaitable[Any]] = [world.send(body(name, 0)) for _ in range(3)]
        for answer in await asyncio.gather(*calls):
            assert text_of(answer) == ("no" if name == "unsure" else "yes")
        assert len(world.plane.records.kept) == 3
        await world.idle()
