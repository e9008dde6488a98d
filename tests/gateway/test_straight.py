"""The short way of a plain call against the long way: the same bytes to the place and to the caller, the same record."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.gateway.plane import KEY, KeptRecords, Plane, checked
from tests.gateway.recording import USAGE, WHOLE, recording, replies
from tests.wire.serving import Answer, Caller

from switchgear.core.limits import Limit
from switchgear.core.record import LONGEST_REASON, Outcome, Record
from switchgear.core.snapshot import Breaker, Capabilities, Hedge, Key, Prices, Retry
from switchgear.gateway.breaker import CircuitBreaker
from switchgear.gateway.latency import Latency
from switchgear.gateway.straight import StraightWay
from switchgear.gateway.table import Target
from switchgear.wire.exchange import JSON, Exchange

CALL: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}
_VARIES = re.compile(rb"call_[0-9a-f]+")
_TIMES = {"call", "at_s", "duration_s", "ttft_s", "started_s", "waited_s"}


def settled(record: Record) -> Any:
    """A record without what differs between two calls in any case."""
    plain = msgspec.to_builtins(msgspec.structs.asdict(record))
    plain["attempts"] = [msgspec.structs.asdict(attempt) for attempt in record.attempts]
    for part in (plain, *plain["attempts"]):
        for name in _TIMES & part.keys():
            part[name] = part[name] is not None
    return plain


def told(answer: Answer) -> Any:
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "x-switchgear-call")}
    return answer.status, headers, _VARIES.sub(b"call", answer.body)


def answers(status: int, body: bytes, head: bytes = JSON) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.reply(status, body, head)


def garbled(exchange: Exchange) -> None:
    exchange.reply(200, b'{"choices": [')


def cut(exchange: Exchange) -> None:
    exchange.abort()


def in_pieces(exchange: Exchange) -> None:
    exchange.start(200, JSON)
    body = json.dumps(WHOLE).encode()
    exchange.write(body[:40])
    exchange.finish(body[40:])


PLACES: dict[str, Callable[[Exchange], None]] = {
    "well": replies(),
    "no usage": replies({**WHOLE, "usage": None}),
    "cached tokens": replies({**WHOLE, "usage": {**USAGE, "prompt_tokens_details": {"cached_tokens": 4}}}),
    "tokens without end": replies({**WHOLE, "usage": {**USAGE, "prompt_tokens": 2**40}}),
    "tokens beyond all integers": replies({**WHOLE, "usage": {**USAGE, "prompt_tokens": 10**30}}),
    "fewer than no tokens": replies({**WHOLE, "usage": {**USAGE, "prompt_tokens": -5}}),
    "no choice": replies({**WHOLE, "choices": []}),
    "length": replies({**WHOLE, "choices": [{**WHOLE["choices"][0], "finish_reason": "length"}]}),
    "reason without end": replies({**WHOLE, "choices": [{**WHOLE["choices"][0], "finish_reason": "x" * 10_000}]}),
    "reason without end, no usage": replies(
        {**WHOLE, "choices": [{**WHOLE["choices"][0], "finish_reason": "x" * 10_000}], "usage": None}
    ),
    "garbled": garbled,
    "cut": cut,
    "in pieces": in_pieces,
    "request id": answers(200, json.dumps(WHOLE).encode(), JSON + b"x-request-id: r1\r\nopenai-model: m\r\n"),
    "created": answers(201, json.dumps(WHOLE).encode()),
    "bad request": answers(
        400, b'{"error":{"message":"no","type":"invalid_request_error","code":"context_length_exceeded"}}'
    ),
    "unavailable": answers(503, b"{}"),
    "limited": answers(429, b"{}", JSON + b"retry-after: 9\r\n"),
}


async def both(call: Any, place: Callable[[Exchange], None], count: int = 1, **plane: Any) -> list[Any]:
    """What the place saw, the caller got and the record says, by the long way and by the short."""
    seen = []
    for straight in (False, True):
        async with (
            recording(place) as first,
            recording() as second,
            Plane("a", "b", urls={"a": first.base_url, "b": second.base_url}, straight=straight, **plane) as gateway,
        ):
            got = [told(await gateway.send(call, path="chat/completions")) for _ in range(count)]
            await gateway.record(count)
            assert gateway.gateway.desk.calls == 0
            assert {target.state.in_flight for target in gateway.gateway.table.targets()} == {0}
            records = [settled(record) for record in gateway.records.kept]
            seen.append((first.bodies, second.bodies, got, [{**record, "gateway": ""} for record in records]))
    for one in seen:
        for record in one[3]:
            del record["snapshot"]  # the ports of two planes differ, and so their snapshots
    return seen


@pytest.mark.parametrize("name", PLACES)
async def test_every_answer_ends_alike_by_both_ways(name: str) -> None:
    long, short = await both(CALL, PLACES[name], model={"retry": Retry(attempts=2, backoff_s=0.001)})
    assert short == long
    assert all(len(record["finish_reason"]) <= LONGEST_REASON for record in short[3])


@pytest.mark.parametrize(
    "call",
    [
        {**CALL, "max_tokens": 7},
        {**CALL, "max_tokens": 10_000_000},
        {**CALL, "max_tokens": -1},
        {**CALL, "max_tokens": "x"},
        {**CALL, "temperature": 0.5, "x_own": {"y": [1]}},
        {**CALL, "tools": [{"type": "function", "function": {"name": "f"}}]},
        {**CALL, "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
        {**CALL, "messages": [{"role": "user", "content": "x" * 70_000}]},
        {**CALL, "model": "nobody"},
        {**CALL, "model": "chat@b"},
        {**CALL, "model": 3},
        {"messages": []},
        [],
        b"{",
        b'{"model":"ch\\u0061t","messages":[]}',
        b'{"model":"chat","messages":["\xff"]}',
    ],
    ids=repr,
)
async def test_every_call_is_judged_alike_by_both_ways(call: Any) -> None:
    capable = {"capabilities": Capabilities(context_window=16_000, images=False)}
    long, short = await both(call, replies(), backends={"a": capable, "b": capable})
    assert short == long


@pytest.mark.parametrize(
    "settings",
    [
        {"backends": {"a": {"prices": None}}},
        {
            "backends": {
                "a": {"prices": Prices(input_usd_per_mtok=3, cached_input_usd_per_mtok=1, output_usd_per_mtok=5)}
            }
        },
        {"backends": {"a": {"breaker": Breaker(consecutive=1)}}},
        {"model": {"strategy": "cost"}},
        {"model": {"hedge": Hedge(after_s=5.0)}},
        {"model": {"max_cost_usd": 1e-9}},
        {"strict": True},
        {"refuse_unrecorded": True},
    ],
    ids=repr,
)
async def test_every_setting_counts_alike_by_both_ways(settings: dict[str, Any]) -> None:
    for place in (replies(), answers(503, b"{}")):
        long, short = await both(CALL, place, 3, **settings)
        assert short == long


async def test_the_second_call_of_a_kind_goes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []
    take = StraightWay.take
    monkeypatch.setattr(StraightWay, "take", lambda *given: taken.append(take(*given)) or taken[-1])
    async with recording() as place, Plane("a", urls={"a": place.base_url}, straight=False) as plane:
        for body in (CALL, CALL, {**CALL, "model": "chat@a"}, CALL, {**CALL, "stream": True}):
            await plane.send(body)
    assert taken == [True, False, True, False]


async def test_a_record_that_cannot_be_kept_refuses_the_short_way_too() -> None:
    records = KeptRecords()
    async with recording() as place:
        async with Plane("a", urls={"a": place.base_url}, records=records, refuse_unrecorded=True) as plane:
            assert (await plane.send(CALL)).status == 200
            records.writable = False
            assert (await plane.send(CALL)).status == 503
        assert len(place.bodies) == 1


async def test_a_key_that_is_gone_is_refused_on_the_connection_that_showed_it() -> None:
    body = json.dumps(CALL).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: {len(body)}\r\n\r\n"
    async with recording() as place, Plane("a", urls={"a": place.base_url}) as plane, Caller(plane.address) as caller:
        for _ in range(3):
            await caller.send(head.encode() + body)
            assert (await caller.answer()).status == 200
        other = (Key(name="other", sha256="0" * 64),)
        plane.gateway.serve(plane.builder.build(msgspec.structs.replace(plane.snapshot, keys=other)))
        await caller.send(head.encode() + body)
        assert (await caller.answer()).status == 401
        assert len(place.bodies) == 3


async def test_a_caller_that_hangs_up_ends_the_short_way_at_once() -> None:
    held: list[Exchange] = []
    body = json.dumps(CALL).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: {len(body)}\r\n\r\n"
    async with recording(held.append) as place, Plane("a", urls={"a": place.base_url}) as plane:
        async with Caller(plane.address) as caller:
            await caller.send(head.encode() + body)
            async with asyncio.timeout(5):
                while not held:
                    await asyncio.sleep(0)
        record = await plane.record()
        assert record.outcome.value == "cancelled"
        assert [attempt.outcome.value for attempt in record.attempts] == ["cancelled"]
        async with asyncio.timeout(5):
            while held[0].open:
                await asyncio.sleep(0)
        assert plane.gateway.desk.calls == 0


async def test_a_defect_within_the_short_way_leaves_no_caller_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async with recording() as place, Plane("a", urls={"a": place.base_url}) as plane:
        await serves(plane, monkeypatch)  # from then on there is a connection, and the way is short
        monkeypatch.setattr(Exchange, "reply_ok", broken)
        async with asyncio.timeout(5):
            answer = await plane.send(CALL)
        checked(answer, "internal_error")
        record = plane.records.kept[-1]
        assert (record.outcome, record.status, record.error) == (Outcome.FAILED, 500, "internal_error")
        await serves(plane, monkeypatch)


@pytest.mark.parametrize(
    ("where", "ended"),
    [
        ((Latency, "observe"), (Outcome.OK, 200, "")),
        ((CircuitBreaker, "well"), (Outcome.OK, 200, "")),
        ((Target, "cost_usd"), (Outcome.FAILED, 500, "internal_error")),
    ],
)
async def test_a_defect_after_the_answer_still_leaves_one_record(
    monkeypatch: pytest.MonkeyPatch, where: tuple[type, str], ended: tuple[Outcome, int, str]
) -> None:
    async with recording() as place, Plane("a", urls={"a": place.base_url}) as plane:
        await serves(plane, monkeypatch)  # as above
        monkeypatch.setattr(*where, broken)
        async with asyncio.timeout(5):
            assert (await plane.send(CALL)).status == 200
        assert len(plane.records.kept) == 2
        record = plane.records.kept[-1]
        assert (record.outcome, record.status, record.error) == ended
        await serves(plane, monkeypatch)


class LateRecords(KeptRecords):
    """Has what is expected written only when told to, as a worker's recorder does after a few milliseconds."""

    def expect(self, write: Callable[[], None]) -> None:
        self.write = write


