"""Which backend `switchgear profile` is to measure, and the way there. Needs no gateway unless a configuration names the backend."""

import os
import ssl
from pathlib import Path

import click

from switchgear.backends.model import Adapter
from switchgear.backends.registry import PROTOCOLS
from switchgear.core.snapshot import Backend, Kind, Prices
from switchgear.wire.origin import Origin, parse_url, port_of, proxy_for
from switchgear.wire.tls import client_context


def find(name: str, config: Path | None, api_key_env: str | None, kind: str) -> Backend:
    """The backend of a URL, or that of a name in the configuration. Raises click.UsageError, ConfigError."""
    if name.startswith(("http://", "https://", "unix:")):
        return Backend(kind=Kind(kind), base_url=name, api_key_env=api_key_env)
    if config is None:
        raise click.UsageError(
            f"{name!r} is no URL; give --config with the file that names it, or a URL like http://host:8000/v1"
        )
    from switchgear.gateway.config import load_file

    backends = load_file(config).config.backends
    if name not in backends:
        raise click.UsageError(f"{config} names no backend {name!r}; it has {', '.join(sorted(backends)) or 'none'}")
    return backends[name]


def prices(known: Prices | None, input_usd: float | None, output_usd: float | None) -> Prices | None:
    """What was given, else what the configuration knows. Raises click.UsageError for half of a price or one below zero."""
    if input_usd is None and output_usd is None:
        return known
    if input_usd is None or output_usd is None:
        raise click.UsageError("give both --input-usd-per-mtok and --output-usd-per-mtok")
    if not (input_usd >= 0 and output_usd >= 0):
        raise click.UsageError("a price below zero; give US dollars per million tokens")
    return Prices(input_usd_per_mtok=input_usd, output_usd_per_mtok=output_usd)


def connection(backend: Backend) -> tuple[Origin, Adapter]:
    """Origin and adapter of a backend. Raises WireError, and click.UsageError for a key that is not there or a protocol nobody speaks."""
    if backend.protocol not in PROTOCOLS:
        raise click.UsageError(f"no protocol {backend.protocol!r}; there are {', '.join(PROTOCOLS)}")
    origin, path = _origin(backend)
    adapter = PROTOCOLS[backend.protocol](
        path,
        origin.authority,
        origin.prefix,
        _api_key(backend),
        backend.headers,
        backend.capabilities.continue_turn,
    )
    return origin, adapter


def _origin(backend: Backend) -> tuple[Origin, str]:
    if backend.base_url.startswith("unix:"):
        return Origin("localhost", 80, path=backend.base_url.removeprefix("unix:")), "/v1"
    url = parse_url(backend.base_url)
    tls: ssl.SSLContext | None = None
    if url.scheme == "https":
        files = {name: Path(value) for name in ("ca", "cert", "key") if (value := getattr(backend.tls, name))}
        tls = client_context(verify=backend.tls.verify, **files)
    return Origin(url.hostname or "", port_of(url), tls, proxy=proxy_for(url, os.environ)), url.path


def _api_key(backend: Backend) -> str | None:
    if backend.api_key_env is not None:
        key = os.environ.get(backend.api_key_env, "")
        if not key:
            raise click.UsageError(
                f"the environment variable {backend.api_key_env} is not set; set it to the backend's key"
            )
        return key
    if backend.api_key_file is not None:
        return Path(backend.api_key_file).read_text(encoding="utf-8").strip()
    return None
