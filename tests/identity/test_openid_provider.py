"""Against a real, certified OpenID provider on loopback: sign-in, rotation, expiry, faults."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.identity.openid_provider import PATIENCE_S, OpenIdProvider
from tests.identity.signing import claims, hmac_signed, signing_key, token, unsigned

from switchgear.core.clock import SystemClock
from switchgear.core.identity import ClaimPaths, OidcProvider
from switchgear.identity.http_source import http_sources
from switchgear.identity.model import Pending, Principal, PrincipalKind
from switchgear.identity.refusals import Refusal
from switchgear.identity.service import Identities, Identity

_CLAIMS = ClaimPaths(team="department.team", roles="realm_access.roles")


class LaterClock(SystemClock):
    """The machine's time of day, and as much later as the test says."""

    def __init__(self) -> None:
        self.later_s = 0.0

    def now_s(self) -> float:
        return SystemClock.now_s() + self.later_s


class Plane:
    """An identity that is served from, and a caller who waits where he has to."""

    def __init__(self, identities: Identities, identity: Identity, clock: "LaterClock") -> None:
        self.identities = identities
        self.identity = identity
        self.clock = clock

    async def ask(self, shown: bytes) -> Principal | Refusal:
        answer = self.identity.identify(shown, self.clock.now_s())
        if not isinstance(answer, Pending):
            return answer
        done: asyncio.Future[Principal | Refusal] = asyncio.get_running_loop().create_future()
        answer.then(done.set_result)
        return await asyncio.wait_for(done, PATIENCE_S)

    async def principal(self, shown: bytes) -> Principal:
        answer = await self.ask(shown)
        assert isinstance(answer, Principal), answer
        return answer

    async def code(self, shown: bytes) -> str:
        answer = await self.ask(shown)
        assert isinstance(answer, Refusal), answer
        return answer.code


def configured(openid: OpenIdProvider, **changes: Any) -> OidcProvider:
    usual: dict[str, Any] = {
        "issuer": openid.issuer,
        "audience": (openid.audience,),
        "claims": _CLAIMS,
        "min_refresh_s": 1e-6,
        "fetch_s": 5.0,
    }
    return OidcProvider(**(usual | changes))


@contextlib.asynccontextmanager
async def plane(provider: OidcProvider, folder: Path | None = None) -> AsyncIterator[Plane]:
    clock = LaterClock()
    identities = Identities(http_sources(clock, random.Random(1), {}, folder), clock.now_s)
    try:
        yield Plane(identities, identities.build((), {"company": provider}, ()), clock)
    finally:
        await identities.close()


async def test_somebody_who_signs_in_is_known_with_team_and_roles(openid: OpenIdProvider) -> None:
    tokens = openid.sign_in("alice")
    async with plane(configured(openid)) as it:
        who = await it.principal(tokens["access_token"].encode())
    assert (who.kind, who.name, who.team) == (PrincipalKind.OIDC, "company:alice", "platform")
    assert who.roles == ("engineer", "reviewer")


async def test_a_program_is_known_by_its_client_credentials(openid: OpenIdProvider) -> None:
    async with plane(configured(openid)) as it:
        who = await it.principal(openid.service_token())
    assert (who.name, who.team, who.roles) == ("company:service", "automation", ("robot",))


async def test_an_id_token_is_for_the_console_and_not_for_us(openid: OpenIdProvider) -> None:
    tokens = openid.sign_in("bob")
    async with plane(configured(openid)) as it:
        assert await it.code(tokens["id_token"].encode()) == "token_wrong_audience"
    async with plane(configured(openid, audience=(openid.audience, "console"), types=("at+jwt",))) as it:
        assert await it.code(tokens["id_token"].encode()) == "invalid_token"  # access tokens only: RFC 9068


async def test_a_token_without_the_team_that_is_asked_for_is_refused_unless_a_default_says_otherwise(
    openid: OpenIdProvider,
) -> None:
    shown = openid.sign_in("carol")["access_token"].encode()
    async with plane(configured(openid)) as it:
        assert await it.code(shown) == "token_claims_unusable"
    async with plane(configured(openid, team="guests")) as it:
        assert (await it.principal(shown)).team == "guests"


