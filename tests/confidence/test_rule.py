"""Rules: read as they are written, refused with column and remedy, and decided no sooner and no later than they can be."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switchgear.confidence.errors import BadRule
from switchgear.confidence.names import NAMES, Needs
from switchgear.confidence.parse import parse
from switchgear.confidence.rule import SIGNS, Comparison, Every, Flag, Known, Node, Not, Range, Some


def exactly(**values: float | bool) -> Known:
    return {name: value if isinstance(value, bool) else Range(value, value) for name, value in values.items()}


@pytest.mark.parametrize(
    ("text", "known", "truth"),
    [
        ("mean_logprob < -0.5", exactly(mean_logprob=-0.6), True),
        ("mean_logprob < -0.5", exactly(mean_logprob=-0.5), False),
        ("mean_logprob <= -0.5", exactly(mean_logprob=-0.5), True),
        ("-0.5 > mean_logprob", exactly(mean_logprob=-0.6), True),
        ("min_logprob >= -4 and tokens != 3", exactly(min_logprob=-4.0, tokens=4.0), True),
        ("tokens == 3", exactly(tokens=3.0), True),
        ("refusal or format_failure", exactly(refusal=False, format_failure=True), True),
        ("not refusal", exactly(refusal=False), True),
        (
            "refusal and length_cut or format_failure",
            exactly(refusal=True, length_cut=False, format_failure=False),
            False,
        ),
        (
            "refusal or length_cut and format_failure",
            exactly(refusal=True, length_cut=False, format_failure=False),
            True,
        ),
        ("not (refusal or length_cut)", exactly(refusal=False, length_cut=False), True),
        ("min_logprob < mean_logprob", exactly(min_logprob=-3.0, mean_logprob=-1.0), True),
        ("margin<.5or refusal", exactly(margin=0.4, refusal=False), None),
    ],
)
def test_a_rule_means_what_it_says(text: str, known: Known, truth: bool | None) -> None:
    if truth is None:
        with pytest.raises(BadRule):
            parse(text)
    else:
        assert parse(text).truth(known) is truth


@pytest.mark.parametrize(
    ("text", "known", "truth"),
    [
        ("mean_logprob < -0.5", {}, None),
        ("mean_logprob < -0.5 or refusal", {"refusal": True}, True),
        ("mean_logprob < -0.5 and refusal", {"refusal": False}, False),
        ("mean_logprob < -0.5 or refusal", {"refusal": False}, None),
        ("not mean_logprob < -0.5", {}, None),
        ("min_logprob < -4", {"min_logprob": Range(-math.inf, -5.0)}, True),
        ("min_logprob < -4", {"min_logprob": Range(-math.inf, -3.0)}, None),
        ("min_logprob > -4", {"min_logprob": Range(-math.inf, -5.0)}, False),
        ("min_logprob >= -5", {"min_logprob": Range(-math.inf, -5.0)}, None),
        ("tokens == 3", {"tokens": Range(4.0, math.inf)}, False),
        ("tokens != 3", {"tokens": Range(4.0, math.inf)}, True),
        ("tokens == 4", {"tokens": Range(4.0, math.inf)}, None),
    ],
)
def test_what_is_not_known_leaves_a_rule_open_only_where_it_counts(text: str, known: Known, truth: bool | None) -> None:
    assert parse(text).truth(known) is truth


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("", 1, "the rule ends"),
        ("mean_logprb < -1", 1, "Did you mean mean_logprob?"),
        ("confidence < -1", 1, "Known names: mean_logprob"),
        ("refusal or mean_logprob", 24, "compared with nothing"),
        ("refusal < 3", 1, "true or false"),
        ("3 > refusal", 5, "true or false"),
        ("3 < 4", 1, "two numbers"),
        ("-0.5", 1, "compared with nothing"),
        ("(refusal", 1, "never closed"),
        ("refusal)", 8, "no ( for this )"),
        ("mean_logprob = 3", 14, "Equal is written =="),
        ("refusal && length_cut", 9, "Write and, or, not"),
        ("refusal length_cut", 9, "between them"),
        ("-3 < mean_logprob < -1", 19, "two sides only"),
        ("mean_logprob < 1e999", 16, "too large"),
        ("mean_logprob < 3.4.5", 16, "3.4.5"),
        ("mean_logprob * 2 < -1", 14, "no arithmetic"),
        ("refusal or", 11, "the rule ends"),
        ("not", 4, "the rule ends"),
        ("refusal or or refusal", 12, "'or' stands where"),
        ("mean_logprob < \x00", 16, "cannot be shown"),
        ("__import__(refusal)", 1, "no name __import__"),
        ("(" * 50 + "refusal" + ")" * 50, 34, "32 deep"),
        ("not " * 5000 + "refusal", 2001, "longer than 2000"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_column_with_a_remedy(text: str, column: int, says: str) -> None:
    with pytest.raises(BadRule) as caught:
        parse(text)
    assert caught.value.column == column
    assert says in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("text", "needs", "at_end"),
    [
        ("refusal", Needs.NOTHING, ()),
        ("mean_logprob < -1 or length_cut", Needs.LOGPROBS, ("length_cut",)),
        ("margin < 1", Needs.LOGPROBS | Needs.ALTERNATIVES, ()),
        ("format_failure", Needs.FORMAT, ("format_failure",)),
    ],
)
def test_a_rule_knows_what_it_needs(text: str, needs: Needs, at_end: tuple[str, ...]) -> None:
    rule = parse(text)
    assert rule.needs == needs
    assert rule.at_end == at_end


NUMBERS = [name for name, facts in NAMES.items() if facts.numeric]
FLAGS = [name for name, facts in NAMES.items() if not facts.numeric]
HALVES = st.integers(-6, 6).map(lambda number: number / 2)
LEAVES = st.one_of(
    st.sampled_from(FLAGS).map(Flag),
    st.builds(Comparison, st.sampled_from(NUMBERS), st.sampled_from(SIGNS), HALVES | st.sampled_from(NUMBERS)),
    st.builds(Comparison, HALVES, st.sampled_from(SIGNS), st.sampled_from(NUMBERS)),
)


def joined(parts: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(parts, min_size=2, max_size=3).map(tuple)
    return st.one_of(parts.map(Not), several.map(Every), several.map(Some))


NODES = st.recursive(LEAVES, joined, max_leaves=6)


@settings(derandomize=True, max_examples=500, deadline=None)
@given(NODES)
def test_a_rule_written_and_read_again_is_itself(node: Node) -> None:
    assert str(parse(str(node))) == str(node)


@settings(derandomize=True, max_examples=500, deadline=None)
@given(st.text(alphabet="()<>=!nota drefusl_mi.0-5\t", max_size=30) | st.text(max_size=20))
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    try:
        rule = parse(text)
    except BadRule as error:
        column = error.column
    else:
        assert str(parse(str(rule))) == str(rule)
        column = 1
    assert 1 <= column <= len(text) + 1


RANGES = st.tuples(st.integers(-4, 4), st.integers(0, 3)).map(lambda pair: Range(pair[0] / 2, (pair[0] + pair[1]) / 2))


@settings(derandomize=True, max_examples=500, deadline=None)
@given(
    NODES,
    st.fixed_dictionaries(
        dict.fromkeys(NUMBERS, RANGES) | {name: st.sampled_from([None, True, False]) for name in FLAGS}
    ),
)
def test_what_is_decided_early_holds_whatever_comes(node: Node, possible: dict[str, Range | bool | None]) -> None:
    """Every way in which things may still turn out agrees with a truth that was told before."""
    known = {name: value for name, value in possible.items() if value is not None}
    early = node.truth(known)
    if early is None:
        return
    names = sorted(node.names())
    ways: list[list[Range | bool]] = []
    for name in names:
        value = possible[name]
        if isinstance(value, Range):
            ways.append([Range(at, at) for at in {value.low, (value.low + value.high) / 2, value.high}])
        else:
            ways.append([value] if value is not None else [True, False])
    for way in itertools.islice(itertools.product(*ways), 200):
        assert node.truth(dict(zip(names, way, strict=True))) is early
