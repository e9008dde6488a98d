"""Whether a caller reaches a device at this moment, and what it finds there. In real time, over a device's own time."""

import asyncio
from dataclasses import replace

from switchgear.emulator.behaviour import Behaviour
from switchgear.emulator.body import Reading
from switchgear.emulator.device import Device
from switchgear.emulator.driver import Driver
from switchgear.emulator.errors import ApiError


class Presence:
    """A device as those see it who call it now."""

    def __init__(self, device: Device, driver: Driver) -> None:
        self.device = device
        self._driver = driver

    def now_s(self) -> float:
        """The scenario's time."""
        return self._driver.now_s()

    async def reached(self) -> bool:
        """Wait while packets vanish; False where the link refuses, and also where it stays silent: then only after the caller gave up."""
        passed_s = 0.0
        while True:
            now_s = max(self.now_s(), passed_s)
            conditions = self.device.conditions(now_s)
            if conditions.link:
                return True
            if not conditions.drop:
                return False
            up_s = self.device.timeline.link_up_s(now_s)
            if up_s is None:
                await asyncio.get_running_loop().create_future()  # until the caller hangs up
                return False
            await asyncio.sleep((up_s - now_s) / self._driver.speed)
            passed_s = up_s

    def off(self) -> bool:
        """Whether nobody is there to answer."""
        return self.device.off(self.now_s())

    def refusal(self) -> ApiError | None:
        """Why it takes no call now."""
        return self.device.refusal(self.now_s())

    def behaviour(self, behaviour: Behaviour) -> Behaviour:
        """How it answers, with what its disk adds."""
        delay_s = self.device.conditions(self.now_s()).disk_delay_s
        return replace(behaviour, delay_s=behaviour.delay_s + delay_s / self._driver.speed) if delay_s else behaviour

    def read(self) -> Reading:
        """What its instruments show."""
        return self.device.read(self.now_s())
