"""The official client, sync and async, against every endpoint of the gateway, with no special settings."""

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import jsonschema
import openai
import pytest
from openai import OpenAI
from tests.gateway.plane import KEY, MODEL, Plane

from switchgear.core.record import Outcome
from switchgear.core.snapshot import Key

MESSAGES: list[Any] = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "hello"}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "celsius": {"type": "integer", "minimum": -20, "maximum": 40}},
    "required": ["city", "celsius"],
    "additionalProperties": False,
}
TOOL: Any = {"type": "function", "function": {"name": "report_weather", "parameters": SCHEMA}}


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    async with Plane("a", "b") as made:
        yield made


def said(answer: Any) -> str:
    text: str = answer.choices[0].message.content
    return text


async def collect(stream: Any) -> tuple[dict[int, str], dict[int, str | None], list[Any]]:
    """Texts and finish reasons by choice, and the usages that came."""
    texts: dict[int, str] = {}
    reasons: dict[int, str | None] = {}
    usages = []
    async for chunk in stream:
        assert chunk.model == MODEL
        if chunk.usage is not None:
            usages.append(chunk.usage)
        for choice in chunk.choices:
            text = choice.delta.content if hasattr(choice, "delta") else choice.text
            texts[choice.index] = texts.get(choice.index, "") + (text or "")
            reasons[choice.index] = choice.finish_reason or reasons.get(choice.index)
    return texts, reasons, usages


async def test_chat(plane: Plane) -> None:
    answer = await plane.client.chat.completions.create(model="chat", messages=MESSAGES)
    again = await plane.sync(lambda c: c.chat.completions.create(model="chat", messages=MESSAGES))
    assert said(answer) == said(again)
    assert answer.model == again.model == MODEL, "the model that answered, not the alias"
    assert answer.choices[0].finish_reason == "stop"
    record = await plane.record(2)
    assert (record.outcome, record.finish_reason, record.answered_model) == (Outcome.OK, "stop", MODEL)
    assert (record.principal, record.team, record.model, record.backend) == ("demo", "platform", "chat", "a")


@pytest.mark.parametrize("more", [{}, {"n": 2}, {"max_tokens": 7}, {"stop": [" the"]}, {"seed": 4, "temperature": 0.5}])
async def test_a_streamed_chat_says_and_counts_what_the_whole_one_does(plane: Plane, more: dict[str, Any]) -> None:
    create = plane.client.chat.completions.create
    whole = await create(model="chat", messages=MESSAGES, **more)
    options: Any = {"include_usage": True}
    stream = await create(model="chat", messages=MESSAGES, stream=True, stream_options=options, **more)
    texts, reasons, usages = await collect(stream)
    assert texts == {choice.index: choice.message.content for choice in whole.choices}
    assert reasons == {choice.index: choice.finish_reason for choice in whole.choices}
    assert usages == [whole.usage]
    assert len(texts) == more.get("n", 1)
    first, second = await plane.record(1), await plane.record(2)
    assert (first.prompt_tokens, first.completion_tokens, first.usage) == (
        second.prompt_tokens,
        second.completion_tokens,
        "reported",
    )
    assert whole.usage is not None
    assert first.completion_tokens == whole.usage.completion_tokens
    assert (
        first.cost_usd
        == second.cost_usd
        == pytest.approx((first.prompt_tokens * 1.0 + first.completion_tokens * 2.0) / 1e6)
    )


async def test_a_sync_stream(plane: Plane) -> None:
    def read(client: OpenAI) -> str:
        with client.chat.completions.create(model="chat", messages=MESSAGES, stream=True) as stream:
            return "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    whole = await plane.client.chat.completions.create(model="chat", messages=MESSAGES)
    assert await plane.sync(read) == said(whole)


async def test_the_stream_helper_of_the_client(plane: Plane) -> None:
    async with plane.client.chat.completions.stream(model="chat", messages=MESSAGES) as stream:
        deltas = [event.delta async for event in stream if event.type == "content.delta"]
        final = await stream.get_final_completion()
    assert "".join(deltas) == said(final)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "report_weather"}}])
