"""Devices of a scenario in virtual time, for tests: no clock, no sleep."""

from collections.abc import Iterable, Sequence

import msgspec

from switchgear.emulator.body import Body
from switchgear.emulator.body_model import Figures, power_of, thermal_of
from switchgear.emulator.conditions import Named, Timeline, timelines
from switchgear.emulator.device import Device
from switchgear.emulator.engine import BatchEngine, Emission
from switchgear.emulator.errors import ApiError
from switchgear.emulator.scenario import Event
from switchgear.hardware.catalogue import model_spec, profile
from switchgear.hardware.model import Physics
from switchgear.hardware.roofline import Placement, StepCost, StepLoad, choose_precision

LASTS_S = 600.0


def physics(name: str = "l4") -> Physics:
    found = profile(name).physics
    assert found is not None
    return found


def placement(name: str = "l4", model: str = "llama-3.1-8b") -> Placement:
    shape = model_spec(model).architecture
    assert shape is not None
    return Placement(physics(name), shape, choose_precision(profile(name), shape))


def figures(name: str = "l4", **changes: object) -> Figures:
    made = Figures(power=power_of(physics(name)), thermal=thermal_of(physics(name)))
    return msgspec.structs.replace(made, **changes)


def under(*events: Event, lasts_s: float = LASTS_S) -> Timeline:
    """The timeline of one device that all these events hit."""
    return timelines(events, [Named("a")], lasts_s, 0)["a"]


def device(*events: Event, of: Figures | None = None, lasts_s: float = LASTS_S) -> Device:
    where = placement()
    return Device("a", of or figures(), under(*events, lasts_s=lasts_s), lambda pace: BatchEngine(where, pace=pace))


COST = StepCost.of(placement())
DECODE = StepLoad(decodes=8, context_tokens=8 * 500)


def work(body: Body, from_s: float, to_s: float) -> float:
    """Keep a body busy with decode steps, one after the other; when the last one ends."""
    at_s = from_s
    while at_s < to_s:
        at_s += body.begin_step(COST, DECODE, at_s)
    return at_s


def drive(
    one: Device, calls: Sequence[tuple[float, int, int]], until_s: float, looks: Iterable[float] = ()
) -> tuple[list[Emission], list[int]]:
    """Submit (time, prompt tokens, output tokens) when due, run to the end, and read the instruments at `looks` on the way.

    Gives what was emitted, and the calls that were refused, by their place.
    """
    moments = sorted([(at_s, 1, index) for index, (at_s, _, _) in enumerate(calls)] + [(at_s, 0, -1) for at_s in looks])
    emissions: list[Emission] = []
    refused: list[int] = []
    for at_s, _, index in [*moments, (until_s, 0, -1)]:
        while (due_s := one.next_s()) is not None and due_s <= at_s:
            emissions += one.advance(due_s)
        if index < 0:
            one.read(at_s)
            continue
        try:
            one.submit(index, calls[index][1], calls[index][2], at_s)
        except ApiError:
            refused.append(index)
    return emissions, refused
