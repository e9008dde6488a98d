"""Fits of made-up measurements whose truth is known."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from switchgear.hardware.catalogue import model_spec, profile
from switchgear.hardware.errors import BadFigure
from switchgear.hardware.fit import Parameter, errors, fit, pooled
from switchgear.hardware.fit_power import Draw, Phase, fit_power, power_errors
from switchgear.hardware.fit_serving import PARAMETERS, Run, Runs, factors_of, fit_groups, fit_runs
from switchgear.hardware.fit_steps import Stretch, Stretches, burst_loads, fit_stretches
from switchgear.hardware.model import Precision
from switchgear.hardware.power import PowerModel, board_w
from switchgear.hardware.roofline import Placement, prefill_load
from switchgear.hardware.serving import Factors, closed_loop, ideal, reached

TRUTH = Factors(
    compute_efficiency=0.5,
    bandwidth_efficiency=0.8,
    step_overhead_s=0.003,
    sequence_overhead_s=4e-5,
    request_overhead_s=0.05,
    collective_s=2e-5,
    interconnect_bytes_per_s=2e11,
    first_wave=0.2,
    interleaved=0.9,
    excess_callers=0.01,
)


def placement(devices: int) -> Placement:
    physics, shape = profile("h200").physics, model_spec("llama-70b").architecture
    assert physics is not None
    assert shape is not None
    return Placement(physics, shape, Precision.FP8, devices=devices)


def runs(noise: float, seed: int = 1) -> list[Run]:
    random = Random(seed)
    made = []
    for devices in (1, 2, 4, 8):
        place = placement(devices)
        cost = reached(ideal(place), TRUTH)
        for prompt, output in ((256, 1024), (1024, 1024), (8192, 512)):
            for callers in (1, 4, 16, 64):
                served = closed_loop(cost, TRUTH, prompt, output, callers)
                ttft_s, token_s = (float(time) * random.lognormvariate(0, noise) for time in served)
                made.append(Run(place, prompt, output, callers, ttft_s, token_s))
    return made


def test_the_truth_is_found_and_lies_within_the_intervals() -> None:
    found = fit_runs(runs(noise=0.03))
    held_out = Runs(runs(noise=0.0, seed=2)).errors(factors_of(found))
    assert held_out.call.median < 0.02
    assert held_out.ttft.median < 0.04
    for name in ("compute_efficiency", "bandwidth_efficiency", "step_overhead_s", "request_overhead_s"):
        estimate = found.estimates[name]
        assert estimate.identified, name
        assert estimate.low <= getattr(TRUTH, name) <= estimate.high, name


def test_an_outlier_does_not_pull_the_fit() -> None:
    made = runs(noise=0.0)
    wild = [replace(run, ttft_s=run.ttft_s * 50) if index % 12 == 0 else run for index, run in enumerate(made)]
    assert Runs(made).errors(factors_of(fit_runs(wild))).ttft.median < 0.03


def test_a_figure_that_the_rows_say_nothing_about_keeps_its_start_and_says_so() -> None:
    single = [run for run in runs(noise=0.02) if run.placement.devices == 1]
    estimate = fit_runs(single).estimates["collective_s"]
    assert not estimate.identified
    assert estimate.value == pytest.approx(15e-6, rel=1e-3)
    assert estimate.low < 15e-6 < estimate.high


def test_a_small_group_borrows_from_its_like() -> None:
    few = [run for run in runs(noise=0.05, seed=3) if run.callers == 1][:3]
    kind = {"many": "engine", "few": "engine"}
    together = fit_groups({"many": runs(noise=0.02), "few": few}, kind)
    alone = fit_runs(few)
    truth = Runs(runs(noise=0.0))
    assert truth.errors(factors_of(together["few"])).call.median < truth.errors(factors_of(alone)).call.median


def test_pooling_moves_starts_within_the_bounds() -> None:
    fits = [fit_runs(runs(noise=0.02, seed=seed)) for seed in (1, 2)]
    moved = {parameter.name: parameter for parameter in pooled(PARAMETERS, fits)}
    assert moved["compute_efficiency"].start == pytest.approx(0.5, rel=0.1)
    assert moved["compute_efficiency"].spread == 0.15
    assert pooled(PARAMETERS, []) == list(PARAMETERS)


def test_stretches_price_their_steps() -> None:
    place = placement(1)
    truth = Factors(compute_efficiency=0.4, bandwidth_efficiency=0.7, step_overhead_s=0.002, request_overhead_s=0.01)
    made = []
    for prompt, output, callers in ((100, 20, 1), (2000, 5, 1), (500, 40, 4), (100, 60, 8), (4000, 10, 2), (50, 80, 1)):
        burst = burst_loads([(prompt, output)] * callers)
        for after in (burst.first_after[-1], burst.last_after[-1]):
            row = Stretch(place, burst.loads[:after], 1.0, requests=1.0)
            made.append(replace(row, seconds=float(Stretches([row]).predict_s(truth)[0])))
    wanted = [
        p
        for p in PARAMETERS
        if p.name in ("compute_efficiency", "bandwidth_efficiency", "step_overhead_s", "request_overhead_s")
    ]
    found = fit_stretches(made, wanted)
    assert Stretches(made).errors(factors_of(found)).median < 0.01
    assert found.values["compute_efficiency"] == pytest.approx(0.4, rel=0.05)


def test_the_steps_of_a_burst_by_hand() -> None:
    burst = burst_loads([(10, 2), (10, 3)], step_tokens=8)
    assert [(load.prefill_tokens, load.decodes) for load in burst.loads] == [(8, 0), (8, 0), (4, 1), (0, 1), (0, 1)]
    assert burst.first_after == (2, 3)
    assert burst.last_after == (3, 5)
    assert burst.loads[1].prefill_pairs == (2 * 8 + 3) + (6 * 7 // 2)
    assert burst.loads[2].context_tokens == 11
    together = burst_loads([(10, 2), (10, 3)], one_first=False, cached=[9, 9])
    assert together.loads[0].prefill_tokens == 2
    waiting = burst_loads([(5, 2), (5, 2)], seats=1)
    assert waiting.first_after == (1, 3)
    assert sum(load.prefills_ended for load in waiting.loads) == 2


def test_every_token_of_a_burst_is_taken_in_once_and_made_once() -> None:
    random = Random(5)
    for _ in range(30):
        calls = [(random.randint(1, 300), random.randint(1, 20)) for _ in range(random.randint(1, 9))]
        burst = burst_loads(calls, step_tokens=random.choice([16, 100, 2048]), seats=random.choice([1, 3, 256]))
        assert sum(load.prefill_tokens for load in burst.loads) == sum(prompt for prompt, _ in calls)
        assert sum(load.decodes + load.prefills_ended for load in burst.loads) == sum(output for _, output in calls)
        pairs = sum(prefill_load(prompt, 0, ends=True).prefill_pairs for prompt, _ in calls)
        assert sum(load.prefill_pairs for load in burst.loads) == pairs
        assert max(burst.last_after) == len(burst.loads)


def test_power_is_found() -> None:
    truth = PowerModel(idle_w=60, arithmetic_w=250, memory_w=180, limit_w=400)
    shapes = [(a / 4, m / 4) for a in range(5) for m in range(5)]
    draws = [Draw((Phase(1.0, a, m),), board_w(truth, a, m)) for a, m in shapes]
    found = fit_power(draws, idle_w=40, limit_w=400)
    assert power_errors(draws, PowerModel(limit_w=400, **found.values)).median < 0.01
    assert found.values["arithmetic_w"] == pytest.approx(250, rel=0.05)


def test_nonsense_is_refused() -> None:
    with pytest.raises(BadFigure, match="number of runs is 0"):
        fit_runs([])
    with pytest.raises(BadFigure, match=r"ttft_s is 0\.0"):
        replace(runs(0.0)[0], ttft_s=0.0)
    with pytest.raises(BadFigure, match="a start from"):
        Parameter("x", 5.0, 0.1, 1.0)
    with pytest.raises(BadFigure, match="seconds above zero"):
        errors(np.array([1.0]), np.array([0.0]))
    with pytest.raises(BadFigure, match="number of rows"):
        fit([Parameter("x", 0.5, 0.1, 1.0)], lambda values: np.array([]))
    with pytest.raises(BadFigure, match="shares that make 1"):
        Draw((Phase(0.5, 0, 0),), 100)
    with pytest.raises(BadFigure, match="compute_efficiency is 0"):
        Factors(compute_efficiency=0.0, bandwidth_efficiency=1.0, step_overhead_s=0.0)
    with pytest.raises(BadFigure, match="callers is 0"):
        closed_loop(ideal(placement(1)), TRUTH, 100, 100, 0)
