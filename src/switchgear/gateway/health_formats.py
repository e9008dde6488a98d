"""What telemetry says, out of the words in which it comes: Prometheus text with DCGM's names, or JSON with nvidia-smi's. Pure.

Names: NVIDIA DCGM exporter, etc/default-counters.csv, and DCGM's field identifiers, of the reasons both the older name
(CLOCK_THROTTLE_REASONS) and the newer (CLOCKS_EVENT_REASONS); `nvidia-smi --help-query-gpu`; vLLM, Production Metrics. DCGM writes a value
that it does not have as one of its blanks (dcgm_structs.h: DCGM_INT64_BLANK, DCGM_FP64_BLANK, DCGM_INT32_BLANK, and up to fifteen above
each), which is unknown here, as is everything that is not said.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from switchgear.core.decoding import UNREADABLE
from switchgear.core.errors import SwitchgearError

SLOWING = {
    0x4: "power limit",
    0x8: "hardware slowdown",
    0x20: "heat (software)",
    0x40: "heat",
    0x80: "power brake",
}
"""NVML's clocks event reasons that make a call slower (nvml.h); idle and chosen clocks do not."""
_NAMES = {
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
}
_BLANK_64 = float(0x7FFFFFFFFFFFFFF0)
_BLANKS = (1 << 47, 0x7FFFFFF0)
"""Of doubles and of 32-bit whole numbers."""
_MIB = 1024.0 * 1024.0


class Unreadable(SwitchgearError):
    """An answer that is no telemetry."""

    code = "telemetry_unreadable"


