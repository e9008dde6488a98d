"""What a call gets when no target can answer it: stale answers, a smaller model, a message; and what no last resort takes the place of."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from openai import InternalServerError
from tests.gateway.cared import Cared, Gate, as_asked, at, calling, chat, pieces, story, swap, text_of, until
from tests.gateway.plane import KEY
from tests.gateway.recording import chunk, replies, streams

from switchgear.core.authorization import Authorization, PolicyText
from switchgear.core.caching import LastResort, ModelCache
from switchgear.core.limits import Limit
from switchgear.core.record import AttemptKind, AttemptOutcome, Outcome
from switchgear.core.snapshot import Breaker, Capabilities, Key, Retry
from switchgear.wire.exchange import Exchange

ASKED: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "temperature": 0}
STREAMED: dict[str, Any] = {**ASKED, "stream": True}
ONCE = {"retry": Retry(attempts=1)}
MESSAGE = LastResort(message="Later, please.")
SMALLER = LastResort(model="small")
STALE = LastResort(stale_s=100.0)
FIRST, FALLBACK = AttemptKind.FIRST, AttemptKind.FALLBACK
OK, FAILED = AttemptOutcome.OK, AttemptOutcome.FAILED


def down(exchange: Exchange) -> None:
    exchange.reply(503, b"{}")


def world(
    *resorts: LastResort,
    a: Callable[[Exchange], None] = down,
    small: Callable[[Exchange], None] | None = None,
    model: dict[str, Any] | None = None,
    smaller: dict[str, Any] | None = None,
    **settings: Any,
) -> Cared:
    return Cared(
        {"a": a, "s": small or as_asked("sm", "all")},
        model={"targets": at("a"), "last_resort": resorts, **ONCE, **(model or {})},
        aliases={"small": {"targets": at("s"), **ONCE, **(smaller or {})}},
        **settings,
    )


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_smaller_model(streamed: bool) -> None:
    async with world(SMALLER, MESSAGE) as one:
        answer = await one.send(STREAMED if streamed else ASKED)
        assert (answer.status, text_of(answer)) == (200, "small")
        assert answer.headers["x-switchgear-degraded"] == "smaller-model"
        assert answer.headers["x-switchgear-backend"] == "s"
        assert one.places["s"].fields["model"] == "m-s"
        record = await one.record()
        assert story(record) == [("a", FIRST, FAILED), ("s", FALLBACK, OK)]
        assert (record.model, record.degraded, record.outcome) == ("chat", "smaller-model", Outcome.OK)
        assert record.candidates == [("a", "m-a"), ("s", "m-s")]
        assert record.cost_usd == pytest.approx(13e-6)
        await one.idle()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_message(streamed: bool) -> None:
    async with world(SMALLER, MESSAGE, small=down) as one:
        answer = await one.send(STREAMED if streamed else ASKED)
        assert (answer.status, text_of(answer)) == (200, "Later, please.")
        assert answer.headers["x-switchgear-degraded"] == "message"
        assert "x-switchgear-backend" not in answer.headers
        record = await one.record()
        assert story(record) == [("a", FIRST, FAILED), ("s", FALLBACK, FAILED)]
        assert (record.degraded, record.outcome, record.status, record.backend) == ("message", Outcome.OK, 200, "")
        assert (record.completion_tokens, record.cost_usd) == (0, 0.0)
        await one.idle()


async def test_a_stale_answer_first_and_not_longer_than_is_said() -> None:
    async with world(STALE, MESSAGE, a=replies(chat("yes")), model={"cache": ModelCache(ttl_s=10.0)}) as one:
        now = [1_000_000.0]
        one.plane.gateway.desk.now_s = lambda: now[0]
        await one.send(ASKED)
        one.places["a"].answer = down
        now[0] += 60.0
        for body in (ASKED, STREAMED):
            answer = await one.send(body)
            assert text_of(answer) == "yes"
            assert answer.headers["x-switchgear-degraded"] == "stale-cache"
            assert answer.headers["x-switchgear-cache"] == "stale"
        record = await one.record(2)
        assert (record.reuse, record.degraded, record.cost_usd) == ("stale", "stale-cache", 0.0)
        assert story(record) == [("a", FIRST, FAILED)]
        assert text_of(await one.send({**ASKED, "seed": 1})) == "Later, please.", "another question"
        now[0] += 60.0
        assert text_of(await one.send(ASKED)) == "Later, please."


async def test_where_no_target_can_even_be_asked() -> None:
    broken = {"a": {"breaker": Breaker(consecutive=1, open_s=60.0)}}
    async with world(SMALLER, backends=broken) as one:
        for _ in range(2):
            assert text_of(await one.send(ASKED)) == "small"
        assert one.asked("a") == 1
        record = await one.record(2)
        assert story(record) == [("s", FALLBACK, OK)]
        assert [(out.backend, out.reason) for out in record.ruled_out] == [("a", "breaker_open")]


async def test_where_the_target_is_full() -> None:
    gate = Gate()
    async with world(MESSAGE, a=gate, backends={"a": {"max_in_flight": 1}}) as one:
        first = asyncio.ensure_future(one.send(ASKED))
        await gate.came()
        assert text_of(await one.send({**ASKED, "seed": 1})) == "Later, please."
        replies(chat("yes"))(gate.waiting[0])
        assert text_of(await first) == "yes"


async def test_at_the_deadline_there_is_time_for_no_model() -> None:
    async with world(SMALLER, MESSAGE, a=Gate()) as one:
        answer = await one.send(ASKED, x_switchgear_timeout_s="0.15")
        assert text_of(answer) == "Later, please."
        assert one.asked("s") == 0


async def test_a_plain_model_with_last_resorts_still_goes_the_short_way() -> None:
    async with world(SMALLER, a=replies(chat("yes"))) as one:
        route = one.plane.gateway.table.routes["chat"]
        assert route.straight
        assert text_of(await one.send(ASKED)) == "yes"
        one.places["a"].answer = down
        assert text_of(await one.send(ASKED)) == "small"


# -- what no last resort takes the place of --


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_errors_of_the_call(status: int) -> None:
    error = replies({"error": {"message": "no", "code": "bad", "type": "x", "param": None}}, status)
    async with world(STALE, SMALLER, MESSAGE, a=error) as one:
        answer = await one.send(ASKED)
        if status == 404:  # what is not there is the target's fault
            assert answer.headers["x-switchgear-degraded"] == "smaller-model"
            return
        assert answer.status == status
        assert "x-switchgear-degraded" not in answer.headers
        assert (await one.record()).degraded == ""


async def test_refusals_of_policy_limits_and_capability() -> None:
    cannot = {"a": {"capabilities": Capabilities(tools=False)}}
    async with world(SMALLER, MESSAGE, a=replies(chat("yes")), backends=cannot) as one:
        tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
        answer = await one.send({**ASKED, "tools": tools})
        assert json.loads(answer.body)["error"]["code"] == "no_capable_target"
        swap(one.plane, limits=(Limit(name="one", requests_per_minute=1),))
        assert (await one.send(ASKED)).status == 200
        assert (await one.send(ASKED)).status == 429
        nothing = '@id("no") forbid (principal, action, resource) when { context.model == Model::"chat" };'
        text = '@id("all") permit (principal, action, resource);' + nothing
        swap(one.plane, limits=(), authorization=Authorization(texts=(PolicyText("p.cedar", text),)))
        answer = await one.send(ASKED)
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (403, "forbidden_by_policy")
        assert one.asked("s") == 0


async def test_a_stream_that_breaks_after_its_first_byte() -> None:
    def breaks(exchange: Exchange) -> None:
        exchange.start(200)
        exchange.write(chunk({"content": "he"}))
        asyncio.get_running_loop().call_later(0.02, exchange.abort)

    async with world(SMALLER, MESSAGE, a=breaks, model={"rescue": False}) as one:
        answer = await one.send(STREAMED)
        assert b"stream_broken" in answer.body
        assert (await one.record()).degraded == ""


@pytest.mark.parametrize(
    "more",
    [
        {"response_format": {"type": "json_object"}},
        {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required"},
    ],
    ids=["json", "tool call"],
)
async def test_no_message_where_json_or_a_tool_call_was_asked_for(more: dict[str, Any]) -> None:
    async with world(MESSAGE) as one:
        assert (await one.send({**ASKED, **more})).status == 502


async def test_for_embeddings_kept_answers_alone() -> None:
    vector = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}], "model": "m"}
    body = {"model": "chat", "input": "hi"}
    async with world(STALE, SMALLER, MESSAGE, a=replies(vector), model={"cache": ModelCache(ttl_s=10.0)}) as one:
        now = [1_000_000.0]
        one.plane.gateway.desk.now_s = lambda: now[0]
        await one.plane.send(body, path="embeddings")
        one.places["a"].answer = down
        now[0] += 20.0
        answer = await one.plane.send(body, path="embeddings")
        assert (json.loads(answer.body), answer.headers["x-switchgear-degraded"]) == (vector, "stale-cache")
        other = await one.plane.send({**body, "input": "ho"}, path="embeddings")
        assert other.status == 502
        assert one.asked("s") == 0


# -- who may have the smaller model --


async def test_a_smaller_model_that_the_caller_or_policy_does_not_allow_is_passed_over() -> None:
    scoped = Key(name="scoped", sha256=hashlib.sha256(b"scoped").hexdigest(), models=("chat",))
    async with world(SMALLER, MESSAGE, keys=(scoped,)) as one:
        assert text_of(await one.send(ASKED, key="scoped")) == "Later, please."
        text = (
            '@id("all") permit (principal, action, resource);'
            '@id("no") forbid (principal, action == Action::"fallback", resource) when { context.model == Model::"small" };'
        )
        swap(one.plane, authorization=Authorization(texts=(PolicyText("p.cedar", text),)))
        assert text_of(await one.send(ASKED, key=KEY)) == "Later, please."
        assert one.asked("s") == 0


async def test_a_smaller_model_over_its_limit_is_passed_over_and_nothing_stays_reserved() -> None:
    async with world(SMALLER, MESSAGE) as one:
        swap(one.plane, limits=(Limit(name="one", model="small", requests_per_minute=1), Limit(key="*", in_flight=5)))
        assert [text_of(await one.send(ASKED)) for _ in range(2)] == ["small", "Later, please."]
        assert not one.plane.builder.shares.outstanding
        flights = [
            share for share in one.plane.gateway.table.limiter.shares if share.counter.measure.value == "in_flight"
        ]
        assert [share.free for share in flights] == [5]


async def test_what_a_smaller_model_cannot_do_is_no_fault_of_the_call() -> None:
    too_long = replies({"error": {"message": "no", "code": "context_length_exceeded", "type": "x", "param": None}}, 400)
    async with world(SMALLER, small=too_long) as one:
        answer = await one.send(ASKED)
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (502, "upstream_error")
        assert (await one.record()).degraded == ""
    async with world(SMALLER, MESSAGE, small=too_long) as one:
        assert text_of(await one.send(ASKED)) == "Later, please."


async def test_its_own_last_resorts_are_not_tried() -> None:
    async with world(SMALLER, small=down, smaller={"last_resort": (MESSAGE,)}) as one:
        assert (await one.send(ASKED)).status == 502
        assert text_of(await one.send({**ASKED, "model": "small"})) == "Later, please."


async def test_the_caller_hangs_up_while_the_smaller_model_answers() -> None:
    gate = Gate()
    gone: list[bool] = []
    async with world(SMALLER, small=gate) as one:
        async with calling(one.plane, ASKED):
            (await gate.came()).on_gone = lambda: gone.append(True)
        await until(lambda: gone)
        record = await one.record()
        assert (record.outcome, record.degraded) == (Outcome.CANCELLED, "")
        await one.idle()


async def test_a_degraded_answer_is_not_kept_and_nobody_else_gets_it() -> None:
    gate = Gate()
    async with world(SMALLER, a=gate, model={"cache": ModelCache(ttl_s=60.0)}) as one:
        calls = [asyncio.ensure_future(one.send(ASKED)) for _ in range(3)]
        first = await gate.came()
        await until(lambda: one.plane.gateway.desk.calls == 3)
        down(first)
        second = await gate.came(2)
        replies(chat("yes"))(second)
        answers = await asyncio.gather(*calls)
        assert sorted(text_of(answer) for answer in answers) == ["small", "yes", "yes"]
        assert text_of(await one.send(ASKED)) == "yes"
        await one.idle()


async def test_the_official_client() -> None:
    async with world(SMALLER, MESSAGE) as one:
        assert await one.plane.ask("hi") == "small"
        assert await one.plane.stream("hi") == "small"
        one.places["s"].answer = down
        assert await one.plane.ask("hi") == "Later, please."
        assert await one.plane.stream("hi") == "Later, please."
    async with world(SMALLER, small=down) as one:
        with pytest.raises(InternalServerError):
            await one.plane.ask("hi")


async def test_a_stream_of_the_smaller_model_is_carried_on_by_its_own_targets() -> None:
    def breaks(exchange: Exchange) -> None:
        exchange.start(200)
        exchange.write(chunk({"content": "sm"}))
        asyncio.get_running_loop().call_later(0.02, exchange.abort)

    async with Cared(
        {"a": down, "s": breaks, "t": streams(*pieces("small"))},
        model={"targets": at("a"), "last_resort": (SMALLER,), **ONCE},
        aliases={"small": {"targets": at("s", "t")}},
    ) as one:
        assert text_of(await one.send(STREAMED)) == "small"
        assert [kind for _, kind, _ in story(await one.record())] == [FIRST, FALLBACK, AttemptKind.RESCUE]
