"""What the fuzzing programs share: how an input is read, and how atheris is run.

An input's first byte says how many cuts follow, two bytes each, as fractions of what comes after them; so an input that breaks a
promise is a file that the tests replay without atheris. Such files lie in `tests/fuzz/corpus/NAME`, one for each defect found so far.
"""

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
FOUND = Path(__file__).parents[2] / "build" / "fuzz"
"""Where a run leaves an input that broke a promise; move it into the corpus when it is understood."""
_MOST_CUTS = 16


class Input:
    """Bytes to read, and where to cut them."""

    def __init__(self, data: bytes) -> None:
        count = data[0] % (_MOST_CUTS + 1) if data else 0
        cuts, self.rest = data[1 : 1 + 2 * count], data[1 + 2 * count :]
        size = len(self.rest)
        self.cuts = sorted(int.from_bytes(cuts[at : at + 2], "big") * size >> 16 for at in range(0, len(cuts), 2))

    def pieces(self) -> list[bytes]:
        return [self.rest[a:b] for a, b in zip([0, *self.cuts], [*self.cuts, len(self.rest)], strict=True) if a < b]

    def bytewise(self) -> list[bytes]:
        return [self.rest[at : at + 1] for at in range(len(self.rest))]


def run(name: str) -> None:
    """Fuzz the promises of `name` as the command line says; the process ends here, with 0 if none was broken."""
    arguments = _arguments()
    import atheris  # here, so that replaying needs no atheris

    with atheris.instrument_imports(include=["switchgear.wire"]):
        promises = importlib.import_module(f"tests.fuzz.{name}_promises")
    FOUND.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(promises.SEEDS):
            (Path(folder) / f"seed-{number}").write_bytes(seed)
        options = [
            folder,
            str(CORPUS / name),
            f"-max_total_time={arguments.seconds}",
            f"-seed={arguments.seed}",
            f"-artifact_prefix={FOUND}/{name}-",
            f"-dict={CORPUS.parent / name}.dict",
            "-timeout=10",
            "-max_len=4096",
        ]
        atheris.Setup([sys.argv[0], *options], promises.check)
        atheris.Fuzz()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0, help="0 takes another each time")
    return parser.parse_args()
