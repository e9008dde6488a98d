"""Limits and budgets in a data plane: what is refused, what the caller is told, and that nothing reserved is left behind."""

import asyncio
import json
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from tests.gateway.plane import Plane, checked
from tests.gateway.recording import USAGE, WHOLE, recording, replies

from switchgear.core.clock import SystemClock
from switchgear.core.limits import FairShare, Limit, LimitMode, LimitSharing
from switchgear.core.record import Outcome
from switchgear.core.snapshot import Prices
from switchgear.limits.leasing import Leaser
from switchgear.limits.stores import open_store
from switchgear.wire.exchange import JSON, Exchange

CALL: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}
PRICED = {"prices": Prices(input_usd_per_mtok=1e6, output_usd_per_mtok=1e6)}
"""A dollar a token: a call of `CALL` costs what its usage says, 11 dollars."""


def left(plane: Plane) -> list[int]:
    """What is free of each limit once the present second is over: what was given back counts from then on."""
    shares = list(plane.builder.shares)
    for share in shares:
        share.roll(monotonic() + 1.5, 0.0)
    return [share.free for share in shares]


@pytest.mark.parametrize("straight", [True, False])
async def test_a_rate_that_is_reached_refuses_and_says_when_to_come_back(straight: bool) -> None:
    limit = Limit(team="platform", requests_per_minute=2)
    async with (
        recording() as place,
        Plane("a", urls={"a": place.base_url}, limits_on=(limit,), straight=straight) as plane,
    ):
        first, second = await plane.send(CALL), await plane.send(CALL)
        third = await plane.send(CALL)
        error = checked(third, "rate_limit_exceeded")
        record = await plane.record(3)
    assert (first.status, second.status, len(place.bodies)) == (200, 200, 2)
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert [one.headers["x-ratelimit-remaining-requests"] for one in (first, second, third)] == ["1", "0", "0"]
    assert "'team=platform'" in error["message"]
    assert 50 < int(third.headers["retry-after"]) <= 61
    assert 50_000 < int(third.headers["retry-after-ms"]) <= 61_000
    assert record.outcome is Outcome.REFUSED
    assert record.candidates == []
    assert [(one.backend, one.reason) for one in record.ruled_out] == [
        ("a", "limited:team=platform.requests_per_minute")
    ]
    assert plane.gateway.desk.calls == 0


async def test_tokens_are_reserved_by_estimate_and_settled_by_what_was_used() -> None:
    limit = Limit(key="*", tokens_per_minute=100)
    async with recording() as place, Plane("a", urls={"a": place.base_url}, limits_on=(limit,)) as plane:
        for _ in range(3):
            assert (await plane.send(CALL)).status == 200
        assert left(plane) == [100 - 3 * USAGE["total_tokens"]]
        too_large = checked(await plane.send({**CALL, "max_tokens": 500}), "exceeds_limit_alone")
    assert "500" not in too_large["code"]
    assert "max_tokens" in too_large["message"]


async def test_a_budget_is_spent_and_then_refused_with_402() -> None:
    limit = Limit(name="month", team="platform", usd_per_month=30.0)
    async with (
        recording() as place,
        Plane("a", urls={"a": place.base_url}, limits_on=(limit,), backends={"a": PRICED}) as plane,
    ):
        assert [(await plane.send(CALL)).status for _ in range(2)] == [200, 200]
        error = checked(await plane.send(CALL), "budget_exceeded")
        assert "'month'" in error["message"]
        (spent,) = [one.spent for one in plane.builder.shares]
        assert spent == 22 * 10**9, "eleven tokens of a dollar each, twice"


async def test_a_budget_refuses_a_target_without_a_price() -> None:
    limit = Limit(usd_per_day=5.0)
    async with (
        recording() as place,
        Plane("a", urls={"a": place.base_url}, limits_on=(limit,), backends={"a": {"prices": None}}) as plane,
    ):
        checked(await plane.send(CALL), "unpriced_under_budget")
    assert place.bodies == []


@pytest.mark.parametrize("hang_up", [False, True])
async def test_calls_in_flight_are_bounded_and_their_places_come_back(hang_up: bool) -> None:
    held: list[Exchange] = []
    limit = Limit(model="*", in_flight=1)
    async with recording(held.append) as place, Plane("a", urls={"a": place.base_url}, limits_on=(limit,)) as plane:
        first = asyncio.ensure_future(plane.send(CALL))
        async with asyncio.timeout(5):
            while not held:
                await asyncio.sleep(0.001)
        checked(await plane.send(CALL), "too_many_in_flight")
        if hang_up:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            await plane.record(2)
        else:
            replies()(held[0])
            assert (await first).status == 200
        place.answer = replies()
        assert (await plane.send(CALL)).status == 200
        assert not plane.builder.shares.outstanding


async def test_a_failed_call_gives_back_what_it_reserved() -> None:
    limit = Limit(tokens_per_minute=1000, in_flight=3)
    broken = lambda exchange: exchange.reply(500, b"{}", JSON)  # noqa: E731  one line of an answer
    async with recording(broken) as place, Plane("a", urls={"a": place.base_url}, limits_on=(limit,)) as plane:
        answer = await plane.send(CALL)
        assert answer.status == 502
        place.answer = replies()
        assert (await plane.send(CALL)).status == 200
        assert not plane.builder.shares.outstanding
        assert left(plane) == [1000 - USAGE["total_tokens"], 3]


async def test_a_soft_limit_lets_through_and_flags_the_record() -> None:
    limit = Limit(name="gentle", requests_per_minute=1, mode=LimitMode.SOFT)
    async with recording() as place, Plane("a", urls={"a": place.base_url}, limits_on=(limit,)) as plane:
        for _ in range(2):
            assert (await plane.send(CALL)).status == 200
        assert [(await plane.record(count)).flags for count in (1, 2)] == [[], ["gentle.requests_per_minute"]]


