"""Certificates for one test, made on the spot."""

import ssl
from pathlib import Path

import trustme

from switchgear.wire.tls import client_context, server_context


class Authority:
    """An authority, the files that configuration would name, and contexts made from them."""

    def __init__(self, folder: Path, *names: str) -> None:
        self._ca = trustme.CA()
        self.folder = folder
        self.ca = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.ca))
        self.cert, self.key = self.issue("server", *(names or ("localhost", "127.0.0.1", "::1")))

    def issue(self, file: str, *names: str) -> tuple[Path, Path]:
        """A certificate for `names` and its key, as two files."""
        issued = self._ca.issue_cert(*names)
        cert, key = self.folder / f"{file}.pem", self.folder / f"{file}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return cert, key

    def server(self, *, client_ca: Path | None = None, require_client: bool = False) -> ssl.SSLContext:
        return server_context(self.cert, self.key, client_ca=client_ca, require_client=require_client)

    def client(self, *, cert: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
        return client_context(ca=self.ca, cert=cert, key=key)
