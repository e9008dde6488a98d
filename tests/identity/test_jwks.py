"""The keys that a provider publishes."""

import base64
import json
import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.errors import SecurityWarning
from joserfc.jwk import RSAKey
from tests.identity.signing import jwks, signing_key

from switchgear.identity.errors import KeyUnknown, ProviderUnusable, TokenRejected
from switchgear.identity.jwks import MOST_KEYS, read_jwks

RSA = signing_key("rsa")
EC = signing_key("ec", "ES256")
ED = signing_key("ed", "Ed25519")


def published(*entries: object) -> bytes:
    return json.dumps({"keys": entries}).encode()


def entry(key: Any, **changes: object) -> dict[str, object]:
    return {name: value for name, value in (key.as_dict(private=False) | changes).items() if value is not None}


def test_a_key_is_chosen_by_its_name_and_its_kind() -> None:
    keys = read_jwks(jwks(RSA, EC, ED))
    assert keys.choose("rsa", "RS256").key.kid == "rsa"
    assert keys.choose("ec", "ES256").key.kid == "ec"
    assert keys.choose("ed", "Ed25519").key.kid == "ed"
    for kid, algorithm in (("rsa", "ES256"), ("ec", "RS256"), ("ec", "ES384"), ("rsa", "PS256"), ("ed", "ES256")):
        with pytest.raises(TokenRejected) as caught:
            keys.choose(kid, algorithm)
        assert not isinstance(caught.value, KeyUnknown), "reading the keys again would not help"
    with pytest.raises(KeyUnknown) as unknown:
        keys.choose("another" * 1000, "RS256")
    assert len(str(unknown.value)) < 200, "a stranger does not fill our log"


def test_a_token_that_names_no_key_is_verified_where_only_one_would_do() -> None:
    keys = read_jwks(jwks(RSA, EC))
    assert keys.choose(None, "ES256").key.kid == "ec"
    with pytest.raises(KeyUnknown):
        keys.choose(None, "Ed25519")
    with pytest.raises(TokenRejected) as caught:
        read_jwks(jwks(RSA, signing_key("other"))).choose(None, "RS256")
    assert "2 keys" in str(caught.value)


def test_a_key_without_alg_does_every_algorithm_of_its_kind() -> None:
    keys = read_jwks(published(entry(RSA, alg=None, kid=None)))
    assert keys.choose(None, "RS512") is keys.choose(None, "PS256")


def test_two_keys_of_different_kinds_may_share_a_name() -> None:
    keys = read_jwks(published(entry(RSA, kid="same"), entry(EC, kid="same")))
    assert keys.choose("same", "RS256").key.key_type == "RSA"
    assert keys.choose("same", "ES256").key.key_type == "EC"


@pytest.mark.parametrize(
    "bad",
    [
        entry(RSA, kty="oct", k="c2VjcmV0"),
        entry(RSA, kty="AKP"),
        entry(RSA, kty=None),
        entry(RSA, use="enc"),
        entry(RSA, key_ops=["encrypt"]),
        entry(RSA, n=None),
        entry(RSA, n="!!!"),
        entry(RSA, n=5),
        entry(RSA, kid=5),
        entry(RSA, alg=7),
        entry(RSA, e="AA"),
        entry(EC, crv="secp256k1"),
        entry(EC, crv=["P-256"]),
        entry(EC, x="AA"),
        entry(ED, crv="X25519"),
        entry(ED, x="AA"),
    ],
)
def test_a_key_that_cannot_be_used_is_left_out_and_told_of(bad: dict[str, object]) -> None:
    keys = read_jwks(published(bad, entry(signing_key("good"))))
    assert len(keys) == 1
    assert len(keys.skipped) == 1


def test_a_short_rsa_key_is_left_out_even_with_zeros_before_it() -> None:
    with warnings.catch_warnings(action="ignore", category=SecurityWarning):
        short = RSAKey.generate_key(1024, parameters={"kid": "short"}).as_dict(private=False)
    padded = base64.urlsafe_b64encode(bytes(128) + base64.urlsafe_b64decode(f"{short['n']}==")).rstrip(b"=").decode()
    for modulus in (short["n"], padded):
        keys = read_jwks(published({**short, "n": modulus}, entry(RSA)))
        assert "1024 bits" in keys.skipped[0]


def test_a_private_key_that_is_published_is_read_as_the_public_one() -> None:
    keys = read_jwks(json.dumps({"keys": [RSA.as_dict(private=True)]}).encode())
    assert not keys.choose("rsa", "RS256").key.is_private


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [5]}',
        b"<html>",
        b'{"keys": "\xff"}',
        b'{"keys":' + b"[" * 100_000,
        published(*[entry(RSA)] * (MOST_KEYS + 1)),
        published(entry(RSA, use="enc")),
    ],
)
def test_a_set_without_a_usable_key_is_refused_whole(content: bytes) -> None:
    with pytest.raises(ProviderUnusable):
        read_jwks(content)


members = st.fixed_dictionaries(
    {},
    optional={
        name: st.text(max_size=12)
        | st.integers()
        | st.none()
        | st.just(entry(RSA).get(name, entry(EC).get(name, "EC")))
        for name in ("kty", "n", "e", "crv", "x", "y", "kid", "use", "key_ops", "alg")
    },
)


@given(st.lists(members, max_size=4))
@settings(derandomize=True, max_examples=300)
def test_any_set_is_read_or_refused(entries: list[dict[str, object]]) -> None:
    try:
        keys = read_jwks(published(*entries))
    except ProviderUnusable:
        return
    assert len(keys) + len(keys.skipped) == len(entries)
