import json
from typing import Any

import msgspec
import pytest

from switchgear.core.data_class import DataClass
from switchgear.core.screening import Action, Screening, ScreenRule
from switchgear.policy.errors import ScreenError
from switchgear.policy.model import CLEAN, Fields, Finding, Verdict, tally
from switchgear.policy.screen import Screen

_SCREENING: dict[str, Any] = {
    "rules": [
        {"name": "personal", "find": ["personal"], "action": "redact"},
        {"name": "staff", "find": ["staff"], "action": "route", "raise_to": "restricted"},
        {"name": "keys", "find": ["secret"], "action": "refuse"},
        {"name": "bulk", "find": ["email"], "at_least": 3, "action": "route", "raise_to": "confidential"},
        {"name": "public-ip", "find": ["network"], "data_classes": ["public"], "action": "refuse"},
    ],
    "patterns": [{"name": "staff", "regex": r"\bEMP-\d{6}\b"}],
    "word_lists": [{"name": "codenames", "words": ["Project Falcon"]}],
}


@pytest.fixture(scope="module")
def screen() -> Screen:
    return _screen(_SCREENING)


def _screen(screening: dict[str, Any]) -> Screen:
    return Screen(msgspec.convert(screening, Screening))


def _fields(body: dict[str, Any] | bytes, *, ascii_only: bool = True) -> Fields:
    data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=ascii_only).encode()
    return msgspec.json.decode(data, type=dict[str, msgspec.Raw])


def _chat(content: Any, **more: Any) -> dict[str, Any]:
    return {"model": "chat", "messages": [{"role": "user", "content": content}], **more}


def _redacted(verdict: Verdict, field: str = "messages") -> Any:
    assert verdict.redacted is not None
    return json.loads(bytes(verdict.redacted[field]))


def test_nothing_found_is_the_one_clean_verdict(screen: Screen) -> None:
    assert screen.request(_fields(_chat("Tell me a story about a fox."))) is CLEAN
    assert screen.request(_fields(_chat('Quote "this"\nand\tthat \\ und Grüße aus 東京.'))) is CLEAN


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        "Mail alice@example.com",
        "line\n4111111111111111\nline",
        'a "4111111111111111"',
        "Grüße: 4111 1111 1111 1111 — danke",
        "C:\\temp\\4111111111111111",
        "tab\t4111111111111111\r\nx",
        "emoji 🦊 4111111111111111 🦊",
    ],
)
def test_no_escape_hides_a_finding(screen: Screen, content: str, *, ascii_only: bool) -> None:
    verdict = screen.request(_fields(_chat(content), ascii_only=ascii_only))
    assert len(verdict.findings) == 1
    assert verdict.originals == {
        next(iter(verdict.originals)): content[verdict.findings[0].start : verdict.findings[0].end]
    }


def test_escapes_that_need_not_be_do_not_hide_it_either(screen: Screen) -> None:
    body = rb'{"model":"m","messages":[{"role":"user","content":"\u0061lice\u0040example\u002ecom \u0034111111111111111"}]}'
    assert [found.type for found in screen.request(_fields(body)).findings] == ["email", "payment_card"]


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        (_chat([{"type": "text", "text": "alice@example.com"}, {"type": "input_text", "text": "x"}]), 1),
        ({"model": "m", "prompt": "alice@example.com"}, 1),
        ({"model": "m", "prompt": ["x", "alice@example.com"]}, 1),
        ({"model": "m", "input": ["alice@example.com", "bob@example.com"]}, 2),
        ({"model": "m", "input": [{"role": "user", "content": "x"}], "instructions": "alice@example.com"}, 1),
        ({"model": "m", "input": [{"type": "function_call_output", "call_id": "c", "output": "alice@example.com"}]}, 1),
        (_chat("x", tools=[{"type": "function", "function": {"name": "f", "description": "alice@example.com"}}]), 1),
        (_chat("x", metadata={"alice@example.com": "4111111111111111"}), 2),
        (_chat("x", user="alice@example.com"), 1),
        (_chat("x", a_backends_own_field={"deep": [["alice@example.com"]]}), 1),
        (_chat("x", response_format={"type": "json_schema", "json_schema": {"description": "alice@example.com"}}), 1),
    ],
)
def test_every_text_of_a_body_is_read(screen: Screen, body: dict[str, Any], texts: int) -> None:
    assert len(screen.request(_fields(body)).findings) == texts


def test_an_image_is_no_text(screen: Screen) -> None:
    image = "data:image/png;base64," + "4111111111111111/AKIAIOSFODNN7EXAMPLE/" * 20
    body = _chat([{"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": "what is it?"}])
    assert screen.request(_fields(body)) is CLEAN


def test_the_link_of_an_image_is_a_text(screen: Screen) -> None:
    url = "https://example.com/?to=alice@example.com"
    assert len(screen.request(_fields(_chat([{"type": "image_url", "image_url": {"url": url}}]))).findings) == 1


