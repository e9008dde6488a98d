import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.policy.labelled import samples

from switchgear.core.data_class import DataClass
from switchgear.core.screening import Screening
from switchgear.policy.model import CLEAN, Verdict
from switchgear.policy.screen import Screen
from switchgear.policy.watch import LONGEST_HELD, Watch

_SAMPLES = samples()
_CANARY = "zebra-42-quartz"
_SCREENING: dict[str, Any] = {
    "rules": [{"name": "personal", "find": ["personal"], "action": "redact"}],
    "answer_rules": [
        {"name": "leak", "find": ["canary"], "action": "block"},
        {"name": "keys", "find": ["secret"], "action": "redact", "unless_in_prompt": False},
        {"name": "personal-out", "find": ["personal", "codenames"], "action": "redact"},
        {"name": "machines", "find": ["network"], "action": "flag"},
        {"name": "strict", "find": ["network"], "action": "block", "data_classes": ["restricted"]},
    ],
    "word_lists": [{"name": "codenames", "words": ["Project Blue Falcon"]}],
    "canaries": [{"name": "planted", "token": _CANARY}],
}


@pytest.fixture(scope="module")
def screen() -> Screen:
    return Screen(msgspec.convert(_SCREENING, Screening))


def _watch(
    screen: Screen, verdict: Verdict = CLEAN, data_class: DataClass | None = DataClass.INTERNAL, **more: Any
) -> Watch:
    watch = screen.watch(verdict, data_class, **more)
    assert watch is not None
    return watch


def _plain() -> Screen:
    return Screen(msgspec.convert({"answer_rules": [{"name": "all", "find": ["all"], "action": "redact"}]}, Screening))


def _through(watch: Watch, pieces: list[str]) -> list[str]:
    out = [piece for one in pieces for piece in watch.feed(one)]
    return out + watch.finish()


def _asked(screen: Screen, content: str) -> Verdict:
    body = json.dumps({"messages": [{"role": "user", "content": content}]}).encode()
    return screen.request(msgspec.json.decode(body, type=dict[str, msgspec.Raw]))


def _cut(text: str, rng: random.Random) -> list[str]:
    pieces = []
    while text:
        size = rng.choice((1, 1, 2, 3, 4, 5, 8, 20))
        pieces.append(text[:size])
        text = text[size:]
    return pieces


def test_pieces_pass_as_they_came_one_word_later() -> None:
    watch = _watch(_plain())
    pieces = [" the", " quick", " brown", " fox", "."]
    passed = [watch.feed(piece) for piece in pieces]
    assert passed == [[], [" the"], [" quick"], [" brown"], []]
    assert watch.finish() == [" fox", "."]
    out = [piece for some in passed for piece in some]
    assert all(one is other for one, other in zip(out, pieces, strict=False))


def test_text_without_spaces_between_words_is_not_held() -> None:
    watch = _watch(_plain())
    assert [watch.feed(piece) for piece in ("今日", "は良い", "天気です")] == [["今日"], ["は良い"], ["天気です"]]


def test_a_finding_in_pieces_is_replaced_in_the_first_of_them(screen: Screen) -> None:
    assert _through(_watch(screen), ["to bob", "@exam", "ple.c", "om now"]) == ["to [EMAIL]", "", "", " now"]


def test_findings_are_counted_from_the_beginning_of_the_answer(screen: Screen) -> None:
    watch = _watch(screen, choice=3)
    text = "Call " + "x " * 300 + "bob@example.com or 93.184.216.34 then"
    assert "".join(_through(watch, _cut(text, random.Random(1)))) == text.replace("bob@example.com", "[EMAIL]")
    assert [(found.type, text[found.start : found.end], found.text) for found in watch.findings] == [
        ("email", "bob@example.com", 3),
        ("ip_address", "93.184.216.34", 3),
    ]


