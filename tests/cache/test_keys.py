"""Keys: the same only for calls that say the same, for the same people, about the same class of data."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switchgear.cache.keys import DIGEST_BYTES, Keys, audience
from switchgear.core.caching import Scope
from switchgear.core.snapshot import Endpoint

SECRET = bytes(range(32))
BODY = b'{"model": "chat", "messages": [{"role": "user", "content": "hi"}], "temperature": 0}'


def fields(body: bytes) -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(body, type=dict[str, msgspec.Raw])


def key(body: bytes = BODY, *, secret: bytes = SECRET, endpoint: Endpoint = Endpoint.CHAT, **facts: object) -> bytes:
    given = {"places": "chat appliance/llama-8b", "audience": "key a", "data_class": "internal", **facts}
    return Keys(secret).key(endpoint, fields(body), **given)  # type: ignore[arg-type]  # facts are given by name


def test_a_key_is_short_and_the_same_each_time() -> None:
    assert key() == key()
    assert len(key()) == DIGEST_BYTES


@pytest.mark.parametrize(
    "body",
    [
        b'{"temperature":0,"messages":[{"role": "user", "content": "hi"}],"model":"chat"}',
        b'{"model": "chat", "stream": true, "messages": [{"role": "user", "content": "hi"}], "temperature": 0}',
        b'{"model": "chat", "stream": true, "stream_options": {"include_usage": true},'
        b' "messages": [{"role": "user", "content": "hi"}], "temperature": 0}',
    ],
)
def test_order_space_between_fields_and_form_do_not_matter(body: bytes) -> None:
    assert key(body) == key()


@pytest.mark.parametrize(
    "body",
    [
        BODY.replace(b"hi", b"ho"),
        BODY.replace(b'"temperature": 0', b'"temperature": 0.0'),
        BODY.replace(b'"chat"', b'"chat@appliance"'),
        BODY.replace(b"}]", b"}, {}]"),
        BODY[:-1] + b', "user": "u1"}',
        BODY[:-1] + b', "n": 2}',
        BODY.replace(b'"temperature": 0', b'"temperature": 0, "seed": 0'),
    ],
)
def test_all_else_in_the_body_matters(body: bytes) -> None:
    assert key(body) != key()


@pytest.mark.parametrize(
    "facts",
    [
        {"places": "chat appliance/llama-8b cloud/gpt-x"},
        {"audience": "key b"},
        {"audience": "team a"},
        {"data_class": "public"},
        {"endpoint": Endpoint.RESPONSES},
        {"variant": b"assistants=v2"},
        {"secret": bytes(32)},
    ],
)
def test_whom_what_class_and_which_places_matter(facts: dict[str, object]) -> None:
    assert key(**facts) != key()  # type: ignore[arg-type]  # one fact at a time


def test_an_ignored_field_does_not_matter() -> None:
    named = BODY[:-1] + b', "user": "u1"}'
    assert key(named, ignore=frozenset(("user",))) == key(ignore=frozenset(("user",)))


def test_a_key_without_a_team_shares_with_nobody() -> None:
    assert audience(Scope.TEAM, "a", "") == audience(Scope.KEY, "a", "")
    assert audience(Scope.TEAM, "a", "") != audience(Scope.TEAM, "b", "")
    assert audience(Scope.TEAM, "a", "t") == audience(Scope.TEAM, "b", "t")
    assert audience(Scope.TEAM, "a", "x") != audience(Scope.KEY, "x", "")
    assert audience(Scope.EVERYONE, "a", "") == audience(Scope.EVERYONE, "b", "t")


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Keys(b"short")


TEXTS = st.text(max_size=6)
PARTS = st.tuples(TEXTS, TEXTS, TEXTS, st.binary(max_size=6), st.dictionaries(TEXTS, st.integers() | TEXTS, max_size=3))


@settings(derandomize=True, max_examples=500, deadline=None)
@given(PARTS, PARTS)
def test_two_calls_that_differ_in_anything_have_two_keys(one: tuple, other: tuple) -> None:  # type: ignore[type-arg]  # made by the strategy
    keys = Keys(SECRET)

    def made(parts: tuple) -> bytes:  # type: ignore[type-arg]  # made by the strategy
        places, who, data_class, variant, body = parts
        raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in body.items()}
        return keys.key(Endpoint.CHAT, raw, places=places, audience=who, data_class=data_class, variant=variant)

    def said(parts: tuple) -> tuple:  # type: ignore[type-arg]  # made by the strategy
        *rest, body = parts
        return (*rest, {name: value for name, value in body.items() if name not in ("stream", "stream_options")})

    assert (made(one) == made(other)) == (said(one) == said(other))