@pytest.mark.parametrize("algorithm", ["PS256", "ES256", "EdDSA", "Ed25519"])
async def test_each_way_to_sign_that_the_provider_has(openid: OpenIdProvider, algorithm: str) -> None:
    openid.rotate(signing_key(algorithm, algorithm), alg=algorithm)
    async with plane(configured(openid)) as it:
        assert (await it.principal(openid.service_token())).name == "company:service"
    others = tuple(one for one in OidcProvider.__struct_defaults__[0] if one != algorithm)
    async with plane(configured(openid, algorithms=others)) as it:
        assert await it.code(openid.service_token()) == "invalid_token"


async def test_a_token_expires(openid: OpenIdProvider) -> None:
    shown = openid.service_token()
    async with plane(configured(openid, leeway_s=30)) as it:
        await it.principal(shown)
        it.clock.later_s = 600 + 20
        await it.principal(shown)
        it.clock.later_s = 600 + 40
        assert await it.code(shown) == "token_expired"


async def test_a_token_for_another_resource_is_refused(openid: OpenIdProvider) -> None:
    async with plane(configured(openid)) as it:
        assert await it.code(openid.service_token("urn:someone-else")) == "token_wrong_audience"


async def test_a_provider_that_calls_itself_something_else_is_not_believed(openid: OpenIdProvider) -> None:
    openid.rotate(signing_key("first"), issuer="https://login.example.com")
    async with plane(configured(openid, jwks_url=f"{openid.issuer}/jwks")) as it:
        assert await it.code(openid.service_token()) == "invalid_token"
    async with plane(configured(openid)) as it:
        good = token(signing_key("first"), claims(it.clock.now_s(), iss=openid.issuer, aud=openid.audience))
        assert await it.code(good) == "identity_provider_unavailable"
        assert "https://login.example.com" in str(it.identities.live(0.0)["company"])


# -- rotation --


async def test_a_new_key_is_learned_when_its_first_token_comes(openid: OpenIdProvider) -> None:
    async with plane(configured(openid)) as it:
        old = openid.service_token()
        await it.principal(old)
        openid.rotate(signing_key("second"), signing_key("first"))
        who = await it.principal(openid.service_token())
        assert who is await it.principal(old), "one object for one identity, whichever key signed"
        assert openid.command("count") == {"discovery": 2, "jwks": 2}


async def test_what_a_key_signed_that_is_gone_counts_no_more(openid: OpenIdProvider) -> None:
    async with plane(configured(openid)) as it:
        old = openid.service_token()
        await it.principal(old)
        openid.rotate(signing_key("second"))
        await it.principal(openid.service_token())
        assert await it.code(old) == "invalid_token"


async def test_tokens_with_made_up_keys_cannot_hammer_the_provider(openid: OpenIdProvider) -> None:
    async with plane(configured(openid, min_refresh_s=60.0)) as it:
        await it.principal(openid.service_token())
        openid.command("count")
        for number in range(50):
            forged = unsigned(
                {"alg": "RS256", "kid": f"made-up-{number}"},
                claims(it.clock.now_s(), iss=openid.issuer, aud=openid.audience),
                b"x" * 256,
            )
            assert await it.code(forged) == "invalid_token"
        assert openid.command("count") == {"discovery": 0, "jwks": 0}


async def test_many_who_wait_share_one_reading(openid: OpenIdProvider) -> None:
    openid.command("misbehave", delay_ms=100)
    shown = openid.service_token()
    async with plane(configured(openid)) as it:
        answers = await asyncio.gather(*(it.ask(shown) for _ in range(20)))
        assert len({id(answer) for answer in answers}) == 1
        assert openid.command("count") == {"discovery": 1, "jwks": 1}


# -- alg tricks, with the provider's true keys --


