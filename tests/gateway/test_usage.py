"""Tokens are counted always: as reported, or estimated and marked so; shown to a caller that asked, kept from one that did not."""

import json
from typing import Any

import pytest
from tests.gateway.plane import Plane
from tests.gateway.recording import DONE, STREAM, USAGE, chunk, recording, replies, streams

from switchgear.core.snapshot import Capabilities

SHOWN = chunk(usage=USAGE)


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}, {"include_usage": True}])
async def test_usage_is_counted_always_and_shown_when_asked_for(options: dict[str, bool] | None) -> None:
    asked = {"model": "chat", "messages": [], "stream": True} | ({} if options is None else {"stream_options": options})
    async with recording(streams(*STREAM, SHOWN, DONE)) as place, Plane("a", urls={"a": place.base_url}) as plane:
        answer = await plane.send(asked)
        record = await plane.record()
    wanted = bool(options and options.get("include_usage"))
    assert answer.body == b"".join([*STREAM, *([SHOWN] if wanted else []), DONE])
    assert (record.prompt_tokens, record.completion_tokens, record.usage) == (9, 2, "reported")
    assert record.cost_usd == pytest.approx((9 * 1.0 + 2 * 2.0) / 1e6)


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (None, None),
        ({"include_usage": False}, None),
        ({"include_obfuscation": False}, {"include_obfuscation": False}),
        ({"include_usage": True}, {"include_usage": True}),
    ],
    ids=["none", "no usage", "another", "the caller's own"],
)
async def test_a_place_that_does_not_know_the_field_is_not_asked_by_it(
    options: dict[str, bool] | None, sent: dict[str, bool] | None
) -> None:
    asked = {"model": "chat", "messages": [], "stream": True} | ({} if options is None else {"stream_options": options})
    can = {"a": {"capabilities": Capabilities(stream_usage=False)}}
    async with recording(replies(status=500)) as a, recording(streams(*STREAM, SHOWN, DONE)) as b:
        urls = {"a": a.base_url, "b": b.base_url}
        async with Plane("a", "b", urls=urls, backends=can) as plane:
            assert (await plane.send(asked)).status == 200
            assert a.fields.get("stream_options") == sent
            assert b.fields["stream_options"] == {**(options or {}), "include_usage": True}, "the other one is asked"
            a.answer = streams(*STREAM, DONE)
            answer = await plane.send(asked)
            record = await plane.record(2)
    assert answer.body == b"".join([*STREAM, DONE])
    assert (record.backend, record.usage) == ("a", "estimated")


async def test_usage_in_the_last_piece_of_content_is_counted() -> None:
    events = [STREAM[0], chunk({"content": " you"}, "stop", usage=USAGE), DONE]
    async with recording(streams(*events)) as place, Plane("a", urls={"a": place.base_url}) as plane:
        answer = await plane.send({"model": "chat", "messages": [], "stream": True})
        record = await plane.record()
    assert answer.body == b"".join(events), "it carries text: it cannot be kept from the caller"
    assert (record.completion_tokens, record.usage) == (2, "reported")


@pytest.mark.parametrize("kind", ["text", "tool", "wide"])
async def test_without_usage_it_is_estimated_and_the_same_streamed_and_not(kind: str) -> None:
    function = {"name": "look", "arguments": '{"at": "there"}'}
    call: Any = {"index": 0, "id": "c", "type": "function", "function": function}
    deltas: dict[str, list[dict[str, Any]]] = {
        "text": [{"content": "twenty bytes "}, {"content": "of text"}],
        "wide": [{"content": "二十"}, {"content": "ö"}],
        "tool": [
            {"tool_calls": [{**call, "function": {**function, "arguments": ""}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": function["arguments"]}}]},
        ],
    }
    message: dict[str, Any] = (
        {"content": None, "tool_calls": [call]}
        if kind == "tool"
        else {"content": "".join(piece["content"] for piece in deltas[kind])}
    )
    whole = {"choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}]}
    stream = streams(*map(chunk, deltas[kind]), chunk({}, "stop"), DONE)
    can = Capabilities(bytes_per_token=2.0)
    async with recording() as place:
        place.answer = lambda exchange: (stream if b'"stream":true' in exchange.body else replies(whole))(exchange)
        async with Plane("a", urls={"a": place.base_url}, backends={"a": {"capabilities": can}}) as plane:
            for streamed in (False, True):
                body = json.dumps(
                    {"model": "chat", "messages": ["0123456789"], "stream": streamed}, separators=(",", ":")
                )
                await plane.send(body.encode())
            first, second = await plane.record(1), await plane.record(2)
    sizes = {"text": 20, "wide": 8, "tool": 4 + 15}
    assert first.usage == second.usage == "estimated"
    assert first.completion_tokens == second.completion_tokens == -(-sizes[kind] // 2)
    assert first.prompt_tokens == second.prompt_tokens == 7, "fourteen bytes of messages"
    assert first.cost_usd == second.cost_usd
    assert first.cost_usd == pytest.approx((7 + 2 * first.completion_tokens) / 1e6)


async def test_a_place_without_prices_is_unpriced_not_free() -> None:
    async with Plane("a", backends={"a": {"prices": None}}) as plane:
        await plane.ask()
        await plane.stream()
        assert [(await plane.record(number)).cost_usd for number in (1, 2)] == [None, None]
