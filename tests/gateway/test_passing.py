"""What reaches a backend is what the caller wrote, and what reaches the caller is what the backend wrote, byte for byte."""

import asyncio
import json
import math
from collections.abc import Callable

import openai
import pytest
from tests.gateway.plane import MODEL, Plane
from tests.gateway.recording import DONE, STREAM, WHOLE, chunk, recording, replies, streams

from switchgear.backends.openai_stream import CompletionReader
from switchgear.core.record import Outcome
from switchgear.gateway.relay import StreamTry
from switchgear.wire.exchange import EVENT_STREAM, JSON, Exchange

VALUES = [
    b'"messages":[ {"role":"user","content":"\\u00e9 \xc3\xa9 \\"image_url\\""} ]',
    b'"temperature":1.0e-1',
    b'"seed":18446744073709551615',
    b'"x_own":{"a":1,"a":[ ]}',
]
ODD = b'{ "model" : "chat" ,%b}' % b",".join(VALUES)


@pytest.mark.parametrize("path", ["chat/completions", "completions", "embeddings", "responses"])
async def test_a_body_reaches_the_place_as_it_was_but_for_the_models_name(path: str) -> None:
    async with recording(replies({}, 400)) as place, Plane("a", urls={"a": place.base_url}) as plane:
        await plane.send(ODD, path=path)
    (body,) = place.bodies
    assert place.requests[0].target == f"/v1/{path}".encode()
    assert body == b'{"model":"%b",%b}' % (MODEL.encode(), b",".join(VALUES))


@pytest.mark.parametrize("path", ["chat/completions", "completions"])
async def test_a_streamed_body_asks_for_usage_and_is_else_as_it_was(path: str) -> None:
    async with recording(streams(*STREAM, DONE)) as place, Plane("a", urls={"a": place.base_url}) as plane:
        await plane.send(ODD[:-1] + b',"stream":true}', path=path)
        await plane.send(ODD[:-1] + b',"stream":true,"stream_options":{"include_obfuscation":false}}', path=path)
        await plane.send(ODD[:-1] + b',"stream":true,"stream_options": {"include_usage":true }}', path=path)
    for body in place.bodies:
        assert all(value in body for value in VALUES)
    options = [json.loads(body)["stream_options"] for body in place.bodies]
    assert options == [
        {"include_usage": True},
        {"include_obfuscation": False, "include_usage": True},
        {"include_usage": True},
    ]
    assert b'"stream_options":{"include_usage":true }' in place.bodies[2], "asked by the caller: its own bytes"


async def test_a_streamed_response_is_not_asked_for_what_that_api_has_not() -> None:
    async with recording(replies({}, 400)) as place, Plane("a", urls={"a": place.base_url}) as plane:
        await plane.send({"model": "chat", "input": "x", "stream": True}, path="responses")
    assert place.fields == {"model": MODEL, "input": "x", "stream": True}


async def test_a_whole_answer_reaches_the_caller_byte_for_byte() -> None:
    body = json.dumps({**WHOLE, "x_own": [1.0, {"y": None}]}, indent=2).encode() + b"\n"
    async with recording(replies(body)) as place, Plane("a", urls={"a": place.base_url}) as plane:
        answer = await plane.send({"model": "chat", "messages": []})
    assert (answer.status, answer.body) == (200, body)
    assert answer.headers["content-type"] == "application/json"


