"""Print the Python that .venv is made with: the first `python3` of the PATH, unless another one there is clearly faster.

The data plane is interpreted, so the interpreter's build is part of its cost: one built without profile-guided optimisation
(as pyenv does by default) took half as much CPU again for the same calls as a distribution's. Each candidate runs the same short loop.

    python3 tools/interpreter.py          # prints a path
"""

import importlib.util
import os
import subprocess
import sys
import time

_CLEARLY = 0.85
"""Another interpreter is taken when it needs at most this part of the first one's time."""


class _Step:
    __slots__ = ("count", "x")

    def __init__(self, x: int) -> None:
        self.x = x
        self.count = 0

    def add(self, k: int) -> int:
        self.count += k
        return self.x


def _loop_s() -> float:
    """Seconds for a loop of what a call is made of: small objects, attributes, method calls, a dict. The best of several."""
    best = float("inf")
    for _ in range(25):
        started = time.perf_counter()
        kept: dict[int, _Step] = {}
        step = _Step(1)
        for i in range(20_000):
            step.add(i)
            kept[i & 255] = made = _Step(i)
            if made.x > 3 and made.add(2) and made.count:
                step.count = 0
        best = min(best, time.perf_counter() - started)
    return best


def _measure() -> int:
    """What a candidate says of itself: its time and where it is. Status 1 where no environment can be made with it."""
    if sys.version_info < (3, 11) or importlib.util.find_spec("ensurepip") is None:
        return 1
    sys.stdout.write(f"{_loop_s():.6f} {os.path.realpath(sys.executable)}\n")
    return 0


def _candidates() -> dict[str, float]:
    """Path and time in seconds of each `python3` that will do, in the order of the PATH: the best of three turns."""
    folders = dict.fromkeys(os.environ.get("PATH", os.defpath).split(os.pathsep))
    paths = [path for folder in folders if os.access(path := os.path.join(folder, "python3"), os.X_OK)]
    best: dict[str, float] = {}
    for _ in range(3):
        for path in paths:
            run = subprocess.run([path, __file__, "--measure"], capture_output=True, text=True, check=False)
            if run.returncode == 0:
                seconds, _, executable = run.stdout.strip().partition(" ")
                best[executable] = min(float(seconds), best.get(executable, float("inf")))
    return best


def main() -> int:
    if "--measure" in sys.argv:
        return _measure()
    best = _candidates()
    if not best:
        sys.stderr.write(
            "no python3 on the PATH is 3.11 or newer with ensurepip (Debian: apt-get install python3-venv)\n"
        )
        return 1
    first, fastest = next(iter(best)), min(best, key=best.__getitem__)
    sys.stdout.write((fastest if best[fastest] <= _CLEARLY * best[first] else first) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
