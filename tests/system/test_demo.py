"""`switchgear demo` as `make demo` runs it, only faster: it checks itself as it goes, and its exit code says how that went."""

import re
from pathlib import Path

from tests.system.program import Program


async def test_the_tour_ends_well(tmp_path: Path) -> None:
    demo = Program(tmp_path, "demo", "--speed", "4")
    try:
        assert await demo.ended(within_s=90.0) == 0, demo.errors + demo.output
        for told in (
            "One endpoint, five places",
            "appliance is gone",
            "the same as unbroken",
            "is open: it is asked no more",
            "14 calls",
        ):
            assert told in demo.output
        assert re.search(r"^chat, streamed +onprem +appliance ✗ onprem", demo.output, re.MULTILINE)
        assert demo.errors == ""
    finally:
        demo.kill()


async def test_without_llama_cpp_there_are_four_places(tmp_path: Path) -> None:
    broken = tmp_path / "xllamacpp"
    broken.mkdir()
    (broken / "__init__.py").write_text('raise ImportError("libgomp.so.1: cannot open shared object file")')
    up = Program(
        tmp_path, "up", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", environment={"PYTHONPATH": str(tmp_path)}
    )
    try:
        await up.says("Ctrl-C ends all of it")
        assert "Four places, one endpoint" in up.output
        assert "The fifth place, a real engine, did not start" in up.output
        assert "libgomp.so.1" in up.errors
    finally:
        up.kill()