async def test_a_stream_reaches_the_caller_byte_for_byte() -> None:
    events = [
        b'data:{"id":"x", "choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n',
        b'id: 7\nevent: message\ndata: {"id":"x","x_own":1.0,"choices":[{"index":0,"delta":{"content":"a"}}]}\r\n\r\n',
        b'data: {"id":"x",\ndata: "choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    ]
    async with recording(streams(*events, DONE)) as place, Plane("a", urls={"a": place.base_url}) as plane:
        answer = await plane.send({"model": "chat", "messages": [], "stream": True})
    assert answer.body == b"".join(events) + DONE
    assert answer.headers["content-type"].startswith("text/event-stream")


def one_by_one(took: asyncio.Event, *events: bytes) -> Callable[[Exchange], None]:
    """Each event in a chunk and a read of its own: the next is written when `took` tells that the one before was handled."""
    writing: list[asyncio.Task[None]] = []

    async def write(exchange: Exchange) -> None:
        for event in events[:-1]:
            took.clear()
            exchange.write(event)
            await asyncio.wait_for(took.wait(), 10)
        exchange.finish(events[-1])

    def answer(exchange: Exchange) -> None:
        exchange.start(200, EVENT_STREAM)
        writing.append(asyncio.create_task(write(exchange)))

    return answer


TEXTS = ["learned from", "one", " two", "\u00e9", 'a "quoted" one', "back\\slash", "\n", "last"]


@pytest.mark.parametrize("cut", [False, True])
async def test_what_passes_event_by_event_is_the_same_text_however_it_was_read(
    monkeypatch: pytest.MonkeyPatch, cut: bool
) -> None:
    """Whole, its tokens are counted by its text; broken, it goes on from all of that text elsewhere."""
    shown: list[bool] = []
    took = asyncio.Event()
    by_chunk, by_data = StreamTry._on_chunk, StreamTry.on_data

    def on_chunk(self: StreamTry, data: bytes, begin: int, end: int) -> bool:
        shown.append(by_chunk(self, data, begin, end))
        took.set()
        return shown[-1]

    def on_data(self: StreamTry, data: bytes) -> None:
        by_data(self, data)
        took.set()

    monkeypatch.setattr(StreamTry, "_on_chunk", on_chunk)
    monkeypatch.setattr(StreamTry, "on_data", on_data)
    events = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": text}) for text in TEXTS)]
    ending = (chunk({}, "stop"), DONE)
    call = {"model": "chat", "messages": [], "stream": True}
    async with (
        recording(one_by_one(took, *events, *(() if cut else ending))) as first,
        recording(one_by_one(took, *events, chunk({"content": " and more"}), *ending)) as second,
        Plane("a", "b", urls={"a": first.base_url, "b": second.base_url}) as plane,
    ):
        answer = await plane.send(call)
        record = await plane.record()
    got = [json.loads(line[6:]) for line in answer.body.splitlines() if line.startswith(b"data: {")]
    text = "".join(event["choices"][0]["delta"].get("content", "") for event in got)
    assert text == "".join(TEXTS) + (" and more" if cut else "")
    assert shown.count(True) >= len(TEXTS) - 2, "but for the first, and the last of what is cut, all go the short way"
    assert record.outcome is Outcome.OK
    assert record.usage == "estimated"
    if not cut:
        assert record.completion_tokens == math.ceil(len(text.encode()) / 4)
        assert answer.body == b"".join([*events, *ending])


async def test_comments_keep_a_connection_alive_and_are_no_part_of_the_answer() -> None:
    events = [b": wait\n\n", STREAM[0], b":\n\n", *STREAM[1:], DONE]
    async with recording(streams(*events)) as place, Plane("a", urls={"a": place.base_url}) as plane:
        answer = await plane.send({"model": "chat", "messages": [], "stream": True})
    assert answer.body == b"".join(STREAM) + DONE


SENT = {
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "vendor=1",
    "x_request_id": "mine",
    "openai_beta": "assistants=v2",
    "idempotency_key": "once",
}
KEPT = {
    "cookie": "session=1",
    "x_forwarded_for": "10.0.0.1",
    "x_api_key": "other",
    "openai_organization": "org",
    "accept_encoding": "gzip, br",
    "user_agent": "caller/1",
    "proxy_authorization": "Basic x",
    "te": "trailers",
}


async def test_headers_that_a_backend_gets_and_those_that_stay_here() -> None:
    async with recording() as place, Plane("a", urls={"a": place.base_url}) as plane:
        await plane.send({"model": "chat", "messages": []}, **SENT, **KEPT)
        for name, value in SENT.items():  # alone, with nothing but what every call has
            await plane.send({"model": "chat", "messages": []}, **{name: value})
    headers = place.requests[0].headers
    assert {name: headers[name.replace("_", "-").encode()].decode() for name in SENT} == SENT
    assert set(headers) == {name.replace("_", "-").encode() for name in SENT} | {
        b"host",
        b"content-type",
        b"content-length",
        b"accept-encoding",
        b"user-agent",
    }
    assert (headers[b"accept-encoding"], headers[b"user-agent"]) == (b"identity", b"switchgear")
    for (name, value), request in zip(SENT.items(), place.requests[1:], strict=True):
        assert request.headers[name.replace("_", "-").encode()] == value.encode()


async def test_headers_of_an_answer_that_a_caller_gets() -> None:
    own = JSON + b"x-request-id: theirs\r\nopenai-processing-ms: 12\r\nset-cookie: a=1\r\nserver: nginx\r\nx-own: 1\r\n"
    async with recording(replies(head=own)) as place, Plane("a", urls={"a": place.base_url}) as plane:
        answer = await plane.send({"model": "chat", "messages": []})
    assert set(answer.headers) == {
        "date",
        "content-type",
        "content-length",
        "x-switchgear-call",
        "x-switchgear-backend",
        "x-switchgear-attempts",
        "x-request-id",
        "openai-processing-ms",
    }
    assert answer.headers["x-request-id"] == "theirs"


# -- answers that are none --


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("status", "body", "head"),
    [
        (204, b"", JSON),
        (206, b"data: {}\n\n", EVENT_STREAM),
        (302, b"", JSON + b"location: http://127.0.0.1:1/\r\n"),
        (200, b"<html>", b"content-type: text/html\r\n"),
        (200, b"", JSON),
        (200, b'{"error":{"message":"x"}}', JSON),
        (599, b"\xff", b""),
    ],
)
async def test_a_place_that_answers_something_else_is_replaced_unseen(
    status: int, body: bytes, head: bytes, streamed: bool
) -> None:
    async with recording(replies(body, status, head)) as place, Plane("a", "b", urls={"a": place.base_url}) as plane:
        assert await (plane.stream if streamed else plane.ask)()
        record = await plane.record()
    assert (record.outcome, [one.backend for one in record.attempts]) == (Outcome.OK, ["a", "b"])
    assert record.attempts[0].status == status


