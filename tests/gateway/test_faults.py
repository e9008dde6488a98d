"""Every way in which a place can fail: the caller gets a whole answer or a clear error in bounded time, and the gateway still serves."""

import asyncio
from typing import Any

import openai
import pytest
from tests.gateway.plane import Plane

from switchgear.core.record import AttemptKind, AttemptOutcome, Outcome

LIMIT_S = 8.0
SLOW = 1.0
"""For streams that break within: tokens far enough apart to be read one by one on a machine that stands still now and then."""

RETRIED = {  # fault -> reason on the record, streamed and not
    "connect_reset": "connection_reset",
    "no_answer": ("first_byte_timeout", "total_timeout"),
    "malformed_body": "malformed_answer",
    "status;code=500": "status_500",
    "status;code=503": "status_503",
    "status;code=429": "status_429",
    "status;code=429;retry_after_s=30": "status_429",
    "status;code=429;retry_after_s=30;retry_after_as=date": "status_429",
    "status;code=401": "status_401",
    "status;code=404": "status_404",
    "flap;period_s=60;down_s=60": "connection_reset",
}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", RETRIED)
async def test_a_failure_before_the_commit_point_is_invisible(fault: str, streamed: bool) -> None:
    async with Plane("a", "b") as plane, asyncio.timeout(LIMIT_S):
        say = plane.stream if streamed else plane.ask
        expected = await say()
        plane.places["a"].set_faults([fault])
        assert await say() == expected
        record = await plane.record(2)
        assert record.outcome is Outcome.OK
        assert [attempt.backend for attempt in record.attempts] == ["a", "b"]
        assert [attempt.kind for attempt in record.attempts] == [AttemptKind.FIRST, AttemptKind.FALLBACK]
        reasons = RETRIED[fault] if isinstance(RETRIED[fault], tuple) else (RETRIED[fault],)
        assert record.attempts[0].error in reasons
        assert record.attempts[0].cost_usd == 0.0, "a failed attempt is not billed"
        assert record.backend == "b"
        plane.places["a"].set_faults([])
        assert await say() == expected, "the gateway still serves"


STREAM_ONLY = {
    "slow_first_token;delay_s=5": "first_byte_timeout",
    "stall;after_tokens=0": "first_byte_timeout",
    "cut;after_tokens=0": "answer_truncated",
    "malformed_event;after_tokens=0": "malformed_answer",
    "end_early;after_tokens=0": "answer_truncated",
}


@pytest.mark.parametrize("fault", STREAM_ONLY)
async def test_a_stream_that_fails_before_its_first_token_is_replaced_unseen(fault: str) -> None:
    async with Plane("a", "b") as plane, asyncio.timeout(LIMIT_S):
        expected = await plane.stream()
        plane.places["a"].set_faults([fault])
        assert await plane.stream() == expected
        record = await plane.record(2)
        assert (record.outcome, record.backend) == (Outcome.OK, "b")
        assert record.attempts[0].error == STREAM_ONLY[fault]


BROKEN = ["cut;after_tokens=5", "stall;after_tokens=5", "malformed_event;after_tokens=5", "end_early;after_tokens=5"]


@pytest.mark.parametrize("fault", BROKEN)
async def test_a_broken_stream_is_carried_on_by_the_same_model_elsewhere(fault: str) -> None:
    async with Plane("a", "b", speed=SLOW) as plane, asyncio.timeout(LIMIT_S):
        expected = await plane.stream()
        plane.places["a"].set_faults([fault])
        assert await plane.stream() == expected
        record = await plane.record(2)
        assert record.outcome is Outcome.OK
        assert [attempt.kind for attempt in record.attempts] == [AttemptKind.FIRST, AttemptKind.RESCUE]