async def test_tricks_with_the_algorithm(openid: OpenIdProvider) -> None:
    first = signing_key("first")
    own = signing_key("own")
    async with plane(configured(openid)) as it:
        await it.principal(openid.service_token())
        good = claims(it.clock.now_s(), iss=openid.issuer, aud=openid.audience)
        assert (await it.principal(token(first, good))).name == "company:alice"
        tricks = {
            "none": unsigned({"alg": "none", "kid": "first"}, good),
            "none with the signature of another": unsigned({"alg": "none"}, good, b"signature"),
            "HS256 with the public key": hmac_signed(first.as_pem(private=False), {"kid": "first"}, good),
            "another key under the same kid": token(own, good, kid="first"),
            "the attacker's key in the header": token(own, good, jwk=own.as_dict(private=False)),
            "… and the kid of the true one": token(own, good, kid="first", jwk=own.as_dict(private=False)),
            "a place where the attacker's keys are": token(own, good, jku="http://127.0.0.1:1/jwks"),
            "ES256 with an RSA key's kid": token(signing_key("ec", "ES256"), good, kid="first"),
            "PS256 with a key for RS256": token(first, good, "PS256"),
            "a critical extension": token(first, good, crit=["exp"], exp=1),
            "an unencoded payload": token(first, good, b64=True),
            "another type": token(first, good, typ="logout+jwt"),
        }
        for name, forged in tricks.items():
            assert await it.code(forged) == "invalid_token", name
        await it.principal(token(first, good))


# -- a provider that fails --


async def test_known_keys_outlive_the_provider(openid: OpenIdProvider, tmp_path: Path) -> None:
    provider = configured(openid, max_stale_s=500.0)
    async with plane(provider, tmp_path) as it:
        first, second = openid.service_token(), openid.service_token()
        await it.principal(first)
        openid.command("stop")
        try:
            await it.principal(second)
            async with plane(provider, tmp_path) as restarted:
                await restarted.principal(second)
            async with plane(provider) as forgetful:
                assert await forgetful.code(second) == "identity_provider_unavailable"
            it.clock.later_s = 500.0
            assert await it.code(second) == "identity_provider_unavailable"
        finally:
            openid.command("resume")


@pytest.mark.parametrize(
    "fault",
    [{"delay_ms": 3000}, {"padding": 600_000}, {"padding": 1}, {"status": 500}, {"status": 302}],
    ids=["slow", "oversized", "empty", "failing", "redirecting"],
)
async def test_a_provider_at_fault_takes_no_known_key_away(openid: OpenIdProvider, fault: dict[str, int]) -> None:
    async with plane(configured(openid, fetch_s=0.3)) as it:
        await it.principal(openid.service_token())
        unseen = openid.service_token()
        openid.rotate(signing_key("second"), signing_key("first"))
        newer = openid.service_token()
        openid.command("misbehave", **fault)
        assert await it.code(newer) == "invalid_token"
        assert it.identities.live(it.clock.now_s())["company"]["last_error"]  # type: ignore[index]  # made for people
        await it.principal(unseen)
        openid.command("misbehave")
        await it.principal(newer)


async def test_both_documents_together_have_one_time(openid: OpenIdProvider) -> None:
    shown = openid.service_token()
    openid.command("misbehave", delay_ms=300)
    async with plane(configured(openid, fetch_s=0.5)) as it:
        assert await it.code(shown) == "identity_provider_unavailable"


async def test_a_call_that_waits_ends_when_the_provider_is_taken_out_of_the_configuration(
    openid: OpenIdProvider,
) -> None:
    openid.command("misbehave", delay_ms=3000)
    shown = openid.service_token()
    async with plane(configured(openid)) as it:
        waiting = asyncio.ensure_future(it.ask(shown))
        await asyncio.sleep(0.05)
        it.identity = it.identities.build((), {}, ())
        answer = await asyncio.wait_for(waiting, 1.0)  # and not only when the provider has answered
        assert isinstance(answer, Refusal)
        assert answer.code == "identity_provider_unavailable"
        assert await it.code(shown) == "invalid_api_key"
