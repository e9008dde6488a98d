"""Kept answers in front of real places: hits in both forms, stampedes, faults and hang-ups while others wait, another table."""

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace
from tests.gateway.cared import (
    ASKED,
    STREAMED,
    Cared,
    Gate,
    as_asked,
    at,
    chat,
    pieces,
    story,
    swap,
    text_of,
    until,
)
from tests.gateway.recording import chunk, replies, streams

from switchgear.core.caching import ModelCache
from switchgear.core.data_class import DataClass
from switchgear.core.limits import Limit
from switchgear.core.record import AttemptKind, Outcome
from switchgear.core.snapshot import Delivery
from switchgear.wire.exchange import Exchange

CACHE = {"cache": ModelCache(ttl_s=60.0)}
FIRST = AttemptKind.FIRST


async def test_a_second_call_that_says_the_same_costs_nothing() -> None:
    async with Cared({"a": replies(chat("yes"))}, model=CACHE) as world:
        first, second = await world.send(), await world.send()
        assert world.asked("a") == 1
        assert (second.status, second.body) == (200, first.body)
        assert "x-switchgear-cache" not in first.headers
        assert second.headers["x-switchgear-cache"] == "hit"
        assert second.headers["x-switchgear-backend"] == "a"
        assert second.headers["x-switchgear-attempts"] == "0"
        assert first.headers["x-switchgear-call"] != second.headers["x-switchgear-call"]
        asked, hit = await world.record(1), await world.record(2)
        assert asked.reuse == ""
        assert asked.cost_usd == pytest.approx(13e-6)
        assert (hit.reuse, hit.outcome, hit.status, hit.cost_usd, hit.attempts) == ("hit", Outcome.OK, 200, 0.0, [])
        assert (hit.backend, hit.answered_model, hit.finish_reason) == ("a", "m-a", "stop")
        assert (hit.prompt_tokens, hit.completion_tokens) == (0, 0)
        await world.idle()


@pytest.mark.parametrize("streamed", [True, False], ids=["stream first", "whole first"])
async def test_one_kept_answer_serves_both_forms(streamed: bool) -> None:
    async with Cared({"a": as_asked("ye", "s")}, model=CACHE) as world:
        bodies = [STREAMED, ASKED, STREAMED] if streamed else [ASKED, STREAMED, ASKED]
        answers = [await world.send(body) for body in bodies]
        assert world.asked("a") == 1
        assert [text_of(answer) for answer in answers] == ["yes"] * 3
        assert [answer.headers.get("x-switchgear-cache") for answer in answers] == [None, "hit", "hit"]
        assert [(await world.record(n)).reuse for n in (1, 2, 3)] == ["", "hit", "hit"]
        await world.idle()


@pytest.mark.parametrize(
    "changes",
    [{"temperature": 1}, {"seed": None, "temperature": None}, {"temperature": 0, "store": True}],
    ids=["chance", "nothing said", "stored"],
)
async def test_what_is_not_repeatable_is_asked_each_time(changes: dict[str, Any]) -> None:
    async with Cared({"a": replies(chat("yes"))}, model=CACHE) as world:
        for _ in range(2):
            assert "x-switchgear-cache" not in (await world.send({**ASKED, **changes})).headers
        assert world.asked("a") == 2
        assert len(world.cache.memory) == 0


async def test_other_words_another_header_another_model_are_other_questions() -> None:
    async with Cared({"a": replies(chat("yes"))}, model=CACHE, aliases={"other": CACHE}) as world:
        await world.send()
        await world.send({**ASKED, "messages": [{"role": "user", "content": "hi "}]})
        await world.send({**ASKED, "model": "other"})
        await world.send({**ASKED, "model": "chat@a"})
        await world.send(ASKED, openai_beta="assistants=v2")
        assert world.asked("a") == 5
        await world.send({**dict(reversed(ASKED.items()))}, x_request_id="7")
        assert world.asked("a") == 5, "the order of fields and other headers do not matter"


async def test_a_joined_stream_is_not_kept() -> None:
    def breaks(exchange: Exchange) -> None:
        exchange.start(200)
        exchange.write(chunk({"content": "he"}))
        asyncio.get_running_loop().call_later(0.02, exchange.abort)

    async with Cared({"a": breaks, "b": streams(*pieces("hello"))}, model=CACHE) as world:
        assert text_of(await world.send(STREAMED)) == "hello"
        assert [kind for _, kind, _ in story(await world.record())] == [FIRST, AttemptKind.RESCUE]
        assert len(world.cache.memory) == 0
        await world.idle()


async def test_a_kept_answer_serves_while_no_target_is_up() -> None:
    async with Cared({"a": replies(chat("yes"))}, model=CACHE) as world:
        await world.send()
        world.places["a"].answer = lambda exchange: exchange.abort()
        assert (await world.send({**ASKED, "seed": 1})).status == 502
        assert text_of(await world.send()) == "yes"


