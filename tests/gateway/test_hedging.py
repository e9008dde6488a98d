"""Hedged calls: a second target beside a slow first; the first answer wins, the other is cancelled and on the record with its cost."""

import asyncio
from typing import Any

import openai
import pytest
from tests.gateway.plane import Plane

from switchgear.core.record import AttemptKind, AttemptOutcome, Outcome, Record
from switchgear.core.snapshot import Delivery, Hedge, Retry

FIRST, HEDGE, FALLBACK, RETRY = AttemptKind.FIRST, AttemptKind.HEDGE, AttemptKind.FALLBACK, AttemptKind.RETRY
OK, LOST, FAILED = AttemptOutcome.OK, AttemptOutcome.LOST, AttemptOutcome.FAILED
SLOW = "slow_first_token;delay_s=5"
both_ways = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


def hedged(after_s: float | None = 0.03, max_ratio: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"hedge": Hedge(after_s=after_s, max_ratio=max_ratio), **more}


def story(record: Record) -> list[tuple[str, AttemptKind, AttemptOutcome]]:
    return [(attempt.backend, attempt.kind, attempt.outcome) for attempt in record.attempts]


@both_ways
async def test_the_second_answers_for_a_slow_first(streamed: bool) -> None:
    async with Plane("a", "b", model=hedged()) as plane:
        say = plane.stream if streamed else plane.ask
        expected = await say()
        plane.places["a"].set_faults([SLOW])
        assert await say() == expected
        record = await plane.record(2)
        assert story(record) == [("a", FIRST, LOST), ("b", HEDGE, OK)]
        assert (record.outcome, record.backend) == (Outcome.OK, "b")
        lost, won = record.attempts
        assert lost.cost_usd is not None
        assert lost.cost_usd > 0, "its prompt was read and is paid for"
        assert lost.usage == "estimated"
        assert record.cost_usd == pytest.approx((won.cost_usd or 0.0) + lost.cost_usd)
        assert (record.completion_tokens, record.usage) == (won.completion_tokens, "reported"), "one answer is counted"
        await place_saw(plane, "a", "cancelled")
        assert all(target.state.in_flight == 0 for target in plane.gateway.table.targets())


async def place_saw(plane: Plane, name: str, outcome: str) -> dict[str, Any]:
    """The last call at a place, once it has ended so."""
    async with asyncio.timeout(2.0):
        while (call := plane.places[name].state()["calls"][-1])["outcome"] != outcome:
            await asyncio.sleep(0.005)
    seen: dict[str, Any] = call
    return seen


async def test_the_loser_of_a_stream_is_cancelled_at_the_first_token_not_at_the_end() -> None:
    async with Plane("a", "b", model=hedged(), speed=2.0) as plane:
        plane.places["a"].set_faults([SLOW])
        assert await plane.stream()
        lost, won = await place_saw(plane, "a", "cancelled"), await place_saw(plane, "b", "finished")
        assert lost["hung_up_s"] < won["ended_s"], "while the winner was still speaking"
        assert lost["sent_tokens"] == 0


@both_ways
async def test_a_first_that_answers_in_time_is_not_hedged(streamed: bool) -> None:
    async with Plane("a", "b", model=hedged(after_s=1.0)) as plane:
        assert await (plane.stream if streamed else plane.ask)()
        assert story(await plane.record()) == [("a", FIRST, OK)]
        assert plane.places["b"].state()["counts"] == {}


@both_ways
async def test_a_first_that_answers_before_its_hedge_wins(streamed: bool) -> None:
    async with Plane("a", "b", model=hedged()) as plane:
        plane.places["a"].set_faults(["slow_first_token;delay_s=0.1"])
        plane.places["b"].set_faults([SLOW])
        assert await (plane.stream if streamed else plane.ask)()
        record = await plane.record()
        assert story(record) == [("a", FIRST, OK), ("b", HEDGE, LOST)]
        assert record.backend == "a"
        await place_saw(plane, "b", "cancelled")


async def test_the_time_may_be_a_percentile_of_what_the_first_target_took() -> None:
    async with Plane("a", "b", model={"hedge": Hedge(after_percentile=95.0, max_ratio=1.0)}) as plane:
        plane.places["a"].set_faults(["slow_first_token;delay_s=0.15"])
        assert await plane.ask()
        assert story(await plane.record()) == [("a", FIRST, OK)], "not enough is known of it yet"
        latency = plane.gateway.table.targets()[0].state.latency
        for _ in range(400):
            latency.observe(0.02, 0.0)
        plane.places["a"].set_faults([SLOW])
        assert await plane.ask()
        assert story(await plane.record(2)) == [("a", FIRST, LOST), ("b", HEDGE, OK)]


async def test_hedges_are_at_most_a_share_of_the_calls() -> None:
    async with Plane("a", "b", model=hedged(max_ratio=0.25)) as plane:
        plane.places["a"].set_faults(["slow_first_token;delay_s=0.1"])
        await asyncio.gather(*(plane.ask() for _ in range(16)))
        hedges = sum(attempt.kind is HEDGE for record in plane.records.kept for attempt in record.attempts)
        assert hedges == 4


