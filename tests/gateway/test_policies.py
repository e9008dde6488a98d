"""Policies in a data plane: where a call may go, what it is told where it may go nowhere, and what its record says of both."""

import asyncio
import time
from typing import Any

import msgspec
import pytest
from tests.gateway.plane import KEY, MODEL, QUICK, Plane, checked, request
from tests.gateway.test_data_class import key
from tests.wire.serving import Caller

from switchgear.core.authorization import Authorization, PolicyText, Team
from switchgear.core.data_class import DataClass
from switchgear.core.limits import FairShare
from switchgear.core.record import AttemptKind, Outcome, Record
from switchgear.core.snapshot import Hedge, Kind, Retry, Snapshot, Target, make_snapshot
from switchgear.gateway.story import explain

CALL: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
PERMIT = '@id("all") permit (principal, action, resource);\n'
STAYS = """@id("stays") @description("restricted data stays in our buildings") @remedy("Call the model vault.")
forbid (principal, action, resource) when { context.data_class in DataClass::"restricted" }
unless { resource.kind == Kind::"onprem" };
"""
SMALL = """@id("small-only") @description("contractors use small models") @remedy("Call the model small.")
forbid (principal in Role::"contractor", action, resource) when { context.model.labels.contains("large") };
"""
GERMAN = '@id("german") forbid (principal, action, resource) unless { resource.region == Region::"de" };\n'
KEYS = (key("contractor", team="agency"), key("member", team="research"))
CLOUD = {"b": {"kind": Kind.CLOUD}}


def forbid(name: str, action: str, backend: str = "") -> str:
    resource = f'resource == Backend::"{backend}"' if backend else "resource"
    return f'@id("{name}") forbid (principal, action == Action::"{action}", {resource});\n'


def plane(*policies: str, **own: Any) -> Plane:
    authorization = Authorization(
        texts=(PolicyText("policies.cedar", PERMIT + "".join(policies)),),
        teams={"agency": Team(roles=("contractor",))},
        unknown_class=DataClass.PUBLIC,
    )
    return Plane("a", "b", **{"keys": KEYS, "backends": CLOUD, "authorization": authorization, **own})


def asked(record: Record) -> list[tuple[str, AttemptKind]]:
    return [(attempt.backend, attempt.kind) for attempt in record.attempts]


def out(record: Record) -> list[tuple[str, str]]:
    return [(one.backend, one.reason) for one in record.ruled_out]


def with_policies(snapshot: Snapshot, text: str) -> Snapshot:
    authorization = msgspec.structs.replace(snapshot.authorization, texts=(PolicyText("policies.cedar", text),))
    return make_snapshot(snapshot.backends, snapshot.models, snapshot.keys, authorization=authorization)


@pytest.mark.parametrize("straight", [True, False])
async def test_a_call_goes_where_policies_let_it_and_the_record_says_why_not_elsewhere(straight: bool) -> None:
    backends = {"a": {"kind": Kind.CLOUD}}
    async with plane(STAYS, backends=backends, straight=straight) as it:
        for number in (1, 3):
            assert (await it.send(CALL)).headers["x-switchgear-backend"] == "a"
            answer = await it.send(CALL, x_switchgear_data_class="restricted")
            assert answer.headers["x-switchgear-backend"] == "b"
            open_to_it, kept_in = await it.record(number), await it.record(number + 1)
            assert (out(open_to_it), open_to_it.data_class) == ([], "public")
            assert (out(kept_in), kept_in.data_class) == ([("a", "forbidden:stays")], "restricted")
            story = "\n".join(explain(kept_in))
            assert f"Ruled out: a ({MODEL}) is forbidden by a policy (stays)." in story
            assert f"Candidates in order: b ({MODEL})." in story
            assert "data class restricted" in story


async def test_a_call_that_may_go_nowhere_is_told_by_which_policies_and_what_would_do() -> None:
    both = {"a": {"kind": Kind.CLOUD}, **CLOUD}
    aliases = {"vault": {"targets": (Target(backend="c", model=MODEL),)}}
    authorization = Authorization(
        texts=(PolicyText("policies.cedar", PERMIT + STAYS),), unknown_class=DataClass.RESTRICTED
    )
    targets = (Target(backend="a", model=MODEL), Target(backend="b", model=MODEL))
    async with Plane(
        "a", "b", "c", model={"targets": targets}, aliases=aliases, backends=both, authorization=authorization
    ) as it:
        error = checked(await it.send(CALL), "forbidden_by_policy")
        for word in (
            "stays",
            "restricted data stays in our buildings",
            "Call the model vault.",
            "confidential",
            "vault",
        ):
            assert word in error["message"]
        record = await it.record()
        assert (record.outcome, record.status, record.error) == (Outcome.REFUSED, 403, "forbidden_by_policy")
        assert out(record) == [("a", "forbidden:stays"), ("b", "forbidden:stays")]
        assert (record.candidates, record.attempts) == ([], [])
        assert f"Ruled out: b ({MODEL}) is forbidden by a policy (stays)." in explain(record)
        assert (await it.send({**CALL, "model": "vault"})).status == 200
        assert (await it.send(CALL, x_switchgear_data_class="confidential")).status == 200
        assert not it.places["a"].state()["counts"]["seen"] > 1, "what was refused reached nobody"