async def test_forced_tools(plane: Plane, choice: Any) -> None:
    asked = {"model": "chat", "messages": MESSAGES, "tools": [TOOL], "tool_choice": choice}
    answer = await plane.client.chat.completions.create(**asked)
    (call,) = answer.choices[0].message.tool_calls or ()
    jsonschema.validate(json.loads(call.function.arguments), SCHEMA)
    async with plane.client.chat.completions.stream(**asked) as stream:
        final = await stream.get_final_completion()
    (streamed,) = final.choices[0].message.tool_calls or ()
    assert (streamed.function.name, streamed.function.arguments) == (call.function.name, call.function.arguments)
    assert final.choices[0].finish_reason == answer.choices[0].finish_reason == "tool_calls"
    assert (await plane.record(2)).finish_reason == "tool_calls"


async def test_a_conversation_with_tools_goes_on(plane: Plane) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "report_weather", "arguments": "{}"}}
    messages = [
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "12 degrees"},
    ]
    answer = await plane.client.chat.completions.create(model="chat", messages=messages, tools=[TOOL])
    assert said(answer)


async def test_json_held_to_a_schema(plane: Plane) -> None:
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA, "strict": True}}
    answer = await plane.client.chat.completions.create(model="chat", messages=MESSAGES, response_format=wanted)
    jsonschema.validate(json.loads(said(answer)), SCHEMA)


async def test_logprobs(plane: Plane) -> None:
    asked: Any = {"model": "chat", "messages": MESSAGES, "logprobs": True, "top_logprobs": 2, "max_tokens": 5}
    answer = await plane.client.chat.completions.create(**asked)
    scored = answer.choices[0].logprobs.content
    assert "".join(one.token for one in scored) == said(answer)
    assert all(len(one.top_logprobs) == 2 for one in scored)
    streamed = []
    async for chunk in await plane.client.chat.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            streamed += choice.logprobs.content if choice.logprobs else []
    assert [one.logprob for one in streamed] == [one.logprob for one in scored]


async def test_images_in_messages(plane: Plane) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 200_000}}
    messages: list[Any] = [{"role": "user", "content": [{"type": "text", "text": "what is this?"}, image]}]
    seen = await plane.client.chat.completions.create(model="chat", messages=messages)
    assert seen.usage is not None
    assert seen.usage.prompt_tokens < 200, "an image counts as such, whatever its bytes"
    record = await plane.record()
    assert record.prompt_tokens == seen.usage.prompt_tokens
    assert record.request_bytes > 200_000


async def test_completions(plane: Plane) -> None:
    asked: Any = {"model": "chat", "prompt": ["one", "two"], "n": 2, "max_tokens": 6, "echo": True, "logprobs": 1}
    whole = await plane.client.completions.create(**asked)
    assert [choice.index for choice in whole.choices] == [0, 1, 2, 3]
    assert whole.choices[2].text.startswith("two")
    texts, reasons, usages = await collect(await plane.client.completions.create(**asked, stream=True))
    assert texts == {choice.index: choice.text for choice in whole.choices}
    assert set(reasons.values()) == {"length"}
    assert usages == []
    assert (await plane.record(2)).completion_tokens == whole.usage.completion_tokens == 24
    plain = await plane.sync(lambda c: c.completions.create(model="chat", prompt="one", max_tokens=6))
    assert plain.model == MODEL


async def test_embeddings_as_floats_and_packed(plane: Plane) -> None:
    packed = await plane.client.embeddings.create(model="chat", input=["a", "b", "a"])
    plain = await plane.sync(lambda c: c.embeddings.create(model="chat", input="a", encoding_format="float"))
    assert packed.data[0].embedding == packed.data[2].embedding != packed.data[1].embedding
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)
    record = await plane.record()
    assert (record.endpoint, record.prompt_tokens, record.completion_tokens) == ("embeddings", 3, 0)
    assert packed.usage.prompt_tokens == 3
    assert packed.model == MODEL


async def test_responses(plane: Plane) -> None:
    whole = await plane.client.responses.create(model="chat", input="hello", instructions="Be short.")
    events = []
    async with plane.client.responses.stream(model="chat", input="hello", instructions="Be short.") as stream:
        async for event in stream:
            events.append(event)
        final = await stream.get_final_response()
    assert final.output_text == whole.output_text
    assert final.usage == whole.usage
    assert final.model == whole.model == MODEL
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.completed"
    short = await plane.sync(lambda c: c.responses.create(model="chat", input="hello", max_output_tokens=16))
    assert short.status == "incomplete"
    first, second, third = [await plane.record(number) for number in (1, 2, 3)]
    assert (first.prompt_tokens, first.completion_tokens) == (second.prompt_tokens, second.completion_tokens)
    assert (first.finish_reason, second.finish_reason, third.finish_reason) == ("stop", "stop", "max_output_tokens")
    assert first.completion_tokens == whole.usage.output_tokens


