"""The OpenAI adapter: calls written, whole answers of every endpoint, errors and their verdicts, continued turns. Bytes in, facts out."""

import json
from typing import Any

import msgspec
import pytest

from switchgear.backends.errors import InBandError, Malformed, Verdict
from switchgear.backends.model import Answer, Fields, Usage
from switchgear.backends.openai import OpenAI
from switchgear.core.snapshot import ContinueTurn, Endpoint

CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES = (
    Endpoint.CHAT,
    Endpoint.COMPLETIONS,
    Endpoint.EMBEDDINGS,
    Endpoint.RESPONSES,
)
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
CALL = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"at":"ä"}'}}


def adapter(turn: ContinueTurn = ContinueTurn.PREFILL) -> OpenAI:
    return OpenAI("/v1/", "place:8000", "", "secret", {"x-own": "1"}, turn)


def answer(endpoint: Endpoint, value: Any) -> Answer:
    return adapter().answer(endpoint, json.dumps(value).encode())


def chat(**choice: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop", **choice}
    return {"id": "x", "choices": [choice], "usage": USAGE}


def fields(**values: Any) -> Fields:
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in values.items()}


# -- asking --


def test_a_call_is_written_with_the_backends_own_key_and_headers() -> None:
    head = adapter().head(CHAT)
    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\nhost: place:8000\r\n")
    assert b"\r\nauthorization: Bearer secret\r\n" in head
    assert b"\r\nx-own: 1\r\n" in head
    assert head.endswith(b"\r\n")
    assert not head.endswith(b"\r\n\r\n"), "the length is still to come"
    assert b"accept-encoding: identity" in head
    without = OpenAI("", "place", "http://place", None, {}, ContinueTurn.NO)
    assert b"authorization" not in without.head(EMBEDDINGS)
    assert without.head(EMBEDDINGS).startswith(b"POST http://place/embeddings HTTP/1.1\r\n")


def test_models_are_asked_for_with_the_same_headers() -> None:
    path, lines = adapter().models_request()
    assert path == "/v1/models"
    assert b"authorization: Bearer secret\r\n" in lines
    assert b"host:" not in lines


def test_a_body_has_the_callers_values() -> None:
    body = adapter().body({"model": msgspec.Raw(b'"m"'), "temperature": msgspec.Raw(b"1.0e-1")})
    assert body == b'{"model":"m","temperature":1.0e-1}'


# -- whole answers --


def test_whole_answers_of_every_endpoint() -> None:
    assert answer(CHAT, chat()) == Answer(Usage(11, 7), "stop", 0)
    text = {"choices": [{"text": "x", "finish_reason": "length"}], "usage": USAGE}
    assert answer(COMPLETIONS, text) == Answer(Usage(11, 7), "length", 0)
    embedding = {"data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 3, "total_tokens": 3}}
    assert answer(EMBEDDINGS, embedding) == Answer(Usage(3), "", 0)
    response = {"status": "completed", "output": [], "usage": {"input_tokens": 5, "output_tokens": 2}}
    assert answer(RESPONSES, response) == Answer(Usage(5, 2), "stop", 0)


def test_cached_tokens_are_read_in_both_namings() -> None:
    usage = {**USAGE, "prompt_tokens_details": {"cached_tokens": 4}}
    assert answer(CHAT, {**chat(), "usage": usage}).usage == Usage(11, 7, 4)
    response = {"input_tokens": 5, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 3}}
    assert answer(RESPONSES, {"status": "completed", "usage": response}).usage == Usage(5, 2, 3)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 11, "completion_tokens": None, "total_tokens": 11},
        {"prompt_tokens": 11, "prompt_tokens_details": None},
        {"prompt_tokens": 11, "prompt_tokens_details": {"cached_tokens": None}, "queue_time": 0.25},
    ],
)
def test_a_usage_with_gaps_spoils_no_answer(usage: dict[str, Any]) -> None:
    assert answer(CHAT, {**chat(), "usage": usage}).usage == Usage(11)


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"usage": None},
        {"usage": {}},
        {"usage": {"prompt_tokens": None, "completion_tokens": None}},
        {"usage": {**USAGE, "prompt_tokens": -1}},
        {"usage": {**USAGE, "completion_tokens": -(10**6)}},
        {"usage": {**USAGE, "completion_tokens": 10**20}},
    ],
)
def test_without_usage_the_text_is_measured(usage: dict[str, Any]) -> None:
    without = {key: value for key, value in chat().items() if key != "usage"} | usage
    assert answer(CHAT, without) == Answer(None, "stop", 5)


@pytest.mark.parametrize("cached", [-3, 12])
def test_no_more_and_no_fewer_tokens_can_be_cached_than_there_are(cached: int) -> None:
    usage = {**USAGE, "prompt_tokens_details": {"cached_tokens": cached}}
    assert answer(CHAT, {**chat(), "usage": usage}).usage == Usage(11, 7)
    response = {"input_tokens": -5, "output_tokens": 2}
    assert answer(RESPONSES, {"status": "completed", "usage": response}).usage is None


