"""A loop that jumps: its time is that of its timers, and unix sockets on it lose nothing."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import switchgear.gateway.attempt
import switchgear.wire.request_reader
from switchgear.rehearsal.errors import RehearsalError
from switchgear.rehearsal.virtual_time import LoopClock, run_virtually


def reading_of(module: ModuleType) -> Callable[[], float]:
    """What a module of the data plane reads the time with."""
    found: Callable[[], float] = vars(module)["monotonic"]
    return found


def test_an_hour_passes_by_its_timers() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        ticks: list[float] = []
        for _ in range(60):
            await asyncio.sleep(60.0)
            ticks.append(loop.time() - began_s)
        return ticks

    assert run_virtually(main) == pytest.approx([60.0 * number for number in range(1, 61)])


def test_what_is_sent_arrives_before_any_time_passes(tmp_path: Path) -> None:
    async def main() -> float:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            writer.close()

        server = await asyncio.start_unix_server(echo, tmp_path / "s")
        loop = asyncio.get_running_loop()
        loop.call_later(1.0, lambda: None)
        began_s = loop.time()
        for number in range(200):
            reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
            writer.write(b"%d\n" % number)
            assert await reader.readline() == b"%d\n" % number
            writer.close()
        server.close()
        return loop.time() - began_s

    assert run_virtually(main) == 0.0


def test_the_gateway_reads_the_loops_time_and_then_the_real_one_again() -> None:
    async def main() -> tuple[float, float]:
        await asyncio.sleep(500.0)
        loop_s = asyncio.get_running_loop().time()
        return reading_of(switchgear.gateway.attempt)() - loop_s, reading_of(switchgear.wire.request_reader)() - loop_s

    assert run_virtually(main) == (0.0, 0.0)
    assert reading_of(switchgear.gateway.attempt) is time.monotonic


def test_no_module_of_a_data_plane_keeps_the_real_time() -> None:
    """Whatever reads it by another name than `monotonic` would be in two times at once."""
    rooms = Path(switchgear.gateway.attempt.__file__).parents[1]
    found = [
        f"{file.parent.name}/{file.name}"
        for room in ("gateway", "wire", "emulator", "backends")
        for file in sorted((rooms / room).glob("*.py"))
        if "time.monotonic(" in (text := file.read_text()) or "import monotonic as" in text
    ]
    assert found == []


def test_virtual_time_is_not_nested() -> None:
    async def inner() -> None:
        return None

    async def main() -> None:
        run_virtually(inner)

    with pytest.raises(RehearsalError, match="already"):
        run_virtually(main)


def test_the_time_of_day_is_the_same_each_time() -> None:
    async def main() -> float:
        clock = LoopClock(asyncio.get_running_loop())
        await asyncio.sleep(10.0)
        return clock.now_s()

    assert run_virtually(main) == run_virtually(main) == pytest.approx(1_767_225_610.0)
