"""How well the physics predicts measured servers, by GPU and model, on rows that were not fitted. Exit code 1 when a bar does not hold.

    python -m bench.calibration [--seeds 3] [--json FILE]

Reads ../shared/data. Three splits, each with its own fits: rows held out by chance within each family; whole configurations held out;
and a whole GPU left out, predicted from its datasheet and the factors fitted on other GPUs. The time of a call is the time to its first
token and (tokens - 1) times the time per token, of prediction and measurement alike: the file has no time of whole calls.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from bench.calibration_power import PowerResult, power_result
from bench.calibration_rows import (
    SERVING,
    Family,
    Rows,
    Split,
    capped_over_uncapped,
    serving_rows,
    split_configurations,
    split_rows,
)
from bench.calibration_static import StaticResult, static_results
from switchgear.hardware.fit import Fit
from switchgear.hardware.fit_serving import LEAST_ROWS, Runs, factors_of, fit_groups, fit_runs

CALL_BAR, TTFT_BAR, UNSEEN_BAR = 0.10, 0.15, 0.20


@dataclass
class Tally:
    """Relative errors of held-out rows, collected by whatever they are reported by."""

    ttft: list[float] = field(default_factory=list)
    call: list[float] = field(default_factory=list)

    def add(self, ratios: tuple[Iterable[float], Iterable[float]]) -> None:
        """Take in predicted over measured, of first tokens and of calls."""
        self.ttft += [abs(float(ratio) - 1) for ratio in ratios[0]]
        self.call += [abs(float(ratio) - 1) for ratio in ratios[1]]

    def row(self) -> dict[str, float]:
        """Count, medians and 90th percentiles."""
        return {
            "rows": len(self.call),
            "call_median": float(np.median(self.call)),
            "call_p90": float(np.quantile(self.call, 0.9)),
            "ttft_median": float(np.median(self.ttft)),
            "ttft_p90": float(np.quantile(self.ttft, 0.9)),
        }


@dataclass
class Result:
    """The errors of one split: over all held-out rows, and by family."""

    split: str
    families: dict[Family, Tally] = field(default_factory=dict)

    def by(self, key: Callable[[Family], str]) -> dict[str, Tally]:
        """Tallies merged by a key of the family."""
        merged: dict[str, Tally] = {}
        for family, tally in self.families.items():
            into = merged.setdefault(key(family), Tally())
            into.ttft += tally.ttft
            into.call += tally.call
        return dict(sorted(merged.items()))

    @property
    def all(self) -> Tally:
        """Every held-out row."""
        return self.by(lambda _: "all")["all"]


def fitted_split(rows: Rows, name: str, split: Callable[[Rows, int], Split], seeds: int) -> Result:
    """Fit on what each seed's split leaves and predict what it holds out. Families with too few rows to be fitted alone are not counted."""
    result = Result(name)
    for seed in range(1, seeds + 1):
        parts = split(rows, seed)
        fits = fit_groups(parts.fitted, _kinds(rows))
        for family, held_out in parts.held_out.items():
            if held_out and family in fits and len(rows.families[family]) >= LEAST_ROWS:
                tally = result.families.setdefault(family, Tally())
                tally.add(Runs(held_out).call_ratios(factors_of(fits[family])))
    return result


def unseen_gpu(rows: Rows) -> Result:
    """Predict each family from the fits of the same model, engine and precision on other GPUs; its own rows are never looked at."""
    result = Result("GPU left out")
    fits = {
        family: fit_runs([row.run for row in members])
        for family, members in rows.families.items()
        if len(members) >= LEAST_ROWS
    }
    for family, members in rows.families.items():
        others = [
            fit for other, fit in fits.items() if other.gpu != family.gpu and replace(other, gpu=family.gpu) == family
        ]
        if others:
            factors = factors_of(_middle(others))
            result.families[family] = Tally()
            result.families[family].add(Runs([row.run for row in members]).call_ratios(factors))
    return result


def _kinds(rows: Rows) -> dict[Family, tuple[str, str]]:
    """Families learn from those of the same engine and model on other GPUs and in other precisions."""
    return {family: (family.engine, family.model) for family in rows.families}


def _middle(fits: Sequence[Fit]) -> Fit:
    """The geometric mean of several fits' figures."""
    estimates = {
        name: replace(estimate, value=math.exp(sum(math.log(one.values[name]) for one in fits) / len(fits)))
        for name, estimate in fits[0].estimates.items()
    }
    return Fit(estimates, sum(one.rows for one in fits))


