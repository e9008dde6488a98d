"""Files of `switchgear policy`: configurations, policies and their tests, read and put together."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from switchgear.core.authorization import PolicyText
from switchgear.core.data_class import DataClass
from switchgear.core.errors import ConfigError, Problem
from switchgear.policy.authz_cases import Cases, check_cases, decode_cases
from switchgear.policy.authz_world import Described, describe
from switchgear.policy.cedar import PolicySet
from switchgear.policy.cedar_files import load_policies

TESTS = "*.test.toml"


class Suite(NamedTuple):
    """A file of tests, ready to be run."""

    file: str
    cases: Cases
    policies: PolicySet
    described: Described | None
    """What the configuration says that it names."""

    @property
    def unknown_class(self) -> DataClass:
        given = self.cases.unknown_class
        said = self.described.policies.unknown_class if self.described else DataClass.RESTRICTED
        return said if given is None else given


def described(config: Path) -> Described:
    """What a configuration file says that policies are about. Raises ConfigError."""
    try:
        raw = tomllib.loads(config.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(
            [Problem(str(config), f"cannot be read: {error.strerror}", "Name a file that can.")]
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([Problem(str(config), f"is not TOML: {error}", "`switchgear check` says more.")]) from error
    return describe(raw, str(config))


def policies_of(config: Path, said: Described, files: Iterable[str] = ()) -> tuple[PolicyText, ...]:
    """Texts of the policies that a configuration names, or of `files` instead. Raises ConfigError."""
    chosen = tuple(files) or said.policies.files
    if not chosen:
        remedy = 'Write [policy] files = ["policies/*.cedar"], or name the files.'
        raise ConfigError([Problem(str(config), "names no policies", remedy)])
    return load_policies(chosen)


def suite(file: Path) -> Suite:
    """A file of tests with all that it names. Raises ConfigError."""
    try:
        cases = decode_cases(file.read_bytes(), str(file))
    except OSError as error:
        raise ConfigError([Problem(str(file), f"cannot be read: {error.strerror}", "Name a file that can.")]) from error
    beside = file.parent
    said = described(beside / cases.config) if cases.config else None
    if said is not None and (cases.backends or cases.models or cases.teams):
        remedy = "Keep one of them."
        raise ConfigError([Problem(str(file), "names a configuration and has tables of its own", remedy)])
    if said is not None and not cases.policies:
        texts = policies_of(beside / cases.config, said)
    else:
        texts = load_policies(str(beside / one) for one in cases.policies or ("*.cedar",))
    made = PolicySet.compiled(texts, said.world if said is not None else cases.world)
    problems = check_cases(cases, made, said.principals if said is not None else {}, str(file))
    if problems:
        raise ConfigError(problems)
    return Suite(str(file), cases, made, said)


def tests_beside(files: Iterable[str]) -> list[Path]:
    """Files of tests in the directories of some files, each once."""
    return [
        test for folder in dict.fromkeys(Path(file).parent for file in files) for test in sorted(folder.glob(TESTS))
    ]
