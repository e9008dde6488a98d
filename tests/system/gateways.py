"""A gateway from a file, in front of a place that runs on the test's own loop."""

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from tests.system.program import Program, until

from switchgear.cli.demo_caller import Caller
from switchgear.wire.address import parse_address
from switchgear.wire.client import Pool
from switchgear.wire.fetch import Response, fetch
from switchgear.wire.origin import Origin

KEY = "sk-sg-7f1d9c2ab04e4f0d8a6f"
MODEL = "llama-3.1-8b"


def configuration(base_url: str, gateway: Mapping[str, Any] | None = None, more: str = "") -> str:
    """A file with the model `chat` at one place. `gateway` are further keys of its table, written as JSON, which TOML reads alike."""
    table = {"listen": ["127.0.0.1:0"], "admin": "127.0.0.1:0", "workers": 2, **(gateway or {})}
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in table.items())
    return f"""
[gateway]
{lines}

[[keys]]
name = "demo"
sha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"
pin = true

[backends.place]
kind = "onprem"
base_url = "{base_url}"
prices = {{ input_usd_per_mtok = 1.0, output_usd_per_mtok = 2.0 }}
timeouts = {{ connect_s = 1.0, first_token_s = 10.0, idle_s = 10.0, total_s = 20.0 }}

[models.chat]
targets = [{{ backend = "place", model = "{MODEL}" }}]
{more}
"""


class Gateway:
    """`switchgear gateway` in a folder of its own."""

    def __init__(
        self, folder: Path, text: str, environment: dict[str, str] | None = None, command: str = "gateway"
    ) -> None:
        self.folder = folder
        self.file = folder / "gateway.toml"
        self.file.write_text(text)
        self.program = Program(folder, command, "--config", "gateway.toml", environment=environment)

    async def serving(self) -> "Gateway":
        """Wait until it takes calls."""
        said = await self.program.says(r"serving calls on (.+); admin on (\S+); snapshot (\w+)")
        self.addresses = [parse_address(text) for text in said[1].split(", ")]
        self.snapshot = said[3]
        admin = parse_address(said[2])
        self._admin = Pool(Origin(admin.host or "localhost", admin.port, path=admin.path))
        return self

    def caller(self) -> Caller:
        """A caller with connections of its own."""
        return Caller(self.addresses[0].host, self.addresses[0].port, KEY)

    async def admin(self, path: str, method: str = "GET") -> Response:
        return await fetch(self._admin, method, path)

    async def live(self) -> dict[str, Any]:
        return self._json(await self.admin("/live"))

    async def ready(self) -> tuple[int, dict[str, Any]]:
        """Status and content of /readyz."""
        answer = await self.admin("/readyz")
        return answer.status, self._json(answer)

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of all samples of that name with these labels."""
        total = 0.0
        for line in (await self.admin("/metrics")).body.decode().splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name and all(f'{k}="{v}"' in series for k, v in labels.items()):
                total += float(value)
        return total

    def recorded(self) -> set[str]:
        """The ids of all calls in the journals, whose files must be whole."""
        found: set[str] = set()
        for path in sorted((self.folder / "state" / "journal").glob("*.db")):
            with sqlite3.connect(path) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",), path
                frames = connection.execute("SELECT rows FROM frame ORDER BY last_seq").fetchall()
                rows = [row for (frame,) in frames for row in msgspec.msgpack.decode(frame)[0]]
            connection.close()
            assert len(rows) == len(set(rows)), "a record was written twice"
            found |= set(rows)
        return found

    async def close(self) -> None:
        if hasattr(self, "_admin"):
            await self._admin.close()
        self.program.kill()

    @staticmethod
    def _json(answer: Response) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(answer.body)
        return content


async def settled(gateway: Gateway, count: int) -> None:
    """Wait until so many records are in the journals."""
    await until(lambda: len(gateway.recorded()) >= count, f"{count} records; there are {len(gateway.recorded())}")