@pytest.mark.parametrize("fault", BROKEN)
async def test_a_broken_stream_is_continued_by_another_model(fault: str) -> None:
    async with Plane("a", "b", served={"b": "gpt-x"}, speed=2.0) as plane, asyncio.timeout(LIMIT_S):
        whole = await plane.stream()
        plane.places["a"].set_faults([fault])
        text = await plane.stream()
        record = await plane.record(2)
        assert record.outcome is Outcome.OK
        assert [attempt.kind for attempt in record.attempts] == [
            AttemptKind.FIRST,
            AttemptKind.RESCUE,
            AttemptKind.CONTINUE,
        ]
        assert record.attempts[1].outcome is AttemptOutcome.DISCARDED
        assert text != whole
        common = next(i for i, (x, y) in enumerate(zip(text, whole, strict=False)) if x != y)
        assert common > 5, "it goes on from what the first model said"
        assert record.usage == "estimated"
        assert record.completion_tokens == pytest.approx(24, abs=3)


@pytest.mark.parametrize("fault", BROKEN)
async def test_a_broken_stream_that_nobody_can_carry_on_ends_with_an_error(fault: str) -> None:
    async with Plane("a", "b", dead=("b",), speed=SLOW) as plane, asyncio.timeout(LIMIT_S):
        plane.places["a"].set_faults([fault])
        with pytest.raises(openai.APIError) as caught:
            await plane.stream()
        assert caught.value.code == "stream_broken"
        record = await plane.record()
        assert (record.outcome, record.error) == (Outcome.BROKEN, "stream_broken")
        plane.places["a"].set_faults([])
        assert await plane.stream()


