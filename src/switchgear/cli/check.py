"""`switchgear check`: what is wrong in a configuration file, and what a good one means."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from switchgear.core.errors import Problem
from switchgear.core.snapshot import Model
from switchgear.gateway.config import Config, Inspected, inspect_file, snapshot_of

_PIPE_WIDTH = 400
"""Columns, where no person's terminal says how wide it is: nothing is folded for a program that reads."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def check(ctx: click.Context, file: Path, as_json: bool) -> None:
    """Say what is wrong in a configuration FILE, with line and remedy, or what it means.

    The exit code is 1 when the file cannot be served from. Warnings alone leave it 0. Nothing is started and nobody is called.
    """
    inspected = inspect_file(file)
    if as_json:
        click.echo(json.dumps(_as_json(file, inspected), ensure_ascii=False, indent=2))
    else:
        console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
        if not console.is_terminal:
            console.width = _PIPE_WIDTH
        _print(console, file, inspected)
    ctx.exit(0 if inspected.config is not None else 1)


def _print(console: Console, file: Path, inspected: Inspected) -> None:
    _print_findings(console, file, "problem", "bold red", inspected.problems)
    _print_findings(console, file, "warning", "yellow", inspected.warnings)
    counts = f"{_count(inspected.problems, 'problem')}, {_count(inspected.warnings, 'warning')}"
    if inspected.config is None:
        console.print(Text(f"{file}: {counts}; it cannot be served from", style="bold"))
        return
    console.print(Text(f"{file}: {counts}; snapshot {snapshot_of(inspected.config).id}", style="bold"))
    for table in _tables(inspected.config):
        console.print()
        console.print(table)


def _print_findings(console: Console, file: Path, word: str, style: str, findings: Iterable[Problem]) -> None:
    for found in findings:
        where = f"{file}:{found.line}" if found.line else str(file)
        console.print(Text.assemble((word, style), f" {where} ", (found.path, "bold"), f" {found.message}"))
        console.print(Padding(Text(found.remedy, style="green"), (0, 0, 0, 2), expand=False))


def _count(findings: tuple[Problem, ...], word: str) -> str:
    return f"{len(findings) or 'no'} {word}{'' if len(findings) == 1 else 's'}"


def _tables(config: Config) -> Iterable[Table]:
    gateway = config.gateway
    scheme = "https" if gateway.tls is not None else "http"
    endpoints = _table("calls are taken at", "workers", "admin", "records")
    listen = (text if text.startswith("unix:") else f"{scheme}://{text}/v1" for text in gateway.listen)
    endpoints.add_row(
        "\n".join(listen), str(gateway.workers), gateway.admin, f"{gateway.durability}, {gateway.state_dir}"
    )
    yield endpoints
    backends = _table("backend", "kind", "protocol", "at", "region", "key from")
    for name, backend in config.backends.items():
        key = "the environment" if backend.api_key_env else "a file" if backend.api_key_file else ""
        backends.add_row(name, backend.kind, backend.protocol, backend.base_url, backend.region, key)
    yield backends
    models = _table("model", "strategy", "targets")
    for name, model in config.models.items():
        models.add_row(name, model.strategy, "\n".join(_targets(model)))
    yield models
    if config.keys:
        keys = _table("key", "team", "may call", "may pin")
        for one in config.keys:
            keys.add_row(
                one.name,
                one.team,
                "every model" if one.models is None else ", ".join(one.models),
                "yes" if one.pin else "",
            )
        yield keys


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold cyan")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _targets(model: Model) -> Iterable[str]:
    for target in model.targets:
        share = f"  x{target.weight:g}" if model.strategy == "weighted" else ""
        yield f"{target.backend}: {target.model}{share}"


def _as_json(file: Path, inspected: Inspected) -> dict[str, Any]:
    config = inspected.config
    return {
        "file": str(file),
        "ok": config is not None,
        "problems": [_finding(found) for found in inspected.problems],
        "warnings": [_finding(found) for found in inspected.warnings],
        "snapshot": None if config is None else snapshot_of(config).id,
        "means": None if config is None else _meaning(config),
    }


def _finding(found: Problem) -> dict[str, Any]:
    return {"line": found.line, "path": found.path, "message": found.message, "remedy": found.remedy}


def _meaning(config: Config) -> dict[str, Any]:
    return {
        "listen": list(config.gateway.listen),
        "admin": config.gateway.admin,
        "backends": {
            name: {"kind": backend.kind, "protocol": backend.protocol, "base_url": backend.base_url}
            for name, backend in config.backends.items()
        },
        "models": {
            name: {
                "strategy": model.strategy,
                "targets": [{"backend": target.backend, "model": target.model} for target in model.targets],
            }
            for name, model in config.models.items()
        },
        "keys": [key.name for key in config.keys],
    }
