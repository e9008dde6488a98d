"""The roofline against real servers: times measured by others, kept beside the repository and not shipped with it.

The efficiency of the H100 was fitted on every second row (in the file's order) of its one-device TensorRT-LLM runs of Llama 3.1 8B and
Qwen3 32B: `FITTED`. Every other row of one device is held out. A measured time per output token contains the prefills of the other
callers that interrupt it, so the prediction is one decode step and, per output token, its share of `batch` prefills.
"""

import csv
import math
import statistics
from pathlib import Path

import msgspec
import pytest

from switchgear.hardware.catalogue import model_spec, profile
from switchgear.hardware.errors import DoesNotFit
from switchgear.hardware.model import Figure, Physics, Precision
from switchgear.hardware.roofline import Placement, decode_step_s, kv_capacity_tokens, prefill_s

FILE = Path(__file__).parents[2].parent / "shared" / "data" / "serving_measured.csv"
pytestmark = pytest.mark.skipif(
    not FILE.exists(), reason="../shared/data/serving_measured.csv is not beside this checkout"
)

SPECS = {
    "meta-llama/Llama-3.1-8B-Instruct": "llama-3.1-8b",
    "nvidia/Llama-3.1-8B-Instruct-FP8": "llama-3.1-8b",
    "meta-llama/Llama-3.1-70B": "llama-3.3-70b",
    "Qwen/Qwen3-32B": "qwen3-32b",
}
"""Llama 3.1 and 3.3 70B have one shape."""
PLACES = {"h100_sxm": "h100-sxm", "h200_sxm": "h200-sxm", "b200_sxm": "b200"}
PRECISIONS = {"": Precision.BF16, "fp8": Precision.FP8, "fp4": Precision.FP4}


class Row:
    def __init__(self, raw: dict[str, str]) -> None:
        self.id, self.system, self.backend = raw["id"], raw["system"], raw["backend"]
        self.model, self.precision = raw["model_path"], PRECISIONS[raw["precision"]]
        self.batch, self.devices = int(raw["batch_size"]), int(raw["tp_size"])
        self.input_tokens, self.output_tokens = int(raw["isl"]), int(raw["osl"])
        self.token_s = float(raw["silicon_tpot_ms"]) / 1000

    def placement(self, *, ideal: bool = False) -> Placement | None:
        """None where the batch does not fit the KV cache: such a run measures its own queue."""
        physics, shape = profile(PLACES[self.system]).physics, model_spec(SPECS[self.model]).architecture
        assert physics is not None
        assert shape is not None
        try:
            placement = Placement(perfect(physics) if ideal else physics, shape, self.precision, devices=self.devices)
        except DoesNotFit:
            return None
        need = self.batch * (self.input_tokens + self.output_tokens)
        return placement if kv_capacity_tokens(placement) >= need else None

    def predicted_s(self, placement: Placement) -> float:
        decode = decode_step_s(placement, self.batch, self.input_tokens + self.output_tokens // 2)
        return decode + self.batch * prefill_s(placement, self.input_tokens) / self.output_tokens

    def ratio(self) -> float:
        placement = self.placement()
        assert placement is not None
        return self.token_s / self.predicted_s(placement)


def perfect(physics: Physics) -> Physics:
    one, none = Figure(1.0, "the bound itself", assumed=True), Figure(0.0, "the bound itself", assumed=True)
    return msgspec.structs.replace(
        physics,
        compute_efficiency=one,
        bandwidth_efficiency=one,
        step_overhead_s=none,
        collective_s=none,
        interconnect_bytes_per_s=none,
    )


def rows() -> list[Row]:
    with FILE.open(newline="") as file:
        dense = [Row(raw) for raw in csv.DictReader(file) if raw["model_path"] in SPECS]
    return [row for row in dense if row.placement() is not None]


def split() -> tuple[list[Row], list[Row]]:
    """The rows fitted on, and the one-device rows held out."""
    single = [row for row in rows() if row.devices == 1]
    candidates = [row for row in single if row.system == "h100_sxm" and row.backend == "trtllm"]
    fitted = candidates[::2]
    return fitted, [row for row in single if row not in fitted]


def test_no_server_ever_beat_the_bound() -> None:
    checked = 0
    for row in rows():
        placement = row.placement(ideal=True)
        assert placement is not None
        bound = decode_step_s(placement, row.batch, row.input_tokens + row.output_tokens // 2)
        assert row.token_s >= bound, f"{row.id}: measured {row.token_s}, bound {bound}"
        checked += 1
    assert checked > 700


def test_the_fit_holds_where_it_was_made_and_on_the_rows_held_out() -> None:
    fitted, held_out = split()
    assert len(fitted) == 29
    assert len(held_out) == 97
    assert statistics.median(row.ratio() for row in fitted) == pytest.approx(1.0, abs=0.05)
    ratios = [row.ratio() for row in held_out]
    assert statistics.median(ratios) == pytest.approx(1.05, abs=0.1)
    within = sum(abs(math.log(ratio)) <= math.log(1.4) for ratio in ratios) / len(ratios)
    assert within >= 0.8, "four of five held-out runs are within a factor of 1.4"
    assert all(1 / 2.4 <= ratio <= 1.8 for ratio in ratios)


def test_load_slows_a_real_server_as_it_slows_the_model() -> None:
    """Llama 3.1 8B on one H100: from 8 to 128 callers with 1024 tokens in and 256 out."""
    chosen = sorted(
        (row.batch, row)
        for row in rows()
        if (row.system, row.devices, row.input_tokens, row.output_tokens) == ("h100_sxm", 1, 1024, 256)
        and SPECS[row.model] == "llama-3.1-8b"
    )
    first, last = chosen[0][1], chosen[-1][1]
    measured = last.token_s / first.token_s
    placement = first.placement()
    assert placement is not None
    predicted = last.predicted_s(placement) / first.predicted_s(placement)
    assert (first.batch, last.batch) == (8, 128)
    assert predicted == pytest.approx(measured, rel=0.25)
