"""The engine under closed-loop load against a real server: Llama 3.1 8B in 16 bits on one H100 with TensorRT-LLM, measured by others.

`batch` callers each send their next call when they have their answer. None of these figures was used to fit the engine; the fit of the
roofline (tests/hardware/test_against_measured.py) did use every second of these runs. Only the time per output token is compared: the
measured times to the first token are two to seven times the engine's, for they also hold the server's front and, it seems, the burst of
the first calls.
"""

import csv
import statistics
from pathlib import Path

import pytest

from switchgear.emulator.engine import BatchEngine
from switchgear.hardware.catalogue import model_spec, profile
from switchgear.hardware.model import Precision
from switchgear.hardware.roofline import Placement

FILE = Path(__file__).parents[2].parent / "shared" / "data" / "serving_measured.csv"
pytestmark = pytest.mark.skipif(
    not FILE.exists(), reason="../shared/data/serving_measured.csv is not beside this checkout"
)


def measured() -> list[tuple[int, int, int, float]]:
    """Callers, tokens in, tokens out, seconds per output token; the shorter runs only, for the time that they take here."""
    with FILE.open(newline="") as file:
        return [
            (int(row["batch_size"]), int(row["isl"]), int(row["osl"]), float(row["silicon_tpot_ms"]) / 1000)
            for row in csv.DictReader(file)
            if (row["system"], row["tp_size"], row["model_path"])
            == ("h100_sxm", "1", "meta-llama/Llama-3.1-8B-Instruct")
            and int(row["osl"]) <= 256
            and int(row["batch_size"]) <= 64
        ]


def emulated_s(callers: int, prompt_tokens: int, output_tokens: int) -> float:
    """Mean seconds per output token of three calls of each caller, after a first one to warm up."""
    physics, shape = profile("h100").physics, model_spec("llama-8b").architecture
    assert physics is not None
    assert shape is not None
    engine = BatchEngine(Placement(physics, shape, Precision.BF16))
    first: dict[int, float] = {}
    times_s: list[float] = []
    sent = 0
    for _ in range(callers):
        engine.submit(sent, prompt_tokens, output_tokens, 0.0)
        sent += 1
    while (due_s := engine.next_s()) is not None:
        for emission in engine.advance(due_s, most=1):
            if emission.tokens == 1:
                first[emission.sequence] = emission.at_s
            if emission.ended:
                if emission.sequence >= callers:
                    times_s.append((emission.at_s - first[emission.sequence]) / (output_tokens - 1))
                if sent < 4 * callers:
                    engine.submit(sent, prompt_tokens, output_tokens, emission.at_s)
                    sent += 1
    return statistics.mean(times_s)


def test_time_per_token_under_load_is_that_of_a_real_server() -> None:
    rows = measured()
    assert len(rows) >= 15
    pairs = [(real_s, emulated_s(*shape)) for *shape, real_s in rows]
    ratios = [real_s / ours_s for real_s, ours_s in pairs]
    assert statistics.median(ratios) == pytest.approx(1.1, abs=0.1)
    assert all(0.9 <= ratio <= 1.3 for ratio in ratios)
    assert statistics.correlation(*zip(*pairs, strict=True)) > 0.98
