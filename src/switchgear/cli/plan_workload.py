"""Where the calls of `switchgear plan …` come from: a trace, records, or a generator; and how much more of them."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from switchgear.cli.record_filter import parse_moment
from switchgear.core.clock import SystemClock
from switchgear.core.data_class import DataClass
from switchgear.core.errors import SwitchgearError

if TYPE_CHECKING:
    from switchgear.planner.generate import Generator
    from switchgear.planner.workload import Workload

T = TypeVar("T")

_LIBRARIES = ("numpy", "numba", "scipy")
_ONE = "Say which calls: give one of --trace, --state-dir and --generate."
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def said(command: Callable[..., T]) -> Callable[..., T]:
    """Errors that we know become the command's message and exit code 1; a library that is not there says how to get it."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> T:
        try:
            return command(*args, **options)
        except SwitchgearError as error:
            raise click.ClickException(str(error)) from error
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in _LIBRARIES:
                raise
            raise click.ClickException(
                f"The planner needs {error.name}; install it with: pip install 'switchgear[plan]'"
            ) from error

    return run


def workload_options(command: Callable[..., T]) -> Callable[..., T]:
    """The options that say which calls, for `chosen_workload`."""
    for option in reversed(
        (
            click.option("--trace", type=_FILE, help="Azure's CSV, Mooncake's JSONL, or records exported as JSONL."),
            click.option(
                "--state-dir",
                type=click.Path(exists=True, file_okay=False, path_type=Path),
                help="Records of this gateway.",
            ),
            click.option("--generate", "generator", type=_FILE, help="TOML file with what a workload is like."),
            click.option(
                "--since", default="", metavar="WHEN", help="With --state-dir: 7d, 24h, or an ISO 8601 time (UTC)."
            ),
            click.option("--model", default="", help="With --state-dir: only calls of this model (the alias)."),
            click.option(
                "--load",
                type=click.FloatRange(min=0, min_open=True),
                default=1.0,
                show_default=True,
                help="Times the rate.",
            ),
            click.option(
                "--data-class",
                type=click.Choice([str(one) for one in DataClass]),
                help="Of calls that do not say. [default: as the fleet's policies count them; internal where it has none]",
            ),
        )
    ):
        command = option(command)
    return command


def chosen_workload(given: dict[str, Any], seed: int) -> "Workload | None":
    """The calls that these options say, which are taken out of `given`; None where they say none. Raises BadWorkload, click.UsageError."""
    sources = {name: given.pop(name) for name in ("trace", "state_dir", "generator")}
    how = {name: given.pop(name) for name in ("since", "model", "load", "data_class")}
    if sum(source is not None for source in sources.values()) > 1:
        raise click.UsageError(_ONE)
    if sources["state_dir"] is None and (how["since"] or how["model"]):
        raise click.UsageError(
            "--since and --model choose among the records of --state-dir: give it, or leave them out."
        )
    return None if not any(sources.values()) else _calls(**sources, given=how, seed=seed)


def with_workload(command: Callable[..., T]) -> Callable[..., T]:
    """The options that say which calls; the command gets a `Workload` and the seed."""

    @workload_options
    @click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
    @wraps(command)
    def with_calls(*args: Any, seed: int, **options: Any) -> T:
        calls = chosen_workload(options, seed)
        if calls is None:
            raise click.UsageError(_ONE)
        return command(*args, workload=calls, seed=seed, **options)

    return with_calls


def read_generator(file: Path) -> "Generator":
    """A generator from a TOML file. Raises BadWorkload."""
    from switchgear.planner.errors import BadWorkload
    from switchgear.planner.generate import Generator
    from switchgear.planner.numbers import NO_TOML, REMEDY, unusable, values_of

    try:
        data = values_of(file.read_bytes())
        for key, number in unusable(data):
            raise BadWorkload(f"{file}: {key} is {number}. {REMEDY}")
        return msgspec.convert(data, Generator)
    except (OSError, msgspec.ValidationError, *NO_TOML) as error:
        raise BadWorkload(f"{file}: {error}; docs/planner.md lists the keys") from error


def _calls(
    trace: Path | None, state_dir: Path | None, generator: Path | None, given: dict[str, Any], seed: int
) -> "Workload":
    from switchgear.planner.generate import generate
    from switchgear.planner.traces import read_trace
    from switchgear.planner.workload import scaled

    data_class = DataClass(given["data_class"]) if given["data_class"] else None
    if trace is not None:
        calls = read_trace(trace, data_class)
    elif generator is not None:
        calls = generate(read_generator(generator), seed, f"{generator}, seed {seed}")
    else:
        assert state_dir is not None  # noqa: S101  one of the three is given
        calls = _recorded(state_dir, given, data_class)
    return calls if given["load"] == 1.0 else scaled(calls, given["load"])


def _recorded(state_dir: Path, given: dict[str, Any], data_class: DataClass | None) -> "Workload":
    from switchgear.journal.reader import Reader
    from switchgear.planner.errors import BadWorkload
    from switchgear.planner.traces_records import Read, records_of_journal
    from switchgear.planner.workload import merged

    directory = state_dir / "journal"
    if not directory.is_dir():
        raise click.ClickException(f"There is no journal in {directory}. --state-dir says where the gateway keeps it.")
    try:
        since_s = parse_moment(given["since"], SystemClock.now_s()) if given["since"] else None
    except ValueError as error:
        raise click.BadParameter(
            f"{given['since']!r} is neither like 7d or 24h, nor an ISO 8601 time.", param_hint="--since"
        ) from error
    read = Read(str(state_dir), data_class, given["model"])
    reader = Reader(directory)
    try:
        pieces = list(records_of_journal(reader, read, since_s))
    finally:
        reader.close()
    for reason, count in read.left_out.items():
        click.echo(f"note: {count} records were left out: {reason}", err=True)
    if not pieces:
        raise BadWorkload(f"{state_dir} holds no call with token counts; record some, or give --trace or --generate")
    return merged(pieces, str(state_dir))
