"""Power and temperature of this machine's NVIDIA GPUs while it is measured (NVML API reference, device queries).

Needs `nvidia-ml-py` and a driver. Without either nothing is known, which is said as None and never as zero.
"""

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from switchgear.core.tasks import TaskOwner

_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Reading:
    """All boards together at one moment; temperature of the warmest."""

    power_w: float
    temperature_c: float


class Sensors(Protocol):
    """Where readings come from."""

    @property
    def boards(self) -> int:
        """How many boards a reading is of."""
        ...

    @property
    def limit_w(self) -> float | None:
        """Power limit of all boards together; None where the driver does not tell."""
        ...

    def read(self) -> Reading | None:
        """A reading now; None where the driver does not tell."""
        ...

    def close(self) -> None:
        """Let the driver go."""
        ...


@dataclass(slots=True)
class Telemetry:
    """What was read before a sweep and during it."""

    idle: list[Reading] = field(default_factory=list)
    busy: list[Reading] = field(default_factory=list)
    limit_w: float | None = None
    boards: int = 1
    """Boards of which `limit_w` and every reading are the sum."""

    @property
    def idle_w(self) -> float | None:
        """Median power before the sweep; None: unknown."""
        return statistics.median(reading.power_w for reading in self.idle) if self.idle else None

    @property
    def busy_w(self) -> float | None:
        """Median power during the sweep; None: unknown."""
        return statistics.median(reading.power_w for reading in self.busy) if self.busy else None

    @property
    def warmest_c(self) -> float | None:
        """Highest temperature seen; None: unknown."""
        return max((reading.temperature_c for reading in (*self.idle, *self.busy)), default=None)


class Nvml:
    """Sensors by NVML."""

    def __init__(self) -> None:
        import pynvml  # type: ignore[import-untyped]  # it ships no types

        self._nvml = pynvml
        pynvml.nvmlInit()
        self._boards = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]

    @property
    def boards(self) -> int:
        return len(self._boards)

    @property
    def limit_w(self) -> float | None:
        try:
            return float(sum(self._nvml.nvmlDeviceGetEnforcedPowerLimit(board) for board in self._boards)) / 1000
        except self._nvml.NVMLError:
            return None

    def read(self) -> Reading | None:
        nvml = self._nvml
        try:
            power_w = sum(nvml.nvmlDeviceGetPowerUsage(board) for board in self._boards) / 1000
            warmest = max(nvml.nvmlDeviceGetTemperature(board, nvml.NVML_TEMPERATURE_GPU) for board in self._boards)
        except nvml.NVMLError:
            return None
        return Reading(power_w, float(warmest))

    def close(self) -> None:
        self._nvml.nvmlShutdown()


def nvml_sensors() -> Sensors | None:
    """NVML's sensors; None where there is no driver, no GPU or no `nvidia-ml-py`."""
    try:
        sensors = Nvml()
    except Exception:  # noqa: BLE001  a package or a driver that is missing or broken in any way: nothing is known
        return None
    if not sensors.boards or sensors.read() is None:  # a driver may be there and all of its boards gone
        sensors.close()
        return None
    return sensors


@asynccontextmanager
async def reading(sensors: Sensors | None, idle_s: float) -> AsyncIterator[Telemetry]:
    """Read for `idle_s` before the body and all through it."""
    if sensors is None:
        yield Telemetry()
        return
    telemetry = Telemetry(limit_w=sensors.limit_w, boards=sensors.boards)
    for _ in range(max(1, round(idle_s / _EVERY_S))):
        _note(sensors, telemetry.idle)
        await asyncio.sleep(_EVERY_S)
    owner = TaskOwner("telemetry")
    owner.start(_keep_reading(sensors, telemetry.busy))
    try:
        yield telemetry
    finally:
        await owner.close()


async def _keep_reading(sensors: Sensors, into: list[Reading]) -> None:
    while True:
        _note(sensors, into)
        await asyncio.sleep(_EVERY_S)


def _note(sensors: Sensors, into: list[Reading]) -> None:
    read = sensors.read()
    if read is not None:
        into.append(read)
