"""What a configuration may not say of kept answers, of asking a larger model, and of last resorts."""

from collections.abc import Mapping
from pathlib import Path as File

from switchgear.confidence.errors import BadRule
from switchgear.confidence.names import Needs
from switchgear.confidence.parse import parse
from switchgear.core.caching import CacheDisk, LastResort
from switchgear.core.snapshot import Model
from switchgear.gateway.config_model import Config
from switchgear.gateway.findings import Findings, suggest
from switchgear.gateway.lines import Path

_DISK: Path = ("cache", "disk")


def check_care(config: Config, findings: Findings, environment: Mapping[str, str]) -> None:
    """Each model's `cache`, `escalate` and `last_resort`, and the keys of the cache on disk."""
    if config.cache.disk is not None:
        _check_disk(config.cache.disk, findings, environment)
    for name, model in config.models.items():
        path: Path = ("models", name)
        if model.cache is not None and model.cache.disk and config.cache.disk is None:
            findings.refuse(
                (*path, "cache", "disk"),
                "wants answers kept on disk, and there is no [cache.disk]",
                "Add it, with the keys that seal them, or leave this out.",
            )
        if model.escalate is not None:
            _check_escalate(config, name, model, findings)
        for index, resort in enumerate(model.last_resort):
            _check_resort(config, name, resort, (*path, "last_resort", index), findings)


def _check_disk(disk: CacheDisk, findings: Findings, environment: Mapping[str, str]) -> None:
    if (disk.key_env is None) == (disk.key_file is None):
        findings.refuse(
            _DISK,
            f"has {'neither' if disk.key_env is None else 'both'} of key_env and key_file",
            "Give one of the two: it names the keys that seal what is on disk.",
        )
        return
    if disk.key_file is not None:
        text = _read(disk.key_file)
        if text is None:
            findings.refuse((*_DISK, "key_file"), "names a file that cannot be read", "Write the keys into it.")
            return
        path: Path = (*_DISK, "key_file")
    else:
        text = environment.get(disk.key_env or "")
        path = (*_DISK, "key_env")
        if not text:
            findings.warn(path, "names a variable that is not set here", "Set it where the gateway runs.")
            return
    from switchgear.cache.errors import BadCacheKey  # with `cryptography`, for those who have a disk
    from switchgear.cache.sealing import Keyring, parse_keys

    try:
        Keyring(parse_keys(text), bytes)
    except BadCacheKey as error:
        message, _, remedy = str(error).partition(". ")
        findings.refuse(path, f"holds keys that cannot be used: {message}", remedy or "Write others.")


def _read(name: str) -> str | None:
    try:
        return File(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _check_escalate(config: Config, name: str, model: Model, findings: Findings) -> None:
    path: Path = ("models", name, "escalate")
    escalate = model.escalate
    assert escalate is not None  # noqa: S101  for the type checker
    _check_model(config, escalate.to, name, (*path, "to"), findings)
    larger = config.models.get(escalate.to)
    if larger is not None and larger.escalate is not None and escalate.to != name:
        findings.warn(
            (*path, "to"), "names a model that escalates itself, which is done once for a call", "Name the last one."
        )
    try:
        rule = parse(escalate.when)
    except BadRule as error:
        findings.refuse((*path, "when"), f"cannot be read: column {error.column}: {error.message}", error.remedy)
        return
    if escalate.first_tokens is not None and rule.at_end:
        findings.warn(
            (*path, "first_tokens"),
            f"lets a stream flow before {' and '.join(rule.at_end)} can be known",
            "Leave it out, or them; or keep them for calls that are not streamed.",
        )
    if not rule.needs & Needs.LOGPROBS:
        return
    for index, target in enumerate(model.targets):
        backend = config.backends.get(target.backend)
        if backend is not None and not backend.capabilities.logprobs:
            findings.warn(
                ("models", name, "targets", index),
                "is never asked: the rule of escalate needs log-probabilities, and its backend gives none",
                "Remove it, set capabilities.logprobs, or write a rule without them.",
            )


def _check_resort(config: Config, name: str, resort: LastResort, path: Path, findings: Findings) -> None:
    given = [one for one in ("stale_s", "model", "message") if getattr(resort, one) is not None]
    if len(given) != 1:
        what = f"has {' and '.join(given)}" if given else "has none of stale_s, model and message"
        findings.refuse(path, what, "Give one of the three; write another for each further one.")
        return
    if resort.model is not None:
        _check_model(config, resort.model, name, (*path, "model"), findings)
    if resort.stale_s is not None and config.models[name].cache is None:
        findings.refuse(
            (*path, "stale_s"), "has nothing to give: the model keeps no answers", "Add cache, or remove this."
        )


def _check_model(config: Config, named: str, name: str, path: Path, findings: Findings) -> None:
    if named == name:
        findings.refuse(path, "names the model itself", "Name another one.")
    elif named not in config.models:
        findings.refuse(path, f'names no model: "{named}"', suggest(named, config.models, what="Models"))
