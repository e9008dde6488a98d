"""No finding of a call is in its sketch, and no word of four letters or more that is not everybody's."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.policy import labelled_negatives
from tests.sketches.calls import body_of, job, labelled, maker, rich, sketched, strings

from switchgear.core.screening import Detector
from switchgear.sketches import vocabulary
from switchgear.sketches.words import ALLOWED

WORD = re.compile(r"[^\W\d_]{4,}")
NUMBER = re.compile(r"\d{5,}")
API = frozenset(
    word.casefold()
    for text in (
        *vocabulary.KEYS,
        *vocabulary.VALUES,
        *vocabulary.SCHEMA_WORDS,
        *vocabulary.SCHEMA_TYPES,
        *("https://json-schema.org/draft/2020-12/schema", "sketch:image;png;640x480;bytes"),
    )
    for word in WORD.findall(text)
)


def plain(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def words(texts: list[str]) -> set[str]:
    return {word.casefold() for text in texts for word in WORD.findall(text)} - ALLOWED - API


def texts(body: Any) -> list[str]:
    """What stands in a body, a tool call's arguments as JSON too; the alias and images are no texts."""
    found = [text for text in strings({**body, "model": ""}) if not text.startswith(("data:image", "sketch:image"))]
    read: list[str] = []
    for text in found:
        try:
            inner = json.loads(text)
        except ValueError:
            inner = text
        read += strings(inner) if isinstance(inner, dict | list) else [text]
    return read


def assert_nothing_left(original: Any, sketch: Any, findings: list[str]) -> None:
    before, after = texts(original), texts(sketch)
    assert words(before) & words(after) == set()
    numbers = {number for text in before for number in NUMBER.findall(text)}
    assert not numbers & {number for text in after for number in NUMBER.findall(text)}
    whole = "\n".join(map(plain, after))
    for finding in findings:
        assert len(plain(finding)) < 6 or plain(finding) not in whole


@pytest.mark.parametrize("kind", sorted(Detector))
def test_no_labelled_value_is_in_a_sketch(kind: str) -> None:
    for number, sample in enumerate([one for one in labelled() if one.type == kind][:24]):
        value = sample.text[sample.start : sample.end]
        body = (
            rich(sample.text)
            if number % 8 == 0
            else {"model": "chat", "messages": [{"role": "user", "content": sample.text}]}
        )
        assert_nothing_left(body, body_of(sketched(body, number)), [value])


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    chosen=st.lists(st.sampled_from(labelled()), min_size=1, max_size=4),
    words=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=6),
    names=st.lists(st.text(st.characters(categories=["L", "N"]), min_size=4, max_size=12), max_size=4),
)
def test_nothing_is_left_of_any_text(chosen: list[Any], words: list[str], names: list[str]) -> None:
    text = "\n".join([*(one.text for one in chosen), *words, " ".join(names)])
    values = [one.text[one.start : one.end] for one in chosen]
    body = {**rich(text), **{name: {name: text} for name in names if name not in vocabulary.KEYS}}
    assert_nothing_left(body, body_of(maker().sketch(job(body))), values)


def test_prose_and_code_without_findings_are_replaced_too() -> None:
    for number, text in enumerate(labelled_negatives.negatives()[::4]):
        body = {"model": "chat", "messages": [{"role": "user", "content": text}]}
        assert_nothing_left(body, body_of(sketched(body, number)), [])


def test_a_placeholder_of_the_company_is_a_word_like_any_other() -> None:
    body = {"model": "chat", "messages": [{"role": "user", "content": "[EMAIL_1] and [PROJECT_XANADU_7]"}]}
    text = body_of(sketched(body))["messages"][0]["content"]
    assert "[EMAIL_1]" in text
    assert "XANADU" not in text
