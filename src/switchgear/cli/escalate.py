"""`switchgear escalate fit`: the threshold below which a small model's answer goes to the large one, from records with known outcomes."""

import random
from collections.abc import Iterator
from math import isinf
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from switchgear.cli.record_output import as_mapping
from switchgear.confidence.curve import Large, Point
from switchgear.confidence.errors import ConfidenceError
from switchgear.confidence.fit import Fit, Goal, Interval, fit
from switchgear.confidence.samples import SIGNALS, Outcome, Sample, read_outcomes, samples_of
from switchgear.core.decoding import UNREADABLE
from switchgear.core.record import decode_record
from switchgear.journal.reader import Reader

_SEED = 20_261_121
"""Folds and resamples are drawn, and the same input gives the same output."""
_PLOT_ROWS, _PLOT_COLUMNS = 12, 60
_SHARE = click.FloatRange(0.0, 1.0)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def escalate() -> None:
    """Small model first, large one when unsure: where to draw the line."""


@escalate.command("fit")
@click.option("--records", type=_FILE, help="Records as `switchgear records --export jsonl` writes them.")
@click.option(
    "--state", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Or the gateway's state_dir."
)
@click.option(
    "--outcomes", type=_FILE, required=True, help="CSV or JSON lines: call, good, and large_good where known."
)
@click.option("--model", default="", help="Only calls of this model (the alias).")
@click.option(
    "--signal", type=click.Choice(SIGNALS), help="The number to fit a threshold for. [default: the one that tells most]"
)
@click.option("--min-quality", type=_SHARE, help="Goal: so large a share of good answers, at the least cost.")
@click.option("--max-escalated", type=_SHARE, help="Goal: the best quality with at most this share of calls escalated.")
@click.option(
    "--bad-answer-usd", type=click.FloatRange(min=0.0), help="Goal: the least cost, where a bad answer costs so much."
)
@click.option("--large-quality", type=_SHARE, help="How often the large model is right, where the outcomes do not say.")
@click.option(
    "--large-cost-usd", type=click.FloatRange(min=0.0), help="What a call of it costs, where the records do not say."
)
@click.option("--resamples", type=click.IntRange(min=50), default=400, show_default=True, help="For the intervals.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def fit_command(records: Path | None, state: Path | None, outcomes: Path, as_json: bool, **options: Any) -> None:
    """Choose the threshold from records whose outcomes are known, and show what each one costs and brings.

    Without a goal it is the fewest escalations that bring 90 % of what always asking the large model would bring.
    """
    if (records is None) == (state is None):
        raise click.UsageError("Give --records or --state, one of the two.")
    goal = Goal(options["min_quality"], options["max_escalated"], options["bad_answer_usd"])
    if sum(part is not None for part in goal) > 1:
        raise click.UsageError("Give one goal: --min-quality, --max-escalated or --bad-answer-usd.")
    try:
        known = read_outcomes(_text(outcomes), outcomes.name)
        rows = _from_file(records) if records is not None else _from_journals(state or Path())
        samples = samples_of(rows, known, options["model"])
        large = _large(samples, options["large_quality"], options["large_cost_usd"])
        if goal.bad_answer_usd is not None and large.cost_usd is None:
            raise click.UsageError(
                "Without --large-cost-usd nothing is known of costs that --bad-answer-usd could be weighed against."
            )
        found = fit(
            samples,
            goal,
            large,
            random.Random(_SEED),  # noqa: S311  no secret depends on it
            signal=options["signal"],
            resamples=options["resamples"],
        )
    except ConfidenceError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(_as_mapping(found, large))))
    else:
        _show(found, large, known, samples)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{path} cannot be read: {error}") from error


