"""Streams that break after the commit point: joined to a second answer, continued, or ended by an error (failure rule 4)."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.gateway.plane import MODEL, Plane
from tests.gateway.recording import DONE, Recording, chunk, recording, streams

from switchgear.core.record import AttemptKind, AttemptOutcome, Outcome, Record
from switchgear.core.snapshot import Breaker, Capabilities, ContinueTurn, Retry, Timeouts
from switchgear.wire.exchange import Exchange

CALL: dict[str, Any] = {
    "model": "chat",
    "messages": [{"role": "user", "content": "hi"}],
    "stream": True,
    "max_tokens": 50,
}
FIRST, RESCUE, CONTINUE = AttemptKind.FIRST, AttemptKind.RESCUE, AttemptKind.CONTINUE
PATIENT = Timeouts(first_token_s=5.0, idle_s=5.0, total_s=9.0)
BROKEN_OFF = ["Hel", "lo wo", "r"]


def breaks_off(*pieces: str, after_s: float = 0.02) -> Callable[[Exchange], None]:
    """A stream of these pieces that is cut a moment later."""

    def answer(exchange: Exchange) -> None:
        exchange.start(200)
        for piece in pieces:
            exchange.write(chunk({"content": piece}, model="one"))
        asyncio.get_running_loop().call_later(after_s, exchange.abort)

    return answer


def speaks(*pieces: str, usage: dict[str, int] | None = None) -> Callable[[Exchange], None]:
    """A whole stream of these pieces, with an id of its own."""
    events = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({"content": piece}, model="two") for piece in pieces]
    events += [chunk({}, "stop", model="two")] + ([chunk(usage=usage)] if usage else [])
    return streams(*(event.replace(b"chatcmpl-1", b"chatcmpl-2") for event in events), DONE)


def read(body: bytes) -> tuple[str, list[dict[str, Any]]]:
    """The text of a stream, and its events."""
    events = [json.loads(one[6:]) for one in body.decode().split("\n\n") if one and one != "data: [DONE]"]
    text = "".join(choice["delta"].get("content") or "" for event in events for choice in event.get("choices", ()))
    return text, events


def story(record: Record) -> list[tuple[AttemptKind, AttemptOutcome]]:
    return [(attempt.kind, attempt.outcome) for attempt in record.attempts]


class Two:
    """A plane in front of two recording places, `first` and `second`."""

    def __init__(self, first: Callable[[Exchange], None], second: Callable[[Exchange], None], **settings: Any) -> None:
        self._first, self._second, self._settings = recording(first), recording(second), settings

    async def __aenter__(self) -> tuple[Plane, Recording, Recording]:
        first, second = await self._first.__aenter__(), await self._second.__aenter__()
        backends = {"first": {"timeouts": PATIENT}, "second": {"timeouts": PATIENT}}
        for name, own in self._settings.pop("backends", {}).items():
            backends[name] |= own
        urls = {"first": first.base_url, "second": second.base_url}
        self._plane = Plane("first", "second", urls=urls, backends=backends, **self._settings)
        return await self._plane.__aenter__(), first, second

    async def __aexit__(self, *error: Any) -> None:
        await self._plane.__aexit__(*error)
        await self._second.__aexit__(*error)
        await self._first.__aexit__(*error)


@pytest.mark.parametrize(
    "pieces",
    [
        ["Hello world!"],
        ["Hel", "lo wor", "ld!"],
        ["Hello wor", "ld!"],
        ["Hello wo", "rld!"],
        ["H", "ello world", "!"],
        list("Hello world!"),
    ],
)
async def test_a_second_answer_is_joined_however_it_is_cut(pieces: list[str]) -> None:
    async with Two(breaks_off(*BROKEN_OFF), speaks(*pieces)) as (plane, _, second):
        answer = await plane.send(CALL)
        text, events = read(answer.body)
        assert text == "Hello world!"
        assert answer.body.endswith(DONE)
        assert {event["id"] for event in events} == {"chatcmpl-1"}
        assert [event["model"] for event in events if event.get("model")][-1] == "two"
        assert second.fields["messages"] == CALL["messages"], "asked for the whole answer"
        record = await plane.record()
        assert story(record) == [(FIRST, AttemptOutcome.FAILED), (RESCUE, AttemptOutcome.OK)]
        assert (record.outcome, record.backend, record.finish_reason) == (Outcome.OK, "second", "stop")


async def test_a_second_answer_that_is_no_longer_than_what_was_sent_ends_it() -> None:
    async with Two(breaks_off(*BROKEN_OFF), speaks("Hello w", "or")) as (plane, _, _):
        text, events = read((await plane.send(CALL)).body)
        assert text == "Hello wor"
        assert events[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("pieces", [["Help!"], ["Hello", " you"], ["Hello w"], ["Hello world"[::-1]], []])
async def test_an_answer_that_does_not_begin_so_is_discarded_and_the_turn_continued(pieces: list[str]) -> None:
    def second(exchange: Exchange) -> None:
        again = b'"assistant"' not in exchange.body
        (speaks(*pieces) if again else speaks("ld", "!", usage={"prompt_tokens": 20, "completion_tokens": 2}))(exchange)

    async with Two(breaks_off(*BROKEN_OFF), second) as (plane, _, place):
        options = {"stream_options": {"include_usage": True}}
        text, events = read((await plane.send({**CALL, **options})).body)
        assert text == "Hello world!"
        assert {event["id"] for event in events} == {"chatcmpl-1"}
        assert place.fields["messages"] == [*CALL["messages"], {"role": "assistant", "content": "Hello wor"}]
        assert place.fields["max_tokens"] == 47, "three pieces of the caller's fifty are spent"
        assert events[-1]["usage"] == {"prompt_tokens": 17, "completion_tokens": 5}, "what was said is no prompt"
        record = await plane.record()
        assert story(record) == [
            (FIRST, AttemptOutcome.FAILED),
            (RESCUE, AttemptOutcome.DISCARDED),
            (CONTINUE, AttemptOutcome.OK),
        ]
        assert (record.prompt_tokens, record.completion_tokens, record.usage) == (17, 5, "estimated")
        assert record.attempts[0].cost_usd, "what the caller got of the first is paid for"
        assert record.attempts[1].cost_usd == 0.0


async def broken(plane: Plane, call: dict[str, Any] | None = None, path: str = "chat/completions") -> Record:
    answer = await plane.send(call or CALL, path=path)
    assert DONE not in answer.body
    assert b"stream_broken" in answer.body
    record = await plane.record()
    assert (record.outcome, record.error, record.status) == (Outcome.BROKEN, "stream_broken", 200)
    assert record.completion_tokens > 0
    assert record.cost_usd, "the part that the caller got is paid for"
    return record


async def test_where_rescue_is_switched_off_a_broken_stream_is_an_error() -> None:
    async with Two(breaks_off(*BROKEN_OFF), speaks("Hello world!"), model={"rescue": False}) as (plane, _, second):
        assert len((await broken(plane)).attempts) == 1
        assert second.requests == []


@pytest.mark.parametrize(
    ("first", "call"),
    [
        (streams(chunk({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{"}}]})), CALL),
        (breaks_off("Hel", "lo"), {**CALL, "n": 2}),
        (streams(b'data: {"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[]}}]}\n\n'), {**CALL, "logprobs": True}),
    ],
    ids=["tool call", "two choices", "logprobs"],
)  # fmt: skip
async def test_what_is_not_one_plain_text_is_not_joined(
    first: Callable[[Exchange], None], call: dict[str, Any]
) -> None:
    async with Two(first, speaks("Hello world!")) as (plane, _, second):
        answer = await plane.send(call)
        assert b"stream_broken" in answer.body
        assert DONE not in answer.body
        assert second.requests == []


async def test_a_second_answer_that_calls_a_tool_is_no_end_of_a_text() -> None:
    tool = {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]}
    second = streams(chunk(tool), chunk({}, "tool_calls"), DONE)
    turns = {"second": {"capabilities": Capabilities(continue_turn=ContinueTurn.NO)}}
    async with Two(breaks_off(*BROKEN_OFF), second, backends=turns, model={"retry": Retry(attempts=1)}) as (
        plane,
        _,
        _,
    ):
        assert story(await broken(plane))[-1] == (RESCUE, AttemptOutcome.DISCARDED)


async def test_an_answer_held_to_a_schema_is_joined_but_never_continued() -> None:
    call = {**CALL, "response_format": {"type": "json_object"}}
    async with Two(breaks_off('{"a', '": 1'), speaks('{"a": ', "12}"), model={"retry": Retry(attempts=2)}) as (
        plane,
        _,
        second,
    ):
        assert read((await plane.send(call)).body)[0] == '{"a": 12}'
        second.answer = speaks('{"b": 1}')
        record_count = len(plane.records.kept)
        assert DONE not in (await plane.send(call)).body
        assert CONTINUE not in [attempt.kind for attempt in plane.records.kept[record_count].attempts]


async def test_a_place_that_is_silent_in_the_rescue_is_asked_once() -> None:
    settings = {"second": {"timeouts": Timeouts(first_token_s=0.3)}}
    model = {"retry": Retry(attempts=5)}
    async with Two(breaks_off(*BROKEN_OFF), lambda exchange: None, backends=settings, model=model) as (
        plane,
        _,
        second,
    ):
        record = await broken(plane)
        assert len(second.requests) == 1
        assert [attempt.error for attempt in record.attempts if attempt.backend == "second"] == ["first_byte_timeout"]


async def test_a_rescue_that_breaks_is_rescued_from_where_it_got() -> None:
    answers = [breaks_off("Hello wor", "ld, ag"), speaks("ain!")]

    def second(exchange: Exchange) -> None:
        answers.pop(0)(exchange)

    async with Two(breaks_off(*BROKEN_OFF), second) as (plane, _, place):
        assert read((await plane.send(CALL)).body)[0] == "Hello world, again!"
        assert place.fields["messages"][-1] == {"role": "assistant", "content": "Hello world, ag"}
        assert [attempt.kind for attempt in (await plane.record()).attempts] == [FIRST, RESCUE, CONTINUE]


@pytest.mark.parametrize("why", ["breaker", "full", "rest"])
async def test_a_place_that_cannot_take_it_is_not_asked_to_rescue(why: str) -> None:
    settings: dict[str, Any] = {"second": {"breaker": Breaker(consecutive=1), "max_in_flight": 1}}
    model = {"retry": Retry(attempts=1)}
    async with Two(breaks_off(*BROKEN_OFF), speaks("Hello world!"), backends=settings, model=model) as (
        plane,
        _,
        second,
    ):
        target = next(one for one in plane.gateway.table.targets() if one.backend_name == "second")
        loop = asyncio.get_running_loop()

        def hinder() -> None:
            if why == "breaker":
                target.state.breaker.completed(loop.time(), good=False, duration_s=0.1, probe=False)
            elif why == "full":
                target.backend_state.in_flight += 1
            else:
                target.state.rest_until_s = loop.time() + 60

        loop.call_later(0.01, hinder)
        await broken(plane)
        assert second.requests == []


async def test_a_place_that_broke_while_it_was_asked_is_not_asked_to_continue() -> None:
    settings = {"second": {"breaker": Breaker(consecutive=1)}}
    async with Two(breaks_off(*BROKEN_OFF), speaks("Help!"), backends=settings) as (plane, _, second):
        target = next(one for one in plane.gateway.table.targets() if one.backend_name == "second")

        def diverge_and_break(exchange: Exchange) -> None:
            target.state.breaker.completed(0.0, good=False, duration_s=0.1, probe=False)
            target.state.breaker.completed(1e9, good=False, duration_s=0.1, probe=True)  # it stays open
            speaks("Help!")(exchange)

        second.answer = diverge_and_break
        await broken(plane)
        assert len(second.requests) == 1


@pytest.mark.parametrize("rubbish", [b"data: {\n\n", b'data: {"error":{"message":"late"}}\n\n', b"data: []\n\n"])
async def test_rubbish_after_the_end_of_an_answer_is_not_waited_for(rubbish: bytes) -> None:
    first = streams(chunk({"content": "Hello"}), chunk({}, "stop"), rubbish)
    async with Two(first, speaks("Hello world!")) as (plane, _, second):
        answer = await plane.send(CALL)
        assert read(answer.body)[0] == "Hello"
        assert answer.body.endswith(DONE)
        assert (await plane.record()).outcome is Outcome.OK
        assert second.requests == []


async def test_rescues_are_paid_from_the_retry_budget() -> None:
    model = {"retry": Retry(budget_floor=0)}
    async with Two(breaks_off(*BROKEN_OFF), speaks("Hello world!"), model=model) as (plane, _, second):
        await broken(plane)
        assert second.requests == []


async def test_nothing_is_rescued_after_the_deadline() -> None:
    first = breaks_off(*BROKEN_OFF, after_s=5.0)
    patient = {"first": {"timeouts": Timeouts(idle_s=5.0)}}
    async with Two(first, speaks("Hello world!"), backends=patient, model={"deadline_s": 0.4}) as (plane, _, second):
        assert (await broken(plane)).attempts[0].error == "total_timeout"
        assert second.requests == []


async def test_text_completions_are_carried_on_too() -> None:
    async with Plane("a", "b", served={"b": MODEL}, speed=5.0) as plane:
        call = {"model": "chat", "prompt": "Tell me of rivers.", "max_tokens": 20, "stream": True}
        whole = (await plane.send(call, path="completions")).body
        plane.places["a"].set_faults(["cut;after_tokens=6"])
        carried = (await plane.send(call, path="completions")).body
        text = [
            "".join(json.loads(one[6:])["choices"][0]["text"] for one in body.decode().split("\n\n") if one[6:7] == "{")
            for body in (whole, carried)
        ]
        assert text[0] == text[1]
        assert carried.endswith(DONE)
