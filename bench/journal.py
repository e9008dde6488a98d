"""CPU time that keeping a record costs, beside a busy event loop: `python -m bench.journal`.

Sides, in turn, over several rounds, each in a process of its own that is given the same paced echo traffic on a uvloop:

- nothing: each call ends in a list that is emptied now and then
- journal: `switchgear.journal`, durability "batched"
- executemany: the same thread and pace, a row for each record, each batch by `BEGIN`, `executemany`, `COMMIT`
- row by row: the same, one `execute` for each row

The figure that counts is the CPU time of the writer's thread, which the kernel keeps for each thread, plus what `append` costs the
loop. What the whole process uses more than with nothing is shown beside it: it has the fight for the GIL in it, and the noise.

All three write with the same settings (WAL, synchronous FULL), and encode their records in the writer's thread. The two with rows take
the frame apart again first, which costs them about 0.3 us a record.
"""

import argparse
import asyncio
import copy
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from switchgear.core.record import Attempt, AttemptKind, AttemptOutcome, Record, encode_record
from switchgear.journal import writer as writer_module
from switchgear.journal.frame import Frame, rows_of
from switchgear.journal.intake import Intake
from switchgear.journal.keeper import Keeper
from switchgear.journal.model import Settings
from switchgear.journal.store import Store
from switchgear.journal.writer import Writer

NOTHING, OURS, MANY, SINGLE = "nothing", "journal", "executemany", "row by row"
SIDES = (NOTHING, OURS, MANY, SINGLE)
_TABLE = "CREATE TABLE record (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, at_s REAL NOT NULL, body BLOB NOT NULL)"
_INSERT = "INSERT INTO record (id, at_s, body) VALUES (?,?,?)"


