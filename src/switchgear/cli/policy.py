"""`switchgear policy`: check policies, run their tests, and ask them why."""

import importlib.resources
import json
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import click
import msgspec

from switchgear.cli.policy_files import TESTS, Suite, described, policies_of, suite, tests_beside
from switchgear.cli.policy_output import console, finding, print_answer, print_findings, result
from switchgear.core.authorization import Purpose
from switchgear.core.data_class import DataClass
from switchgear.core.errors import ConfigError, Problem
from switchgear.policy.authz import Authorizer
from switchgear.policy.authz_cases import Result, run_cases, untested
from switchgear.policy.authz_why import explain
from switchgear.policy.authz_world import Caller, Described, Principal, Target
from switchgear.policy.cedar import PolicySet
from switchgear.policy.cedar_check import Checked, nearest
from switchgear.policy.cedar_check import check as check_policies
from switchgear.policy.cedar_files import load_policies
from switchgear.policy.cedar_schema import SCHEMA

P = ParamSpec("P")

_CONFIG = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The configuration file; only what policies are about is read of it.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def policy() -> None:
    """Who may send which data where: check policies, run their tests, ask them why."""


def _telling_problems(command: Callable[P, None]) -> Callable[P, None]:
    """Problems with files end the command like those that `policy check` finds."""

    @wraps(command)
    def with_problems(*args: P.args, **options: P.kwargs) -> None:
        try:
            command(*args, **options)
        except ConfigError as error:
            if options.get("as_json"):
                click.echo(_json({"ok": False, "problems": [finding(found) for found in error.problems]}))
            else:
                print_findings(console(), "problem", "bold red", error.problems)
            raise SystemExit(1) from error

    return with_problems


@policy.command()
@click.argument("files", nargs=-1)
@_CONFIG
@_JSON
@_telling_problems
def check(files: tuple[str, ...], config: Path | None, as_json: bool) -> None:
    """Say what is wrong with policies: FILES (paths or patterns), or those that the configuration names.

    With --config the names in them (backends, models, teams, labels) are held against it as well. The exit code is 1 where
    there are problems; warnings alone leave it 0.
    """
    if not files and config is None:
        raise click.UsageError("Name files, or --config FILE.")
    said = described(config) if config is not None else None
    texts = load_policies(files) if config is None or said is None else policies_of(config, said, files)
    checked = check_policies(texts, said.world if said is not None else None)
    if as_json:
        click.echo(_json(_checked(checked)))
    else:
        out = console()
        print_findings(out, "problem", "bold red", checked.problems)
        print_findings(out, "warning", "yellow", checked.warnings)
        counts = (
            (len(checked.policies), "policy", "policies"),
            (len(checked.problems), "problem", "problems"),
            (len(checked.warnings), "warning", "warnings"),
        )
        out.print(", ".join(f"{count or 'no'} {one if count == 1 else many}" for count, one, many in counts))
    if checked.problems:
        raise SystemExit(1)


def _checked(checked: Checked) -> dict[str, object]:
    return {
        "ok": not checked.problems,
        "policies": [
            {
                "id": one.id,
                "effect": "permit" if one.permits else "forbid",
                "file": one.statement.file,
                "line": one.statement.line,
            }
            for one in checked.policies
        ],
        "problems": [finding(found) for found in checked.problems],
        "warnings": [finding(found) for found in checked.warnings],
    }


@policy.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@_CONFIG
@_JSON
@_telling_problems
def test(files: tuple[Path, ...], config: Path | None, as_json: bool) -> None:
    """Run unit tests of policies: FILES, or every *.test.toml beside the policies that the configuration names.

    Without either, those in the directory `policies`. The exit code is 1 where a test fails.
    """
    chosen = list(files)
    if not chosen and config is not None:
        chosen = tests_beside(text.file for text in policies_of(config, described(config)))
    elif not chosen:
        chosen = tests_beside(["policies/any"])
    if not chosen:
        raise click.UsageError(f"There is no {TESTS} here. Name files, or --config FILE.")
    ran = [(one, list(_run(one))) for one in map(suite, chosen)]
    if as_json:
        click.echo(_json(_tested(ran)))
    else:
        _print_tested(ran)
    if any(one.failure for _, results in ran for one in results):
        raise SystemExit(1)


def _run(one: Suite) -> Iterator[Result]:
    principals = one.described.principals if one.described is not None else {}
    return run_cases(one.cases, one.policies, principals, one.unknown_class)


def _tested(ran: list[tuple[Suite, list[Result]]]) -> dict[str, object]:
    return {
        "ok": not any(one.failure for _, results in ran for one in results),
        "tests": [result(one, tested.file) for tested, results in ran for one in results],
        "untested": [
            {"file": tested.file, "policy": name}
            for tested, results in ran
            for name in untested(results, tested.policies)
        ],
    }


