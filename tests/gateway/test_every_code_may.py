"""The codes of who may call, with what, where and how much, each provoked on a data plane of its own."""

import asyncio
import hashlib
import json
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.plane import KEY, Plane, checked, request
from tests.gateway.recording import recording, replies
from tests.identity.signing import claims, signing_key, token
from tests.wire.certificates import Authority
from tests.wire.serving import Answer, Caller

from switchgear.core.authorization import Authorization, PolicyText
from switchgear.core.data_class import DataClass
from switchgear.core.external_screening import ExternalScreening, OnLate
from switchgear.core.identity import Certificate, ClaimPaths, OidcProvider, OtherHash
from switchgear.core.limits import Limit, LimitSharing
from switchgear.core.screening import Action, AnswerAction, AnswerRule, Detector, Screening, ScreenRule
from switchgear.core.snapshot import Key
from switchgear.identity.refusals import WHAT_TO_DO
from switchgear.limits.model import RefusalCode

CALL: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
LONG_AGO, LATER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
AUDIENCE = "urn:switchgear"
SCREEN = Screening(
    detectors=(Detector.IBAN,),
    rules=(ScreenRule(name="no-accounts", find=("iban",), action=Action.REFUSE),),
)
ANSWERS = Screening(
    detectors=(Detector.IBAN,),
    answer_rules=(AnswerRule(name="no-accounts", find=("iban",), action=AnswerAction.BLOCK),),
)
IBAN = "DE89 3704 0044 0532 0130 00"


def key(name: str, **own: Any) -> Key:
    return Key(name=name, sha256=hashlib.sha256(name.encode()).hexdigest(), **own)


KEYS = (
    key("expired", expires=LONG_AGO),
    key("off", disabled=True),
    key("main", hashes=(OtherHash(sha256=hashlib.sha256(b"next").hexdigest(), valid_from=LATER),)),
    key("limited", max_data_class=DataClass.PUBLIC),
)
Provoke = Callable[[Path], Awaitable[Answer]]


def call(shown: str = KEY, *, body: Any = CALL, before: int = 0, **plane: Any) -> Provoke:
    """One call by this key or token, after so many others."""

    async def provoke(folder: Path) -> Answer:
        async with Plane("a", **({"keys": KEYS} | plane)) as it:
            for _ in range(before):
                assert (await it.send(body, key=shown)).status == 200
            return await it.send(body, key=shown)

    return provoke


def said(**changes: Any) -> Provoke:
    """A call with a token that says something else than it should. `signer` names the key that signed it."""

    async def provoke(folder: Path) -> Answer:
        signer = changes.pop("signer", "first")
        jwks = {"keys": [signing_key("first").as_dict(private=False)]}
        async with AsyncExitStack() as stack:
            place = await stack.enter_async_context(recording(replies(jwks)))
            issuer = place.base_url.removesuffix("/v1")
            provider = OidcProvider(
                issuer=issuer,
                audience=(AUDIENCE,),
                jwks_url=f"{issuer}/jwks",
                claims=ClaimPaths(roles="roles"),
                disabled=("mallory",),
            )
            it = await stack.enter_async_context(Plane("a", oidc={"company": provider}))
            content = claims(time.time(), iss=issuer, aud=AUDIENCE) | {"team": "x"} | changes
            assert (
                await it.send(CALL, key=token(signing_key("first"), content | {"aud": AUDIENCE, "exp": 4e9}).decode())
            ).status in (200, 401, 403)
            return await it.send(CALL, key=token(signing_key(signer), content).decode())

    return provoke


async def unavailable(folder: Path) -> Answer:
    provider = OidcProvider(issuer="http://127.0.0.1:9", audience=(AUDIENCE,), min_refresh_s=60.0)
    content = claims(time.time(), iss=provider.issuer, aud=AUDIENCE)
    async with Plane("a", oidc={"company": provider}) as it:
        return await it.send(CALL, key=token(signing_key("first"), content).decode())


def shows(*known: Certificate) -> Provoke:
    """A call with a certificate for edge.internal where these are known."""

    async def provoke(folder: Path) -> Answer:
        authority = Authority(folder)
        cert, private = authority.issue("edge", "edge.internal")
        tls = authority.server(client_ca=authority.ca)
        async with (
            Plane("a", certificates=known, tls=tls) as it,
            Caller(it.address, authority.client(cert=cert, key=private)) as caller,
        ):
            await caller.send(request(CALL, key=""))
            return await caller.answer()

    return provoke


