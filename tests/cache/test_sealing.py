"""Sealing: what is sealed opens with its key and for its row alone; keys rotate; no key is ever shown."""

import base64
import os

import pytest

from switchgear.cache.errors import BadCacheKey
from switchgear.cache.sealing import Keyring, Sealed, Unsealable, parse_keys

OLD, NEW = ("2026-10", bytes(32)), ("2026-11", bytes(range(32)))


def test_what_was_sealed_opens_and_shows_nothing() -> None:
    ring = Keyring([NEW], os.urandom)
    sealed = ring.seal(b"the answer", b"row")
    assert ring.open(sealed, b"row") == b"the answer"
    assert b"answer" not in sealed.data
    assert ring.seal(b"the answer", b"row").data != sealed.data


def test_after_a_rotation_old_and_new_open_and_the_new_one_seals() -> None:
    before = Keyring([OLD], os.urandom).seal(b"x", b"row")
    ring = Keyring([NEW, OLD], os.urandom)
    assert ring.open(before, b"row") == b"x"
    assert ring.seal(b"x", b"row").key_id == "2026-11"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda sealed: (Sealed("2026-12", sealed.data), b"row"),
        lambda sealed: (sealed, b"another row"),
        lambda sealed: (Sealed(sealed.key_id, sealed.data[:-1] + bytes([sealed.data[-1] ^ 1])), b"row"),
        lambda sealed: (Sealed(sealed.key_id, sealed.data[:8]), b"row"),
        lambda sealed: (Sealed(OLD[0], sealed.data), b"row"),
    ],
)
def test_what_was_changed_moved_or_sealed_by_another_does_not_open(spoil) -> None:  # type: ignore[no-untyped-def]  # one of the lambdas above
    ring = Keyring([NEW, OLD], os.urandom)
    sealed, context = spoil(ring.seal(b"x", b"row"))
    with pytest.raises(Unsealable):
        ring.open(sealed, context)


def test_keys_are_read_from_lines_or_commas() -> None:
    one, two = base64.b64encode(NEW[1]).decode(), base64.urlsafe_b64encode(b"\xff" * 32).decode()
    text = f"# rotated in November\n2026-11:{one}, 2026-10:{two}  # until December\n\n"
    assert parse_keys(text) == [NEW, ("2026-10", b"\xff" * 32)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("c2VjcmV0c2VjcmV0", "has no id"),
        ("a b:c2VjcmV0", "has no id"),
        ("k1:c2Vj cmV0!", "no base64"),
    ],
)
def test_a_bad_key_is_refused_with_a_remedy_and_never_shown(text: str, says: str) -> None:
    with pytest.raises(BadCacheKey, match=says) as caught:
        parse_keys(text)
    assert "openssl rand" in str(caught.value)
    assert "c2Vj" not in str(caught.value)


@pytest.mark.parametrize("keys", [[], [("a", b"short")], [OLD, OLD]])
def test_a_ring_of_no_short_or_equal_keys_is_refused(keys: list[tuple[str, bytes]]) -> None:
    with pytest.raises(BadCacheKey):
        Keyring(keys, os.urandom)


def test_a_ring_shows_ids_alone() -> None:
    assert repr(Keyring([NEW, OLD], os.urandom)) == "Keyring(2026-11, 2026-10)"
