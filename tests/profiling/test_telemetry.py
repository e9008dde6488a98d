"""NVML, by a driver that is not there: its functions' names are those of `nvidia-ml-py`, where that is installed."""

import importlib
import sys
from types import ModuleType

import pytest

from switchgear.profiling.telemetry import Nvml, Reading, nvml_sensors, reading


class Driver(ModuleType):
    """What `pynvml` gives for boards with these watts, degrees and limits (None: not supported)."""

    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        pass

    def __init__(self, *boards: tuple[float | None, float, float | None], starts: bool = True) -> None:
        super().__init__("pynvml")
        self.given = boards
        self.starts = starts
        self.open = 0

    def nvmlInit(self) -> None:
        if not self.starts:
            raise self.NVMLError("Driver Not Loaded")
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.given)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetPowerUsage(self, board: int) -> int:
        return self._milliwatts(self.given[board][0])

    def nvmlDeviceGetTemperature(self, board: int, sensor: int) -> int:
        return round(self.given[board][1])

    def nvmlDeviceGetEnforcedPowerLimit(self, board: int) -> int:
        return self._milliwatts(self.given[board][2])

    def _milliwatts(self, watts: float | None) -> int:
        if watts is None:
            raise self.NVMLError("Not Supported")
        return round(1000 * watts)


def with_driver(monkeypatch: pytest.MonkeyPatch, driver: Driver) -> Driver:
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    return driver


async def test_boards_are_read_together_and_the_warmest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = with_driver(monkeypatch, Driver((70.5, 34, 700.0), (80.25, 41, 700.0)))
    sensors = nvml_sensors()
    assert isinstance(sensors, Nvml)
    assert (sensors.boards, sensors.limit_w, sensors.read()) == (2, 1400.0, Reading(150.75, 41.0))
    async with reading(sensors, 0.0) as telemetry:
        driver.given = ((600.0, 60, 700.0), (80.25, 41, 700.0))
    assert (telemetry.boards, telemetry.idle_w, telemetry.limit_w) == (2, 150.75, 1400.0)
    sensors.close()
    assert driver.open == 0


def test_a_limit_that_is_not_told_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    with_driver(monkeypatch, Driver((70.0, 34, None)))
    sensors = nvml_sensors()
    assert sensors is not None
    assert sensors.limit_w is None


@pytest.mark.parametrize(
    "driver", [Driver(starts=False), Driver(), Driver((None, 34, 700.0))], ids=["no driver", "no board", "no power"]
)
async def test_what_cannot_be_read_is_unknown(monkeypatch: pytest.MonkeyPatch, driver: Driver) -> None:
    with_driver(monkeypatch, driver)
    assert nvml_sensors() is None
    assert driver.open == 0, "the driver was let go"
    async with reading(None, 0.0) as telemetry:
        pass
    assert (telemetry.idle_w, telemetry.busy_w, telemetry.limit_w, telemetry.warmest_c) == (None, None, None, None)


def test_the_names_are_those_of_nvidias_package() -> None:
    real = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    real = importlib.reload(real)
    names = [name for name in vars(Driver) if name.lower().startswith("nvml")]
    assert [name for name in names if not hasattr(real, name)] == []
