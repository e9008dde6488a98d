"""Virtual time: the code of gateway, wire and emulator as it is, on a loop that jumps to what comes next instead of waiting for it.

The loop's selector never waits while a timer is armed: it looks once at the sockets, and where nothing is ready it puts the clock forward
to the next timer. That is exact only if what one socket was sent can be read from the other at once. It holds for unix sockets within
one process (the kernel queues at the reader before send(2) returns) and not for TCP, so everything listens on unix sockets then.

The gateway reads `time.monotonic` by a name of its own in each module, because a method would cost each call a microsecond. For as long as
a loop here runs, those names mean the loop's time. Threads (the journal's writer) keep the real one.
"""

import asyncio
import selectors
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from switchgear.rehearsal.errors import RehearsalError

T = TypeVar("T")
_BEGINS_S = 1000.0
"""The loop's time at its beginning: above 0, which means "never" in some places."""
_EPOCH_S = 1_767_225_600.0
"""The time of day at the beginning, 2026-01-01T00:00Z: always the same, so that a course can be repeated."""
_ROOMS = ("switchgear.gateway", "switchgear.wire", "switchgear.limits", "switchgear.cache", "switchgear.identity")
_running = threading.Lock()


class _Jumping(selectors.DefaultSelector):
    """A selector that lets time pass instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = _BEGINS_S

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout:
            self.now_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes as fast as it can."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


class LoopClock:
    """A `Clock` that goes with an event loop: `now_s` begins at a fixed time of day in virtual time, and is the machine's in real time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, begins_at_s: float = _EPOCH_S) -> None:
        self._loop = loop
        self._origin_s = loop.time()
        self._begins_at_s = begins_at_s

    def now_s(self) -> float:
        return self._begins_at_s + self._loop.time() - self._origin_s

    def monotonic_s(self) -> float:
        return self._loop.time()


def run_virtually(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end in virtual time. Raises RehearsalError where this process does so already."""
    if not _running.acquire(blocking=False):
        raise RehearsalError("virtual time runs in this process already; wait for its end")
    try:
        loop = VirtualLoop()
        with _read_from(loop.time), asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(main())
    finally:
        _running.release()


@contextmanager
def _read_from(now_s: Callable[[], float]) -> Iterator[None]:
    """Within it, `monotonic` in the modules of a data plane is `now_s`."""
    real = time.monotonic
    named = [
        module
        for name, module in sorted(sys.modules.items())
        if name.startswith(_ROOMS) and getattr(module, "monotonic", None) is real
    ]
    for module in named:
        vars(module)["monotonic"] = now_s
    try:
        yield
    finally:
        for module in named:
            vars(module)["monotonic"] = real
