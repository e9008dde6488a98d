"""One emulated place: its models, each with its engine, its faults and its memory of calls."""

from dataclasses import dataclass
from typing import Any

import msgspec

from switchgear.core.clock import Clock
from switchgear.emulator.body_model import Figures
from switchgear.emulator.calls import Calls
from switchgear.emulator.conditions import Timeline
from switchgear.emulator.device import Clearable, Device
from switchgear.emulator.driver import Driver
from switchgear.emulator.engine import BatchEngine, BatchLimits, Engine, Pace, by_roofline
from switchgear.emulator.errors import ApiError, EmulatorError
from switchgear.emulator.faults import Fault, parse_faults
from switchgear.emulator.health import Publishes
from switchgear.emulator.observed import ObservedEngine
from switchgear.emulator.presence import Presence
from switchgear.emulator.rules import FaultBook, parse_rules
from switchgear.hardware.catalogue import model_spec, profile
from switchgear.hardware.model import Figure, ModelSpec, Precision, Profile
from switchgear.hardware.roofline import (
    Placement,
    choose_precision,
    kv_bytes_per_token,
    weight_bytes,
)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How to emulate a place.

    Each of `models` is `NAME`, `NAME=SPEC` where the name is not that of a model specification, and either with `!FAULTS` behind it: a
    name that always fails so. A physical place divides its memory evenly among its models; they do not slow each other.
    """

    profile: str
    models: tuple[str, ...]
    name: str = ""
    """What the place calls itself, for `at` in faults; the profile's name where empty."""
    speed: float = 1.0
    """Emulated seconds in one real second."""
    seed: int = 0
    precision: Precision | None = None
    """How weights are stored; the widest up to 16 bits that fits where None."""
    devices: int = 1
    max_batch: int = 256
    requests_per_minute: float | None = None
    """The rate limit of a place seen from outside; the profile's where None."""
    continues: bool = True
    """Whether a last message of the assistant is continued; else a new turn is begun after it."""
    api_key: str = ""
    """What callers must send as a bearer token; nothing where empty."""
    faults: Any = None
    """Rules in JSON's types, as `PUT /emulator/faults` takes them."""

    def __post_init__(self) -> None:
        if not 0 < self.speed <= 1e6:
            raise EmulatorError(f"speed is {self.speed}; give a number above 0 and at most 1,000,000")
        if not self.models:
            raise EmulatorError("no model; give at least one, for example llama-8b")
        if self.max_batch < 1:
            raise EmulatorError(f"max_batch is {self.max_batch}; give at least 1")
        if self.requests_per_minute is not None and not self.requests_per_minute >= 1:
            raise EmulatorError(f"requests_per_minute is {self.requests_per_minute}; give at least 1")

    def __repr__(self) -> str:
        return f"Settings(profile={self.profile!r}, models={self.models!r}, name={self.name!r})"  # without the key


@dataclass(frozen=True, slots=True)
class Served:
    """One model of the place. `name` is what callers say, `spec` what it is made of, `window_tokens` its longest sequence."""

    name: str
    spec: ModelSpec
    driver: Driver
    window_tokens: int
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class World:
    """What a scenario makes of a place: the body of its one device, what the world does to it, and when the scenario began (monotonic)."""

    figures: Figures
    timeline: Timeline
    origin_s: float
    publishes: Publishes = Publishes.DCGM


@dataclass(frozen=True, slots=True)
class Memory:
    """What a device's memory holds, bytes."""

    total: float = 0.0
    weights: float = 0.0
    cached_token: float = 0.0
    """One cached token."""


