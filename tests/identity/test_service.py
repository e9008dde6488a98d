"""Who calls, from end to end, with a provider that needs no network."""

from collections.abc import Callable
from hashlib import sha256

import pytest
from tests.identity.signing import NOW_S, claims, jwks, provider, signing_key, token, unsigned
from tests.identity.still_source import StillReader, manual_clock, source, turns

from switchgear.core.clock import ManualClock
from switchgear.core.identity import Key, OidcProvider
from switchgear.identity.errors import ProviderUnreachable
from switchgear.identity.key_source import KeySource
from switchgear.identity.model import Answer, Pending, Principal
from switchgear.identity.refusals import UNKNOWN_KEY, WHAT_TO_DO, Refusal
from switchgear.identity.service import Identities, Identity

FIRST = signing_key("first")
KEY = Key(name="app", sha256=sha256(b"sk-1").hexdigest(), team="platform")
AWAY = ProviderUnreachable("nobody there")


class Plane:
    """An identity over a provider that the test holds in its hand."""

    def __init__(self, reader: StillReader) -> None:
        self.clock: ManualClock = manual_clock()
        self.reader = reader
        self.made = 0
        self.identities = Identities(self._source, self.clock.now_s)
        self.identity: Identity

    def _source(self, name: str, config: OidcProvider, removed: Callable[[frozenset[str]], None]) -> KeySource:
        self.made += 1
        return source(config, self.reader, self.clock, removed=removed)

    async def serve(self, config: OidcProvider | None = None, *keys: Key) -> None:
        self.identity = self.identities.build(keys or (KEY,), {"company": config or provider()}, ())
        await turns()

    def ask(self, shown: bytes) -> Answer | Pending:
        return self.identity.identify(shown, self.clock.now_s())

    def principal(self, shown: bytes) -> Principal:
        answer = self.ask(shown)
        assert isinstance(answer, Principal), answer
        return answer

    def code(self, shown: bytes) -> str:
        answer = self.ask(shown)
        assert isinstance(answer, Refusal), answer
        assert answer.message == WHAT_TO_DO[answer.code]
        assert shown.decode() not in answer.detail + answer.message
        return answer.code


@pytest.fixture
async def plane() -> Plane:
    made = Plane(StillReader(jwks(FIRST)))
    await made.serve()
    return made


async def test_keys_and_tokens_side_by_side(plane: Plane) -> None:
    assert plane.principal(b"sk-1").name == "app"
    assert plane.principal(token(FIRST)).name == "company:alice"
    assert plane.ask(b"sk-2") is UNKNOWN_KEY
    assert plane.code(b"a.b.c") == "invalid_api_key", "what is no token is a key"
    await plane.identities.close()


async def test_a_token_for_an_unknown_issuer(plane: Plane) -> None:
    assert plane.code(token(FIRST, claims(iss="https://evil.example.com"))) == "invalid_token"
    assert plane.code(token(FIRST, claims(iss={"a": 1}))) == "invalid_token"
    await plane.identities.close()


async def test_without_a_provider_a_token_is_an_unknown_key() -> None:
    identity = Identities(lambda *_: pytest.fail("no source is needed"), lambda: NOW_S).build([KEY], {}, ())
    assert identity.identify(token(FIRST), NOW_S) is UNKNOWN_KEY


async def test_a_repeated_token_is_verified_once_until_it_expires(plane: Plane) -> None:
    shown = token(FIRST)
    who = plane.principal(shown)
    credential = plane.identity.credential(shown)
    assert credential is not None
    assert credential.answer(NOW_S) is who
    plane.clock.advance(629.0)
    assert plane.principal(shown) is who
    assert plane.identity.credential(shown) is credential, "it was not verified again"
    plane.clock.advance(1.0)
    assert plane.code(shown) == "token_expired"
    assert plane.code(shown) == "token_expired"
    assert plane.principal(token(FIRST, claims(plane.clock.now_s()))) is who, "a renewed token is the same principal"
    await plane.identities.close()


async def test_a_call_waits_for_the_first_keys_and_goes_on() -> None:
    plane = Plane(StillReader(jwks(FIRST)))
    plane.reader.gate.clear()
    await plane.serve()
    answers: list[Answer] = []
    for shown in (token(FIRST), token(FIRST, claims(sub="bob")), token(signing_key("other"))):
        answer = plane.ask(shown)
        assert isinstance(answer, Pending)
        answer.then(answers.append)
    gone = plane.ask(token(FIRST))
    assert isinstance(gone, Pending)
    gone.then(lambda _: pytest.fail("who hung up is not called back"))
    gone.cancel()
    plane.reader.gate.set()
    await turns()
    assert [one.name if isinstance(one, Principal) else one.code for one in answers] == [
        "company:alice",
        "company:bob",
        "invalid_token",
    ]
    await plane.identities.close()


