"""The whole of a measurement: sweep, fit, judge, and a profile of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from switchgear.core.clock import Clock
from switchgear.hardware.model import Figure, Kind, ModelSpec, Observed, Physics, Precision, Profile
from switchgear.profiling import basis, outside
from switchgear.profiling.caller import Caller
from switchgear.profiling.design import Design
from switchgear.profiling.estimate import Estimated, Middle, Verdict, estimate, middles, need_enough, rates, unit_cost
from switchgear.profiling.model import Bounds, Price, by_shape
from switchgear.profiling.sweep import Progress, Sweep, Swept
from switchgear.profiling.telemetry import Sensors, Telemetry, reading

_IDLE_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Assumed:
    """What the measurer knows of the backend beforehand."""

    spec: ModelSpec | None = None
    """What the model is made of; None: the backend is only seen from outside."""
    precision: Precision = Precision.BF16
    physics: Physics | None = None
    """A datasheet whose peaks the fit is to explain; None: rates are fitted themselves."""
    devices: int = 1
    seats: int = 256
    """Calls that the backend computes at once."""
    step_tokens: int = 2048


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What came of it."""

    swept: Swept
    design: Design
    telemetry: Telemetry
    profile: Profile
    held_out: Verdict
    estimated: Estimated | None
    """None where the backend was only seen from outside."""
    source: str


@dataclass(frozen=True, kw_only=True)
class Named:
    """How the profile is called and what its source says."""

    name: str
    title: str
    kind: Kind
    source: str


async def measure(
    caller: Caller,
    plan: Design,
    bounds: Bounds,
    assumed: Assumed,
    named: Named,
    clock: Clock,
    *,
    price: Price | None = None,
    sensors: Sensors | None = None,
    progress: Progress | None = None,
) -> Measured:
    """Sweep, fit and judge. Raises ProfilingError, and HardwareError where the model cannot run on the device that was named."""
    async with reading(sensors, _IDLE_S) as telemetry:
        swept = await Sweep(caller, plan, bounds, clock, price=price, progress=progress).run()
    found = middles(by_shape(swept.runs))
    fitted = [found[shape] for shape in plan.fitted if shape in found]
    held_out = [found[shape] for shape in plan.held_out if shape in found]
    if assumed.spec is None or assumed.spec.architecture is None:
        chosen = set(plan.fitted)
        runs = [run for run in swept.runs if run.shape in chosen]
        seen = outside.look(runs, held_out, swept.seconds, named.source)
        profile = _profile(named, seen.held_out, swept, observed=seen.observed)
        return Measured(
            swept=swept,
            design=plan,
            telemetry=telemetry,
            profile=profile,
            held_out=seen.held_out,
            estimated=None,
            source=named.source,
        )
    estimated, physics = _fit(assumed, fitted, held_out, telemetry, named.source)
    profile = _profile(named, estimated.held_out, swept, physics=physics)
    return Measured(
        swept=swept,
        design=plan,
        telemetry=telemetry,
        profile=profile,
        held_out=estimated.held_out,
        estimated=estimated,
        source=named.source,
    )


def _fit(
    assumed: Assumed, fitted: Sequence[Middle], held_out: Sequence[Middle], telemetry: Telemetry, source: str
) -> tuple[Estimated, Physics]:
    assert assumed.spec is not None  # noqa: S101  the caller looked
    shape = assumed.spec.architecture
    assert shape is not None  # noqa: S101  the caller looked
    need_enough(fitted, held_out)
    held_tokens = max((one.shape.tokens for one in (*fitted, *held_out)), default=0)
    counted = basis.of_nothing(shape, assumed.precision, basis.ONE_A_SECOND, held_tokens)
    reached = rates(fitted, unit_cost(counted.placement))
    if assumed.physics is None:
        chosen = basis.of_nothing(shape, assumed.precision, reached, held_tokens)
    else:
        chosen = basis.of_datasheet(assumed.physics, shape, assumed.precision, assumed.devices)
    estimated = estimate(chosen, fitted, held_out, reached, seats=assumed.seats, step_tokens=assumed.step_tokens)
    return estimated, chosen.fitted(estimated.fit, source, _powers(telemetry, source))


def _powers(telemetry: Telemetry, source: str) -> dict[str, Figure]:
    """Power figures of one device, where NVML told them: the mean of the machine's boards, whether the backend uses all of them or not."""
    boards = telemetry.boards
    figures = {}
    if telemetry.idle_w is not None:
        figures["idle_w"] = Figure(telemetry.idle_w / boards, f"{source}; NVML, before the sweep, mean of {boards}")
    if telemetry.limit_w is not None:
        figures["tdp_w"] = Figure(telemetry.limit_w / boards, f"{source}; NVML, enforced power limit, mean of {boards}")
    return figures


def _profile(
    named: Named, held_out: Verdict, swept: Swept, *, physics: Physics | None = None, observed: Observed | None = None
) -> Profile:
    rounds = sorted({shape.rounds for shape in held_out.shapes})
    runs = f"{rounds[0]}" if len(rounds) == 1 else f"{rounds[0]} to {rounds[-1]}"
    note = (
        f"On {len(held_out.shapes)} shapes that were not fitted ({runs} runs each) the median error was {held_out.ttft.median:.0%} "
        f"for the first token and {held_out.call.median:.0%} for the whole call."
    )
    if not swept.counted:
        note += " The backend reports no usage: tokens are estimates."
    return Profile(name=named.name, title=named.title, kind=named.kind, note=note, physics=physics, observed=observed)