async def test_responses_with_tools_and_json(plane: Plane) -> None:
    tool: Any = {"type": "function", "name": "report_weather", "parameters": SCHEMA, "strict": True}
    asked: Any = {"model": "chat", "input": "weather?", "tools": [tool], "tool_choice": "required"}
    call = (await plane.client.responses.create(**asked)).output[0]
    async with plane.client.responses.stream(**asked) as stream:
        streamed = (await stream.get_final_response()).output[0]
    assert streamed.arguments == call.arguments
    wanted: Any = {"format": {"type": "json_schema", "name": "weather", "schema": SCHEMA}}
    made = await plane.client.responses.create(model="chat", input="weather?", text=wanted)
    jsonschema.validate(json.loads(made.output_text), SCHEMA)


async def test_models_are_those_that_the_key_may_call() -> None:
    few = Key(name="few", sha256=hashlib.sha256(b"few").hexdigest(), models=("org/big:70b",))
    async with Plane("a", aliases={"org/big:70b": {}, "embed": {}}, keys=(few,)) as plane:
        listed = [model async for model in plane.client.models.list()]
        assert [model.id for model in listed] == ["chat", "org/big:70b", "embed"]
        one = await plane.sync(lambda c: c.models.retrieve("org/big:70b"), key="few")
        assert one.id == "org/big:70b"
        assert one.to_dict()["switchgear"] == {
            "strategy": "priority",
            "targets": [{"backend": "a", "model": MODEL}],
        }
        assert [model.id for model in (await plane.sync(lambda c: c.models.list(), key="few")).data] == ["org/big:70b"]
        for name, key in (("chat", "few"), ("gpt-y", KEY)):
            with pytest.raises(openai.NotFoundError) as missing:
                await plane.sync(lambda c, name=name: c.models.retrieve(name), key=key)
            assert (missing.value.code, missing.value.param) == ("model_not_found", "model")


async def test_every_answer_says_what_happened(plane: Plane) -> None:
    client = plane.client
    asked: list[Any] = [
        client.chat.completions.with_raw_response.create(model="chat", messages=MESSAGES),
        client.chat.completions.with_raw_response.create(model="chat", messages=MESSAGES, stream=True),
        client.completions.with_raw_response.create(model="chat", prompt="x"),
        client.embeddings.with_raw_response.create(model="chat", input="x"),
        client.responses.with_raw_response.create(model="chat", input="x"),
        client.responses.with_raw_response.create(model="chat", input="x", stream=True),
    ]
    for number, waiting in enumerate(asked, 1):
        answer = await waiting
        if "event-stream" in answer.headers["content-type"]:
            assert [event async for event in answer.parse()]
        assert answer.headers["x-switchgear-call"] == (await plane.record(number)).call
        assert answer.headers["x-switchgear-backend"] == "a"
        assert answer.headers["x-switchgear-attempts"] == "1"
    plane.places["a"].set_faults(["status;code=500"])
    second = await client.chat.completions.with_raw_response.create(model="chat", messages=MESSAGES)
    assert second.headers["x-switchgear-backend"] == "b"
    assert second.headers["x-switchgear-attempts"] == "2"
    calls = [record.call for record in plane.records.kept]
    assert len(set(calls)) == len(calls)
    assert calls == sorted(calls), "ids sort by time"


async def test_a_pin_chooses_the_backend(plane: Plane) -> None:
    answer = await plane.client.chat.completions.with_raw_response.create(model="chat@b", messages=MESSAGES)
    assert answer.headers["x-switchgear-backend"] == "b"
    record = await plane.record()
    assert (record.model, record.pinned, record.candidates) == ("chat", "b", [("b", MODEL)])
    assert [(out.backend, out.reason) for out in record.ruled_out] == [("a", "not_pinned")]
    plane.places["b"].set_faults(["status;code=404"])
    with pytest.raises(openai.InternalServerError) as caught:
        await plane.client.chat.completions.create(model="chat@b", messages=MESSAGES)
    assert caught.value.code == "upstream_error", "a pinned call goes nowhere else"
    assert len((await plane.record(2)).attempts) == 1
