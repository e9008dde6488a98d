"""TLS contexts: 1.2 or newer, peers verified unless told otherwise."""

import ssl
from pathlib import Path

from switchgear.wire.errors import TlsError


def server_context(
    cert: Path, key: Path, *, client_ca: Path | None = None, require_client: bool = False
) -> ssl.SSLContext:
    """For a listener. With `client_ca`, callers may (or with `require_client` must) show a certificate signed by it.

    Raises TlsError that names the file which cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(
            f"cannot use certificate {cert} with key {key}: {error}; both must be PEM, without a password, and belong together"
        ) from error
    if client_ca is not None:
        _load_ca(context, client_ca)
        context.verify_mode = ssl.CERT_REQUIRED if require_client else ssl.CERT_OPTIONAL
    elif require_client:
        raise TlsError("client certificates are required but no client_ca is given to verify them with")
    return context


def client_context(
    *, ca: Path | None = None, verify: bool = True, cert: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """For a connection to a backend: verified against `ca`, or against the system's authorities. Raises TlsError."""
    context = ssl.create_default_context() if ca is None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if ca is not None:
        _load_ca(context, ca)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert is not None:
        try:
            context.load_cert_chain(cert, key, password=_no_password)
        except (OSError, ssl.SSLError) as error:
            raise TlsError(f"cannot use client certificate {cert}: {error}") from error
    return context


def _no_password() -> str:
    """An encrypted key fails with an error, where OpenSSL would stop and ask at the terminal."""
    return ""


def _load_ca(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"cannot read the certificate authority {ca}: {error}; it must be a PEM file") from error
