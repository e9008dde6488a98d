"""A provider's keys: read in the background, and once more when a token asks for it. No network here: see test_openid_provider.py."""

import asyncio

import pytest
from tests.identity.signing import NOW_S, jwks, provider, signing_key
from tests.identity.still_source import StillReader, manual_clock, source, turns

from switchgear.core.clock import ManualClock
from switchgear.core.tasks import TaskOwner
from switchgear.identity.errors import ProviderUnreachable, ProviderUnusable
from switchgear.identity.key_source import MOST_WAITING
from switchgear.identity.ports import Kept

FIRST, SECOND = jwks(signing_key("first")), jwks(signing_key("second"))
AWAY = ProviderUnreachable("nobody there")


class Memory:
    """Implements KeyMemory, in memory."""

    def __init__(self, kept: Kept | None = None) -> None:
        self.kept = kept

    def load(self) -> Kept | None:
        return self.kept

    def keep(self, kept: Kept) -> None:
        self.kept = kept


@pytest.fixture
def clock() -> ManualClock:
    return manual_clock()


async def test_the_first_reading_begins_at_once_and_the_next_when_its_time_comes(clock: ManualClock) -> None:
    reader = StillReader(FIRST)
    keys = source(provider(refresh_s=0.001), reader, clock)
    assert keys.keys(NOW_S) is None
    owner = TaskOwner("test")
    owner.start(keys.run())
    await turns()
    assert keys.keys(NOW_S) is not None
    reader.answer = SECOND
    async with asyncio.timeout(10):
        while (found := keys.keys(NOW_S)) is None or found.thumbprints != {signing_key("second").thumbprint()}:
            await asyncio.sleep(0.001)
    await owner.close()


async def test_keys_stay_good_while_the_provider_is_away_and_not_for_ever(clock: ManualClock) -> None:
    reader = StillReader(FIRST)
    keys = source(provider(max_stale_s=1000.0, min_refresh_s=1.0), reader, clock)
    owner = TaskOwner("test")
    owner.start(keys.run())
    await turns()
    for answer in (AWAY, ProviderUnusable("not a key set"), b'{"keys": []}', b"<html>"):
        reader.answer = answer
        clock.advance(200.0)
        assert keys.ask(lambda: None)
        await turns()
        assert keys.last_error is not None
        assert keys.keys(clock.now_s()) is not None
    clock.advance(199.0)
    assert keys.keys(clock.now_s()) is not None
    clock.advance(1.0)
    assert keys.keys(clock.now_s()) is None
    reader.answer = SECOND
    assert keys.ask(lambda: None)
    await turns()
    assert keys.keys(clock.now_s()) is not None
    assert keys.last_error is None
    await owner.close()


async def test_extra_readings_are_limited_and_shared(clock: ManualClock) -> None:
    reader = StillReader(FIRST)
    keys = source(provider(min_refresh_s=10.0), reader, clock)
    owner = TaskOwner("test")
    owner.start(keys.run())
    await turns()
    settled: list[int] = []
    assert not keys.ask(lambda: settled.append(0))
    assert keys.rest_s() == 10.0
    clock.advance(10.0)
    reader.gate.clear()
    for number in range(1, 4):
        assert keys.ask(lambda number=number: settled.append(number))  # type: ignore[misc]  # a default binds it
    await turns()
    assert keys.ask(lambda: settled.append(4)), "one is under way: it is shared"
    assert (reader.asked, settled) == (2, [])
    reader.gate.set()
    await turns()
    assert (reader.asked, settled) == (2, [1, 2, 3, 4])
    assert not keys.ask(lambda: settled.append(5))
    await owner.close()


async def test_so_many_may_wait_and_no_more(clock: ManualClock) -> None:
    reader = StillReader(FIRST)
    reader.gate.clear()
    keys = source(provider(), reader, clock)
    owner = TaskOwner("test")
    owner.start(keys.run())
    await turns()
    settled: list[None] = []
    taken = [keys.ask(lambda: settled.append(None)) for _ in range(MOST_WAITING + 5)]
    assert taken.count(True) == MOST_WAITING
    await owner.close()
    assert len(settled) == MOST_WAITING, "whoever waits is told, also when it ends"


def defect() -> None:
    raise LookupError("a defect")


async def test_one_caller_with_a_defect_does_not_keep_the_others_waiting(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    reader = StillReader(FIRST)
    reader.gate.clear()
    keys = source(provider(), reader, clock)
    owner = TaskOwner("test")
    owner.start(keys.run())
    await turns()
    settled: list[None] = []
    keys.ask(defect)
    keys.ask(lambda: settled.append(None))
    reader.gate.set()
    await turns()
    assert settled == [None]
    assert "met a defect" in caplog.text
    await owner.close()


async def test_keys_that_are_gone_are_told_of(clock: ManualClock) -> None:
    reader = StillReader(jwks(signing_key("first"), signing_key("second")))
    gone: list[frozenset[str]] = []
    keys = source(provider(min_refresh_s=1.0), reader, clock, removed=gone.append)
    owner = TaskOwner("test")
    owner.start(keys.run())
    await turns()
    reader.answer = SECOND
    clock.advance(1.0)
    keys.ask(lambda: None)
    await turns()
    assert gone == [{signing_key("first").thumbprint()}]
    await owner.close()


async def test_a_restart_begins_with_the_keys_that_were_kept(clock: ManualClock) -> None:
    memory = Memory()
    before = source(provider(), StillReader(FIRST), clock, memory=memory)
    owner = TaskOwner("test")
    owner.start(before.run())
    await turns()
    await owner.close()
    assert memory.kept == Kept(FIRST, NOW_S)
    clock.advance(3600.0)
    again = source(provider(), StillReader(AWAY), clock, memory=memory)
    found = again.keys(clock.now_s())
    assert found is not None
    assert again.good_until_s == NOW_S + provider().max_stale_s


@pytest.mark.parametrize(
    "kept", [Kept(b"damaged", NOW_S), Kept(FIRST, NOW_S - 86400.0), Kept(FIRST, NOW_S + 86400.0)], ids=repr
)
async def test_kept_keys_that_are_damaged_or_of_the_wrong_time_do_not_count(clock: ManualClock, kept: Kept) -> None:
    assert source(provider(), StillReader(AWAY), clock, memory=Memory(kept)).keys(NOW_S) is None