async def test_a_token_that_expires_while_it_waits_is_judged_by_the_time_then() -> None:
    plane = Plane(StillReader(jwks(FIRST)))
    plane.reader.gate.clear()
    await plane.serve()
    answers: list[Answer] = []
    waiting = plane.ask(token(FIRST))
    assert isinstance(waiting, Pending)
    waiting.then(answers.append)
    plane.clock.advance(1000.0)
    plane.reader.gate.set()
    await turns()
    assert [answer.code for answer in answers if isinstance(answer, Refusal)] == ["token_expired"]
    await plane.identities.close()


async def test_keys_work_while_a_provider_does_not() -> None:
    plane = Plane(StillReader(AWAY))
    await plane.serve(provider(min_refresh_s=10.0))
    answer = plane.ask(token(FIRST))
    assert isinstance(answer, Refusal)
    assert (answer.code, answer.retry_after_s) == ("identity_provider_unavailable", 10.0)
    assert "nobody there" in answer.detail
    assert "nobody there" not in answer.message
    assert plane.principal(b"sk-1").name == "app"
    await plane.identities.close()


async def test_a_key_that_is_gone_takes_what_it_signed_with_it_wherever_that_is_remembered(plane: Plane) -> None:
    shown = token(FIRST)
    plane.principal(shown)
    remembered = plane.identity.credential(shown)
    assert remembered is not None
    plane.reader.answer = jwks(signing_key("second"))
    plane.clock.advance(60.0)
    waiting = plane.ask(token(signing_key("second"), claims(plane.clock.now_s())))
    assert isinstance(waiting, Pending)
    waiting.then(lambda _: None)
    await turns()
    assert remembered.answer(plane.clock.now_s()) is None
    plane.clock.advance(1.0)
    assert plane.code(shown) == "invalid_token"
    await plane.identities.close()


async def test_a_reload_without_a_change_keeps_keys_and_tokens(plane: Plane) -> None:
    shown = token(FIRST)
    plane.principal(shown)
    credential = plane.identity.credential(shown)
    await plane.serve(None, Key(name="other", sha256=sha256(b"sk-2").hexdigest()))
    assert plane.identity.credential(shown) is credential
    assert plane.code(b"sk-1") == "invalid_api_key"
    assert (plane.made, plane.reader.asked) == (1, 1)
    await plane.identities.close()


async def test_a_reload_that_changes_a_provider_counts_at_once(plane: Plane) -> None:
    shown = token(FIRST)
    old = plane.principal(shown)
    await plane.serve(provider(disabled=("alice",)))
    assert plane.code(shown) == "principal_disabled"
    await plane.serve(provider(team="guests"))
    new = plane.principal(shown)
    assert (old.team, new.team, old is new) == ("", "guests", False)
    assert (plane.made, plane.reader.asked) == (1, 1), "its keys are the same, and were not read again"
    await plane.serve(provider(audience=("urn:other",), refresh_s=60.0))
    assert plane.code(shown) == "token_wrong_audience"
    assert (plane.made, plane.reader.asked) == (2, 2)
    await plane.identities.close()


async def test_who_waits_over_a_reload_goes_on_by_the_old_rules_and_teaches_the_new_ones_nothing() -> None:
    plane = Plane(StillReader(jwks(FIRST)))
    plane.reader.gate.clear()
    await plane.serve()
    shown = token(FIRST)
    answers: list[Answer] = []
    waiting = plane.ask(shown)
    assert isinstance(waiting, Pending)
    waiting.then(answers.append)
    await plane.serve(provider(disabled=("alice",)))
    plane.reader.gate.set()
    await turns()
    assert isinstance(answers[0], Principal)
    assert plane.code(shown) == "principal_disabled"
    await plane.identities.close()


async def test_what_is_told_of_providers(plane: Plane) -> None:
    assert plane.identities.live(NOW_S) == {
        "company": {"keys": 1, "good_for_s": 86400.0, "readings": 1, "last_error": ""}
    }
    await plane.identities.close()


async def test_a_forged_token_leaves_nothing_behind(plane: Plane) -> None:
    for number in range(10):
        plane.code(unsigned({"alg": "RS256", "kid": "first"}, claims(sub=str(number)), b"x" * 256))
    assert len(plane.identities._tokens) == 0
    await plane.identities.close()
