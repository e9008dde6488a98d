"""A PostgreSQL of the tests' own: a cluster in a temporary folder, reached over a unix socket and nothing else."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_WAIT_S = "60"


def _program(name: str) -> str | None:
    found = shutil.which(name)
    if found is not None:
        return found
    places = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True
    )  # where Debian puts what is not for everybody
    return str(places[0]) if places else None


def _user() -> int | None:
    """Whom to run it as: it refuses root. None: whoever runs the tests."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    pytest.skip("PostgreSQL does not run as root, and there is neither a user postgres nor nobody to run it as")


class Cluster:
    """A server that can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
        if initdb is None or pg_ctl is None:
            pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
        self._pg_ctl = pg_ctl
        self._user = _user()
        self._folder = folder
        if self._user is not None:
            os.chown(folder, self._user, -1)
        self._run(initdb, "-D", str(folder / "data"), "-U", "switchgear", "-A", "trust", "-N", "--no-instructions")
        self.url = f"postgresql://switchgear@/postgres?host={folder}"

    def _run(self, *argv: str) -> None:
        done = subprocess.run(argv, capture_output=True, text=True, user=self._user, cwd=self._folder, check=False)
        if done.returncode:
            raise RuntimeError(f"{argv[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")

    def start(self) -> None:
        options = f"-c listen_addresses= -c unix_socket_directories={self._folder} -c fsync=off"
        log = str(self._folder / "log")
        self._run(
            self._pg_ctl, "start", "-D", str(self._folder / "data"), "-l", log, "-o", options, "-w", "-t", _WAIT_S
        )

    def stop(self) -> None:
        self._run(self._pg_ctl, "stop", "-D", str(self._folder / "data"), "-m", "immediate", "-w", "-t", _WAIT_S)


@contextmanager
def running() -> Iterator[Cluster]:
    """A server for the time of the block. Skips the test, saying why, where there can be none."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # a short path: that of a socket has at most 107 bytes
    try:
        cluster = Cluster(folder)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
