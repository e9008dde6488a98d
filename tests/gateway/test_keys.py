"""Keys that end, that are switched off and that are rotated: what counts is what holds now, on connections that are open too."""

import hashlib
import logging
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from tests.gateway.plane import LaterClock, Plane, checked, request
from tests.wire.serving import Caller

from switchgear.core.identity import OtherHash
from switchgear.core.snapshot import Key, make_snapshot

CALL: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
HOUR_S = 3600.0


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def later(clock: LaterClock, seconds: float) -> datetime:
    return datetime.fromtimestamp(clock.now_s() + seconds, UTC)


def serve(plane: Plane, *keys: Key) -> None:
    """Other keys from now on."""
    before = plane.snapshot
    plane.gateway.serve(plane.builder.build(make_snapshot(before.backends, before.models, keys)))


async def code(caller: Caller, key: str, **fields: Any) -> str:
    """What becomes of a call: `ok`, or the code of its error in the one shape."""
    await caller.send(request({**CALL, **fields}, key=key))
    answer = await caller.answer()
    if answer.status == 200:
        return "ok"
    found = str(msgspec.json.decode(answer.body)["error"]["code"])
    checked(answer, found, "model" if "model" in found or "pin" in found else None)
    assert ("www-authenticate" in answer.headers) == (answer.status == 401)
    return found


@pytest.mark.parametrize("straight", [True, False])
async def test_a_key_ends_on_a_connection_that_is_open(straight: bool) -> None:
    clock = LaterClock()
    ends = Key(name="ends", sha256=digest("ends"), expires=later(clock, HOUR_S))
    async with Plane("a", keys=(ends,), clock=clock, straight=straight) as plane, Caller(plane.address) as caller:
        assert [await code(caller, "ends") for _ in range(3)] == ["ok"] * 3
        clock.later_s = HOUR_S + 1
        assert [await code(caller, "ends") for _ in range(2)] == ["key_expired"] * 2
        record = await plane.record(4)
        assert (record.outcome, record.error, record.principal) == ("refused", "key_expired", "")
        assert len(plane.records.kept) == 5


async def test_a_key_that_ends_while_its_answer_streams_gets_the_whole_of_it() -> None:
    """Who may call is asked when a call begins."""
    clock = LaterClock()
    ends = Key(name="ends", sha256=digest("ends"), expires=later(clock, HOUR_S))
    async with Plane("a", keys=(ends,), clock=clock, speed=20.0) as plane, Caller(plane.address) as caller:
        await caller.send(request({**CALL, "stream": True, "max_tokens": 24}, key="ends"))
        clock.later_s = HOUR_S + 1
        assert b"[DONE]" in (await caller.answer()).body
        assert await code(caller, "ends") == "key_expired"


async def test_a_key_that_is_switched_off_or_gone_counts_no_more_on_a_connection_that_is_open() -> None:
    key = Key(name="app", sha256=digest("app"))
    async with Plane("a", keys=(key,)) as plane, Caller(plane.address) as caller:
        assert await code(caller, "app") == "ok"
        serve(plane, msgspec.structs.replace(key, disabled=True))
        assert [await code(caller, "app") for _ in range(2)] == ["key_disabled"] * 2
        serve(plane, key)
        assert [await code(caller, "app") for _ in range(2)] == ["ok"] * 2
        serve(plane)
        assert await code(caller, "app") == "invalid_api_key"
        serve(plane, msgspec.structs.replace(key, sha256=digest("another")))
        assert await code(caller, "app") == "invalid_api_key"
        assert await code(caller, "another") == "ok"


async def test_what_a_key_may_do_changes_on_a_connection_that_is_open() -> None:
    key = Key(name="app", sha256=digest("app"))
    async with Plane("a", keys=(key,), aliases={"other": {}}) as plane, Caller(plane.address) as caller:
        assert await code(caller, "app") == "ok"
        serve(plane, msgspec.structs.replace(key, models=("other",)))
        assert await code(caller, "app") == "model_not_allowed"
        assert await code(caller, "app", model="other") == "ok"
        assert await code(caller, "app", model="other@a") == "pin_not_allowed"
        serve(plane, msgspec.structs.replace(key, models=("other",), pin=True))
        assert await code(caller, "app", model="other@a") == "ok"


async def test_a_key_is_rotated_without_a_gap_and_its_records_go_on() -> None:
    clock = LaterClock()
    old = OtherHash(sha256=digest("old"), valid_until=later(clock, HOUR_S))
    new = OtherHash(sha256=digest("new"), valid_from=later(clock, HOUR_S / 2))
    key = Key(name="app", sha256=digest("main"), team="product", hashes=(old, new))
    async with Plane("a", keys=(key,), clock=clock) as plane, Caller(plane.address) as caller:
        told = []
        for clock.later_s in (0.0, HOUR_S / 2 + 1, HOUR_S + 1):
            told.append([await code(caller, secret) for secret in ("main", "old", "new")])
        assert told == [
            ["ok", "ok", "key_not_yet_valid"],
            ["ok", "ok", "ok"],
            ["ok", "key_expired", "ok"],
        ]
        served = [record for record in plane.records.kept if record.status == 200]
        assert {(record.principal, record.team) for record in served} == {("app", "product")}


async def test_secrets_of_two_callers_on_one_connection_stay_apart() -> None:
    keys = tuple(Key(name=name, sha256=digest(name), team=f"team-{name}") for name in ("one", "two"))
    async with Plane("a", keys=keys) as plane, Caller(plane.address) as caller:
        for number, name in enumerate(["one", "two", "two", "one", "nobody", "one"], 1):
            assert await code(caller, name) == ("ok" if name != "nobody" else "invalid_api_key")
            record = await plane.record(number)
            assert (record.principal, record.team) == ((name, f"team-{name}") if name != "nobody" else ("", ""))


async def test_why_a_caller_is_not_let_in_stands_in_the_log_and_its_secret_nowhere(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Plane("a") as plane, Caller(plane.address) as caller:
        with caplog.at_level(logging.DEBUG):
            assert await code(caller, "sk-a-secret") == "invalid_api_key"
        assert "sk-a-secret" not in caplog.text
        assert "sk-a-secret" not in repr(await plane.record())
