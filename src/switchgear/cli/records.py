"""`switchgear records` and `switchgear explain`: what the journals of a state directory say."""

import time
import tomllib
from collections.abc import Callable, Iterator
from functools import wraps
from itertools import islice
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from switchgear.cli.record_filter import Filter, parse_moment
from switchgear.cli.record_output import as_mapping, csv_lines, json_line, printable, table_of
from switchgear.cli.record_output import line as text_line
from switchgear.core.clock import SystemClock
from switchgear.core.record import Outcome, Record, decode_record
from switchgear.core.snapshot import Endpoint
from switchgear.gateway.story import duration, timeline
from switchgear.gateway.story import explain as story_of
from switchgear.journal.model import Row
from switchgear.journal.reader import Reader

P = ParamSpec("P")
T = TypeVar("T")

_SHOWN = 50
_POLL_S = 0.2
_PIPE_WIDTH = 400


def _where(command: Callable[P, T]) -> Callable[..., T]:
    """The options that say whose journals are read; the command gets a `Reader`."""

    @click.option(
        "--state-dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="Where the gateway keeps its state. [default: state]",
    )
    @click.option(
        "--config",
        "config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Take the state directory from this file.",
    )
    @wraps(command)
    def with_reader(*args: Any, state_dir: Path | None, config: Path | None, **options: Any) -> T:
        if state_dir is not None and config is not None:
            raise click.UsageError("Give --state-dir or --config, not both.")
        directory = (state_dir or (state_dir_of(config) if config else Path("state"))) / "journal"
        if not directory.is_dir():
            raise click.ClickException(
                f"There is no journal in {directory}. --state-dir or --config says where the gateway keeps it."
            )
        reader = Reader(directory)
        try:
            return command(*args, reader=reader, **options)  # type: ignore[arg-type]  # `wraps` describes what the user gives
        finally:
            for path, problem in reader.problems.items():
                click.echo(f"warning: {path} was left out: {problem}", err=True)
            reader.close()

    return with_reader