def test_text_is_measured_in_bytes_and_tool_calls_count() -> None:
    message = {"role": "assistant", "content": "Zürich", "tool_calls": [CALL, {"type": "custom"}, None]}
    body = {"choices": [{"message": message}, {"text": "ß"}, {"message": {"content": None}}, {"message": None}]}
    assert answer(CHAT, body).text_bytes == 7 + 4 + 11 + 2
    item = {"type": "message", "content": [{"type": "output_text", "text": "Zürich"}, {"refusal": "no"}, 7]}
    call = {"type": "function_call", "arguments": "{}"}
    response = {"status": "completed", "output": [item, call, {"type": "reasoning"}, None]}
    assert answer(RESPONSES, response).text_bytes == 7 + 2 + 2


@pytest.mark.parametrize(
    ("status", "details", "reason"),
    [("completed", None, "stop"), ("incomplete", {"reason": "max_output_tokens"}, "max_output_tokens")],
)
def test_why_a_response_ended(status: str, details: Any, reason: str) -> None:
    assert answer(RESPONSES, {"status": status, "incomplete_details": details}).finish_reason == reason


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        (CHAT, b""),
        (CHAT, b"{"),
        (CHAT, b"[]"),
        (CHAT, b"{}"),
        (CHAT, b'{"choices":[]}'),
        (CHAT, b'{"choices":null}'),
        (CHAT, b'{"error":{"message":"overloaded"}}'),
        (CHAT, b'{"choices":[{"finish_reason":7}]}'),
        (CHAT, b'{"choices":[{"text":"\xff"}]}'),
        (CHAT, b'{"choices":[{"message":' + b"[" * 50_000 + b"]" * 50_000 + b"}]}"),
        (COMPLETIONS, b'{"choices":{}}'),
        (EMBEDDINGS, b'{"data":[]}'),
        (EMBEDDINGS, b'{"object":"list"}'),
        (RESPONSES, b'{"output":[]}'),
        (RESPONSES, b"<html>"),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else value.name,
)
def test_what_is_no_answer_is_malformed(endpoint: Endpoint, body: bytes) -> None:
    with pytest.raises(Malformed):
        adapter().answer(endpoint, body)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_response_that_failed_is_no_answer(status: str) -> None:
    with pytest.raises(InBandError):
        answer(RESPONSES, {"status": status, "output": []})


# -- errors --

LONG = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."


@pytest.mark.parametrize(
    ("status", "code", "message", "verdict"),
    [
        *((status, None, "x", Verdict.AGAIN) for status in (500, 502, 503, 504, 529, 408, 425, 429, 302)),
        *((status, None, "x", Verdict.ELSEWHERE) for status in (401, 402, 403, 404, 405, 407)),
        *((status, None, "x", Verdict.ANSWER) for status in (400, 409, 413, 415, 422)),
        (400, "context_length_exceeded", "x", Verdict.LARGER),
        (400, "exceed_context_size_error", "x", Verdict.LARGER),
        (400, None, LONG, Verdict.LARGER),
        (413, None, LONG, Verdict.LARGER),
        (422, None, LONG, Verdict.LARGER),
        (400, "content_filter", "filtered", Verdict.ANSWER),
        (400, "content_filter", f"filtered: {LONG}", Verdict.ANSWER),
        (500, None, LONG, Verdict.AGAIN),
        (404, "model_not_found", "x", Verdict.ELSEWHERE),
    ],
)
def test_what_an_error_status_means(status: int, code: str | None, message: str, verdict: Verdict) -> None:
    body = json.dumps({"error": {"message": message, "type": "t", "param": None, "code": code}}).encode()
    error = adapter().error(status, {}, body, 0.0)
    assert (error.status, error.verdict, error.upstream_code) == (status, verdict, code or "t")
    assert error.body == body, "in OpenAI's shape it passes as it came"


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (b'{"error":"model not loaded"}', "model not loaded", "upstream_status"),
        (b"Service Unavailable", "Service Unavailable", "upstream_status"),
        (b"", "The backend answered with status 400.", "upstream_status"),
        (b'{"detail":"Not Found"}', '{"detail":"Not Found"}', "upstream_status"),
        (b"\xff\xfe", "\ufffd\ufffd", "upstream_status"),
        (b"<html>" + b"x" * 9000, "<html>" + "x" * 1994, "upstream_status"),
        (b'{"error":{}}', "The backend answered with status 400.", None),
        (b'{"error":{"message":"m","code":400,"type":"t","n_ctx":5}}', "m", "400"),
        (b'{"object":"error","message":"m","type":"BadRequestError","param":null,"code":400}', "m", "400"),
        (b'{"error":{"message":"m","type":null,"param":"n"}}', "m", None),
    ],
)
def test_every_error_is_brought_into_the_one_shape(body: bytes, message: str, code: str | None) -> None:
    error = json.loads(adapter().error(400, {}, body, 0.0).body)["error"]
    assert error["message"] == message
    assert error["code"] == code
    assert isinstance(error["type"], str)
    assert "param" in error
    assert error.get("n_ctx") == (5 if b"n_ctx" in body else None), "what else it says is kept"