async def test_roles_come_from_the_key_and_from_its_team() -> None:
    large = {"large": {"labels": ("large",)}}
    async with plane(SMALL, aliases=large) as it:
        error = checked(await it.send({**CALL, "model": "large"}, key="contractor"), "forbidden_by_policy")
        assert "small-only" in error["message"]
        assert "Call the model small." in error["message"]
        assert (await it.send({**CALL, "model": "large"}, key="member")).status == 200
        assert (await it.send(CALL, key="contractor")).status == 200


async def test_who_shares_a_connection_shares_no_permission() -> None:
    """Plans that one caller's calls have left are not another's, nor those of one class another's."""
    large = {"large": {"labels": ("large",)}}
    async with plane(SMALL, STAYS, aliases=large) as it, Caller(it.address) as caller:
        for who, told, status in [
            ("member", "public", 200),
            ("contractor", "public", 403),
            ("member", "restricted", 200),
            ("contractor", "restricted", 403),
        ] * 3:
            await caller.send(request({**CALL, "model": "large"}, key=who, x_switchgear_data_class=told))
            answer = await caller.answer()
            assert answer.status == status
            if status == 200:
                assert answer.headers["x-switchgear-backend"] == "a"
        restricted = [record for record in it.records.kept if record.data_class == "restricted"]
        assert {reason for record in restricted for _, reason in out(record) if record.principal == "member"} == {
            "forbidden:stays"
        }


async def test_a_policy_that_fails_refuses_and_is_named() -> None:
    async with plane(GERMAN, backends={"a": {"region": "de"}}) as it:
        assert (await it.send(CALL)).headers["x-switchgear-backend"] == "a"
        record = await it.record()
        assert out(record) == [("b", "policy_failed:german")]
        assert "is refused because a policy could not be evaluated (german)" in "\n".join(explain(record))


async def test_what_no_policy_permits_is_refused() -> None:
    authorization = Authorization(
        texts=(PolicyText("p.cedar", '@id("one") permit (principal == Principal::"member", action, resource);'),)
    )
    async with plane(authorization=authorization) as it:
        checked(await it.send(CALL, key="contractor"), "forbidden_by_policy")
        assert out(await it.record()) == [("a", "not_permitted"), ("b", "not_permitted")]
        assert "is permitted by no policy" in "\n".join(explain(await it.record()))
        assert (await it.send(CALL, key="member")).status == 200


async def test_a_pin_opens_no_place_that_policies_close() -> None:
    async with plane(STAYS) as it:
        pinned = {**CALL, "model": "chat@b"}
        error = checked(await it.send(pinned, x_switchgear_data_class="restricted"), "forbidden_by_policy")
        assert "stays" in error["message"]
        assert out(await it.record()) == [("b", "forbidden:stays"), ("a", "not_pinned")]
        assert it.places["b"].state()["counts"].get("seen", 0) == 0
        assert (await it.send(pinned)).headers["x-switchgear-backend"] == "b"


# -- purposes --


async def test_a_retry_that_is_forbidden_does_not_happen() -> None:
    one = {"targets": (Target(backend="a", model=MODEL),), "retry": Retry(attempts=3, backoff_s=0.01)}
    for policies, expected in (((), 2), ((forbid("once", "retry"),), 1)):
        async with plane(*policies, model=one) as it:
            it.places["a"].set_faults(["status;code=503;once"])
            answer = await it.send(CALL)
            assert answer.status == (200 if expected == 2 else 502)
            assert len((await it.record()).attempts) == expected


async def test_a_fallback_that_is_forbidden_does_not_happen() -> None:
    async with plane(forbid("no-fallback", "fallback", "b"), model={"retry": Retry(attempts=2, backoff_s=0.01)}) as it:
        it.places["a"].set_faults(["status;code=503;once"])
        await it.send(CALL)
        assert asked(await it.record()) == [("a", AttemptKind.FIRST), ("a", AttemptKind.RETRY)]
        assert it.places["b"].state()["counts"].get("seen", 0) == 0


async def test_a_hedge_goes_only_where_hedges_may() -> None:
    hedged = {"hedge": Hedge(after_s=0.02, max_ratio=1.0)}
    short = {"a": {"timeouts": msgspec.structs.replace(QUICK, total_s=0.2)}, **CLOUD}
    for policies, kind in (((), AttemptKind.HEDGE), ((forbid("no-hedge", "hedge", "b"),), AttemptKind.FALLBACK)):
        async with plane(*policies, model=hedged, backends=short) as it:
            it.places["a"].set_faults(["no_answer"])
            assert (await it.send(CALL)).status == 200
            assert asked(await it.record()) == [("a", AttemptKind.FIRST), ("b", kind)]