def state_dir_of(config: Path) -> Path:
    """`gateway.state_dir` of a configuration file, which need not be one that can be served from. Raises click.ClickException."""
    try:
        gateway = tomllib.loads(config.read_text()).get("gateway", {})
        return Path(gateway.get("state_dir", "state"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError, TypeError) as error:
        raise click.ClickException(f"{config} cannot be read: {error}") from error


@click.command()
@_where
@click.option("--model", default="", help="Only calls of this model (the alias).")
@click.option("--backend", default="", help="Only calls that this backend answered or was asked for.")
@click.option("--outcome", type=click.Choice([outcome.value for outcome in Outcome]), help="Only calls that ended so.")
@click.option("--key", default="", help="Only calls with the key of this name.")
@click.option("--team", default="", help="Only calls of this team.")
@click.option(
    "--endpoint", type=click.Choice([endpoint.value for endpoint in Endpoint]), help="Only calls of this endpoint."
)
@click.option("--status", type=int, help="Only calls that were answered with this HTTP status.")
@click.option(
    "--error",
    default="",
    metavar="CODE",
    help="Only calls with this error, their own or an attempt's; `any`: with one.",
)
@click.option(
    "--since",
    default="",
    metavar="WHEN",
    help="Only calls from then on: 90s, 10m, 2h, 1d (ago) or an ISO 8601 time (UTC).",
)
@click.option("--until", default="", metavar="WHEN", help="Only calls before then.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    help=f"The newest so many. [default: {_SHOWN}; all with --export and --count]",
)
@click.option("--count", is_flag=True, help="Print only how many there are.")
@click.option("--follow", is_flag=True, help="Go on with calls as they end, until Ctrl-C.")
@click.option("--export", type=click.Choice(["jsonl", "csv"]), help="Write all of them, oldest first.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array; with --follow, lines.")
def records(reader: Reader, **options: Any) -> None:
    """List the records of calls: who asked what, who answered, how long it took, what it cost."""
    wanted = _filter(options)
    limit: int | None = options["limit"]
    if options["follow"] and (options["count"] or options["export"]):
        raise click.UsageError("--follow lists; it cannot be combined with --count or --export.")
    if options["export"] and (options["count"] or options["as_json"]):
        raise click.UsageError("--export writes a form of its own; leave --count and --json out.")
    if options["count"]:
        click.echo(_count(reader, wanted, limit))
    elif options["follow"]:
        _follow(reader, wanted, _SHOWN if limit is None else limit, as_json=options["as_json"])
    elif options["export"]:
        found = _oldest_first(reader, wanted) if limit is None else iter(_newest(reader, wanted, limit))
        for line in csv_lines(found) if options["export"] == "csv" else map(json_line, found):
            click.echo(line)
    else:
        listed = _newest(reader, wanted, _SHOWN if limit is None else limit)
        if options["as_json"]:
            click.echo(msgspec.json.encode([as_mapping(record) for record in listed]))
        else:
            _show(listed)


@click.command()
@click.argument("call")
@_where
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def explain(reader: Reader, call: str, as_json: bool) -> None:
    """Tell one call's story. CALL is the id in the answer's header x-switchgear-call."""
    row = reader.find(call)
    if row is None:
        raise click.ClickException(
            f"There is no record of call {printable(call)}. It may be too old, or another gateway's."
        )
    record = _decoded(row)
    if record is None:
        raise click.ClickException(
            f"The record of call {printable(call)} cannot be read: a newer version may have written it."
        )
    if as_json:
        events = [event._asdict() for event in timeline(record)]
        content = {"record": as_mapping(record), "story": story_of(record), "timeline": events}
        click.echo(msgspec.json.format(msgspec.json.encode(content)))
        return
    console = _console()
    console.print(f"call {record.call}", style="bold", markup=False)
    for line in story_of(record):
        console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
    table = Table("at", "", "", box=None, pad_edge=False, header_style="bold")
    for event in timeline(record):
        table.add_row(duration(event.at_s), event.what, Text(printable(event.text)))
    console.print()
    console.print(table)


def _filter(options: dict[str, Any]) -> Filter:
    now_s = SystemClock.now_s()
    moments: dict[str, float | None] = {"since": None, "until": None}
    for name in moments:
        if options[name]:
            try:
                moments[name] = parse_moment(options[name], now_s)
            except ValueError as error:
                text = f"{options[name]!r} is neither like 90s, 10m, 2h or 1d, nor an ISO 8601 time."
                raise click.BadParameter(text, param_hint=f"--{name}") from error
    return Filter(
        model=options["model"],
        backend=options["backend"],
        outcome=options["outcome"] or "",
        key=options["key"],
        team=options["team"],
        endpoint=options["endpoint"] or "",
        status=options["status"],
        error=options["error"],
        since_s=moments["since"],
        until_s=moments["until"],
    )


def _decoded(row: Row) -> Record | None:
    try:
        return decode_record(row.body)
    except msgspec.DecodeError as error:
        click.echo(f"warning: the record of call {printable(row.id)} cannot be read: {error}", err=True)
        return None


def _matching(rows: Iterator[Row], wanted: Filter) -> Iterator[Record]:
    return (record for row in rows if (record := _decoded(row)) is not None and wanted.matches(record))


def _oldest_first(reader: Reader, wanted: Filter) -> Iterator[Record]:
    # A row's time is the call's end: none that began after `since` ended before it.
    return _matching(reader.rows(wanted.since_s), wanted)


def _newest(reader: Reader, wanted: Filter, limit: int) -> list[Record]:
    """Oldest first, the newest `limit`."""
    return list(islice(_matching(_back_to(reader, wanted.since_s), wanted), limit))[::-1]


def _back_to(reader: Reader, since_s: float | None) -> Iterator[Row]:
    for row in reader.newest():
        if since_s is not None and row.at_s < since_s:
            return
        yield row


def _count(reader: Reader, wanted: Filter, limit: int | None) -> int:
    number = reader.count() if wanted.is_empty else sum(1 for _ in _oldest_first(reader, wanted))
    return number if limit is None else min(number, limit)


def _follow(reader: Reader, wanted: Filter, limit: int, *, as_json: bool) -> None:
    line = json_line if as_json else text_line
    end = reader.end()
    before = (row for row in _back_to(reader, wanted.since_s) if row.seq <= end.get(row.journal, 0))
    for record in list(islice(_matching(before, wanted), limit))[::-1]:
        click.echo(line(record))
    try:
        for record in _matching(reader.follow(end, lambda: time.sleep(_POLL_S)), wanted):
            click.echo(line(record))
    except KeyboardInterrupt:
        return


def _show(found: list[Record]) -> None:
    if not found:
        click.echo("No record matches.", err=True)
        return
    console = _console()
    table, left_out = table_of(found, console.width)
    console.print(table)
    if left_out:
        click.echo(f"too narrow for: {', '.join(left_out)}; --json and --export have all", err=True)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)
