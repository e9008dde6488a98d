"""How sure an answer is: read from every shape, whole and streamed alike, and decided as soon as it can be."""

import json
import math
from typing import Any

import msgspec
import pytest
from tests.cache.written import CASES, TWO, WORDS, streamed, whole

from switchgear.confidence.format import wanted_format
from switchgear.confidence.judge import Judge, Verdict
from switchgear.core.escalation import Confidence, Escalate, WhenMissing
from switchgear.core.snapshot import Endpoint
from switchgear.emulator.logprobs import alternatives, scored

SCORED = [name for name, (_, _, top) in CASES.items() if top]


def judge(when: str = "refusal", **settings: Any) -> Judge:
    return Judge(Escalate(when=when, to="large", **settings))


def chunk(text: str | None = None, logprob: float | None = None, other: float | None = None, **delta: Any) -> bytes:
    """A chat chunk of one token; `other`: the best alternative."""
    finish_reason = delta.pop("finish_reason", None)
    choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
    if text is not None:
        delta["content"] = text
    if logprob is not None:
        top = [{"token": text, "logprob": logprob}]
        top += [{"token": "other", "logprob": other}] if other is not None else []
        choice["logprobs"] = {"content": [{"token": text, "logprob": logprob, "top_logprobs": top}], "refusal": None}
    return json.dumps({"id": "c", "choices": [choice]}).encode()


def chat(
    content: str | None, logprobs: list[float] | None = None, finish_reason: str = "stop", **message: Any
) -> bytes:
    """A whole chat answer."""
    scores = None if logprobs is None else {"content": [{"token": "x", "logprob": one} for one in logprobs]}
    choice = {"message": {"content": content, **message}, "logprobs": scores, "finish_reason": finish_reason}
    return json.dumps({"id": "c", "choices": [choice]}).encode()


def said(
    body: bytes, endpoint: Endpoint = Endpoint.CHAT, fields: dict[str, Any] | None = None, **settings: Any
) -> Confidence:
    wanted = wanted_format(
        endpoint, {name: msgspec.Raw(json.dumps(value).encode()) for name, value in (fields or {}).items()}
    )
    return judge(**settings).whole(endpoint, body, wanted).confidence


# -- log-probabilities --


@pytest.mark.parametrize("name", SCORED)
def test_log_probabilities_are_read_from_every_shape(name: str) -> None:
    endpoint, choices, top = CASES[name]
    confidence = said(whole(endpoint, choices, top), endpoint)
    places = [(token, place) for choice in choices for place, token in enumerate(choice.tokens)]
    logprobs = [scored(token, place).logprob for token, place in places]
    assert confidence.tokens == len(places)
    assert confidence.mean_logprob == pytest.approx(sum(logprobs) / len(logprobs))
    assert confidence.min_logprob == min(logprobs)
    if top == 2:
        margins = [one.logprob - other.logprob for one, other in (alternatives(*place, 2) for place in places)]
        assert confidence.margin == pytest.approx(sum(margins) / len(margins))
        assert confidence.min_margin == pytest.approx(min(margins))


@pytest.mark.parametrize("name", list(CASES))
def test_a_stream_says_what_the_whole_answer_says(name: str) -> None:
    endpoint, choices, top = CASES[name]
    follows = judge("min_logprob < -50").stream(endpoint, None)
    for data in streamed(endpoint, choices, top):
        if data != b"[DONE]":
            follows.feed(data)
    follows.end()
    told, at_once = follows.confidence(), said(whole(endpoint, choices, top), endpoint, when="min_logprob < -50")
    assert msgspec.structs.astuple(told) == pytest.approx(msgspec.structs.astuple(at_once))


def test_without_log_probabilities_nothing_is_known_of_them() -> None:
    assert said(chat("yes")) == Confidence()


def test_minus_infinity_does_not_drown_the_mean() -> None:
    confidence = said(chat("a b", [-9999.0, 0.0]))
    assert confidence.mean_logprob == -50.0
    assert confidence.min_logprob == -100.0


def test_a_token_that_was_not_the_likeliest_has_a_negative_margin() -> None:
    follows = judge("min_margin < -1").stream(Endpoint.CHAT, None)
    assert follows.feed(chunk("a", -2.0, -0.2)) is Verdict.UNSURE
    assert follows.confidence().min_margin == pytest.approx(-1.8)


