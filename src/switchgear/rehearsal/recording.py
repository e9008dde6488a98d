"""Where the records of a rehearsal go: into a real journal, over a disk that a scenario may slow down."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from switchgear.core.record import Record, decode_record, encode_record
from switchgear.emulator.conditions import Timeline
from switchgear.journal.reader import Reader
from switchgear.journal.writer import Writer


class JournalRecorder:
    """The `Recorder` of a rehearsed gateway. While the scenario slows its disk, a record reaches the journal that much later."""

    strict = False
    writable = True

    def __init__(self, folder: Path, timeline: Timeline, scenario_s: Callable[[], float], speed: float) -> None:
        self._folder = folder
        self._timeline = timeline
        self._scenario_s = scenario_s
        self._speed = speed
        self._writer: Writer[Record] = Writer(folder / "worker-0.db", encode_record)
        self._late: dict[int, tuple[asyncio.TimerHandle, Record]] = {}
        self._count = 0

    def start(self) -> None:
        """Open the journal."""
        self._writer.start()

    def append(self, record: Record) -> None:
        delay_s = self._timeline.at(self._scenario_s()).disk_delay_s / self._speed
        if not delay_s:
            self._keep(record)
            return
        self._count = number = self._count + 1
        timer = asyncio.get_running_loop().call_later(delay_s, self._arrived, number)
        self._late[number] = (timer, record)

    def expect(self, write: Callable[[], None]) -> None:
        write()

    def append_encoded(self, call_id: str, ended_s: float, record: bytes) -> None:
        self.append(decode_record(record))

    def append_strict(self, record: Record, done: Callable[[Exception | None], None]) -> None:
        self.append(record)
        asyncio.get_running_loop().call_soon(done, None)

    async def close(self) -> None:
        """Write what is still on its way, and close the journal."""
        for timer, record in self._late.values():
            timer.cancel()
            self._keep(record)
        self._late.clear()
        await self._writer.close()

    def read_back(self) -> list[Record]:
        """Every record of the journal, in its order."""
        reader = Reader(self._folder)
        position: dict[str, int] = {}
        records: list[Record] = []
        while True:
            bodies, position = reader.bodies(position)
            if not bodies:
                return records
            records += [decode_record(body) for body in bodies]

    def _arrived(self, number: int) -> None:
        self._keep(self._late.pop(number)[1])

    def _keep(self, record: Record) -> None:
        self._writer.append(record.call, record.at_s + record.duration_s, record)


def missing(records: list[Record], answered: list[str]) -> tuple[list[str], list[str]]:
    """The ids of calls that were answered and have no record, and of those that have more than one."""
    counts = Counter(record.call for record in records)
    return [call for call in answered if call and call not in counts], [call for call, n in counts.items() if n > 1]
