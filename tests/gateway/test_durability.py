"""Strict durability: the last byte of an answer waits for its record; a record that cannot be kept leaves no clean end."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.gateway.plane import KEY, KeptRecords, Plane, checked
from tests.wire.serving import Caller

from switchgear.core.record import Outcome, Record

CALL: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}
DONE = b"data: [DONE]\n\n"


class SlowRecords(KeptRecords):
    """Keeps each record only when it is let to."""

    def __init__(self) -> None:
        super().__init__(strict=True)
        self.waiting: list[tuple[Record, Callable[[Exception | None], None]]] = []
        self.asked = asyncio.Event()

    def append_strict(self, record: Record, done: Callable[[Exception | None], None]) -> None:
        self.waiting.append((record, done))
        self.asked.set()

    def let(self, error: Exception | None = None) -> None:
        record, done = self.waiting.pop(0)
        if error is None:
            self.append(record)
        done(error)


def request(body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: {len(data)}\r\n\r\n"
    return head.encode() + data


async def nothing_more(caller: Caller) -> None:
    """Nothing has come that was not read, though there was time."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await caller.reader.readexactly(1)


async def test_a_whole_answer_waits_for_its_record() -> None:
    records = SlowRecords()
    async with Plane("a", records=records) as plane, Caller(plane.address) as caller:
        await caller.send(request(CALL))
        await records.asked.wait()
        await nothing_more(caller)
        records.let()
        answer = await caller.answer()
        assert answer.status == 200
        assert json.loads(answer.body)["choices"]
        assert records.kept[0].outcome is Outcome.OK


async def test_the_end_of_a_stream_waits_for_its_record() -> None:
    records = SlowRecords()
    async with Plane("a", records=records, speed=0.5) as plane, Caller(plane.address) as caller:
        await caller.send(request({**CALL, "stream": True}))
        await caller.head()
        came = await caller.chunk()
        assert not records.waiting, "it comes as it is made"
        await records.asked.wait()
        while came.count(b"content") < 8:
            came += await caller.chunk()
        assert DONE not in came
        await nothing_more(caller)
        records.let()
        while chunk := await caller.chunk():
            came += chunk
        assert came.endswith(DONE)


async def test_a_refusal_waits_too() -> None:
    records = SlowRecords()
    async with Plane("a", records=records) as plane, Caller(plane.address) as caller:
        await caller.send(request({}))
        await records.asked.wait()
        await nothing_more(caller)
        records.let()
        checked(await caller.answer(), "missing_model", "model")


async def test_the_next_request_of_a_connection_is_served_after_the_wait() -> None:
    records = SlowRecords()
    async with Plane("a", records=records) as plane, Caller(plane.address) as caller:
        await caller.send(request(CALL) * 2)
        for _ in range(2):
            await records.asked.wait()
            records.asked.clear()
            assert len(records.waiting) == 1
            records.let()
            assert (await caller.answer()).status == 200


async def test_a_record_that_cannot_be_kept_makes_a_whole_answer_an_error() -> None:
    records = SlowRecords()
    async with Plane("a", records=records, refuse_unrecorded=True) as plane, Caller(plane.address) as caller:
        await caller.send(request(CALL))
        await records.asked.wait()
        call = records.waiting[0][0].call
        records.let(OSError("disk full"))
        answer = await caller.answer()
        checked(answer, "journal_unavailable")
        assert answer.headers["x-switchgear-call"] == call
        assert answer.headers["x-switchgear-attempts"] == "1"
        assert int(answer.headers["retry-after"]) >= 1
        assert b"choices" not in answer.body


@pytest.mark.parametrize("delivery", ["stream", "whole"])
async def test_a_record_that_cannot_be_kept_leaves_a_stream_without_a_clean_end(delivery: str) -> None:
    async with Plane("a", strict=True, refuse_unrecorded=True) as plane:
        plane.records.fail = OSError("disk full")
        answer = await plane.send({**CALL, "stream": True}, x_switchgear_delivery=delivery)
        assert DONE not in answer.body
        last = answer.body.rstrip(b"\n").rpartition(b"data: ")[2]
        assert json.loads(last)["error"]["code"] == "journal_unavailable"
        plane.records.fail = None
        answer = await plane.send({**CALL, "stream": True}, x_switchgear_delivery=delivery)
        assert answer.body.endswith(DONE)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_where_serving_comes_first_the_answer_is_given_all_the_same(streamed: bool) -> None:
    async with Plane("a", strict=True, refuse_unrecorded=False) as plane:
        plane.records.fail = OSError("disk full")
        plane.records.writable = False
        answer = await plane.send({**CALL, "stream": streamed})
        assert answer.status == 200
        assert b"error" not in answer.body


@pytest.mark.parametrize("strict", [False, True], ids=["batched", "strict"])
async def test_no_call_is_sent_anywhere_while_the_journal_cannot_be_written(strict: bool) -> None:
    async with Plane("a", strict=strict, refuse_unrecorded=True) as plane:
        plane.records.writable = False
        for streamed in (False, True):
            answer = await plane.send({**CALL, "stream": streamed})
            checked(answer, "journal_unavailable")
            assert answer.headers["retry-after"] == "5"
        assert plane.places["a"].state()["counts"] == {}
        plane.records.writable = True
        assert (await plane.send(CALL)).status == 200


async def test_a_caller_that_hangs_up_while_its_record_is_kept_is_no_trouble() -> None:
    records = SlowRecords()
    async with Plane("a", records=records) as plane:
        async with Caller(plane.address) as caller:
            await caller.send(request(CALL))
            await records.asked.wait()
        await asyncio.sleep(0.02)
        records.let()
        assert len(records.kept) == 1
        records.asked.clear()
        sending = asyncio.gather(plane.send(CALL))
        await records.asked.wait()
        records.let()
        assert (await sending)[0].status == 200
