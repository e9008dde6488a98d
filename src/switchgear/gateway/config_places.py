"""What a configuration may not say of its backends and models although each value is fine by itself. Pure."""

import re
from urllib.parse import urlsplit

from switchgear.backends.registry import PROTOCOLS
from switchgear.core.snapshot import Backend, Hedge, Kind, Prices, Retry, Target, Timeouts
from switchgear.gateway.config_checks import is_loopback
from switchgear.gateway.config_decode import Decoder
from switchgear.gateway.config_model import Config
from switchgear.gateway.config_secrets import is_credential_header, is_secret_header
from switchgear.gateway.findings import suggest
from switchgear.gateway.lines import Path, dotted
from switchgear.gateway.strategies import STRATEGIES
from switchgear.wire.errors import AddressError
from switchgear.wire.origin import parse_url

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_URL = re.compile(r"[!-~]+")
_OURS = frozenset(
    ("host", "content-type", "content-length", "transfer-encoding", "connection", "accept-encoding", "expect", "te", "upgrade")
)  # fmt: skip


def check_backends(doc: Decoder) -> None:
    """Each place can be reached and paid for, and no secret stands in the file."""
    whole = doc.at((), Config) is not None  # else a backend may seem unused because of another problem
    used = {target.backend for _, target in doc.all(Target)}
    for name in doc.names(("backends",)):
        path: Path = ("backends", name)
        protocol = doc.at((*path, "protocol"), str)
        if protocol is not None and protocol not in PROTOCOLS:
            doc.findings.refuse(
                (*path, "protocol"), f'names no protocol: "{protocol}"', suggest(protocol, PROTOCOLS, what="Protocols")
            )
        _check_url(doc, path)
        _check_api_key(doc, path)
        _check_headers(doc, path)
        _check_timeouts(doc, path)
        if whole and name not in used:
            doc.findings.warn(path, "is no target of any model", "Name it in the targets of a model, or remove it.")
    for where, prices in doc.all(Prices):
        if prices.input_usd_per_mtok == 0 and prices.output_usd_per_mtok == 0:
            doc.findings.warn(
                where,
                "say that calls cost nothing",
                "If the price is not known, leave prices out: calls are unpriced then.",
            )


def _check_url(doc: Decoder, path: Path) -> None:
    here = (*path, "base_url")
    url = doc.at(here, str)
    if url is None:
        return
    secure = False
    if url.startswith("unix:"):
        if url == "unix:":
            doc.findings.refuse(here, "names no socket", "Write unix:/path/to/socket.")
    elif "@" in url.partition("://")[2].partition("/")[0]:  # before anything that would print it
        doc.findings.refuse(here, "holds credentials", "Put the key into api_key_env, and leave it out of the URL.")
    elif not _URL.fullmatch(url):
        doc.findings.refuse(here, "holds a space or a character that no URL may hold", "Percent-encode it.")
    else:
        try:
            secure = parse_url(url).scheme == "https"
        except AddressError as error:
            message = str(error).removeprefix(repr(url)).strip()
            doc.findings.refuse(here, message, "For example http://10.0.0.5:8000/v1 or unix:/path/to/socket.")
            return
        if not secure and doc.at((*path, "kind"), Kind) is Kind.CLOUD and not is_loopback(urlsplit(url).hostname or ""):
            doc.findings.warn(here, "is a cloud without TLS: keys and prompts travel in clear text", "Use https://.")
    _check_tls(doc, (*path, "tls"), secure=secure)


def _check_tls(doc: Decoder, path: Path, *, secure: bool) -> None:
    if doc.names(path) and not secure:
        doc.findings.warn(path, "has no effect: base_url is not https", "Use https:// in base_url, or remove tls.")
    if doc.at((*path, "verify"), bool) is False:
        doc.findings.warn(
            (*path, "verify"),
            "leaves the backend's certificate unverified: anyone may answer in its place",
            "Name its authority with ca.",
        )
    if doc.given((*path, "key")) and not doc.given((*path, "cert")):
        doc.findings.refuse((*path, "key"), "is the key of no certificate", "Add cert.")


def _check_api_key(doc: Decoder, path: Path) -> None:
    if doc.given((*path, "api_key_env")) and doc.given((*path, "api_key_file")):
        doc.findings.refuse((*path, "api_key_file"), "stands beside api_key_env", "Keep one of the two.")
    variable = doc.at((*path, "api_key_env"), str)
    if variable is not None and not _VARIABLE.fullmatch(variable):  # not shown: it may be the key itself
        doc.findings.refuse(
            (*path, "api_key_env"),
            "is not the name of an environment variable",
            "Write the name of the variable that holds the key, never the key itself.",
        )


