"""Client certificates as identity, over TLS."""

import hashlib
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Omit
from tests.gateway.plane import LaterClock, Plane, checked, request
from tests.gateway.test_keys import code
from tests.wire.certificates import Authority
from tests.wire.serving import Answer, Caller

from switchgear.core.authorization import Authorization, PolicyText
from switchgear.core.data_class import DataClass
from switchgear.core.identity import Certificate
from switchgear.core.snapshot import Key, make_snapshot

CALL: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
EDGE = Certificate(name="edge-42", dns="edge-42.internal", team="edge", roles=("device",), models=("chat",))
KEY = Key(name="app", sha256=hashlib.sha256(b"app").hexdigest(), team="platform")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def plane(authority: Authority, *certificates: Certificate, **own: Any) -> Plane:
    tls = authority.server(client_ca=authority.ca)
    return Plane("a", certificates=certificates or (EDGE,), keys=(KEY,), tls=tls, aliases={"other": {}}, **own)


def shows(authority: Authority, *names: str) -> ssl.SSLContext:
    """A caller's side with a certificate for these names."""
    cert, key = authority.issue(names[0], *names)
    return authority.client(cert=cert, key=key)


async def test_a_certificate_is_a_principal_with_team_and_models(authority: Authority) -> None:
    context = shows(authority, "edge-42.internal")
    async with plane(authority) as it, Caller(it.address, context) as caller:
        assert [await code(caller, "") for _ in range(3)] == ["ok"] * 3
        record = await it.record(3)
        assert (record.principal, record.team) == ("edge-42", "edge")
        assert await code(caller, "", model="other") == "model_not_allowed"
        assert await code(caller, "app", model="other") == "ok", "a key that is shown counts before the certificate"
        assert (await it.record(5)).principal == "app"
        assert await code(caller, "") == "ok"
        assert (await it.record(6)).principal == "edge-42"
        assert await code(caller, "wrong") == "invalid_api_key", "a wrong key is not made good by a certificate"


async def test_the_official_client_calls_with_a_certificate(authority: Authority) -> None:
    cert, key = authority.issue("edge", "edge-42.internal")
    async with plane(authority) as it:
        http = DefaultAsyncHttpxClient(verify=authority.client(cert=cert, key=key))
        async with AsyncOpenAI(base_url=it.base_url, api_key="none", http_client=http, max_retries=0) as client:
            answer = await client.chat.completions.create(
                model="chat",
                messages=[{"role": "user", "content": "hi"}],
                max_tokens=4,
                extra_headers={"Authorization": Omit()},  # the client wants a key, and must not show it
            )
        assert answer.choices[0].message.content
        assert (await it.record()).principal == "edge-42"


async def test_a_certificate_that_is_nobodys_and_no_certificate(authority: Authority) -> None:
    async with plane(authority) as it:
        async with Caller(it.address, shows(authority, "edge-43.internal")) as caller:
            assert await code(caller, "") == "unknown_certificate"
        async with Caller(it.address, authority.client()) as caller:
            assert await code(caller, "") == "missing_key"
            assert await code(caller, "app") == "ok"


async def test_a_certificate_that_matches_two_is_refused(authority: Authority) -> None:
    twice = Certificate(name="again", dns="edge-42.internal")
    context = shows(authority, "edge-42.internal")
    async with plane(authority, EDGE, twice) as it, Caller(it.address, context) as caller:
        assert await code(caller, "") == "ambiguous_certificate"


async def test_a_certificate_of_another_authority_gets_no_connection(authority: Authority, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    cert, key = Authority(folder).issue("edge", "edge-42.internal")
    async with plane(authority) as it:
        with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
            await answer_to(it, authority.client(cert=cert, key=key))
        assert it.records.kept == []
        assert (await answer_to(it, shows(authority, "edge-42.internal"))).status == 200


async def answer_to(it: Plane, context: ssl.SSLContext) -> Answer:
    async with Caller(it.address, context) as caller:
        await caller.send(request(CALL, key=""))
        return await caller.answer()


async def test_an_identity_ends_and_is_switched_off_on_a_connection_that_is_open(authority: Authority) -> None:
    clock = LaterClock()
    ends = datetime.fromtimestamp(clock.now_s() + 3600.0, UTC)
    own = Certificate(name="edge-42", dns="edge-42.internal", expires=ends)
    off = Certificate(name="edge-42", dns="edge-42.internal", disabled=True)
    context = shows(authority, "edge-42.internal")
    async with plane(authority, own, clock=clock) as it, Caller(it.address, context) as caller:
        assert [await code(caller, "") for _ in range(2)] == ["ok", "ok"]
        before = it.snapshot
        for certificates, expected in (((off,), "certificate_disabled"), ((), "unknown_certificate"), ((own,), "ok")):
            snapshot = make_snapshot(before.backends, before.models, before.keys, certificates=certificates)
            it.gateway.serve(it.builder.build(snapshot))
            assert [await code(caller, "") for _ in range(2)] == [expected] * 2
        clock.later_s = 3601.0
        assert [await code(caller, "") for _ in range(2)] == ["certificate_expired"] * 2


async def test_what_a_certificate_carries_and_may(authority: Authority) -> None:
    careful = Certificate(
        name="edge-42",
        dns="edge-42.internal",
        roles=("device",),
        data_class=DataClass.INTERNAL,
        max_data_class=DataClass.CONFIDENTIAL,
    )
    policies = """@id("all") permit (principal, action, resource);
    @id("devices") forbid (principal in Role::"device", action, resource)
    when { context.data_class in DataClass::"confidential" };"""
    authorization = Authorization(texts=(PolicyText("p.cedar", policies),))
    context = shows(authority, "edge-42.internal")
    told = [("public", "ok", "internal"), ("confidential", "forbidden_by_policy", "confidential")]
    told.append(("restricted", "data_class_not_allowed", "restricted"))
    async with plane(authority, careful, authorization=authorization) as it, Caller(it.address, context) as caller:
        for number, (word, expected, carried) in enumerate(told, 1):
            await caller.send(request(CALL, key="", x_switchgear_data_class=word))
            answer = await caller.answer()
            if expected == "ok":
                assert answer.status == 200
            else:
                checked(answer, expected)
            assert (await it.record(number)).data_class == carried
