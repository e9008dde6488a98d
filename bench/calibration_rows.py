"""The measured rows of ../shared/data (see its README) as the fits take them, and how they are split into fitted and held out."""

import collections
import csv
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from switchgear.hardware.catalogue import model_spec, profile
from switchgear.hardware.errors import DoesNotFit
from switchgear.hardware.fit_serving import Run
from switchgear.hardware.model import Precision
from switchgear.hardware.roofline import Placement, kv_capacity_tokens

DATA = Path(__file__).parents[1].parent / "shared" / "data"
SERVING, SPLITWISE = DATA / "serving_measured.csv", DATA / "splitwise_perf_power.csv"

MODELS = {
    "meta-llama/Llama-3.1-8B-Instruct": "llama-3.1-8b",
    "nvidia/Llama-3.1-8B-Instruct-FP8": "llama-3.1-8b",
    "meta-llama/Llama-3.1-70B": "llama-3.3-70b",  # one shape
    "Qwen/Qwen3-32B": "qwen3-32b",
    "nvidia/Qwen3-32B-NVFP4": "qwen3-32b",
    "deepseek-ai/DeepSeek-R1": "deepseek-v3",  # one shape
    "deepseek-ai/DeepSeek-V3": "deepseek-v3",
    "nvidia/DeepSeek-R1-NVFP4": "deepseek-v3",
    "moonshotai/Kimi-K2.5": "kimi-k2.5",
    "zhipuai/GLM-5": "glm-5",
    "Qwen/Qwen3-235B-A22B-FP8": "qwen3-235b-a22b",
    "MiniMaxAI/MiniMax-M2.5": "minimax-m2.5",
    "Qwen/Qwen3.5-397B-A17B": "qwen3.5-397b-a17b",
}
GPUS = {"h100_sxm": "h100-sxm", "h200_sxm": "h200-sxm", "b200_sxm": "b200"}
MOST_DEVICES = 8
"""Of one group under tensor parallelism: what one server holds together by NVLink."""
HELD_OUT = 0.3


@dataclass(frozen=True, order=True)
class Family:
    """Rows that one set of factors describes."""

    model: str
    gpu: str
    engine: str
    precision: str

    def __str__(self) -> str:
        return f"{self.model} {self.precision}, {self.engine} on {self.gpu}"


@dataclass(frozen=True)
class Row:
    """One measured run with its family and its configuration (devices, lengths)."""

    family: Family
    run: Run

    @property
    def configuration(self) -> tuple[int, int, int]:
        """What is held out as a whole: devices, tokens in, tokens out; all numbers of callers go with it."""
        return self.run.placement.devices, self.run.prompt_tokens, self.run.output_tokens


@dataclass(frozen=True)
class Rows:
    """Rows within the model's scope, and how many were left out for which reason."""

    families: Mapping[Family, tuple[Row, ...]]
    left_out: Mapping[str, int]

    @property
    def count(self) -> int:
        """Rows within the scope."""
        return sum(map(len, self.families.values()))


def serving_rows() -> Rows:
    """The rows of `serving_measured.csv` that the physical model claims to describe."""
    families: dict[Family, list[Row]] = collections.defaultdict(list)
    left_out: collections.Counter[str] = collections.Counter()
    with SERVING.open(newline="") as file:
        for raw in csv.DictReader(file):
            row = _row(raw)
            if isinstance(row, str):
                left_out[row] += 1
            else:
                families[row.family].append(row)
    return Rows({family: tuple(families[family]) for family in sorted(families)}, left_out)


def _row(raw: Mapping[str, str]) -> Row | str:
    """The row, or why it is left out."""
    devices, callers = int(raw["tp_size"]), int(raw["batch_size"])
    prompt, output = int(raw["isl"]), int(raw["osl"])
    if raw["attention_dp_size"] not in ("", "1"):
        return "data-parallel attention"
    if devices > MOST_DEVICES:
        return f"more than {MOST_DEVICES} devices"
    family = Family(
        MODELS[raw["model_path"]], GPUS[raw["system"]], raw["backend"], str(Precision(raw["precision"] or "bf16"))
    )
    physics, shape = profile(family.gpu).physics, model_spec(family.model).architecture
    assert physics is not None
    assert shape is not None
    try:
        placement = Placement(physics, shape, Precision(family.precision), devices=devices)
    except DoesNotFit:
        return "the weights do not fit as counted here"
    if kv_capacity_tokens(placement) < callers * (prompt + output):
        return "the callers do not fit the KV cache: the run measures its own queue"
    ttft_s, token_s = float(raw["silicon_ttft_ms"]) / 1000, float(raw["silicon_tpot_ms"]) / 1000
    return Row(family, Run(placement, prompt, output, callers, ttft_s, token_s))


