import pytest

from switchgear.profiling.design import design
from switchgear.profiling.errors import BadSweep, NoAnswer
from switchgear.profiling.model import Bounds, Price, Shape
from switchgear.profiling.prompts import estimated_tokens, measured_scale, text


def test_three_of_ten_are_held_out_and_never_a_corner() -> None:
    plan = design((64, 256, 1024), (8, 32, 96), (1, 2, 4), rounds=2, seed=0)
    assert len(plan.shapes) == 27
    assert len(plan.held_out) == 8
    assert not set(plan.held_out) & set(plan.fitted)
    corners = {Shape(p, o, c) for p in (64, 1024) for o in (8, 96) for c in (1, 4)}
    assert corners <= set(plan.fitted)


def test_the_order_is_another_each_round_and_the_same_each_time() -> None:
    plan = design((64, 256, 1024), (8, 32), (1, 2), rounds=3, seed=5)
    order = list(plan.order())
    rounds = [[shape for number, shape in order if number == wanted] for wanted in range(3)]
    assert all(sorted(shapes) == list(plan.shapes) for shapes in rounds)
    assert rounds[0] != rounds[1] != rounds[2]
    assert order == list(plan.order())
    assert plan != design((64, 256, 1024), (8, 32), (1, 2), rounds=3, seed=6)


@pytest.mark.parametrize(
    ("axes", "rounds", "message"),
    [
        (((64,), (8,), (1,)), 1, "at least three different lengths"),
        (((), (8,), (1,)), 1, "at least three different lengths"),
        (((64, 128), (8, 16), (1, 2)), 1, "at least three different lengths"),
        (((0, 128, 256), (8,), (1,)), 1, "prompt_tokens is 0"),
        (((64, 128, 256), (8,), (1,)), 0, "give at least 1"),
    ],
)
def test_a_sweep_that_cannot_be_judged_is_refused(axes: tuple[tuple[int, ...], ...], rounds: int, message: str) -> None:
    with pytest.raises(BadSweep, match=message):
        design(*axes, rounds=rounds, seed=0)


def test_bounds_and_prices_that_cannot_be_are_refused() -> None:
    with pytest.raises(BadSweep, match="bound on seconds is 0"):
        Bounds(seconds=0)
    with pytest.raises(BadSweep, match="bound on cost_usd is nan"):
        Bounds(cost_usd=float("nan"))
    with pytest.raises(BadSweep, match="input_usd_per_mtok is -1"):
        Price(-1, 1)
    assert Price(1.0, 2.0).cost_usd(1_000_000, 500_000) == 2.0


def test_no_two_prompts_begin_alike() -> None:
    from random import Random

    random = Random(3)
    prompts = [text(random, 20) for _ in range(500)]
    assert len({prompt.split(" ", 1)[0] for prompt in prompts}) == 500
    assert all(len(prompt.split()) == 20 for prompt in prompts)


def test_words_are_scaled_to_tokens() -> None:
    scale = measured_scale(16, 40, 64, 136)
    assert (scale.fixed, scale.per_word) == (8, 2)
    assert scale.words(1008) == 500
    assert scale.words(1) == 1
    with pytest.raises(NoAnswer, match="check that its usage is that of the call"):
        measured_scale(16, 40, 64, 40)
    assert estimated_tokens("x" * 400) == 100
