"""People and programs that sign in at a real OpenID provider, through a data plane."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from openai import AsyncOpenAI, AuthenticationError, InternalServerError, PermissionDeniedError
from tests.gateway.plane import LaterClock, Plane, request
from tests.gateway.test_keys import code
from tests.identity.openid_provider import OpenIdProvider, installed
from tests.identity.signing import claims, hmac_signed, signing_key, token
from tests.wire.serving import Caller

from switchgear.core.authorization import Authorization, PolicyText
from switchgear.core.data_class import DataClass
from switchgear.core.identity import ClaimPaths, OidcProvider
from switchgear.core.record import Outcome
from switchgear.core.snapshot import make_snapshot

CALL: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
CLAIMS = ClaimPaths(team="department.team", roles="realm_access.roles")


@pytest.fixture(scope="module")
def process() -> Iterator[OpenIdProvider]:
    with OpenIdProvider(installed()) as process:
        process.start(signing_key("first"))
        yield process


@pytest.fixture
def openid(process: OpenIdProvider) -> OpenIdProvider:
    """The provider as it was at the start: one key, no faults, nothing counted."""
    process.rotate(signing_key("first"))
    process.command("misbehave")
    process.command("count")
    return process


def company(openid: OpenIdProvider, **changes: Any) -> OidcProvider:
    usual: dict[str, Any] = {"issuer": openid.issuer, "audience": (openid.audience,), "claims": CLAIMS}
    return OidcProvider(**(usual | {"min_refresh_s": 1e-6} | changes))


def plane(provider: OidcProvider, **own: Any) -> Plane:
    return Plane("a", oidc={"company": provider}, aliases={"large": {"labels": ("large",)}}, **own)


async def ask(plane: Plane, shown: str, **fields: Any) -> str:
    """One call by the official client; its text."""
    async with AsyncOpenAI(base_url=plane.base_url, api_key=shown, max_retries=0, timeout=20.0) as client:
        answer = await client.chat.completions.create(
            model=fields.get("model", "chat"), messages=[{"role": "user", "content": "hi"}], max_tokens=4
        )
    return answer.choices[0].message.content or ""


async def until_read(plane: Plane) -> None:
    """The provider's keys have been read once."""
    while not plane.builder.identities.live(time.time())["company"]["keys"]:  # type: ignore[index]  # what is shown of it
        await asyncio.sleep(0.01)


async def test_somebody_who_signed_in_calls_as_themself(openid: OpenIdProvider) -> None:
    shown = openid.sign_in("alice")["access_token"]
    async with plane(company(openid)) as it:
        assert await ask(it, shown)
        record = await it.record()
        assert (record.principal, record.team) == ("company:alice", "platform")
        assert len(shown) > 500
        assert shown not in repr(record)


async def test_a_program_calls_with_its_client_credentials_and_only_the_first_call_is_verified(
    openid: OpenIdProvider,
) -> None:
    shown = openid.service_token().decode()
    async with plane(company(openid)) as it, Caller(it.address) as caller:
        assert [await code(caller, shown) for _ in range(3)] == ["ok"] * 3
        assert {(record.principal, record.team) for record in it.records.kept} == {("company:service", "automation")}
        assert openid.command("count") == {"discovery": 1, "jwks": 1}


async def test_roles_of_the_sign_in_are_those_of_policies(openid: OpenIdProvider) -> None:
    text = """@id("all") permit (principal, action, resource);
    @id("small-only") @remedy("Call chat.") forbid (principal in Role::"contractor", action, resource)
    when { context.model.labels.contains("large") };"""
    authorization = Authorization(texts=(PolicyText("p.cedar", text),))
    bob, alice = (openid.sign_in(name)["access_token"] for name in ("bob", "alice"))
    async with plane(company(openid), authorization=authorization) as it:
        with pytest.raises(PermissionDeniedError, match=r"small-only.*Call chat\."):
            await ask(it, bob, model="large")
        assert await ask(it, bob)
        assert await ask(it, alice, model="large")
        assert [record.principal for record in it.records.kept] == ["company:bob", "company:bob", "company:alice"]


async def test_what_a_provider_says_of_all_who_sign_in_there(openid: OpenIdProvider) -> None:
    shown = openid.sign_in("alice")["access_token"]
    limited = company(openid, models=("chat",), data_class=DataClass.INTERNAL, max_data_class=DataClass.INTERNAL)
    async with plane(limited) as it, Caller(it.address) as caller:
        assert await code(caller, shown) == "ok"
        assert (await it.record()).data_class == "internal"
        assert await code(caller, shown, model="large") == "model_not_allowed"
        assert await code(caller, shown, model="chat@a") == "pin_not_allowed"
        await caller.send(request(CALL, key=shown, x_switchgear_data_class="confidential"))
        assert (await caller.answer()).status == 403
        assert (await it.record(4)).error == "data_class_not_allowed"


async def test_a_token_expires_on_a_connection_that_is_open(openid: OpenIdProvider) -> None:
    clock = LaterClock()
    shown = openid.service_token().decode()
    async with plane(company(openid), clock=clock) as it, Caller(it.address) as caller:
        for seconds, expected in ((0, "ok"), (610, "ok"), (640, "token_expired"), (650, "token_expired")):
            clock.later_s = float(seconds)
            assert [await code(caller, shown) for _ in range(2)] == [expected] * 2
        fresh = openid.service_token().decode()
        clock.later_s = 0.0
        assert await code(caller, fresh) == "ok"