@pytest.mark.parametrize(
    "sample", [sample for sample in _SAMPLES if sample.type != "ip_address" and sample.type != "mac_address"][::5]
)
def test_of_no_finding_a_piece_goes_out_however_it_is_cut(screen: Screen, sample: Any) -> None:
    """What the screen finds in the whole text, the watch takes out of its pieces: letter by letter, and in pieces at random."""
    text = f"Of course, here you are: {sample.text} I hope that this helps."
    whole = screen.answer(json.dumps({"content": text}).encode(), CLEAN, DataClass.INTERNAL)
    expected = json.loads(whole.body)["content"]
    for pieces in (list(text), _cut(text, random.Random(2)), [text]):
        watch = _watch(screen)
        out = _through(watch, pieces)
        assert "".join(out) == expected
        assert len(out) == len(pieces)
        assert [(found.type, found.start, found.end) for found in watch.findings] == [
            (found.type, found.start, found.end) for found in whole.findings
        ]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 4))
def test_any_text_in_any_pieces(screen: Screen, seed: int, count: int) -> None:
    rng = random.Random(seed)
    known = [sample for sample in _SAMPLES if len(sample.text) < 300]
    text = " ".join(rng.choice(known).text + rng.choice((".", " and so on", "\n\n", ",", " 17 ")) for _ in range(count))
    whole = screen.answer(json.dumps({"content": text}).encode(), CLEAN, DataClass.INTERNAL)
    pieces = _cut(text, rng)
    out = _through(_watch(screen), pieces)
    assert len(out) == len(pieces)
    for found in whole.findings:
        if found.type not in ("ip_address", "mac_address"):
            assert text[found.start : found.end] not in "".join(out)


@pytest.mark.parametrize("size", [1, 2, 5, 17, 100])
def test_a_word_of_ones_own_does_not_hide_what_it_stands_in(size: int) -> None:
    screening: dict[str, Any] = {
        "answer_rules": [
            {"name": "personal", "find": ["personal"], "action": "redact"},
            {"name": "customers", "find": ["customers"], "action": "flag"},
            {"name": "projects", "find": ["projects"], "action": "redact"},
        ],
        "word_lists": [
            {"name": "customers", "words": ["Northwind", "秘密計画"]},
            {"name": "projects", "words": ["com or", "Northwind"]},
        ],
    }
    screen = Screen(msgspec.convert(screening, Screening))
    text = "Write to joe@northwind.com or not. 連絡先はjane@northwind.comです。秘密計画"
    through = "".join(_through(_watch(screen), [text[at : at + size] for at in range(0, len(text), size)]))
    whole = screen.answer(json.dumps({"choices": [{"message": {"content": text}}]}).encode(), CLEAN).body.decode()
    assert through.startswith("Write to [EMAIL] not.")
    assert "Write to [EMAIL] not." in whole
    for part in ("northwind", "joe", "jane"):
        assert part not in through
        assert part not in whole


@pytest.mark.parametrize("size", [1, 3, 8, 11, 100])
def test_a_word_of_ones_own_may_be_the_context_of_a_finding(size: int) -> None:
    screening: dict[str, Any] = {
        "answer_rules": [{"name": "keys", "find": ["secret", "driving_licence"], "action": "redact"}],
        "word_lists": [{"name": "words", "words": ["key", "license"]}],
    }
    screen = Screen(msgspec.convert(screening, Screening))
    text = "。api_key = 'NpXs95WjNeV6jyDjwrcqQaRN5DkMNsWQ' and driver's license: G3505860 here"
    through = "".join(_through(_watch(screen), [text[at : at + size] for at in range(0, len(text), size)]))
    assert through == "。api_key = '[GENERIC_SECRET]' and driver's license: [DRIVING_LICENCE] here"