async def test_what_a_call_leaves_behind_is_written_before_a_failure_counts() -> None:
    records = LateRecords()
    settings: dict[str, Any] = {
        "backends": {"a": {"breaker": Breaker(consecutive=3)}},
        "model": {"retry": Retry(attempts=1)},
    }
    async with recording() as place, Plane("a", urls={"a": place.base_url}, records=records, **settings) as plane:
        (target,) = plane.gateway.table.targets()
        for answer in (answers(500, b"{}"), answers(500, b"{}"), replies(), answers(500, b"{}")):
            place.answer = answer
            await plane.send(CALL)
        assert target.state.breaker.closed, "the good call between them ended the row"
        assert [record.status for record in records.kept].count(200) == 1


async def test_what_a_call_leaves_behind_is_written_before_the_live_state_is_told() -> None:
    records = LateRecords()
    async with recording() as place, Plane("a", urls={"a": place.base_url}, records=records) as plane:
        await plane.send(CALL)
        assert records.kept == []
        (target,) = plane.gateway.live()["targets"]  # type: ignore[misc]
        assert target["latency_p50_s"] is not None  # type: ignore[index]
        assert len(records.kept) == 1
        await plane.send(CALL)
        records.write()
        assert len(records.kept) == 2


@pytest.mark.parametrize("straight", [True, False])
async def test_numbers_out_of_proportion_are_taken_from_limits_once(straight: bool) -> None:
    limit = Limit(team="platform", tokens_per_minute=10**14)
    async with (
        recording(PLACES["tokens without end"]) as place,
        Plane("a", urls={"a": place.base_url}, limits_on=(limit,), straight=straight) as plane,
    ):
        await plane.send(CALL)
        answer = await plane.send(CALL)
        left = int(answer.headers["x-ratelimit-remaining-tokens"])
        assert 10**14 - left == pytest.approx(2**40, rel=0.01)


def broken(*_: object) -> None:
    raise RuntimeError("a defect")


async def serves(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is broken or held any more."""
    monkeypatch.undo()
    assert (await plane.send(CALL)).status == 200
    assert plane.gateway.desk.calls == 0
    assert all(state.in_flight == 0 for state in plane.builder.live.backends.values())