def test_an_echoed_prompt_has_no_first_log_probability() -> None:
    logprobs = {"tokens": ["a", "b"], "token_logprobs": [None, -1.0], "top_logprobs": [None, {"b": -1.0, "c": -3.0}]}
    body = json.dumps({"choices": [{"text": "ab", "logprobs": logprobs, "finish_reason": "stop"}]}).encode()
    confidence = said(body, Endpoint.COMPLETIONS)
    assert (confidence.tokens, confidence.mean_logprob, confidence.margin) == (1, -1.0, 2.0)


# -- refusal, format, length --


def test_a_refusal_is_what_the_target_says_what_a_filter_cut_and_what_begins_so() -> None:
    phrases: dict[str, Any] = {"refusal_phrases": ("I'm sorry", "as an AI")}
    assert said(chat(None, refusal="No.")).refusal
    assert said(chat("", finish_reason="content_filter")).refusal
    assert said(chat("\n I\N{RIGHT SINGLE QUOTATION MARK}M SORRY, but no."), **phrases).refusal
    assert said(chat("As an AI, I …"), **phrases).refusal
    assert not said(chat("He said: I'm sorry."), **phrases).refusal
    assert not said(chat("I'm sorry.")).refusal


def test_a_refusal_of_a_response_is_one() -> None:
    output = [{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}]
    assert said(json.dumps({"status": "completed", "output": output}).encode(), Endpoint.RESPONSES).refusal
    follows = judge().stream(Endpoint.RESPONSES, None)
    assert follows.feed(b'{"type": "response.refusal.delta", "delta": "No"}') is Verdict.UNSURE


def test_the_limit_of_tokens_is_seen() -> None:
    assert said(chat("a", finish_reason="length")).length_cut
    assert said(whole(*CASES["response-cut"]), Endpoint.RESPONSES).length_cut
    assert not said(chat("a")).length_cut


OBJECT = {"response_format": {"type": "json_object"}}
PERSON = {
    "type": "object",
    "properties": {"age": {"type": "integer"}, "code": {"type": "string", "pattern": "^(a+)+$"}},
    "required": ["age"],
}
SCHEMA = {"response_format": {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}}


@pytest.mark.parametrize(
    ("fields", "content", "fails"),
    [
        (OBJECT, "{}", False),
        (OBJECT, ' {"a": [1]}\n', False),
        (OBJECT, "[]", True),
        (OBJECT, '{"a": ', True),
        (OBJECT, "", True),
        (OBJECT, None, True),
        (OBJECT, '```json\n{"a": 1}\n```', True),
        (SCHEMA, '{"age": 3}', False),
        (SCHEMA, '{"age": "3"}', True),
        (SCHEMA, "{}", True),
        (SCHEMA, '{"age": 1e400}', True),
        ({"response_format": {"type": "text"}}, "no JSON", False),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "no JSON", True),
        ({}, "no JSON", False),
    ],
)
def test_json_that_was_asked_for_must_be_json(fields: dict[str, Any], content: str | None, fails: bool) -> None:
    assert said(chat(content), fields=fields, when="format_failure").format_failure is fails


def test_a_schema_of_the_responses_api_is_held_to() -> None:
    fields = {"text": {"format": {"type": "json_schema", "name": "person", "schema": PERSON}}}
    output = [{"type": "message", "content": [{"type": "output_text", "text": '{"age": 3}'}]}]
    body = json.dumps({"status": "completed", "output": output})
    assert not said(body.encode(), Endpoint.RESPONSES, fields).format_failure
    assert said(body.replace("age", "edge").encode(), Endpoint.RESPONSES, fields).format_failure


def test_a_hostile_pattern_takes_no_time_and_a_reference_fetches_nothing() -> None:
    assert said(chat(json.dumps({"age": 1, "code": "a" * 5000 + "!"})), fields=SCHEMA).format_failure
    away = {"type": "json_schema", "json_schema": {"schema": {"$ref": "http://127.0.0.1:9/schema.json"}}}
    assert not said(chat("anything"), fields={"response_format": away}).format_failure


def test_a_schema_that_is_none_holds_nobody() -> None:
    for schema in ({"type": "nothing"}, {"pattern": "("}, "text"):
        wish = {"type": "json_schema", "json_schema": {"schema": schema}}
        assert not said(chat("anything"), fields={"response_format": wish}).format_failure


