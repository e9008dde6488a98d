"""Breakers, budgets and capacity, end to end: what protects a place when it is down, slow or full."""

import asyncio
import time
from typing import Any

import pytest
from tests.gateway.plane import Plane, checked

from switchgear.core.record import AttemptKind, Outcome
from switchgear.core.snapshot import Breaker, Retry, Timeouts

CALL: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}
NEVER = Breaker(min_calls=100_000, consecutive=100_000)


def breaker_of(plane: Plane, name: str) -> str:
    """The state of a place's breaker as the admin address shows it."""
    (state,) = [target["breaker"] for target in plane.gateway.live()["targets"] if target["backend"] == name]
    text: str = state
    return text


async def test_a_breaker_opens_spares_the_place_and_closes_by_one_probe() -> None:
    breaker = {"a": {"breaker": Breaker(consecutive=3, open_s=0.7)}}
    async with Plane("a", "b", backends=breaker) as plane:
        plane.places["a"].set_faults(["connect_reset"])
        for _ in range(3):
            assert await plane.ask()
        assert breaker_of(plane, "a") == "open"
        for _ in range(3):
            assert await plane.ask()
        assert plane.places["a"].state()["counts"]["seen"] == 3, "it is left alone"
        assert (await plane.record(6)).ruled_out[0].reason == "breaker_open"
        await asyncio.sleep(0.7)
        assert breaker_of(plane, "a") == "half_open"
        assert await plane.ask(), "the probe fails, and b answers"
        assert breaker_of(plane, "a") == "open"
        plane.places["a"].set_faults([])
        await asyncio.sleep(0.7)
        assert await plane.ask()
        assert breaker_of(plane, "a") == "closed"
        assert (await plane.record(8)).backend == "a"


async def test_half_open_lets_exactly_one_of_many_calls_through() -> None:
    breaker = {"a": {"breaker": Breaker(consecutive=1, open_s=0.2)}}
    async with Plane("a", backends=breaker, model={"retry": Retry(attempts=1)}) as plane:
        plane.places["a"].set_faults(["status;code=500"])
        checked(await plane.send(CALL), "upstream_error")
        plane.places["a"].set_faults(["slow_first_token;delay_s=0.5"])
        await asyncio.sleep(0.2)
        answers = await asyncio.gather(*(plane.send(CALL) for _ in range(20)))
        assert sorted(answer.status for answer in answers) == [200] + [503] * 19
        assert plane.places["a"].state()["counts"]["seen"] == 2, "the first failure and one probe"
        for answer in answers:
            if answer.status == 503:
                checked(answer, "no_target_available")
                assert int(answer.headers["retry-after"]) >= 1
        assert breaker_of(plane, "a") == "closed"


async def test_one_read_that_brings_many_calls_brings_one_probe() -> None:
    breaker = {"a": {"breaker": Breaker(consecutive=1, open_s=0.1)}}
    async with Plane("a", "b", backends=breaker) as plane:
        plane.places["a"].set_faults(["status;code=500"])
        assert await plane.ask()
        plane.places["a"].set_faults(["slow_first_token;delay_s=0.5"])
        await asyncio.sleep(0.1)
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(plane.ask())
        answered = [record.backend for record in plane.records.kept[1:]]
        assert sorted(answered) == ["a"] + ["b"] * 9


async def test_a_retry_does_not_go_to_a_place_that_broke_while_it_waited() -> None:
    breaker = {"a": {"breaker": Breaker(consecutive=3, open_s=30.0)}}
    async with Plane("a", backends=breaker) as plane:
        plane.places["a"].set_faults(["status;code=503;retry_after_s=0.5"])
        waiting = [asyncio.ensure_future(plane.send(CALL)) for _ in range(3)]
        answers = await asyncio.gather(*waiting)
        assert breaker_of(plane, "a") == "open"
        assert plane.places["a"].state()["counts"]["seen"] == 3, "none of the three was sent again"
        for answer in answers:
            checked(answer, "upstream_error")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_slow_calls_open_a_breaker_when_they_are_complete(streamed: bool) -> None:
    breaker = {"a": {"breaker": Breaker(consecutive=2, slow_call_s=0.05, open_s=30.0)}}
    async with Plane("a", "b", backends=breaker) as plane:
        plane.places["a"].set_faults(["slow_first_token;delay_s=0.08"])
        say = plane.stream if streamed else plane.ask
        for _ in range(2):
            assert await say()
        assert [(await plane.record(number)).backend for number in (1, 2)] == ["a", "a"], "slow answers are answers"
        assert breaker_of(plane, "a") == "open"
        assert await say()
        assert (await plane.record(3)).backend == "b"


async def test_a_rate_limit_opens_no_breaker() -> None:
    breaker = {"a": {"breaker": Breaker(consecutive=2)}}
    async with Plane("a", "b", backends=breaker) as plane:
        plane.places["a"].set_faults(["status;code=429"])
        for _ in range(4):
            assert await plane.ask()
        assert breaker_of(plane, "a") == "closed"


