"""What a device of a scenario is, as a file states it, and what is made of that."""

from typing import Annotated

import msgspec

from switchgear.core.data_class import DataClass
from switchgear.core.snapshot import Count, Prices, Ratio
from switchgear.emulator.body_model import Figures, power_of, thermal_of
from switchgear.emulator.health import Publishes
from switchgear.emulator.place import Settings
from switchgear.hardware.battery import Battery
from switchgear.hardware.catalogue import profile
from switchgear.hardware.model import Kind, Precision
from switchgear.hardware.power import PowerModel
from switchgear.hardware.solar import Solar
from switchgear.hardware.thermal import Thermal


class DeviceSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of device, and how many of it."""

    profile: str
    """The hardware; `switchgear emulate --list-profiles` shows all, and a file that `switchgear profile --save` wrote is one too."""
    model: str
    """What it serves: NAME, or NAME=SPEC for a name of your own."""
    count: Count = 1
    """So many; two or more are called NAME-0001, NAME-0002 …"""
    labels: dict[str, str] = {}
    """What `where` of an event looks at."""
    kind: Kind | None = None
    """The profile's where not given."""
    region: str = ""
    strictest: DataClass | None = None
    """The strictest data class that may go there; internal for a cloud, restricted for all else, where not given."""
    precision: Precision | None = None
    devices: Count = 1
    """Boards that share the model; power, heat and battery are those of one board, and all boards are alike."""
    max_batch: Count = 256
    max_in_flight: Count = 256
    requests_per_minute: Annotated[float, msgspec.Meta(ge=1)] | None = None
    prices: Prices | None = None
    publishes: Publishes | None = None
    """dcgm where not given, and nothing for a place that is only seen from outside."""
    ambient_c: Annotated[float, msgspec.Meta(ge=-60, le=90)] = 25.0
    fan: Ratio = 1.0
    boot_s: Annotated[float, msgspec.Meta(ge=0)] = 20.0
    sm_clock_mhz: Annotated[float, msgspec.Meta(gt=0)] = 1980.0
    """Core clock at its full height; the H100's where not given (data sheet, boost clock)."""
    thermal: Thermal | None = None
    power: PowerModel | None = None
    battery: Battery | None = None
    charge: Ratio = 1.0
    solar: Solar | None = None
    start_hour: Annotated[float, msgspec.Meta(ge=0, lt=24)] = 12.0
    start_day: Annotated[float, msgspec.Meta(ge=1, le=366)] = 172.0

    def seen_inside(self) -> bool:
        """Whether its hardware is known. Raises UnknownName."""
        return profile(self.profile).physics is not None

    def place_kind(self) -> Kind:
        """What sort of place it is."""
        return self.kind or profile(self.profile).kind

    def allows(self) -> DataClass:
        """The strictest data class that may go there."""
        if self.strictest is not None:
            return self.strictest
        return DataClass.INTERNAL if self.place_kind() is Kind.CLOUD else DataClass.RESTRICTED

    def published(self) -> Publishes:
        """In which words it tells its health."""
        if self.publishes is not None:
            return self.publishes
        return Publishes.DCGM if self.seen_inside() else Publishes.NOTHING

    def names(self, name: str) -> list[str]:
        """The names of its devices."""
        if self.count == 1:
            return [name]
        width = max(4, len(str(self.count)))
        return [f"{name}-{number:0{width}}" for number in range(1, self.count + 1)]

    def settings(self, name: str, *, speed: float, seed: int) -> Settings:
        """How to emulate the place around one of its devices."""
        return Settings(
            profile=self.profile,
            models=(self.model,),
            name=name,
            speed=speed,
            seed=seed,
            precision=self.precision,
            devices=self.devices,
            max_batch=self.max_batch,
            requests_per_minute=self.requests_per_minute,
        )

    def figures(self) -> Figures:
        """Its body. Raises HardwareError where the profile lacks what it needs."""
        physics = profile(self.profile).physics
        if physics is None:
            return UNSEEN
        return Figures(
            power=self.power or power_of(physics),
            thermal=self.thermal or thermal_of(physics),
            battery=self.battery,
            solar=self.solar,
            ambient_c=self.ambient_c,
            fan=self.fan,
            boot_s=self.boot_s,
            charge=self.charge,
            sm_clock_mhz=self.sm_clock_mhz,
            start_hour=self.start_hour,
            start_day=self.start_day,
        )


UNSEEN = Figures(
    power=PowerModel(idle_w=0.0, arithmetic_w=0.0, memory_w=0.0, limit_w=1.0),
    thermal=Thermal(
        heat_capacity_j_per_k=1.0,
        case_k_per_w=0.0,
        flow_k_per_w=1.0,
        still_k_per_w=1.0,
        throttle_c=1000.0,
        release_c=999.0,
        shutdown_c=1001.0,
    ),
    boot_s=1.0,
)
"""A place that is only seen from outside: it can be cut off or go down, and whatever is warm there, nobody knows. It publishes nothing."""
