"""What the tests of whole processes share: a place to call, and gateways that never outlive their test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.system.gateways import MODEL, Gateway, configuration

from switchgear.emulator.server import Emulator

StartGateway = Callable[..., Awaitable[Gateway]]


@pytest.fixture
def speed() -> float:
    """Of the place; a test that needs calls to last parametrizes it."""
    return 1000.0


@pytest.fixture
async def place(speed: float) -> AsyncIterator[Emulator]:
    async with Emulator(profile="h100-sxm", models=[MODEL], name="place", speed=speed) as emulator:
        yield emulator


@pytest.fixture
async def start(tmp_path: Path, place: Emulator) -> AsyncIterator[StartGateway]:
    """Starts a gateway in front of `place` and waits until it serves."""
    started: list[Gateway] = []

    async def begin(gateway: dict[str, Any] | None = None, more: str = "") -> Gateway:
        made = Gateway(tmp_path, configuration(place.base_url, gateway, more))
        started.append(made)
        return await made.serving()

    yield begin
    for made in started:
        await made.close()