async def test_a_soft_limit_on_a_backend_flags_the_record_too() -> None:
    limit = Limit(backend="a", requests_per_minute=1, mode=LimitMode.SOFT)
    async with recording() as place, Plane("a", urls={"a": place.base_url}, limits_on=(limit,)) as plane:
        assert [(await plane.send(CALL)).status for _ in range(2)] == [200, 200]
        await plane.record(2)
        assert [record.flags for record in plane.records.kept] == [[], [f"{limit.id}.requests_per_minute"]]


@pytest.mark.parametrize(
    ("measure", "code", "status"),
    [
        ({"requests_per_minute": 1}, "rate_limit_exceeded", 429),
        ({"usd_per_day": 30.0}, "budget_exceeded", 402),
        ({"tokens_per_minute": 1}, "exceeds_limit_alone", 400),
    ],
)
async def test_where_no_backend_has_room_the_limit_that_has_some_first_is_told(
    measure: dict[str, float], code: str, status: int
) -> None:
    limits = (Limit(name="box", backend="a", **measure), Limit(name="spare", backend="b", usd_per_month=0.001))
    async with Plane("a", "b", limits_on=limits, backends={"a": PRICED, "b": PRICED}) as plane:
        if status != 400:
            assert (await plane.send(CALL)).headers["x-switchgear-backend"] == "a"
        answer = await plane.send(CALL)
        error = checked(answer, code)
        record = await plane.record(1 if status == 400 else 2)
    assert answer.status == status
    assert ("retry-after" in answer.headers) == (status != 400)
    assert status == 400 or "'box'" in error["message"]
    assert [one.reason for one in record.ruled_out] == [
        f"limited:box.{next(iter(measure))}",
        "limited:spare.usd_per_month",
    ]


async def test_a_backend_without_room_is_passed_over_and_the_next_is_asked() -> None:
    limit = Limit(name="small-box", backend="a", requests_per_minute=1)
    async with recording() as first, recording() as second:
        urls = {"a": first.base_url, "b": second.base_url}
        async with Plane("a", "b", urls=urls, limits_on=(limit,)) as plane:
            assert [(await plane.send(CALL)).headers["x-switchgear-backend"] for _ in range(3)] == ["a", "b", "b"]
            record = await plane.record(2)
        assert (len(first.bodies), len(second.bodies)) == (1, 2)
    assert [(out.backend, out.reason) for out in record.ruled_out] == [("a", "limited:small-box.requests_per_minute")]


async def test_teams_wait_in_line_for_a_backend_that_is_full() -> None:
    held: list[Exchange] = []
    full = {"a": {"max_in_flight": 1}}
    async with (
        recording(held.append) as place,
        Plane("a", urls={"a": place.base_url}, backends=full, fair_share=FairShare(max_wait_s=5.0)) as plane,
    ):
        calls = [asyncio.ensure_future(plane.send(CALL)) for _ in range(3)]
        for count in (1, 2, 3):
            async with asyncio.timeout(5):
                while len(held) < count:
                    await asyncio.sleep(0.001)
            assert len(held) == count, "one at a time"
            exchange = held[-1]
            exchange.reply(200, json.dumps(WHOLE).encode(), JSON)
        assert [(await call).status for call in calls] == [200, 200, 200]
        assert plane.gateway.desk.calls == 0


async def test_who_waits_too_long_for_a_full_backend_is_refused() -> None:
    held: list[Exchange] = []
    full = {"a": {"max_in_flight": 1}}
    async with (
        recording(held.append) as place,
        Plane("a", urls={"a": place.base_url}, backends=full, fair_share=FairShare(max_wait_s=0.05)) as plane,
    ):
        first = asyncio.ensure_future(plane.send(CALL))
        async with asyncio.timeout(5):
            while not held:
                await asyncio.sleep(0.001)
        checked(await plane.send(CALL), "no_target_available")
        held[0].reply(200, json.dumps(WHOLE).encode(), JSON)
        assert (await first).status == 200


@pytest.mark.parametrize("straight", [True, False])
async def test_a_worker_whose_share_nobody_brings_refuses_in_time(straight: bool) -> None:
    """Leased, and nobody leases: the call waits a moment for its share, and is told that limits cannot be checked."""
    limit = Limit(requests_per_minute=100)
    sharing = LimitSharing(database="sqlite:///unused")
    async with (
        recording() as place,
        Plane("a", urls={"a": place.base_url}, limits_on=(limit,), sharing=sharing, straight=straight) as plane,
    ):
        checked(await plane.send(CALL), "limits_unavailable")
    assert place.bodies == []


@pytest.mark.parametrize("limit", [{"requests_per_minute": 3}, {"usd_per_day": 60.0}, {"in_flight": 2}])
async def test_a_call_waits_for_its_workers_share_of_a_limit_on_a_backend(
    tmp_path: Path, limit: dict[str, float]
) -> None:
    """So small a limit that no part of it is leased before the first call comes."""
    limits = (Limit(name="a-only", team="*", backend="a", **limit),)
    sharing = LimitSharing(database=f"sqlite:///{tmp_path / 'limits.db'}", sync_s=0.05)
    plane = Plane("a", "b", limits_on=limits, sharing=sharing, backends={"a": PRICED})
    async with plane:
        leaser = Leaser(plane.builder.shares, open_store(sharing.database, SystemClock()), sharing, "test/0")
        await leaser.start()
        try:
            assert (await plane.send(CALL)).headers["x-switchgear-backend"] == "a"
            assert (await plane.record()).ruled_out == []
        finally:
            await leaser.close()
