"""The program as people run it: a process of its own, its output in files, and what the system knows of its descendants."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 30.0
"""Longest wait for anything here. What comes sooner is not waited for; a hang becomes a failure."""


async def until(found: Callable[[], T | None], what: str, within_s: float = PATIENCE_S) -> T:
    """What `found` gives as soon as it gives something. Another process calls nobody back, so it is asked again and again."""
    try:
        async with asyncio.timeout(within_s):
            while not (value := found()):
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {within_s:g} s: {what}") from None
    return value


class Program:
    """`switchgear` with some arguments, run in `folder`."""

    def __init__(self, folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.arguments = arguments
        self._said = folder / f"{arguments[0]}.out"
        self._complained = folder / f"{arguments[0]}.err"
        with self._said.open("wb") as out, self._complained.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "switchgear", *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                env={**os.environ, "COLUMNS": "120", **(environment or {})},
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        return self._said.read_text()

    @property
    def errors(self) -> str:
        return self._complained.read_text()

    async def says(self, pattern: str) -> re.Match[str]:
        """Wait for output that matches. Fails at once when the program ends without it."""

        def found() -> re.Match[str] | None:
            ended = self.process.poll() is not None
            match = re.search(pattern, self.output, re.MULTILINE)
            if match is None and ended:
                raise AssertionError(f"{self.arguments} ended with {self.process.returncode}: {self.errors}")
            return match

        return await until(found, f"{self.arguments} says {pattern!r}; it said {self.output!r}, {self.errors!r}")

    async def ended(self, within_s: float = PATIENCE_S) -> int:
        """Wait for its end; its exit status."""
        await until(lambda: self.process.poll() is not None, f"{self.arguments} ends; {self.errors}", within_s)
        return self.process.returncode

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """For the end of a test, whatever happened in it: nothing may be left running."""
        left = descendants(self.pid)
        self.process.kill()
        self.process.wait()
        for pid in left:
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)


def is_running(pid: int) -> bool:
    """Whether a process is there and is more than an entry that nobody has waited for."""
    try:
        return _stat(pid)[0] != "Z"
    except OSError:
        return False


def descendants(pid: int) -> list[int]:
    """The processes below `pid`."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(_stat(int(entry.name))[1])
            except OSError:
                continue
    found = [child for child, parent in parents.items() if parent == pid]
    for child in tuple(found):
        found += descendants(child)
    return found


def command_line(pid: int) -> str:
    """Its arguments, joined by spaces; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    """From the state on, as proc(5) has it in /proc/PID/stat; the name before it may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
