"""From a configuration to a cache, and from a call to its key and how long its answer is kept."""

import base64
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from tests.cache.samples import answer

from switchgear.cache.errors import BadCacheKey
from switchgear.cache.keys import Keys
from switchgear.cache.memory import Memory
from switchgear.cache.opening import open_cache
from switchgear.cache.plan import CachePlan
from switchgear.cache.service import AnswerCache
from switchgear.core.caching import CacheDisk, CacheSettings, LastResort, ModelCache, Scope
from switchgear.core.clock import SystemClock
from switchgear.core.data_class import DataClass
from switchgear.core.snapshot import Endpoint

KEYS = "2026-11:" + base64.b64encode(bytes(range(32))).decode()
FIELDS = {"model": msgspec.Raw(b'"chat"'), "temperature": msgspec.Raw(b"0")}


def at_once(step: Callable[[], None]) -> None:
    step()


def opened(settings: CacheSettings, state_dir: Path, **environment: str) -> AnswerCache[str]:
    return open_cache(settings, state_dir, environment, SystemClock(), at_once)


def test_without_a_disk_nothing_is_written(tmp_path: Path) -> None:
    cache = opened(CacheSettings(), tmp_path)
    cache.keep(b"k", answer(), 0.0, 60.0, 0.0, on_disk=True)
    cache.close()
    assert list(tmp_path.iterdir()) == []


def test_keys_come_from_the_environment_or_a_file_and_open_the_same_cache(tmp_path: Path) -> None:
    cache = opened(CacheSettings(disk=CacheDisk(key_env="KEYS")), tmp_path, KEYS=KEYS)
    plan = CachePlan(ModelCache(ttl_s=60.0, disk=True))
    key = key_of(plan, cache.keys)
    assert plan.keep(cache, key, answer(b"body"), SystemClock.now_s())
    cache.close()
    (tmp_path / "keys").write_text(KEYS + "\n")
    again = opened(CacheSettings(disk=CacheDisk(key_file=str(tmp_path / "keys"))), tmp_path)
    assert key_of(plan, again.keys) == key
    assert again.find_later(key, SystemClock.now_s, lambda entry: None)
    again.close()


@pytest.mark.parametrize(
    ("disk", "says"),
    [
        (CacheDisk(key_env="NOT_SET"), "NOT_SET is not set"),
        (CacheDisk(), "Give key_env or key_file"),
        (CacheDisk(key_file="not-there"), "cannot be read"),
    ],
)
def test_keys_that_are_missing_are_told_with_a_remedy(tmp_path: Path, disk: CacheDisk, says: str) -> None:
    with pytest.raises(BadCacheKey, match=says):
        opened(CacheSettings(disk=disk), tmp_path)


def test_cryptography_is_not_loaded_where_nothing_is_sealed() -> None:
    code = "import switchgear.cache.opening, switchgear.cache.replay, sys; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0


def key_of(plan: CachePlan, keys: Keys, **facts: str) -> bytes:
    given = {"places": "chat a/b", "principal": "ann", "team": "red", "data_class": "internal", **facts}
    return plan.key(keys, Endpoint.CHAT, FIELDS, **given)  # type: ignore[arg-type]  # facts are given by name


def test_a_plan_keys_by_its_scope() -> None:
    keys = Keys(bytes(32))
    team = CachePlan(ModelCache(ttl_s=1.0, scope=Scope.TEAM))
    alone = CachePlan(ModelCache(ttl_s=1.0))
    assert key_of(team, keys) == key_of(team, keys, principal="bob")
    assert key_of(alone, keys) != key_of(alone, keys, principal="bob")


def test_a_plan_takes_what_is_repeatable_and_of_its_classes() -> None:
    plan = CachePlan(ModelCache(ttl_s=1.0, data_classes=(DataClass.PUBLIC,)))
    assert plan.takes(Endpoint.CHAT, FIELDS, "public")
    assert not plan.takes(Endpoint.CHAT, FIELDS, "internal")
    assert not plan.takes(Endpoint.CHAT, {"model": FIELDS["model"]}, "public")


def test_a_plan_keeps_as_long_as_its_last_resorts_want() -> None:
    cache: AnswerCache[str] = AnswerCache(Memory(1024 * 1024), Keys(bytes(32)))
    plan = CachePlan(
        ModelCache(ttl_s=10.0, max_answer_bytes=100), (LastResort(stale_s=50.0), LastResort(model="small"))
    )
    assert not plan.keep(cache, b"k", answer(b"x" * 101), 0.0)
    assert plan.keep(cache, b"k", answer(b"x" * 100), 0.0)
    assert cache.stale(b"k", 59.0, 50.0) is not None
    assert cache.stale(b"k", 60.0, 50.0) is None
