"""Makes sketches and keeps them, in a thread of its own: whoever offers a call never waits."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from switchgear.core.clock import Clock
from switchgear.core.errors import SwitchgearError
from switchgear.core.sealing import Keyring
from switchgear.core.sketching import Sketching
from switchgear.sketches.errors import CannotSketch
from switchgear.sketches.make import Maker
from switchgear.sketches.model import Finder, Job
from switchgear.sketches.store import Store

log = logging.getLogger(__name__)
_WAITING_BYTES = 16 * 1024 * 1024
"""So much may wait to be sketched; what comes beyond it is not."""
_TRIM_EVERY = 64
_IDLE_S = 600.0
"""Old sketches go although no new one comes."""


class Counts(msgspec.Struct):
    """What became of the calls that were offered."""

    kept: int = 0
    dropped: int = 0
    """Too much waited, or the file failed."""
    impossible: int = 0
    """No sketch could be made that holds nothing of the call."""


class Keeper:
    """`offer` is called by one thread; the finder is made and used by the keeper's own."""

    def __init__(
        self,
        path: Path,
        keyring: Keyring,
        settings: Sketching,
        *,
        clock: Clock,
        finder: Callable[[], Finder],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """`finder` compiles, which takes most of a second. Raises ForeignFile, StoreFailing."""
        self._store = Store(path, keyring)
        self._settings = settings
        self._clock = clock
        self._make_finder = finder
        self._random_bytes = random_bytes
        self._maker: Maker | None = None
        self._jobs: deque[Job] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._ending = False
        self.counts = Counts()
        self._thread = threading.Thread(target=self._work, name="switchgear-sketches", daemon=True)
        self._thread.start()

    def offer(self, job: Job) -> bool:
        """Have a sketch made soon. Returns whether it will be tried."""
        with self._changed:
            if self._ending or self._waiting_bytes + job.size > _WAITING_BYTES:
                self.counts.dropped += 1
                return False
            self._waiting_bytes += job.size
            self._jobs.append(job)
            self._changed.notify()
        return True

    def close(self) -> None:
        """Sketch what waits, and end the thread."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join()
        self._store.close()

    # -- the thread --

    def _work(self) -> None:
        done = 0
        self._trim()
        while True:
            with self._changed:
                if not self._jobs and not self._ending:
                    self._changed.wait(_IDLE_S)
                job = self._jobs.popleft() if self._jobs else None
                ending = self._ending
                if job is not None:
                    self._waiting_bytes -= job.size
            if job is not None:
                self._keep(job)
                done += 1
            elif ending:
                return
            if job is None or done % _TRIM_EVERY == 0:
                self._trim()

    def _keep(self, job: Job) -> None:
        try:
            if self._maker is None:
                self._maker = Maker(self._make_finder(), self._random_bytes)
            self._store.put(self._maker.sketch(job))
            self.counts.kept += 1
        except CannotSketch as error:
            self.counts.impossible += 1
            log.warning("%s", error)
        except SwitchgearError as error:
            self.counts.dropped += 1
            log.error("%s", error)
        except Exception:  # a thread that dies would lose every later sketch without a word
            self.counts.dropped += 1
            log.exception("sketching call %s met a defect", job.record.call)

    def _trim(self) -> None:
        try:
            self._store.trim(self._clock.now_s(), self._settings.keep_days, self._settings.max_bytes)
        except SwitchgearError as error:
            log.error("%s", error)
