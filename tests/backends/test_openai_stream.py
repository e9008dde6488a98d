"""Streams of OpenAI's API, read event by event: tokens, usage, ends, errors, several choices, tool calls; and the short way."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.backends.errors import InBandError, Malformed
from switchgear.backends.model import Step, StreamReader, Usage
from switchgear.backends.openai import OpenAI
from switchgear.backends.openai_stream import CompletionReader
from switchgear.core.snapshot import ContinueTurn, Endpoint

CHAT, COMPLETIONS, RESPONSES = Endpoint.CHAT, Endpoint.COMPLETIONS, Endpoint.RESPONSES
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
CALL = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"at":"ä"}'}}
ADAPTER = OpenAI("/v1/", "place:8000", "", "secret", {}, ContinueTurn.PREFILL)


def reader(endpoint: Endpoint = CHAT, choices: int = 1) -> StreamReader:
    return ADAPTER.reader(endpoint, choices)


def delta(content: str | None = None, *, index: int = 0, end: str | None = None, **more: Any) -> bytes:
    choice = {"index": index, "delta": {"content": content} if content is not None else {}, "finish_reason": end}
    return json.dumps({"id": "x", "choices": [choice], **more}).encode()


def test_a_stream_of_chat() -> None:
    follow = reader()
    assert follow.read(b'{"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}') is Step.PREAMBLE
    assert follow.read(delta("Zür")) is Step.TOKEN
    assert follow.read(delta("ich")) is Step.TOKEN
    assert not follow.whole
    assert follow.read(delta(end="stop")) is Step.TOKEN
    assert follow.whole
    assert follow.read(json.dumps({"id": "x", "choices": [], "usage": USAGE}).encode()) is Step.USAGE
    assert follow.read(b"[DONE]") is Step.END
    assert ("".join(follow.text), follow.id, follow.finish_reason, follow.plain) == ("Zürich", "x", "stop", True)
    assert follow.usage == Usage(11, 7)
    assert follow.text_bytes == 7


def test_a_stream_of_text() -> None:
    follow = reader(COMPLETIONS)
    assert follow.read(b'{"id":"x","choices":[{"index":0,"text":"a","finish_reason":null}]}') is Step.TOKEN
    assert follow.read(b'{"id":"x","choices":[{"index":0,"text":"","finish_reason":"length"}]}') is Step.TOKEN
    assert (follow.text, follow.whole, follow.finish_reason) == (["a"], True, "length")


@pytest.mark.parametrize("endpoint", [CHAT, COMPLETIONS])
def test_an_empty_finish_reason_ends_nothing(endpoint: Endpoint) -> None:
    piece = {"delta": {"content": "a"}} if endpoint is CHAT else {"text": "a"}
    follow = reader(endpoint)
    for _ in range(2):
        data = json.dumps({"id": "x", "choices": [{"index": 0, **piece, "finish_reason": ""}]}).encode()
        assert follow.read(data) is Step.TOKEN
        assert not follow.whole
    assert follow.read(b"[DONE]") is Step.END
    assert not follow.whole


@pytest.mark.parametrize("tokens", [-1, 10**20, None])
def test_a_usage_that_can_be_none_is_not_reported(tokens: int | None) -> None:
    follow = reader()
    follow.read(delta("a", end="stop"))
    usage = {"prompt_tokens": tokens, "completion_tokens": tokens}
    assert follow.read(json.dumps({"id": "x", "choices": [], "usage": usage}).encode()) is Step.USAGE
    assert (follow.whole, follow.usage) == (True, None)


def test_usage_may_come_with_the_last_piece_of_content() -> None:
    follow = reader()
    assert follow.read(delta("a", end="stop", usage=USAGE)) is Step.TOKEN
    assert (follow.whole, follow.usage) == (True, Usage(11, 7))
    assert follow.read(b"[DONE]") is Step.END


@pytest.mark.parametrize(
    "first",
    [
        {"choices": [{"index": 0, "delta": {"role": "assistant"}}]},
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": None, "tool_calls": []}}]},
        {"choices": [{"index": 0, "delta": {}}], "usage": None},
        {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
    ],
)
def test_what_is_no_token_yet(first: dict[str, Any]) -> None:
    assert reader().read(json.dumps(first).encode()) is Step.PREAMBLE


@pytest.mark.parametrize(
    "piece",
    [{"content": "a"}, {"reasoning_content": "hm"}, {"refusal": "no"}, {"tool_calls": [CALL]}, {"audio": {"id": "a"}}],
)
def test_what_is_a_token(piece: dict[str, Any]) -> None:
    assert reader().read(json.dumps({"choices": [{"index": 0, "delta": piece}]}).encode()) is Step.TOKEN


def test_a_stream_of_several_choices_is_whole_when_each_has_ended() -> None:
    follow = reader(choices=2)
    assert not follow.plain
    follow.read(delta("a"))
    follow.read(delta("b", index=1))
    follow.read(delta(end="stop", index=1))
    follow.read(delta(end="stop", index=1))
    assert not follow.whole, "the same choice twice is one"
    follow.read(delta(end="stop"))
    assert follow.whole


def test_a_place_that_knows_one_choice_only_has_given_a_whole_answer() -> None:
    follow = reader(choices=2)
    follow.read(delta("a"))
    follow.read(delta(end="stop"))
    assert not follow.whole
    assert follow.read(b"[DONE]") is Step.END
    assert follow.whole


@pytest.mark.parametrize("pieces", [[], [delta("a")], [delta("a"), delta(end="stop"), delta("b", index=1)]])
def test_an_end_before_the_end_is_not_whole(pieces: list[bytes]) -> None:
    follow = reader(choices=2)
    for piece in pieces:
        follow.read(piece)
    assert follow.read(b"[DONE]") is Step.END
    assert not follow.whole


def test_tool_calls_and_logprobs_are_not_plain_text() -> None:
    follow = reader()
    piece = {"index": 0, "id": "c", "function": {"name": "look", "arguments": ""}}
    follow.read(json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": [piece]}}]}).encode())
    more = {"index": 0, "function": {"arguments": '{"at":"ä"}'}}
    follow.read(json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": [more]}}]}).encode())
    assert not follow.plain
    whole = {"choices": [{"message": {"content": None, "tool_calls": [CALL]}}]}
    assert follow.text_bytes == ADAPTER.answer(CHAT, json.dumps(whole).encode()).text_bytes == 15
    scored = reader()
    scored.read(b'{"choices":[{"index":0,"delta":{"content":"a"},"logprobs":null}]}')
    assert scored.plain
    scored.read(b'{"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[]}}]}')
    assert not scored.plain


def test_an_error_within_a_stream() -> None:
    for data in (b'{"error":{"message":"overloaded"}}', b'{"choices":[],"error":{"message":"overloaded"}}'):
        with pytest.raises(InBandError):
            reader().read(data)
    assert reader().read(b'{"choices":[],"usage":{"prompt_tokens":1},"error":null}') is Step.USAGE


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"object":"chat.completion.chunk"}',
        b'{"choices":"x"}',
        b'{"choices":[{"index":0,"delta":{"content":7}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"\xff"}}]}',
        b'{"choices":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    ],
    ids=lambda data: repr(data[:40]),
)
def test_an_event_that_is_no_chunk_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        reader().read(data)


def test_a_stream_of_a_response() -> None:
    follow = reader(RESPONSES)
    assert not follow.plain
    assert follow.read(b'{"type":"response.created","response":{"id":"r","status":"in_progress"}}') is Step.PREAMBLE
    assert follow.read(b'{"type":"response.output_item.added","item":{}}') is Step.PREAMBLE
    assert follow.read(b'{"type":"response.output_text.delta","delta":"Z\xc3\xbc"}') is Step.TOKEN
    assert follow.read(b'{"type":"response.output_text.done","text":"Z\xc3\xbc"}') is Step.TOKEN
    assert not follow.whole
    usage = {"input_tokens": 5, "output_tokens": 2}
    done = {"type": "response.completed", "response": {"status": "completed", "usage": usage}}
    assert follow.read(json.dumps(done).encode()) is Step.TOKEN
    assert (follow.whole, follow.usage, follow.finish_reason) == (True, Usage(5, 2), "stop")
    assert (follow.text, follow.text_bytes) == (["Zü"], 3)


def test_a_response_may_end_incomplete_or_call_a_function() -> None:
    follow = reader(RESPONSES)
    assert follow.read(b'{"type":"response.function_call_arguments.delta","delta":"{}"}') is Step.TOKEN
    response = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    follow.read(json.dumps({"type": "response.incomplete", "response": response}).encode())
    assert (follow.whole, follow.finish_reason, follow.text_bytes) == (True, "max_output_tokens", 2)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b'{"type":"error","code":"server_error","message":"x"}', InBandError),
        (b'{"type":"response.failed","response":{"status":"failed"}}', InBandError),
        (b'{"type":"response.completed"}', Malformed),
        (b'{"type":"response.completed","response":{}}', Malformed),
        (b'{"delta":"x"}', Malformed),
        (b'{"type":"response.output_text.delta","delta":"\xff"}', Malformed),
        (b"{", Malformed),
    ],
)
def test_a_response_stream_that_goes_wrong(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        reader(RESPONSES).read(data)


@given(endpoint=st.sampled_from([CHAT, RESPONSES]), data=st.binary(max_size=60) | st.sampled_from([b"[DONE]", b"7"]))
def test_whatever_an_event_holds_it_is_read_or_told(endpoint: Endpoint, data: bytes) -> None:
    follow = reader(endpoint)
    try:
        step = follow.read(data)
    except (Malformed, InBandError):
        return
    assert step in Step


PIECES = st.fixed_dictionaries(
    {},
    optional={
        "id": st.just("x"),
        "choices": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "index": st.sampled_from([0, 0, 0, 1]),
                    "delta": st.none()
                    | st.fixed_dictionaries(
                        {},
                        optional={
                            "role": st.just("assistant"),
                            "content": st.none() | st.sampled_from(["", "a", "\u00e9 "]),
                            "tool_calls": st.sampled_from([None, [], [CALL]]),
                            "reasoning_content": st.just("hm"),
                        },
                    ),
                    "text": st.sampled_from([None, "", "b"]),
                    "finish_reason": st.sampled_from([None, None, "stop"]),
                    "logprobs": st.sampled_from([None, None, {"content": []}]),
                },
            ),
            max_size=2,
        ),
        "usage": st.sampled_from([None, None, USAGE]),
        "error": st.sampled_from([None, None, {"message": "x"}]),
    },
)


@given(PIECES)
def test_the_short_way_takes_in_what_the_long_way_does_or_nothing(value: dict[str, Any]) -> None:
    def opened() -> CompletionReader:
        follow = CompletionReader(1)
        follow.read(delta("begun"))
        return follow

    def state(follow: CompletionReader) -> tuple[Any, ...]:
        return (list(follow.text), follow.plain, follow.usage, follow.whole, follow.finish_reason, follow.text_bytes)

    short, long = opened(), opened()
    before = state(short)
    if token(short, json.dumps(value).encode()):
        assert long.read(json.dumps(value).encode()) is Step.TOKEN
        assert state(short) == state(long)
    else:
        assert state(short) == before


def token(reader: CompletionReader, data: bytes) -> bool:
    """Give a reader one event in a chunk's framing."""
    event = b"data: %b\n\n" % data
    chunk = b"%x\r\n%b\r\n" % (len(event), event)
    begin = chunk.index(b"\n") + 1
    return reader.read_token(chunk, begin, begin + len(event))