@pytest.mark.parametrize(("forbidden", "expected"), [("", "continue"), ("continue", None), ("rescue", "continue")])
async def test_a_broken_stream_is_carried_on_where_that_is_allowed(forbidden: str, expected: str | None) -> None:
    policies = (forbid("not-so", forbidden),) if forbidden else ()
    served = {"b": "gpt-x"}  # another answer: to ask it again does not help
    async with plane(*policies, served=served, speed=20.0) as it:
        it.places["a"].set_faults(["cut;after_tokens=4"])
        answer = await it.send({**CALL, "stream": True, "max_tokens": 24})
        kinds = [kind.value for _, kind in asked(await it.record())]
        assert ("rescue" in kinds) == (forbidden != "rescue")
        assert ("continue" in kinds) == (expected is not None)
        assert (b"[DONE]" in answer.body) == (expected is not None)


async def test_a_call_begins_where_it_may_begin_whatever_the_order() -> None:
    async with plane(forbid("later", "first", "a")) as it:
        assert (await it.send(CALL)).headers["x-switchgear-backend"] == "b"
        it.places["b"].set_faults(["connect_reset"])
        assert (await it.send(CALL)).status == 200
        assert asked(await it.record(2)) == [("b", AttemptKind.FIRST), ("a", AttemptKind.FALLBACK)]


async def test_a_call_that_may_only_begin_where_nobody_is_well_says_so_of_each_target() -> None:
    async with plane(forbid("later", "first", "a"), backends={"b": {"max_in_flight": 1}}) as it:
        target = it.gateway.table.routes["chat"].targets[1]
        target.backend_state.in_flight += 1
        error = checked(await it.send(CALL), "no_target_available")
        target.backend_state.in_flight -= 1
        assert "is forbidden by a policy (later)" in error["message"]
        assert "is full" in error["message"]
        record = await it.record()
        assert sorted(out(record)) == [("a", "forbidden:later"), ("b", "full")]
        assert record.candidates == []


async def test_a_call_waits_in_line_where_it_may_begin_although_another_place_is_free_for_later() -> None:
    fair = FairShare(max_wait_s=5.0)
    async with plane(forbid("later", "first", "a"), backends={"b": {"max_in_flight": 1}}, fair_share=fair) as it:
        state = it.gateway.table.routes["chat"].targets[1].backend_state
        state.in_flight += 1
        waits = asyncio.ensure_future(it.send(CALL))
        async with asyncio.timeout(5.0):
            while state.waiting is None or not state.waiting.waiting:
                await asyncio.sleep(0.005)
        state.in_flight -= 1
        state.left(time.monotonic())
        assert (await waits).headers["x-switchgear-backend"] == "b"
        assert asked(await it.record()) == [("b", AttemptKind.FIRST)]


async def test_a_place_that_asked_to_be_left_alone_comes_after_another_where_a_call_may_begin() -> None:
    authorization = Authorization(
        texts=(PolicyText("p.cedar", PERMIT + forbid("later", "first", "c")),), unknown_class=DataClass.PUBLIC
    )
    async with Plane("a", "b", "c", authorization=authorization) as it:
        it.places["a"].set_faults(["status;code=429;retry_after_s=60"])
        for number, kinds in enumerate(
            ([("a", AttemptKind.FIRST), ("b", AttemptKind.FALLBACK)], [("b", AttemptKind.FIRST)]), 1
        ):
            assert (await it.send(CALL)).status == 200
            assert asked(await it.record(number)) == kinds


# -- other policies --


async def test_other_policies_count_at_once_on_a_connection_that_is_open() -> None:
    async with plane(backends={"a": {"kind": Kind.CLOUD}}) as it, Caller(it.address) as caller:
        for text, backend in [(PERMIT, "a"), (PERMIT + STAYS, "b")] * 3:
            it.gateway.serve(it.builder.build(with_policies(it.snapshot, text)))
            for _ in range(3):
                await caller.send(request(CALL, x_switchgear_data_class="restricted"))
                assert (await caller.answer()).headers["x-switchgear-backend"] == backend


async def test_models_are_listed_by_key_not_by_policy() -> None:
    """Which models there are is no secret; what may be sent to them depends on what it is."""
    async with plane(SMALL, aliases={"large": {"labels": ("large",)}}) as it:
        answer = await it.send(b"", path="models", method="GET", key="contractor")
        assert b'"id":"large"' in answer.body
        assert (await it.send(b"", path="models", method="GET", key=KEY)).status == 200
