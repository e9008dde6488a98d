"""The engine in virtual time: no clock, no sleep."""

import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switchgear.emulator.engine import BLOCK_TOKENS, BatchEngine, BatchLimits, Emission
from switchgear.emulator.errors import ApiError, EmulatorError
from switchgear.emulator.observed import ObservedEngine
from switchgear.hardware.catalogue import model_spec, profile
from switchgear.hardware.model import Precision
from switchgear.hardware.roofline import Placement, decode_step_s, kv_capacity_tokens, prefill_s


def placement(place: str = "appliance", model: str = "llama-8b", precision: Precision = Precision.BF16) -> Placement:
    physics, shape = profile(place).physics, model_spec(model).architecture
    assert physics is not None
    assert shape is not None
    return Placement(physics, shape, precision)


TIGHT = placement("h100", "llama-70b", Precision.FP8)
"""Room for 4,413 cached tokens only."""


def run(engine: BatchEngine | ObservedEngine, until_s: float = 1e9) -> list[Emission]:
    emissions: list[Emission] = []
    while (due_s := engine.next_s()) is not None and due_s <= until_s:
        emissions += engine.advance(due_s)
    return emissions


def ends(emissions: list[Emission]) -> dict[int, float]:
    return {emission.sequence: emission.at_s for emission in emissions if emission.ended}


def test_one_sequence_takes_as_long_as_the_roofline_says() -> None:
    where = placement()
    engine = BatchEngine(where)
    engine.submit(1, 1000, 3, 5.0)
    emissions = run(engine)
    assert [emission.tokens for emission in emissions] == [1, 2, 3]
    assert emissions[0].at_s == pytest.approx(5.0 + prefill_s(where, 1000))
    assert emissions[1].at_s - emissions[0].at_s == pytest.approx(decode_step_s(where, 1, 1001))
    assert engine.load().running == 0


def test_load_makes_every_caller_slower_and_the_place_faster() -> None:
    def mean_end_s(callers: int) -> tuple[float, float]:
        engine = BatchEngine(placement("l4"))
        for key in range(callers):
            engine.submit(key, 500, 50, 0.0)
        ended = ends(run(engine))
        return statistics.mean(ended.values()), callers * 50 / max(ended.values())

    times, rates = zip(*(mean_end_s(callers) for callers in (1, 4, 16, 64)), strict=True)
    assert list(times) == sorted(times)
    assert times[-1] > 3 * times[0]
    assert list(rates) == sorted(rates)


def test_a_full_cache_queues() -> None:
    engine = BatchEngine(TIGHT)
    for key in range(4):
        engine.submit(key, 2000, 10, 0.0)
    assert engine.advance(0.01) == []
    assert engine.load().running == 2
    assert engine.load().waiting == 2
    assert engine.load().kv_used_tokens <= kv_capacity_tokens(TIGHT)
    ended = ends(run(engine))
    assert max(ended[0], ended[1]) < min(ended[2], ended[3])


def test_seats_queue_too() -> None:
    engine = BatchEngine(placement(), BatchLimits(sequences=2))
    for key in range(3):
        engine.submit(key, 10, 20, 0.0)
    engine.advance(0.0)
    assert engine.load().running == 2
    ended = ends(run(engine))
    assert ended[2] > max(ended[0], ended[1])


def test_a_cancelled_sequence_frees_its_place_at_once() -> None:
    engine = BatchEngine(TIGHT)
    engine.submit(1, 4000, 50, 0.0)
    engine.submit(2, 4000, 50, 0.0)
    engine.advance(1.0)
    assert (engine.load().running, engine.load().waiting) == (1, 1)
    used = engine.load().kv_used_tokens
    engine.cancel(1)
    assert engine.load().kv_used_tokens == 0 < used
    emissions = run(engine)
    assert {emission.sequence for emission in emissions} == {2}
    engine.cancel(2)  # gone already: nothing happens
    assert engine.load().running == 0


def test_a_cancelled_sequence_in_the_queue_leaves_it() -> None:
    engine = BatchEngine(TIGHT)
    for key in (1, 2, 3):
        engine.submit(key, 4000, 5, 0.0)
    engine.advance(0.001)
    engine.cancel(2)
    assert set(ends(run(engine))) == {1, 3}


def test_growth_beyond_the_cache_pushes_the_latest_out_and_loses_nothing() -> None:
    engine = BatchEngine(TIGHT)
    for key in range(3):
        engine.submit(key, 1400, 400, 0.0)
    emissions = run(engine)
    assert engine.load().preemptions > 0
    assert engine.load().kv_used_tokens == 0
    for key in range(3):
        counts = [emission.tokens for emission in emissions if emission.sequence == key]
        assert counts == list(range(1, 401))


