"""What holds for every test of this room: nothing fails where nobody looks."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio


@pytest.fixture(autouse=True)
def quiet_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A test fails on whatever asyncio, uvloop (which logs as asyncio) or this room complains of, unless it reads and clears the log."""
    caplog.set_level(logging.WARNING)
    yield
    complaints = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert complaints == []


@pytest_asyncio.fixture(autouse=True)
async def sound_loop() -> AsyncIterator[None]:
    """A test fails on whatever reaches the event loop's exception handler."""
    contexts: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: contexts.append(context))
    yield
    gc.collect(1)  # exceptions of futures that nobody asked are told when the futures go
    assert contexts == []