async def test_keys_are_rotated_under_calls(openid: OpenIdProvider) -> None:
    async with plane(company(openid)) as it, Caller(it.address) as caller:
        old = openid.service_token().decode()
        assert await code(caller, old) == "ok"
        openid.rotate(signing_key("second"), signing_key("first"))
        new = openid.service_token().decode()
        assert await code(caller, new) == "ok", "a key that nobody knew is learned with the first token that it signed"
        assert await code(caller, old) == "ok"
        openid.rotate(signing_key("third"))
        assert await code(caller, openid.service_token().decode()) == "ok"
        assert await code(caller, old) == "invalid_token", "at once, on this connection too: its key is gone"
        assert await code(caller, new) == "invalid_token"


async def test_an_unreachable_provider_stops_nobody_who_is_known(openid: OpenIdProvider) -> None:
    shown, other = openid.service_token().decode(), openid.sign_in("alice")["access_token"]
    async with plane(company(openid)) as it, Caller(it.address) as caller:
        assert await code(caller, shown) == "ok"
        openid.command("stop")
        try:
            assert await code(caller, shown) == "ok"
            assert await code(caller, other) == "ok", "its key is known, though the token is new"
            forged = token(signing_key("own"), claims(time.time(), iss=openid.issuer, aud=openid.audience)).decode()
            assert await code(caller, forged) == "invalid_token"
        finally:
            openid.command("resume")


async def test_while_no_key_was_ever_read_tokens_are_told_when_to_come_back_and_keys_go_on(
    openid: OpenIdProvider,
) -> None:
    shown = openid.service_token().decode()
    openid.command("misbehave", status=503)
    async with plane(company(openid, min_refresh_s=30.0)) as it, Caller(it.address) as caller:
        with pytest.raises(InternalServerError) as caught:
            await ask(it, shown)
        assert caught.value.status_code == 503
        assert caught.value.code == "identity_provider_unavailable"
        assert int(caught.value.response.headers["retry-after"]) >= 1
        record = await it.record()
        assert (record.outcome, record.error, record.principal) == (Outcome.REFUSED, caught.value.code, "")
        assert await it.ask()
        assert await code(caller, "sk-wrong") == "invalid_api_key"


async def test_tricks_are_refused_with_one_message(openid: OpenIdProvider, caplog: pytest.LogCaptureFixture) -> None:
    said = claims(time.time(), iss=openid.issuer, aud=openid.audience)
    tricks = {
        "another's key": token(signing_key("own"), said),
        "HMAC with the public key": hmac_signed(signing_key("first").as_pem(private=False), {"kid": "first"}, said),
        "another issuer": token(signing_key("first"), said | {"iss": "https://login.example.com"}),
    }
    messages = set()
    async with plane(company(openid)) as it:
        await until_read(it)
        with caplog.at_level("INFO"):
            for shown in tricks.values():
                with pytest.raises(AuthenticationError) as caught:
                    await ask(it, shown.decode())
                assert caught.value.code == "invalid_token"
                messages.add(caught.value.message)
    assert len(messages) == 1, "the caller does not learn which it was"
    assert "login.example.com" in caplog.text, "the operator does"
    assert not any(shown.decode() in caplog.text for shown in tricks.values())


# -- who waits for a provider's keys --


async def test_who_calls_before_the_keys_are_read_waits_for_them(openid: OpenIdProvider) -> None:
    shown = openid.service_token().decode()
    openid.command("misbehave", delay_ms=200)
    async with plane(company(openid)) as it:
        answers = await asyncio.gather(*(ask(it, shown) for _ in range(8)))
        assert len(answers) == 8
        assert openid.command("count") == {"discovery": 1, "jwks": 1}
        listed = await it.send(b"", path="models", method="GET", key=shown)
        assert listed.status == 200


async def test_who_waits_for_the_keys_and_hangs_up_leaves_a_record_and_nothing_else(openid: OpenIdProvider) -> None:
    shown = openid.service_token().decode()
    openid.command("misbehave", delay_ms=400)
    async with plane(company(openid)) as it:
        for _ in range(4):
            async with Caller(it.address) as caller:
                await caller.send(request(CALL, key=shown))
                async with asyncio.timeout(5.0):
                    while not any(connection._active for connection in it.server.connections):
                        await asyncio.sleep(0.005)
        for number in range(1, 5):
            record = await it.record(number)
            assert (record.outcome, record.status, record.principal) == (Outcome.CANCELLED, 0, "")
            assert record.attempts == []
        assert it.gateway.desk.calls == 0
        async with asyncio.timeout(5.0):
            while it.server.connections:
                await asyncio.sleep(0.005)
        await until_read(it)
        assert len(it.records.kept) == 4, "what waited hears of the keys no more"
        assert it.places["a"].state()["counts"].get("seen", 0) == 0
        assert await ask(it, shown)


async def test_a_provider_that_is_taken_away_while_somebody_waits_for_its_keys(openid: OpenIdProvider) -> None:
    shown = openid.service_token().decode()
    openid.command("misbehave", delay_ms=400)
    async with plane(company(openid)) as it, Caller(it.address) as caller:
        await caller.send(request(CALL, key=shown))
        async with asyncio.timeout(5.0):
            while not any(connection._active for connection in it.server.connections):
                await asyncio.sleep(0.005)
        before = it.snapshot
        it.gateway.serve(it.builder.build(make_snapshot(before.backends, before.models, before.keys)))
        answer = await caller.answer()
        assert answer.status == 503
        assert (await it.record()).error == "identity_provider_unavailable"
        assert await code(caller, shown) == "invalid_api_key", "from now on nobody knows what a token is"