def _print_tested(ran: list[tuple[Suite, list[Result]]]) -> None:
    out = console()
    for tested, results in ran:
        failed = [one for one in results if one.failure]
        for one in failed:
            where = f"{one.backend}, {one.purpose}"
            out.print(f"failed {tested.file} {one.case.name} ({where}): {one.failure}", style="red")
        for name in untested(results, tested.policies):
            out.print(f"warning {tested.file} policy {name} decides no test that passes", style="yellow")
        out.print(f"{tested.file}: {len(results) - len(failed)} passed, {len(failed) or 'none'} failed", style="bold")


@policy.command()
@click.option(
    "--config",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The configuration file; only what policies are about is read of it.",
)
@click.option("--policies", multiple=True, metavar="FILE", help="Policies instead of those of the configuration.")
@click.option("--principal", required=True, help="Name of a key, or of anyone with --team or --role.")
@click.option("--team", default=None, help="The principal's team, where it is no key.")
@click.option("--role", "roles", multiple=True, help="A role of the principal's own, where it is no key.")
@click.option("--model", required=True, help="The model that is called (the alias).")
@click.option("--class", "data_class", type=click.Choice([one.value for one in DataClass]), help="The data class.")
@click.option("--backend", default="", help="Only this backend, a target of the model or not.")
@click.option("--purpose", type=click.Choice([one.value for one in Purpose]), help="Only this purpose.")
@_JSON
@_telling_problems
def why(config: Path, as_json: bool, **options: Any) -> None:
    """Tell where a principal may send a call, and which policies say so."""
    said = described(config)
    authorizer = Authorizer(
        PolicySet.compiled(policies_of(config, said, options["policies"]), said.world),
        said.routes,
        unknown_class=said.policies.unknown_class,
    )
    who = _principal(said, config, options["principal"], options["team"], options["roles"])
    declared = DataClass(options["data_class"]) if options["data_class"] else None
    answer = explain(
        authorizer,
        who,
        options["model"],
        said.told(who, options["model"], declared),
        _targets(said, config, options["model"], options["backend"]),
        [Purpose(options["purpose"])] if options["purpose"] else tuple(Purpose),
    )
    most = who.max_data_class if isinstance(who, Caller) else None
    answer = answer._replace(
        class_raised=answer.class_given and answer.data_class is not declared,
        above=most if most is not None and answer.data_class > most else None,
    )
    if as_json:
        told = answer._asdict() | {"lines": [line._asdict() for line in answer.lines]}
        click.echo(_json(told | {"refusal": answer.refusal._asdict() if answer.refusal is not None else None}))
    else:
        print_answer(console(), answer)


def _principal(said: Described, config: Path, name: str, team: str | None, roles: tuple[str, ...]) -> Principal:
    if team is not None or roles:
        return Principal(name=name, team=team or "", roles=roles)
    known = said.principals.get(name)
    if known is None:
        remedy = f"{nearest(name, said.principals)} For another principal say its --team or a --role."
        raise ConfigError([Problem(str(config), f'has no key of the name "{name}"', remedy)])
    return known


def _targets(said: Described, config: Path, model: str, backend: str) -> tuple[Target, ...]:
    if model not in said.routes:
        raise ConfigError([Problem(str(config), f'has no model "{model}"', nearest(model, said.routes))])
    if not backend:
        return said.routes[model]
    if backend not in said.world.places:
        raise ConfigError([Problem(str(config), f'has no backend "{backend}"', nearest(backend, said.world.places))])
    there = tuple(target for target in said.routes[model] if target.backend == backend)
    return there or (Target(backend, ""),)


@policy.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), default=Path("policies"))
def init(directory: Path) -> None:
    """Write the starting policies and their tests to DIRECTORY [policies]. Files that are there are kept as they are."""
    starting = importlib.resources.files("switchgear.policy") / "starting"
    directory.mkdir(parents=True, exist_ok=True)
    for source in sorted(starting.iterdir(), key=lambda one: one.name):
        if not source.name.endswith((".cedar", ".toml")):
            continue
        target = directory / source.name
        if target.exists():
            click.echo(f"{target} is there already and was kept")
        else:
            target.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
            click.echo(f"{target} written")
    click.echo(
        f'Now write [policy] files = ["{directory}/*.cedar"] into the configuration, and run `switchgear policy test`.'
    )


@policy.command()
def schema() -> None:
    """Print the Cedar schema of our policies, for editors that know Cedar."""
    click.echo(SCHEMA, nl=False)


def _json(content: object) -> str:
    return json.dumps(msgspec.to_builtins(content), ensure_ascii=False, indent=2)
