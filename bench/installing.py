"""Getting what a benchmark needs: Debian packages for nginx and wrk, and environments of their own for the other relays."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.traffic import Void


def say(text: str) -> None:
    """Tell the one who waits what takes so long, apart from the result on standard output."""
    print(text, file=sys.stderr, flush=True)


def command(name: str, package: str) -> str:
    """The path of a command; `package` is the Debian package that brings it.

    Root gets a missing one installed; anybody else is told the line to run. Raises `Void` when it stays missing.
    """
    found = _which(name)
    if found is None:
        _apt_install(package)
        found = _which(name)
    if found is None:
        raise Void(f"{package} is installed, but there is no {name}")
    return found


def _which(name: str) -> str | None:
    # nginx lies in sbin, which is not on everybody's PATH.
    return shutil.which(
        name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    )


def _apt_install(package: str) -> None:
    line = ["apt-get", "install", "--yes", "--no-install-recommends", package]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Void(f"{package} is missing; on Debian: sudo {' '.join(line)}")
    say(f"installing {package}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for argv in (["apt-get", "update"], line):
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Void(f"`{' '.join(line)}` failed: {done.stderr.strip()[-500:]}")


def environment(folder: Path, requirement: str) -> Path:
    """A Python environment in `folder` that holds `requirement`; made on first use. Returns its folder of commands.

    Raises `Void` with the end of pip's output when it cannot be installed; nothing half-made is left.
    """
    stamp = folder / ".installed"
    if not stamp.exists() or stamp.read_text() != requirement:
        say(f"installing {requirement} into {folder.name}/ (first use)")
        shutil.rmtree(folder, ignore_errors=True)
        run_install([sys.executable, "-m", "venv", str(folder)], folder)
        run_install([str(folder / "bin" / "pip"), "install", "--quiet", requirement], folder)
        stamp.write_text(requirement)
    return folder / "bin"


def run_install(argv: list[str], folder: Path) -> None:
    """Run one step of an installation into `folder`. Raises `Void`, and removes the folder, when it fails."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=1200, check=False)
        failure = "" if done.returncode == 0 else (done.stderr.strip() or done.stdout.strip())[-600:]
    except (OSError, subprocess.TimeoutExpired) as error:
        failure = repr(error)
    if failure:
        shutil.rmtree(folder, ignore_errors=True)
        raise Void(f"`{Path(argv[0]).name} {' '.join(argv[1:3])} …` failed: {failure}")


def printed(argv: list[str]) -> str:
    """What a command prints on both its outputs. Raises `Void` when it cannot be run or fails."""
    try:
        done = subprocess.run(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Void(f"`{' '.join(argv)}` failed: {error}") from error
    return done.stdout.strip()
