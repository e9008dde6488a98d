import pytest

from switchgear.core.screening import Canary, OwnPattern, WordList
from switchgear.policy.detect_own import OwnForms, compile_own
from switchgear.policy.errors import ScreenError


def _found(own: OwnForms | None, text: str) -> list[tuple[str, str]]:
    assert own is not None
    return [(found.type, text[found.start : found.end]) for found in own.find(text, text.encode(), 0)]


def test_a_pattern_is_found_whole_and_as_far_left_as_it_goes() -> None:
    own = compile_own([OwnPattern(name="staff", regex=r"\bEMP-\d{4,8}\b"), OwnPattern(name="run", regex=r"x\d+")], [])
    assert _found(own, "Grüße, EMP-12345 and x1234") == [("staff", "EMP-12345"), ("run", "x1234")]


def test_context_must_stand_nearby() -> None:
    own = compile_own([OwnPattern(name="customer", regex=r"\b\d{8}\b", context=("Kunde", "customer"))], [])
    assert _found(own, "KUNDE 12345678") == [("customer", "12345678")]
    assert _found(own, "12345678 is the customer") == [("customer", "12345678")]
    assert _found(own, "order 12345678") == []
    assert _found(own, "customer" + " " * 70 + "12345678") == []


def test_words_stand_alone_in_any_case_and_script() -> None:
    own = compile_own([], [WordList(name="names", words=("Project Falcon", "Müller", "Ärger"))])
    assert _found(own, "project falcon, MÜLLER; Müllers projekt falcons Ärgernis ärger") == [
        ("names", "project falcon"),
        ("names", "MÜLLER"),
        ("names", "ärger"),
    ]


def test_words_may_be_parts_and_keep_their_case_where_asked() -> None:
    own = compile_own([], [WordList(name="parts", words=("Falcon",), whole_words=False, ignore_case=False)])
    assert _found(own, "MyFalcons falcon") == [("parts", "Falcon")]


def test_special_characters_of_words_are_letters() -> None:
    own = compile_own([], [WordList(name="odd", words=("C++ (beta)", "a.b"))])
    assert _found(own, "in C++ (beta) or axb or a.b") == [("odd", "C++ (beta)"), ("odd", "a.b")]


def test_ten_thousand_words() -> None:
    words = tuple(f"codename{number}x" for number in range(10_000))
    own = compile_own([], [WordList(name="many", words=words)])
    assert _found(own, "codename77x and codename9999x and codename10000x") == [
        ("many", "codename77x"),
        ("many", "codename9999x"),
    ]


@pytest.mark.parametrize(
    ("regex", "remedy"),
    [
        (r"(\w+)-\1", "back-reference"),
        (r"(?<=EMP)\d+", "`context`"),
        (r"(?!x)\d+", "`context`"),
        (r"\d*", "at least one"),
        (r"^EMP-\d+$", "no fixed beginning"),
        (r"\AEMP", "no fixed beginning"),
        (r"(unclosed", "docs/screen.md"),
        (r"kunde.{0,4000}?\d{6}", "shorter"),
    ],
)
def test_what_cannot_be_matched_in_linear_time_is_refused_with_a_remedy(regex: str, remedy: str) -> None:
    with pytest.raises(ScreenError, match=r"patterns\.p\.regex") as raised:
        compile_own([OwnPattern(name="p", regex=regex)], [])
    assert remedy in str(raised.value)


@pytest.mark.parametrize("regex", [r"[$^]\d", r"\$\d+", r"[^a]\d{3}", r"(a+)+b", r"(a|aa)+c", r"[\]^]x"])
def test_what_only_looks_anchored_or_slow_is_taken(regex: str) -> None:
    assert compile_own([OwnPattern(name="p", regex=regex)], []) is not None


def test_what_would_be_exponential_elsewhere_is_linear_here() -> None:
    own = compile_own([OwnPattern(name="p", regex=r"(a+)+b")], [])
    assert _found(own, "a" * 50_000) == []
    assert [found.end - found.start for found in own.find("a" * 5_000 + "b", b"a" * 5_000 + b"b", 0)] == [5_001]  # type: ignore[union-attr]  # it is compiled


def test_words_that_were_not_read_and_canaries_without_a_token_are_refused() -> None:
    with pytest.raises(ScreenError, match="was not read"):
        compile_own([], [WordList(name="w", file="words.txt")])
    with pytest.raises(ScreenError, match="has no token"):
        compile_own([], [], [Canary(name="c")])
    with pytest.raises(ScreenError, match="empty word"):
        compile_own([], [WordList(name="w", words=("a", " "))])
