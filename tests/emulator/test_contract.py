"""The shapes that an emulated place sends, against the OpenAPI document of OpenAI's API, which is kept beside the repository."""

import json
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from switchgear.emulator.server import Emulator

FILE = Path(__file__).parents[2].parent / "shared" / "data" / "openai_openapi.yaml"
pytestmark = pytest.mark.skipif(
    not FILE.exists(), reason="../shared/data/openai_openapi.yaml is not beside this checkout"
)
Ask = Callable[..., Awaitable[Any]]
TOOL = {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}}
CHAT: dict[str, Any] = {"model": "llama-8b", "messages": [{"role": "user", "content": "hello"}]}


def nullable_as_null(node: Any) -> Any:
    """The document says `nullable: true` in places, which its version, 3.1, no longer has: read it as 3.0 did."""
    if isinstance(node, list):
        return [nullable_as_null(one) for one in node]
    if not isinstance(node, dict):
        return node
    read = {key: nullable_as_null(value) for key, value in node.items()}
    return {"anyOf": [read, {"type": "null"}]} if read.get("nullable") is True else read


@cache
def registry() -> Registry[Any]:
    with FILE.open("rb") as file:
        document = nullable_as_null(yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    return Registry().with_resource("urn:openai", Resource(contents=document, specification=DRAFT202012))


@cache
def event_schemas() -> dict[str, str]:
    """The schema of each event of `/v1/responses`, by its type."""
    schemas = registry().contents("urn:openai")["components"]["schemas"]
    named = (one["$ref"].rpartition("/")[2] for one in schemas["ResponseStreamEvent"]["anyOf"])
    return {schemas[name]["properties"]["type"]["enum"][0]: name for name in named}


def check(schema: str, value: Any) -> None:
    """Raises where `value` is not what the named schema says."""
    reference = {"$ref": f"urn:openai#/components/schemas/{schema}"}
    jsonschema.Draft202012Validator(reference, registry=registry()).validate(value)


@pytest.mark.parametrize(
    ("path", "body", "whole", "part"),
    [
        ("chat/completions", CHAT, "CreateChatCompletionResponse", "CreateChatCompletionStreamResponse"),
        (
            "chat/completions",
            {**CHAT, "n": 2, "logprobs": True, "top_logprobs": 2, "max_tokens": 4},
            "CreateChatCompletionResponse",
            "CreateChatCompletionStreamResponse",
        ),
        (
            "chat/completions",
            {**CHAT, "tools": [{"type": "function", "function": TOOL}], "tool_choice": "required"},
            "CreateChatCompletionResponse",
            "CreateChatCompletionStreamResponse",
        ),
        (
            "completions",
            {"model": "llama-8b", "prompt": "hello", "logprobs": 1, "max_tokens": 4},
            "CreateCompletionResponse",
            None,
        ),
        ("embeddings", {"model": "llama-8b", "input": "hello", "dimensions": 8}, "CreateEmbeddingResponse", None),
        ("responses", {"model": "llama-8b", "input": "hello"}, "Response", "by type"),
        (
            "responses",
            {
                "model": "llama-8b",
                "input": "hello",
                "max_output_tokens": 16,
                "include": ["message.output_text.logprobs"],
            },
            "Response",
            "by type",
        ),
        (
            "responses",
            {
                "model": "llama-8b",
                "input": "hello",
                "tools": [{"type": "function", "strict": True, **TOOL}],
                "tool_choice": "required",
            },
            "Response",
            "by type",
        ),
    ],
)
async def test_answers_have_the_published_shape(
    ask: Ask, path: str, body: dict[str, Any], whole: str, part: str | None
) -> None:
    async with Emulator(profile="appliance", models=["llama-8b"], speed=1000) as place:
        answer = await ask(place, body, path=f"/v1/{path}")
        check(whole, json.loads(answer.body))
        if part is None:
            return
        options = {} if path == "responses" else {"stream_options": {"include_usage": True}}
        stream = await ask(place, {**body, "stream": True, **options}, path=f"/v1/{path}")
    data = [event.split("data: ")[-1] for event in stream.events]
    for event in (json.loads(one) for one in data if one != "[DONE]"):
        check(event_schemas()[event["type"]] if path == "responses" else part, event)
    assert (data[-1] == "[DONE]") == (path != "responses")


async def test_models_and_errors_have_the_published_shape(ask: Ask) -> None:
    async with Emulator(profile="appliance", models=["llama-8b"], speed=1000) as place:
        check("ListModelsResponse", json.loads((await ask(place, None, path="/v1/models", method="GET")).body))
        check("Model", json.loads((await ask(place, None, path="/v1/models/llama-8b", method="GET")).body))
        for fault in ("status;code=429", "status;code=500", "context_length_exceeded", "content_filter;mode=refusal"):
            check("ErrorResponse", json.loads((await ask(place, CHAT, fault=fault)).body))


def test_the_check_itself_can_fail() -> None:
    with pytest.raises(jsonschema.ValidationError):
        check("Model", {"id": "x"})
