"""The official client, sync and async, against every endpoint, with no special settings."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import jsonschema
import openai
import pytest

from switchgear.emulator.server import Emulator

MESSAGES: list[Any] = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "hello"}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "celsius": {"type": "integer", "minimum": -20, "maximum": 40}},
    "required": ["city", "celsius"],
    "additionalProperties": False,
}
TOOL: Any = {"type": "function", "function": {"name": "report_weather", "parameters": SCHEMA}}


@pytest.fixture
async def place() -> AsyncIterator[Emulator]:
    async with Emulator(profile="cloud", models=["gpt-x", "llama-8b"], speed=200, api_key="secret") as emulator:
        yield emulator


@pytest.fixture
async def client(place: Emulator) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=place.base_url, api_key="secret", max_retries=0, timeout=10) as made:
        yield made


async def sync(place: Emulator, use: Callable[[openai.OpenAI], Any]) -> Any:
    """Use the blocking client in a thread, because the place runs on this loop."""

    def call() -> Any:
        with openai.OpenAI(base_url=place.base_url, api_key="secret", max_retries=0, timeout=10) as made:
            return use(made)

    return await asyncio.to_thread(call)


async def test_models(place: Emulator, client: openai.AsyncOpenAI) -> None:
    listed = [model async for model in client.models.list()]
    assert [model.id for model in listed] == ["gpt-x", "llama-8b"]
    one = await sync(place, lambda c: c.models.retrieve("gpt-x"))
    assert one.to_dict()["max_model_len"] == 128_000
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("gpt-y")


async def test_chat(place: Emulator, client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="gpt-x", messages=MESSAGES)
    again = await sync(place, lambda c: c.chat.completions.create(model="gpt-x", messages=MESSAGES))
    assert answer.choices[0].message.content == again.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "gpt-x"
    assert answer.id != again.id


@pytest.mark.parametrize("more", [{}, {"n": 3}, {"max_tokens": 7}, {"stop": [" the"]}, {"seed": 4}])
async def test_a_streamed_chat_says_and_counts_what_the_whole_one_does(
    place: Emulator, client: openai.AsyncOpenAI, more: dict[str, Any]
) -> None:
    whole = await client.chat.completions.create(model="gpt-x", messages=MESSAGES, **more)

    async def streamed() -> tuple[dict[int, str], dict[int, str | None], Any]:
        texts: dict[int, str] = {}
        reasons: dict[int, str | None] = {}
        usage = None
        stream = await client.chat.completions.create(
            model="gpt-x", messages=MESSAGES, stream=True, stream_options={"include_usage": True}, **more
        )
        async for chunk in stream:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
                reasons[choice.index] = choice.finish_reason or reasons.get(choice.index)
        return texts, reasons, usage

    texts, reasons, usage = await streamed()
    assert texts == {choice.index: choice.message.content for choice in whole.choices}
    assert reasons == {choice.index: choice.finish_reason for choice in whole.choices}
    assert usage == whole.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert len(texts) == more.get("n", 1)


def test_limits_and_stops_are_kept() -> None:
    """The parameters of the test above do what they say; checked on the pure side, where no socket is needed."""
    from switchgear.emulator.answer import Origin, chat_answer
    from switchgear.emulator.requests import ChatBody, Message, chat_prompt

    def answer(**more: Any) -> Any:
        body = ChatBody(model="gpt-x", messages=[Message(role="user", content="hello")], **more)
        return chat_answer(body, chat_prompt(body, True), Origin("id", 0, "gpt-x", 1000))

    assert [(len(c.tokens), c.finish_reason) for c in answer(max_tokens=7).choices] == [(7, "length")]
    assert [(len(c.tokens), c.finish_reason) for c in answer(max_tokens=7, max_completion_tokens=5).choices] == [
        (5, "length")
    ]
    stopped = answer(stop="network").choices[0]
    assert stopped.finish_reason == "stop"
    assert "network" not in stopped.text
    assert len({c.text for c in answer(n=4).choices}) == 4
    assert answer(min_tokens=300).completion_tokens >= 300
    ignoring = answer(max_tokens=400, ignore_eos=True).choices[0]
    assert (len(ignoring.tokens), ignoring.finish_reason) == (400, "length")


async def test_the_stream_helper_of_the_client(client: openai.AsyncOpenAI) -> None:
    async with client.chat.completions.stream(model="gpt-x", messages=MESSAGES) as stream:
        deltas = [event.delta async for event in stream if event.type == "content.delta"]
        final = await stream.get_final_completion()
    assert "".join(deltas) == final.choices[0].message.content


async def test_a_sync_stream(place: Emulator) -> None:
    def read(c: openai.OpenAI) -> str:
        with c.chat.completions.create(model="gpt-x", messages=MESSAGES, stream=True) as stream:
            return "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    whole = await sync(place, lambda c: c.chat.completions.create(model="gpt-x", messages=MESSAGES))
    assert await sync(place, read) == whole.choices[0].message.content


async def test_logprobs(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="gpt-x", messages=MESSAGES, logprobs=True, top_logprobs=3, max_tokens=5
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert "".join(one.token for one in logprobs.content) == answer.choices[0].message.content
    for one in logprobs.content:
        assert bytes(one.bytes or ()).decode() == one.token
        assert len(one.top_logprobs) == 3
        assert one.top_logprobs[0].token == one.token
        assert one.logprob == max(other.logprob for other in one.top_logprobs) <= 0


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "report_weather"}}])
async def test_forced_tools_are_called_with_arguments_that_fit(client: openai.AsyncOpenAI, choice: Any) -> None:
    answer = await client.chat.completions.create(model="gpt-x", messages=MESSAGES, tools=[TOOL], tool_choice=choice)
    assert answer.choices[0].finish_reason == "tool_calls"
    (call,) = answer.choices[0].message.tool_calls or ()
    assert call.type == "function"
    assert call.function.name == "report_weather"
    jsonschema.validate(json.loads(call.function.arguments), SCHEMA)
    async with client.chat.completions.stream(
        model="gpt-x", messages=MESSAGES, tools=[TOOL], tool_choice=choice
    ) as stream:
        final = await stream.get_final_completion()
    (streamed,) = final.choices[0].message.tool_calls or ()
    assert streamed.function.arguments == call.function.arguments


async def test_a_conversation_with_tools_goes_on(client: openai.AsyncOpenAI) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "report_weather", "arguments": "{}"}}
    messages: list[Any] = [
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "12 degrees"},
    ]
    answer = await client.chat.completions.create(model="gpt-x", messages=messages, tools=[TOOL])
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content


@pytest.mark.parametrize("kind", ["json_schema", "json_object"])
async def test_json_that_validates(client: openai.AsyncOpenAI, kind: str) -> None:
    wanted: Any = {"type": kind}
    if kind == "json_schema":
        wanted["json_schema"] = {"name": "weather", "schema": SCHEMA, "strict": True}
    answer = await client.chat.completions.create(model="gpt-x", messages=MESSAGES, response_format=wanted)
    made = json.loads(answer.choices[0].message.content or "")
    jsonschema.validate(made, SCHEMA if kind == "json_schema" else {"type": "object"})


async def test_images_in_messages_count(client: openai.AsyncOpenAI) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    messages: list[Any] = [{"role": "user", "content": [{"type": "text", "text": "what is this?"}, image]}]
    seen = await client.chat.completions.create(model="gpt-x", messages=messages)
    blind = await client.chat.completions.create(model="gpt-x", messages=[{"role": "user", "content": "what is this?"}])
    assert seen.usage is not None
    assert blind.usage is not None
    assert seen.usage.prompt_tokens >= blind.usage.prompt_tokens + 85
    assert seen.choices[0].message.content != blind.choices[0].message.content


async def test_a_last_message_of_the_assistant_is_continued(client: openai.AsyncOpenAI) -> None:
    whole = (await client.chat.completions.create(model="gpt-x", messages=MESSAGES)).choices[0].message.content or ""
    begun: list[Any] = [*MESSAGES, {"role": "assistant", "content": whole[:33]}]
    rest = await client.chat.completions.create(model="gpt-x", messages=begun)
    assert whole[:33] + (rest.choices[0].message.content or "") == whole
    other = await client.chat.completions.create(
        model="gpt-x", messages=begun, extra_body={"continue_final_message": False}
    )
    assert other.choices[0].message.content != rest.choices[0].message.content


async def test_a_place_may_not_continue() -> None:
    async with (
        Emulator(profile="cloud", models=["gpt-x"], speed=500, continues=False) as place,
        openai.AsyncOpenAI(base_url=place.base_url, api_key="any", max_retries=0) as client,
    ):
        whole = (await client.chat.completions.create(model="gpt-x", messages=MESSAGES)).choices[0].message.content
        begun: list[Any] = [*MESSAGES, {"role": "assistant", "content": (whole or "")[:33]}]
        turn = (await client.chat.completions.create(model="gpt-x", messages=begun)).choices[0].message.content
        assert (whole or "")[:33] + (turn or "") != whole


async def test_two_places_say_the_same_for_one_model_name(client: openai.AsyncOpenAI) -> None:
    async with (
        Emulator(profile="l4", models=["llama-8b"], speed=2000, seed=9) as other,
        openai.AsyncOpenAI(base_url=other.base_url, api_key="any", max_retries=0) as second,
    ):
        one = await client.chat.completions.create(model="llama-8b", messages=MESSAGES)
        two = await second.chat.completions.create(model="llama-8b", messages=MESSAGES)
        three = await client.chat.completions.create(model="gpt-x", messages=MESSAGES)
    assert one.choices[0].message.content == two.choices[0].message.content
    assert one.usage == two.usage
    assert three.choices[0].message.content != one.choices[0].message.content


async def test_completions(place: Emulator, client: openai.AsyncOpenAI) -> None:
    prompts = ["one", "two"]
    whole = await client.completions.create(model="gpt-x", prompt=prompts, n=2, max_tokens=6, echo=True)
    assert [choice.index for choice in whole.choices] == [0, 1, 2, 3]
    assert whole.choices[2].text.startswith("two")
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 24
    texts = [""] * 4
    usage = None
    stream = await client.completions.create(
        model="gpt-x", prompt=prompts, n=2, max_tokens=6, echo=True, stream=True, stream_options={"include_usage": True}
    )
    async for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == [choice.text for choice in whole.choices]
    assert usage == whole.usage
    scored = await sync(
        place, lambda c: c.completions.create(model="gpt-x", prompt=[[1, 2, 3]], max_tokens=3, logprobs=2)
    )
    assert scored.usage.prompt_tokens == 3
    assert "".join(scored.choices[0].logprobs.tokens) == scored.choices[0].text
    assert scored.choices[0].logprobs.text_offset[0] == 0


async def test_embeddings(place: Emulator, client: openai.AsyncOpenAI) -> None:
    """The client asks for base64 by itself and for floats when told."""
    packed = await client.embeddings.create(model="gpt-x", input=["a", "b", "a"])
    plain = await sync(place, lambda c: c.embeddings.create(model="gpt-x", input=["a"], encoding_format="float"))
    assert [one.index for one in packed.data] == [0, 1, 2]
    assert packed.data[0].embedding == packed.data[2].embedding != packed.data[1].embedding
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)
    assert len(packed.data[0].embedding) == 1536
    assert packed.usage.prompt_tokens == 3
    short = await client.embeddings.create(model="gpt-x", input="a", dimensions=64)
    assert len(short.data[0].embedding) == 64
    with pytest.raises(openai.BadRequestError, match="dimensions"):
        await client.embeddings.create(model="gpt-x", input="a", dimensions=99_999)


async def test_responses(place: Emulator, client: openai.AsyncOpenAI) -> None:
    whole = await client.responses.create(model="gpt-x", input="hello", instructions="Be short.")
    assert whole.status == "completed"
    assert whole.output_text
    events = []
    async with client.responses.stream(model="gpt-x", input="hello", instructions="Be short.") as stream:
        async for event in stream:
            events.append(event)
        final = await stream.get_final_response()
    assert final.output_text == whole.output_text
    assert final.usage == whole.usage
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    short = await sync(place, lambda c: c.responses.create(model="gpt-x", input="hello", max_output_tokens=16))
    assert short.status == "incomplete"
    assert short.incomplete_details.reason == "max_output_tokens"


async def test_responses_with_items_tools_and_json(client: openai.AsyncOpenAI) -> None:
    tool: Any = {"type": "function", "name": "report_weather", "parameters": SCHEMA, "strict": True}
    items: list[Any] = [{"role": "user", "content": [{"type": "input_text", "text": "weather?"}]}]
    asked = await client.responses.create(model="gpt-x", input=items, tools=[tool], tool_choice="required")
    call = asked.output[0]
    assert call.type == "function_call"
    jsonschema.validate(json.loads(call.arguments), SCHEMA)
    async with client.responses.stream(model="gpt-x", input=items, tools=[tool], tool_choice="required") as stream:
        streamed = (await stream.get_final_response()).output[0]
    assert streamed.type == "function_call"
    assert streamed.arguments == call.arguments
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "12 degrees"}
    told = await client.responses.create(model="gpt-x", input=[*items, call.to_dict(), output])
    assert told.output_text
    wanted: Any = {"format": {"type": "json_schema", "name": "weather", "schema": SCHEMA}}
    made = await client.responses.create(model="gpt-x", input="weather?", text=wanted)
    jsonschema.validate(json.loads(made.output_text), SCHEMA)
    scored = await client.responses.create(
        model="gpt-x", input="hello", include=["message.output_text.logprobs"], top_logprobs=2, max_output_tokens=16
    )
    part: Any = scored.to_dict()["output"][0]["content"][0]  # type: ignore[index]  # to_dict says object
    assert "".join(one["token"] for one in part["logprobs"]) == part["text"]


async def test_errors_are_the_clients_own_classes(place: Emulator, client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        await client.chat.completions.create(model="gpt-y", messages=MESSAGES)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as long:
        await client.chat.completions.create(model="gpt-x", messages=MESSAGES, max_tokens=200_000)
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError, match="messages"):
        await client.chat.completions.create(model="gpt-x", messages=[])
    with pytest.raises(openai.BadRequestError) as stored:
        await client.responses.create(model="gpt-x", input="hi", previous_response_id="resp_1")
    assert stored.value.code == "previous_response_not_found"
    with pytest.raises(openai.AuthenticationError):
        await client.with_options(api_key="wrong").models.list()
    with pytest.raises(openai.RateLimitError) as limited:
        await client.chat.completions.create(
            model="gpt-x", messages=MESSAGES, extra_headers={"x-emulator-fault": "status;code=429;retry_after_s=3"}
        )
    assert limited.value.response.headers["retry-after"] == "3"
    with pytest.raises(openai.InternalServerError):
        await client.embeddings.create(model="gpt-x", input="a", extra_body={"emulator_fault": "status;code=503"})


async def test_the_client_retries_by_itself(place: Emulator) -> None:
    place.set_faults({"fault": "status;code=503;retry_after_s=0.01", "count": 1})
    async with openai.AsyncOpenAI(base_url=place.base_url, api_key="secret", max_retries=2) as client:
        answer = await client.chat.completions.create(model="gpt-x", messages=MESSAGES)
    assert answer.choices[0].message.content
    assert place.state()["counts"] == {"seen": 2, "refused": 1, "finished": 1}
