"""The configuration file: read, checked, and made a snapshot of.

`load` and `load_file` give a configuration that can be served from, or raise ConfigError with every problem found, each with its line,
its path, what is wrong and the remedy. `inspect` and `inspect_file` tell the same without raising, for `switchgear check`.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path as File
from typing import Any, NamedTuple

from switchgear.core.authorization import Authorization
from switchgear.core.errors import ConfigError, Problem
from switchgear.core.screening import Screening
from switchgear.core.snapshot import Snapshot, make_snapshot
from switchgear.gateway.config_care import check_care
from switchgear.gateway.config_checks import check_gateway, check_keys, check_names
from switchgear.gateway.config_decode import Decoder
from switchgear.gateway.config_files import check_files
from switchgear.gateway.config_may import (
    check_energy,
    check_identities,
    check_limits,
    check_policies,
    check_screen,
    effective_sharing,
)
from switchgear.gateway.config_model import Config, Durability, GatewayConfig, GatewayTls, OnJournalFailure
from switchgear.gateway.config_places import check_backends, check_models
from switchgear.gateway.config_sketches import check_sketches
from switchgear.gateway.findings import Findings
from switchgear.gateway.lines import Lines, dotted
from switchgear.policy.cedar_files import load_policies
from switchgear.policy.errors import ScreenError
from switchgear.policy.screen_files import with_words

__all__ = [
    "Config",
    "ConfigFileError",
    "Durability",
    "GatewayConfig",
    "GatewayTls",
    "Inspected",
    "Loaded",
    "OnJournalFailure",
    "inspect",
    "inspect_file",
    "load",
    "load_file",
    "snapshot_of",
]

_POSITION = re.compile(r" \((?:at line (\d+), column \d+|at end of document)\)$")
_REMEDIES = (
    ("Invalid value", "Text needs quotes; numbers, true and false need none."),
    ("Expected newline", "Write each key on a line of its own."),
    ("Expected '='", "Write key = value."),
    ("Unterminated string", "Close the quote."),
    ("Invalid initial character", "Names with other characters than letters, digits, _ and - need quotes."),
    ("Unclosed array", "Close the bracket."),
    ("Expected ']'", "Close the bracket; names with other characters than letters, digits, _ and - need quotes."),
)


class Loaded(NamedTuple):
    """A configuration that can be served from, and what may be wrong in it nevertheless."""

    config: Config
    warnings: tuple[Problem, ...]


class Inspected(NamedTuple):
    """All that is to be said of a file. `config` is None exactly where there are problems."""

    config: Config | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


class ConfigFileError(ConfigError):
    """A ConfigError that knows its file."""

    def __init__(self, name: str, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.name = name

    def __str__(self) -> str:
        return "\n".join(f"{self.name}: {problem}" for problem in self.problems)


def load(text: bytes, *, name: str, environment: Mapping[str, str] = os.environ) -> Loaded:
    """The configuration in a file's content. Raises ConfigFileError with every problem; `name` is what the file is called in it."""
    return _loaded(inspect(text, environment=environment), name)


def load_file(path: str | os.PathLike[str], *, environment: Mapping[str, str] = os.environ) -> Loaded:
    """The configuration in a file. Raises ConfigFileError with every problem, also when the file cannot be read."""
    return _loaded(inspect_file(path, environment=environment), os.fspath(path))


def _loaded(inspected: Inspected, name: str) -> Loaded:
    if inspected.config is None:
        raise ConfigFileError(name, list(inspected.problems))
    return Loaded(inspected.config, inspected.warnings)


def inspect_file(path: str | os.PathLike[str], *, environment: Mapping[str, str] = os.environ) -> Inspected:
    """`inspect` on a file; one that cannot be read has that as its problem."""
    try:
        text = File(path).read_bytes()
    except OSError as error:
        return _unreadable(Problem("file", f"cannot be read: {error.strerror or error}", "Name a file that can."))
    return inspect(text, environment=environment)


def inspect(text: bytes, *, environment: Mapping[str, str] = os.environ) -> Inspected:
    """Everything that is wrong, or may be, in a file's content. Files that it names are looked at as well."""
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        return _unreadable(Problem("file", "is not UTF-8 text", "Save it as UTF-8.", line))
    lines = Lines(decoded)
    try:
        raw = tomllib.loads(decoded)
    except (ValueError, RecursionError) as error:  # ValueError: tomllib's own, and numbers of thousands of digits
        return _unreadable(_syntax_problem(decoded, lines, error))
    findings = Findings(lines)
    config = _check(raw, findings, environment)
    problems = tuple(findings.problems)
    return Inspected(None if problems else config, problems, tuple(findings.warnings))


def _check(raw: dict[str, Any], findings: Findings, environment: Mapping[str, str]) -> Config | None:
    if raw.pop("control", None) is not None:
        findings.refuse(
            ("control",),
            "asks for a control plane, and this version runs none",
            "Remove the table; all else works without it.",
        )
    doc = Decoder(raw, findings)
    config = doc.decode(raw, Config, ())
    check_gateway(doc)
    check_names(doc)
    check_keys(doc)
    check_backends(doc)
    check_models(doc)
    check_files(doc, environment)
    if not isinstance(config, Config):
        return None
    check_identities(config, findings)
    check_policies(config, findings)
    check_limits(config, findings)
    check_energy(config, findings)
    check_care(config, findings, environment)
    check_screen(config, findings, environment)
    check_sketches(config, findings)
    return config


def _unreadable(problem: Problem) -> Inspected:
    return Inspected(None, (problem,), ())


def _syntax_problem(text: str, lines: Lines, error: Exception) -> Problem:
    if isinstance(error, RecursionError):
        return Problem("file", "nests arrays or tables too deeply", "Write tables with headers.")
    if lines.repeated:  # tomllib names the place after the second value
        path, line = lines.repeated[0]
        return Problem(dotted(path), f"is given again; it stands on line {lines.line(path)} already", "Keep one.", line)
    if not isinstance(error, tomllib.TOMLDecodeError):
        return Problem("file", "holds a number of thousands of digits", "Write a number of at most 18 digits.")
    message = str(error)
    position = _POSITION.search(message)
    where: int | None = None
    if position is not None:
        message = message[: position.start()]
        where = int(position[1]) if position[1] else text.rstrip().count("\n") + 1
    remedy = next(
        (remedy for start, remedy in _REMEDIES if message.startswith(start)), "See toml.io for how TOML is written."
    )
    return Problem("file", f"is not valid TOML: {message}", remedy, where)


def snapshot_of(config: Config) -> Snapshot:
    """What a data plane serves from, of a configuration. Reads the files of policies; raises ConfigError where one cannot be read."""
    return make_snapshot(
        config.backends,
        config.models,
        config.keys,
        oidc=config.oidc,
        certificates=config.certificates,
        authorization=Authorization(
            texts=load_policies(config.policy.files), teams=config.teams, unknown_class=config.policy.unknown_class
        ),
        limits=config.limits,
        fair_share=config.fair_share,
        limit_sharing=effective_sharing(config),
        screen=_screen(config),
        cache=config.cache,
    )


def _screen(config: Config) -> Screening | None:
    """The screen with the words of its lists' files."""
    try:
        return with_words(config.screen) if config.screen is not None else None
    except ScreenError as error:
        raise ConfigError([Problem(f"screen.{error.path}", error.message, error.remedy)]) from error