@dataclass(frozen=True)
class Calibration:
    """All that was found."""

    rows: Rows
    results: tuple[Result, ...]
    static: tuple[StaticResult, ...]
    power: PowerResult

    def bars(self) -> dict[str, tuple[float, float]]:
        """What must hold: what was measured, and the limit."""
        by_rows, configurations, unseen = (result.all.row() for result in self.results)
        return {
            "held-out rows, whole call": (by_rows["call_median"], CALL_BAR),
            "held-out rows, first token": (by_rows["ttft_median"], TTFT_BAR),
            "held-out configurations, whole call": (configurations["call_median"], CALL_BAR),
            "held-out configurations, first token": (configurations["ttft_median"], TTFT_BAR),
            "unseen GPU, whole call": (unseen["call_median"], UNSEEN_BAR),
        }


def calibrate(seeds: int = 3) -> Calibration:
    """Everything, from the files."""
    rows = serving_rows()
    results = (
        fitted_split(rows, "rows held out", split_rows, seeds),
        fitted_split(rows, "configurations held out", split_configurations, seeds),
        unseen_gpu(rows),
    )
    return Calibration(rows, results, static_results(), power_result())


def _table(title: str, tallies: Mapping[str, Tally]) -> Table:
    table = Table("", "rows", "call, median", "p90", "first token, median", "p90", title=title, title_justify="left")
    for name, tally in tallies.items():
        row = tally.row()
        errors = (row[key] for key in ("call_median", "call_p90", "ttft_median", "ttft_p90"))
        table.add_row(name, f"{row['rows']:.0f}", *(f"{error:.1%}" for error in errors))
    return table


def show(found: Calibration, console: Console) -> None:
    """Print the tables."""
    console.print(f"{found.rows.count} rows of {SERVING.name} in {len(found.rows.families)} families; left out:")
    for reason, count in sorted(found.rows.left_out.items()):
        console.print(f"  {count} rows: {reason}")
    for result in found.results:
        console.print(_table(f"{result.split}: all", {"all": result.all}))
        console.print(_table(f"{result.split}: by GPU", result.by(lambda family: family.gpu)))
        console.print(_table(f"{result.split}: by model", result.by(lambda family: family.model)))
        console.print(_table(f"{result.split}: by engine", result.by(lambda family: family.engine)))
    _show_static(found, console)
    for what, (measured, limit) in found.bars().items():
        console.print(
            f"{'holds' if measured <= limit else 'FAILS'}: {what}: median error {measured:.1%}, bar {limit:.0%}"
        )


def _show_static(found: Calibration, console: Console) -> None:
    table = Table(
        "split",
        "family",
        "held out",
        "prompt, median",
        "token, median",
        "call, median",
        title="Splitwise",
        title_justify="left",
    )
    for result in found.static:
        figures = (result.prompt.median, result.token.median, result.call.median)
        table.add_row(result.split, result.family, str(result.call.rows), *(f"{figure:.1%}" for figure in figures))
    console.print(table)
    ratios = capped_over_uncapped()
    console.print(
        f"The power-capped H100's prompt times are {min(ratios):.3f} to {max(ratios):.3f} times the H100's in all {len(ratios)} rows: "
        "computed, not measured, so they are not used."
    )
    power = found.power
    console.print(
        f"Power of the A100: {power.fitted} figures fitted, {power.held_out.rows} held out (whole configurations): median error "
        f"{power.held_out.median:.1%}, p90 {power.held_out.p90:.1%}; "
        + ", ".join(
            f"{name} {one.value:.0f} W ({one.low:.0f} to {one.high:.0f})" for name, one in power.fit.estimates.items()
        )
    )


def main() -> int:
    """Print everything; 1 when a bar does not hold, 2 without data."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    options.add_argument("--seeds", type=int, default=3, help="splits by chance, each fitted anew")
    options.add_argument("--json", type=Path, help="write the result here too")
    chosen = options.parse_args()
    console = Console(width=120)
    if not SERVING.exists():
        console.print(f"void: {SERVING} is not there; see docs/hardware.md")
        return 2
    found = calibrate(chosen.seeds)
    show(found, console)
    if chosen.json:
        chosen.json.write_bytes(msgspec.json.format(msgspec.json.encode(_as_json(found))))
    return 0 if all(measured <= limit for measured, limit in found.bars().values()) else 1


def _as_json(found: Calibration) -> dict[str, object]:
    return {
        "rows": found.rows.count,
        "left_out": dict(found.rows.left_out),
        "bars": {what: {"median_error": measured, "bar": limit} for what, (measured, limit) in found.bars().items()},
        "splits": {
            result.split: {
                "all": result.all.row(),
                "families": {str(family): tally.row() for family, tally in result.families.items()},
            }
            for result in found.results
        },
        "splitwise": [asdict(result) for result in found.static],
        "power": asdict(found.power),
    }


if __name__ == "__main__":
    sys.exit(main())
