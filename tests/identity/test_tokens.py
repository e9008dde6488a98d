"""Tokens: what is read of a stranger's bytes, and what a good one must say. Tricks with true keys: test_openid_provider.py."""

import base64
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.identity.signing import AUDIENCE, NOW_S, claims, jwks, provider, signing_key, token, unsigned

from switchgear.core.identity import Algorithm
from switchgear.identity.errors import TokenRejected
from switchgear.identity.jwks import read_jwks
from switchgear.identity.tokens import LONGEST, Rules, Unverified

KEY = signing_key("first")


def verified(shown: bytes, **changes: Any) -> float:
    """Until when it counts."""
    rules = Rules(provider(**changes))
    read = Unverified(shown)
    algorithm = rules.check_header(read)
    read.verify(rules.registry, read_jwks(jwks(KEY)).choose(read.kid, algorithm).key)
    return rules.check_claims(read.claims, NOW_S)


def code_of(shown: bytes, **changes: Any) -> str:
    with pytest.raises(TokenRejected) as caught:
        verified(shown, **changes)
    return caught.value.code


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_every_algorithm_that_may_be_configured(algorithm: Algorithm) -> None:
    key = signing_key(f"for {algorithm}", algorithm.value)
    rules = Rules(provider(algorithms=(algorithm,)))
    keys = read_jwks(jwks(key))
    good = Unverified(token(key))
    good.verify(rules.registry, keys.choose(good.kid, rules.check_header(good)).key)
    head, _, signature = token(key).rpartition(b".")
    changed = Unverified(head + b"." + bytes([signature[0] ^ 1]) + signature[1:])
    with pytest.raises(TokenRejected):
        changed.verify(rules.registry, keys.choose(good.kid, algorithm).key)
    other = Unverified(token(key, claims(sub="mallory")).rpartition(b".")[0] + b"." + signature)
    with pytest.raises(TokenRejected):
        other.verify(rules.registry, keys.choose(good.kid, algorithm).key)


def test_when_a_token_counts() -> None:
    assert verified(token(KEY), leeway_s=30) == NOW_S + 600 + 30
    assert verified(token(KEY, claims(exp=NOW_S + 0.5)), leeway_s=0) == NOW_S + 0.5
    assert verified(token(KEY, claims(exp=10**400))) == 253402300800
    at = int(NOW_S)
    for leeway_s in (0, 30):
        good: list[dict[str, Any]] = [
            {"exp": at - leeway_s + 1},
            {"nbf": at + leeway_s},
            {"iat": at + leeway_s},
            {"iat": None, "nbf": None},
        ]
        for changes in good:
            assert verified(token(KEY, claims(**changes)), leeway_s=leeway_s) > NOW_S
        assert code_of(token(KEY, claims(exp=at - leeway_s)), leeway_s=leeway_s) == "token_expired"
        assert code_of(token(KEY, claims(nbf=at + leeway_s + 1)), leeway_s=leeway_s) == "token_not_yet_valid"
        assert code_of(token(KEY, claims(iat=at + leeway_s + 1)), leeway_s=leeway_s) == "token_not_yet_valid"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aud": None}, "token_wrong_audience"),
        ({"aud": "urn:other"}, "token_wrong_audience"),
        ({"aud": []}, "token_wrong_audience"),
        ({"aud": ["urn:other", 5]}, "token_wrong_audience"),
        ({"aud": {AUDIENCE: 1}}, "token_wrong_audience"),
        ({"aud": AUDIENCE + "/"}, "token_wrong_audience"),
        ({"iss": None}, "invalid_token"),
        ({"iss": "https://login.example.com/realms/company/"}, "invalid_token"),
        ({"iss": ["https://login.example.com/realms/company"]}, "invalid_token"),
        ({"exp": None}, "invalid_token"),
        ({"exp": "never"}, "invalid_token"),
        ({"exp": True}, "invalid_token"),
        ({"cnf": {"jkt": "x"}}, "invalid_token"),
        ({"cnf": {"x5t#S256": "x"}}, "invalid_token"),
    ],
)
def test_claims_that_are_not_good_enough(changes: dict[str, Any], code: str) -> None:
    assert code_of(token(KEY, claims(**changes))) == code


def test_one_of_several_audiences_is_enough() -> None:
    assert verified(token(KEY, claims(aud=["urn:other", AUDIENCE])), audience=("urn:mine", AUDIENCE)) > NOW_S


