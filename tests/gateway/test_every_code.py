"""Every code of the catalogue, provoked: its one shape, its status, and that the gateway still serves."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.gateway.plane import KEY, MODEL, Plane, checked
from tests.gateway.test_every_code_may import PROVOKED as PROVOKED_MAY
from tests.wire.serving import Answer, Caller

from switchgear.backends.openai import OpenAI
from switchgear.core.snapshot import Breaker, ContinueTurn, Endpoint, Key, Target
from switchgear.gateway.errors import CATALOGUE
from switchgear.wire.model import Limits

CALL: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}
FEW = Key(name="few", sha256=hashlib.sha256(b"few").hexdigest(), models=("embed",))
Provoke = Callable[[Plane], Awaitable[Answer]]


class Defective(OpenAI):
    """An adapter with a defect."""

    def body(self, fields: Any) -> bytes:
        raise ZeroDivisionError


def request(head: str = "", target: str = "/v1/models", version: str = "HTTP/1.1", method: str = "GET") -> bytes:
    return f"{method} {target} {version}\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n{head}\r\n".encode()


def raw(data: bytes) -> Provoke:
    async def send(plane: Plane) -> Answer:
        async with Caller(plane.address) as caller:
            await caller.send(data)
            return await caller.answer()

    return send


def post(body: Any = CALL, **options: str) -> Provoke:
    return lambda plane: plane.send(body, **options)


def after(fault: str, **options: str) -> Provoke:
    """A call to a place that does this wrong."""

    def send(plane: Plane) -> Awaitable[Answer]:
        plane.places["a"].set_faults([fault])
        return plane.send(CALL, **options)

    return send


async def too_many_connections(plane: Plane) -> Answer:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            last = await stack.enter_async_context(Caller(plane.address))
        return await last.answer()


async def draining(plane: Plane) -> Answer:
    async with Caller(plane.address) as caller:
        await caller.send(request())
        await caller.answer()
        plane.server.draining = True
        await caller.send(request())
        answer = await caller.answer()
        plane.server.draining = False
        return answer


async def breaker_open(plane: Plane) -> Answer:
    plane.places["a"].set_faults(["connect_reset"])
    for _ in range(2):
        answer = await plane.send(CALL)
    return answer


async def journal_unavailable(plane: Plane) -> Answer:
    plane.records.writable = False
    answer = await plane.send(CALL)
    plane.records.writable = True
    return answer


async def internal_error(plane: Plane) -> Answer:
    target = plane.gateway.table.routes["chat"].targets[0]
    whole, target.adapter = target.adapter, Defective("", "x", "", None, {}, ContinueTurn.NO)
    answer = await plane.send(CALL)
    target.adapter = whole
    return answer


async def unreachable(plane: Plane) -> Answer:
    place = plane.places["a"]
    await place.close()
    answer = await plane.send(CALL)
    place._listen = str(place.address)
    await place.start()
    return answer


async def no_capable_target(plane: Plane) -> Answer:
    return await plane.send({"model": "small", "messages": [{"role": "user", "content": "x" * 400_000}]})


PROVOKED: dict[str, Provoke] = {
    "malformed_request": raw(b"GET / HTTP/1.1\r\nhost: x\r\n folded\r\n\r\n"),
    "missing_host": raw(b"GET / HTTP/1.1\r\n\r\n"),
    "invalid_host": raw(b"GET / HTTP/1.1\r\nhost: x/y\r\n\r\n"),
    "repeated_header": raw(request("host: y\r\n")),
    "unsupported_http_version": raw(request(version="HTTP/2.0")),
    "unsupported_transfer_encoding": raw(request("transfer-encoding: gzip, chunked\r\n", method="POST")),
    "expectation_failed": raw(request("expect: 200-ok\r\n")),
    "header_too_large": raw(request(f"x: {'y' * 3000}\r\n")),
    "too_many_headers": raw(request("".join(f"x{n}: y\r\n" for n in range(30)))),
    "body_too_large": raw(request("content-length: 2000001\r\n", method="POST")),
    "head_timeout": raw(b"GET / HTTP/1.1\r\n"),
    "body_timeout": raw(request("content-length: 9\r\n", method="POST") + b"1234"),
    "too_many_connections": too_many_connections,
    "draining": draining,
    "not_found": raw(request(target="/v2/models")),
    "method_not_allowed": raw(request(method="DELETE")),
    "unsupported_content_encoding": post(content_encoding="gzip"),
    "invalid_json": post(b"{"),
    "invalid_field": post({**CALL, "n": 0}),
    "missing_model": post({}),
    "missing_key": post(key=""),
    "invalid_api_key": post(key="sk-wrong"),
    "model_not_found": post({**CALL, "model": "gpt-y"}),
    "model_not_allowed": post(key="few"),
    "pin_not_allowed": post({**CALL, "model": "embed@a"}, key="few"),
    "unknown_pin": post({**CALL, "model": "chat@z"}),
    "no_capable_target": no_capable_target,
    "no_target_available": breaker_open,
    "journal_unavailable": journal_unavailable,
    "upstream_unreachable": unreachable,
    "upstream_error": after("malformed_body"),
    "upstream_rate_limited": after("status;code=429"),
    "upstream_timeout": after("no_answer"),
    "deadline_exceeded": after("no_answer", x_switchgear_timeout_s="0.1"),
    "internal_error": internal_error,
}
PARAMS = {
    "invalid_field": "n",
    **dict.fromkeys(
        (
            "missing_model",
            "model_not_found",
            "model_not_allowed",
            "pin_not_allowed",
            "unknown_pin",
            "no_capable_target",
        ),
        "model",
    ),
}
LIMITS = Limits(header_bytes=2048, header_count=20, body_bytes=2_000_000, head_s=0.1, body_idle_s=0.1, connections=12)


def test_no_code_is_left_out() -> None:
    assert not PROVOKED.keys() & PROVOKED_MAY.keys()
    both = {*PROVOKED, *PROVOKED_MAY}
    assert both | {"stream_broken"} == set(CATALOGUE), "stream_broken is an event: see the test below"


@pytest.mark.parametrize("code", PROVOKED)
async def test_every_code_has_its_shape_and_the_gateway_still_serves(code: str) -> None:
    small = {"targets": (Target(backend="a", model=MODEL, context_window=1000),)}
    breaker = {"a": {"breaker": Breaker(consecutive=1, open_s=0.5)}}
    async with Plane(
        "a",
        aliases={"small": small, "embed": {}},
        keys=(FEW,),
        limits=LIMITS,
        backends=breaker,
        refuse_unrecorded=True,
    ) as plane:
        answer = await PROVOKED[code](plane)
        error = checked(answer, code, PARAMS.get(code))
        assert "Traceback" not in error["message"]
        if code in ("no_target_available", "journal_unavailable"):
            assert int(answer.headers["retry-after"]) >= 1
        plane.places["a"].set_faults([])
        async with asyncio.timeout(5.0):  # at once, or when the breaker lets a probe through
            while (await plane.send(CALL)).status != 200:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("path", [endpoint.value for endpoint in Endpoint if endpoint is not Endpoint.EMBEDDINGS])
async def test_a_broken_stream_ends_with_an_event_in_the_one_shape(path: str) -> None:
    body = {"model": "chat", "messages": CALL["messages"], "prompt": "x", "input": "x", "stream": True}
    async with Plane("a", model={"rescue": False}, speed=20.0) as plane:
        plane.places["a"].set_faults(["cut;after_tokens=4"])
        answer = await plane.send(body, path=path)
        assert answer.status == 200
        event = answer.body.decode().rstrip("\n").rpartition("\n\n")[2]
        assert "[DONE]" not in answer.body.decode()
        value = json.loads(event.rpartition("data: ")[2])
        assert set(value["error"]) >= {"message", "type", "param", "code"}
        assert value["error"]["code"] == "stream_broken"
        if path == "responses":
            assert event.startswith("event: error\n")
            assert (value["type"], value["code"]) == ("error", "stream_broken")
        record = await plane.record()
        assert (record.outcome, record.error) == ("broken", "stream_broken")
        assert record.completion_tokens > 0, "the part that the caller got is counted"


async def test_an_unknown_caller_need_not_send_a_large_body_first() -> None:
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {1_000_000}\r\n"
    async with Plane("a") as plane:
        checked(await raw(f"{head}\r\n".encode())(plane), "missing_key")
        checked(await raw(f"{head}authorization: Bearer sk-wrong\r\n\r\n".encode())(plane), "invalid_api_key")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_methods_and_paths(method: str) -> None:
    call = {**CALL, "input": "x"}
    async with Plane("a") as plane:
        for path in ("chat/completions", "embeddings", "models", "models/chat", "models/", "nothing", ""):
            answer = await plane.send(call, path=path, method=method)
            is_call, is_model = path in ("chat/completions", "embeddings"), path.startswith("models")
            if (is_call and method == "POST") or (is_model and method in ("GET", "HEAD")):
                assert answer.status == (200 if path != "models/" else 404)
            elif is_call or is_model:
                assert answer.status == 405
                assert answer.headers["allow"] == ("POST" if is_call else "GET")
            else:
                assert answer.status == 404
            if method == "HEAD":
                assert answer.body == b""


async def test_a_query_does_not_change_the_path() -> None:
    async with Plane("a") as plane:
        assert (await plane.send(CALL, path="chat/completions?api-version=1")).status == 200
        assert (await plane.send(b"", path="models?limit=1", method="GET")).status == 200


async def test_models_need_a_key() -> None:
    async with Plane("a") as plane:
        checked(await plane.send(b"", path="models", method="GET", key=""), "missing_key")
        checked(await plane.send(b"", path="models/chat", method="GET", key="sk-wrong"), "invalid_api_key")


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer"])
async def test_the_scheme_of_the_key_may_be_written_in_any_case(scheme: str) -> None:
    async with Plane("a") as plane:
        answer = await plane.send(CALL, key="", authorization=f"{scheme}  {KEY} ")
        assert answer.status == 200
        checked(await plane.send(CALL, key="", authorization=f"Basic {KEY}"), "invalid_api_key")
