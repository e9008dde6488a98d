"""What a benchmark prints: one table per figure, the machine, the bars; and the same as JSON."""

import datetime
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.meter import Result

OURS, ENVOY, NGINX = "switchgear", "envoy", "nginx"


@dataclass(frozen=True)
class Bar:
    """One thing that must hold."""

    what: str
    measured: float
    limit: float

    @property
    def holds(self) -> bool:
        """Whether the measured figure is within the limit."""
        return self.measured <= self.limit


@dataclass
class Report:
    """Everything one run found."""

    bench: str
    settings: dict[str, Any]
    tools: dict[str, str] = field(default_factory=dict)
    figures: dict[str, list[Result]] = field(default_factory=dict)
    samples: dict[str, Any] = field(default_factory=dict)
    bars: list[Bar] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 when every bar holds, else 1."""
        return 0 if all(bar.holds for bar in self.bars) else 1


def machine() -> dict[str, str | int]:
    """Where and when this ran."""
    models = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count() or 0,
        "cpu": models[0] if models else platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": _lines("/proc/loadavg")[0].split()[0],
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def ratio(results: Sequence[Result], side: str, base: str) -> float | None:
    """Median CPU of `side` divided by that of `base`; None when one of them did not run."""
    cost = {result.side: result.cpu_us for result in results}
    return cost[side] / cost[base] if side in cost and base in cost else None


def relative_bar(results: Sequence[Result], unit: str, limit: float, *, side: str = OURS) -> list[Bar]:
    """The bar on ours against bare Envoy, where both ran."""
    measured = ratio(results, side, ENVOY)
    return [] if measured is None else [Bar(f"CPU per {unit}: {side} / {ENVOY}", measured, limit)]


def table(title: str, unit: str, results: Sequence[Result]) -> Table:
    """One figure for all sides, medians over the rounds with their range, and the ratios to Envoy and nginx."""
    shown = Table(title=title, title_justify="left")
    details = list(results[0].rounds[0].detail) if results else []
    bases = [base for base in (ENVOY, NGINX) if any(result.side == base for result in results)]
    heads = [f"CPU us / {unit}", "min-max", f"{unit}s/s", *(f"x {base}" for base in bases), *details, "others' CPU"]
    shown.add_column("side")
    shown.add_column("version")
    for head in heads:
        shown.add_column(head, justify="right")
    for result in results:
        costs = [reading.cpu_us for reading in result.rounds]
        ratios = [ratio(results, result.side, base) or 0.0 for base in bases]
        shown.add_row(
            result.side,
            result.version,
            f"{result.cpu_us:,.1f}",
            f"{min(costs):,.1f}-{max(costs):,.1f}",
            f"{result.median(lambda reading: reading.per_s):,.0f}",
            *(f"{value:.2f}" for value in ratios),
            *(f"{result.median(lambda reading, name=name: reading.detail[name]):.2f}" for name in details),  # type: ignore[misc]  # mypy cannot type a default in a lambda
            f"{result.median(lambda reading: reading.others):.0%}",
        )
    return shown


def publish(report: Report, tables: Sequence[Table], json_file: Path | None) -> None:
    """Print the tables, the notes, the machine and the bars; write the JSON where it was asked for."""
    console = Console(width=None if sys.stdout.isatty() else 150)
    where = machine()
    for one in tables:
        console.print(one)
    for note in report.notes:
        console.print(f"note: {note}", highlight=False)
    facts = {**where, **report.tools, **report.settings}
    console.print(", ".join(f"{name} {value}" for name, value in facts.items()), highlight=False, soft_wrap=True)
    for bar in report.bars:
        verdict = "[green]holds[/]" if bar.holds else "[red]does not hold[/]"
        console.print(f"{bar.what}: {bar.measured:.2f}, at most {bar.limit:g}: {verdict}", highlight=False)
    if json_file is not None:
        bars = [{**asdict(bar), "holds": bar.holds} for bar in report.bars]
        json_file.write_text(json.dumps({"machine": where, **asdict(report), "bars": bars}, indent=1) + "\n")
