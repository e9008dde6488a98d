"""Text, tokens and vectors: deterministic, counted by one rule, and continued where they were left."""

import base64
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.emulator.text import LONGEST_TOKENS, SHORTEST_TOKENS, Draws, go_on, say
from switchgear.emulator.tokens import count_tokens, tokenize
from switchgear.emulator.vectors import as_base64, embed

prompts = st.text(max_size=80)
names = st.sampled_from(["llama-8b", "gpt-x", "qwen-0.5b", "a"])


@given(st.text())
def test_tokens_joined_are_the_text(text: str) -> None:
    tokens = tokenize(text)
    assert "".join(tokens) == text
    assert len(tokens) == count_tokens(text)
    assert all(tokens)


@given(names, prompts, st.integers(0, 5), st.integers(0, 3))
def test_the_same_model_says_the_same_everywhere(model: str, prompt: str, seed: int, choice: int) -> None:
    text = say(model, prompt, seed=seed, choice=choice)
    assert text == say(model, prompt, seed=seed, choice=choice)
    assert SHORTEST_TOKENS <= count_tokens(text) <= LONGEST_TOKENS + 60
    assert text.endswith(".")


def test_the_text_is_fixed_for_all_time() -> None:
    """Two machines with two versions of Python must agree, or a rescue would find another answer."""
    assert say("llama-8b", "hello").startswith(
        "The first draft questions what nobody wrote down and then starts again."
    )


@given(prompts)
def test_another_model_seed_or_choice_says_something_else(prompt: str) -> None:
    own = say("llama-8b", prompt)
    assert own != say("gpt-x", prompt)
    assert own != say("llama-8b", prompt, seed=1)
    assert own != say("llama-8b", prompt, choice=1)
    assert own != say("llama-8b", prompt + "x")


@given(names, prompts, st.integers(0, 400))
def test_a_longer_answer_begins_with_the_shorter(model: str, prompt: str, least: int) -> None:
    longer = say(model, prompt, at_least_tokens=least)
    assert longer.startswith(say(model, prompt))
    assert count_tokens(longer) >= least


@given(names, prompts, st.data())
def test_its_own_beginning_is_continued_to_the_same_whole(model: str, prompt: str, data: st.DataObject) -> None:
    whole = say(model, prompt)
    prefix = whole[: data.draw(st.integers(0, len(whole)))]
    assert prefix + go_on(model, prompt, prefix) == whole


@given(names, prompts, st.text(min_size=1, max_size=40))
def test_a_strange_beginning_is_continued_too_and_always_alike(model: str, prompt: str, prefix: str) -> None:
    rest = go_on(model, prompt, prefix)
    assert rest == go_on(model, prompt, prefix)
    if not say(model, prompt).startswith(prefix):
        assert rest.strip().endswith(".")
        assert rest != go_on(model, prompt, prefix + "!")


def test_draws_are_spread_over_their_range() -> None:
    draws = Draws("spread")
    fractions = [draws.fraction() for _ in range(4000)]
    assert all(0 <= fraction < 1 for fraction in fractions)
    assert sum(fractions) / len(fractions) == pytest.approx(0.5, abs=0.02)
    assert {draws.below(3) for _ in range(100)} == {0, 1, 2}


@given(st.text(max_size=40), st.integers(1, 300))
def test_vectors_have_length_one_and_the_size_asked_for(text: str, dimensions: int) -> None:
    vector = embed("llama-8b", text, dimensions)
    assert vector == embed("llama-8b", text, dimensions)
    assert len(vector) == dimensions
    assert math.hypot(*vector) == pytest.approx(1.0)


def test_other_texts_and_models_point_elsewhere() -> None:
    one, other, elsewhere = embed("m", "one", 512), embed("m", "other", 512), embed("n", "one", 512)
    for vector in (other, elsewhere):
        assert abs(sum(a * b for a, b in zip(one, vector, strict=True))) < 0.2


def test_base64_holds_little_endian_floats() -> None:
    vector = embed("m", "text", 8)
    raw = base64.b64decode(as_base64(vector))
    assert struct.unpack("<8f", raw) == pytest.approx(vector, abs=1e-6)
