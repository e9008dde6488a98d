"""What the cache costs and how often it hits: `python -m bench.cache`.

- key: making a key of a call, by the size of its body, with SHA-256 (ours) and with BLAKE2b
- steps: a hit, a miss that begins a flight and is kept, joining a flight; a lookup on disk through the thread
- forms: putting a stream together, telling a whole answer as a stream
- sealing: AES-256-GCM, by the size of the answer
- memory: what an entry takes beside its body
- hit rate: SIEVE (ours), LRU and FIFO over one synthetic traffic: Zipf's law over questions, a share of questions that are asked once

The best of several rounds each: what else ran on the machine can only add. Hit rates are exact and the same on every run.
"""

import argparse
import asyncio
import hashlib
import json
import os
import random
import tempfile
import time
import tracemalloc
from bisect import bisect
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from switchgear.cache.disk import Disk
from switchgear.cache.keys import Keys
from switchgear.cache.memory import Memory
from switchgear.cache.model import Answer, Entry, kept
from switchgear.cache.replay import as_stream, assembled
from switchgear.cache.sealing import Keyring
from switchgear.cache.service import AnswerCache
from switchgear.cache.store import Store
from switchgear.core.clock import SystemClock
from switchgear.core.snapshot import Endpoint

_BODY = b"x" * 600


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--requests", type=int, default=200_000, help="of the synthetic traffic")
    options.add_argument("--json", type=Path, help="write the result here too")
    chosen = options.parse_args()
    rounds = chosen.rounds
    found: dict[str, Any] = {
        "key_us": keys(rounds),
        "steps_us": {**steps(rounds), **asyncio.run(disk_steps(rounds))},
        "forms_us_per_chunk": forms(rounds),
        "sealing_us": sealing(rounds),
        "entry_bytes_beside_body": entry_bytes(),
        "hit_rate": hit_rates(chosen.requests),
    }
    console = Console(width=110)
    for name, figures in found.items():
        console.print(shown(name, figures if isinstance(figures, dict) else {"": figures}))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")


def shown(name: str, figures: dict[str, Any]) -> Table:
    """Figures as a table, nested ones with their names above."""
    nested = next((value for value in figures.values() if isinstance(value, dict)), None)
    table = Table(name.replace("_", " "), *(nested or {"": 0}), box=None, pad_edge=False, header_style="bold")
    for label, value in figures.items():
        cells = value.values() if isinstance(value, dict) else [value]
        table.add_row(label, *(f"{cell:,.3g}" if isinstance(cell, float) else f"{cell:,}" for cell in cells))
    return table


def best_us(step: Callable[[], object], rounds: int, times: int) -> float:
    """Microseconds of one step, the best of the rounds."""
    best = float("inf")
    for _ in range(rounds):
        begun = time.perf_counter()
        for _ in range(times):
            step()
        best = min(best, time.perf_counter() - begun)
    return best / times * 1e6


def fields(size: int) -> dict[str, msgspec.Raw]:
    """A chat call whose prompt has so many bytes."""
    body = {"model": "chat", "messages": [{"role": "user", "content": "x" * size}], "temperature": 0, "max_tokens": 256}
    return msgspec.json.decode(msgspec.json.encode(body), type=dict[str, msgspec.Raw])


def keys(rounds: int) -> dict[str, dict[str, float]]:
    """By the size of the prompt."""
    maker = Keys(os.urandom(32))
    start = hashlib.blake2b(key=os.urandom(32), digest_size=20)
    found = {}
    for size in (100, 1_000, 10_000, 100_000):
        call = fields(size)
        whole = b"".join(bytes(value) for value in call.values())

        def ours(call: dict[str, msgspec.Raw] = call) -> bytes:
            return maker.key(Endpoint.CHAT, call, places="chat a/b c/d", audience="team x", data_class="internal")

        def other(whole: bytes = whole) -> bytes:
            digest = start.copy()
            digest.update(whole)
            return digest.digest()

        def plain(whole: bytes = whole) -> bytes:
            return hashlib.sha256(whole).digest()

        times = max(200, 20_000_000 // (size + 1000) // 20)
        found[f"{size:,} B"] = {
            "ours": best_us(ours, rounds, times),
            "SHA-256 alone": best_us(plain, rounds, times),
            "BLAKE2b alone": best_us(other, rounds, times),
        }
    return found


class Silent:
    """A call that does nothing with what it is told."""

    deadline_s = 0.0

    def land(self, answer: Answer) -> None:
        pass

    def refuse(self, error: str) -> None:
        pass

    def take_over(self) -> None:
        pass

    def stop(self) -> None:
        pass


def answer(body: bytes = _BODY) -> Answer:
    return Answer("chat/completions", body, "appliance", "llama-8b", "stop", 250, 0, 120, "reported")


def steps(rounds: int) -> dict[str, float]:
    """What a call costs the event loop, beside its key."""
    cache: AnswerCache[str] = AnswerCache(Memory(64 * 1024 * 1024), Keys(os.urandom(32)))
    cache.keep(b"k" * 20, answer(), 0.0, 60.0, 0.0, on_disk=False)
    numbers = iter(range(100_000_000))

    def miss() -> None:
        key = b"%020d" % next(numbers)
        call = Silent()
        cache.find(key, 1.0)
        flight, _ = cache.flights.join(key, call)
        given = answer()
        cache.keep(key, given, 1.0, 60.0, 0.0, on_disk=False)
        flight.landed(call, given)

    leader = Silent()
    flight, _ = cache.flights.join(b"f" * 20, leader)

    def follow() -> None:
        follower = Silent()
        cache.flights.join(b"f" * 20, follower)
        flight.leave(follower)

    return {
        "hit": best_us(lambda: cache.find(b"k" * 20, 1.0), rounds, 100_000),
        "miss, flight, kept (memory full: one evicted)": best_us(miss, rounds, 50_000),
        "follower joins and leaves": best_us(follow, rounds, 50_000),
    }


async def disk_steps(rounds: int) -> dict[str, float]:
    """Through the thread and back: time that passes, not CPU."""
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "answers.db", Keyring([("k", os.urandom(32))], os.urandom), 1 << 30, os.urandom)
        disk = Disk(store, SystemClock(), loop.call_soon_threadsafe)
        for number in range(2000):
            disk.put(b"%020d" % number, kept(answer(), time.time(), 60.0))
        best = float("inf")
        for _ in range(rounds):
            begun = time.perf_counter()
            for number in range(500):
                there: asyncio.Future[Entry | None] = loop.create_future()
                disk.fetch(b"%020d" % number, there.set_result)
                if await there is None:
                    raise RuntimeError("what was put is not there")
            best = min(best, time.perf_counter() - begun)
        holds = best_us(lambda: disk.holds(b"x" * 20), rounds, 100_000)
        disk.close()
    return {"found on disk (time, not CPU)": best / 500 * 1e6, "not on disk": holds}


