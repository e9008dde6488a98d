"""What backends say of themselves: context windows from their `/models`, where the configuration gives none and asks for it."""

import asyncio
import logging

import msgspec

from switchgear.core.decoding import UNREADABLE
from switchgear.core.errors import SwitchgearError
from switchgear.core.snapshot import Snapshot
from switchgear.core.tasks import TaskOwner
from switchgear.gateway.app import Gateway
from switchgear.gateway.table import Builder, Target
from switchgear.wire.fetch import fetch

log = logging.getLogger(__name__)
_EVERY_S = 60.0


class _Meta(msgspec.Struct):
    n_ctx: int | None = None
    n_ctx_train: int | None = None


class _ModelCard(msgspec.Struct):
    """The names that servers use for the same thing: vLLM and SGLang, llama.cpp, several clouds."""

    id: str
    max_model_len: int | None = None
    context_length: int | None = None
    context_window: int | None = None
    meta: _Meta | None = None

    def window(self) -> int | None:
        own = self.max_model_len or self.context_length or self.context_window
        return own or (self.meta.n_ctx or self.meta.n_ctx_train if self.meta is not None else None)


class _ModelList(msgspec.Struct):
    data: list[_ModelCard]


class Prober:
    """Asks each backend with `probe = true` once a minute until it has answered; a target's configured window is never changed."""

    def __init__(self, gateway: Gateway, builder: Builder) -> None:
        self._gateway = gateway
        self._builder = builder
        self._tasks = TaskOwner("probe")
        self._task: asyncio.Task[None] | None = None

    def start(self, snapshot: Snapshot) -> None:
        """Probe for this snapshot, and no longer for the one before."""
        if self._task is not None:
            self._task.cancel()
        names = [name for name, backend in snapshot.backends.items() if backend.probe]
        self._task = self._tasks.start(self._probe_all(names)) if names else None

    async def close(self) -> None:
        await self._tasks.close()

    async def _probe_all(self, names: list[str]) -> None:
        left = set(names)
        while left:
            for name in sorted(left):
                targets = [target for target in self._gateway.table.targets() if target.backend_name == name]
                if not targets or await self._probe(targets):
                    left.discard(name)
            if left:
                await asyncio.sleep(_EVERY_S)

    async def _probe(self, targets: list[Target]) -> bool:
        first = targets[0]
        try:
            windows = await context_windows(first)
            self._builder.live.windows[first.backend.base_url] = windows
            self._gateway.serve(self._builder.build(self._gateway.table.snapshot))
        except (SwitchgearError, *UNREADABLE) as error:
            log.warning("backend %s does not tell its models: %s", first.backend_name, error)
            return False
        for target in targets:
            if target.model in windows:
                log.info("backend %s: %s has a window of %d tokens", *target.name, windows[target.model])
        return True


async def context_windows(target: Target) -> dict[str, int]:
    """Context windows in tokens by model, as the target's backend reports them. Raises ExchangeError, or what decoding raises."""
    path, headers = target.adapter.models_request()
    answer = await fetch(target.pool, "GET", path, headers=headers, connect_s=target.timeouts.connect_s, total_s=10.0)
    cards = msgspec.json.decode(answer.body, type=_ModelList).data
    return {card.id: window for card in cards if (window := card.window()) is not None}
