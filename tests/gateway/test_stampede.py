"""Calls that say the same at the same time: one asks, the others wait; what becomes of them when it fails, hangs up, or reads slowly."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tests.gateway.cared import (
    ASKED,
    STREAMED,
    Cared,
    Gate,
    as_asked,
    calling,
    chat,
    pieces,
    story,
    text_of,
    until,
)
from tests.gateway.recording import chunk, replies, streams

from switchgear.core.caching import ModelCache
from switchgear.core.record import AttemptKind, AttemptOutcome, Outcome
from switchgear.core.snapshot import Retry, Timeouts
from switchgear.wire.exchange import Exchange

CACHE = {"cache": ModelCache(ttl_s=60.0)}
FIRST = AttemptKind.FIRST
PATIENT = Timeouts(connect_s=10.0, first_token_s=30.0, idle_s=30.0, total_s=60.0)


def patient(places: Mapping[str, Callable[[Exchange], None]], **settings: Any) -> Cared:
    """Nothing here is about time: a machine that stops for half a second must not end a call."""
    return Cared(places, backends={name: {"timeouts": PATIENT} for name in places}, **settings)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_stampede_is_one_call_upstream(streamed: bool) -> None:
    gate = Gate()
    async with patient({"a": gate}, model=CACHE) as world:
        bodies = [STREAMED if streamed else ASKED, ASKED, STREAMED, ASKED, STREAMED]
        calls = [asyncio.ensure_future(world.send(body)) for body in bodies]
        first = await gate.came()
        await until(lambda: world.plane.gateway.desk.calls == 5)
        as_asked("o", "ne")(first)
        answers = await asyncio.gather(*calls)
        assert world.asked("a") == 1
        assert [text_of(answer) for answer in answers] == ["one"] * 5
        told = sorted(answer.headers.get("x-switchgear-cache", "") for answer in answers)
        assert told == ["", *["collapsed"] * 4]
        records = [await world.record(n) for n in range(1, 6)]
        assert sorted(record.reuse for record in records) == ["", *["collapsed"] * 4]
        assert sum(len(record.attempts) for record in records) == 1
        assert sum(record.cost_usd or 0.0 for record in records) == pytest.approx(13e-6)
        await world.idle()


async def test_without_collapse_each_asks() -> None:
    gate = Gate()
    async with patient({"a": gate}, model={"cache": ModelCache(ttl_s=60.0, collapse=False)}) as world:
        calls = [asyncio.ensure_future(world.send()) for _ in range(3)]
        await gate.came(3)
        for exchange in gate.waiting:
            replies(chat("yes"))(exchange)
        await asyncio.gather(*calls)
        assert (await world.send()).headers["x-switchgear-cache"] == "hit"


async def test_when_the_first_fails_one_of_those_who_wait_takes_over() -> None:
    gate = Gate()
    async with patient({"a": gate}, model={**CACHE, "retry": Retry(attempts=1)}) as world:
        calls = [asyncio.ensure_future(world.send()) for _ in range(4)]
        first = await gate.came()
        await until(lambda: world.plane.gateway.desk.calls == 4)
        first.reply(500, b"{}")
        second = await gate.came(2)
        replies(chat("yes"))(second)
        answers = await asyncio.gather(*calls)
        assert sorted(answer.status for answer in answers) == [200, 200, 200, 502]
        assert world.asked("a") == 2
        assert sorted(one.headers.get("x-switchgear-cache", "") for one in answers) == [
            "",
            "",
            "collapsed",
            "collapsed",
        ]
        await world.idle()


async def test_a_stream_that_breaks_while_others_wait_is_asked_again_for_them() -> None:
    gate = Gate()
    async with patient({"a": gate}, model={**CACHE, "rescue": False}) as world:
        calls = [asyncio.ensure_future(world.send(STREAMED)) for _ in range(3)]
        first = await gate.came()
        await until(lambda: world.plane.gateway.desk.calls == 3)
        first.start(200)
        first.write(chunk({"content": "wro"}))
        await asyncio.sleep(0.02)
        first.abort()
        streams(*pieces("right"))(await gate.came(2))
        answers = await asyncio.gather(*calls)
        texts = sorted(answer.body.count(b"stream_broken") for answer in answers)
        assert texts == [0, 0, 1], "its own caller hears that it broke"
        assert sorted(text_of(answer) for answer in answers if b"stream_broken" not in answer.body) == ["right"] * 2
        assert text_of(await world.send(STREAMED)) == "right"
        await world.idle()


async def test_what_is_wrong_with_the_call_is_everybodys_answer() -> None:
    gate = Gate()
    error = {"error": {"message": "too hot", "type": "invalid_request_error", "param": None, "code": "bad_value"}}
    async with patient({"a": gate}, model=CACHE) as world:
        calls = [asyncio.ensure_future(world.send()) for _ in range(3)]
        first = await gate.came()
        await until(lambda: world.plane.gateway.desk.calls == 3)
        first.reply(400, json.dumps(error).encode())
        answers = await asyncio.gather(*calls)
        assert [(answer.status, json.loads(answer.body)) for answer in answers] == [(400, error)] * 3
        assert world.asked("a") == 1
        assert [(await world.record(n)).error for n in (1, 2, 3)] == ["bad_value"] * 3
        assert len(world.cache.memory) == 0
        await world.idle()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_leader_that_hangs_up_goes_on_for_those_who_wait(streamed: bool) -> None:
    gate = Gate()
    body = STREAMED if streamed else ASKED
    async with patient({"a": gate}, model=CACHE) as world:
        async with calling(world.plane, body):
            first = await gate.came()
            if streamed:
                first.start(200)
                first.write(chunk({"content": "y"}))
            waits = asyncio.ensure_future(world.send(ASKED))
            await until(lambda: world.plane.gateway.desk.calls == 2)
        await asyncio.sleep(0.05)
        assert first.open, "the target is still answering"
        if streamed:
            for event in pieces("e", "s"):
                first.write(event)
                await asyncio.sleep(0.005)
            first.finish()
        else:
            replies(chat("yes"))(first)
        answer = await waits
        assert (text_of(answer), answer.headers["x-switchgear-cache"]) == ("yes", "collapsed")
        records = [await world.record(1), await world.record(2)]
        left = next(one for one in records if not one.reuse)
        assert (left.outcome, story(left)) == (Outcome.CANCELLED, [("a", FIRST, AttemptOutcome.OK)])
        assert left.cost_usd == pytest.approx(13e-6), "it was asked in its name"
        assert text_of(await world.send()) == "yes"
        assert world.asked("a") == 1
        await world.idle()


async def test_when_the_last_who_waits_hangs_up_the_target_is_let_go() -> None:
    gate = Gate()
    async with patient({"a": gate}, model=CACHE) as world:
        async with calling(world.plane, ASKED):
            first = await gate.came()
            async with calling(world.plane, ASKED):
                await until(lambda: world.plane.gateway.desk.calls == 2)
                gone: list[bool] = []
                first.on_gone = lambda: gone.append(True)
            await until(lambda: world.plane.gateway.desk.calls == 1)
            assert not gone, "the leader's own caller is still there"
        await until(lambda: gone)
        records = [await world.record(1), await world.record(2)]
        assert {record.outcome for record in records} == {Outcome.CANCELLED}
        await world.idle()


async def test_a_leader_that_is_gone_ends_with_the_last_follower() -> None:
    gate = Gate()
    async with patient({"a": gate}, model=CACHE) as world:
        gone: list[bool] = []
        async with calling(world.plane, ASKED), calling(world.plane, ASKED) as leader_or_follower:
            first = await gate.came()
            first.on_gone = lambda: gone.append(True)
            await until(lambda: world.plane.gateway.desk.calls == 2)
            leader_or_follower.writer.transport.abort()
            await asyncio.sleep(0.05)
            assert not gone
        await until(lambda: gone)
        await world.idle()


async def test_those_who_wait_keep_their_own_deadline() -> None:
    gate = Gate()
    async with patient({"a": gate}, model=CACHE) as world:
        leader = asyncio.ensure_future(world.send())
        first = await gate.came()
        late = await world.send(ASKED, x_switchgear_timeout_s="0.1")
        assert (late.status, json.loads(late.body)["error"]["code"]) == (504, "deadline_exceeded")
        replies(chat("yes"))(first)
        assert (await leader).status == 200
        await world.idle()


async def test_a_slow_reader_does_not_hold_up_those_who_wait() -> None:
    gate = Gate()
    kept = {"cache": ModelCache(ttl_s=60.0, max_answer_bytes=64 * 1024 * 1024)}
    async with patient({"a": gate}, model=kept) as world, calling(world.plane, STREAMED):  # who reads nothing
        first = await gate.came()
        first.start(200)
        first.write(chunk({"content": "x" * 20}))
        waits = asyncio.ensure_future(world.send(ASKED))
        await until(lambda: world.plane.gateway.desk.calls == 2)
        for _ in range(100):
            first.write(chunk({"content": "x" * 60_000}))
            await asyncio.sleep(0)
        for event in pieces("."):
            first.write(event)
        first.finish()
        assert len(text_of(await waits)) == 6_000_021


async def test_one_who_comes_while_a_slow_reader_holds_the_answer_up_sets_it_going() -> None:
    gate = Gate()
    kept = {"cache": ModelCache(ttl_s=60.0, max_answer_bytes=64 * 1024 * 1024)}
    async with patient({"a": gate}, model=kept) as world, calling(world.plane, STREAMED):  # who reads nothing
        first = await gate.came()
        first.start(200)
        for _ in range(500):
            first.write(chunk({"content": "x" * 60_000}))
        for event in pieces("."):
            first.write(event)
        first.finish()
        target = world.plane.gateway.table.targets()[0]
        await until(lambda: target.state.in_flight)
        await asyncio.sleep(0.3)
        assert target.state.in_flight == 1, "the reader holds it up: more than fits into the buffers between"
        assert len(text_of(await world.send(ASKED))) == 30_000_001


async def test_an_answer_too_large_is_not_kept_and_lets_the_others_ask() -> None:
    gate = Gate()
    async with patient({"a": gate}, model={"cache": ModelCache(ttl_s=60.0, max_answer_bytes=2000)}) as world:
        calls = [asyncio.ensure_future(world.send(STREAMED)) for _ in range(3)]
        first = await gate.came()
        await until(lambda: world.plane.gateway.desk.calls == 3)
        first.start(200)
        for _ in range(4):
            first.write(chunk({"content": "x" * 600}))
        await gate.came(3)
        for event in pieces("."):
            first.write(event)
        first.finish()
        for exchange in gate.waiting[1:]:
            streams(*pieces("short"))(exchange)
        assert sorted(len(text_of(answer)) for answer in await asyncio.gather(*calls)) == [5, 5, 2401]
        await world.idle()
