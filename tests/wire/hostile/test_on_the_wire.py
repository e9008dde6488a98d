"""Every hostile request over a real socket: whole, in two halves, and one byte at a time."""

import asyncio

import pytest
from msgspec import structs
from tests.wire.hostile.corpus import CASES, LIMITS, Call, Case
from tests.wire.serving import Caller, serving

from switchgear.wire.exchange import Exchange
from switchgear.wire.server import Server

GOOD = b"GET /good HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
_BYTEWISE = 2000
"""A larger case is sent in pieces of a thousand bytes instead of one."""
_AT_ONCE = 16


PATIENT = structs.replace(LIMITS, head_s=60.0, body_idle_s=60.0, linger_s=60.0)
"""A busy machine may take its time over a thousand single bytes."""
HASTY = structs.replace(LIMITS, head_s=0.8, body_idle_s=0.8, linger_s=60.0)
"""Where the refusal is for want of more."""


class Court:
    """A server for one case, and what its handler was shown."""

    def __init__(self, case: Case) -> None:
        self.calls: list[Call] = []
        self.server = Server(self.handle, limits=HASTY if case.unfinished else PATIENT)

    def handle(self, exchange: Exchange) -> None:
        self.calls.append(Call(exchange.method, exchange.target, exchange.body))
        exchange.reply(200, b"{}")


async def ends_as_expected(case: Case, piece: int) -> None:
    court = Court(case)
    async with serving(court.server) as address:
        async with Caller(address) as caller:
            await caller.send(case.data, piece)
            for call in case.seen:
                answer = await caller.answer(head_only=call.method == b"HEAD")
                while answer.status == 100:
                    answer = await caller.answer(head_only=call.method == b"HEAD")
                assert answer.status == 200
            if case.status is not None:
                answer = await caller.answer()
                while answer.status == 100:
                    answer = await caller.answer()
                assert answer.status == case.status
                assert answer.headers["connection"] == "close"
                assert answer.headers["content-type"] == "application/json"
            if case.status is not None or case.closes:
                assert await caller.ended() == b""
            else:
                await caller.send(GOOD)
                assert (await caller.answer()).status == 200
                assert await caller.ended() == b""
                assert court.calls.pop() == Call(b"GET", b"/good")
        assert tuple(court.calls) == case.seen
        async with Caller(address) as caller:
            await caller.send(GOOD)
            assert (await caller.answer()).status == 200


async def all_end_as_expected(piece: dict[str, int], cases: list[Case]) -> None:
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(case: Case) -> None:
        async with room:
            await ends_as_expected(case, piece[case.name])

    ends = await asyncio.gather(*map(one, cases), return_exceptions=True)
    assert [f"{case.name}: {end!r}" for case, end in zip(cases, ends, strict=True) if end is not None] == []


async def test_sent_whole() -> None:
    await all_end_as_expected({case.name: 0 for case in CASES}, list(CASES))


async def test_sent_in_two_halves() -> None:
    await all_end_as_expected({case.name: (len(case.data) + 1) // 2 for case in CASES}, list(CASES))


@pytest.mark.parametrize("part", range(4))
async def test_sent_one_byte_at_a_time(part: int) -> None:
    pieces = {case.name: 1 if len(case.data) <= _BYTEWISE else 1000 for case in CASES}
    await all_end_as_expected(pieces, list(CASES[part::4]))
