"""Every input that once broke a promise keeps it now; and a few seconds of fuzzing find no other."""

import asyncio
import importlib
import sys
from pathlib import Path

import pytest
from tests.fuzz.program import CORPUS, Input

NAMES = ("http", "answers", "sse")
REPLAYED = sorted(path.relative_to(CORPUS) for path in CORPUS.glob("*/*"))


@pytest.mark.parametrize("path", REPLAYED, ids=str)
def test_what_was_mended_stays_mended(path: Path) -> None:
    importlib.import_module(f"tests.fuzz.{path.parts[0]}_promises").check((CORPUS / path).read_bytes())


@pytest.mark.parametrize("name", NAMES)
def test_seeds_keep_the_promises(name: str) -> None:
    promises = importlib.import_module(f"tests.fuzz.{name}_promises")
    for seed in promises.SEEDS:
        promises.check(seed)


@pytest.mark.parametrize("name", NAMES)
async def test_a_few_seconds_of_fuzzing_break_no_promise(name: str) -> None:
    pytest.importorskip("atheris", reason="atheris is not made for this version of Python yet")
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"tests.fuzz.{name}",
        "--seconds=3",
        "--seed=1",
        cwd=CORPUS.parents[2],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await program.communicate()
    assert program.returncode == 0, said.decode("utf-8", "replace")[-4000:]
    assert b"DONE" in said


def test_an_input_says_where_it_is_cut() -> None:
    given = Input(b"\x02\x40\x00\xc0\x00abcdefgh")
    assert given.pieces() == [b"ab", b"cdef", b"gh"]
    assert given.bytewise() == [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h"]
    assert Input(b"").pieces() == []
    assert Input(b"\x00abc").pieces() == [b"abc"]
    assert Input(b"\x05ab").rest == b""
