"""The shapes that a caller of the gateway gets, against the OpenAPI document of OpenAI's API, which is kept beside the repository."""

import json
from typing import Any

import pytest
from tests.emulator.test_contract import FILE, check, event_schemas
from tests.gateway.plane import Plane

pytestmark = pytest.mark.skipif(
    not FILE.exists(), reason="../shared/data/openai_openapi.yaml is not beside this checkout"
)
FUNCTION = {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}
SCHEMA = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 12}
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("chat/completions", "plain", CHAT),
    ("chat/completions", "choices", {**CHAT, "n": 2, "logprobs": True, "top_logprobs": 2}),
    ("chat/completions", "tool", {**CHAT, "tools": [{"type": "function", "function": FUNCTION}], "tool_choice": "required"}),
    ("chat/completions", "json", {**CHAT, "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}}),
    ("completions", "plain", {"prompt": "hello", "max_tokens": 4}),
    ("completions", "choices", {"prompt": ["one", "two"], "n": 2, "logprobs": 1, "max_tokens": 4}),
    ("embeddings", "plain", {"input": "hello", "dimensions": 8}),
    ("responses", "plain", {"input": "hello"}),
    ("responses", "scored", {"input": "hello", "max_output_tokens": 16, "include": ["message.output_text.logprobs"]}),
    ("responses", "tool", {"input": "hello", "tools": [{"type": "function", "strict": True, **FUNCTION}], "tool_choice": "required"}),
]  # fmt: skip
WHOLE = {
    "chat/completions": "CreateChatCompletionResponse",
    "completions": "CreateCompletionResponse",
    "embeddings": "CreateEmbeddingResponse",
    "responses": "Response",
}
IDS = [f"{path}-{kind}" for path, kind, _ in CALLS]


def check_stream(path: str, body: bytes) -> list[Any]:
    """The events of a stream, each found to have its published shape, and its end."""
    data = [event.rpartition("data: ")[2] for event in body.decode().split("\n\n") if event]
    if path != "responses":
        assert data.pop() == "[DONE]"
    values = [json.loads(one) for one in data]
    for value in values:
        if path == "responses":
            check(event_schemas()[value["type"]], value)
        elif path == "chat/completions":
            check("CreateChatCompletionStreamResponse", value)
        elif value["choices"] and all(choice["finish_reason"] for choice in value["choices"]):
            # the document has no shape of its own for what is streamed here: reasons and usage are null before the end
            check(WHOLE[path], {key: part for key, part in value.items() if (key, part) != ("usage", None)})
    return values


@pytest.mark.parametrize(("path", "kind", "body"), CALLS, ids=IDS)
async def test_answers_have_the_published_shape(path: str, kind: str, body: dict[str, Any]) -> None:
    async with Plane("a") as plane:
        answer = await plane.send({"model": "chat", **body}, path=path)
        assert answer.status == 200
        check(WHOLE[path], json.loads(answer.body))
        if path == "embeddings":
            return
        for options in ({}, {"stream_options": {"include_usage": True}}) if path != "responses" else ({},):
            stream = await plane.send({"model": "chat", **body, "stream": True, **options}, path=path)
            values = check_stream(path, stream.body)
            if path != "responses":
                assert bool(values[-1].get("usage")) == bool(options)


@pytest.mark.parametrize("other", ["llama-3.1-8b", "gpt-x"], ids=["same model", "other model"])
async def test_a_stream_that_was_carried_on_has_the_published_shape(other: str) -> None:
    async with Plane("a", "b", served={"b": other}, speed=5.0) as plane:
        plane.places["a"].set_faults(["cut;after_tokens=5"])
        body = {"model": "chat", **CHAT, "stream": True, "stream_options": {"include_usage": True}}
        values = check_stream("chat/completions", (await plane.send(body)).body)
        record = await plane.record()
    assert record.backend == "b"
    assert len({value["id"] for value in values}) == 1, "one answer, one id"
    assert [value["model"] for value in values][-1] == other, "each chunk names the model that it came from"
    assert sum(choice.get("finish_reason") is not None for value in values for choice in value["choices"]) == 1
    assert values[-1]["usage"]["completion_tokens"] == record.completion_tokens


async def test_models_and_errors_have_the_published_shape() -> None:
    async with Plane("a") as plane:
        check("ListModelsResponse", json.loads((await plane.send(b"", path="models", method="GET")).body))
        check("Model", json.loads((await plane.send(b"", path="models/chat", method="GET")).body))
        for path in WHOLE:
            check("ErrorResponse", json.loads((await plane.send(b"{", path=path)).body))
        for fault in ("status;code=429", "status;code=500", "context_length_exceeded", "content_filter;mode=refusal"):
            plane.places["a"].set_faults([fault])
            check("ErrorResponse", json.loads((await plane.send({"model": "chat", **CHAT})).body))