def test_handles_stay_as_they_are(screen: Screen) -> None:
    message = {"role": "tool", "tool_call_id": "4111111111111111", "content": "4111111111111111"}
    verdict = screen.request(_fields({"model": "m", "messages": [message]}))
    assert _redacted(verdict) == [{"role": "tool", "tool_call_id": "4111111111111111", "content": "[PAYMENT_CARD_1]"}]


def test_only_the_strings_with_findings_change(screen: Screen) -> None:
    body = b'{"model":"m", "n": 1e0, "messages" : [ {"content" : "to alice@example.com" ,"x":1.50, "role":"user"},{"y":"\\u00e9"} ]}'
    verdict = screen.request(_fields(body))
    assert verdict.redacted is not None
    expected = b'[ {"content" : "to [EMAIL_1]" ,"x":1.50, "role":"user"},{"y":"\\u00e9"} ]'
    assert bytes(verdict.redacted["messages"]) == expected
    assert bytes(verdict.redacted["n"]) == b"1e0"
    assert list(verdict.redacted) == ["model", "n", "messages"]


def test_the_same_value_gets_the_same_placeholder_and_none_that_is_there_already(screen: Screen) -> None:
    text = "[EMAIL_1] alice@example.com, bob@example.com, alice@example.com"
    verdict = screen.request(_fields(_chat(text)))
    assert _redacted(verdict)[0]["content"] == "[EMAIL_1] [EMAIL_2], [EMAIL_3], [EMAIL_2]"
    assert verdict.originals == {"[EMAIL_2]": "alice@example.com", "[EMAIL_3]": "bob@example.com"}


def test_arguments_stay_json_within_json(screen: Screen) -> None:
    arguments = json.dumps({"to": 'é "alice@example.com"\n', "card": 4111111111111111, "alice@example.com": [1, "x"]})
    call = {"id": "call_1", "type": "function", "function": {"name": "pay", "arguments": arguments}}
    verdict = screen.request(_fields({"model": "m", "messages": [{"role": "assistant", "tool_calls": [call]}]}))
    redacted = json.loads(_redacted(verdict)[0]["tool_calls"][0]["function"]["arguments"])
    assert redacted == {"to": 'é "[EMAIL_1]"\n', "card": "[PAYMENT_CARD_1]", "[EMAIL_1]": [1, "x"]}


def test_arguments_that_are_no_json_are_a_text(screen: Screen) -> None:
    call = {"function": {"name": "pay", "arguments": '{"to": "alice@example.com'}}
    verdict = screen.request(_fields({"model": "m", "messages": [{"role": "assistant", "tool_calls": [call]}]}))
    assert _redacted(verdict)[0]["tool_calls"][0]["function"]["arguments"] == '{"to": "[EMAIL_1]'


def test_bytes_that_are_no_utf8_do_not_stop_the_screen(screen: Screen) -> None:
    fields = _fields(b'{"model":"m","messages":[{"role":"user","content":"\xff\xfe alice@example.com \xc3"}]}')
    assert [found.type for found in screen.request(fields).findings] == ["email"]


@pytest.mark.parametrize(
    ("content", "left"),
    [
        (rb'"\ud800 4111 1111 1111 1111"', "\ufffd "),
        (rb'"\ud83d\ude00\udc00 4111 1111 1111 1111"', "\U0001f600\ufffd "),
        (rb'"\q 4111 1111 1111 1111"', "\\q "),
        (b'"\n\\n 4111 1111 1111 1111"', "\n\n "),
    ],
    ids=["half a pair", "a pair and a half", "no escape", "a line break as it is"],
)
def test_strings_that_strict_readers_refuse_do_not_stop_the_screen(content: bytes, left: str) -> None:
    screen = Screen(Screening(rules=(ScreenRule(name="cards", find=("payment_card",), action=Action.REDACT),)))
    verdict = screen.request({"messages": msgspec.Raw(b'[{"role":"user","content":%b}]' % content)})
    assert [finding.type for finding in verdict.findings] == ["payment_card"]
    assert verdict.redacted is not None
    assert json.loads(bytes(verdict.redacted["messages"]))[0]["content"] == f"{left}[PAYMENT_CARD_1]"


def test_rules_raise_the_class_and_redact_at_once(screen: Screen) -> None:
    verdict = screen.request(_fields(_chat("EMP-123456 is alice@example.com")))
    assert verdict.action is Action.REDACT
    assert verdict.rules == ("personal", "staff")
    assert verdict.raised_to is DataClass.RESTRICTED
    assert _redacted(verdict)[0]["content"] == "EMP-123456 is [EMAIL_1]"


def test_a_refusal_names_the_rule_and_redacts_nothing(screen: Screen) -> None:
    verdict = screen.request(_fields(_chat("AKIAIOSFODNN7EXAMPLE of alice@example.com")))
    assert verdict.refused_by == "keys"
    assert verdict.action is Action.REFUSE
    assert verdict.redacted is None
    assert verdict.originals == {}