def test_arguments_of_a_tool_call_must_be_an_object() -> None:
    def call(arguments: str) -> bytes:
        return chat(None, tool_calls=[{"id": "1", "function": {"name": "look", "arguments": arguments}}])

    assert not said(call('{"at": 1}')).format_failure
    assert not said(call("")).format_failure
    assert said(call('{"at": ')).format_failure
    assert not said(call("{}"), fields=OBJECT).format_failure


def test_a_refusal_is_no_format_failure() -> None:
    confidence = said(chat(None, refusal="No."), fields=OBJECT)
    assert (confidence.refusal, confidence.format_failure) == (True, False)


# -- deciding --


def test_a_whole_answer_is_judged_by_its_rule() -> None:
    rule = judge("mean_logprob < -0.5 or refusal")
    assert rule.whole(Endpoint.CHAT, chat("a b", [-0.1, -1.0]), None).unsure
    assert not rule.whole(Endpoint.CHAT, chat("a b", [-0.1, -0.2]), None).unsure
    assert rule.whole(Endpoint.CHAT, chat("a b", [-0.1, -0.2], refusal="No."), None).unsure


@pytest.mark.parametrize(("missing", "unsure"), [(WhenMissing.ESCALATE, True), (WhenMissing.KEEP, False)])
def test_an_answer_without_log_probabilities_is_what_the_configuration_says(missing: WhenMissing, unsure: bool) -> None:
    judged = judge("mean_logprob < -0.5", when_missing=missing).whole(Endpoint.CHAT, chat("a"), None)
    assert judged.unsure is judged.confidence.unsure is unsure


def test_what_cannot_be_read_is_unsure() -> None:
    assert judge().whole(Endpoint.CHAT, b"no json", None) == (True, Confidence(unsure=True))
    assert judge().whole(Endpoint.CHAT, b'{"choices": [{"logprobs": {"content": 3}}]}', None).unsure


def verdicts(rule: Judge, *events: bytes, max_tokens: int = 0, fields: dict[str, Any] | None = None) -> list[Verdict]:
    """After each event, and at the end."""
    wanted = wanted_format(
        Endpoint.CHAT, {name: msgspec.Raw(json.dumps(value).encode()) for name, value in (fields or {}).items()}
    )
    follows = rule.stream(Endpoint.CHAT, wanted, max_tokens)
    return [*(follows.feed(event) for event in events), follows.end()]


WAIT, SURE, UNSURE = Verdict.WAIT, Verdict.SURE, Verdict.UNSURE


def test_one_unlikely_token_decides_at_once() -> None:
    events = [chunk("a", -0.1), chunk("b", -5.0), chunk("c", -0.1)]
    assert verdicts(judge("min_logprob < -4"), *events) == [WAIT, UNSURE, UNSURE, UNSURE]


def test_without_a_window_a_sure_stream_is_held_to_its_end() -> None:
    assert verdicts(judge("min_logprob < -4"), chunk("a", -0.1), chunk("b", -0.1)) == [WAIT, WAIT, SURE]


def test_a_rule_that_can_no_longer_hold_lets_the_stream_flow_at_once() -> None:
    assert verdicts(judge("min_logprob > -4"), chunk("a", -0.1), chunk("b", -5.0)) == [WAIT, SURE, SURE]
    assert verdicts(judge("tokens < 2 and min_logprob < -4"), chunk("a", -0.1), chunk("b", -0.1)) == [WAIT, SURE, SURE]


def test_tokens_beyond_the_window_do_not_count_however_they_come() -> None:
    one, other = (json.loads(chunk("a", logprob))["choices"][0] for logprob in (-0.1, -9.0))
    one["logprobs"]["content"] += other["logprobs"]["content"] * 3
    event = json.dumps({"id": "c", "choices": [one]}).encode()
    follows = judge("min_logprob < -4", first_tokens=1).stream(Endpoint.CHAT, None)
    assert follows.feed(event) is SURE
    assert follows.confidence().tokens == 1


def test_a_window_lets_a_sure_stream_flow_when_it_is_full() -> None:
    events = [chunk("a", -0.1), chunk("b", -0.1), chunk("c", -9.0)]
    assert verdicts(judge("min_logprob < -4 or refusal", first_tokens=2), *events) == [WAIT, SURE, SURE, SURE]


