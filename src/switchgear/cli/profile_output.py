"""How `switchgear profile` tells what it found: for people, as JSON, as TOML."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Column, Table

from switchgear.profiling.estimate import Verdict
from switchgear.profiling.saving import toml
from switchgear.profiling.service import Measured


def saved(measured: Measured) -> str:
    """The profile in the form of `hardware/profiles.toml`."""
    return toml(measured.profile, measured.source)


def runs(measured: Measured) -> bytes:
    """Every run, one JSON object a line."""
    lines = [msgspec.json.encode(asdict(run)) for run in measured.swept.runs]
    return b"".join(line + b"\n" for line in lines)


def as_json(measured: Measured) -> dict[str, Any]:
    """Everything that was found. A figure that nobody knows is null."""
    swept, telemetry = measured.swept, measured.telemetry
    estimates = measured.estimated.fit.estimates if measured.estimated is not None else {}
    return {
        "profile": measured.profile.name,
        "note": measured.profile.note,
        "seconds": swept.seconds,
        "runs": len(swept.runs),
        "refused": swept.refused,
        "prompt_tokens": swept.prompt_tokens,
        "output_tokens": swept.output_tokens,
        "cached_fraction": swept.cached,
        "tokens_counted_by_backend": swept.counted,
        "ended_by": swept.ended_by or None,
        "figures": {name: asdict(estimate) for name, estimate in estimates.items()},
        "fitted": None if measured.estimated is None else _verdict(measured.estimated.fitted),
        "held_out": _verdict(measured.held_out),
        "power": {
            "idle_w": telemetry.idle_w,
            "busy_w": telemetry.busy_w,
            "limit_w": telemetry.limit_w,
            "boards": telemetry.boards if telemetry.idle else None,
            "warmest_c": telemetry.warmest_c,
        },
        "toml": saved(measured),
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "ttft": asdict(verdict.ttft),
        "call": asdict(verdict.call),
        "shapes": [asdict(shape) for shape in verdict.shapes],
    }


def show(measured: Measured, file: Path | None, console: Console) -> None:
    """For people."""
    swept, telemetry = measured.swept, measured.telemetry
    ended = f", ended by the bound on {swept.ended_by}" if swept.ended_by else ""
    console.print(
        f"{len(swept.runs)} runs in {swept.seconds:.0f} s{ended}: {swept.prompt_tokens:,} tokens in ({swept.cached:.1%} from a cache), "
        f"{swept.output_tokens:,} out, {swept.refused} refused"
    )
    console.print(_shapes(measured.held_out))
    console.print(_figures(measured))
    known = [
        f"{name} {value:.0f} {unit}"
        for name, value, unit in (
            ("idle", telemetry.idle_w, "W"),
            ("busy", telemetry.busy_w, "W"),
            ("limit", telemetry.limit_w, "W"),
            ("warmest", telemetry.warmest_c, "°C"),
        )
        if value is not None
    ]
    boards = f" of {telemetry.boards} boards together" if known and telemetry.boards > 1 else ""
    console.print(f"power and temperature{boards}: {', '.join(known) or 'unknown'}")
    console.print(measured.profile.note)
    console.print(f"saved to {file}" if file is not None else "not saved; --save FILE keeps the profile")


def _shapes(verdict: Verdict) -> Table:
    table = Table(
        "held out",
        "runs",
        "first token",
        "predicted",
        "call",
        "predicted",
        title="Shapes that were not fitted",
        title_justify="left",
    )
    for shape in verdict.shapes:
        times = (shape.ttft_s, shape.predicted_ttft_s, shape.call_s, shape.predicted_call_s)
        table.add_row(str(shape.shape), str(shape.rounds), *(f"{1000 * time_s:.1f} ms" for time_s in times))
    return table


def _figures(measured: Measured) -> Table:
    table = Table("value", "95 % interval", "", title="Fitted", title_justify="left")
    table.columns.insert(0, Column("figure", overflow="fold"))
    view = measured.profile.physics or measured.profile.observed
    for name in () if view is None else view.__struct_fields__:
        value = getattr(view, name)
        for key, figure in value.items() if isinstance(value, dict) else [("", value)]:
            if figure.low is not None and figure.high is not None:
                told = "" if "next to nothing" not in figure.source else "the runs say next to nothing about it"
                label = f"{name}.{key}" if key else name
                table.add_row(label, f"{figure.value:.4g}", f"{figure.low:.4g} to {figure.high:.4g}", told)
    return table
