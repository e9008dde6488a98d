"""Each fault as a caller sees it on a real socket, streamed and not; after each, the place still serves."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from switchgear.emulator.server import Emulator

Ask = Callable[..., Awaitable[Any]]
SPEED = 1000.0


@pytest.fixture
async def place() -> AsyncIterator[Emulator]:
    async with Emulator(profile="appliance", models=["llama-8b"], speed=SPEED) as emulator:
        yield emulator


def chat(*, stream: bool = False, **more: Any) -> dict[str, Any]:
    return {"model": "llama-8b", "messages": [{"role": "user", "content": "hello"}], "stream": stream, **more}


@pytest.fixture
async def well(place: Emulator, ask: Ask) -> AsyncIterator[str]:
    """The text of the answer that goes well; and after the test, the place must still give it."""
    before = json.loads((await ask(place, chat())).body)["choices"][0]["message"]["content"]
    yield before
    after = await ask(place, chat(stream=True))
    assert (after.end, after.text(), after.events[-1]) == ("whole", before, "[DONE]")


def last_call(place: Emulator) -> dict[str, Any]:
    call: dict[str, Any] = place.state()["calls"][-1]
    return call


@pytest.mark.parametrize("stream", [False, True])
async def test_connect_reset(place: Emulator, ask: Ask, well: str, stream: bool) -> None:
    seen = await ask(place, chat(stream=stream), fault="connect_reset")
    assert (seen.end, seen.raw) == ("reset", b"")
    assert last_call(place)["outcome"] == "broken"


@pytest.mark.parametrize("stream", [False, True])
async def test_no_answer(place: Emulator, ask: Ask, well: str, stream: bool) -> None:
    seen = await ask(place, chat(stream=stream), fault="no_answer", patience_s=0.2)
    assert (seen.end, seen.raw) == ("silent", b"")


@pytest.mark.parametrize("stream", [False, True])
async def test_slow_first_token(place: Emulator, ask: Ask, well: str, stream: bool) -> None:
    begun_s = time.monotonic()
    seen = await ask(place, chat(stream=stream), fault="slow_first_token;delay_s=0.3")
    assert seen.end == "whole"
    call = last_call(place)
    assert call["first_token_s"] - call["received_s"] >= 0.3
    assert time.monotonic() - begun_s >= 0.3


async def test_stall_in_a_stream(place: Emulator, ask: Ask, well: str) -> None:
    seen = await ask(place, chat(stream=True), fault="stall;after_tokens=5", patience_s=0.3)
    assert seen.end == "silent"
    assert len(seen.events) == 1 + 5  # the role, and five tokens
    assert well.startswith(seen.text())
    assert seen.text()


async def test_stall_in_a_body(place: Emulator, ask: Ask, well: str) -> None:
    seen = await ask(place, chat(), fault="stall", patience_s=0.3)
    assert seen.end == "silent"
    assert 0 < len(seen.body) < int(seen.headers["content-length"])


async def test_cut_in_a_stream(place: Emulator, ask: Ask, well: str) -> None:
    seen = await ask(place, chat(stream=True), fault="cut;after_tokens=5")
    assert seen.end == "closed"
    assert len(seen.events) == 1 + 5
    assert well.startswith(seen.text())


async def test_cut_beyond_the_end_loses_only_the_end(place: Emulator, ask: Ask, well: str) -> None:
    seen = await ask(place, chat(stream=True), fault="cut;after_tokens=100000")
    assert seen.end == "closed"
    assert seen.text() == well
    assert 'finish_reason":"stop' not in seen.body.decode()


async def test_cut_in_a_body(place: Emulator, ask: Ask, well: str) -> None:
    seen = await ask(place, chat(), fault="cut")
    assert seen.end == "closed"
    assert 0 < len(seen.body) < int(seen.headers["content-length"])


async def test_no_done(place: Emulator, ask: Ask, well: str) -> None:
    seen = await ask(place, chat(stream=True), fault="no_done")
    assert seen.end == "whole"
    assert seen.text() == well
    assert json.loads(seen.events[-1])["choices"][0]["finish_reason"] == "stop"


async def test_end_early(place: Emulator, ask: Ask, well: str) -> None:
    seen = await ask(place, chat(stream=True), fault="end_early;after_tokens=7")
    assert seen.end == "whole"
    assert well.startswith(seen.text())
    assert len(seen.events) == 1 + 7
    assert json.loads(seen.events[-1])["choices"][0]["finish_reason"] is None


async def test_malformed_event_loses_its_text_and_nothing_else(place: Emulator, ask: Ask, well: str) -> None:
    seen = await ask(place, chat(stream=True), fault="malformed_event;after_tokens=3")
    assert (seen.end, seen.events[-1]) == ("whole", "[DONE]")
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(seen.events[1 + 3])
    assert seen.text() != well
    assert 0 < len(well) - len(seen.text()) < 20


@pytest.mark.parametrize("fault", ["malformed_body", "end_early", "malformed_event"])
async def test_malformed_body(place: Emulator, ask: Ask, well: str, fault: str) -> None:
    seen = await ask(place, chat(), fault=fault)
    assert (seen.end, seen.status) == ("whole", 200)
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(seen.body)


async def test_malformed_body_for_a_stream(place: Emulator, ask: Ask, well: str) -> None:
    seen = await ask(place, chat(stream=True), fault="malformed_body")
    assert (seen.end, seen.status) == ("whole", 200)
    assert seen.headers["content-type"] == "application/json"


@pytest.mark.parametrize("stream", [False, True])
async def test_status_with_and_without_retry_after(place: Emulator, ask: Ask, well: str, stream: bool) -> None:
    seen = await ask(place, chat(stream=stream), fault="status;code=429;retry_after_s=2")
    assert (seen.status, seen.headers["retry-after"]) == (429, "2")
    assert json.loads(seen.body)["error"]["code"] == "rate_limit_exceeded"
    dated = await ask(place, chat(stream=stream), fault="status;code=503;retry_after_s=9;retry_after_as=date")
    assert dated.headers["retry-after"].endswith("GMT")
    bare = await ask(place, chat(stream=stream), fault="status;code=500")
    assert bare.status == 500
    assert "retry-after" not in bare.headers


async def test_status_once(place: Emulator, ask: Ask, well: str) -> None:
    body = chat(emulator_fault="status;code=500;once")
    assert [(await ask(place, body)).status for _ in range(3)] == [500, 200, 200]


@pytest.mark.parametrize("stream", [False, True])
async def test_context_length_exceeded(place: Emulator, ask: Ask, well: str, stream: bool) -> None:
    seen = await ask(place, chat(stream=stream), fault="context_length_exceeded")
    assert seen.status == 400
    assert json.loads(seen.body)["error"]["code"] == "context_length_exceeded"


async def test_content_filter_as_an_answer(place: Emulator, ask: Ask, well: str) -> None:
    body = json.loads((await ask(place, chat(), fault="content_filter;after_tokens=4")).body)
    assert body["choices"][0]["finish_reason"] == "content_filter"
    assert body["usage"]["completion_tokens"] == 4
    seen = await ask(place, chat(stream=True), fault="content_filter;after_tokens=4")
    assert seen.text() == body["choices"][0]["message"]["content"]
    assert json.loads(seen.events[-2])["choices"][0]["finish_reason"] == "content_filter"


async def test_content_filter_as_a_refusal(place: Emulator, ask: Ask, well: str) -> None:
    seen = await ask(place, chat(), fault="content_filter;mode=refusal")
    assert seen.status == 400
    assert json.loads(seen.body)["error"]["code"] == "content_filter"


async def test_flap(place: Emulator, ask: Ask, well: str) -> None:
    assert (await ask(place, chat(), fault="flap;period_s=1000;down_s=1000")).end == "reset"
    assert (await ask(place, chat(), fault="flap;period_s=1000;down_s=1000;code=503")).status == 503
    assert (await ask(place, chat(), fault="flap;period_s=1000;down_s=0.000001")).status == 200


async def test_no_usage(place: Emulator, ask: Ask, well: str) -> None:
    assert "usage" not in json.loads((await ask(place, chat(), fault="no_usage")).body)
    seen = await ask(place, chat(stream=True, stream_options={"include_usage": True}), fault="no_usage")
    assert "usage" not in seen.body.decode()
    assert seen.text() == well


async def test_slow(place: Emulator, ask: Ask, well: str) -> None:
    """62 tokens take 0.4 emulated seconds, 0.4 ms here; 500 times that cannot be over sooner than in 0.2 s."""
    seen = await ask(place, chat(stream=True), fault="slow;multiplier=500", patience_s=5)
    assert seen.text() == well
    call = last_call(place)
    assert call["ended_s"] - call["received_s"] > 0.15


async def test_a_fault_of_another_place_passes_by(place: Emulator, ask: Ask, well: str) -> None:
    assert (await ask(place, chat(), fault="status;code=503;at=cloud-api")).status == 200
    assert (await ask(place, chat(), fault="status;code=503;at=appliance")).status == 503


async def test_faults_by_body_field_and_by_the_models_name(place: Emulator, ask: Ask, well: str) -> None:
    assert (await ask(place, chat(emulator_fault={"kind": "status", "code": 502}))).status == 502
    assert (await ask(place, {**chat(), "model": "llama-8b!status;code=504"})).status == 504
    named = json.loads((await ask(place, {**chat(), "model": "llama-8b!no_usage"})).body)
    assert named["model"] == "llama-8b"
    assert named["choices"][0]["message"]["content"] == well


async def test_a_model_that_always_fails(ask: Ask) -> None:
    async with Emulator(profile="l4", models=["llama-8b", "flaky=llama-1b!status;code=503"], speed=SPEED) as place:
        assert (await ask(place, {**chat(), "model": "flaky"})).status == 503
        assert (await ask(place, {**chat(), "model": "flaky"})).status == 503
        assert (await ask(place, chat())).status == 200


async def test_an_unknown_fault_is_refused_and_named(place: Emulator, ask: Ask, well: str) -> None:
    seen = await ask(place, chat(), fault="stal")
    assert seen.status == 400
    error = json.loads(seen.body)["error"]
    assert error["code"] == "invalid_fault"
    assert "choose one of none, connect_reset" in error["message"]


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/responses"])
@pytest.mark.parametrize("fault", ["cut;after_tokens=3", "end_early;after_tokens=3"])
async def test_the_other_streams_break_too(place: Emulator, ask: Ask, path: str, fault: str) -> None:
    body = {"model": "llama-8b", "prompt": "hello", "input": "hello", "stream": True, "max_tokens": 50}
    seen = await ask(place, body, path=path, fault=fault)
    assert seen.end == ("closed" if fault.startswith("cut") else "whole")
    assert last_call(place)["sent_tokens"] == 3
    assert "response.completed" not in seen.body.decode()
    assert "[DONE]" not in seen.body.decode()


async def test_faults_hit_embeddings_and_the_list_of_models(place: Emulator, ask: Ask) -> None:
    body = {"model": "llama-8b", "input": "hello"}
    assert (await ask(place, body, path="/v1/embeddings", fault="status;code=503")).status == 503
    assert (await ask(place, body, path="/v1/embeddings", fault="cut")).end == "closed"
    assert "usage" not in json.loads((await ask(place, body, path="/v1/embeddings", fault="no_usage")).body)
    assert (await ask(place, None, path="/v1/models", method="GET", fault="connect_reset")).end == "reset"


@pytest.mark.parametrize("fault", ["", "stall;after_tokens=2", "no_answer", "slow_first_token;delay_s=60"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_that_hangs_up_is_noticed_and_its_place_freed(
    place: Emulator, ask: Ask, stream: bool, fault: str
) -> None:
    body = chat(stream=stream, max_tokens=5000, ignore_eos=True)
    hung_up_s = 0.0

    async def hang_up() -> None:
        nonlocal hung_up_s
        reader, writer = await asyncio.open_connection(place.address.host, place.address.port)
        data = json.dumps({**body, "emulator_fault": fault}).encode()
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(data), data)
        )
        if stream and fault in ("", "stall;after_tokens=2"):
            await reader.readuntil(b"data: ")
        else:
            while place.state()["counts"].get("seen") != 1:
                await asyncio.sleep(0)
        hung_up_s = time.monotonic()
        writer.transport.abort()

    await hang_up()
    async with asyncio.timeout(2):
        while last_call(place)["outcome"] == "open":
            await asyncio.sleep(0)
    call = last_call(place)
    assert call["outcome"] == "cancelled"
    assert hung_up_s <= call["hung_up_s"] <= call["ended_s"] <= time.monotonic()
    load = place.state()["models"]["llama-8b"]
    assert (load["running"], load["waiting"], load["kv_used_tokens"]) == (0, 0, 0)
