"""Starts, changes and ends a worker's external screen, as its snapshots want it."""

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from switchgear.core.external_screening import ExternalScreening
from switchgear.core.snapshot import Snapshot
from switchgear.core.tasks import TaskOwner
from switchgear.gateway.table import Builder

if TYPE_CHECKING:
    from switchgear.policy.external_process import ExternalProcess

log = logging.getLogger(__name__)
_START_S = 20.0
"""A worker, or a reload, waits so long for it; then calls are served, and are late for it until it is there."""


class ScreeningKeeper:
    """One for a worker. `builder.external` is what it keeps."""

    def __init__(self, builder: Builder, command: Sequence[str] = ()) -> None:
        """`command` takes the place of Presidio's."""
        self._builder = builder
        self._command = tuple(command)
        self._settings: ExternalScreening | None = None
        self._process: ExternalProcess | None = None
        self._old: set[ExternalProcess] = set()
        self._tasks = TaskOwner("external screen's keeper")

    async def follow(self, snapshot: Snapshot) -> None:
        """Have the external screen that a snapshot wants, before a table is built of it. The one before ends when no call waits for it."""
        wanted = snapshot.screen.external if snapshot.screen is not None else None
        if wanted == self._settings:
            return
        before = self._process
        self._process = await self._open(wanted) if wanted is not None else None
        self._builder.external = self._process
        if before is not None and self._settings is not None:
            self._old.add(before)
            self._tasks.start(self._retire(before, self._settings.timeout_s))
        self._settings = wanted

    async def _open(self, settings: ExternalScreening) -> "ExternalProcess":
        # Imported where it is needed: most gateways have no external screen.
        from switchgear.policy.external_process import PRESIDIO, ExternalFailed, ExternalProcess

        process = ExternalProcess(settings, self._command or PRESIDIO)
        try:
            async with asyncio.timeout(_START_S):
                await process.start()
        except (ExternalFailed, OSError, TimeoutError) as error:
            log.error("%s", str(error) or f"the external screen is not ready after {_START_S:.0f} s")
            process.keep_trying()
        return process

    async def _retire(self, process: "ExternalProcess", longest_s: float) -> None:
        """End a process once nobody can wait for it any more: calls under way go on with the table that they began with."""
        await asyncio.sleep(2 * longest_s)
        self._old.discard(process)
        await process.close()

    def live(self) -> dict[str, object] | None:
        """How it is, as the live state tells it; None where there is none."""
        process = self._process
        if process is None:
            return None
        return {"ready": process.ready, "restarts": process.restarts, "late": process.late}

    async def close(self) -> None:
        """End it, and those that were to end."""
        await self._tasks.close()
        processes = [*self._old, *([self._process] if self._process is not None else [])]
        self._process = self._builder.external = None
        self._old.clear()
        for process in processes:
            await process.close()
