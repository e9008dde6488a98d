"""`switchgear sketch`: what is kept of calls that went wrong, and whether it goes wrong again."""

import os
import random
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from itertools import islice
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click
import msgspec
import uvloop
from rich.console import Console
from rich.table import Table
from rich.text import Text

from switchgear.cli.record_output import printable
from switchgear.core.clock import SystemClock
from switchgear.core.data_class import DataClass
from switchgear.core.errors import SwitchgearError
from switchgear.core.sketching import Sketching
from switchgear.core.snapshot import Backend
from switchgear.sketches.compare import Comparison, Verdict, compare
from switchgear.sketches.model import Ending, Sketch
from switchgear.sketches.opening import open_keyring
from switchgear.sketches.store import FILE, Store

P = ParamSpec("P")
T = TypeVar("T")
_SHOWN = 50
_PIPE_WIDTH = 200
_EXIT = {Verdict.SAME: 0, Verdict.GONE: 1, Verdict.OTHER: 1}


@click.group()
def sketch() -> None:
    """Sketches of calls that went wrong: their structure, without what they said."""


def _where(command: Callable[P, T]) -> Callable[..., T]:
    """The options that say whose sketches are read and with which key; the command gets an open `Store`."""

    @click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Take the state directory and the keys' place from this file.",
    )
    @click.option(
        "--state-dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="Where the gateway keeps its state. [default: state]",
    )
    @click.option("--key-env", help="Environment variable that holds the keys.")
    @click.option("--key-file", help="File that holds the keys.")
    @wraps(command)
    def with_store(
        *args: Any,
        config: Path | None,
        state_dir: Path | None,
        key_env: str | None,
        key_file: str | None,
        **options: Any,
    ) -> T:
        settings, directory = Sketching(key_env=key_env, key_file=key_file), state_dir
        try:
            if config is not None:
                from switchgear.gateway.config import load_file

                loaded = load_file(config).config
                directory = state_dir or Path(loaded.gateway.state_dir)
                settings = loaded.sketches if key_env is None and key_file is None else settings
            store = Store((directory or Path("state")) / FILE, open_keyring(settings, os.environ), read_only=True)
        except SwitchgearError as error:
            raise click.ClickException(str(error)) from error
        try:
            if "config" in command.__annotations__:
                options["config"] = config
            return command(*args, store=store, **options)  # type: ignore[arg-type]  # `wraps` describes what the user gives
        except SwitchgearError as error:
            raise click.ClickException(str(error)) from error
        finally:
            if store.unreadable:
                click.echo(f"warning: {store.unreadable} sketches cannot be opened with the keys given here", err=True)
            store.close()

    return with_store


@sketch.command("list")
@_where
@click.option("--model", default="", help="Only calls of this model (the alias).")
@click.option("--when", default="", help="Only sketches kept by a rule for this: failed, broken, low_confidence, ...")
@click.option("--limit", type=click.IntRange(min=1), default=_SHOWN, show_default=True, help="The newest so many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def list_sketches(store: Store, model: str, when: str, limit: int, as_json: bool) -> None:
    """List the sketches, newest first."""
    wanted = (one for one in store.newest() if (not model or one.model == model) and (not when or one.when == when))
    found = list(islice(wanted, limit))
    if as_json:
        click.echo(msgspec.json.encode([_told(one) for one in found]))
        return
    if not found:
        click.echo("No sketch matches.", err=True)
        return
    table = Table("call", "at", "when", "model", "backend", "ended", "error", "words", "languages", "findings")
    for one in found:
        table.add_row(*map(Text, _row(one)))
    _console().print(table)


@sketch.command()
@click.argument("call")
@_where
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(store: Store, call: str, as_json: bool) -> None:
    """Show a sketch: how its call ended, and the body that would be sent. CALL is the call's id, or how it begins."""
    found = store.get(call)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode({**_told(found), "body": msgspec.Raw(found.body)})))
        return
    for name, value in _told(found).items():
        click.echo(f"{name}: {printable(str(value))}")
    click.echo()
    click.echo(msgspec.json.format(found.body))


