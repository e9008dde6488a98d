"""Keys and when they count."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switchgear.core.data_class import DataClass
from switchgear.core.identity import Key, OtherHash
from switchgear.identity.keys import credentials_of
from switchgear.identity.model import Answer, PrincipalKind, Principals
from switchgear.identity.refusals import Refusal

START = datetime(2027, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def hashed(secret: bytes) -> str:
    return sha256(secret).hexdigest()


def shown(key: Key, secret: bytes, at: datetime) -> Answer | None:
    credential = credentials_of([key], Principals()).get(sha256(secret).digest())
    return None if credential is None else credential.answer(at.timestamp())


def test_a_key_shows_all_that_is_configured_of_it() -> None:
    key = Key(
        name="app",
        sha256=hashed(b"secret"),
        team="platform",
        models=("small", "chat"),
        roles=("writer", "reader", "writer"),
        data_class=DataClass.INTERNAL,
        max_data_class=DataClass.CONFIDENTIAL,
        pin=True,
    )
    who = shown(key, b"secret", START)
    assert not isinstance(who, Refusal)
    assert who is not None
    assert (who.kind, who.name, who.team, who.pin) == (PrincipalKind.KEY, "app", "platform", True)
    assert who.models == frozenset({"small", "chat"})
    assert who.roles == ("reader", "writer")
    assert (who.data_class, who.max_data_class) == (DataClass.INTERNAL, DataClass.CONFIDENTIAL)


def test_another_secret_shows_nobody() -> None:
    assert shown(Key(name="app", sha256=hashed(b"secret")), b"secret ", START) is None


@pytest.mark.parametrize(("at", "code"), [(START - DAY, None), (START, "key_expired"), (START + DAY, "key_expired")])
def test_an_expired_key_is_called_expired_from_that_moment_on(at: datetime, code: str | None) -> None:
    answer = shown(Key(name="app", sha256=hashed(b"secret"), expires=START), b"secret", at)
    assert (answer.code if isinstance(answer, Refusal) else None) == code


def test_a_disabled_key_is_called_disabled_though_it_has_expired_too() -> None:
    other = OtherHash(sha256=hashed(b"other"))
    key = Key(name="app", sha256=hashed(b"secret"), disabled=True, expires=START, hashes=(other,))
    for secret in (b"secret", b"other"):
        assert shown(key, secret, START + DAY) == Refusal("key_disabled")


def test_rotation_overlaps_and_is_one_principal() -> None:
    key = Key(
        name="app",
        sha256=hashed(b"old"),
        expires=START + 30 * DAY,
        hashes=(
            OtherHash(sha256=hashed(b"new"), valid_from=START),
            OtherHash(sha256=hashed(b"older"), valid_until=START),
        ),
    )
    before, after = START - timedelta(seconds=1), START
    assert shown(key, b"new", before) == Refusal("key_not_yet_valid")
    assert shown(key, b"older", after) == Refusal("key_expired")
    assert shown(key, b"new", START + 30 * DAY) == Refusal("key_expired")
    principals = Principals()
    credentials = credentials_of([key], principals)
    whom = {credential.answer(after.timestamp()) for credential in credentials.values()} - {Refusal("key_expired")}
    assert len(whom) == 1


def test_the_same_rights_after_a_reload_are_the_same_object() -> None:
    principals = Principals()
    before = credentials_of([Key(name="app", sha256=hashed(b"a"), roles=("x", "y"))], principals)
    again = credentials_of([Key(name="app", sha256=hashed(b"b"), roles=("y", "x"))], principals)
    other = credentials_of([Key(name="app", sha256=hashed(b"a"), roles=("x",))], principals)
    (one,), (two,), (three,) = before.values(), again.values(), other.values()
    assert one.principal is two.principal
    assert one.principal is not three.principal
    assert one.principal != three.principal
    del before, again, other, one, two, three
    assert len(principals) == 0, "principals that nobody holds are not kept"


moments = st.none() | st.integers(-5, 5).map(lambda days: START + days * DAY)


@given(valid_from=moments, valid_until=moments, expires=moments, at=st.integers(-6, 6), disabled=st.booleans())
@settings(derandomize=True)
def test_any_window_is_half_open_and_within_the_keys_own(
    valid_from: datetime | None, valid_until: datetime | None, expires: datetime | None, at: int, disabled: bool
) -> None:
    now = START + at * DAY
    key = Key(
        name="app",
        sha256=hashed(b"first"),
        expires=expires,
        disabled=disabled,
        hashes=(OtherHash(sha256=hashed(b"second"), valid_from=valid_from, valid_until=valid_until),),
    )
    begun = valid_from is None or now >= valid_from
    ended = any(end is not None and now >= end for end in (valid_until, expires))
    answer = shown(key, b"second", now)
    if disabled:
        assert answer == Refusal("key_disabled")
    elif begun and not ended:
        assert not isinstance(answer, Refusal)
    else:
        assert isinstance(answer, Refusal)
        assert answer.code == ("key_expired" if begun else "key_not_yet_valid")
