"""The options that the benchmarks share, and how a program of this folder ends."""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from bench.envoy import Envoy
from bench.installing import say
from bench.nginx import Nginx
from bench.ours import Ours
from bench.prototype import Prototype
from bench.sides import Side
from bench.traffic import Void


def parser(description: str, sides: str = "switchgear,nginx,envoy") -> argparse.ArgumentParser:
    """The shared options; a program adds its own."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument(
        "--sides",
        default=sides,
        help="which sides, by commas: switchgear, switchgear-policy, nginx, envoy, envoy-default, prototype",
    )
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=10.0, help="length of each measured load")
    options.add_argument(
        "--quick", action="store_true", help="one round of 3 seconds: shows that it works, proves nothing"
    )
    options.add_argument("--prototype", type=Path, help="file of the side `prototype`")
    options.add_argument("--json", type=Path, help="write the result here too")
    return options


def chosen(options: argparse.Namespace) -> list[Side]:
    """The sides that the options name; `--quick` is applied. Raises `Void` for an unknown side."""
    if options.quick:
        options.rounds, options.seconds = 1, 3.0
    known: dict[str, Side] = {
        side.name: side for side in (Ours(), Ours(policy=True), Nginx(), Envoy(), Envoy(defaults=True))
    }
    if options.prototype:
        known["prototype"] = Prototype(options.prototype.resolve())
    names = options.sides.split(",")
    for name in names:
        if name not in known:
            raise Void(f"unknown side {name!r}; there are {', '.join(known)} (and prototype, with --prototype FILE)")
    return [known[name] for name in names]


def finish(program: Callable[[], int]) -> None:
    """Run a program and exit with its code: 0 all bars hold, 1 one does not, 2 the run is void.

    SIGTERM ends it like Ctrl-C does, so that what it started is ended with it.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        code = program()
    except Void as void:
        say(f"void: {void}")
        code = 2
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
