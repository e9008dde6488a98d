"""The keys of one provider, kept fresh: read in the background, and once more when a token names a key that is not known.

The keys that are known stay good while the provider cannot be reached, for `max_stale_s` after they were last read. Extra readings are
limited to one in `min_refresh_s`, all that wait share one, and so many may wait: tokens with made-up keys can hammer nobody.
"""

import asyncio
import contextlib
import logging
import math
import random
from collections.abc import Callable

from switchgear.core.clock import Clock
from switchgear.core.identity import OidcProvider
from switchgear.identity.errors import ProviderError
from switchgear.identity.jwks import ProviderKeys, read_jwks
from switchgear.identity.ports import Kept, KeyMemory, KeyReader

log = logging.getLogger(__name__)
MOST_WAITING = 1024
"""Callers that may wait for one reading; more are refused at once."""
_FIRST_RETRY_S = 1.0
_AHEAD_S = 300.0
"""Keys that seem to be read later than this from now were read by a clock that was wrong."""


class KeySource:
    """Keys, and who waits for them. `run` keeps them fresh; all else is called from the same event loop."""

    def __init__(
        self,
        name: str,
        provider: OidcProvider,
        reader: KeyReader,
        clock: Clock,
        rng: random.Random,
        *,
        memory: KeyMemory | None = None,
        removed: Callable[[frozenset[str]], None] = lambda _: None,
    ) -> None:
        """`removed` is told the thumbprints of keys that the provider has no more: what they signed must not count any longer."""
        self.name = name
        self.last_error: ProviderError | None = None
        """Why the last reading failed; None where it went well."""
        self.readings = 0
        """Begun so far."""
        self._provider = provider
        self._reader = reader
        self._clock = clock
        self._random = rng
        self._memory = memory
        self._removed = removed
        self._keys: ProviderKeys | None = None
        self._read_at_s = -math.inf
        self._begun_s = -math.inf
        self._failures = 0
        self._wanted = asyncio.Event()
        self._reading = False
        self._waiting: list[Callable[[], None]] = []
        self._remember()

    def keys(self, now_s: float) -> ProviderKeys | None:
        """Those that count now; None where there are none, or where they were read too long ago."""
        return self._keys if now_s < self.good_until_s else None

    @property
    def good_until_s(self) -> float:
        """Until when the keys count if the provider stays away, Unix time."""
        return self._read_at_s + self._provider.max_stale_s

    def ask(self, settle: Callable[[], None]) -> bool:
        """Have `settle` called once the keys were read anew, or could not be. False: not now, the last reading is too recent."""
        if len(self._waiting) >= MOST_WAITING:
            return False
        if not self._reading and not self._wanted.is_set():
            if self.rest_s() > 0.0:
                return False
            self._wanted.set()
        self._waiting.append(settle)
        return True

    def rest_s(self) -> float:
        """Seconds until an extra reading may begin."""
        return max(0.0, self._begun_s + self._provider.min_refresh_s - self._clock.monotonic_s())

    async def run(self) -> None:
        """Read now, and then again and again, until cancelled."""
        try:
            while True:
                await self._read()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_s()):
                        await self._wanted.wait()
        finally:
            self._settle()

    async def _read(self) -> None:
        self._reading = True
        self._wanted.clear()
        self._begun_s = self._clock.monotonic_s()
        self.readings += 1
        try:
            content = await self._reader.read()
            self._take(read_jwks(content))
        except ProviderError as error:
            self._failures += 1
            if self.last_error is None:
                log.warning("keys of %s cannot be read; those known stay good for now: %s", self.name, error)
            self.last_error = error
        else:
            if self.last_error is not None:
                log.info("keys of %s can be read again", self.name)
            self._failures = 0
            self.last_error = None
            self._read_at_s = self._clock.now_s()
            if self._memory is not None:
                self._memory.keep(Kept(content, self._read_at_s))
        finally:
            self._reading = False
            self._settle()

    def _take(self, keys: ProviderKeys) -> None:
        before = self._keys.thumbprints if self._keys is not None else frozenset()
        if keys.thumbprints != before:
            log.info("%s signs with %d keys now; left out: %s", self.name, len(keys), "; ".join(keys.skipped) or "none")
        self._keys = keys
        if gone := before - keys.thumbprints:
            self._removed(gone)

    def _settle(self) -> None:
        waiting, self._waiting = self._waiting, []
        for settle in waiting:
            try:
                settle()
            except Exception:
                log.exception("a caller who waited for the keys of %s met a defect", self.name)

    def _pause_s(self) -> float:
        """Until the next reading; after a failure soon, then less soon. Give or take a tenth, so that many gateways do not come at once."""
        often_s = self._provider.refresh_s
        if self._failures:
            often_s = min(often_s, _FIRST_RETRY_S * 2.0 ** min(self._failures - 1, 16))
        return often_s * self._random.uniform(0.9, 1.1)

    def _remember(self) -> None:
        kept = self._memory.load() if self._memory is not None else None
        if kept is None or kept.read_at_s > self._clock.now_s() + _AHEAD_S:
            return
        try:
            self._keys = read_jwks(kept.content)
        except ProviderError as error:
            log.warning("keys of %s that were kept cannot be used: %s", self.name, error)
        else:
            self._read_at_s = kept.read_at_s