def test_a_mean_that_can_no_longer_rise_enough_decides_before_the_window_is_full() -> None:
    rule = judge("mean_logprob < -0.5", first_tokens=4)
    assert verdicts(rule, chunk("a", -1.9), chunk("b", -0.2)) == [WAIT, UNSURE, UNSURE]
    assert verdicts(rule, chunk("a", -1.9), chunk("b", -0.05)) == [WAIT, WAIT, UNSURE]


def test_the_limit_of_tokens_bounds_a_mean_too() -> None:
    assert verdicts(judge("mean_logprob < -0.5"), chunk("a", -1.1), max_tokens=2) == [UNSURE, UNSURE]


def test_the_limit_of_tokens_does_not_hide_what_only_the_end_shows() -> None:
    rule = judge("mean_logprob < -0.5 or format_failure")
    assert verdicts(rule, chunk("{", -0.1), chunk("x", -0.1), max_tokens=2, fields=OBJECT) == [WAIT, WAIT, UNSURE]


def test_in_a_window_what_only_the_end_shows_counts_as_not_so() -> None:
    rule = judge("mean_logprob < -0.5 or format_failure", first_tokens=2)
    assert verdicts(rule, chunk("{", -0.1), chunk("x", -0.1), fields=OBJECT) == [WAIT, SURE, SURE]


def test_prose_where_json_was_asked_for_decides_at_once() -> None:
    assert verdicts(judge("format_failure"), chunk(" "), chunk("Sure"), fields=OBJECT) == [WAIT, UNSURE, UNSURE]


def test_a_refusal_decides_at_once() -> None:
    rule = judge("refusal", refusal_phrases=("I'm sorry",))
    assert verdicts(rule, chunk("I'm"), chunk(" sorry"), chunk(", no")) == [WAIT, UNSURE, UNSURE, UNSURE]
    assert verdicts(rule, chunk(refusal="No")) == [UNSURE, UNSURE]


def test_a_window_counts_pieces_of_text_where_no_log_probabilities_come() -> None:
    rule = judge("refusal", first_tokens=2, refusal_phrases=("I'm sorry",))
    assert verdicts(rule, chunk(role="assistant"), chunk("Yes"), chunk(" we"), chunk(" can")) == [
        WAIT,
        WAIT,
        SURE,
        SURE,
        SURE,
    ]


def test_a_short_answer_is_decided_at_its_end() -> None:
    assert verdicts(judge("mean_logprob < -0.5", first_tokens=10), chunk("a", -1.0)) == [WAIT, UNSURE]


def test_an_event_that_cannot_be_read_is_the_readers_to_judge() -> None:
    assert verdicts(judge("refusal"), b"no json", chunk("a")) == [WAIT, WAIT, SURE]


def test_several_choices_are_judged_together() -> None:
    endpoint, choices, top = CASES["chat-two-scored"]
    assert choices is TWO
    assert said(whole(endpoint, choices, top)).tokens == len(WORDS) + 2


@pytest.mark.parametrize("first_tokens", [None, 1, 3, 8])
@pytest.mark.parametrize(
    "when", ["mean_logprob < -0.3", "min_logprob < -0.6", "mean_logprob < -0.3 or tokens < 2", "not margin > 1"]
)
def test_what_a_stream_decides_early_its_window_bears_out(when: str, first_tokens: int | None) -> None:
    """Whatever the draw, the early verdict is that of the rule on the tokens of the window, or of all where there is none."""
    for seed in range(60):
        tokens = [
            (f"t{seed}", -math.log1p(((seed + 3) * (place + 7) * 2654435761 % 1000) / 500))
            for place in range(seed % 7 + 1)
        ]
        events = [chunk(text, logprob, -1.5) for text, logprob in tokens]
        *_, last = verdicts(judge(when, first_tokens=first_tokens), *events)
        seen = tokens[:first_tokens]
        content = [
            {"token": text, "logprob": one, "top_logprobs": [{"token": "o", "logprob": -1.5}]} for text, one in seen
        ]
        body = json.dumps({"choices": [{"message": {"content": "x"}, "logprobs": {"content": content}}]}).encode()
        assert (last is UNSURE) is judge(when).whole(Endpoint.CHAT, body, None).unsure