@sketch.command()
@click.argument("call")
@_where
@click.option("--target", help="Backend of the configuration to send it to; needs --config.")
@click.option("--url", help="Where an OpenAI-compatible API begins, for example http://10.0.0.5:8000/v1.")
@click.option("--model", help="The model's name there.  [default: as the target has it, else the alias]")
@click.option(
    "--data-class",
    type=click.Choice([one.value for one in DataClass]),
    help="What policies take the sketch for.  [default: what its original carried]",
)
@click.option("--api-key-env", help="With --url: environment variable with the key to send.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def replay(
    store: Store,
    config: Path | None,
    call: str,
    target: str | None,
    url: str | None,
    model: str | None,
    data_class: str | None,
    api_key_env: str | None,
    as_json: bool,
) -> None:
    """Send a sketch to a backend and compare how it ends. Exit code 0: as the original did; 1: in another way, or well."""
    if (target is None) == (url is None):
        raise click.UsageError("Give --target with a backend's name, or --url.")
    found = store.get(call)
    backend, name = _target(found, config, target, url, api_key_env)
    if config is not None and target is not None:
        from switchgear.cli.sketch_policy import check_replay

        check_replay(config, found, target, model or name, DataClass(data_class) if data_class else None)
    ending = _sent(found, backend, model or name)
    comparison = compare(found.ending, ending)
    if as_json:
        content = {"sketch": _told(found), "replayed": ending, "comparison": comparison}
        click.echo(msgspec.json.format(msgspec.json.encode(content)))
    else:
        _show(found, target or str(url), comparison)
    raise SystemExit(_EXIT[comparison.verdict])


def _target(
    found: Sketch, config: Path | None, target: str | None, url: str | None, api_key_env: str | None
) -> tuple[Backend, str]:
    """The backend, and the model's name there."""
    from switchgear.cli import profile_backend

    if url is not None:
        return profile_backend.find(url, None, api_key_env, "onprem"), found.model
    if config is None:
        raise click.UsageError("--target names a backend of a configuration: give --config with its file, or --url.")
    from switchgear.gateway.config import load_file

    models = load_file(config).config.models
    named = models[found.model].targets if found.model in models else ()
    name = next((one.model for one in named if one.backend == target), found.model)
    return profile_backend.find(str(target), config, None, "onprem"), name


def _sent(found: Sketch, backend: Backend, model: str) -> Ending:
    from switchgear.cli import profile_backend
    from switchgear.cli.sketch_replay import replay as send

    origin, adapter = profile_backend.connection(backend)
    rng = random.Random()  # noqa: S311  noise in place of images
    return uvloop.run(send(found, origin, adapter, model, backend.timeouts, SystemClock(), rng))


def _told(one: Sketch) -> dict[str, Any]:
    """A sketch without its body."""
    content: dict[str, Any] = msgspec.to_builtins(one, builtin_types=(bytes,))
    del content["body"]
    return content


def _row(one: Sketch) -> tuple[str, ...]:
    findings = ", ".join(f"{count} x {kind}" for kind, count in sorted(one.findings.items()))
    ending = one.ending
    return (
        one.call,
        datetime.fromtimestamp(one.at_s, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        one.when,
        printable(one.model),
        printable(one.backend),
        f"{ending.outcome} {ending.status or '-'}",
        printable(ending.attempt_error or ending.error),
        str(one.words),
        ", ".join(one.languages),
        findings,
    )


def _show(found: Sketch, where: str, comparison: Comparison) -> None:
    said = {
        Verdict.SAME: "it ended as the original did",
        Verdict.OTHER: "it ended in another way",
        Verdict.GONE: "it went well: the text itself, or the moment, was the cause",
    }[comparison.verdict]
    click.echo(f"{found.call} sent to {printable(where)}: {said}")
    table = Table("", "original", "replayed", "", box=None, pad_edge=False, header_style="bold")
    for point in comparison.points:
        sign = "" if point.same else "differs" if point.decides else "differs (does not decide)"
        table.add_row(*map(Text, (point.name, printable(point.original), printable(point.replayed), sign)))
    _console().print(table)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)
