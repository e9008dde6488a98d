import random
import re
from collections.abc import Callable, Sequence

import pytest
from tests.policy.labelled import samples
from tests.policy.labelled_negatives import negatives

from switchgear.policy import detect_automaton
from switchgear.policy.detect import SHAPES
from switchgear.policy.detect_automaton import Automaton, CannotCompile, Expression, Re2, Vectorscan

needs_vectorscan = pytest.mark.skipif(
    not detect_automaton.vectorscan_is_sound(), reason="no release of Vectorscan that misses nothing is installed"
)
_ENGINES = [pytest.param(Vectorscan, marks=needs_vectorscan), Re2]
Engine = Callable[[Sequence[Expression]], Automaton]


@pytest.mark.parametrize("engine", _ENGINES)
def test_which_expressions_match_and_where_they_end(engine: Engine) -> None:
    both = engine([Expression(rb"\d{3}"), Expression(rb"abc", ignore_case=True)])
    assert both.hits(b"x 123 aBC ABC") == [(0, 5), (1, 9), (1, 13)]
    assert both.matches(b"ABC")
    assert not both.matches(b"ab 12")
    assert both.hits(b"") == []


@pytest.mark.parametrize("engine", _ENGINES)
def test_bytes_and_characters(engine: Engine) -> None:
    assert engine([Expression(b"x.y", utf8=True)]).matches("xäy".encode())
    assert not engine([Expression(rb"x.y")]).matches("xäy".encode())
    assert engine([Expression("müller".encode(), ignore_case=True, utf8=True)]).matches("MÜLLER".encode())
    assert engine([Expression(rb"[\x80-\xff]{2}z")]).matches("äz".encode())


@pytest.mark.parametrize("engine", _ENGINES)
@pytest.mark.parametrize("expression", [rb"(a", rb"(\w)\1", rb"(?<=a)b"])
def test_what_cannot_be_compiled_says_so(engine: Engine, expression: bytes) -> None:
    with pytest.raises(CannotCompile):
        engine([Expression(expression)])


@pytest.mark.parametrize("engine", _ENGINES)
def test_nothing_that_python_finds_is_missed(engine: Engine) -> None:
    """Each candidate of each detector, on texts put together from the labelled set and spoilt here and there."""
    expressions = [shape.automaton_expression() for shape in SHAPES]
    judges = [re.compile(expression) for expression in expressions]
    automaton = engine([Expression(expression) for expression in expressions])
    texts = [sample.text.encode() for sample in samples()] + [text.encode()[:300] for text in negatives()]
    rng = random.Random(8)
    for _ in range(600):
        text = bytearray(b" ".join(rng.choice(texts)[rng.randrange(8) :] for _ in range(rng.randrange(1, 5))))
        for _ in range(rng.randrange(4)):
            text[rng.randrange(len(text))] = rng.choice(text)
        found = {expression for expression, _ in automaton.hits(bytes(text))}
        expected = {number for number, judge in enumerate(judges) if judge.search(text)}
        assert found == expected
        assert automaton.matches(bytes(text)) == bool(expected)


def test_a_release_that_misses_matches_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Vectorscan, "matches", lambda self, data: False)
    detect_automaton.vectorscan_is_sound.cache_clear()
    try:
        assert isinstance(detect_automaton.automaton([Expression(b"x")]), Re2)
    finally:
        detect_automaton.vectorscan_is_sound.cache_clear()


def test_without_vectorscan_re2_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect_automaton, "hyperscan", None)
    detect_automaton.vectorscan_is_sound.cache_clear()
    try:
        assert detect_automaton.automaton([Expression(b"a.c")]).matches(b"abc")
    finally:
        detect_automaton.vectorscan_is_sound.cache_clear()
