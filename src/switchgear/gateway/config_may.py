"""What a configuration may not say of who may call and what policies allow."""

import importlib.util
from collections.abc import Collection, Mapping
from pathlib import Path as File

import msgspec

from switchgear.core.errors import ConfigError
from switchgear.core.external_screening import PLACE, ExternalScreening
from switchgear.core.health import problem_of
from switchgear.core.identity import Certificate, Key, OidcProvider
from switchgear.core.limits import LimitSharing
from switchgear.core.screening import Canary
from switchgear.gateway.config_model import Config
from switchgear.gateway.findings import Findings
from switchgear.gateway.lines import Path, path_of
from switchgear.identity import checks
from switchgear.limits.check import fair_share_problems, limit_problems, sharing_problems
from switchgear.policy.authz_world import groups_of, places
from switchgear.policy.cedar_files import load_policies
from switchgear.policy.cedar_schema import World
from switchgear.policy.errors import ScreenError
from switchgear.policy.screen_files import with_words


def check_identities(config: Config, findings: Findings) -> None:
    """Keys, OpenID providers and certificates beside each other."""
    for flaw in checks.check(config.keys, config.oidc, config.certificates):
        if not findings.refused(flaw.path):  # the keys themselves were looked at one by one already
            findings.refuse(flaw.path, flaw.message, flaw.remedy)
    for provider_name, provider in config.oidc.items():
        if provider.ca is not None and not File(provider.ca).is_file():
            findings.refuse(("oidc", provider_name, "ca"), "names a file that is not there", "Name a PEM file.")
    for name in _unknown_models(config):
        findings.refuse(name, "names no model", "Name one of [models], or leave it out to allow all.")
    for path in _never_allowed(config):
        findings.refuse(
            path, "is stricter than max_data_class: every call would be refused", "Lower it, or raise max_data_class."
        )
    tls = config.gateway.tls
    if config.certificates and (tls is None or tls.client_ca is None):
        findings.warn(
            ("certificates",),
            "have no effect: no caller is asked for one",
            "Name the authority of callers with gateway.tls.client_ca.",
        )


def _unknown_models(config: Config) -> list[Path]:
    named: list[tuple[Path, tuple[str, ...]]] = [
        *((("oidc", name, "models"), one.models or ()) for name, one in config.oidc.items()),
        *((("certificates", index, "models"), one.models or ()) for index, one in enumerate(config.certificates)),
    ]
    return [
        (*path, index) for path, models in named for index, model in enumerate(models) if model not in config.models
    ]


def _never_allowed(config: Config) -> list[Path]:
    """Classes that calls carry at least, above those that they may carry at most."""
    named: list[tuple[Path, Key | Certificate | OidcProvider]] = [
        *((("keys", index), one) for index, one in enumerate(config.keys)),
        *((("certificates", index), one) for index, one in enumerate(config.certificates)),
        *((("oidc", name), one) for name, one in config.oidc.items()),
    ]
    return [
        (*path, "data_class")
        for path, one in named
        if one.data_class is not None and one.max_data_class is not None and one.data_class > one.max_data_class
    ]


def check_energy(config: Config, findings: Findings) -> None:
    """What a grid's series says can be used."""
    for name, backend in config.backends.items():
        grid = backend.energy.grid if backend.energy is not None else None
        if grid is not None and (problem := problem_of(grid)):
            findings.refuse(("backends", name, "energy", "grid"), problem, "See docs/rehearsal.md.")


def effective_sharing(config: Config) -> LimitSharing:
    """How limits are shared. A budget outlives a restart, so with one there is a database in any case."""
    sharing = config.limit_sharing
    budgets = any(limit.usd_per_day is not None or limit.usd_per_month is not None for limit in config.limits)
    if budgets and not sharing.database:
        return msgspec.structs.replace(sharing, database=f"sqlite:///{config.gateway.state_dir}/limits.db")
    return sharing


