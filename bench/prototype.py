"""The bare prototype whose cost the design quotes, where somebody has its file: what the technique costs without any policy."""

import sys
from pathlib import Path

from bench.sides import Launch


class Prototype:
    """`python FILE LISTEN_PORT UPSTREAM_PORT`; the file stays where it is (`--prototype FILE`)."""

    name = "prototype"

    def __init__(self, file: Path) -> None:
        self.file = file

    def prepare(self) -> str:
        """See `Side.prepare`."""
        return "-"

    def launch(self, folder: Path, port: int, upstream_port: int) -> Launch:
        """See `Side.launch`."""
        return Launch([sys.executable, str(self.file), str(port), str(upstream_port)], port)

    def records(self, folder: Path) -> int | None:
        """See `Side.records`."""
        return None