class Telemetry(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of one backend. None: not said, which is unknown and never zero.

    Of several boards the worst counts; power and energy add up.
    """

    temperature_c: float | None = None
    """Of the board that is nearest to its limit."""
    headroom_k: float | None = None
    """Kelvin below the temperature at which it slows down."""
    power_w: float | None = None
    power_limit_w: float | None = None
    energy_j: float | None = None
    """Since boot."""
    clock_mhz: float | None = None
    memory_free: float | None = None
    """Fraction of the memory."""
    reasons: int | None = None
    """NVML's bits."""
    prompt_tokens: float | None = None
    generated_tokens: float | None = None
    confidence: float | None = None
    charge: float | None = None
    """Of its battery."""
    outage_in_s: tuple[float, float] | None = None
    """An announced outage: seconds from the reading until it begins and until it ends."""
    told_s: float | None = None
    """The device's own time of the reading."""


def read_telemetry(body: bytes) -> Telemetry:
    """What an answer says, whichever of the two it is. Raises Unreadable."""
    if body.lstrip()[:1] == b"{":
        return read_nvml(body)
    return read_prometheus(body)


def read_prometheus(body: bytes) -> Telemetry:
    """Prometheus text exposition, version 0.0.4. Raises Unreadable where nothing in it is known."""
    found: dict[str, list[float]] = {}
    for line in body.decode("utf-8", "replace").splitlines():
        if not line.startswith(("DCGM_FI_DEV_", "vllm:", "switchgear_device_")):
            continue
        name, _, rest = line.partition("{") if "{" in line else line.partition(" ")
        figure = rest.rpartition("}")[2].split()
        try:
            value = float(figure[0])
        except (IndexError, ValueError):
            continue
        if value < _BLANK_64 and math.isfinite(value) and not any(blank <= value <= blank + 15 for blank in _BLANKS):
            found.setdefault(name, []).append(value)
    if not found:
        raise Unreadable("nothing in the answer has a name of the DCGM exporter; point `url` at its /metrics")

    def dcgm(name: str) -> list[float]:
        return found.get(f"DCGM_FI_DEV_{name}", [])

    def own(name: str) -> float | None:
        return _one(found.get(f"switchgear_device_{name}", []), max)

    reasons = [int(value) for value in dcgm("CLOCKS_EVENT_REASONS") or dcgm("CLOCK_THROTTLE_REASONS")]
    energy_mj = _one(dcgm("TOTAL_ENERGY_CONSUMPTION"), sum)
    return Telemetry(
        temperature_c=_one(dcgm("GPU_TEMP"), max),
        headroom_k=_least_gap(dcgm("SLOWDOWN_TEMP"), dcgm("GPU_TEMP")),
        power_w=_one(dcgm("POWER_USAGE"), sum),
        power_limit_w=_one(dcgm("ENFORCED_POWER_LIMIT") or dcgm("POWER_MGMT_LIMIT"), sum),
        energy_j=None if energy_mj is None else energy_mj / 1000,
        clock_mhz=_one(dcgm("SM_CLOCK"), min),
        memory_free=_least_share(dcgm("FB_FREE"), dcgm("FB_USED")),
        reasons=_all_bits(reasons),
        prompt_tokens=_one(found.get("vllm:prompt_tokens_total", []), sum),
        generated_tokens=_one(found.get("vllm:generation_tokens_total", []), sum),
        confidence=own("confidence"),
        charge=own("battery_charge_ratio"),
        outage_in_s=_outage(own),
        told_s=own("timestamp_seconds"),
    )


def read_nvml(body: bytes) -> Telemetry:
    """JSON with an array `gpus` of objects with nvidia-smi's names (one such object alone will do). Raises Unreadable."""
    try:
        raw = msgspec.json.decode(body)
    except UNREADABLE as error:
        raise Unreadable(f"the answer is no JSON: {error}") from error
    gpus = raw.get("gpus", [raw]) if isinstance(raw, dict) else []
    gpus = [gpu for gpu in gpus if isinstance(gpu, dict)] if isinstance(gpus, list) else []
    engine, device = _table(raw, "engine"), _table(raw, "device")

    def figures(name: str) -> list[float]:
        return [value for gpu in gpus if (value := _number(gpu.get(name))) is not None]

    if not any(figures(name) for name in ("temperature.gpu", "power.draw", "clocks.sm")):
        raise Unreadable("no object in the answer has temperature.gpu, power.draw or clocks.sm")
    energy_mj = _one(figures("total_energy_consumption"), sum)
    limit_w = _one(figures("enforced.power.limit") or figures("power.limit"), sum)
    return Telemetry(
        temperature_c=_one(figures("temperature.gpu"), max),
        headroom_k=_one(figures("temperature.gpu.tlimit"), min),
        power_w=_one(figures("power.draw"), sum),
        power_limit_w=limit_w,
        energy_j=None if energy_mj is None else energy_mj / 1000,
        clock_mhz=_one(figures("clocks.sm"), min),
        memory_free=_least_share(figures("memory.free"), figures("memory.used")),
        reasons=_all_bits([bits for gpu in gpus if (bits := _bits(gpu)) is not None]),
        prompt_tokens=_number(engine.get("prompt_tokens_total")),
        generated_tokens=_number(engine.get("generation_tokens_total")),
        confidence=_number(device.get("confidence")),
        charge=_number(device.get("battery_charge_ratio")),
        outage_in_s=_outage(lambda name: _number(device.get(name))),
        told_s=_number(device.get("timestamp_seconds")),
    )


def _bits(gpu: dict[str, Any]) -> int | None:
    """The reasons of one board: the mask where it is given, else from the single ones."""
    mask = gpu.get("clocks_event_reasons.active", gpu.get("clocks_throttle_reasons.active"))
    if isinstance(mask, str):
        try:
            return int(mask, 16)
        except ValueError:
            return None
    said = {bit: gpu.get(f"clocks_event_reasons.{name}") for bit, name in _NAMES.items()}
    if all(value is None for value in said.values()):
        return None
    return sum(bit for bit, value in said.items() if value in (True, 1, "Active"))


def _outage(own: Callable[[str], float | None]) -> tuple[float, float] | None:
    """By the device's own clock throughout, which may be wrong as a whole."""
    start_s, end_s, now_s = (
        own("outage_start_timestamp_seconds"),
        own("outage_end_timestamp_seconds"),
        own("timestamp_seconds"),
    )
    if start_s is None or end_s is None or now_s is None or end_s <= now_s:
        return None
    return start_s - now_s, end_s - now_s


def _number(value: object) -> float | None:
    """A finite number, also one that stands in text as nvidia-smi writes it (`71.23 W`); [N/A] is none."""
    if isinstance(value, str):
        value = value.split()[0] if value.split() else ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _table(raw: object, name: str) -> dict[str, Any]:
    table = raw.get(name) if isinstance(raw, dict) else None
    return table if isinstance(table, dict) else {}


def _one(values: list[float], join: Callable[[Iterable[float]], float]) -> float | None:
    return float(join(values)) if values else None


def _least_gap(limits: list[float], values: list[float]) -> float | None:
    if not limits or len(limits) != len(values):
        return None
    return min(limit - value for limit, value in zip(limits, values, strict=True))


def _least_share(free: list[float], used: list[float]) -> float | None:
    if not free or len(free) != len(used) or any(f + u <= 0 for f, u in zip(free, used, strict=True)):
        return None
    return min(f / (f + u) for f, u in zip(free, used, strict=True))


def _all_bits(masks: list[int]) -> int | None:
    if not masks:
        return None
    found = 0
    for mask in masks:
        found |= mask
    return found