def test_an_old_vllm_says_that_a_call_is_too_long() -> None:
    body = {"object": "error", "message": LONG, "type": "BadRequestError", "param": None, "code": 400}
    error = adapter().error(400, {}, json.dumps(body).encode(), 0.0)
    assert error.verdict is Verdict.LARGER
    assert json.loads(error.body)["error"]["message"] == LONG


def test_retry_after_of_an_error() -> None:
    assert adapter().error(429, {b"retry-after": b"7"}, b"", 0.0).retry_after_s == 7.0
    assert adapter().error(429, {b"retry-after": b"Thu, 01 Jan 1970 00:01:00 GMT"}, b"", 20.0).retry_after_s == 40.0
    assert adapter().error(429, {b"retry-after": b"\xff"}, b"", 0.0).retry_after_s is None
    assert adapter().error(429, {}, b"", 0.0).retry_after_s is None


def test_a_code_of_any_length_does_not_swell_the_record() -> None:
    body = json.dumps({"error": {"message": "m", "type": "t", "param": None, "code": "c" * 5000}}).encode()
    assert adapter().error(400, {}, body, 0.0).upstream_code == "c" * 64


# -- continuing a turn --


@pytest.mark.parametrize("turn", [ContinueTurn.PREFILL, ContinueTurn.FLAG])
def test_a_chat_is_continued_from_what_was_said(turn: ContinueTurn) -> None:
    asked = fields(model="m", messages=[{"role": "user", "content": "hi"}])
    continued = adapter(turn).continuation(CHAT, asked, "Once upon")
    assert continued is not None
    assert json.loads(bytes(continued["messages"])) == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Once upon"},
    ]
    flags = {name: bytes(raw) for name, raw in continued.items() if name not in ("model", "messages")}
    wanted = {"continue_final_message": b"true", "add_generation_prompt": b"false"}
    assert flags == (wanted if turn is ContinueTurn.FLAG else {})
    assert len(json.loads(bytes(asked["messages"]))) == 1, "the call itself is left as it was"


def test_a_turn_that_the_caller_had_begun_is_one_turn_with_what_was_said() -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Once", "name": "bard"}]
    continued = adapter().continuation(CHAT, fields(messages=messages), " upon")
    assert continued is not None
    assert json.loads(bytes(continued["messages"])) == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Once upon", "name": "bard"},
    ]
    parts = [{"role": "assistant", "content": [{"type": "text", "text": "Once"}]}]
    assert adapter().continuation(CHAT, fields(messages=parts), " upon") is None


def test_a_text_is_continued_from_prompt_and_text() -> None:
    continued = adapter().continuation(COMPLETIONS, fields(prompt="Once"), " upon")
    assert continued is not None
    assert json.loads(bytes(continued["prompt"])) == "Once upon"


@pytest.mark.parametrize(
    ("endpoint", "call", "turn"),
    [
        (CHAT, {"messages": []}, ContinueTurn.NO),
        (CHAT, {}, ContinueTurn.PREFILL),
        (CHAT, {"messages": "Once"}, ContinueTurn.PREFILL),
        (COMPLETIONS, {"prompt": ["a", "b"]}, ContinueTurn.PREFILL),
        (COMPLETIONS, {"prompt": [1, 2]}, ContinueTurn.PREFILL),
        (COMPLETIONS, {}, ContinueTurn.PREFILL),
        (COMPLETIONS, {"prompt": "a", "echo": True}, ContinueTurn.PREFILL),
        (RESPONSES, {"input": "a"}, ContinueTurn.PREFILL),
        (EMBEDDINGS, {"input": "a"}, ContinueTurn.PREFILL),
        (CHAT, {"messages": [], "response_format": {"type": "json_object"}}, ContinueTurn.FLAG),
        (CHAT, {"messages": [], "response_format": {"type": "json_schema"}}, ContinueTurn.PREFILL),
        (CHAT, {"messages": [], "guided_regex": "a+"}, ContinueTurn.FLAG),
        (COMPLETIONS, {"prompt": "a", "grammar": "root ::= x"}, ContinueTurn.PREFILL),
    ],
)
def test_what_cannot_be_continued_is_not(endpoint: Endpoint, call: dict[str, Any], turn: ContinueTurn) -> None:
    assert adapter(turn).continuation(endpoint, fields(**call), "text") is None


def test_plain_text_may_be_asked_for_by_name() -> None:
    call = fields(messages=[], response_format={"type": "text"}, grammar=None)
    assert adapter().continuation(CHAT, call, "text") is not None