def test_types_of_tokens() -> None:
    for good in ("at+jwt", "AT+JWT", "application/at+jwt", "JWT", "jwt", None):
        assert verified(token(KEY, typ=good)) > NOW_S
    for bad in ("logout+jwt", "secevent+jwt", "dpop+jwt", ""):
        assert code_of(token(KEY, typ=bad)) == "invalid_token"
    assert code_of(unsigned({"alg": "RS256", "typ": ["JWT"]}, claims())) == "invalid_token"
    assert verified(token(KEY), types=("at+jwt",)) > NOW_S
    for other in ("JWT", None):
        assert code_of(token(KEY, typ=other), types=("at+jwt",)) == "invalid_token"


@pytest.mark.parametrize("crit", [[], ["exp"], ["b64"], "exp", [5], None])
def test_a_token_with_a_critical_extension_is_refused_whatever_it_is(crit: object) -> None:
    assert code_of(unsigned({"alg": "RS256", "kid": "first", "crit": crit, "b64": True}, claims())) == "invalid_token"
    assert code_of(unsigned({"alg": "RS256", "kid": "first", "crit": crit}, claims())) == "invalid_token"


def test_fields_of_a_header_that_nobody_knows_are_ignored() -> None:
    assert verified(token(KEY, nonce="x", x5t="y", ver=2)) > NOW_S


def test_a_signature_has_one_spelling() -> None:
    head, _, signature = token(KEY).rpartition(b".")
    last = signature[-1:]
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    neighbour = alphabet[alphabet.index(last) + 1 : alphabet.index(last) + 2]
    for other in (signature + b"=", signature + b"==", signature[:-1] + neighbour, signature + b"\n", signature[:-1]):
        assert code_of(head + b"." + other) == "invalid_token"


def b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


HEAD, BODY = b64(b'{"alg":"RS256","kid":"first"}'), b64(json.dumps(claims()).encode())


@pytest.mark.parametrize(
    "shown",
    [
        b"",
        b"..",
        b"a.b",
        b"a.b.c.d",
        b"\xff.\xff.\xff",
        b64(b"{}") + b"." + BODY + b".",
        b64(b'"alg"') + b"." + BODY + b".",
        b64(b'["alg"]') + b"." + BODY + b".",
        b64(b'{"alg":null}') + b"." + BODY + b".",
        b64(b'{"alg":["RS256"]}') + b"." + BODY + b".",
        b64(b'{"alg":"RS256","kid":5}') + b"." + BODY + b".",
        b64(b'{"alg":"RS256","kid":["first"]}') + b"." + BODY + b".",
        b64(b'{"a":' * 1200 + b"1" + b"}" * 1200) + b"." + BODY + b".",
        HEAD + b"." + b64(b"[1]") + b".",
        HEAD + b"." + b64(b"nonsense") + b".",
        HEAD + b"." + b64(b'{"exp": NaN}') + b".",
        HEAD + b"." + b64(b'{"a":' * 2000 + b"1" + b"}" * 2000) + b".",
        HEAD + b"." + BODY + b".",
        HEAD + b"." + BODY + b".AAAA",
        HEAD + b"." + BODY + b".!!!!",
        HEAD + b".." + b64(b"x" * 256),
        HEAD + b"." + b64(b"x" * LONGEST) + b".AAAA",
    ],
)
def test_what_is_no_token(shown: bytes) -> None:
    assert code_of(shown) == "invalid_token"


@given(parts=st.lists(st.binary(max_size=40), min_size=1, max_size=4), encoded=st.booleans())
@example(parts=[b'{"alg":"RS256"}', b"{}", b""], encoded=True)
@settings(derandomize=True, max_examples=300)
def test_any_bytes_are_refused_and_never_a_defect(parts: list[bytes], encoded: bool) -> None:
    assert code_of(b".".join(b64(part) if encoded else part for part in parts)) == "invalid_token"


json_values = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.text(max_size=4), max_size=3)
)


@given(
    header=st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "jku", "x5c", "jwk", "b64", "x"]), json_values
    ),
    content=st.dictionaries(st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "jti"]), json_values),
)
@settings(derandomize=True, max_examples=300)
def test_any_json_without_a_signature_is_refused_and_never_a_defect(
    header: dict[str, object], content: dict[str, object]
) -> None:
    assert code_of(unsigned({"alg": "RS256", "kid": "first"} | header, content, b"x" * 256)) == "invalid_token"


@given(content=st.dictionaries(st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "jti"]), json_values))
@settings(derandomize=True, max_examples=200)
def test_any_claims_that_are_signed_count_or_are_refused(content: dict[str, object]) -> None:
    rules = Rules(provider())
    try:
        until_s = rules.check_claims(claims() | content, NOW_S)
    except TokenRejected:
        return
    assert until_s > NOW_S
