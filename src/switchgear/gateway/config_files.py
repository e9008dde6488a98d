"""Files and environment variables that a configuration names: whether they are there and can be used."""

import os
from collections.abc import Mapping
from pathlib import Path as File

from switchgear.core.snapshot import BackendTls
from switchgear.gateway.config_decode import Decoder
from switchgear.gateway.config_model import GatewayTls
from switchgear.gateway.lines import Path
from switchgear.wire.errors import TlsError
from switchgear.wire.tls import client_context, server_context

_FILES = ("cert", "key", "client_ca", "ca")


def check_files(doc: Decoder, environment: Mapping[str, str]) -> None:
    """Certificates must be usable and key files readable. A variable may be set elsewhere only, so that it is worth a warning."""
    _check_tls(doc, ("gateway", "tls"))
    for name in doc.names(("backends",)):
        path: Path = ("backends", name)
        _check_tls(doc, (*path, "tls"))
        _readable(doc, (*path, "api_key_file"))
        variable = doc.at((*path, "api_key_env"), str)
        if variable is not None and variable.isascii() and variable.isidentifier() and not environment.get(variable):
            doc.findings.warn(
                (*path, "api_key_env"),
                "names a variable that is not set here",  # which one is not shown: it may be the key itself
                "Set it where the gateway runs.",
            )


def _check_tls(doc: Decoder, path: Path) -> None:
    if not all([_readable(doc, (*path, name)) for name in _FILES]):  # noqa: C419  every unreadable file is reported, not the first
        return
    tls = doc.at(path, GatewayTls) or doc.at(path, BackendTls)
    try:
        if isinstance(tls, GatewayTls):
            server_context(File(tls.cert), File(tls.key), client_ca=_file(tls.client_ca))
        elif tls is not None:
            client_context(ca=_file(tls.ca), cert=_file(tls.cert), key=_file(tls.key))
    except TlsError as error:
        message, _, remedy = str(error).partition("; ")
        doc.findings.refuse(path, message, f"{remedy[:1].upper()}{remedy[1:] or 'It must be PEM'}.")


def _file(name: str | None) -> File | None:
    return File(name) if name is not None else None


def _readable(doc: Decoder, path: Path) -> bool:
    name = doc.at(path, str)
    if name is None:
        return not doc.given(path)
    if os.path.isfile(name) and os.access(name, os.R_OK):
        return True
    what = (
        "cannot be read" if os.path.exists(name) else "does not exist"
    )  # its name is not shown: it may be the key itself
    doc.findings.refuse(
        path,
        f"names a file that {what}",
        "Paths are relative to the directory that the gateway is started in.",
    )
    return False
