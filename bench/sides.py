"""A side: one relay under measurement. How each is described, started, waited for and ended; each has a file of its own."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench.traffic import PATH, Void, chat_body

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".peers"
"""Where the sides that are not ours are installed, each in an environment of its own; git ignores it."""


@dataclass(frozen=True)
class Launch:
    """How a side is started and how it is called.

    `ready_url` answers 200 once the side is ready; where it is None, the first call that succeeds is the sign.
    """

    argv: list[str]
    port: int
    headers: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    ready_url: str | None = None
    ready_within_s: float = 20.0


class Side(Protocol):
    """What each relay states about itself."""

    name: str

    def prepare(self) -> str:
        """Install what is missing and return the version. Raises `Void` when that cannot be done."""

    def launch(self, folder: Path, port: int, upstream_port: int) -> Launch:
        """Write the side's configuration into `folder`: listen on `port`, one backend on `upstream_port`."""

    def records(self, folder: Path) -> int | None:
        """How many calls the side has journaled, read after it has ended; None where it keeps no journal."""


@dataclass(frozen=True)
class Running:
    """A side that answers."""

    name: str
    pid: int
    launch: Launch
    folder: Path


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def process(argv: list[str], log: Path, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of ours for the length of the block; SIGTERM ends it, and SIGKILL if it has not obeyed after 15 s."""
    with log.open("wb") as out:
        child = subprocess.Popen(
            argv, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT, env={**os.environ, **(env or {})}
        )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextlib.contextmanager
def running(side: Side, folder: Path, upstream_port: int) -> Iterator[Running]:
    """Start `side`, wait until it answers, end it after the block. Raises `Void` when it does not come up."""
    launch = side.launch(folder, free_port(), upstream_port)
    log = folder / f"{side.name}.log"
    with process(launch.argv, log, launch.env) as child:
        _wait_until_ready(side.name, child, launch, log)
        yield Running(side.name, child.pid, launch, folder)


def wait_for_port(port: int, child: subprocess.Popen[bytes], log: Path, within_s: float = 20.0) -> None:
    """Wait until `child` listens on `port`. Raises `Void` with the end of its log when it does not."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and child.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.05)
    raise Void(f"nothing listens on port {port}: {_tail(log)}")


def _wait_until_ready(name: str, child: subprocess.Popen[bytes], launch: Launch, log: Path) -> None:
    deadline = time.monotonic() + launch.ready_within_s
    seen = "it never answered"
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise Void(f"{name} ended with code {child.returncode}: {_tail(log)}")
        try:
            seen = _probe(launch)
        except (OSError, http.client.HTTPException) as error:
            seen = repr(error)
        if not seen:
            return
        time.sleep(0.1)
    raise Void(f"{name} was not ready after {launch.ready_within_s:.0f} s ({seen}): {_tail(log)}")


def _probe(launch: Launch) -> str:
    """Ask the side once; empty when it is ready, else what it answered."""
    if launch.ready_url is not None:
        authority, _, path = launch.ready_url.removeprefix("http://").partition("/")
        connection = http.client.HTTPConnection(authority, timeout=5)
        connection.request("GET", "/" + path)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", launch.port, timeout=10)
        connection.request(
            "POST", PATH, chat_body(stream=False), {"content-type": "application/json", **launch.headers}
        )
    with contextlib.closing(connection):
        answer = connection.getresponse()
        text = answer.read(300)
    return "" if answer.status == 200 else f"status {answer.status}: {text.decode(errors='replace')}"


def _tail(log: Path) -> str:
    return " | ".join(log.read_text(errors="replace").splitlines()[-6:]) or "its log is empty"
