"""Both forms of one answer say the same: a stream put together is the whole answer, and a whole answer told is a stream of it."""

import json
from typing import Any

import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response
from tests.cache.written import CASES, TEXT, datas, streamed, whole
from tests.emulator.test_contract import FILE, check, event_schemas

from switchgear.cache.replay import as_stream, assembled
from switchgear.core.snapshot import Endpoint

NAMES = list(CASES)


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_put_together_is_the_whole_answer(name: str) -> None:
    endpoint, choices, top = CASES[name]
    made = assembled(endpoint, streamed(endpoint, choices, top))
    assert made is not None
    assert json.loads(made) == json.loads(whole(endpoint, choices, top))


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_answer_told_and_put_together_is_itself(name: str) -> None:
    endpoint, choices, top = CASES[name]
    told = as_stream(endpoint, whole(endpoint, choices, top), include_usage=True)
    assert told is not None
    made = assembled(endpoint, datas(told))
    assert made is not None
    assert json.loads(made) == json.loads(whole(endpoint, choices, top))


@pytest.mark.skipif(not FILE.exists(), reason="../shared/data/openai_openapi.yaml is not beside this checkout")
@pytest.mark.parametrize("name", NAMES)
def test_what_is_told_has_the_published_shape(name: str) -> None:
    endpoint, choices, top = CASES[name]
    told = as_stream(endpoint, whole(endpoint, choices, top), include_usage=True)
    assert told is not None
    values = [json.loads(data) for data in datas(told) if data != b"[DONE]"]
    for value in values:
        if endpoint is Endpoint.RESPONSES:
            check(event_schemas()[value["type"]], value)
        elif endpoint is Endpoint.CHAT:
            check("CreateChatCompletionStreamResponse", value)
    if endpoint is Endpoint.RESPONSES:
        assert [value["sequence_number"] for value in values] == list(range(len(values)))


def test_usage_is_told_to_those_who_asked_for_it_alone() -> None:
    answer = whole(*CASES["chat"])
    without = datas(as_stream(Endpoint.CHAT, answer, include_usage=False) or b"")
    assert not any(b"usage" in data for data in without)
    last = json.loads(datas(as_stream(Endpoint.CHAT, answer, include_usage=True) or b"")[-2])
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 5


def test_a_stream_without_usage_is_put_together_without_it() -> None:
    made = assembled(Endpoint.CHAT, streamed(Endpoint.CHAT, TEXT, None, usage=False))
    assert made is not None
    assert "usage" not in json.loads(made)


def test_the_official_types_read_what_is_made() -> None:
    chat = assembled(Endpoint.CHAT, streamed(*CASES["chat-two-scored"]))
    text = assembled(Endpoint.COMPLETIONS, streamed(*CASES["text-two-scored"]))
    response = assembled(Endpoint.RESPONSES, streamed(*CASES["response"]))
    assert chat is not None
    assert text is not None
    assert response is not None
    assert ChatCompletion.model_validate_json(chat).choices[1].message.content == "The answer"
    assert Completion.model_validate_json(text).choices[0].text == "The answer is 42."
    assert Response.model_validate_json(response).output_text == "The answer is 42."
    for data in datas(as_stream(Endpoint.CHAT, chat, include_usage=True) or b"")[:-1]:
        ChatCompletionChunk.model_validate_json(data)


def chunk(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, **more.pop("choice", {})}
    return json.dumps({"id": "c", "created": 1, "model": "m", "choices": [choice], **more}).encode()


def test_reasoning_and_refusals_have_their_place() -> None:
    events = [
        chunk({"role": "assistant"}),
        chunk({"reasoning_content": "Let me "}),
        chunk({"reasoning_content": "think."}),
        chunk({"refusal": "No"}),
        chunk({"refusal": "."}),
        chunk({}, "stop", choice={"stop_reason": 128009}, system_fingerprint="fp"),
    ]
    made = json.loads(assembled(Endpoint.CHAT, events) or b"{}")
    message = made["choices"][0]["message"]
    assert message == {"role": "assistant", "content": None, "refusal": "No.", "reasoning_content": "Let me think."}
    assert made["choices"][0]["stop_reason"] == 128009
    assert made["system_fingerprint"] == "fp"
    told = as_stream(Endpoint.CHAT, json.dumps(made).encode(), include_usage=False)
    assert json.loads(assembled(Endpoint.CHAT, datas(told or b"")) or b"{}") == made


def test_parallel_calls_are_put_together_each_by_its_index() -> None:
    def call(index: int, **fields: Any) -> dict[str, Any]:
        return {"tool_calls": [{"index": index, **fields}]}

    events = [
        chunk(call(0, id="a", type="function", function={"name": "look", "arguments": ""})),
        chunk(call(1, id="b", type="function", function={"name": "go", "arguments": '{"to'})),
        chunk(call(0, function={"arguments": "{}"})),
        chunk(call(1, function={"arguments": '":1}'})),
        chunk({}, "tool_calls"),
    ]
    made = json.loads(assembled(Endpoint.CHAT, events) or b"{}")
    assert made["choices"][0]["message"]["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}},
        {"id": "b", "type": "function", "function": {"name": "go", "arguments": '{"to":1}'}},
    ]


@pytest.mark.parametrize(
    "events",
    [
        [],
        [b"[DONE]"],
        [chunk({"content": "x"})],
        [chunk({"content": "x"}, "stop"), b"no json"],
        [chunk({"content": 3}, "stop")],
        [chunk({"audio": {"data": "…"}}, "stop")],
        [chunk({"content": "x"}, "stop", choice={"token_ids": [1, 2]})],
        [chunk({"content": "x"}, "stop"), b'{"error": {"message": "broken"}}'],
        [chunk({"tool_calls": [{"index": 0, "function": {"arguments": {"not": "text"}}}]}, "stop")],
    ],
)
def test_what_is_not_whole_or_not_understood_is_not_put_together(events: list[bytes]) -> None:
    assert assembled(Endpoint.CHAT, events) is None


@pytest.mark.parametrize(
    "events",
    [
        [],
        [b'{"type": "response.created", "response": {}}'],
        [b'{"type": "response.failed", "response": {"status": "failed"}}'],
        [b'{"type": "response.completed"}'],
        [b"no json"],
    ],
)
def test_a_response_that_did_not_end_is_not_put_together(events: list[bytes]) -> None:
    assert assembled(Endpoint.RESPONSES, events) is None


def test_embeddings_have_one_form() -> None:
    assert assembled(Endpoint.EMBEDDINGS, [b"{}"]) is None
    assert as_stream(Endpoint.EMBEDDINGS, b'{"data": []}', include_usage=False) is None


@pytest.mark.parametrize("body", [b"no json", b"[]", b"{}", b'{"choices": 3}', b'{"choices": [{"text": "x"}]}'])
def test_what_is_no_answer_is_not_told(body: bytes) -> None:
    assert as_stream(Endpoint.CHAT, body, include_usage=False) is None
    assert as_stream(Endpoint.RESPONSES, body, include_usage=False) is None


def test_a_response_with_other_items_and_a_refusal_is_told() -> None:
    response = json.loads(whole(*CASES["response"]))
    reasoning = {"id": "rs_1", "type": "reasoning", "summary": []}
    response["output"][0]["content"] = [{"type": "refusal", "refusal": "No."}]
    response["output"].insert(0, reasoning)
    told = datas(as_stream(Endpoint.RESPONSES, json.dumps(response).encode(), include_usage=False) or b"")
    kinds = [json.loads(data)["type"] for data in told]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.refusal.delta",
        "response.refusal.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