@given(st.lists(st.text(max_size=6), min_size=2, max_size=6), st.booleans())
def test_what_is_recognized_by_its_surroundings_reads_as_if_it_were_decoded(texts: list[str], ascii_only: bool) -> None:
    short, long = CompletionReader(1), CompletionReader(1)
    for reader in (short, long):
        reader.read(delta("begun"))
        token(reader, delta("learned from", model="m"))
    for text in texts:
        data = json.dumps(json.loads(delta(text, model="m")), ensure_ascii=ascii_only).encode(errors="surrogatepass")
        if token(short, data):
            assert long.read(data) is Step.TOKEN
        assert short.text == long.text


@pytest.mark.parametrize(
    "raw",
    [
        *(b'x"}},{"index":1,"delta":{"content":"y', b"\\", b"\\u0041", b"\n", b"\x00", b"\xff", b"\xc3\xa9", b'"', b""),
        b'x"},"finish_reason":"stop"}],"usage":null,"y":[{"z":{"content":"',
    ],
)
def test_what_would_change_the_meaning_of_an_event_is_not_recognized(raw: bytes) -> None:
    follow, decoded = CompletionReader(1), CompletionReader(1)
    for _ in range(2):
        token(follow, delta("learned from"))
    before, _, after = delta("|").partition(b"|")
    taken = token(follow, before + raw + after)
    assert taken == token(decoded, before + raw + after)
    assert follow.text[2:] == decoded.text


def test_surroundings_that_hold_a_second_content_are_not_learned() -> None:
    follow = CompletionReader(1)
    twice = json.dumps({"content": "x", "choices": [{"index": 0, "delta": {"content": "y"}}]}).encode()
    for _ in range(3):
        assert token(follow, twice)
    assert token(follow, twice.replace(b'"x"', b'"z"'))
    assert follow.text == ["y"] * 4


@pytest.mark.parametrize("content", ["a", " b", "\u00e9", '"', "x" * 5000])
def test_the_short_way_is_taken_by_plain_text(content: str) -> None:
    follow = CompletionReader(1)
    follow.read(delta("begun"))
    for _ in range(3):  # decoded, learned from, recognized
        assert token(follow, delta(content, usage=None, model="m", system_fingerprint="f"))
    assert follow.text == ["begun", content, content, content]


@pytest.mark.parametrize("data", [b"", b"[DONE]", b"{", b"\xff", b"[]", b'{"choices":' + b"[" * 50_000])
def test_the_short_way_leaves_what_it_cannot_read(data: bytes) -> None:
    assert not token(CompletionReader(1), data)