async def test_its_time_is_over() -> None:
    async with Cared({"a": replies(chat("yes"))}, model=CACHE) as world:
        now = [1_000_000.0]
        world.plane.gateway.desk.now_s = lambda: now[0]
        await world.send()
        now[0] += 59.0
        assert (await world.send()).headers["x-switchgear-cache"] == "hit"
        now[0] += 2.0
        assert "x-switchgear-cache" not in (await world.send()).headers
        assert world.asked("a") == 2


async def test_another_table_serves_what_still_holds_of_the_cache() -> None:
    gate = Gate()
    async with Cared({"a": gate, "b": replies(chat("from b"))}, model={**CACHE, "targets": at("a", "b")}) as world:
        leader = asyncio.ensure_future(world.send())
        first = await gate.came()
        follower = asyncio.ensure_future(world.send())
        await until(lambda: world.plane.gateway.desk.calls == 2)
        swap(world.plane, keys=world.plane.snapshot.keys)
        joins = asyncio.ensure_future(world.send())
        await until(lambda: world.plane.gateway.desk.calls == 3)
        replies(chat("from a"))(first)
        answers = await asyncio.gather(leader, follower, joins)
        assert [text_of(answer) for answer in answers] == ["from a"] * 3
        models = dict(world.plane.snapshot.models)
        models["chat"] = replace(models["chat"], targets=at("b"))
        swap(world.plane, models=models)
        assert text_of(await world.send()) == "from b", "what came from a is not given once a is no target"
        await world.idle()


async def test_a_hit_takes_nothing_of_the_limits() -> None:
    async with Cared({"a": replies(chat("yes"))}, model=CACHE) as world:
        swap(world.plane, limits=(Limit(name="two", requests_per_minute=2),))
        await world.send()
        for _ in range(5):
            assert (await world.send()).status == 200
        assert (await world.send({**ASKED, "seed": 1})).status == 200
        assert (await world.send({**ASKED, "seed": 2})).status == 429


@pytest.mark.parametrize("declared", ["internal", "public"])
async def test_only_the_classes_named_are_kept(declared: str) -> None:
    kept = ModelCache(ttl_s=60.0, data_classes=(DataClass.PUBLIC,))
    async with Cared({"a": replies(chat("yes"))}, model={"cache": kept}) as world:
        for _ in range(2):
            await world.send(ASKED, x_switchgear_data_class=declared)
        assert world.asked("a") == (1 if declared == "public" else 2)


async def test_whole_delivery_is_kept_too() -> None:
    async with Cared({"a": streams(*pieces("ye", "s"))}, model={**CACHE, "delivery": Delivery.WHOLE}) as world:
        assert [text_of(await world.send(STREAMED)) for _ in range(2)] == ["yes", "yes"]
        assert world.asked("a") == 1


async def test_the_official_client_reads_hits() -> None:
    answer: dict[str, Any] = json.loads(chat("yes"))
    async with Cared({"a": replies(answer)}, model=CACHE) as world:
        for _ in range(2):
            assert await world.plane.ask("hi", temperature=0) == "yes"
        assert await world.plane.stream("hi", temperature=0) == "yes"
        raw = await world.plane.client.chat.completions.with_raw_response.create(
            model="chat", messages=[{"role": "user", "content": "hi"}], temperature=0, max_tokens=24
        )
        assert raw.headers["x-switchgear-cache"] == "hit"
        usage = []
        stream = await world.plane.client.chat.completions.create(
            model="chat", messages=[{"role": "user", "content": "hi"}], temperature=0, max_tokens=24, stream=True,
            stream_options={"include_usage": True},
        )  # fmt: skip
        async for event in stream:
            usage += [event.usage.total_tokens] if event.usage else []
        assert usage == [11]
        assert world.asked("a") == 1


@pytest.mark.parametrize("path", ["embeddings", "completions", "responses"])
async def test_other_endpoints(path: str) -> None:
    whole = {
        "embeddings": {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}], "model": "m"},
        "completions": {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m",
                        "choices": [{"text": "yes", "index": 0, "finish_reason": "stop", "logprobs": None}]},
        "responses": {"id": "resp_1", "object": "response", "status": "completed", "created_at": 1, "model": "m",
                      "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                                  "content": [{"type": "output_text", "text": "yes", "annotations": []}]}]},
    }[path]  # fmt: skip
    body = {"model": "chat", "input": "hi", "temperature": 0, "store": False}
    if path == "completions":
        body["prompt"] = body.pop("input")
    async with Cared({"a": replies(whole)}, model=CACHE) as world:
        answers = [await world.plane.send(body, path=path) for _ in range(2)]
        assert [json.loads(answer.body) for answer in answers] == [whole, whole]
        assert world.asked("a") == 1
        if path == "responses":
            told = await world.plane.send({**body, "stream": True}, path=path)
            assert b"response.completed" in told.body
            assert told.headers["x-switchgear-cache"] == "hit"
