"""Public traces as workloads: Azure's (CSV) and Mooncake's (JSONL). Sources and licences: docs/planner.md."""

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from switchgear.core.data_class import DataClass
from switchgear.core.decoding import UNREADABLE
from switchgear.planner.errors import BadWorkload
from switchgear.planner.traces_records import ASSUMED, is_record_line, records_of_lines
from switchgear.planner.workload import CLASSES, Caller, Workload, workload_of

AZURE_COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
"""Of AzurePublicDataset, "Azure LLM Inference Traces" 2023 and 2024."""
MOONCAKE_BLOCK_TOKENS = 512
"""Of one hash id (kvcache-ai/Mooncake, FAST25-release/README.md)."""


class _Mooncake(msgspec.Struct):
    timestamp: float
    """Milliseconds."""
    input_length: Annotated[int, msgspec.Meta(ge=1)]
    output_length: Annotated[int, msgspec.Meta(ge=0)]
    hash_ids: list[int] = []


_mooncake = msgspec.json.Decoder(_Mooncake)


def read_trace(file: Path, default_class: DataClass | None = None) -> Workload:
    """A whole trace: Azure's CSV, Mooncake's JSONL, or records exported by `switchgear records --export jsonl`.

    `default_class` is what calls carry of which that is not known; None: nobody says, so a fleet's policies do, and where there are none
    it is internal. Raises BadWorkload.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            first = lines.readline()
            lines.seek(0)
            if first.lstrip().startswith("{"):
                if is_record_line(first):
                    return records_of_lines(lines, str(file), default_class)
                return _mooncake_of(lines, file, default_class)
            return _azure_of(lines, file, default_class)
    except OSError as error:
        raise BadWorkload(f"{file} cannot be read: {error.strerror}; give the path of a trace") from error
    except UnicodeDecodeError as error:
        raise BadWorkload(f"{file} is no text in UTF-8; give a CSV or JSONL file, uncompressed") from error


def _azure_of(lines: Iterable[str], file: Path, default_class: DataClass | None) -> Workload:
    rows = csv.DictReader(lines)
    if rows.fieldnames is None:
        raise BadWorkload(f"{file} is empty; give a trace with at least one call")
    missing = [name for name in AZURE_COLUMNS if name not in rows.fieldnames]
    if missing:
        raise BadWorkload(
            f"{file} lacks the column {missing[0]}; an Azure trace has {', '.join(AZURE_COLUMNS)}; other traces are JSONL"
        )
    times, prompts, outputs = [], [], []
    for number, row in enumerate(rows, start=2):
        try:
            times.append(_moment_s(row["TIMESTAMP"]))
            prompts.append(_tokens(row, "ContextTokens", least=1))
            outputs.append(_tokens(row, "GeneratedTokens", least=0))
        except (TypeError, ValueError) as error:
            raise BadWorkload(f"{file}, line {number}: {error}; correct the line or leave it out") from error
    if not times:
        raise BadWorkload(f"{file} holds no call; give a trace with at least one")
    at_s = np.array(times) - times[0]
    return workload_of(
        at_s=at_s,
        prompt_tokens=prompts,
        output_tokens=outputs,
        source=str(file),
        data_class=np.full(at_s.size, CLASSES.index(default_class or ASSUMED), np.int8),
        callers=(Caller(class_told=default_class is not None),),
    )


def _tokens(row: dict[str, str], name: str, least: int) -> int:
    tokens = int(row[name])
    if tokens < least:
        raise ValueError(f"{name} is {tokens}, and a call has at least {least}")
    return tokens


def _moment_s(text: str) -> float:
    """Azure writes seven digits of the second; Python reads six."""
    whole, _, rest = text.partition(".")
    moment = datetime.fromisoformat(whole)
    digits, zone = rest[:7].rstrip("+-:Z"), ""
    if "+" in rest:
        digits, _, zone = rest.partition("+")
        moment = datetime.fromisoformat(f"{whole}+{zone}")
    fraction = float(f"0.{digits}") if digits else 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() + fraction


def _mooncake_of(lines: Iterable[str], file: Path, default_class: DataClass | None) -> Workload:
    rows = list(_mooncake_rows(lines, file))
    if not rows:
        raise BadWorkload(f"{file} holds no call; give a trace with at least one")
    shared = any(row.hash_ids for row in rows)
    return workload_of(
        at_s=np.array([row.timestamp for row in rows]) / 1000.0,
        prompt_tokens=[row.input_length for row in rows],
        output_tokens=[row.output_length for row in rows],
        source=str(file),
        data_class=np.full(len(rows), CLASSES.index(default_class or ASSUMED), np.int8),
        callers=(Caller(class_told=default_class is not None),),
        blocks=[row.hash_ids for row in rows] if shared else None,
        block_tokens=MOONCAKE_BLOCK_TOKENS,
    )


def _mooncake_rows(lines: Iterable[str], file: Path) -> Iterator[_Mooncake]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = _mooncake.decode(line)
        except UNREADABLE as error:
            raise BadWorkload(
                f"{file}, line {number}: {error}; a line has timestamp (ms), input_length, output_length and perhaps hash_ids"
            ) from error
        if len(row.hash_ids) > -(-row.input_length // MOONCAKE_BLOCK_TOKENS):
            raise BadWorkload(
                f"{file}, line {number}: {len(row.hash_ids)} hash_ids for a prompt of {row.input_length}; "
                f"give one for each {MOONCAKE_BLOCK_TOKENS} tokens, the last of which may be begun"
            )
        yield row
