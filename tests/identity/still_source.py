"""A provider's keys without a network: a reader that gives what the test says, when it says so."""

import asyncio
import random
from collections.abc import Callable

from tests.identity.signing import NOW_S

from switchgear.core.clock import ManualClock
from switchgear.core.identity import OidcProvider
from switchgear.identity.errors import ProviderError
from switchgear.identity.key_source import KeySource
from switchgear.identity.ports import KeyMemory


class StillReader:
    """Implements KeyReader: gives `answer`, or raises it, once `gate` is open."""

    def __init__(self, answer: bytes | ProviderError) -> None:
        self.answer = answer
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = 0

    async def read(self) -> bytes:
        self.asked += 1
        await self.gate.wait()
        if isinstance(self.answer, ProviderError):
            raise self.answer
        return self.answer


def manual_clock() -> ManualClock:
    return ManualClock(NOW_S)


def source(
    provider: OidcProvider,
    reader: StillReader,
    clock: ManualClock,
    *,
    memory: KeyMemory | None = None,
    removed: Callable[[frozenset[str]], None] = lambda _: None,
) -> KeySource:
    return KeySource("company", provider, reader, clock, random.Random(1), memory=memory, removed=removed)


async def turns(count: int = 10) -> None:
    """Let what is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)
