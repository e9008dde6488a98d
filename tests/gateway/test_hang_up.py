"""A caller that hangs up: its backend hears of it at once, nobody works on, and the record says so (failure rule 7)."""

import asyncio
import json
import time
from typing import Any

import pytest
from tests.gateway.plane import KEY, Plane
from tests.wire.serving import Caller

from switchgear.core.record import AttemptKind, AttemptOutcome, Outcome
from switchgear.core.snapshot import Breaker, Timeouts
from switchgear.gateway.breaker import BreakerState

CALL: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 200}
PATIENT = {"timeouts": Timeouts(first_token_s=9.0, idle_s=9.0, total_s=9.0)}
BOUND_S = 1.0
"""Ten times what is promised, for machines that are busy; the place's own clock says when its caller was gone."""


def request(body: dict[str, Any], path: str = "chat/completions") -> bytes:
    data = json.dumps(body).encode()
    head = f"POST /v1/{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: {len(data)}\r\n\r\n"
    return head.encode() + data


async def call_at(plane: Plane, name: str, number: int = 1) -> dict[str, Any]:
    """The place's `number`th call, once the place has seen it."""
    async with asyncio.timeout(5.0):
        while len(calls := plane.places[name].state()["calls"]) < number:
            await asyncio.sleep(0.005)
    seen: dict[str, Any] = calls[number - 1]
    return seen


async def cancelled_at(plane: Plane, name: str, number: int = 1) -> float:
    """When the place's `number`th call was cancelled there, monotonic seconds."""
    async with asyncio.timeout(5.0):
        while (call := await call_at(plane, name, number))["hung_up_s"] is None:
            await asyncio.sleep(0.005)
    hung_up_s: float = call["hung_up_s"]
    return hung_up_s


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", ["chat/completions", "responses", "embeddings"])
async def test_before_the_answer(path: str, streamed: bool) -> None:
    body = {**CALL, "input": "x", "stream": streamed and path != "embeddings"}
    async with Plane("a", "b", backends={"a": PATIENT}) as plane:
        plane.places["a"].set_faults(["no_answer"])
        async with Caller(plane.address) as caller:
            await caller.send(request(body, path))
            await call_at(plane, "a")
            left_s = time.monotonic()
        took_s = await cancelled_at(plane, "a") - left_s
        assert took_s < BOUND_S
        record = await plane.record()
        assert (record.outcome, record.status, record.error, record.backend) == (Outcome.CANCELLED, 0, "", "")
        assert [attempt.outcome for attempt in record.attempts] == [AttemptOutcome.CANCELLED]
        assert record.attempts[0].cost_usd == 0.0, "nothing came of it"
        assert plane.gateway.desk.calls == 0
        assert plane.gateway.table.targets()[0].state.in_flight == 0
        assert plane.places["b"].state()["counts"] == {}, "nobody else is asked"


async def test_after_the_first_token() -> None:
    async with Plane("a", backends={"a": PATIENT}, speed=2.0) as plane:
        async with Caller(plane.address) as caller:
            await caller.send(request({**CALL, "stream": True}))
            status, _ = await caller.head()
            assert status == 200
            for _ in range(5):
                await caller.chunk()
            left_s = time.monotonic()
        took_s = await cancelled_at(plane, "a") - left_s
        assert took_s < BOUND_S
        record = await plane.record()
        assert (record.outcome, record.status, record.backend) == (Outcome.CANCELLED, 200, "a")
        (attempt,) = record.attempts
        assert attempt.outcome is AttemptOutcome.CANCELLED
        assert attempt.usage == record.usage == "estimated"
        assert 0 < record.completion_tokens == attempt.completion_tokens < 200, "the part that came is counted"
        assert record.cost_usd is not None
        assert record.cost_usd > 0
        assert record.answer_bytes > 0


async def test_while_the_answer_is_held_back() -> None:
    async with Plane("a", backends={"a": PATIENT}, model={"delivery": "whole"}, speed=2.0) as plane:
        async with Caller(plane.address) as caller:
            await caller.send(request({**CALL, "stream": True}))
            while not (await call_at(plane, "a"))["sent_tokens"]:
                await asyncio.sleep(0.01)
        await cancelled_at(plane, "a")
        record = await plane.record()
        assert (record.outcome, record.status, record.completion_tokens) == (Outcome.CANCELLED, 0, 0)
        assert record.attempts[0].completion_tokens > 0, "it is paid for, though the caller had none of it"