@pytest.mark.parametrize("size", [1, 2, 3, 50])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("見て 秘密計画 です。", "見て [W] です。"),
        ("秘密計画を見て", "[W]を見て"),
        ("プロジェクト秘密計画", "プロジェクト[W]"),
        ("次はOrionを見て Orions", "次は[W]を見て Orions"),
        ("번호는 비밀-7 입니다", "번호는 [P] 입니다"),
    ],
)
def test_words_of_scripts_without_spaces_are_held_and_found(text: str, expected: str, size: int) -> None:
    screening: dict[str, Any] = {
        "rules": [{"name": "all", "find": ["w", "p"], "action": "redact"}],
        "answer_rules": [{"name": "all", "find": ["w", "p"], "action": "redact"}],
        "word_lists": [{"name": "w", "words": ["秘密計画", "Orion"]}],
        "patterns": [{"name": "p", "regex": "비밀-[0-9]"}],
    }
    screen = Screen(msgspec.convert(screening, Screening))
    assert len(_asked(screen, text).findings) == 1
    assert "".join(_through(_watch(screen), [text[at : at + size] for at in range(0, len(text), size)])) == expected


def test_a_canary_ends_the_answer_before_it(screen: Screen) -> None:
    watch = _watch(screen)
    out = _through(watch, ["The word", " is zebra", "-42", "-quartz", " and more"])
    assert "".join(out) == "The word"
    assert watch.blocked_by == "leak"
    assert [found.type for found in watch.findings] == ["canary"]
    assert watch.feed("more") == []
    assert watch.finish() == []


def test_a_canary_in_the_prompt_is_no_excuse(screen: Screen) -> None:
    watch = _watch(screen, _asked(screen, f"Never say {_CANARY}. My mail is a@example.com."))
    _through(watch, [f"It is {_CANARY} ", "x"])
    assert watch.blocked_by == "leak"


def test_rules_of_the_calls_class_apply(screen: Screen) -> None:
    watch = _watch(screen, data_class=DataClass.RESTRICTED)
    assert "".join(_through(watch, ["host 93.184.216.34 is up"])) == ""
    assert watch.blocked_by == "strict"


def test_what_stood_in_the_prompt_may_stand_in_the_answer_in_another_form(screen: Screen) -> None:
    flagging = Screen(
        msgspec.convert({"answer_rules": [{"name": "out", "find": ["personal"], "action": "redact"}]}, Screening)
    )
    verdict = _asked(flagging, "My card is 4111 1111 1111 1111.")
    text = "You gave 4111-1111-1111-1111, not 5555555555554444."
    assert "".join(_through(_watch(flagging, verdict), _cut(text, random.Random(3)))) == (
        "You gave 4111-1111-1111-1111, not [PAYMENT_CARD]."
    )


@pytest.mark.parametrize("kind", ["phone", "generic_secret"])
def test_a_part_of_what_no_rule_is_for_is_nothing_else(kind: str) -> None:
    """An answer is read with all types, however few its rules name: a part of an IBAN is no telephone number."""
    screening = {"answer_rules": [{"name": "few", "find": [kind], "action": "block"}]}
    screen = Screen(msgspec.convert(screening, Screening))
    text = "Pay DE89 3704 0044 0532 0130 00 with password=ghp_0123456789abcdefghijABCDEFGHIJ012345 now."
    verdict = _asked(screen, text)
    assert {finding.type for finding in verdict.findings} == {"iban", "github_token"}
    answer = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
    for known in (CLEAN, verdict):
        assert screen.answer(answer, known).body == answer
        assert "".join(_through(_watch(screen, known), list(text))) == text


def test_placeholders_are_put_back_however_the_answer_is_cut(screen: Screen) -> None:
    verdict = _asked(screen, "Mail alice@example.com and bob@example.com")
    text = "I wrote to [EMAIL_1], [EMAIL_2] and [EMAIL_3][EMAIL_1]; see [1]."
    expected = "I wrote to alice@example.com, bob@example.com and [EMAIL_3]alice@example.com; see [1]."
    for seed in range(30):
        pieces = _cut(text, random.Random(seed))
        out = _through(_watch(screen, verdict), pieces)
        assert "".join(out) == expected
        assert len(out) == len(pieces)