def test_what_no_rule_names_is_flagged(screen: Screen) -> None:
    verdict = screen.request(_fields(_chat("about project falcon")))
    assert verdict.action is Action.FLAG
    assert verdict.rules == ()
    assert verdict.raised_to is None
    assert [found.type for found in verdict.findings] == ["codenames"]


_LISTED: dict[str, Any] = {
    "rules": [
        {"name": "keys", "find": ["secret"], "action": "refuse"},
        {"name": "personal", "find": ["personal", "person"], "action": "redact"},
        {"name": "projects", "find": ["projects"], "action": "redact"},
    ],
    "external": {"entities": ["PERSON"]},
    "word_lists": [
        {"name": "customers", "words": ["Northwind", "Northwind Trading"]},
        {"name": "projects", "words": ["Trading Post"]},
    ],
}
"""Customers have no rule: they are flagged."""


@pytest.mark.parametrize(
    ("content", "left"),
    [
        ("to joe@northwind.com today", "to [EMAIL_1] today"),
        ("Northwind Trading Post opens", "Northwind [PROJECTS_1] opens"),
        ("Northwind alone", None),
    ],
)
def test_a_word_of_ones_own_does_not_hide_what_it_stands_in(content: str, left: str | None) -> None:
    verdict = _screen(_LISTED).request(_fields(_chat(content)))
    assert "customers" in {found.type for found in verdict.findings}
    assert (verdict.redacted and _redacted(verdict)[0]["content"]) == left


def test_a_word_of_ones_own_in_a_secret_does_not_let_it_pass() -> None:
    verdict = _screen(_LISTED).request(_fields(_chat("password = northwind-S3cretPass99x")))
    assert verdict.refused_by == "keys"


def test_findings_that_overlap_go_out_as_one() -> None:
    screening = _LISTED | {"rules": [{"name": "all", "find": ["all"], "action": "redact"}]}
    content = "ask joe@northwind.com about Northwind Trading Post"
    verdict = _screen(screening).request(_fields(_chat(content)))
    assert _redacted(verdict)[0]["content"] == "ask [EMAIL_1] about [CUSTOMERS_1]"
    assert verdict.originals == {"[EMAIL_1]": "joe@northwind.com", "[CUSTOMERS_1]": "Northwind Trading Post"}


def test_a_word_of_ones_own_hides_no_name_that_an_external_screen_found() -> None:
    screen, fields = _screen(_LISTED), _fields(_chat("said Jane Northwind in joe@northwind.com"))
    number = screen.texts(fields).index("said Jane Northwind in joe@northwind.com")
    name, within = Finding("person", 5, 19, number), Finding("person", 23, 26, number)
    verdict = screen.request_with(fields, None, [name, within])
    assert _redacted(verdict)[0]["content"] == "said [PERSON_1] in [EMAIL_1]"
    assert within not in verdict.findings


def test_a_rule_may_need_several_findings(screen: Screen) -> None:
    two, three = (" ".join(f"u{number}@example.com" for number in range(count)) for count in (2, 3))
    assert screen.request(_fields(_chat(two))).raised_to is None
    assert screen.request(_fields(_chat(three))).raised_to is DataClass.CONFIDENTIAL


def test_a_rule_may_be_for_some_classes_only(screen: Screen) -> None:
    fields = _fields(_chat("from 93.184.216.34"))
    assert screen.request(fields, DataClass.PUBLIC).refused_by == "public-ip"
    assert screen.request(fields, DataClass.INTERNAL).refused_by == ""
    assert screen.request(fields).refused_by == "public-ip", "a class that is not known is not a reason to be lenient"


def test_the_record_keeps_places_and_no_text(screen: Screen) -> None:
    verdict = screen.request(_fields(_chat(" ".join(f"u{number}@example.com" for number in range(40)))))
    (found,) = tally(verdict.findings)
    assert (found.type, found.count, len(found.offsets)) == ("email", 40, 16)
    assert found.offsets[1] == (0, 15, 29)
    assert b"example" not in msgspec.msgpack.encode((tally(verdict.findings), verdict.findings))


@pytest.mark.parametrize(
    ("screening", "message"),
    [
        ({"rules": [{"name": "r", "find": ["emial"]}]}, "rules.r.find: names emial, which is not known"),
        ({"detectors": ["email"], "rules": [{"name": "r", "find": ["iban"]}]}, "which `detectors` leaves off"),
        ({"detectors": ["email"], "rules": [{"name": "r", "find": ["secret"]}]}, "stands for nothing that is on"),
        ({"rules": [{"name": "r", "find": ["email"], "action": "route"}]}, "Give `raise_to`"),
        ({"patterns": [{"name": "email", "regex": "x"}]}, "patterns.email.name: is taken"),
        ({"patterns": [{"name": "a", "regex": "x"}], "word_lists": [{"name": "a", "words": ["y"]}]}, "is taken"),
        ({"answer_rules": [{"name": "r", "find": ["canaries"]}]}, "is not known"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_remedy(screening: dict[str, Any], message: str) -> None:
    with pytest.raises(ScreenError) as raised:
        _screen(screening)
    assert message in str(raised.value)
