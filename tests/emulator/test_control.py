"""The control endpoint, the state, the models and the limits of a place, over its socket."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from switchgear.core.clock import ManualClock
from switchgear.emulator.errors import EmulatorError
from switchgear.emulator.place import Place, Settings
from switchgear.emulator.server import Emulator
from switchgear.hardware.errors import DoesNotFit, UnknownName
from switchgear.hardware.model import Precision

Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
async def place() -> AsyncIterator[Emulator]:
    async with Emulator(profile="appliance", models=["llama-8b"], speed=1000) as emulator:
        yield emulator


def chat(**more: Any) -> dict[str, Any]:
    return {"model": "llama-8b", "messages": [{"role": "user", "content": "hello"}], **more}


async def control(ask: Ask, place: Emulator, method: str, body: Any = None) -> Any:
    seen = await ask(place, body, path="/emulator/faults", method=method)
    return seen.status, json.loads(seen.body)


async def test_rules_are_set_read_counted_and_deleted(place: Emulator, ask: Ask) -> None:
    assert await control(ask, place, "GET") == (200, {"rules": []})
    rules = [{"fault": "status;code=503", "model": "llama-*", "count": 2}, {"fault": {"kind": "no_usage"}}]
    status, stored = await control(ask, place, "PUT", rules)
    assert status == 200
    assert [rule["fault"]["kind"] for rule in stored["rules"]] == ["status", "no_usage"]
    assert [(await ask(place, chat())).status for _ in range(3)] == [503, 503, 200]
    _, told = await control(ask, place, "GET")
    assert [rule["fired"] for rule in told["rules"]] == [2, 3]
    again, afresh = await control(ask, place, "PUT", told)  # what it tells can be set again; the counts begin anew
    assert again == 200
    assert [rule["fired"] for rule in afresh["rules"]] == [0, 0]
    assert await control(ask, place, "DELETE") == (200, {"rules": []})
    assert "usage" in json.loads((await ask(place, chat())).body)


@pytest.mark.parametrize("body", [[{"fault": "stal"}], [{"fault": "stall", "often": 1}], 7])
async def test_bad_rules_are_refused_and_the_old_ones_stay(place: Emulator, ask: Ask, body: Any) -> None:
    place.set_faults("no_usage")
    status, error = await control(ask, place, "PUT", body)
    assert status == 400
    assert error["error"]["code"] == "invalid_fault"
    assert [rule["fault"]["kind"] for rule in (await control(ask, place, "GET"))[1]["rules"]] == ["no_usage"]


DEEP = b"[" * 5000 + b"]" * 5000


@pytest.mark.parametrize("body", [DEEP, b'["\xff"]', b"[" * 700 + b"]" * 700 + b"]", b"{"])
async def test_rules_that_are_no_json_are_refused(place: Emulator, ask: Ask, body: bytes) -> None:
    seen = await ask(place, body, path="/emulator/faults", method="PUT")
    assert (seen.status, json.loads(seen.body)["error"]["code"]) == (400, "invalid_fault")


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "llama-8b", "messages": %b}' % DEEP,
        b'{"model": "llama-\xff"}',
        b'{"model": "llama-8b", "emulator_fault": %b}' % (b"[" * 700 + b"1" + b"]" * 700),
    ],
)
async def test_a_body_that_is_no_json_is_refused(place: Emulator, ask: Ask, body: bytes) -> None:
    assert (await ask(place, body)).status == 400


async def test_a_schedule_follows_the_clock(ask: Ask) -> None:
    clock = ManualClock()
    async with Emulator(profile="cloud", models=["gpt-x"], speed=1000, clock=clock) as place:
        place.set_faults({"fault": "status", "schedule": {"start_s": 10, "end_s": 20, "every_s": 60}})
        statuses = []
        for _ in range(8):
            seen = await ask(place, None, path="/v1/models", method="GET")
            statuses.append(seen.status)
            clock.advance(10)
    assert statuses == [200, 503, 200, 200, 200, 200, 200, 503]


async def test_the_state_tells_of_calls_and_of_load(place: Emulator, ask: Ask) -> None:
    await ask(place, chat(stream=True, max_tokens=9))
    await ask(place, chat(), fault="status;code=500")
    seen = await ask(place, None, path="/emulator/state", method="GET")
    state = json.loads(seen.body)
    assert (state["name"], state["profile"]) == ("appliance", "appliance")
    assert state["counts"] == {"seen": 2, "finished": 1, "refused": 1}
    first, second = state["calls"]
    assert (first["endpoint"], first["stream"], first["sent_tokens"], first["outcome"]) == (
        "chat/completions",
        True,
        9,
        "finished",
    )
    assert state["started_s"] <= first["received_s"] <= first["first_token_s"] <= first["ended_s"] <= state["now_s"]
    assert (second["faults"], second["status"]) == ("status", 500)
    assert state["models"]["llama-8b"]["kv_capacity_tokens"] > 100_000


async def test_load_is_seen_while_it_lasts_and_is_gone_with_its_callers(ask: Ask) -> None:
    async with Emulator(profile="appliance", models=["llama-8b"], speed=1, max_batch=2) as place:
        body = chat(max_tokens=100_000, ignore_eos=True)
        async with asyncio.TaskGroup() as group:
            callers = [group.create_task(ask(place, body, patience_s=30)) for _ in range(3)]
            async with asyncio.timeout(5):
                while (load := place.state()["models"]["llama-8b"])["running"] + load["waiting"] < 3:
                    await asyncio.sleep(0.001)
                while place.state()["models"]["llama-8b"]["running"] < 2:
                    await asyncio.sleep(0.001)
            assert place.state()["models"]["llama-8b"]["waiting"] == 1
            for caller in callers:
                caller.cancel()
        async with asyncio.timeout(5):
            while place.state()["counts"].get("cancelled") != 3:
                await asyncio.sleep(0.001)
        assert place.state()["models"]["llama-8b"]["kv_used_tokens"] == 0


async def test_closing_a_place_ends_what_it_is_answering(ask: Ask) -> None:
    emulator = Emulator(profile="appliance", models=["llama-8b"])
    await emulator.start()
    caller = asyncio.ensure_future(ask(emulator, chat(stream=True, max_tokens=50_000, ignore_eos=True)))
    while emulator.state()["counts"].get("seen") != 1:
        await asyncio.sleep(0)
    await emulator.close()
    assert (await caller).end in ("closed", "reset")


async def test_closing_with_grace_lets_calls_end(ask: Ask) -> None:
    emulator = Emulator(profile="appliance", models=["llama-8b"], speed=10)
    await emulator.start()
    caller = asyncio.ensure_future(ask(emulator, chat(stream=True)))
    while emulator.state()["counts"].get("seen") != 1:
        await asyncio.sleep(0)
    await emulator.close(grace_s=5)
    seen = await caller
    assert (seen.end, seen.events[-1]) == ("whole", "[DONE]")


async def test_a_reader_that_does_not_read_stalls_its_stream(ask: Ask) -> None:
    async with Emulator(profile="appliance", models=["llama-8b"], speed=1e6) as place:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that the kernel cannot hold the whole answer
        sock.connect((place.address.host, place.address.port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=1024)
        data = json.dumps(chat(stream=True, max_tokens=40_000, ignore_eos=True)).encode()
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(data), data)
        )
        sent = 0
        async with asyncio.timeout(20):
            while sent == 0 or sent != place.state()["calls"][-1]["sent_tokens"]:  # until it stands still
                sent = place.state()["calls"][-1]["sent_tokens"] if place.state()["calls"] else 0
                await asyncio.sleep(0.2)
        assert sent < 40_000
        async with asyncio.timeout(20):
            assert await reader.readuntil(b"data: ")
            while b"[DONE]" not in await reader.read(1 << 20):
                pass
        writer.close()


async def test_wrong_paths_methods_and_bodies(place: Emulator, ask: Ask) -> None:
    async def code(**request: Any) -> tuple[int, str | None, str | None]:
        seen = await ask(place, request.pop("body", chat()), **request)
        error = json.loads(seen.body)["error"]
        return seen.status, error["code"], error["param"]

    assert await code(path="/v1/nothing") == (404, "unknown_url", None)
    assert await code(method="GET") == (405, "method_not_allowed", None)
    assert await code(body=chat(max_tokens="many")) == (400, None, "max_tokens")
    assert await code(body=chat(max_tokens=0)) == (400, None, "max_tokens")
    assert await code(body=chat(n=0)) == (400, None, "n")
    assert await code(body={"messages": []}) == (400, None, None)
    assert await code(body=chat(messages=[{"role": "user", "content": [{"type": "text"}]}])) == (
        400,
        None,
        "messages[0].content[0].text",
    )
    assert await code(body=chat(tool_choice="required")) == (400, None, "tool_choice")
    assert await code(body=chat(response_format={"type": "poem"})) == (400, None, "response_format.type")
    assert await code(body={"model": "llama-8b", "input": ""}, path="/v1/embeddings") == (400, None, "input")
    assert (await ask(place, None, path="/health", method="GET")).status == 200


async def test_a_key_is_asked_for_where_one_is_set(ask: Ask) -> None:
    async with Emulator(profile="cloud", models=["gpt-x"], api_key="secret", speed=1000) as place:
        assert "secret" not in repr(place.settings)
        assert (await ask(place, None, path="/v1/models", method="GET")).status == 401
        right = {"authorization": "Bearer secret"}
        assert (await ask(place, None, path="/v1/models", method="GET", headers=right)).status == 200
        assert (await ask(place, None, path="/emulator/state", method="GET")).status == 200


async def test_the_rate_limit_of_a_cloud(ask: Ask) -> None:
    async with Emulator(profile="cloud", models=["gpt-x"], requests_per_minute=1, speed=5) as place:
        body = {**chat(max_tokens=1), "model": "gpt-x"}
        assert (await ask(place, body)).status == 200
        refused = await ask(place, {**body, "stream": True})
        assert refused.status == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert place.state()["models"]["gpt-x"]["running"] == 0


def test_settings_that_make_no_place_are_refused() -> None:
    clock = ManualClock()
    with pytest.raises(UnknownName, match="did you mean 'appliance'"):
        Place(Settings(profile="aplliance", models=("llama-8b",)), clock)
    with pytest.raises(UnknownName, match="no model 'my-model'"):
        Place(Settings(profile="appliance", models=("my-model",)), clock)
    with pytest.raises(DoesNotFit):
        Place(Settings(profile="l4", models=("llama-70b",)), clock)
    with pytest.raises(EmulatorError, match="only known from outside"):
        Place(Settings(profile="appliance", models=("gpt-x",)), clock)
    with pytest.raises(EmulatorError, match="given twice"):
        Place(Settings(profile="cloud", models=("gpt-x", "gpt-x")), clock)
    with pytest.raises(EmulatorError, match="at least one"):
        Settings(profile="cloud", models=())
    with pytest.raises(EmulatorError, match="speed is 0"):
        Settings(profile="cloud", models=("gpt-x",), speed=0)
    with pytest.raises(EmulatorError, match="requests_per_minute is 0; give at least 1"):
        Settings(profile="cloud", models=("gpt-x",), requests_per_minute=0)
    with pytest.raises(EmulatorError, match="requests_per_minute is nan"):
        Settings(profile="cloud", models=("gpt-x",), requests_per_minute=float("nan"))
    with pytest.raises(EmulatorError, match="has no name; write NAME=SPEC"):
        Place(Settings(profile="cloud", models=("=gpt-x",)), clock)


def test_models_share_the_memory_and_names_may_be_anything() -> None:
    clock = ManualClock()
    alone = Place(Settings(profile="h200", models=("llama-8b",)), clock)
    shared = Place(Settings(profile="h200", models=("llama-8b", "mine=llama-70b")), clock)
    assert set(shared.models) == {"llama-8b", "mine"}
    assert (
        shared.models["llama-8b"].driver.load().kv_capacity_tokens
        < alone.models["llama-8b"].driver.load().kv_capacity_tokens / 2
    )
    narrow = Place(Settings(profile="h200", models=("llama-8b",), precision=Precision.FP8), clock)
    assert (
        narrow.models["llama-8b"].driver.load().kv_capacity_tokens
        > alone.models["llama-8b"].driver.load().kv_capacity_tokens
    )


def test_the_window_is_what_the_cache_holds_where_that_is_less() -> None:
    tight = Place(Settings(profile="h100", models=("llama-70b",)), ManualClock())
    assert tight.models["llama-70b"].window_tokens == 4400
