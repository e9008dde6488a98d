"""Opens, tidies and closes a worker's kept answers, as its snapshots want them."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec

from switchgear.cache.opening import open_cache
from switchgear.core.caching import CacheSettings
from switchgear.core.clock import Clock
from switchgear.core.snapshot import Snapshot
from switchgear.gateway.call import Desk

log = logging.getLogger(__name__)
_TIDY_S = 1.0


class CacheKeeper:
    """One for a worker. `desk.cache` is what it keeps."""

    def __init__(self, desk: Desk, state_dir: Path, environment: Mapping[str, str], clock: Clock) -> None:
        self._desk = desk
        self._state_dir = state_dir
        self._environment = environment
        self._clock = clock
        self._settings: CacheSettings | None = None

    async def follow(self, snapshot: Snapshot) -> None:
        """Keep answers as a snapshot says, and none where no model keeps any. What is kept stays where the disk does.

        Raises BadCacheKey, ForeignCache, CacheFailing; then all is as it was.
        """
        wanted = snapshot.cache if any(model.cache is not None for model in snapshot.models.values()) else None
        before, cache = self._settings, self._desk.cache
        if wanted == before:
            return
        if wanted is not None and before is not None and cache is not None and wanted.disk == before.disk:
            cache.memory.capacity = wanted.memory_bytes
        else:
            deliver = self._desk.loop.call_soon_threadsafe
            self._desk.cache = (
                await asyncio.to_thread(open_cache, wanted, self._state_dir, self._environment, self._clock, deliver)
                if wanted is not None
                else None
            )
            if (
                cache is not None
            ):  # calls that have it go on with it; what they bring lies in memory that goes with them
                await asyncio.to_thread(cache.close)
        self._settings = wanted

    async def tidy(self) -> None:
        """For as long as the worker runs: forget what is over."""
        while True:
            await asyncio.sleep(_TIDY_S)
            cache = self._desk.cache
            if cache is not None:
                cache.tidy(self._clock.now_s())

    def live(self) -> dict[str, object] | None:
        """What it holds, as the live state tells it; None where nothing is kept."""
        cache = self._desk.cache
        return msgspec.to_builtins(cache.status()) if cache is not None else None

    async def close(self) -> None:
        """Write what is to lie on the disk."""
        cache, self._desk.cache = self._desk.cache, None
        if cache is not None:
            await asyncio.to_thread(cache.close)