def _from_file(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if line.strip():
            try:
                yield msgspec.json.decode(line, type=dict[str, Any])
            except UNREADABLE as error:
                raise click.ClickException(f"{path}, line {number}: no record as JSON: {error}.") from error


def _from_journals(state: Path) -> Iterator[dict[str, Any]]:
    directory = state / "journal"
    if not directory.is_dir():
        raise click.ClickException(f"There is no journal in {directory}. --state says where the gateway keeps it.")
    reader = Reader(directory)
    try:
        for row in reader.rows():
            try:
                record = decode_record(row.body)
            except UNREADABLE as error:
                click.echo(f"warning: the record of call {row.id} cannot be read: {error}", err=True)
                continue
            yield msgspec.to_builtins(as_mapping(record), str_keys=True)
    finally:
        reader.close()


def _large(samples: list[Sample], quality: float | None, cost_usd: float | None) -> Large:
    """What is assumed of the large model where a sample does not know: given, or the mean of those that do."""
    known = [sample.large_good for sample in samples if sample.large_good is not None]
    costs = [sample.large_cost_usd for sample in samples if sample.large_cost_usd is not None]
    if quality is None and samples and not known:
        raise click.UsageError(
            "Nothing says how good the large model is: give --large-quality, or a column large_good."
        )
    return Large(
        quality if quality is not None else sum(known) / max(1, len(known)),
        cost_usd if cost_usd is not None else (sum(costs) / len(costs) if costs else None),
    )


# -- output --


def _as_mapping(found: Fit, large: Large) -> dict[str, Any]:
    def point(one: Point) -> dict[str, Any]:
        return {**one._asdict(), "threshold": _finite(one.threshold)}

    return {
        "rule": found.rule,
        "signal": found.signal,
        "samples": found.samples,
        "reached": found.reached,
        "large": large._asdict(),
        "chosen": point(found.chosen),
        "chosen_quality": list(found.chosen_quality),
        "chosen_threshold": [_finite(one) for one in found.chosen_threshold],
        "held_out": point(found.held_out),
        "auc": found.auc,
        "curve": [
            {**point(one), "quality_interval": list(band)}
            for one, band in zip(found.curve, found.curve_quality, strict=True)
        ],
    }


def _finite(threshold: float) -> float | str:
    if isinf(threshold):
        return "never" if threshold < 0 else "always"
    return threshold


def _show(found: Fit, large: Large, known: dict[str, Outcome], samples: list[Sample]) -> None:
    console = Console() if Console().is_terminal else Console(width=100)
    say = console.print
    good = sum(sample.good for sample in samples)
    say(
        f"{found.samples} answers with confidence and outcome (of {len(known)} outcomes); {good} good.", highlight=False
    )
    areas = ", ".join(f"{name} {value:.3f}" for name, value in found.auc.items())
    say(f"Area under the ROC curve: {areas}. 0.5 says nothing, 1 everything.", highlight=False)
    say(f"Large model where not known: quality {large.quality:.3f}, a call {_usd(large.cost_usd)}.", highlight=False)
    say()
    say(_table(found))
    say()
    for line in plot(found.curve, found.chosen):
        say(line, markup=False, highlight=False)
    say()
    chosen, held = found.chosen, found.held_out
    if not found.reached:
        say("[yellow]No threshold reaches the goal; this one comes nearest.[/]")
    say(f'when = "{found.rule}"', style="bold", markup=False, highlight=False)
    say(
        f"  on these answers: {chosen.escalated:.1%} escalated, quality {chosen.quality:.3f}"
        f" ({_band(found.chosen_quality)}), {_usd(chosen.cost_usd)} a call",
        highlight=False,
    )
    say(
        f"  on answers it was not chosen on: {held.escalated:.1%} escalated, quality {held.quality:.3f}, {_usd(held.cost_usd)} a call",
        highlight=False,
    )
    low, high = (_word(one) for one in found.chosen_threshold)
    say(
        f"  another sample of as many answers would have given a threshold from {low} to {high} (95 %)", highlight=False
    )


def _table(found: Fit) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (found.signal, "escalated", "quality", "95 %", "cost a call"):
        table.add_column(name, justify="right")
    for point, band in zip(found.curve, found.curve_quality, strict=True):
        table.add_row(
            f"< {_word(point.threshold)}" if not isinf(point.threshold) else _word(point.threshold),
            f"{point.escalated:.1%}",
            f"{point.quality:.3f}",
            _band(band),
            _usd(point.cost_usd),
            style="bold" if point == found.chosen else "",
        )
    return table


def plot(points: list[Point], chosen: Point) -> list[str]:
    """Quality over cost (or over the share escalated where no cost is known), as lines of text; `o` is the one that was chosen."""
    priced = all(point.cost_usd is not None for point in points)
    across = [point.cost_usd or 0.0 if priced else point.escalated for point in (*points, chosen)]
    up = [point.quality for point in (*points, chosen)]
    rows = [[" "] * _PLOT_COLUMNS for _ in range(_PLOT_ROWS)]
    for place, (one, other) in enumerate(zip(across, up, strict=True)):
        column = _scaled(one, min(across), max(across), _PLOT_COLUMNS)
        down = _PLOT_ROWS - 1 - _scaled(other, min(up), max(up), _PLOT_ROWS)
        rows[down][column] = "o" if place == len(points) else "·"
    lines = [f"{'quality':>8}"]
    for number, row in enumerate(rows):
        label = f"{max(up):.3f}" if number == 0 else f"{min(up):.3f}" if number == _PLOT_ROWS - 1 else ""
        lines.append(f"{label:>8} │{''.join(row)}".rstrip())
    lines.append(f"{'':>8} └{'─' * _PLOT_COLUMNS}")
    left, right = (_usd(end) if priced else f"{end:.0%}" for end in (min(across), max(across)))
    name = "cost a call" if priced else "escalated"
    gap = _PLOT_COLUMNS - len(left) - len(right)
    lines.append(f"{'':>10}{left}{name:^{max(gap, len(name))}}{right}")
    return lines


def _scaled(value: float, low: float, high: float, steps: int) -> int:
    return 0 if high <= low else round((value - low) / (high - low) * (steps - 1))


def _word(threshold: float) -> str:
    found = _finite(threshold)
    return found if isinstance(found, str) else f"{found:.4g}"


def _band(interval: Interval) -> str:
    return f"{interval.low:.3f}-{interval.high:.3f}"


def _usd(cost: float | None) -> str:
    return "unpriced" if cost is None else f"${cost:.3g}"