async def test_a_stream_whose_pieces_have_an_empty_finish_reason_is_not_whole_when_it_is_cut() -> None:
    pieces = [chunk({"role": "assistant", "content": "hi"}, ""), chunk({"content": " you"}, "")]
    async with recording(streams(*pieces)) as place, Plane("a", urls={"a": place.base_url}) as plane:
        with pytest.raises(openai.APIError):
            await plane.stream()
        assert (await plane.record()).error == "stream_broken"
        place.answer = streams(*pieces, chunk({}, "stop"), DONE)
        assert await plane.stream() == "hi you"


async def test_a_defect_of_ours_within_a_stream_is_not_the_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    async with recording(streams(*STREAM)) as place, Plane("a", urls={"a": place.base_url}) as plane:
        monkeypatch.setattr(CompletionReader, "read", broken)
        with pytest.raises(openai.InternalServerError) as caught:
            await plane.stream()
        assert caught.value.code == "internal_error"
        record = await plane.record()
        assert (record.outcome, record.error, len(record.attempts)) == (Outcome.FAILED, "internal_error", 1)
        monkeypatch.undo()
        assert await plane.stream()
        assert plane.gateway.desk.calls == 0
        assert all(state.in_flight == 0 for state in plane.builder.live.backends.values())


async def test_a_content_type_may_be_written_in_any_case() -> None:
    head = b"Content-Type: Text/Event-Stream; charset=UTF-8\r\n"
    async with (
        recording(replies(b"".join(STREAM) + DONE, head=head)) as place,
        Plane("a", urls={"a": place.base_url}) as plane,
    ):
        assert await plane.stream() == "hi you"


async def test_an_error_event_before_the_first_token_is_replaced_unseen() -> None:
    events = (chunk({"role": "assistant"}), b'data: {"error":{"message":"overloaded"}}\n\n')
    async with recording(streams(*events)) as place, Plane("a", "b", urls={"a": place.base_url}) as plane:
        assert await plane.stream()
        record = await plane.record()
    assert record.attempts[0].error == "upstream_in_band_error"


async def test_a_stream_of_several_prompts_that_ends_after_the_first_is_not_whole() -> None:
    def text(index: int, end: str | None) -> bytes:
        choices = [{"index": index, "text": "a", "finish_reason": end}]
        return b"data: %b\n\n" % json.dumps({"id": "x", "choices": choices}).encode()

    asked = {"model": "chat", "prompt": ["x", "y"], "stream": True}
    async with (
        recording(streams(text(0, "stop"), text(1, None))) as place,
        Plane("a", urls={"a": place.base_url}) as plane,
    ):
        answer = await plane.send(asked, path="completions")
        record = await plane.record()
        assert (record.outcome, record.error) == (Outcome.BROKEN, "stream_broken")
        assert DONE not in answer.body
        place.answer = streams(text(0, "stop"), text(1, "stop"))
        answer = await plane.send(asked, path="completions")
        assert answer.body.endswith(DONE)


async def test_an_error_about_the_call_is_told_in_the_backends_words_and_the_one_shape() -> None:
    own = {"error": {"message": "no such voice", "type": "bad", "code": 400, "hint": "alto"}}
    async with recording(replies(own, 400)) as place, Plane("a", urls={"a": place.base_url}) as plane:
        with pytest.raises(openai.BadRequestError) as caught:
            await plane.ask()
        record = await plane.record()
    assert caught.value.body == {
        "message": "no such voice",
        "type": "bad",
        "code": "400",
        "hint": "alto",
        "param": None,
    }
    assert (record.outcome, record.status, record.attempts[0].error) == (Outcome.FAILED, 400, "bad")


@pytest.mark.parametrize("how", ["whole", "held"])
async def test_an_answer_without_end_is_cut_off_and_asked_for_elsewhere(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("attempt", "relay"):
        monkeypatch.setattr(f"switchgear.gateway.{module}.ANSWER_BYTES", 100_000)
    events = [chunk({"content": "x" * 5000})] * 40

    def endless(exchange: Exchange) -> None:
        (streams(*events) if how == "held" else replies({**WHOLE, "padding": "x" * 200_000}))(exchange)

    async with recording(endless) as place, Plane("a", "b", urls={"a": place.base_url}) as plane:
        asked = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "stream": how == "held"}
        answer = await plane.send(asked, x_switchgear_delivery="whole")
        assert answer.headers["x-switchgear-backend"] == "b"
        assert (await plane.record()).attempts[0].error == "answer_too_large"
