"""SIGKILL under load: what was promised is there, the file is whole, and the next writer goes on."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.journal.keeping import append_strict, ids_in, is_whole, rows_in, writer_at

FILE = "worker-0.db"

_STRICT = """
import asyncio, os, sys
from pathlib import Path
from tests.journal.keeping import QUICK
from switchgear.journal.writer import Writer

async def main():
    writer = Writer(Path(sys.argv[1]) / "worker-0.db", bytes, QUICK)
    writer.start()
    count = 0

    def answer(name):
        def done(error):
            assert error is None, error
            os.write(1, (name + "\\n").encode())
            call()
        return done

    def call():
        nonlocal count
        name = f"{count:08}"
        count += 1
        writer.append_strict(name, float(count), name.encode() * 40, answer(name))

    for _ in range(32):
        call()
    await asyncio.sleep(60)

asyncio.run(main())
"""

_BATCHED = """
import asyncio, os, sys
from pathlib import Path
from tests.journal.keeping import writer_at

async def main():
    writer = writer_at(Path(sys.argv[1]))
    writer.start()
    count = 0
    while True:
        for _ in range(20):
            writer.append(f"{count:08}", float(count), b"x" * 300)
            count += 1
        await asyncio.sleep(0.001)
        os.write(1, b"%d\\n" % writer.status().written)

asyncio.run(main())
"""


def killed_after(program: str, folder: Path, lines: int) -> list[str]:
    """Run it, kill it once it has said so many lines, and return all that it said."""
    process = subprocess.Popen([sys.executable, "-c", program, folder], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as said:
        heard = [said.readline() for _ in range(lines)]
        os.kill(process.pid, signal.SIGKILL)
        heard += said.readlines()
    assert process.wait() == -signal.SIGKILL
    return [line.decode().strip() for line in heard if line.endswith(b"\n")]


@pytest.mark.parametrize("seed", range(4))
async def test_every_record_that_was_done_is_there(tmp_path: Path, seed: int) -> None:
    done = killed_after(_STRICT, tmp_path, random.Random(seed).randrange(1, 4000))
    assert is_whole(tmp_path / FILE)
    rows = rows_in(tmp_path / FILE)
    kept = {name for _, name, _, _ in rows}
    assert len(kept) == len(rows)
    assert kept.issuperset(done)
    assert all(body == name.encode() * 40 for _, name, _, body in rows)

    writer = writer_at(tmp_path)
    writer.start()
    assert await append_strict(writer, "after") is None
    await writer.close()
    assert writer.status().moved_aside == 0
    assert ids_in(tmp_path / FILE) == [*(name for _, name, _, _ in rows), "after"]


@pytest.mark.parametrize("seed", range(2))
def test_what_a_batched_writer_counts_as_written_is_there(tmp_path: Path, seed: int) -> None:
    said = killed_after(_BATCHED, tmp_path, random.Random(seed).randrange(10, 300))
    assert is_whole(tmp_path / FILE)
    kept = ids_in(tmp_path / FILE)
    assert len(kept) >= int(said[-1])
    assert kept == [f"{number:08}" for number in range(len(kept))]  # a beginning of what was appended, without a gap
