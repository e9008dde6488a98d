from itertools import pairwise

import pytest
from tests.policy import labelled, published
from tests.policy.labelled_negatives import negatives
from tests.policy.scoring import Score, score

from switchgear.core.screening import Detector
from switchgear.policy.detect import SHAPES, Detectors

_NEEDS_A_WORD = {"nl_bsn", "au_tfn", "ca_sin", "uk_nhs"}
"""One number in ten or eleven of their length passes their check: without a word beside it, it is any number."""
_RECALL = {"phone": 0.85, "postal_address": 0.8, "payment_card": 0.93}
_PRECISION = {"phone": 0.95, "pl_pesel": 0.9, "email": 0.98}


@pytest.fixture(scope="module")
def detectors() -> Detectors:
    return Detectors(frozenset(Detector))


@pytest.fixture(scope="module")
def scores(detectors: Detectors) -> dict[str, Score]:
    def find(text: str) -> list[tuple[str, int, int]]:
        return [(found.type, found.start, found.end) for found in detectors.find(text)]

    return score(find, labelled.samples(), negatives())


def test_every_detector_is_in_the_labelled_set(scores: dict[str, Score]) -> None:
    assert set(scores) == {detector.value for detector in Detector}


@pytest.mark.parametrize("detector", [detector.value for detector in Detector])
def test_recall(scores: dict[str, Score], detector: str) -> None:
    assert scores[detector].recall_named >= _RECALL.get(detector, 1.0)
    if detector not in _NEEDS_A_WORD:
        assert scores[detector].recall >= _RECALL.get(detector, 1.0)


@pytest.mark.parametrize("detector", [detector.value for detector in Detector])
def test_precision(scores: dict[str, Score], detector: str) -> None:
    assert scores[detector].precision >= _PRECISION.get(detector, 1.0)


def test_whatever_is_a_finding_is_a_candidate_in_json(detectors: Detectors) -> None:
    """The clean way asks the automaton only, about the text between the quotes of JSON: it may not miss what the decision would find."""
    for sample in labelled.samples():
        if detectors.find(sample.text):
            assert detectors.matches(b'{"content": "%b"}' % sample.text.encode()), sample


def test_offsets_count_characters(detectors: Detectors) -> None:
    text = "Grüße aus 東京 an jörg.müller@firma.example, Karte 4111 1111 1111 1111 — 日本"
    found = {finding.type: text[finding.start : finding.end] for finding in detectors.find(text)}
    assert found == {"email": "jörg.müller@firma.example", "payment_card": "4111 1111 1111 1111"}


def test_a_number_in_front_does_not_hide_a_card(detectors: Detectors) -> None:
    text = "2345 4111 1111 1111 1111"
    assert [(found.start, found.end) for found in detectors.find(text)] == [(5, 24)]


def test_a_word_of_another_script_beside_a_number_does_not_hide_it(detectors: Detectors) -> None:
    assert [found.type for found in detectors.find("卡号4111111111111111谢谢")] == ["payment_card"]


@pytest.mark.parametrize(
    ("before", "address", "after"),
    [
        ("連絡先は：", "jane@example.com", "です。よろしく"),
        ("« ", "jane@example.com", "\u00a0» Phone"),
        ("“", "jane@example.com", "” and"),
        ("🙂", "jane@example.com", "🙂NHS"),
        ("", "用户@例子.广告", "。"),
        ("an ", "jörg@müller.example", "、"),
        ("", "अजय@डेटा.भारत", " "),
    ],
)
def test_an_address_ends_where_its_sentence_goes_on(
    detectors: Detectors, before: str, address: str, after: str
) -> None:
    text = before + address + after
    assert [text[found.start : found.end] for found in detectors.find(text)] == [address]


def test_findings_do_not_overlap_and_the_stronger_one_stays(detectors: Detectors) -> None:
    text = "password=ghp_0123456789abcdefghijABCDEFGHIJ012345 postgres://bob:s3cr3tP4ss@db.example.com/x"
    found = detectors.find(text)
    assert [finding.type for finding in found] == ["github_token", "generic_secret"]
    assert all(one.end <= other.start for one, other in pairwise(found))


def test_each_iban_of_the_registry_ends_where_its_country_says(detectors: Detectors) -> None:
    for iban in published.IBANS:
        text = f"to {iban} AND MORE"
        assert [text[found.start : found.end] for found in detectors.find(text)] == [iban]


def test_a_key_without_its_end_is_found_as_far_as_it_goes(detectors: Detectors) -> None:
    text = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\nabc= and then prose."
    found = detectors.find(text)
    assert [finding.type for finding in found] == ["private_key"]
    assert text[: found[0].end].endswith("prose")


def test_detectors_that_are_off_find_nothing() -> None:
    only = Detectors(frozenset((Detector.EMAIL,)))
    assert [found.type for found in only.find("a@example.com 4111111111111111")] == ["email"]


class _Counting:
    """Counts how much text the decisions are shown."""

    def __init__(self) -> None:
        self.shown = 0
        self.windows = 0

    def count(self, begin: int, stop: int) -> None:
        self.windows += 1
        self.shown += stop - begin


@pytest.mark.parametrize(
    "unit",
    [
        "4111 1111 1111 1112 ",
        "1 2 3 4 5 6 7 8 9 0 ",
        "4" * 20,
        "a@b.cc",
        "a" * 64 + "@",
        "password=",
        "-----BEGIN PRIVATE KEY-----",
        "eyJaaaaaaaaaa.eyJaaaaaaaaaa.",
        "AB12 CDEF GHIJ ",
        "12 The Big Bad Wolf ",
        "passport 123 ",
        "192.168.1.",
        "aa:bb:cc:dd:",
        "é4",
    ],
)
def test_work_grows_with_the_text_and_not_faster(
    detectors: Detectors, unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted: characters shown to decisions. Each decision sees a stretch of text once, so twice the text is twice the work."""
    counted = []
    for size in (4_000, 8_000, 16_000):
        counting = _Counting()
        windows = Detectors._windows

        def spy(
            self: Detectors, text: str, data: bytes, counting: _Counting = counting, windows: object = windows
        ) -> object:
            assert callable(windows)
            for decision, begin, stop in windows(self, text, data):
                counting.count(begin, min(stop, len(text)))
                yield decision, begin, stop

        monkeypatch.setattr(Detectors, "_windows", spy)
        detectors.find((unit * (size // len(unit) + 1))[:size])
        monkeypatch.undo()
        counted.append(counting.shown)
    assert counted[2] <= 2.2 * max(counted[1], 1_000)
    assert counted[2] <= 16_000 * len(SHAPES)