def test_a_long_prompt_does_not_stop_those_who_decode() -> None:
    """Chunked prefill: between its chunks the other callers get their tokens."""
    engine = BatchEngine(placement())
    engine.submit(1, 10, 40, 0.0)
    engine.advance(0.1)
    engine.submit(2, 50_000, 1, 0.1)
    emissions = run(engine)
    second = next(emission.at_s for emission in emissions if emission.sequence == 2)
    between = [emission for emission in emissions if emission.sequence == 1 and 0.1 < emission.at_s < second]
    assert len(between) >= 20


def test_an_embedding_ends_with_its_prompt() -> None:
    engine = BatchEngine(placement())
    engine.submit(1, 100, 0, 0.0)
    assert run(engine) == [Emission(1, 0, True, pytest.approx(prefill_s(placement(), 100)))]


def test_a_sequence_that_never_fits_is_refused() -> None:
    with pytest.raises(EmulatorError, match="never fits"):
        BatchEngine(TIGHT).submit(1, 4000, 1000, 0.0)


calls = st.lists(
    st.tuples(st.integers(1, 1500), st.integers(0, 60), st.floats(0, 3), st.booleans()), min_size=1, max_size=20
)


@settings(max_examples=40)
@given(calls)
def test_every_sequence_gets_all_its_tokens_in_order_and_the_cache_is_never_overdrawn(
    plan: list[tuple[int, int, float, bool]],
) -> None:
    engine = BatchEngine(TIGHT, BatchLimits(sequences=4, step_tokens=512))
    arrivals = sorted(enumerate(plan), key=lambda one: one[1][2])
    emissions: list[Emission] = []
    cancelled: set[int] = set()
    for key, (prompt, output, at_s, cancel) in arrivals:
        emissions += engine.advance(at_s, most=10_000)
        engine.submit(key, prompt, output, at_s)
        if cancel:
            engine.cancel(key)
            cancelled.add(key)
        load = engine.load()
        assert 0 <= load.kv_used_tokens <= load.kv_capacity_tokens <= kv_capacity_tokens(TIGHT)
        assert load.running <= 4
    emissions += run(engine)
    assert engine.load()[:3] == (0, 0, 0)
    assert [emission.at_s for emission in emissions] == sorted(emission.at_s for emission in emissions)
    for key, (_, output, _, _) in arrivals:
        mine = [emission.tokens for emission in emissions if emission.sequence == key]
        assert mine == ([] if key in cancelled else list(range(1, output + 1)) or [0])


def test_capacity_is_counted_in_whole_blocks() -> None:
    assert BatchEngine(TIGHT).longest_sequence_tokens % BLOCK_TOKENS == 0


# -- seen from outside --


def cloud(seed: int = 0, limit: float | None = None) -> ObservedEngine:
    observed = profile("cloud").observed
    assert observed is not None
    return ObservedEngine(observed, seed, limit)


def test_a_cloud_has_the_times_that_were_observed() -> None:
    engine = cloud()
    for key in range(2000):
        engine.submit(key, 100, 2, 0.0)
    first = sorted(emission.at_s for emission in run(engine) if emission.tokens == 1)
    assert statistics.median(first) == pytest.approx(0.51, rel=0.05)
    assert first[int(0.95 * len(first))] == pytest.approx(0.79, rel=0.07)


def test_a_cloud_does_not_slow_down_and_repeats_itself_by_seed() -> None:
    def duration_s(callers: int, seed: int = 0) -> float:
        engine = cloud(seed)
        for key in range(callers):
            engine.submit(key, 100, 460, 0.0)
        return statistics.mean(ends(run(engine)).values())

    assert duration_s(1) == duration_s(1)
    assert duration_s(1, seed=1) != duration_s(1, seed=2)
    assert duration_s(50) == pytest.approx(0.51 + 459 / 46, rel=0.05)


def test_a_cloud_refuses_above_its_rate_until_the_minute_has_passed() -> None:
    engine = cloud(limit=2)
    engine.submit(1, 10, 1, 0.0)
    engine.submit(2, 10, 1, 20.0)
    with pytest.raises(ApiError) as caught:
        engine.submit(3, 10, 1, 30.0)
    assert caught.value.status == 429
    assert caught.value.retry_after == "30"
    engine.submit(4, 10, 1, 60.5)
    assert set(ends(run(engine))) == {1, 2, 4}


def test_a_cancelled_call_of_a_cloud_is_silent() -> None:
    engine = cloud()
    engine.submit(1, 10, 5, 0.0)
    engine.cancel(1)
    assert engine.next_s() is None
    assert engine.load().running == 0
