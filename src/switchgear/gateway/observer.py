"""Looks on from outside the hot path: reads records from the journals, in batches, and keeps the metrics that are made of them.

Runs in the supervisor's process, in a thread of its own; what the workers append is seen within a second, and at once when somebody asks.
"""

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from switchgear.core.errors import SwitchgearError
from switchgear.core.tasks import TaskOwner
from switchgear.gateway.metrics import Metrics
from switchgear.gateway.plain_counting import count
from switchgear.journal.reader import Reader

log = logging.getLogger(__name__)
_EVERY_S = 1.0
_BATCH = 2000


class Observer:
    """Counts what is recorded after `start`: counters begin at zero, as Prometheus expects of a process."""

    def __init__(self, state_dir: str) -> None:
        self._metrics = Metrics()
        self._unreadable = 0
        self._position: dict[str, int] = {}
        self._reader = Reader(Path(state_dir) / "journal")  # belongs to the thread
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="observer")
        self._tasks = TaskOwner("observer")

    async def start(self) -> None:
        """Begin to count. Started before the workers, it misses none of their calls."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._begin)
        self._tasks.start(self._follow())

    async def close(self) -> None:
        await self._tasks.close()
        self._thread.submit(self._reader.close)
        self._thread.shutdown()

    async def render(self, live: Mapping[str, Any]) -> str:
        """The metrics of everything recorded up to now, and the gauges of the live state given, as Prometheus text."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._render, live)

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                await loop.run_in_executor(self._thread, self._catch_up)
            except (SwitchgearError, OSError) as error:
                log.warning("metrics lag behind: %s", error)
            await asyncio.sleep(_EVERY_S)

    def _begin(self) -> None:
        self._position = self._reader.end()

    def _render(self, live: Mapping[str, Any]) -> str:
        try:
            self._catch_up()
        except (SwitchgearError, OSError) as error:
            log.warning("metrics lag behind: %s", error)
        return self._metrics.render(live)

    def _catch_up(self) -> None:
        while True:
            bodies, position = self._reader.bodies(self._position, _BATCH)
            count(bodies, self._metrics, self._cannot_read)
            self._position = position
            if not bodies:
                return

    def _cannot_read(self, error: msgspec.DecodeError) -> None:
        self._unreadable += 1
        if self._unreadable.bit_count() == 1:
            log.error("%d records cannot be read; the last: %s", self._unreadable, error)
