"""What every test shares: the event loop that the product runs on."""

import asyncio
import gc
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


def pytest_collection_finish() -> None:
    """What is imported stays: without it the collector looks at less, and does not stop a test with short time-outs for half a second."""
    gc.collect()
    gc.freeze()
