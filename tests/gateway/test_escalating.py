"""Small model first, the larger one when unsure: whole and streamed, with faults at either place, one deadline, one cost limit."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.gateway.cared import Cared, Gate, at, calling, pieces, story, text_of, until
from tests.gateway.escalation import (
    ASKED,
    BOTH,
    ESCALATE,
    FAILED,
    FIRST,
    OK,
    RULE,
    STREAMED,
    UNSURE,
    piece,
    scored,
    told,
    whole,
    world,
)
from tests.gateway.recording import DONE, chunk, replies, streams

from switchgear.core.caching import LastResort, ModelCache
from switchgear.core.escalation import Escalate
from switchgear.core.record import AttemptKind, AttemptOutcome, Outcome
from switchgear.core.snapshot import Delivery, Retry
from switchgear.wire.exchange import EVENT_STREAM, Exchange


async def test_a_sure_answer_is_the_callers_and_nobody_else_is_asked() -> None:
    async with world(whole("yes", -0.5), whole("YES", None)) as one:
        answer = await one.send(ASKED)
        assert text_of(answer) == "yes"
        assert json.loads(answer.body)["choices"][0]["logprobs"] is None, "the caller did not ask for them"
        assert one.places["small"].fields["logprobs"] is True
        assert one.asked("large") == 0
        record = await one.record()
        assert story(record) == [("small", FIRST, OK)]
        confidence = record.attempts[0].confidence
        assert confidence is not None
        assert (confidence.mean_logprob, confidence.tokens, confidence.unsure) == (-0.5, 1, False)
        await one.idle()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_an_unsure_answer_goes_to_the_larger_model(streamed: bool) -> None:
    small = streams(*told(("n", -3.0), ("o", -3.0))) if streamed else whole("no", -3.0)
    large = streams(*told(("YES", -0.1))) if streamed else whole("YES", None)
    async with world(small, large) as one:
        answer = await one.send(STREAMED if streamed else ASKED)
        assert text_of(answer) == "YES"
        assert (answer.headers["x-switchgear-backend"], answer.headers["x-switchgear-attempts"]) == ("large", "2")
        assert "x-switchgear-degraded" not in answer.headers
        assert "logprobs" not in one.places["large"].fields
        assert one.places["large"].fields["model"] == "m-large"
        record = await one.record()
        assert story(record) == BOTH
        assert (record.model, record.backend, record.answered_model, record.degraded) == (
            "chat",
            "large",
            "m-large",
            "",
        )
        assert record.candidates == [("small", "m-small"), ("large", "m-large")]
        assert record.attempts[0].confidence is not None
        assert record.attempts[0].confidence.unsure
        assert record.attempts[1].confidence is None
        assert record.cost_usd == pytest.approx(2 * 13e-6), "both are paid for"
        assert (record.prompt_tokens, record.completion_tokens) == (9, 2), "the caller got one answer"
        await one.idle()


@pytest.mark.parametrize("logprob", [-3.0, -0.5], ids=["unsure", "sure"])
async def test_a_stream_that_one_read_brings_has_the_time_of_its_first_token(logprob: float) -> None:
    small = replies(b"".join(told(("no", logprob))), head=EVENT_STREAM)
    async with world(small, streams(*told(("YES", -0.1)))) as one:
        assert (await one.send(STREAMED)).status == 200
        record = await one.record()
        for attempt in record.attempts:
            assert attempt.ttft_s is not None
            assert 0.0 <= attempt.ttft_s <= attempt.duration_s
        for target in one.plane.gateway.table.targets():
            assert target.state.latency.peak_ewma_s(time.monotonic()) >= 0.0
        await one.idle()


async def test_what_the_caller_asked_for_itself_it_gets() -> None:
    async with world(whole("yes", -0.5), whole("YES", None)) as one:
        answer = await one.send({**ASKED, "logprobs": True, "top_logprobs": 1})
        assert json.loads(answer.body)["choices"][0]["logprobs"] == scored("yes", -0.5)


async def test_a_sure_stream_flows_once_that_is_certain_and_without_what_was_asked_for_only_to_judge() -> None:
    gate = Gate()
    rule = Escalate(when="mean_logprob < -1", to="large", first_tokens=2)
    async with world(gate, whole("YES", None), rule) as one, calling(one.plane, STREAMED) as caller:
        small = await gate.came()
        small.start(200)
        small.write(piece("y", -0.1))
        await asyncio.sleep(0.05)
        assert (await one.plane.send({**ASKED, "model": "large"})).status == 200  # others are served meanwhile
        reading = asyncio.ensure_future(caller.head())
        await asyncio.sleep(0.02)
        assert not reading.done(), "one token does not decide"
        small.write(piece("e", -0.1))
        status, headers = await reading
        assert (status, headers["x-switchgear-backend"]) == (200, "small")
        for event in told(("s", -9.0)):
            small.write(event)
        small.finish()
        body = await caller.reader.readuntil(b"[DONE]\n\n")
        assert body.count(b'"content"') == 3
        assert b"-0.1" not in body
        assert b"-9.0" not in body
        assert story(await one.record(2)) == [("small", FIRST, OK)]


async def test_a_stream_is_given_up_as_soon_as_it_is_certainly_unsure() -> None:
    gate, large = Gate(), Gate()
    rule = Escalate(when="min_logprob < -5", to="large")
    async with world(gate, large, rule) as one:
        call = asyncio.ensure_future(one.send(STREAMED))
        small = await gate.came()
        small.start(200)
        small.write(piece("n", -9.0))
        larger = await large.came()
        gone: list[bool] = []
        small.on_gone = lambda: gone.append(True)
        assert small.open, "should the larger model give nothing, this is the answer"
        streams(*told(("YES", -0.1)))(larger)
        assert text_of(await call) == "YES"
        await until(lambda: gone)
        record = await one.record()
        assert story(record) == BOTH
        assert record.attempts[0].usage == "estimated"
        assert record.attempts[0].cost_usd
        await one.idle()


FAULTS: dict[str, Callable[[Exchange], None]] = {
    "error": lambda exchange: exchange.reply(500, b"{}"),
    "the call's own": replies({"error": {"message": "no", "code": "bad", "type": "x", "param": None}}, 400),
    "reset": lambda exchange: exchange.abort(),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_if_the_larger_model_fails_the_unsure_answer_is_given(fault: str, streamed: bool) -> None:
    small = streams(*told(("n", -3.0), ("o", -3.0))) if streamed else whole("no", -3.0)
    async with world(small, FAULTS[fault]) as one:
        answer = await one.send(STREAMED if streamed else ASKED)
        assert (answer.status, text_of(answer)) == (200, "no")
        assert answer.headers["x-switchgear-degraded"] == "unsure"
        assert answer.headers["x-switchgear-backend"] == "small"
        assert b"-3.0" not in answer.body
        record = await one.record()
        assert story(record) == [("small", FIRST, OK), ("large", ESCALATE, FAILED)]
        assert (record.outcome, record.degraded, record.backend) == (Outcome.OK, "unsure", "small")
        assert record.attempts[0].confidence is not None
        assert record.attempts[0].confidence.unsure
        assert (record.prompt_tokens, record.completion_tokens) == (9, 2)
        await one.idle()


async def test_a_stream_that_stepped_aside_goes_on_where_the_larger_model_fails() -> None:
    gate, large = Gate(), Gate()
    async with world(gate, large, Escalate(when="min_logprob < -5", to="large")) as one:
        call = asyncio.ensure_future(one.send(STREAMED))
        small = await gate.came()
        small.start(200)
        small.write(piece("n", -9.0))
        larger = await large.came()
        small.write(piece("o", -0.1))
        larger.reply(503, b"{}")
        await asyncio.sleep(0.05)
        for event in told(("!", -0.1)):
            small.write(event)
        small.finish()
        answer = await call
        assert (text_of(answer), answer.headers["x-switchgear-degraded"]) == ("no!", "unsure")
        record = await one.record()
        assert story(record) == [("small", FIRST, OK), ("large", ESCALATE, FAILED)]
        assert record.attempts[0].usage == "reported"
        await one.idle()


async def test_if_both_fail_the_last_error_is_told() -> None:
    gate, large = Gate(), Gate()
    async with world(gate, large, Escalate(when="min_logprob < -5", to="large")) as one:
        call = asyncio.ensure_future(one.send(STREAMED))
        small = await gate.came()
        small.start(200)
        small.write(piece("n", -9.0))
        larger = await large.came()
        small.abort()
        await asyncio.sleep(0.05)
        larger.reply(503, b"{}")
        answer = await call
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (502, "upstream_error")
        await one.idle()


async def test_the_small_models_own_fallback_is_judged_as_well() -> None:
    async with Cared(
        {
            "small": lambda exchange: exchange.reply(503, b"{}"),
            "second": whole("no", -2.0),
            "large": whole("YES", None),
        },
        model={"targets": at("small", "second"), "escalate": RULE},
        aliases={"large": {"targets": at("large")}},
    ) as one:
        assert text_of(await one.send(ASKED)) == "YES"
        assert story(await one.record()) == [
            ("small", FIRST, FAILED),
            ("second", AttemptKind.FALLBACK, UNSURE),
            ("large", ESCALATE, OK),
        ]


async def test_the_larger_model_retries_by_its_own_settings() -> None:
    answers = iter([lambda exchange: exchange.reply(503, b"{}"), whole("YES", None)])
    async with world(
        whole("no", -2.0), lambda exchange: next(answers)(exchange), larger={"retry": Retry(attempts=2, backoff_s=0.01)}
    ) as one:
        assert text_of(await one.send(ASKED)) == "YES"
        assert story(await one.record()) == [*BOTH[:1], ("large", ESCALATE, FAILED), ("large", AttemptKind.RETRY, OK)]


async def test_a_caller_that_hangs_up_ends_both() -> None:
    gate, large = Gate(), Gate()
    gone: list[str] = []
    async with world(gate, large, Escalate(when="min_logprob < -5", to="large")) as one:
        async with calling(one.plane, STREAMED):
            small = await gate.came()
            small.start(200)
            small.write(piece("n", -9.0))
            larger = await large.came()
            small.on_gone = lambda: gone.append("small")
            larger.on_gone = lambda: gone.append("large")
        await until(lambda: len(gone) == 2)
        record = await one.record()
        assert record.outcome is Outcome.CANCELLED
        assert story(record) == [("small", FIRST, UNSURE), ("large", ESCALATE, AttemptOutcome.CANCELLED)]
        await one.idle()


@pytest.mark.parametrize("verdict", ["sure", "unsure"])
async def test_whole_delivery(verdict: str) -> None:
    logprob = -0.1 if verdict == "sure" else -3.0
    async with world(
        streams(*told(("y", logprob), ("es", logprob))),
        streams(*told(("YES", 0.0))),
        model={"delivery": Delivery.WHOLE},
    ) as one:
        assert text_of(await one.send(STREAMED)) == ("yes" if verdict == "sure" else "YES")


async def test_a_stream_that_breaks_after_it_was_found_sure_is_carried_on() -> None:
    def breaks(exchange: Exchange) -> None:
        exchange.start(200)
        for text in ("he", "ll"):
            exchange.write(piece(text, -0.1))
        asyncio.get_running_loop().call_later(0.02, exchange.abort)

    async with Cared(
        {"small": breaks, "second": streams(*pieces("hel", "lo")), "large": whole("YES", None)},
        model={
            "targets": at("small", "second"),
            "escalate": Escalate(when="mean_logprob < -1", to="large", first_tokens=2),
        },
        aliases={"large": {"targets": at("large")}},
    ) as one:
        assert text_of(await one.send(STREAMED)) == "hello"
        kinds = [kind for _, kind, _ in story(await one.record())]
        assert kinds == [FIRST, AttemptKind.RESCUE]


async def test_the_larger_models_answer_is_kept_and_an_unsure_one_is_not() -> None:
    asked = {**ASKED, "temperature": 0}
    async with world(
        whole("no", -2.0), lambda exchange: exchange.abort(), model={"cache": ModelCache(ttl_s=60.0)}
    ) as one:
        assert (await one.send(asked)).headers["x-switchgear-degraded"] == "unsure"
        one.places["large"].answer = whole("YES", None)
        assert text_of(await one.send(asked)) == "YES"
        hit = await one.send(asked)
        assert (text_of(hit), hit.headers["x-switchgear-cache"]) == ("YES", "hit")
        assert hit.headers["x-switchgear-backend"] == "large"
        assert (one.asked("small"), one.asked("large")) == (2, 2)


async def test_the_small_models_kept_answer_has_no_log_probabilities() -> None:
    asked = {**STREAMED, "temperature": 0}
    async with world(
        streams(*told(("yes", -0.123))), whole("YES", None), model={"cache": ModelCache(ttl_s=60.0)}
    ) as one:
        answers = [await one.send(asked), await one.send(asked), await one.send({**asked, "stream": False})]
        assert [text_of(answer) for answer in answers] == ["yes"] * 3
        assert all(b"0.123" not in answer.body for answer in answers)
        assert one.asked("small") == 1


async def test_a_last_resort_is_for_where_there_is_not_even_an_unsure_answer() -> None:
    message = {"last_resort": (LastResort(message="later"),)}
    async with world(whole("no", -2.0), FAULTS["error"], model=message) as one:
        assert text_of(await one.send(ASKED)) == "no"
        one.places["small"].answer = FAULTS["error"]
        assert text_of(await one.send(ASKED)) == "later"


async def test_the_official_client() -> None:
    rule = Escalate(when="mean_logprob < -1", to="large")
    small = streams(*told(("n", -3.0), ("o", -3.0)))
    async with world(small, streams(*told(("Y", -0.1), ("ES", -0.1))), rule) as one:
        assert await one.plane.stream("hi") == "YES"
        one.places["small"].answer, one.places["large"].answer = whole("no", -2.0), whole("YES", None)
        assert await one.plane.ask("hi") == "YES"


@pytest.mark.parametrize(
    ("when", "body", "text", "unsure"),
    [
        ("refusal", {}, "I cannot help with that.", True),
        ("format_failure", {"response_format": {"type": "json_object"}}, "no json", True),
        ("format_failure", {"response_format": {"type": "json_object"}}, "{}", False),
    ],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_other_rules(when: str, body: dict[str, Any], text: str, unsure: bool, streamed: bool) -> None:
    rule = Escalate(when=when, to="large", refusal_phrases=("i cannot",))
    small = streams(chunk({"content": text}), chunk({}, "stop"), DONE) if streamed else whole(text, None)
    large = streams(*told(("YES", 0.0))) if streamed else whole("YES", None)
    async with world(small, large, rule) as one:
        assert text_of(await one.send({**ASKED, **body, "stream": streamed})) == ("YES" if unsure else text)
        assert "logprobs" not in one.places["small"].fields