@both_ways
async def test_when_the_hedge_fails_the_first_may_still_answer(
    streamed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with Plane("a", "b", model=hedged()) as plane:
        plane.places["a"].set_faults(["slow_first_token;delay_s=0.15"])
        plane.places["b"].set_faults(["status;code=500"])
        assert await (plane.stream if streamed else plane.ask)()
        assert story(await plane.record()) == [("a", FIRST, OK), ("b", HEDGE, FAILED)]
        assert caplog.records == [], "a failed hedge is no defect"


@both_ways
async def test_when_the_first_fails_the_hedge_may_still_answer(
    streamed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with Plane("a", "b", model=hedged()) as plane:
        plane.places["a"].set_faults(["no_answer"])
        plane.places["b"].set_faults(["slow_first_token;delay_s=0.3"])
        with_limit: Any = {"extra_headers": {"x-switchgear-timeout-s": "5"}}
        for target in plane.gateway.table.targets():
            if target.backend_name == "a":
                target.timeouts = type(target.timeouts)(first_token_s=0.15, total_s=0.15)
        assert await (plane.stream if streamed else plane.ask)(**with_limit)
        assert story(await plane.record()) == [("a", FIRST, FAILED), ("b", HEDGE, OK)]
        assert caplog.records == []


@both_ways
async def test_when_both_fail_the_next_candidate_is_asked(streamed: bool) -> None:
    async with Plane("a", "b", "c", model=hedged()) as plane:
        for name in "ab":
            plane.places[name].set_faults(["slow_first_token;delay_s=0.1", "cut;after_tokens=0"])
        assert await (plane.stream if streamed else plane.ask)()
        record = await plane.record()
        assert story(record) == [("a", FIRST, FAILED), ("b", HEDGE, FAILED), ("c", FALLBACK, OK)]
        assert [attempt.cost_usd for attempt in record.attempts[:2]] == [0.0, 0.0]


@both_ways
async def test_when_all_fail_the_error_is_clear(streamed: bool) -> None:
    async with Plane("a", "b", model=hedged(retry=Retry(attempts=2))) as plane:
        for place in plane.places.values():
            place.set_faults(["slow_first_token;delay_s=0.1", "malformed_body"])
        with pytest.raises(openai.InternalServerError) as caught:
            await (plane.stream if streamed else plane.ask)()
        assert caught.value.code == "upstream_error"
        assert [attempt.error for attempt in (await plane.record()).attempts] == ["malformed_answer"] * 2


@both_ways
async def test_an_answer_that_is_the_callers_own_fault_ends_both(streamed: bool) -> None:
    async with Plane("a", "b", model=hedged()) as plane:
        plane.places["a"].set_faults([SLOW])
        plane.places["b"].set_faults(["content_filter;mode=refusal"])
        with pytest.raises(openai.BadRequestError) as caught:
            await (plane.stream if streamed else plane.ask)()
        assert caught.value.code == "content_filter"
        assert story(await plane.record()) == [("a", FIRST, LOST), ("b", HEDGE, FAILED)]
        await place_saw(plane, "a", "cancelled")


async def test_a_first_that_fails_at_once_is_followed_not_hedged() -> None:
    async with Plane("a", "b", "c", model=hedged(after_s=0.3)) as plane:
        plane.places["a"].set_faults(["status;code=500"])
        plane.places["b"].set_faults(["slow_first_token;delay_s=0.5"])
        assert await plane.ask()
        assert story(await plane.record()) == [("a", FIRST, FAILED), ("b", FALLBACK, OK)]
        assert plane.places["c"].state()["counts"] == {}


async def test_held_back_the_first_whole_answer_wins() -> None:
    async with Plane("a", "b", model=hedged(delivery=Delivery.WHOLE)) as plane:
        expected = await plane.stream()
        plane.places["a"].set_faults(["stall;after_tokens=3"])
        assert await plane.stream() == expected
        record = await plane.record(2)
        assert story(record) == [("a", FIRST, LOST), ("b", HEDGE, OK)]
        assert record.attempts[0].completion_tokens > 0, "what the loser had said is paid for"


async def test_a_winner_that_breaks_is_carried_on_by_the_loser() -> None:
    async with Plane("a", "b", model=hedged(after_s=0.1), speed=5.0) as plane:
        expected = await plane.stream()
        plane.places["a"].set_faults([{"fault": "slow_first_token;delay_s=1", "count": 1}])
        plane.places["b"].set_faults(["cut;after_tokens=4"])
        assert await plane.stream() == expected
        record = await plane.record(2)
        assert story(record) == [("a", FIRST, LOST), ("b", HEDGE, FAILED), ("a", AttemptKind.RESCUE, OK)]


async def test_nothing_is_asked_after_the_caller_hung_up() -> None:
    async with Plane("a", model=hedged(after_s=0.02)) as plane:
        plane.places["a"].set_faults(["status;code=429;retry_after_s=0.25"])
        with pytest.raises(openai.APITimeoutError):
            await plane.client.with_options(timeout=0.1).chat.completions.create(model="chat", messages=[])
        record = await plane.record()
        assert record.outcome is Outcome.CANCELLED
        await asyncio.sleep(0.4)
        assert plane.places["a"].state()["counts"]["seen"] == 1
        assert len(plane.records.kept) == 1
