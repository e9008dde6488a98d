"""Sketches on disk: sealed, found again, and gone in time."""

import base64
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.sketches.calls import detectors, job, sketched

from switchgear.core.clock import ManualClock
from switchgear.core.sealing import BadSealingKey, Keyring, Unsealable, parse_keys
from switchgear.core.sketching import Sketching, SketchRule, SketchWhen
from switchgear.sketches.errors import ForeignFile, NoSketch
from switchgear.sketches.keeper import Keeper
from switchgear.sketches.model import Sketch
from switchgear.sketches.opening import open_keyring
from switchgear.sketches.store import FILE, Store

BODY: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "Where is Anneliese's parcel?"}]}
ONE, TWO = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))


def ring(*keys: str) -> Keyring:
    return Keyring(parse_keys(",".join(keys)), lambda size: b"\7" * size)


def sketch(call: str, at_s: float = 1_000.0) -> Sketch:
    return sketched(BODY, call=call, at_s=at_s)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / FILE, ring(f"a:{ONE}"))
    yield opened
    opened.close()


def test_a_sketch_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    for call in ("call_aa1", "call_aa2", "call_bb1"):
        store.put(sketch(call))
    assert store.get("call_b").call == "call_bb1"
    assert store.get("call_aa1") == sketch("call_aa1")
    with pytest.raises(NoSketch, match="several"):
        store.get("call_aa")
    with pytest.raises(NoSketch, match="no sketch"):
        store.get("call_c")


def test_the_newest_come_first(store: Store) -> None:
    for call, at_s in (("call_1", 5.0), ("call_2", 9.0), ("call_3", 7.0)):
        store.put(sketch(call, at_s))
    assert [one.call for one in store.newest()] == ["call_2", "call_3", "call_1"]


def test_nothing_but_id_and_time_can_be_read_without_the_key(store: Store, tmp_path: Path) -> None:
    store.put(sketch("call_1"))
    store.close()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for word in (b"messages", b"upstream", b"place", b"role"):
        assert word not in content
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


def test_keys_rotate_and_a_lost_one_loses_its_sketches_only(store: Store, tmp_path: Path) -> None:
    store.put(sketch("call_1"))
    later = Store(tmp_path / FILE, ring(f"b:{TWO}", f"a:{ONE}"))
    later.put(sketch("call_2"))
    assert {one.call for one in later.newest()} == {"call_1", "call_2"}
    later.close()
    without = Store(tmp_path / FILE, ring(f"b:{TWO}"))
    assert [one.call for one in without.newest()] == ["call_2"]
    assert without.unreadable == 1
    with pytest.raises(Unsealable, match="'a'"):
        without.get("call_1")
    without.close()


def test_a_changed_sketch_does_not_open(store: Store, tmp_path: Path) -> None:
    store.put(sketch("call_1"))
    with sqlite3.connect(tmp_path / FILE) as other:
        other.execute("UPDATE sketch SET call = 'call_2'")
    other.close()
    with pytest.raises(Unsealable, match="changed"):
        store.get("call_2")


def test_old_ones_go_and_the_oldest_when_there_are_too_many(store: Store) -> None:
    day = 86_400.0
    for number in range(200):
        store.put(sketch(f"call_{number:03}", number * day / 10))
    store.trim(20 * day, 14.0, 1 << 30)
    kept = [one.call for one in store.newest()]
    assert kept == [f"call_{number:03}" for number in range(199, 59, -1)]
    store.trim(20 * day, 14.0, store.used_bytes // 2)
    kept = [one.call for one in store.newest()]
    assert kept[0] == "call_199"
    assert 0 < len(kept) < 100


def test_another_database_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(ForeignFile, match="Move it away"):
        Store(tmp_path / "other.db", ring(f"a:{ONE}"))
    with pytest.raises(NoSketch, match="no sketch was kept"):
        Store(tmp_path / "none.db", ring(f"a:{ONE}"), read_only=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "no key"), ("a", "no id"), ("a:!!", "no base64"), ("a:AAAA", "3 bytes"), (f"a:{ONE},a:{TWO}", "two keys")],
)
def test_bad_keys_are_refused_without_showing_them(text: str, said: str) -> None:
    with pytest.raises(BadSealingKey, match=said) as error:
        ring(text)
    assert ONE not in str(error.value)


def test_keys_come_from_a_variable_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"# newest first\na:{ONE}\n")
    assert repr(open_keyring(Sketching(key_env="K"), {"K": f"b:{TWO}"})) == "Keyring(b)"
    assert repr(open_keyring(Sketching(key_file=str(tmp_path / "keys")), {})) == "Keyring(a)"
    for settings in (Sketching(key_env="K"), Sketching(key_file=str(tmp_path / "none")), Sketching()):
        with pytest.raises(BadSealingKey):
            open_keyring(settings, {})


def keeper(path: Path, **changes: Any) -> Keeper:
    settings = msgspec.structs.replace(Sketching(keep=(SketchRule(when=SketchWhen.FAILED),)), **changes)
    return Keeper(
        path, ring(f"a:{ONE}"), settings, clock=ManualClock(), finder=detectors, random_bytes=lambda size: b"\3" * size
    )


def test_a_keeper_keeps_what_it_was_offered(tmp_path: Path) -> None:
    opened = keeper(tmp_path / FILE)
    for number in range(5):
        assert opened.offer(job(BODY, call=f"call_{number}"))
    opened.close()
    assert not opened.offer(job(BODY))
    assert (opened.counts.kept, opened.counts.dropped, opened.counts.impossible) == (5, 1, 0)
    store = Store(tmp_path / FILE, ring(f"a:{ONE}"), read_only=True)
    assert len(list(store.newest())) == 5
    store.close()


def test_too_much_at_a_time_is_dropped_and_counted(tmp_path: Path) -> None:
    released = threading.Event()

    def slow() -> Any:
        released.wait(10.0)
        return detectors()

    opened = Keeper(
        tmp_path / FILE,
        ring(f"a:{ONE}"),
        Sketching(),
        clock=ManualClock(),
        finder=slow,
        random_bytes=lambda size: b"\3" * size,
    )
    large = msgspec.structs.replace(job(BODY), fields={"messages": b"{" + b" " * 7_000_000})
    assert [opened.offer(large) for _ in range(4)][-1] is False
    released.set()
    opened.close()
    assert opened.counts.dropped >= 1


def test_a_body_that_cannot_be_read_is_counted(tmp_path: Path) -> None:
    opened = keeper(tmp_path / FILE)
    opened.offer(msgspec.structs.replace(job(BODY), fields={"messages": b"[" * 100_000}))
    opened.close()
    assert opened.counts.impossible == 1