def edge(name: str = "edge", **own: Any) -> Certificate:
    return Certificate(name=name, dns="edge.internal", **own)


def bounded(**bounds: Any) -> dict[str, Any]:
    return {"limits_on": (Limit(name="bound", **bounds),)}


async def in_flight(folder: Path) -> Answer:
    async with Plane("a", **bounded(in_flight=1)) as it, Caller(it.address) as caller:
        it.places["a"].set_faults(["no_answer"])
        await caller.send(request(CALL))
        async with asyncio.timeout(5.0):
            while not it.gateway.desk.calls:
                await asyncio.sleep(0.005)
        return await it.send(CALL)


async def unshared(folder: Path) -> Answer:
    sharing = LimitSharing(database=f"sqlite:///{folder}/limits.db")
    async with Plane("a", sharing=sharing, **bounded(requests_per_minute=10)) as it:
        it.builder.shares.failing = True  # as a leaser notes it whose database is away
        return await it.send(CALL)


async def pending(folder: Path) -> Answer:
    """Nobody leases for this worker, so that its share never comes."""
    sharing = LimitSharing(database=f"sqlite:///{folder}/limits.db")
    async with Plane("a", sharing=sharing, **bounded(requests_per_minute=10)) as it:
        it.builder.shares.lost, it.builder.shares.lease_until_s = False, math.inf
        return await it.send(CALL)


async def spent(folder: Path) -> Answer:
    async with Plane("a", **bounded(usd_per_day=2e-4)) as it:
        for _ in range(50):
            answer = await it.send(CALL)
            if answer.status != 200:
                break
        return answer


async def blocked(folder: Path) -> Answer:
    whole = {"choices": [{"index": 0, "message": {"role": "assistant", "content": IBAN}, "finish_reason": "stop"}]}
    async with recording(replies(whole)) as place, Plane("a", urls={"a": place.base_url}, screen=ANSWERS) as it:
        return await it.send(CALL)


NONE_PERMITTED = Authorization(
    texts=(PolicyText("p.cedar", '@id("no") permit (principal == Principal::"nobody", action, resource);'),)
)
PROVOKED: dict[str, Provoke] = {
    "key_expired": call("expired"),
    "key_disabled": call("off"),
    "key_not_yet_valid": call("next"),
    "invalid_token": said(signer="own"),
    "token_expired": said(exp=1),
    "token_not_yet_valid": said(nbf=3e9, exp=4e9),
    "token_wrong_audience": said(aud="urn:other"),
    "token_claims_unusable": said(roles={"not": "a list"}),
    "principal_disabled": said(sub="mallory"),
    "identity_provider_unavailable": unavailable,
    "unknown_certificate": shows(),
    "certificate_expired": shows(edge(expires=LONG_AGO)),
    "certificate_disabled": shows(edge(disabled=True)),
    "ambiguous_certificate": shows(edge(), edge("other")),
    "data_class_not_allowed": call("limited"),
    "forbidden_by_policy": call(authorization=NONE_PERMITTED),
    "rate_limit_exceeded": call(before=1, **bounded(requests_per_minute=1)),
    "too_many_in_flight": in_flight,
    "budget_exceeded": spent,
    "exceeds_limit_alone": call(**bounded(tokens_per_minute=1)),
    "unpriced_under_budget": call(backends={"a": {"prices": None}}, **bounded(usd_per_month=10.0)),
    "limits_unavailable": unshared,
    "limit_share_pending": pending,
    "refused_by_screen": call(body={**CALL, "messages": [{"role": "user", "content": IBAN}]}, screen=SCREEN),
    "screen_unavailable": call(screen=Screening(external=ExternalScreening(on_late=OnLate.REFUSE))),
    "answer_blocked": blocked,
}


def test_every_way_to_be_refused_by_identity_and_limits_is_among_them() -> None:
    assert set(WHAT_TO_DO) - {"invalid_api_key"} <= set(PROVOKED)
    assert set(RefusalCode) <= set(PROVOKED)


@pytest.mark.parametrize("code", PROVOKED)
async def test_every_code_has_its_shape(code: str, tmp_path: Path) -> None:
    answer = await PROVOKED[code](tmp_path)
    error = checked(answer, code)
    assert "Traceback" not in error["message"]
    assert ("www-authenticate" in answer.headers) == (answer.status == 401)
    if answer.status in (429, 503):
        assert int(answer.headers["retry-after"]) >= 1
    if code in set(RefusalCode):
        assert "'bound'" in error["message"], "a refusal names its rule"
    assert json.loads(answer.body)["error"]["code"] == code
