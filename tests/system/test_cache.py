"""A configured gateway that keeps answers on disk: sealed, shared by its workers, still there after a restart and a change of keys."""

import asyncio
import base64
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.system.gateways import KEY, Gateway, configuration, settled
from tests.system.program import Program

from switchgear.emulator.server import Emulator
from switchgear.wire.client import Pool
from switchgear.wire.exchange import header
from switchgear.wire.fetch import Response, fetch
from switchgear.wire.origin import Origin

OLD = f"2026-11:{base64.b64encode(bytes(range(32))).decode()}"
NEW = f"2026-12:{base64.b64encode(bytes(range(32, 64))).decode()}"
MORE = """
cache = { ttl_s = 600, disk = true }
last_resort = [{ message = "Later, please." }]
[cache.disk]
key_env = "CACHE_KEYS"
"""
WORDS = "the password of the vault is wombat-7419"


class Cached:
    """A gateway in a folder, ended and begun again at will."""

    def __init__(self, folder: Path, place: Emulator) -> None:
        self.folder = folder
        self.place = place
        self.gateway: Gateway | None = None

    async def begin(self, keys: str, workers: int = 1) -> None:
        text = configuration(self.place.base_url, {"workers": workers}, MORE)
        self.gateway = Gateway(self.folder, text, {"CACHE_KEYS": keys})
        await self.gateway.serving()

    async def end(self) -> None:
        assert self.gateway is not None
        self.gateway.program.signal(signal.SIGTERM)
        assert await self.gateway.program.ended() == 0
        await self.gateway.close()

    async def ask(self, **more: Any) -> Response:
        """One call over a connection of its own."""
        assert self.gateway is not None
        address = self.gateway.addresses[0]
        pool = Pool(Origin(address.host, address.port))
        body = {
            "model": "chat",
            "messages": [{"role": "user", "content": WORDS}],
            "temperature": 0,
            "max_tokens": 8,
            **more,
        }
        headers = header("authorization", f"Bearer {KEY}")
        try:
            return await fetch(pool, "POST", "/v1/chat/completions", headers=headers, body=json.dumps(body).encode())
        finally:
            await pool.close()

    @property
    def asked(self) -> int:
        """How many calls the place has seen."""
        count: int = self.place.state()["counts"].get("seen", 0)
        return count

    @property
    def file(self) -> Path:
        return self.folder / "state" / "cache" / "answers.db"


@pytest.fixture
async def cached(tmp_path: Path, place: Emulator) -> AsyncIterator[Cached]:
    made = Cached(tmp_path, place)
    yield made
    if made.gateway is not None:
        await made.gateway.close()


async def test_what_is_kept_is_sealed_and_outlives_a_restart_and_a_change_of_keys(cached: Cached) -> None:
    await cached.begin(OLD)
    first = await cached.ask()
    assert b"x-switchgear-cache" not in first.headers
    said = json.loads(first.body)["choices"][0]["message"]["content"]
    assert (await cached.ask()).headers[b"x-switchgear-cache"] == b"hit"
    await cached.end()
    kept = b"".join(path.read_bytes() for path in cached.file.parent.iterdir())
    assert b"2026-11" in kept
    assert all(secret.encode() not in kept for secret in (WORDS, "wombat", said, "chatcmpl", KEY))

    await cached.begin(f"{NEW},{OLD}")
    again = await cached.ask()
    assert (again.headers[b"x-switchgear-cache"], again.body) == (b"hit", first.body)
    streamed = await cached.ask(stream=True)
    assert streamed.headers[b"x-switchgear-cache"] == b"hit"
    assert streamed.body.endswith(b"data: [DONE]\n\n")
    assert cached.asked == 1
    assert cached.gateway is not None
    await settled(cached.gateway, 4)
    assert await cached.gateway.metric("switchgear_reused_calls_total", model="chat", reuse="hit") == 2.0
    assert await cached.gateway.metric("switchgear_cache_hits_total") == 2.0
    await cached.end()


async def test_workers_share_the_disk(cached: Cached) -> None:
    await cached.begin(OLD, workers=2)
    await cached.ask()

    async def both_have_it() -> bool:
        answers = await asyncio.gather(*(cached.ask() for _ in range(8)))
        return all(answer.headers.get(b"x-switchgear-cache") == b"hit" for answer in answers)

    async with asyncio.timeout(20.0):
        while not await both_have_it():  # the other worker learns of it within a second
            await asyncio.sleep(0.1)
    assert cached.asked <= 2
    await cached.end()


async def test_keys_that_do_not_fit_are_said_at_the_start(cached: Cached) -> None:
    await cached.begin(OLD)
    await cached.ask()
    await cached.end()
    assert cached.gateway is not None
    program = Program(cached.folder, "gateway", "--config", "gateway.toml", environment={"CACHE_KEYS": NEW})
    try:
        assert await program.ended() != 0
        assert "Give the key '2026-11' too" in program.errors
    finally:
        program.kill()


async def test_explain_records_and_metrics_tell_of_a_last_resort(cached: Cached) -> None:
    await cached.begin(OLD)
    gateway = cached.gateway
    assert gateway is not None
    cached.place.set_faults(["status;code=503"])
    answer = await cached.ask()
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == "Later, please."
    assert answer.headers[b"x-switchgear-degraded"] == b"message"
    await settled(gateway, 1)
    assert await gateway.metric("switchgear_degraded_calls_total", model="chat", degraded="message") == 1.0
    call = answer.headers[b"x-switchgear-call"].decode()
    explained = Program(cached.folder, "explain", call)
    assert await explained.ended() == 0
    assert "It was a last resort: a fixed message (x-switchgear-degraded: message)." in " ".join(
        explained.output.split()
    )
    exported = Program(cached.folder, "records", "--export", "jsonl")
    assert await exported.ended() == 0
    record = json.loads(exported.output)
    assert (record["degraded"], record["reuse"], record["cost_usd"]) == ("message", "", 0.0)
    assert record["attempts"][0]["confidence"] is None
