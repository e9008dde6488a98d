"""Running a rehearsal: in real time, at a speed, or in virtual time. The same stage, the same code; only the loop differs."""

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

import uvloop

from switchgear.core.clock import Clock, SystemClock
from switchgear.core.tasks import TaskOwner
from switchgear.emulator.body import Reading
from switchgear.emulator.body_model import Run
from switchgear.gateway.config import Config
from switchgear.hardware.thermal import Throttle
from switchgear.rehearsal.arrivals import arrivals
from switchgear.rehearsal.caller import Callers
from switchgear.rehearsal.configuration import KEY, of_user, shipped
from switchgear.rehearsal.errors import RehearsalError
from switchgear.rehearsal.model import Scenario
from switchgear.rehearsal.recording import missing
from switchgear.rehearsal.seen import Course, DeviceSeen, Sample
from switchgear.rehearsal.stage import Stage
from switchgear.rehearsal.virtual_time import LoopClock, run_virtually

SAMPLES = 120
"""How often the instruments are read in a course."""
_MOST_SAMPLED = 64
"""Of a large fleet the first so many devices are sampled over time, and all are read at the end."""


def rehearse(scenario: Scenario, config: Config | None = None, *, virtual: bool = True, speed: float = 1.0) -> Course:
    """Run a scenario to its end. `config` is a user's own configuration; the shipped defaults where None.

    `speed` is scenario seconds in one real second, and counts in real time only. Raises RehearsalError, and HardwareError or ConfigError
    where devices or configuration cannot be made.
    """
    if not 0 < speed <= 1000:
        raise RehearsalError(f"speed is {speed:g}; give a number above 0 and at most 1,000")
    if config is not None and not scenario.through_gateway:
        raise RehearsalError(
            "the scenario has through_gateway = false; leave the configuration out, or take that line out"
        )
    used = None
    if scenario.through_gateway:
        used = shipped(scenario) if config is None else of_user(config, scenario)
    with tempfile.TemporaryDirectory(prefix="sg-") as folder:
        if virtual:
            return run_virtually(lambda: _virtually(scenario, used, Path(folder)))
        return uvloop.run(_perform(scenario, used, Path(folder), SystemClock(), speed=speed, virtual=False))


async def _virtually(scenario: Scenario, config: Config | None, folder: Path) -> Course:
    clock = LoopClock(asyncio.get_running_loop())
    return await _perform(scenario, config, folder, clock, speed=1.0, virtual=True)


async def _perform(
    scenario: Scenario, config: Config | None, folder: Path, clock: Clock, *, speed: float, virtual: bool
) -> Course:
    calls = arrivals(scenario)
    watchers = TaskOwner("instruments")
    async with Stage(scenario, config, clock, folder, speed=speed, virtual=virtual) as stage:
        pool = stage.pool()
        origin_s = stage.site.origin_s
        callers = Callers(pool, KEY, clock, speed, origin_s, prefixed=not scenario.through_gateway)
        instruments = _Instruments(stage, clock, speed)
        watching = watchers.start(instruments.watch())
        await callers.run(calls)
        rest_s = origin_s + scenario.lasts_s / speed - clock.monotonic_s()
        if rest_s > 0:
            await asyncio.sleep(rest_s)
        await watching
        await callers.settle(scenario.settle_s)
        await pool.close()
        devices = instruments.devices()
        recorder = stage.recorder
    await watchers.close()
    records = [] if recorder is None else recorder.read_back()
    lost, repeated = missing(records, [seen.call for seen in callers.seen])
    return Course(
        scenario=scenario.name,
        seed=scenario.seed,
        virtual=virtual,
        speed=speed,
        lasts_s=scenario.lasts_s,
        through_gateway=scenario.through_gateway,
        calls=sorted(callers.seen, key=lambda seen: seen.number),
        devices=devices,
        records=records,
        lost=lost,
        repeated=repeated,
        health={name: dict(counts) for name, counts in instruments.standings.items()},
    )


class _Instruments:
    """Reads every device at fixed times of the scenario."""

    def __init__(self, stage: Stage, clock: Clock, speed: float) -> None:
        self.standings: dict[str, Counter[str]] = {name: Counter() for name in stage.health}
        self._stage = stage
        self._now_s = clock.monotonic_s
        self._speed = speed
        self._specs = stage.scenario.specs()
        self._names = list(self._specs)
        self._samples: dict[str, list[Sample]] = {name: [] for name in self._names}
        self._last: dict[str, Reading] = {}

    async def watch(self) -> None:
        """Until the scenario's end."""
        origin_s, lasts_s = self._stage.site.origin_s, self._stage.scenario.lasts_s
        for number in range(SAMPLES + 1):
            at_s = lasts_s * number / SAMPLES
            wait_s = origin_s + at_s / self._speed - self._now_s()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            self._look(self._names if number == SAMPLES else self._names[:_MOST_SAMPLED], at_s)

    def devices(self) -> list[DeviceSeen]:
        """What was seen of each, at the end."""
        return [self._seen(name) for name in self._names]

    def _look(self, names: list[str], at_s: float) -> None:
        now_s = self._now_s()
        for name, health in self._stage.health.items():
            self.standings[name][health.standing(now_s).value] += 1
        for name in names:
            presence = self._stage.site.presence(name)
            self._last[name] = reading = presence.read()
            self._samples[name].append(
                Sample(
                    at_s,
                    reading.temperature_c,
                    reading.power_w,
                    reading.clock,
                    reading.throttle is Throttle.SLOW,
                    reading.run is Run.ON,
                    reading.charge,
                    presence.device.load().running,
                )
            )

    def _seen(self, name: str) -> DeviceSeen:
        spec, reading = self._specs[name], self._last[name]
        device = self._stage.site.presence(name).device
        return DeviceSeen(
            name=name,
            boards=spec.devices,
            seen_inside=spec.seen_inside(),
            samples=self._samples[name],
            energy_j=reading.energy_j * spec.devices,
            slow_s=reading.slow_s,
            capped_s=reading.capped_s,
            off_s=reading.off_s,
            busy_s=reading.busy_s,
            peak_c=max(sample.temperature_c for sample in self._samples[name]),
            tokens=device.generated_tokens,
        )