async def test_in_the_same_moment_as_the_request() -> None:
    async with Plane("a", backends={"a": PATIENT}) as plane:
        plane.places["a"].set_faults(["no_answer"])
        for number in range(1, 21):
            async with Caller(plane.address) as caller:
                caller.writer.write(request(CALL))
                caller.writer.write_eof()
                record = await plane.record(number)
            assert record.outcome is Outcome.CANCELLED
        assert plane.gateway.desk.calls == 0
        assert plane.gateway.table.targets()[0].state.in_flight == 0


async def test_while_a_connection_is_opened() -> None:
    async with Plane("a", backends={"a": PATIENT}) as plane:
        await plane.places["a"].close()
        async with Caller(plane.address) as caller:
            caller.writer.write(request(CALL))
            await asyncio.sleep(0)
        record = await plane.record()
        assert record.outcome in (Outcome.CANCELLED, Outcome.FAILED)
        assert plane.gateway.desk.calls == 0
        assert plane.gateway.table.targets()[0].state.in_flight == 0


async def test_between_two_attempts() -> None:
    async with Plane("a") as plane:
        plane.places["a"].set_faults(["status;code=429;retry_after_s=0.3"])
        async with Caller(plane.address) as caller:
            await caller.send(request(CALL))
            while not plane.gateway.table.targets()[0].state.rest_until_s:
                await asyncio.sleep(0.01)
        record = await plane.record()
        assert record.outcome is Outcome.CANCELLED
        assert [attempt.outcome for attempt in record.attempts] == [AttemptOutcome.FAILED]
        await asyncio.sleep(0.4)
        assert plane.places["a"].state()["counts"]["seen"] == 1, "it is not asked for a caller that is gone"


async def test_while_its_first_place_is_left_alone() -> None:
    async with Plane("a") as plane:
        plane.gateway.table.targets()[0].state.rest_until_s = time.monotonic() + 0.5
        async with Caller(plane.address) as caller:
            await caller.send(request(CALL))
            await asyncio.sleep(0.05)
        record = await plane.record()
        assert (record.outcome, record.attempts) == (Outcome.CANCELLED, [])
        await asyncio.sleep(0.6)
        assert plane.places["a"].state()["counts"] == {}


async def test_while_its_stream_is_carried_on() -> None:
    async with Plane("a", "b", backends={"b": PATIENT}, speed=5.0) as plane:
        plane.places["a"].set_faults(["cut;after_tokens=4"])
        plane.places["b"].set_faults(["slow_first_token;delay_s=5"])
        async with Caller(plane.address) as caller:
            await caller.send(request({**CALL, "stream": True}))
            await call_at(plane, "b")
        await cancelled_at(plane, "b")
        record = await plane.record()
        assert record.outcome is Outcome.CANCELLED
        assert [(one.kind, one.outcome) for one in record.attempts] == [
            (AttemptKind.FIRST, AttemptOutcome.FAILED),
            (AttemptKind.RESCUE, AttemptOutcome.CANCELLED),
        ]


async def test_a_probe_that_is_hung_up_on_leaves_its_place_to_another() -> None:
    breaker = {"a": {"breaker": Breaker(consecutive=1, open_s=0.4), **PATIENT}}
    async with Plane("a", backends=breaker) as plane:
        plane.places["a"].set_faults([{"fault": "connect_reset", "count": 1}, {"fault": "no_answer", "count": 2}])
        assert (await plane.send(CALL)).status == 502
        state = plane.gateway.table.targets()[0].state.breaker
        assert state.state(time.monotonic()) is BreakerState.OPEN
        await asyncio.sleep(0.42)
        async with Caller(plane.address) as caller:
            await caller.send(request(CALL))
            await call_at(plane, "a", 2)
            assert (await plane.send(CALL)).status == 503, "the probe is out"
        await cancelled_at(plane, "a", 2)
        plane.places["a"].set_faults([])
        assert (await plane.send(CALL)).status == 200
        assert state.state(time.monotonic()) is BreakerState.CLOSED
