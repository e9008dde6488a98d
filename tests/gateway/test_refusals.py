"""Calls that are refused: keys, pins, wrong fields, our own headers, what no target can do; each leaves its record and asks nobody."""

import hashlib
from typing import Any

import pytest
from tests.gateway.plane import MODEL, Plane, checked

from switchgear.core.record import Outcome
from switchgear.core.snapshot import Breaker, Capabilities, Endpoint, Key, Prices

PATHS = [endpoint.value for endpoint in Endpoint]
CALL: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "prompt": "hi", "input": "hi"}
FEW = Key(name="few", sha256=hashlib.sha256(b"few").hexdigest(), models=("embed",))


REFUSED: dict[str, tuple[Any, str | None, dict[str, str]]] = {  # code: body, param, key and headers
    "missing_key": (CALL, None, {"key": ""}),
    "invalid_api_key": (CALL, None, {"key": "sk-wrong"}),
    "invalid_json": (b'{"model":', None, {}),
    "missing_model": ({"input": "x"}, "model", {}),
    "invalid_field": ({**CALL, "stream": 7}, "stream", {}),
    "model_not_found": ({**CALL, "model": "gpt-y"}, "model", {}),
    "model_not_allowed": (CALL, "model", {"key": "few"}),
    "pin_not_allowed": ({**CALL, "model": "embed@a"}, "model", {"key": "few"}),
    "unknown_pin": ({**CALL, "model": "chat@z"}, "model", {}),
    "unsupported_content_encoding": (CALL, None, {"content_encoding": "gzip"}),
}


@pytest.mark.parametrize("code", REFUSED)
async def test_a_call_that_is_refused_at_every_endpoint(code: str) -> None:
    body, param, options = REFUSED[code]
    async with Plane("a", aliases={"embed": {}}, keys=(FEW,)) as plane:
        for number, path in enumerate(PATHS, 1):
            answer = await plane.send(body, path=path, **options)
            checked(answer, code, param)
            record = await plane.record(number)
            assert answer.headers["x-switchgear-call"] == record.call
            assert answer.headers["x-switchgear-attempts"] == "0"
            assert (record.outcome, record.error, record.status) == (Outcome.REFUSED, code, answer.status)
            assert record.endpoint == path
            assert record.attempts == []
            assert record.principal == {"missing_key": "", "invalid_api_key": ""}.get(code, options.get("key", "demo"))
        assert plane.places["a"].state()["counts"] == {}, "the place has heard of none of them"


@pytest.mark.parametrize(
    ("headers", "param"),
    [
        ({"x_switchgear_delivery": "later"}, "x-switchgear-delivery"),
        ({"x_switchgear_timeout_s": "soon"}, "x-switchgear-timeout-s"),
        ({"x_switchgear_timeout_s": "0"}, "x-switchgear-timeout-s"),
        ({"x_switchgear_timeout_s": "-1"}, "x-switchgear-timeout-s"),
        ({"x_switchgear_timeout_s": "nan"}, "x-switchgear-timeout-s"),
    ],
)
async def test_our_own_headers_are_held_to_their_form(headers: dict[str, str], param: str) -> None:
    async with Plane("a") as plane:
        checked(await plane.send(CALL, **headers), "invalid_field", param)


async def test_delivery_and_deadline_by_header() -> None:
    async with Plane("a", "b") as plane:
        plane.places["a"].set_faults(["cut;after_tokens=3"])
        whole = await plane.send({**CALL, "stream": True}, x_switchgear_delivery="whole")
        assert whole.headers["x-switchgear-backend"] == "b", "held back until it was whole: nothing to rescue"
        plane.places["a"].set_faults(["no_answer"])
        plane.places["b"].set_faults(["no_answer"])
        late = await plane.send(CALL, x_switchgear_timeout_s="0.2")
        checked(late, "deadline_exceeded")
        record = await plane.record(2)
        assert (record.outcome, record.error) == (Outcome.FAILED, "deadline_exceeded")
        assert [attempt.error for attempt in record.attempts] == ["total_timeout"]
        for place in plane.places.values():
            place.set_faults([])
        assert (await plane.send(CALL, x_switchgear_timeout_s="inf")).status == 200


async def test_a_deadline_that_a_caller_made_short_says_nothing_about_the_place() -> None:
    breaker = {"breaker": Breaker(consecutive=2, min_calls=2)}
    async with Plane("a", backends={"a": breaker}) as plane:
        plane.places["a"].set_faults([{"fault": "slow_first_token;delay_s=0.3"}])
        for _ in range(4):
            checked(await plane.send(CALL, x_switchgear_timeout_s="0.05"), "deadline_exceeded")
        assert plane.gateway.live()["targets"][0]["breaker"] == "closed"
        assert await plane.ask(), "other callers, with other deadlines, are served"


# -- what no target can do --

TOOL: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
LACKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # reason: what the place cannot, what the call needs
    "lacks_endpoint": ({"endpoints": (Endpoint.EMBEDDINGS,)}, {}),
    "lacks_tools": ({"tools": False}, {"tools": [TOOL]}),
    "lacks_images": ({"images": False}, {"messages": [IMAGE]}),
    "lacks_json_schema": ({"json_schema": False}, {"response_format": SCHEMA}),
    "lacks_logprobs": ({"logprobs": False}, {"logprobs": True}),
    "context_too_small": ({"context_window": 100}, {"messages": [{"role": "user", "content": "x" * 4000}]}),
}


@pytest.mark.parametrize("reason", LACKS)
async def test_a_place_that_lacks_what_a_call_needs_is_not_tried(reason: str) -> None:
    can, needs = LACKS[reason]
    unable = {"a": {"capabilities": Capabilities(**can)}}
    body = {"model": "chat", "messages": CALL["messages"], **needs}
    async with Plane("a", "b", backends=unable) as plane:
        assert (await plane.send(body)).headers["x-switchgear-backend"] == "b"
        record = await plane.record()
        assert [(out.backend, out.model, out.reason) for out in record.ruled_out] == [("a", MODEL, reason)]
        assert record.candidates == [("b", MODEL)]
        error = checked(await plane.send({**body, "model": "chat@a"}), "no_capable_target", "model")
        assert error["message"].startswith("No target of 'chat' can serve this call: a/")
        assert plane.places["a"].state()["counts"] == {}
    if reason in ("lacks_tools", "lacks_images"):
        async with Plane("a", backends=unable) as plane:
            assert await plane.ask(), "a call that does not need it is served"


async def test_a_cost_limit_rules_out_the_dear_and_the_unpriced() -> None:
    dear = {"prices": Prices(input_usd_per_mtok=1e6, output_usd_per_mtok=1e6)}
    async with Plane("a", "b", "c", backends={"a": dear, "b": {"prices": None}}, model={"max_cost_usd": 0.01}) as plane:
        assert await plane.ask()
        record = await plane.record()
        assert [(out.backend, out.reason) for out in record.ruled_out] == [("a", "over_cost_limit"), ("b", "unpriced")]
