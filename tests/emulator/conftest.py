"""A caller that speaks HTTP by hand and sees how a connection ended, for what a real client would hide."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import settings

from switchgear.emulator.server import Emulator

settings.register_profile(
    "unhurried", deadline=None
)  # no test asserts a time, not even Hypothesis's own limit for one example
settings.load_profile("unhurried")


@dataclass
class Seen:
    """What came over one connection. `end`: "whole" (a proper end), "closed" (FIN too early), "reset" or "silent" (nothing more came)."""

    raw: bytes
    end: str

    @property
    def status(self) -> int:
        return int(self.raw.split(b" ", 2)[1]) if self.raw else 0

    @property
    def headers(self) -> dict[str, str]:
        lines = self.raw.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    @property
    def body(self) -> bytes:
        body = self.raw.partition(b"\r\n\r\n")[2]
        if self.headers.get("transfer-encoding") != "chunked":
            return body
        joined = b""
        while body:
            size, _, rest = body.partition(b"\r\n")
            joined += rest[: int(size, 16)]
            body = rest[int(size, 16) + 2 :]
        return joined

    @property
    def events(self) -> list[str]:
        return [event.removeprefix("data: ") for event in self.body.decode().split("\n\n") if event]

    def text(self) -> str:
        """The text of the chat chunks that are whole."""
        pieces = []
        for event in self.events:
            try:
                chunk = json.loads(event)
            except ValueError:
                continue
            pieces += [choice["delta"].get("content") or "" for choice in chunk["choices"]]
        return "".join(pieces)


@pytest.fixture
def ask() -> Callable[..., Awaitable[Seen]]:
    return _ask


async def _ask(
    place: Emulator,
    body: dict[str, Any] | bytes | None,
    *,
    path: str = "/v1/chat/completions",
    method: str = "POST",
    fault: str = "",
    headers: dict[str, str] | None = None,
    patience_s: float = 2.0,
) -> Seen:
    """Send one request and read until the answer is whole, the connection ends, or nothing has come for `patience_s`."""
    reader, writer = await asyncio.open_connection(place.address.host, place.address.port)
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "host: place", f"content-length: {len(data)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if fault:
        lines.append(f"x-emulator-fault: {fault}")
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
    raw = b""
    try:
        while not _whole(raw):
            async with asyncio.timeout(patience_s):
                more = await reader.read(65536)
            if not more:
                return Seen(raw, "closed")
            raw += more
        return Seen(raw, "whole")
    except ConnectionResetError:
        return Seen(raw, "reset")
    except TimeoutError:
        return Seen(raw, "silent")
    finally:
        writer.close()


def _whole(raw: bytes) -> bool:
    head, blank, body = raw.partition(b"\r\n\r\n")
    if not blank:
        return False
    if b"transfer-encoding: chunked" in head.lower():
        return body.endswith(b"\r\n0\r\n\r\n") or body == b"0\r\n\r\n"
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return False
