"""Properties that hold for every place and model, and a few figures that can be checked by hand."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from switchgear.hardware.catalogue import model_spec, models, profile, profiles
from switchgear.hardware.errors import BadFigure, DoesNotFit, HardwareError
from switchgear.hardware.model import Architecture, Figure, Physics, Precision
from switchgear.hardware.roofline import (
    LEAST_KV_TOKENS,
    Placement,
    StepLoad,
    arithmetic,
    choose_precision,
    decode_step_s,
    kv_bytes_per_token,
    kv_capacity_tokens,
    prefill_load,
    prefill_s,
    step_s,
    weight_bytes,
)

PHYSICAL = [place for place in profiles().values() if place.physics is not None]
DENSE = [spec.architecture for spec in models().values() if spec.architecture is not None]
counts = st.integers(0, 50_000)


def place_of(profile_name: str, model_name: str, precision: Precision = Precision.BF16) -> Placement:
    physics, shape = profile(profile_name).physics, model_spec(model_name).architecture
    assert physics is not None
    assert shape is not None
    return Placement(physics, shape, precision)


@st.composite
def placements(draw: st.DrawFn) -> Placement:
    place, shape = draw(st.sampled_from(PHYSICAL)), draw(st.sampled_from(DENSE))
    try:
        precision = choose_precision(place, shape)
    except DoesNotFit:
        assume(False)
        raise
    assert place.physics is not None
    return Placement(place.physics, shape, precision)


@given(placements(), st.integers(1, 200), st.integers(1, 200), counts, counts)
def test_decode_grows_with_batch_and_context(
    placement: Placement, batch: int, more: int, context: int, longer: int
) -> None:
    now = decode_step_s(placement, batch, context)
    assert 0 < now <= decode_step_s(placement, batch + more, context)
    assert now <= decode_step_s(placement, batch, context + longer)


@given(placements(), st.integers(1, 20_000), st.integers(1, 20_000), counts)
def test_prefill_grows_with_length_and_with_what_is_cached(
    placement: Placement, prompt: int, more: int, cached: int
) -> None:
    now = prefill_s(placement, prompt)
    assert 0 < now <= prefill_s(placement, prompt + more)
    assert now <= prefill_s(placement, prompt, cached)


@given(placements(), st.integers(1, 100), counts)
def test_a_batch_is_never_slower_than_its_members_one_after_the_other(
    placement: Placement, batch: int, context: int
) -> None:
    assert decode_step_s(placement, batch, context) <= batch * decode_step_s(placement, 1, context) * (1 + 1e-9)


@given(placements(), st.integers(1, 4_000), st.integers(1, 4_000))
def test_a_prompt_in_two_pieces_has_the_same_pairs_and_is_not_faster(
    placement: Placement, first: int, second: int
) -> None:
    whole = prefill_load(first + second, 0, ends=True)
    pieces = prefill_load(first, 0, ends=False), prefill_load(second, first, ends=True)
    assert sum(piece.prefill_pairs for piece in pieces) == whole.prefill_pairs
    assert sum(step_s(placement, piece) for piece in pieces) >= step_s(placement, whole) * (1 - 1e-9)


@given(st.integers(1, 64), st.integers(1, 64), st.integers(0, 10_000))
def test_a_larger_model_is_never_faster(layers: int, more: int, context: int) -> None:
    physics = profile("h200").physics
    assert physics is not None

    def of(count: int) -> Placement:
        layer = 4 * 1024 * 1024
        shape = Architecture(
            parameters=count * layer + 1024 * 32_000,
            layers=count,
            hidden=1024,
            attention_heads=16,
            kv_heads=4,
            head_dim=64,
            vocabulary=32_000,
            tied_embeddings=True,
        )
        return Placement(physics, shape, Precision.BF16)

    assert decode_step_s(of(layers), 4, context) <= decode_step_s(of(layers + more), 4, context)
    assert prefill_s(of(layers), context + 1) <= prefill_s(of(layers + more), context + 1)
    assert kv_capacity_tokens(of(layers)) >= kv_capacity_tokens(of(layers + more))


@given(placements(), st.integers(1, 64), st.integers(0, 10_000))
def test_more_devices_are_never_slower_and_never_hold_less(placement: Placement, batch: int, context: int) -> None:
    """But for what they exchange, which is left out here."""
    none = Figure(0.0, "left out", assumed=True)
    free = msgspec.structs.replace(placement.physics, collective_s=none, interconnect_bytes_per_s=none)
    placement = replace(placement, physics=free)
    double = replace(placement, devices=2 * placement.devices)
    assert decode_step_s(double, batch, context) <= decode_step_s(placement, batch, context)
    assert kv_capacity_tokens(double) >= 2 * kv_capacity_tokens(placement)


@given(placements())
def test_what_is_placed_fits(placement: Placement) -> None:
    tokens = kv_capacity_tokens(placement)
    assert tokens >= LEAST_KV_TOKENS
    assert weight_bytes(placement) + tokens * kv_bytes_per_token(placement) <= placement.physics.memory_bytes.value


def test_no_work_takes_no_time() -> None:
    assert step_s(place_of("h100", "llama-8b"), StepLoad()) == 0


def test_figures_by_hand() -> None:
    """Llama 3.1 8B in 16 bits on an H100: 2 x 32 layers x 8 heads x 128 x 2 bytes a token; 15.0 GB of weights in a step."""
    placement = place_of("h100", "llama-8b")
    assert kv_bytes_per_token(placement) == 131_072
    streamed = (8_030_261_248 - 128_256 * 4_096) * 2
    assert decode_step_s(placement, 1, 0) == pytest.approx((streamed + 131_072) / (3.35e12 * 0.8) + 0.001, rel=1e-6)
    body = 8_030_261_248 - 2 * 128_256 * 4_096
    flop = 2 * body * 1000 + 2 * 128_256 * 4_096 + 4 * 32 * 32 * 128 * (1000 * 1001 // 2)
    assert prefill_s(placement, 1000) == pytest.approx(flop / (989.5e12 * 0.65) + 0.001, rel=1e-6)


def test_the_edge_tpu_is_bound_by_its_cable() -> None:
    assert decode_step_s(place_of("coral", "qwen-0.5b", Precision.INT8), 1, 100) > 1.0


def test_weights_without_arithmetic_of_their_own_are_widened() -> None:
    physics = profile("h100").physics
    assert physics is not None
    assert arithmetic(physics, Precision.INT4) == physics.flop_per_s[Precision.BF16].value
    coral = profile("coral").physics
    assert coral is not None
    with pytest.raises(HardwareError, match="no arithmetic for bf16 weights; choose a precision that it has"):
        arithmetic(coral, Precision.BF16)


def test_a_model_that_does_not_fit_is_refused_with_the_remedy() -> None:
    with pytest.raises(DoesNotFit, match=r"70\.6 billion .* choose a narrower precision, a smaller model"):
        place_of("l4", "llama-70b", Precision.INT4)


def test_the_widest_precision_that_fits_is_chosen() -> None:
    shape = model_spec("llama-70b").architecture
    assert shape is not None
    assert choose_precision(profile("h100"), shape) is Precision.FP8
    assert choose_precision(profile("h100"), shape, devices=4) is Precision.BF16
    assert choose_precision(profile("orin"), shape) is Precision.INT4
    with pytest.raises(DoesNotFit):
        choose_precision(profile("l4"), shape)
    with pytest.raises(HardwareError, match="only seen from outside"):
        choose_precision(profile("cloud"), shape)


def test_nonsense_is_refused() -> None:
    placement = place_of("h100", "llama-8b")
    with pytest.raises(BadFigure, match="batch is 0"):
        decode_step_s(placement, 0, 100)
    with pytest.raises(BadFigure, match="prompt_tokens is -5"):
        prefill_s(placement, -5)
    with pytest.raises(BadFigure, match="context_tokens is -1"):
        StepLoad(decodes=1, context_tokens=-1)
    with pytest.raises(BadFigure, match="devices is 0"):
        replace(placement, devices=0)
    with pytest.raises(BadFigure, match="kv_bytes_per_element"):
        replace(placement, kv_bytes_per_element=0)


@given(placements(), st.floats(0.05, 0.9), st.integers(1, 32), st.integers(0, 5_000))
def test_a_less_efficient_engine_is_never_faster(placement: Placement, share: float, batch: int, context: int) -> None:
    physics = placement.physics
    slower: Physics = msgspec.structs.replace(
        physics,
        compute_efficiency=Figure(physics.compute_efficiency.value * share, "half as good", assumed=True),
        bandwidth_efficiency=Figure(physics.bandwidth_efficiency.value * share, "half as good", assumed=True),
    )
    assert decode_step_s(placement, batch, context) <= decode_step_s(replace(placement, physics=slower), batch, context)