class ManyStore(Store):
    """A row for each record, a batch by `executemany`."""

    def __init__(self, path: Path, busy_s: float) -> None:
        super().__init__(path, busy_s)
        self._connection.execute(_TABLE)

    def append(self, frames: Sequence[Frame]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._insert(
            [(row.id, row.at_s, row.body) for frame in frames for row in rows_of("", (0, frame.count, frame.rows))]
        )
        self._connection.execute("COMMIT")

    def _insert(self, rows: list[tuple[str, float, bytes]]) -> None:
        self._connection.executemany(_INSERT, rows)


class SingleStore(ManyStore):
    """The same row by row."""

    def _insert(self, rows: list[tuple[str, float, bytes]]) -> None:
        for row in rows:
            self._connection.execute(_INSERT, row)


def record(number: int) -> Record:
    """What a plain answered call leaves: 307 bytes encoded."""
    attempt = Attempt(
        "appliance", "llama-8b", AttemptKind.FIRST, 0.0001, 0.0123, 0.0061, 200, AttemptOutcome.OK,
        prompt_tokens=250, completion_tokens=120, usage="reported", cost_usd=0.0000146,
    )  # fmt: skip
    return Record(
        1, f"call_{number:024x}", 1.7e9 + number / 1000, "host/0", "abcdef012345", "chat/completions",
        principal="demo", team="platform", model="chat", candidates=[("appliance", "llama-8b"), ("cloud", "gpt-x")],
        attempts=[attempt], status=200, backend="appliance", answered_model="llama-8b", finish_reason="stop",
        ttft_s=0.0062, duration_s=0.0125, prompt_tokens=250, completion_tokens=120, usage="reported",
        cost_usd=0.0000146, request_bytes=1100, answer_bytes=640,
    )  # fmt: skip


TEMPLATE = record(1)


class Echo(asyncio.Protocol):
    """Sends back what it gets."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a socket's transport reads and writes

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Calls(Echo):
    """Each message that comes back is a call that ended."""

    def __init__(self, keep: Callable[[str, float, Record], None]) -> None:
        self.keep = keep
        self.ended = 0

    def data_received(self, data: bytes) -> None:
        for _ in range(len(data) // 64):
            self.ended += 1
            call = copy.copy(TEMPLATE)
            call.call = f"call_{self.ended:024x}"
            self.keep(call.call, call.at_s, call)


async def traffic(keep: Callable[[str, float, Record], None], rate: int, seconds: float) -> int:
    """`rate` calls a second over eight socket pairs."""
    loop = asyncio.get_running_loop()
    pairs = [socket.socketpair() for _ in range(8)]
    ends = [await loop.create_connection(lambda: Calls(keep), sock=ours) for ours, _ in pairs]
    for _, theirs in pairs:
        await loop.create_connection(Echo, sock=theirs)
    begin, sent = time.monotonic(), 0
    while (past_s := time.monotonic() - begin) < seconds:
        due = int(past_s * rate) - sent
        for number in range(due):
            ends[(sent + number) % len(ends)][0].write(b"x" * 64)
        sent += due
        await asyncio.sleep(0.001)  # the clock of libuv has no finer steps: less would be a busy wait
    while sum(calls.ended for _, calls in ends) < sent:
        await asyncio.sleep(0.005)
    return sent


async def one(side: str, rate: int, seconds: float, interval_s: float) -> dict[str, float]:
    """CPU of this process around the traffic, and around the last commit."""
    stores = {OURS: Store, MANY: ManyStore, SINGLE: SingleStore}
    with tempfile.TemporaryDirectory(dir=".") as folder:
        kept: list[object] = []
        if side != NOTHING:
            writer_module.Keeper = lambda path, settings, clock: Keeper(path, settings, clock, stores[side])  # type: ignore[misc,assignment]
            writer = Writer(Path(folder) / "worker-0.db", encode_record, Settings(interval_s=interval_s))
            writer.start()
            await traffic(writer.append, rate, 0.5)
        else:
            await traffic(lambda *call: kept.append(call), rate, 0.5)
        before, thread_s = resource.getrusage(resource.RUSAGE_SELF), -_thread_s()
        if side != NOTHING:
            sent = await traffic(writer.append, rate, seconds)
            while writer.status().pending:
                await asyncio.sleep(0.001)
        else:
            sent = await traffic(lambda *call: kept.append(call) if len(kept) < 100 else kept.clear(), rate, seconds)
        after = resource.getrusage(resource.RUSAGE_SELF)
        thread_s += _thread_s()
        if side != NOTHING:
            await writer.close()
            if writer.status().written < sent:
                raise RuntimeError(f"{side}: {sent} records sent, {writer.status()}")
    cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    switches = after.ru_nvcsw - before.ru_nvcsw + after.ru_nivcsw - before.ru_nivcsw
    return {"process_us": cpu_s * 1e6 / sent, "thread_us": thread_s * 1e6 / sent, "switches": switches / sent}


def _thread_s() -> float:
    # CPU time of the writer's thread alone: what others do to this machine's caches disturbs it least.
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("journal ")]
    return sum(time.clock_gettime(time.pthread_getcpuclockid(thread.ident)) for thread in threads if thread.ident)


def append_us(count: int = 50_000) -> float:
    """What one `append` costs the event loop while the thread is at work, microseconds: best of five."""
    call, best = record(1), float("inf")
    for _ in range(5):
        intake: Intake[Record] = Intake(0.004, count + 1, print)
        begin = time.perf_counter()
        for _ in range(count):
            intake.append("call_1", 1.7e9, call)
        best = min(best, time.perf_counter() - begin)
    return best * 1e6 / count


def measure(side: str, options: argparse.Namespace) -> dict[str, float]:
    """One side, one round, in a fresh process."""
    argv = [
        sys.executable,
        "-m",
        "bench.journal",
        "--side",
        side,
        "--rate",
        str(options.rate),
        "--seconds",
        str(options.seconds),
    ]
    argv += ["--interval", str(options.interval)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="CPU time of keeping a record.")
    parser.add_argument("--rate", type=int, default=20_000, help="records a second")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--interval", type=float, default=Settings().interval_s, help="seconds of a batch")
    parser.add_argument("--side", choices=SIDES, help="run one side here and print its figures as JSON")
    options = parser.parse_args()
    if options.side:
        os.chdir(tempfile.gettempdir())
        print(json.dumps(uvloop.run(one(options.side, options.rate, options.seconds, options.interval))))
        return 0
    rounds = [{side: measure(side, options) for side in SIDES} for _ in range(options.rounds)]
    cost = {side: statistics.median(r[side]["thread_us"] for r in rounds) for side in SIDES[1:]}
    title = f"{options.rate} records/s beside a busy loop"
    table = Table(
        "",
        "thread: CPU us a record",
        "x ours",
        "process: CPU us more than with nothing",
        "context switches a record",
        title=title,
    )
    for side in SIDES[1:]:
        more = statistics.median(r[side]["process_us"] - r[NOTHING]["process_us"] for r in rounds)
        switches = statistics.median(r[side]["switches"] for r in rounds)
        table.add_row(side, f"{cost[side]:.2f}", f"{cost[side] / cost[OURS]:.2f}", f"{more:.2f}", f"{switches:.3f}")
    Console().print(table)
    alone = statistics.median(r[NOTHING]["process_us"] for r in rounds)
    Console().print(f"the traffic alone: {alone:.1f} us a call; append: {append_us():.2f} us on the loop")
    return 0


if __name__ == "__main__":
    sys.exit(main())