def _check_headers(doc: Decoder, path: Path) -> None:
    for name in doc.names((*path, "headers")):
        here = (*path, "headers", name)
        if is_credential_header(name):
            doc.findings.refuse(
                here, "is a secret, and secrets are never written here", "Use api_key_env (or api_key_file)."
            )
        elif name.lower() in _OURS:
            doc.findings.refuse(here, "is a header that the gateway writes itself", "Remove it.")
        elif not _TOKEN.fullmatch(name):
            doc.findings.refuse(here, "is not the name of a header", "Use letters, digits and -.")
        elif is_secret_header(name):
            doc.findings.warn(
                here, "looks like a secret, and secrets do not belong into this file", "If it is one, use api_key_env."
            )
        value = doc.at(here, str)
        if value is not None and not all(" " <= letter <= "\xff" for letter in value):
            doc.findings.refuse(here, "holds a character that no header may hold", "Use Latin-1 (ISO 8859-1).")


def _check_timeouts(doc: Decoder, path: Path) -> None:
    timeouts = doc.at((*path, "timeouts"), Timeouts)
    if timeouts is None:
        return
    for name in ("connect_s", "first_token_s", "idle_s"):
        here = (*path, "timeouts", name)
        if doc.given(here):
            _not_longer(doc, here, getattr(timeouts, name), "total_s", timeouts.total_s)


def check_models(doc: Decoder) -> None:
    """Each model has somewhere to go, and its rules can be followed."""
    for name in doc.names(("models",)):
        path: Path = ("models", name)
        strategy = doc.at((*path, "strategy"), str)
        if strategy is not None and strategy not in STRATEGIES:
            doc.findings.refuse(
                (*path, "strategy"),
                f'names no strategy: "{strategy}"',
                suggest(strategy, STRATEGIES, what="Strategies"),
            )
        if doc.at((*path, "targets"), tuple) == ():
            doc.findings.refuse(
                (*path, "targets"), "are none: the model has nowhere to go", "Write at least one target."
            )
        _check_targets(doc, path)
        _check_weights(doc, path, strategy or "priority")
        _check_retry(doc, path)
        _check_hedge(doc, path)
        _check_prices(doc, path, strategy or "priority")


def _check_targets(doc: Decoder, path: Path) -> None:
    backends = doc.names(("backends",))
    first: dict[tuple[str, str], Path] = {}
    for here in doc.paths((*path, "targets")):
        backend = doc.at((*here, "backend"), str)
        if backends and backend is not None and backend not in backends:
            doc.findings.refuse(
                (*here, "backend"), f'names no backend: "{backend}"', suggest(backend, backends, what="Backends")
            )
        model = doc.at((*here, "model"), str)
        if model == "":
            doc.findings.refuse((*here, "model"), "is empty", "Write the model's name at that backend.")
        if backend is None or model is None:
            continue
        other = first.setdefault((backend, model), here)
        if other != here:
            doc.findings.refuse(here, f"is the same as {dotted(other)}", "Remove one of the two.")


def _check_weights(doc: Decoder, path: Path, strategy: str) -> None:
    targets = doc.at((*path, "targets"), tuple)
    if strategy == "weighted" and targets and not any(target.weight for target in targets):
        doc.findings.refuse((*path, "targets"), "all have the weight 0", "Give at least one a weight above 0.")
    if strategy != "weighted" and strategy in STRATEGIES:
        for here in doc.paths((*path, "targets")):
            if doc.given((*here, "weight")):
                doc.findings.warn(
                    (*here, "weight"), f"has no effect with strategy {strategy}", 'Set strategy = "weighted".'
                )


def _check_retry(doc: Decoder, path: Path) -> None:
    retry = doc.at((*path, "retry"), Retry)
    here = (*path, "retry", "backoff_s")
    if retry is not None and doc.given(here):
        _not_longer(doc, here, retry.backoff_s, "max_backoff_s", retry.max_backoff_s)


def _not_longer(doc: Decoder, path: Path, value_s: float, limit: str, limit_s: float) -> None:
    """Only for what the file says itself: a default that is too long for a short limit does no harm."""
    if value_s > limit_s:
        doc.findings.refuse(
            path, f"({value_s:g}) is longer than {limit} ({limit_s:g})", f"Make it shorter, or {limit} longer."
        )


def _check_hedge(doc: Decoder, path: Path) -> None:
    here = (*path, "hedge")
    if not doc.given(here):
        return
    given = sum(doc.given((*here, name)) for name in ("after_s", "after_percentile"))
    if given == 2 or (given == 0 and doc.at(here, Hedge) is not None):
        doc.findings.refuse(
            here, f"has {'both' if given else 'neither'} of after_s and after_percentile", "Give one of the two."
        )
    if len(doc.paths((*path, "targets"))) == 1:
        doc.findings.warn(here, "has no effect: the model has one target only", "Add a target, or remove hedge.")


def _check_prices(doc: Decoder, path: Path, strategy: str) -> None:
    """Where money decides, a target without a price comes last or not at all."""
    limit = doc.given((*path, "max_cost_usd"))
    if not limit and strategy != "cost":
        return
    for here in doc.paths((*path, "targets")):
        target = doc.at(here, Target)
        backend = doc.at(("backends", target.backend), Backend) if target is not None else None
        if target is None or backend is None or target.prices is not None or backend.prices is not None:
            continue
        effect = "is never asked: max_cost_usd holds only against a price" if limit else "comes last with strategy cost"
        doc.findings.warn(here, f"has no price and {effect}", "Give it or its backend prices.")