async def test_a_place_that_asked_to_be_left_alone_is_left_alone_by_other_calls_too() -> None:
    async with Plane("a", "b") as plane:
        plane.places["a"].set_faults([{"fault": "status;code=429;retry_after_s=0.8", "count": 1}])
        for _ in range(3):
            assert await plane.ask()
        assert plane.places["a"].state()["counts"]["seen"] == 1
        assert [record.backend for record in plane.records.kept] == ["b"] * 3
        assert [len(record.attempts) for record in plane.records.kept] == [2, 1, 1]
        await asyncio.sleep(0.8)
        assert await plane.ask()
        assert plane.records.kept[-1].backend == "a"


async def test_when_every_place_asked_to_be_left_alone_the_first_that_is_free_again_is_waited_for() -> None:
    async with Plane("a", "b") as plane:
        now_s = time.monotonic()
        for target, rest_s in zip(plane.gateway.table.targets(), (1.5, 0.6), strict=True):
            target.state.rest_until_s = now_s + rest_s
        assert await plane.ask()
        (attempt,) = (await plane.record()).attempts
        assert (attempt.kind, attempt.backend) == (AttemptKind.FIRST, "b")
        assert 0 < attempt.waited_s <= 0.6, "as long as the one that asked for less"


@pytest.mark.parametrize("calls", [1, 40, 100])
async def test_retries_never_exceed_a_fifth_of_the_calls_but_for_the_floor(calls: int) -> None:
    retry = Retry(attempts=4, budget_ratio=0.2, budget_floor=3, backoff_s=0.001)
    async with Plane("a", "b", model={"retry": retry}, backends={name: {"breaker": NEVER} for name in "ab"}) as plane:
        for place in plane.places.values():
            place.set_faults(["status;code=500"])
        for _ in range(0, calls, 10):
            await asyncio.gather(*(plane.send(CALL) for _ in range(min(10, calls))))
        sent = sum(place.state()["counts"]["seen"] for place in plane.places.values())
        assert calls < sent <= calls + max(3, 0.2 * calls)
        assert sum(len(record.attempts) for record in plane.records.kept) == sent


async def test_a_full_place_is_passed_over_and_never_over_filled() -> None:
    full = {"a": {"max_in_flight": 3}, "b": {"max_in_flight": 4}}
    async with Plane("a", "b", backends=full) as plane:
        for place in plane.places.values():
            place.set_faults(["slow_first_token;delay_s=0.5"])
        answers = await asyncio.gather(*(plane.send(CALL) for _ in range(10)))
        assert sorted(answer.status for answer in answers) == [200] * 7 + [503] * 3
        backends = [answer.headers.get("x-switchgear-backend", "") for answer in answers]
        assert (backends.count("a"), backends.count("b")) == (3, 4)
        refused = [record for record in plane.records.kept if record.outcome is Outcome.REFUSED]
        assert {out.reason for record in refused for out in record.ruled_out} == {"full"}
        assert all(target.backend_state.in_flight == 0 for target in plane.gateway.table.targets())
        assert (await plane.send(CALL)).status == 200


async def test_a_retry_waits_for_no_place_that_filled_up_meanwhile() -> None:
    backends = {"a": {"max_in_flight": 1, "timeouts": Timeouts(total_s=5.0)}}
    async with Plane("a", backends=backends) as plane:
        plane.places["a"].set_faults([{"fault": "status;code=503;retry_after_s=0.5", "count": 1}])
        first = asyncio.ensure_future(plane.send(CALL))
        await asyncio.sleep(0.1)
        plane.gateway.table.targets()[0].state.rest_until_s = 0.0
        plane.places["a"].set_faults(["slow_first_token;delay_s=0.8"])
        second = asyncio.ensure_future(plane.send(CALL))
        checked(await first, "upstream_error")
        assert (await second).status == 200
        assert max(overlaps(plane.places["a"].state()["calls"])) == 1


def overlaps(calls: list[dict[str, Any]]) -> list[int]:
    """For each call how many were under way when it arrived, itself included."""
    return [sum(o["received_s"] <= c["received_s"] < o["ended_s"] for o in calls) for c in calls]


async def test_a_context_of_several_strategies_in_one_gateway() -> None:
    cheap = {"b": {"prices": None}}
    aliases = {name: {"strategy": name} for name in ("weighted", "latency", "cost", "least-loaded")}
    async with Plane("a", "b", backends=cheap, aliases=aliases) as plane:
        for name in aliases:
            for _ in range(4):
                assert await plane.ask(model=name)
        by_cost = [record.backend for record in plane.records.kept if record.model == "cost"]
        assert by_cost == ["a"] * 4, "an unknown price is not zero"
        assert {record.backend for record in plane.records.kept if record.model == "weighted"} == {"a", "b"}