def check_limits(config: Config, findings: Findings) -> None:
    """Limits name what there is; several workers need a database to share them."""
    names: dict[str, Collection[str]] = {"model": config.models, "backend": config.backends}
    teams: set[str] | None = None
    if not config.oidc:  # whose tokens bring teams and names of their own
        callers: list[Key | Certificate] = [*config.keys, *config.certificates]
        teams = {one.team for one in callers} | set(config.teams)
        names |= {"key": {one.name for one in callers}, "team": teams}
    found = [*limit_problems(config.limits, names)]
    if config.fair_share is not None:
        found += fair_share_problems(config.fair_share, teams)
    found += sharing_problems(effective_sharing(config), config.limits, config.gateway.workers)
    for problem in found:
        findings.refuse(path_of(problem.path), problem.message, problem.remedy)


def check_screen(config: Config, findings: Findings, environment: Mapping[str, str]) -> None:
    """The screen's rules and patterns can be compiled; its canaries' tokens can be read."""
    if config.screen is None:
        return
    from switchgear.policy.screen import Screen

    canaries: list[Canary] = []
    for index, canary in enumerate(config.screen.canaries):
        path: Path = ("screen", "canaries", index)
        given = [name for name in ("token", "token_env", "token_file") if getattr(canary, name)]
        if len(given) != 1:
            findings.refuse(path, "has no token, or several", "Give one of token, token_env and token_file.")
            continue
        if canary.token_env is not None and not environment.get(canary.token_env):
            findings.warn(
                (*path, "token_env"), "names a variable that is not set here", "Set it where the gateway runs."
            )
        if canary.token_file is not None and not File(canary.token_file).is_file():
            findings.refuse((*path, "token_file"), "names a file that is not there", "Write the token into it.")
        canaries.append(Canary(name=canary.name, token=canary.token or f"not read: {canary.name}"))
    try:
        Screen(msgspec.structs.replace(with_words(config.screen), canaries=tuple(canaries)))
    except ScreenError as error:
        findings.refuse(("screen", *path_of(error.path)), error.message, error.remedy)
    if config.screen.external is not None:
        _check_external(config, config.screen.external, findings)


def _check_external(config: Config, external: ExternalScreening, findings: Findings) -> None:
    """What the external screen needs is installed, its words are fit for policies, and no backend has the name of its place."""
    path: Path = ("screen", "external")
    if importlib.util.find_spec("presidio_analyzer") is None:
        findings.warn(
            path,
            "needs Presidio, which is not installed here: every call counts as one that it is late for",
            "Install it with `pip install 'switchgear[presidio]'`, or take the table out.",
        )
    model = external.model
    if model and not File(model).is_dir() and (not model.isidentifier() or importlib.util.find_spec(model) is None):
        findings.warn(
            (*path, "model"),
            f'names a spaCy model that is not installed here: "{model}"',
            "Install its package where the gateway runs, or name its directory.",
        )
    if PLACE in config.backends:
        findings.refuse(
            ("backends", PLACE), "has the name that policies know the external screen by", "Give it another."
        )


def check_policies(config: Config, findings: Findings) -> None:
    """Policies are read, and checked against the schema and against what the file names."""
    if not config.policy.files:
        return
    from switchgear.policy.cedar_check import check

    try:
        texts = load_policies(config.policy.files)
    except ConfigError as error:
        for problem in error.problems:
            named = [index for index, one in enumerate(config.policy.files) if one == problem.path]
            path: Path = ("policy", "files", *named[:1])
            findings.refuse(path, f"names {problem.path}, which {problem.message}", problem.remedy)
        return
    signed_in = {team for one in config.oidc.values() for team in (one.team or "", *one.teams.values()) if team}
    world = World(
        places(config.backends, config.screen.external if config.screen is not None else None),
        {name: model.labels for name, model in config.models.items()},
        config.teams,
        groups_of((*config.keys, *config.certificates)) | {("Team", team) for team in signed_in},
    )
    checked = check(texts, world)
    findings.elsewhere(checked.problems, checked.warnings)
