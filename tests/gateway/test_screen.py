"""The content screen in a data plane: what a call may carry, and what its answer may show."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.plane import Plane, checked
from tests.gateway.recording import DONE, WHOLE, chunk, recording, replies, streams

from switchgear.core.data_class import DataClass
from switchgear.core.errors import ConfigError
from switchgear.core.record import Outcome
from switchgear.core.screening import Action, AnswerAction, AnswerRule, Canary, Screening, ScreenRule
from switchgear.core.snapshot import encode_snapshot
from switchgear.wire.exchange import Exchange

CARD = "4111 1111 1111 1111"
MAIL = "jane.doe@example.org"
CLEAN_CALL: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "Tell me about rivers."}]}


def says(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "chat", "messages": [{"role": "user", "content": text}], **more}


def answers(text: str) -> Callable[[Exchange], None]:
    message = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return replies({**WHOLE, "choices": [message]})


def pieces(*texts: str) -> Callable[[Exchange], None]:
    first = chunk({"role": "assistant", "content": ""})
    return streams(first, *(chunk({"content": text}) for text in texts), chunk({}, "stop"), DONE)


def text_of(body: bytes) -> str:
    """The text in a streamed answer."""
    events = [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]
    deltas = [event["choices"][0]["delta"] for event in events if event.get("choices")]
    return "".join(delta.get("content") or "" for delta in deltas)


REFUSE = Screening(rules=(ScreenRule(name="no-cards", find=("payment_card",), action=Action.REFUSE),))
REDACT = Screening(rules=(ScreenRule(name="no-mail", find=("email",), action=Action.REDACT),))
BLOCK = Screening(answer_rules=(AnswerRule(name="no-leaks", find=("secret", "canary"), action=AnswerAction.BLOCK),))
MASK = Screening(answer_rules=(AnswerRule(name="no-mail-out", find=("email",), action=AnswerAction.REDACT),))


@pytest.mark.parametrize("straight", [True, False])
async def test_a_refused_call_goes_nowhere_and_says_which_rule(straight: bool) -> None:
    async with recording() as place, Plane("a", urls={"a": place.base_url}, screen=REFUSE, straight=straight) as plane:
        assert (await plane.send(CLEAN_CALL)).status == 200
        error = checked(await plane.send(says(f"Charge {CARD} please.")), "refused_by_screen")
        record = await plane.record(2)
    assert "'no-cards'" in error["message"]
    assert "1 x payment_card" in error["message"]
    assert CARD not in error["message"]
    assert len(place.bodies) == 1
    assert record.outcome is Outcome.REFUSED
    assert record.screen_rules == ["no-cards"]
    (found,) = record.findings
    assert (found.type, found.count) == ("payment_card", 1)


async def test_a_flagged_call_goes_on_and_leaves_a_finding() -> None:
    async with recording() as place, Plane("a", urls={"a": place.base_url}, screen=Screening()) as plane:
        assert (await plane.send(says(f"Write to {MAIL}."))).status == 200
        record = await plane.record()
    assert [(one.type, one.count, one.offsets) for one in record.findings] == [("email", 1, [(0, 9, 29)])]
    assert MAIL in place.fields["messages"][0]["content"]


@pytest.mark.parametrize("stream", [False, True])
async def test_half_a_surrogate_pair_in_an_answer_is_no_defect(stream: bool) -> None:
    text = "\ud800 someone.else@example.net."  # Python's own encoder writes it as an escape
    async with (
        recording(pieces(text) if stream else answers(text)) as place,
        Plane("a", urls={"a": place.base_url}, screen=MASK) as plane,
    ):
        answer = await plane.send(says("Who?", stream=stream))
        record = await plane.record()
    assert record.error != "internal_error"
    assert b"someone.else" not in answer.body


async def test_what_is_redacted_never_leaves_and_is_put_back_in_the_answer() -> None:
    place_answers = answers("I have written to [EMAIL_1] twice.")
    async with recording(place_answers) as place, Plane("a", urls={"a": place.base_url}, screen=REDACT) as plane:
        answer = await plane.send(says(f"Write to {MAIL}."))
    assert place.fields["messages"][0]["content"] == "Write to [EMAIL_1]."
    assert MAIL.encode() not in place.bodies[0]
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == f"I have written to {MAIL} twice."


@pytest.mark.parametrize(
    "cut",
    [("I wrote to [EM", "AIL", "_1] twice."), ("I wrote to [EMAIL_1] twice.",), tuple("I wrote to [EMAIL_1] twice.")],
)
async def test_what_is_redacted_is_put_back_in_a_stream_however_it_is_cut(cut: tuple[str, ...]) -> None:
    async with recording(pieces(*cut)) as place, Plane("a", urls={"a": place.base_url}, screen=REDACT) as plane:
        answer = await plane.send(says(f"Write to {MAIL}.", stream=True))
    assert text_of(answer.body) == f"I wrote to {MAIL} twice."
    assert answer.body.endswith(DONE)
    assert MAIL.encode() not in place.bodies[0]


SECRET = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"
KEYED = "The canary is CNRY-77-ALPHA-2209 here."


async def test_a_secret_in_a_whole_answer_is_blocked() -> None:
    screen = Screening(answer_rules=BLOCK.answer_rules, canaries=(Canary(name="vault", token="CNRY-77-ALPHA-2209"),))
    for text in (KEYED, "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----"):
        async with recording(answers(text)) as place, Plane("a", urls={"a": place.base_url}, screen=screen) as plane:
            error = checked(await plane.send(CLEAN_CALL), "answer_blocked")
            record = await plane.record()
        assert "'no-leaks'" in error["message"]
        assert record.outcome is Outcome.FAILED
        assert record.answer_findings
        assert plane.gateway.desk.calls == 0


async def test_a_canary_cut_over_chunks_never_comes_out() -> None:
    screen = Screening(answer_rules=BLOCK.answer_rules, canaries=(Canary(name="vault", token="CNRY-77-ALPHA-2209"),))
    cut = [KEYED[at : at + 3] for at in range(0, len(KEYED), 3)]
    async with recording(pieces(*cut)) as place, Plane("a", urls={"a": place.base_url}, screen=screen) as plane:
        answer = await plane.send(says("Tell me.", stream=True))
        record = await plane.record()
    assert b"answer_blocked" in answer.body
    assert DONE not in answer.body
    assert "CNRY" not in text_of(answer.body)
    assert record.outcome in (Outcome.BROKEN, Outcome.FAILED)
    assert [one.type for one in record.answer_findings] == ["canary"]


@pytest.mark.parametrize("stream", [False, True])
async def test_personal_data_that_the_prompt_did_not_hold_is_masked(stream: bool) -> None:
    text = f"Ask {MAIL} or someone.else@example.net."
    place_answers = pieces(text[:9], text[9:40], text[40:]) if stream else answers(text)
    async with recording(place_answers) as place, Plane("a", urls={"a": place.base_url}, screen=MASK) as plane:
        answer = await plane.send(says(f"Who is {MAIL}?", stream=stream))
    got = text_of(answer.body) if stream else json.loads(answer.body)["choices"][0]["message"]["content"]
    assert got == f"Ask {MAIL} or [EMAIL]."


async def test_a_clean_stream_under_a_watch_is_the_same_text_and_ends_well() -> None:
    texts = ["Rivers ", "run ", "to the sea, ", "\u00e9t\u00e9 \U0001f30a, ", "and that is all."]
    async with recording(pieces(*texts)) as place, Plane("a", urls={"a": place.base_url}, screen=MASK) as plane:
        answer = await plane.send(says("Tell me.", stream=True))
        record = await plane.record()
    assert text_of(answer.body) == "".join(texts)
    assert answer.body.endswith(DONE)
    assert record.outcome is Outcome.OK
    assert record.answer_findings == []


async def test_arguments_of_a_tool_call_are_watched_too() -> None:
    arguments = json.dumps({"to": "someone.else@example.net", "n": 1})
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "send", "arguments": ""}}
    events = [
        chunk({"role": "assistant", "tool_calls": [call]}),
        *(
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": arguments[at : at + 5]}}]})
            for at in range(0, len(arguments), 5)
        ),
        chunk({}, "tool_calls"),
        DONE,
    ]
    async with recording(streams(*events)) as place, Plane("a", urls={"a": place.base_url}, screen=MASK) as plane:
        answer = await plane.send(
            says("Send.", stream=True, tools=[{"type": "function", "function": {"name": "send"}}])
        )
    got = [json.loads(line[6:]) for line in answer.body.split(b"\n") if line.startswith(b"data: {")]
    calls = [delta for event in got for delta in event["choices"][0]["delta"].get("tool_calls", [])]
    assert json.loads("".join(one["function"].get("arguments", "") for one in calls)) == {"to": "[EMAIL]", "n": 1}


async def test_a_finding_raises_the_class_of_the_call() -> None:
    rule = ScreenRule(name="cards", find=("payment_card",), action=Action.ROUTE, raise_to=DataClass.RESTRICTED)
    async with recording() as place, Plane("a", urls={"a": place.base_url}, screen=Screening(rules=(rule,))) as plane:
        await plane.send(says(f"Charge {CARD}."), x_switchgear_data_class="public")
        await plane.send(CLEAN_CALL, x_switchgear_data_class="public")
        assert [(await plane.record(count)).data_class for count in (1, 2)] == ["restricted", "public"]


async def test_a_canary_that_the_environment_holds_is_in_no_snapshot() -> None:
    screen = Screening(answer_rules=BLOCK.answer_rules, canaries=(Canary(name="vault", token_env="VAULT_CANARY"),))
    async with recording(answers(KEYED)) as place:
        plane = Plane(
            "a", urls={"a": place.base_url}, screen=screen, environment={"VAULT_CANARY": "CNRY-77-ALPHA-2209"}
        )
        async with plane:
            checked(await plane.send(CLEAN_CALL), "answer_blocked")
            assert b"ALPHA" not in encode_snapshot(plane.snapshot)
    with pytest.raises(ConfigError, match="VAULT_CANARY"):
        async with Plane("a", urls={"a": "http://127.0.0.1:9/v1"}, screen=screen):
            pass


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot be read"), (b"\xff\xfe", "it is not text"), (b"\n", "holds no token")]
)
async def test_a_canary_whose_file_holds_none(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "canary"
    if content is not None:
        file.write_bytes(content)
    screen = Screening(answer_rules=BLOCK.answer_rules, canaries=(Canary(name="vault", token_file=str(file)),))
    with pytest.raises(ConfigError, match=message):
        async with Plane("a", urls={"a": "http://127.0.0.1:9/v1"}, screen=screen):
            pass


OUT = f"Ask {MAIL} now."


def _shown(path: str, streamed: bool) -> Callable[[Exchange], None]:
    """A place that says `OUT` at an endpoint, in pieces of three characters where it is streamed."""
    cut = [OUT[at : at + 3] for at in range(0, len(OUT), 3)]
    if path == "chat/completions":
        return pieces(*cut) if streamed else answers(OUT)
    if path == "completions":
        events = [
            {"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [{"text": one, "index": 0}]}
            for one in cut
        ]
        events[-1]["choices"] = [{"text": cut[-1], "index": 0, "finish_reason": "stop"}]
        whole = {**events[-1], "choices": [{"text": OUT, "index": 0, "finish_reason": "stop"}]}
        return streams(*(_event(one) for one in events), DONE) if streamed else replies(whole)
    part = {"type": "output_text", "text": OUT, "annotations": []}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    response = {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "created_at": 1,
        "model": "m",
        "output": [item],
    }
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    deltas = [{"type": "response.output_text.delta", "delta": one, **place} for one in cut]
    done = {"type": "response.output_text.done", "text": OUT, **place}
    end = {"type": "response.completed", "response": response}
    return streams(*(_event(one) for one in (*deltas, done, end))) if streamed else replies(response)


def _event(value: dict[str, Any]) -> bytes:
    name = f"event: {value['type']}\n" if "type" in value else ""
    return f"{name}data: {json.dumps(value)}\n\n".encode()


def _said(body: bytes) -> str:
    """Every text of an answer at any endpoint, one behind the other, so that pieces join."""
    events = [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]
    return "".join(_texts(events or json.loads(body)))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            if isinstance(one, str) and name in ("content", "text", "delta"):
                yield one
            else:
                yield from _texts(one)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", ["chat/completions", "completions", "responses"])
@pytest.mark.parametrize("action", list(AnswerAction))
async def test_each_action_on_answers_of_each_endpoint(action: AnswerAction, path: str, streamed: bool) -> None:
    screen = Screening(answer_rules=(AnswerRule(name="out", find=("email",), action=action),))
    asked = {"chat/completions": says("Who?"), "completions": {"model": "chat", "prompt": "Who?"}}
    body = {**asked.get(path, {"model": "chat", "input": "Who?", "store": False}), "stream": streamed}
    async with (
        recording(_shown(path, streamed)) as place,
        Plane("a", urls={"a": place.base_url}, screen=screen) as plane,
    ):
        answer = await plane.send(body, path=path)
        record = await plane.record()
    said = _said(answer.body)
    assert {one.type for one in record.answer_findings} == {"email"}
    assert (MAIL in said) == (action is AnswerAction.FLAG)
    assert ("[EMAIL]" in said) == (action is AnswerAction.REDACT)
    assert (b"answer_blocked" in answer.body) == (action is AnswerAction.BLOCK)
    assert (record.outcome is Outcome.OK) == (action is not AnswerAction.BLOCK)
    if action is not AnswerAction.FLAG:
        assert "doe@" not in said