def forms(rounds: int) -> dict[str, float]:
    """Of a streamed chat answer of 500 chunks."""
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "system_fingerprint": "fp"}
    events = [
        msgspec.json.encode({**head, "choices": [{"index": 0, "delta": {"content": " word"}, "finish_reason": None}]})
        for _ in range(500)
    ]
    events.append(msgspec.json.encode({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
    whole = assembled(Endpoint.CHAT, events)
    if whole is None:
        raise RuntimeError("the stream was not put together")
    told = best_us(lambda: as_stream(Endpoint.CHAT, whole, include_usage=True), rounds, 500)
    return {
        "stream put together": best_us(lambda: assembled(Endpoint.CHAT, events), rounds, 50) / len(events),
        "whole told as a stream (of 500 tokens)": told,
    }


def sealing(rounds: int) -> dict[str, dict[str, float]]:
    """By the size of the answer."""
    ring = Keyring([("k", os.urandom(32))], os.urandom)
    found = {}
    for size in (600, 6_000, 60_000):
        data = os.urandom(size)
        sealed = ring.seal(data, b"k" * 20)
        found[f"{size:,} B"] = {
            "seal": best_us(lambda data=data: ring.seal(data, b"k" * 20), rounds, 5_000),  # type: ignore[misc]  # mypy cannot type a default in a lambda
            "open": best_us(lambda sealed=sealed: ring.open(sealed, b"k" * 20), rounds, 5_000),  # type: ignore[misc]  # mypy cannot type a default in a lambda
        }
    return found


def entry_bytes() -> int:
    """Bytes of memory of an entry beside its body, by tracemalloc."""
    memory = Memory(1 << 30)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(10_000):
        body = _BODY[:-8] + b"%08d" % number
        given = Answer(
            "chat/completions", body, "appliance", "llama-8b", "stop", 250 + number, 0, 1200 + number, "reported"
        )
        memory.put(b"%020d" % number, kept(given, time.time(), 60.0))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) // 10_000 - len(_BODY)


# -- hit rates --


def traffic(requests: int, once: float, seed: int) -> Iterator[bytes]:
    """Questions: a share asked once and never again, the others by Zipf's law (exponent 0.9) over 20,000."""
    rng = random.Random(seed)
    weights = list(accumulate(1 / (rank + 1) ** 0.9 for rank in range(20_000)))
    for number in range(requests):
        if rng.random() < once:
            yield b"once %d" % number
        else:
            yield b"again %d" % bisect(weights, rng.random() * weights[-1])


def hit_rates(requests: int) -> dict[str, dict[str, float]]:
    """By the share of questions that are asked once; room for 2,000 answers."""
    room = 2_000
    entry = kept(answer(), 0.0, 1e9)
    found = {}
    for once in (0.0, 0.3, 0.6):
        sieve, lru, fifo = Memory(entry.size * room), Ordered(room, moves=True), Ordered(room, moves=False)
        hits = {"SIEVE": 0, "LRU": 0, "FIFO": 0}
        for key in traffic(requests, once, 1):
            if sieve.get(key, 1.0) is not None:
                hits["SIEVE"] += 1
            else:
                sieve.put(key, entry)
            hits["LRU"] += lru.seen(key)
            hits["FIFO"] += fifo.seen(key)
        found[f"{once:.0%} asked once"] = {name: number / requests for name, number in hits.items()}
    return found


class Ordered:
    """LRU, or FIFO where a hit does not move its entry."""

    def __init__(self, room: int, *, moves: bool) -> None:
        self._kept: OrderedDict[bytes, None] = OrderedDict()
        self._room = room
        self._moves = moves

    def seen(self, key: bytes) -> bool:
        """Whether it is there; it is now."""
        if key in self._kept:
            if self._moves:
                self._kept.move_to_end(key)
            return True
        if len(self._kept) >= self._room:
            self._kept.popitem(last=False)
        self._kept[key] = None
        return False


if __name__ == "__main__":
    main()
