"""A process's cache, made from the configuration."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from switchgear.cache.errors import BadCacheKey
from switchgear.cache.keys import SECRET_BYTES, Keys
from switchgear.cache.memory import Memory
from switchgear.cache.service import AnswerCache
from switchgear.core.caching import CacheDisk, CacheSettings
from switchgear.core.clock import Clock

FILE = Path("cache") / "answers.db"
"""Below state_dir."""


def open_cache(
    settings: CacheSettings,
    state_dir: Path,
    environment: Mapping[str, str],
    clock: Clock,
    deliver: Callable[[Callable[[], None]], object],
) -> AnswerCache[Any]:
    """Raises BadCacheKey, ForeignCache, CacheFailing. `deliver` runs a function on the event loop (`loop.call_soon_threadsafe`)."""
    memory = Memory(settings.memory_bytes)
    if settings.disk is None:
        return AnswerCache(memory, Keys(os.urandom(SECRET_BYTES)))  # the secret dies with what it keyed
    # Imported where they are needed: cryptography takes 9 MB, and most gateways keep nothing on disk.
    from switchgear.cache.disk import Disk
    from switchgear.cache.sealing import Keyring, parse_keys
    from switchgear.cache.store import Store

    keyring = Keyring(parse_keys(_key_text(settings.disk, environment)), os.urandom)
    store = Store(state_dir / FILE, keyring, settings.disk.max_bytes, os.urandom)
    return AnswerCache(memory, Keys(store.secret), Disk(store, clock, deliver))


def _key_text(disk: CacheDisk, environment: Mapping[str, str]) -> str:
    if disk.key_env is not None:
        text = environment.get(disk.key_env)
        if text is None:
            raise BadCacheKey(
                f"the environment variable {disk.key_env} is not set. Set it to the cache's keys, ID:BASE64."
            )
        return text
    if disk.key_file is None:
        raise BadCacheKey("[cache.disk] names no keys. Give key_env or key_file.")
    try:
        return Path(disk.key_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadCacheKey(f"the cache's key file {disk.key_file} cannot be read: {error}.") from error
