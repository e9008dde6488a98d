"""What `switchgear profile` does, apart from talking; imported only when it is asked, since it needs NumPy."""

import datetime
from dataclasses import dataclass
from typing import Any

from switchgear.backends.model import Adapter
from switchgear.core.clock import Clock
from switchgear.core.snapshot import Prices
from switchgear.hardware.catalogue import model_spec
from switchgear.hardware.catalogue import profile as known_profile
from switchgear.hardware.errors import HardwareError, UnknownName
from switchgear.hardware.model import Kind, ModelSpec, Physics, Precision
from switchgear.profiling.caller import Caller
from switchgear.profiling.design import design
from switchgear.profiling.errors import NoAnswer
from switchgear.profiling.model import Bounds, Price
from switchgear.profiling.service import Assumed, Measured, Named, measure
from switchgear.profiling.sweep import Progress
from switchgear.profiling.telemetry import nvml_sensors
from switchgear.wire.origin import Origin


@dataclass(frozen=True)
class Asked:
    """What was asked for, with the way to the backend. `local`: it runs on this machine, whose sensors therefore tell of it."""

    origin: Origin
    adapter: Adapter
    url: str
    prices: Prices | None
    local: bool
    options: dict[str, Any]


async def run(asked: Asked, clock: Clock, progress: Progress) -> Measured:
    """Measure. Raises SwitchgearError."""
    options = asked.options
    plan = design(
        options["prompt_tokens"],
        options["output_tokens"],
        options["concurrency"],
        rounds=options["rounds"],
        seed=options["seed"],
    )
    bounds = Bounds(options["max_seconds"], options["max_tokens"], options["max_usd"])
    price = None
    if asked.prices is not None:
        price = Price(asked.prices.input_usd_per_mtok, asked.prices.output_usd_per_mtok)
    caller = Caller(asked.origin, asked.adapter, options["model"] or "", clock)
    if not caller.model:
        names = await caller.models()
        if not names:
            raise NoAnswer("the backend lists no model; name one with --model")
        caller.model = names[0]
    assumed = _assumed(options, caller.model)
    sensors = nvml_sensors() if asked.local else None
    try:
        return await measure(
            caller,
            plan,
            bounds,
            assumed,
            _named(asked, caller.model, assumed, clock),
            clock,
            price=price,
            sensors=sensors,
            progress=progress,
        )
    finally:
        if sensors is not None:
            sensors.close()


def _assumed(options: dict[str, Any], model: str) -> Assumed:
    return Assumed(
        spec=_spec(options["spec"], model),
        precision=_precision(options["precision"]),
        physics=_physics(options["hardware"]),
        devices=options["devices"],
        seats=options["seats"],
    )


def _spec(name: str | None, model: str) -> ModelSpec | None:
    """The specification that was named, else the one that the model's name means, else none."""
    if name is not None:
        return model_spec(name)
    try:
        return model_spec(model.rpartition("/")[2].lower())
    except UnknownName:
        return None


def _precision(name: str | None) -> Precision:
    known = [str(precision) for precision in Precision]
    if name is not None and name not in known:
        raise UnknownName("precision", name, known)
    return Precision(name) if name else Precision.BF16


def _physics(name: str | None) -> Physics | None:
    if name is None:
        return None
    physics = known_profile(name).physics
    if physics is None:
        raise HardwareError(
            f"profile {name!r} is only seen from outside; name one with physics, or leave --hardware out"
        )
    return physics


def _named(asked: Asked, model: str, assumed: Assumed, clock: Clock) -> Named:
    day = _date(clock.now_s())
    spec = assumed.spec
    inside = spec is not None and spec.architecture is not None
    what = f"{spec.name} in {assumed.precision}" if spec is not None and inside else "a model of unknown make"
    return Named(
        name=asked.options["name"],
        title=f"{model} at {asked.url}, measured {day}",
        kind=Kind(asked.options["kind"]),
        source=f"switchgear profile of {asked.url}, {model} taken as {what}, {day}",
    )


def _date(now_s: float) -> str:
    return datetime.datetime.fromtimestamp(now_s, datetime.UTC).date().isoformat()
