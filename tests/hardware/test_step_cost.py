"""The parts of the roofline that go beyond one dense device, and that numbers and arrays go through one formula."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.hardware import loads
from switchgear.hardware.catalogue import model_spec, parse_profiles, profile
from switchgear.hardware.errors import BadFigure, HardwareError
from switchgear.hardware.model import Architecture, Figure, Precision
from switchgear.hardware.roofline import (
    Placement,
    StepCost,
    StepLoad,
    chunks_s,
    decode_step_s,
    kv_bytes_per_token,
    prefill_load,
    step_s,
)


def placed(place: str, model: str, precision: Precision = Precision.FP8, devices: int = 8) -> Placement:
    physics, shape = profile(place).physics, model_spec(model).architecture
    assert physics is not None
    assert shape is not None
    return Placement(physics, shape, precision, devices=devices)


def figure(value: float) -> Figure:
    return Figure(value, "a test's own", assumed=True)


DENSE = placed("mi300x", "llama-70b")
SPARSE = placed("b200", "deepseek-v3")
COSTS = [StepCost.of(DENSE), StepCost.of(SPARSE), StepCost.of(DENSE, clock=0.5)]
counts = st.integers(0, 5000)


@given(st.sampled_from(COSTS), st.lists(st.tuples(*[counts] * 6), min_size=1, max_size=5))
def test_arrays_and_numbers_agree(cost: StepCost, steps: list[tuple[int, ...]]) -> None:
    names = StepLoad.__slots__
    arrays = loads.StepLoads.of(**{name: [step[index] for step in steps] for index, name in enumerate(names)})
    together = loads.step_s(cost, arrays)
    for step, seconds in zip(steps, together.tolist(), strict=True):
        load = StepLoad(*step)
        busy = load.decodes or load.prefill_tokens
        assert seconds == pytest.approx(cost.step_s(load) if busy else 0.0, rel=1e-12)


@given(st.sampled_from(COSTS), st.integers(1, 9000), st.integers(0, 9000), st.sampled_from([128, 2048]))
def test_chunked_prefill_agrees_and_a_cached_prefix_helps(cost: StepCost, prompt: int, cached: int, chunk: int) -> None:
    cached = min(cached, prompt)
    alone = chunks_s(cost, prompt, cached, chunk)
    assert loads.prefill_s(cost, [prompt], [cached], chunk)[0] == pytest.approx(alone, rel=1e-12)
    assert alone <= chunks_s(cost, prompt, 0, chunk) * 1.001, (
        "but for the cache that is read once more where chunks end elsewhere"
    )


def test_decode_of_many_at_once() -> None:
    cost = StepCost.of(DENSE)
    steps = loads.decode_step_s(cost, [1, 16], [1000, 500])
    assert steps[0] == pytest.approx(decode_step_s(DENSE, 1, 1000))
    assert steps[1] == pytest.approx(decode_step_s(DENSE, 16, 500))


def test_what_devices_exchange_by_hand() -> None:
    """Two all-reduces in each of 80 layers; a ring of 8 sends 2 x 7/8 of 8,192 elements of two bytes for each token."""
    physics = msgspec.structs.replace(DENSE.physics, interconnect_bytes_per_s=figure(450e9), collective_s=figure(10e-6))
    linked = replace(DENSE, physics=physics)
    load = StepLoad(decodes=32, context_tokens=32_000)
    added = step_s(linked, load) - step_s(DENSE, load)
    assert added == pytest.approx(160 * (10e-6 + 32 * 1.75 * 8192 * 2 / 450e9), rel=1e-6)
    assert step_s(replace(linked, devices=1, precision=Precision.INT4), load) == step_s(
        replace(DENSE, devices=1, precision=Precision.INT4), load
    )


def test_experts_by_hand() -> None:
    shape = SPARSE.architecture
    assert shape.active_parameters == pytest.approx(37e9 - 2 * shape.head_parameters / 2, rel=0.03), (
        "37 billion with the head"
    )
    cost = StepCost.of(SPARSE)
    one, many = (cost.traffic_s(StepLoad(decodes=batch)) for batch in (1, 4096))
    assert one - cost.weights_s - cost.cached_s == pytest.approx(cost.experts_s * 8 / 256)
    assert many - cost.weights_s - 4096 * cost.cached_s == pytest.approx(cost.experts_s)


def test_a_latent_cache_is_small() -> None:
    assert kv_bytes_per_token(SPARSE) == 61 * 576 * 2


def test_a_throttled_clock_slows_arithmetic_only() -> None:
    full, half = StepCost.of(DENSE), StepCost.of(DENSE, clock=0.5)
    assert half.token_s == 2 * full.token_s
    assert half.weights_s == full.weights_s
    with pytest.raises(BadFigure, match="a device that is off takes no step"):
        StepCost.of(DENSE, clock=0.0)


@given(st.sampled_from(COSTS), st.integers(1, 64), st.integers(0, 4000))
def test_activity_is_a_fraction(cost: StepCost, batch: int, prompt: int) -> None:
    arithmetic, memory = cost.activity(
        replace(prefill_load(prompt, 0, ends=True), decodes=batch, context_tokens=batch * 100)
    )
    assert 0 < arithmetic <= 1 + 1e-12
    assert 0 < memory <= 1 + 1e-12


def test_nonsense_is_refused() -> None:
    cost = COSTS[0]
    with pytest.raises(BadFigure, match="cached_tokens is 20; give 0 to prompt_tokens"):
        chunks_s(cost, 10, 20)
    with pytest.raises(BadFigure, match="chunk_tokens is 0"):
        loads.prefill_s(cost, [10], 0, 0)
    with pytest.raises(BadFigure, match="decodes is -1"):
        loads.StepLoads.of(decodes=np.array([1, -1]))
    shape = msgspec.structs.asdict(SPARSE.architecture)
    with pytest.raises(BadFigure, match="experts_per_token is 300"):
        Architecture(**{**shape, "experts_per_token": 300})
    with pytest.raises(BadFigure, match="attention_layers is 99; give at most layers"):
        Architecture(**{**shape, "attention_layers": 99})
    with pytest.raises(BadFigure, match="all experts"):
        Architecture(**{**shape, "parameters": 10**9})
    with pytest.raises(BadFigure, match="within its interval"):
        Figure(1.0, "x", low=2.0, high=3.0)


PLACE = """
[sources]
run = "a run"
[profiles.mine]
title = "Mine"
kind = "edge"
flop_per_s.bf16 = { value = 1e12, source = "run", where = "fitted", low = 0.9e12, high = 1.1e12 }
[profiles.mine.physics]
memory_bandwidth_bytes_per_s = { value = 1e11, source = "run", where = "fitted" }
memory_bytes = { value = 8e9, assumed = "what it says on the box" }
tdp_w = { unknown = "nobody looked" }
idle_w = { value = 5, assumed = "a guess" }
price_usd = { value = 100, assumed = "a guess" }
compute_efficiency = { value = 1.0, assumed = "reached" }
bandwidth_efficiency = { value = 1.0, assumed = "reached" }
step_overhead_s = { value = 0.001, source = "run", where = "fitted" }
"""


def test_a_profile_file_is_read_and_what_is_wrong_in_it_is_told() -> None:
    physics = parse_profiles(PLACE)["mine"].physics
    assert physics is not None
    assert physics.flop_per_s[Precision.BF16].low == 0.9e12
    assert not physics.tdp_w.known
    assert physics.tdp_w.value != physics.tdp_w.value, "not a number, so nothing computed with it is one"
    with pytest.raises(HardwareError, match="tdp_w"):
        parse_profiles(PLACE.replace("tdp_w", "tdp"))
    with pytest.raises(HardwareError, match="has no value; give one"):
        parse_profiles(PLACE.replace("value = 8e9, ", ""))
    with pytest.raises(HardwareError, match=r"mine\.toml cannot be read"):
        parse_profiles("nonsense", "mine.toml")
    with pytest.raises(HardwareError, match="compute_efficiency is 0"):
        parse_profiles(PLACE.replace("compute_efficiency = { value = 1.0", "compute_efficiency = { value = 0.0"))
