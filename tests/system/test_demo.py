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