class Place:
    """What the HTTP front serves. Raises EmulatorError or HardwareError where the settings make no place.

    In a `world` it has a body, and what happens there happens to it; without one it is always well.
    """

    def __init__(self, settings: Settings, clock: Clock, world: World | None = None) -> None:
        if world is not None and len(settings.models) != 1:
            raise EmulatorError("a device of a scenario serves one model; make a device for each")
        self.settings = settings
        self.world = world
        self.presence: Presence | None = None
        self.memory = Memory()
        self.clock = clock
        self.profile: Profile = profile(settings.profile)
        self.name = settings.name or self.profile.name
        self.calls = Calls()
        self.book = FaultBook(self.name, settings.seed, parse_rules(settings.faults))
        self.started_s = clock.monotonic_s()
        self.book.set_at_s = self.started_s
        self.created_s = int(clock.now_s())
        self.models: dict[str, Served] = {}
        for text in settings.models:
            served = self._serve(text)
            if served.name in self.models:
                raise EmulatorError(f"model {served.name!r} is given twice; give each name once")
            self.models[served.name] = served

    def find(self, name: str) -> tuple[Served, tuple[Fault, ...]]:
        """The model that a request names, and the faults behind a `!` in that name. Raises ApiError (404)."""
        base, _, fault = name.partition("!")
        served = self.models.get(base)
        if served is None:
            raise ApiError(
                404,
                f"The model '{base}' does not exist or you do not have access to it.",
                param="model",
                error_code="model_not_found",
            )
        return served, served.faults + request_faults(fault)

    def close(self) -> None:
        """Stop the engines."""
        for served in self.models.values():
            served.driver.close()

    def _serve(self, text: str) -> Served:
        names, _, fault = text.partition("!")
        name, _, spec_name = names.partition("=")
        if not name:
            raise EmulatorError(f"model {text!r} has no name; write NAME=SPEC, for example mine=llama-8b")
        spec = model_spec(spec_name or name)
        if self.world is None:
            engine: Engine
            engine, window_tokens = self._engine(spec, by_roofline)
            driver = Driver(engine, self.clock, self.settings.speed)
        else:
            driver, window_tokens = self._embodied(spec, self.world)
        return Served(name, spec, driver, window_tokens, parse_faults(fault))

    def _embodied(self, spec: ModelSpec, world: World) -> tuple[Driver, int]:
        """The engine in a body, and the way to it."""
        windows: list[int] = []

        def make(pace: Pace) -> Clearable:
            engine, window_tokens = self._engine(spec, pace)
            windows.append(window_tokens)
            return engine

        device = Device(self.name, world.figures, world.timeline, make, self.settings.seed)
        driver = Driver(device, self.clock, self.settings.speed, world.origin_s)
        self.presence = Presence(device, driver)
        return driver, windows[0]

    def _engine(self, spec: ModelSpec, pace: Pace) -> tuple[Clearable, int]:
        settings, place = self.settings, self.profile
        if place.observed is not None:
            observed = ObservedEngine(place.observed, settings.seed, settings.requests_per_minute)
            return observed, spec.context_window_tokens
        if place.physics is None or spec.architecture is None:
            raise EmulatorError(
                f"model {spec.name!r} is only known from outside, and profile {place.name!r} computes; choose a model with an architecture"
            )
        share = Figure(
            place.physics.memory_bytes.value / len(settings.models), "even share of the memory", assumed=True
        )
        physics = msgspec.structs.replace(place.physics, memory_bytes=share)
        precision = settings.precision or choose_precision(
            msgspec.structs.replace(place, physics=physics), spec.architecture, settings.devices
        )
        placement = Placement(physics, spec.architecture, precision, devices=settings.devices)
        self.memory = Memory(
            place.physics.memory_bytes.value * settings.devices, weight_bytes(placement), kv_bytes_per_token(placement)
        )
        batch = BatchEngine(placement, BatchLimits(sequences=settings.max_batch), pace)
        return batch, min(spec.context_window_tokens, batch.longest_sequence_tokens)


def request_faults(raw: Any) -> tuple[Fault, ...]:
    """Faults that a request brings. Raises ApiError (400) where they cannot be read."""
    try:
        return parse_faults(raw)
    except (EmulatorError, RecursionError) as error:
        raise ApiError(400, str(error), param="emulator_fault", error_code="invalid_fault") from error
