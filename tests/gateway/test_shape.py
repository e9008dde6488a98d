"""Events written anew where a rescue joins two answers: only what must change does."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.core.snapshot import Endpoint
from switchgear.gateway.errors import CATALOGUE
from switchgear.gateway.shape import DONE, error_event, event, with_id, with_text, with_tokens_moved
from switchgear.wire.sse import interpret

CHUNK: dict[str, Any] = {
    "id": "two",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "lo world"}, "finish_reason": None, "x_own": [1.5]}],
    "usage": None,
}


def data(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_a_chat_chunk_with_other_text() -> None:
    made = json.loads(with_text(data(CHUNK), "rld", "one"))
    assert made["choices"][0].pop("delta") == {"content": "rld"}
    assert made.pop("id") == "one"
    assert made["choices"] == [{"index": 0, "finish_reason": None, "x_own": [1.5]}]
    assert {key: made[key] for key in ("object", "created", "model", "usage")} == {
        key: CHUNK[key] for key in ("object", "created", "model", "usage")
    }


def test_a_text_chunk_with_other_text() -> None:
    value = {"id": "two", "choices": [{"index": 0, "text": "lo world", "finish_reason": "stop"}]}
    made = json.loads(with_text(data(value), "", "one"))
    assert made == {"id": "one", "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}


@pytest.mark.parametrize("last", [{"delta": {}}, {"delta": None}, {}], ids=["empty", "null", "left out"])
def test_a_last_chunk_without_content_gets_none(last: dict[str, Any]) -> None:
    value = {"id": "two", "choices": [{"index": 0, **last, "finish_reason": "stop"}]}
    assert json.loads(with_text(data(value), "", "one")) == {**value, "id": "one"}


@given(st.text(max_size=20).filter(lambda text: not any("\ud800" <= one <= "\udfff" for one in text)))
def test_an_id_is_changed_and_nothing_else_byte_for_byte(answer_id: str) -> None:
    body = b'{"id":"two","x":1.0e-1,"choices":[ {"delta":{"content":"\\u00e9\xc3\xa9"}} ],"y":{"a":1,"a":2}}'
    made = with_id(body, answer_id)
    assert json.loads(made)["id"] == answer_id
    for value in (b'"x":1.0e-1', b'"choices":[ {"delta":{"content":"\\u00e9\xc3\xa9"}} ]', b'"y":{"a":1,"a":2}'):
        assert value in made


def test_an_id_is_added_where_there_was_none() -> None:
    assert json.loads(with_id(b'{"choices":[]}', "one")) == {"choices": [], "id": "one"}


def test_tokens_are_moved_from_prompt_to_completion() -> None:
    usage = {
        "prompt_tokens": 20,
        "completion_tokens": 2,
        "total_tokens": 22,
        "prompt_tokens_details": {"cached_tokens": 3},
    }
    made = json.loads(with_tokens_moved(data({"choices": [], "usage": usage}), 5))
    assert made["usage"] == {**usage, "prompt_tokens": 15, "completion_tokens": 7}


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 2}, {"prompt_tokens": None, "completion_tokens": None}])
def test_tokens_that_are_not_told_do_not_fall_below_zero(usage: Any) -> None:
    made = json.loads(with_tokens_moved(data({"usage": usage}), 5))["usage"]
    assert made is None or (made["prompt_tokens"], made["completion_tokens"]) == (0, 5)


@pytest.mark.parametrize("endpoint", [Endpoint.CHAT, Endpoint.COMPLETIONS])
def test_an_error_event_of_completions(endpoint: Endpoint) -> None:
    told = interpret(error_event(endpoint, "stream_broken", 'it "broke"\n\ndata: [DONE]'))
    assert told is not None
    assert told.type == "message"
    assert json.loads(told.data) == {
        "error": {
            "message": 'it "broke"\n\ndata: [DONE]',
            "type": "upstream_error",
            "param": None,
            "code": "stream_broken",
        }
    }


def test_an_error_event_of_responses() -> None:
    told = interpret(error_event(Endpoint.RESPONSES, "stream_broken", "it\nbroke"))
    assert told is not None
    assert told.type == "error"
    value = json.loads(told.data)
    assert (value["type"], value["code"], value["message"], value["param"]) == (
        "error",
        "stream_broken",
        "it\nbroke",
        None,
    )
    assert value["error"]["type"] == CATALOGUE["stream_broken"].type


def test_events() -> None:
    assert event(b"{}") == b"data: {}\n\n"
    assert event(b"[DONE]") == DONE