@pytest.mark.parametrize("fault", BROKEN)
async def test_whole_delivery_never_breaks(fault: str) -> None:
    async with Plane("a", "b", model={"delivery": "whole"}) as plane, asyncio.timeout(LIMIT_S):
        expected = await plane.stream()
        plane.places["a"].set_faults([fault])
        assert await plane.stream() == expected
        record = await plane.record(2)
        assert [attempt.kind for attempt in record.attempts] == [AttemptKind.FIRST, AttemptKind.FALLBACK]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_missing_done_is_made_up_for(streamed: bool) -> None:
    async with Plane("a", "b") as plane, asyncio.timeout(LIMIT_S):
        expected = await plane.ask()
        plane.places["a"].set_faults(["no_done"])
        assert await (plane.stream if streamed else plane.ask)() == expected
        assert len((await plane.record(2)).attempts) == 1


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", ["cut;after_tokens=5", "stall;after_tokens=5"])
async def test_an_unstreamed_answer_that_breaks_off_is_asked_for_again(fault: str, streamed: bool) -> None:
    async with Plane("a", "b") as plane, asyncio.timeout(LIMIT_S):
        expected = await plane.ask()
        plane.places["a"].set_faults([fault])
        assert await (plane.stream if streamed else plane.ask)() == expected


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_500_once_is_tried_again_where_there_is_nothing_else(streamed: bool) -> None:
    async with Plane("a") as plane, asyncio.timeout(LIMIT_S):
        plane.places["a"].set_faults([{"fault": "status;code=500", "count": 1}])
        assert await (plane.stream if streamed else plane.ask)()
        record = await plane.record()
        assert [attempt.kind for attempt in record.attempts] == [AttemptKind.FIRST, AttemptKind.RETRY]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_waited_for_up_to_the_deadline(form: str, streamed: bool) -> None:
    async with Plane("a") as plane, asyncio.timeout(LIMIT_S):
        fault = f"status;code=429;retry_after_s=1;retry_after_as={form}"
        plane.places["a"].set_faults([{"fault": fault, "count": 1}])
        assert await (plane.stream if streamed else plane.ask)()
        record = await plane.record()
        assert len(record.attempts) == 2
        assert record.attempts[1].waited_s == pytest.approx(1.0, abs=1.0)  # a date has whole seconds


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_retry_after_beyond_the_deadline_is_handed_to_the_caller(streamed: bool) -> None:
    async with Plane("a", model={"deadline_s": 2.0}) as plane, asyncio.timeout(LIMIT_S):
        plane.places["a"].set_faults(["status;code=429;retry_after_s=60"])
        with pytest.raises(openai.RateLimitError) as caught:
            await (plane.stream if streamed else plane.ask)()
        assert caught.value.response.headers["retry-after"] == "60"
        assert caught.value.code == "upstream_rate_limited"
        assert len((await plane.record()).attempts) == 1


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        ("status;code=503", "upstream_error", 502),
        ("no_answer", "upstream_timeout", 504),
        ("connect_reset", "upstream_error", 502),
        ("malformed_body", "upstream_error", 502),
        ("status;code=429", "upstream_rate_limited", 429),
    ],
)
async def test_when_everybody_fails_the_error_is_clear(fault: str, code: str, status: int, streamed: bool) -> None:
    async with Plane("a", "b") as plane, asyncio.timeout(LIMIT_S):
        for place in plane.places.values():
            place.set_faults([fault])
        with pytest.raises(openai.APIStatusError) as caught:
            await (plane.stream if streamed else plane.ask)()
        assert (caught.value.code, caught.value.status_code) == (code, status)
        assert caught.value.response.headers["x-switchgear-call"] == (await plane.record()).call
        for place in plane.places.values():
            place.set_faults([])
        assert await plane.ask(), "the gateway still serves"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_nobody_listens(streamed: bool) -> None:
    async with Plane("a", "b", dead=("a", "b")) as plane, asyncio.timeout(LIMIT_S):
        with pytest.raises(openai.APIStatusError) as caught:
            await (plane.stream if streamed else plane.ask)()
        assert (caught.value.code, caught.value.status_code) == ("upstream_unreachable", 503)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_call_too_long_for_one_place_goes_to_one_with_a_larger_window(streamed: bool) -> None:
    from tests.gateway.plane import MODEL

    from switchgear.core.snapshot import Target

    targets = tuple(
        Target(backend=name, model=MODEL, context_window=window)
        for name, window in (("a", 4096), ("b", 2048), ("c", 8192))
    )
    async with Plane("a", "b", "c", model={"targets": targets}) as plane, asyncio.timeout(LIMIT_S):
        plane.places["a"].set_faults(["context_length_exceeded"])
        assert await (plane.stream if streamed else plane.ask)()
        record = await plane.record()
        assert [attempt.backend for attempt in record.attempts] == ["a", "c"]
        assert record.attempts[0].error == "context_length_exceeded"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_call_too_long_for_everybody_is_the_callers_error(streamed: bool) -> None:
    async with Plane("a", "b") as plane, asyncio.timeout(LIMIT_S):
        for place in plane.places.values():
            place.set_faults(["context_length_exceeded"])
        with pytest.raises(openai.BadRequestError) as caught:
            await (plane.stream if streamed else plane.ask)()
        assert caught.value.code == "context_length_exceeded"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_content_filter_is_the_answer_not_a_fault(streamed: bool) -> None:
    async with Plane("a", "b") as plane, asyncio.timeout(LIMIT_S):
        plane.places["a"].set_faults(["content_filter;mode=refusal"])
        with pytest.raises(openai.BadRequestError) as caught:
            await (plane.stream if streamed else plane.ask)()
        assert caught.value.code == "content_filter"
        plane.places["a"].set_faults(["content_filter;after_tokens=3"])
        await (plane.stream if streamed else plane.ask)()
        first, second = await plane.record(1), await plane.record(2)
        assert len(first.attempts) == len(second.attempts) == 1
        assert second.finish_reason == "content_filter"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_flapping_place_costs_no_call(streamed: bool) -> None:
    from switchgear.core.snapshot import Breaker

    breakers: dict[str, Any] = {"breaker": Breaker(consecutive=2, open_s=0.3)}
    async with Plane("a", "b", backends={"a": breakers}) as plane, asyncio.timeout(LIMIT_S):
        plane.places["a"].set_faults(["flap;period_s=1;down_s=0.5"])
        say = plane.stream if streamed else plane.ask
        expected = None
        for _ in range(60):
            text = await say()
            expected = expected or text
            assert text == expected
            await asyncio.sleep(0.03)
        used = {record.backend for record in plane.records.kept}
        assert used == {"a", "b"}
        assert all(record.outcome is Outcome.OK for record in plane.records.kept)