@dataclass(frozen=True)
class Split:
    """Of each family, the rows fitted and the rows held out."""

    fitted: Mapping[Family, Sequence[Run]]
    held_out: Mapping[Family, Sequence[Run]]


def split_rows(rows: Rows, seed: int) -> Split:
    """Hold out three of ten rows of each family, by chance."""
    fitted: dict[Family, list[Run]] = {}
    held_out: dict[Family, list[Run]] = {}
    for family, members in rows.families.items():
        shuffled = list(members)
        random.Random(f"{seed} {family}").shuffle(shuffled)
        cut = round(len(shuffled) * (1 - HELD_OUT))
        fitted[family] = [row.run for row in shuffled[:cut]]
        held_out[family] = [row.run for row in shuffled[cut:]]
    return Split(fitted, held_out)


def split_configurations(rows: Rows, seed: int) -> Split:
    """Hold out three of ten whole configurations of each family, by chance: lengths and device counts that no fitted row had together."""
    fitted: dict[Family, list[Run]] = {}
    held_out: dict[Family, list[Run]] = {}
    for family, members in rows.families.items():
        configurations = sorted({row.configuration for row in members})
        random.Random(f"{seed} {family}").shuffle(configurations)
        chosen = set(configurations[: max(1, round(len(configurations) * HELD_OUT))])
        fitted[family] = [row.run for row in members if row.configuration not in chosen]
        held_out[family] = [row.run for row in members if row.configuration in chosen]
    return Split(fitted, held_out)


@dataclass(frozen=True)
class Batch:
    """One configuration of `splitwise_perf_power.csv`, medians over its repetitions. Powers in fractions of the TDP; None: not measured."""

    model: str
    gpu: str
    placement: Placement
    batch: int
    prompt_tokens: int
    output_tokens: int
    prompt_s: float
    token_s: float
    peak_power: float | None
    mean_power: float | None


SPLITWISE_GPUS = {"a100-80gb": "a100-sxm", "h100-80gb": "h100-sxm"}
CAPPED = "h100-80gb-pcap"


def splitwise_batches() -> list[Batch]:
    """Every measured configuration. A power of 0 in the file means that none was measured."""
    return list(_batches(_splitwise_groups()))


def capped_over_uncapped() -> list[float]:
    """The power-capped H100's prompt times over the H100's, row by row: where all are equal they were computed, not measured."""
    groups = _splitwise_groups()
    return [
        float(capped["prompt_time"]) / float(free["prompt_time"])
        for key, members in groups.items()
        if key[1] == CAPPED
        for capped, free in zip(members, groups[(key[0], "h100-80gb", *key[2:])], strict=True)
    ]


def _splitwise_groups() -> dict[tuple[str, ...], list[dict[str, str]]]:
    groups: dict[tuple[str, ...], list[dict[str, str]]] = collections.defaultdict(list)
    with SPLITWISE.open(newline="") as file:
        for raw in csv.DictReader(file):
            key = ("model", "hardware", "tensor_parallel", "batch_size", "prompt_size", "token_size")
            groups[tuple(raw[name] for name in key)].append(raw)
    return groups


def _batches(groups: Mapping[tuple[str, ...], Sequence[Mapping[str, str]]]) -> Iterator[Batch]:
    names = {"llama2-70b": "llama-2-70b", "bloom-176b": "bloom-176b"}
    for (model, hardware, devices, batch, prompt, output), members in groups.items():
        if hardware == CAPPED:
            continue
        physics, shape = profile(SPLITWISE_GPUS[hardware]).physics, model_spec(names[model]).architecture
        assert physics is not None
        assert shape is not None
        placement = Placement(physics, shape, Precision.BF16, devices=int(devices))

        def middle(column: str, members: Sequence[Mapping[str, str]] = members) -> float:
            values = sorted(float(raw[column]) for raw in members)
            return values[len(values) // 2]

        yield Batch(
            names[model],
            SPLITWISE_GPUS[hardware],
            placement,
            int(batch),
            int(prompt),
            int(output),
            middle("prompt_time") / 1000,
            middle("token_time") / 1000,
            middle("peak_power") or None,
            middle("average_power") or None,
        )