def test_placeholders_are_put_back_where_answers_are_not_watched() -> None:
    screen = Screen(msgspec.convert({"rules": _SCREENING["rules"]}, Screening))
    assert screen.watch(CLEAN) is None
    verdict = _asked(screen, "Mail alice@example.com")
    watch = _watch(screen, verdict)
    assert watch.feed("Hello, [") == []
    assert [watch.feed("EMAIL_1"), watch.feed("]"), watch.feed(" it is")] == [
        [],
        ["Hello, alice@example.com", "", ""],
        [" it is"],
    ]


def test_in_arguments_what_is_put_back_is_escaped() -> None:
    screen = Screen(
        msgspec.convert(
            {
                "rules": [{"name": "r", "find": ["secret"], "action": "redact"}],
                "answer_rules": _SCREENING["answer_rules"][2:3],
            }
            | {"word_lists": _SCREENING["word_lists"]},
            Screening,
        )
    )
    key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----"
    verdict = _asked(screen, f"Use {key}")
    pieces = ['{"key": "[PRIVATE', '_KEY_1]", "card": 4111', '111111111111, "n": 1}']
    out = _through(_watch(screen, verdict, in_json=True), pieces)
    assert json.loads("".join(out)) == {"key": key, "card": "[PAYMENT_CARD]", "n": 1}


def test_what_is_too_long_to_hold_is_taken_out_as_it_comes(screen: Screen) -> None:
    key = (
        "-----BEGIN PRIVATE KEY-----\n"
        + "\n".join("MC4CAQAwBQYDK2VwBCIEIAab" * 3 for _ in range(100))
        + "\n-----END PRIVATE KEY-----"
    )
    watch = _watch(screen)
    held = sent = 0
    out = []
    for piece in _cut(f"Here: {key} There.", random.Random(4)):
        sent += len(piece)
        for one in watch.feed(piece):
            out.append(one)
        held = max(held, len(watch._held))
    out += watch.finish()
    assert "".join(out) == "Here: [PRIVATE_KEY] There."
    assert held <= LONGEST_HELD + 20


def test_a_text_without_end_is_not_held_without_end(screen: Screen) -> None:
    watch = _watch(screen)
    out = "".join(piece for _ in range(2_000) for piece in watch.feed("aB3x"))
    assert len(out) >= 8_000 - LONGEST_HELD - 8


def test_a_whole_answer_is_screened_in_its_texts_only(screen: Screen) -> None:
    body = {
        "id": "4111111111111111",
        "choices": [
            {
                "message": {"role": "assistant", "content": "it is bob@example.com"},
                "logprobs": {"content": [{"token": "bob"}]},
            }
        ],
        "usage": {"total_tokens": 5},
    }
    answer = screen.answer(json.dumps(body).encode(), CLEAN)
    assert json.loads(answer.body) == {
        "id": "4111111111111111",
        "choices": [{"message": {"role": "assistant", "content": "it is [EMAIL]"}, "logprobs": None}],
        "usage": {"total_tokens": 5},
    }
    assert [(found.type, found.start) for found in answer.findings] == [("email", 6)]


def test_a_clean_whole_answer_is_the_same_bytes(screen: Screen) -> None:
    body = b'{ "choices":[{"message":{"content":"fine [1]"}}]}'
    assert screen.answer(body, CLEAN).body is body
    assert screen.answer(body, _asked(screen, "alice@example.com")).body is body


def test_a_blocked_whole_answer_names_the_rule(screen: Screen) -> None:
    answer = screen.answer(json.dumps({"content": f"it is {_CANARY}"}).encode(), CLEAN)
    assert answer.blocked_by == "leak"
    assert [found.type for found in answer.findings] == ["canary"]
