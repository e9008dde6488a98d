"""What a device publishes of its health, in the words that real ones use. Pure.

As Prometheus text, with the names, types and units of NVIDIA's DCGM exporter (github.com/NVIDIA/dcgm-exporter, etc/default-counters.csv of
4.6.0-4.8.3) and, for limits and reasons, of DCGM's field identifiers, which an exporter publishes when told to: MHz, °C, W, mJ since boot,
MiB, %, ns of violation. Beside them the counters of tokens that vLLM publishes (docs.vllm.ai, Production Metrics), by which joules become
joules a token.

As JSON, with the names of `nvidia-smi --query-gpu` (nvidia-smi manual; the bits of the reasons: NVML API, NvmlClocksEventReasons).

What those have no name for begins with `switchgear_device_`: the device's confidence in itself, its battery, outages announced.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from switchgear.emulator.body import Reading
from switchgear.emulator.body_model import Figures
from switchgear.emulator.conditions import Conditions
from switchgear.hardware.thermal import Throttle

TEXT = b"content-type: text/plain; version=0.0.4; charset=utf-8\r\n"
_MIB = 1024.0 * 1024.0
_DISTRUST_S = 60.0
"""A time of day that is wrong by more makes a device doubt itself: its certificates and its logs are off."""
REASONS = {
    "gpu_idle": 0x1,
    "applications_clocks_setting": 0x2,
    "sw_power_cap": 0x4,
    "hw_slowdown": 0x8,
    "sync_boost": 0x10,
    "sw_thermal_slowdown": 0x20,
    "hw_thermal_slowdown": 0x40,
    "hw_power_brake_slowdown": 0x80,
}
"""NVML's clocks event reasons, by the name that nvidia-smi gives them."""


class Publishes(StrEnum):
    """In which words a device tells its health."""

    DCGM = "dcgm"
    """Prometheus text with the names of NVIDIA's DCGM exporter, at /metrics."""
    NVML = "nvml"
    """JSON with the names of `nvidia-smi --query-gpu`, at /nvml."""
    NOTHING = "nothing"


HEALTH = {"/metrics": Publishes.DCGM, "/nvml": Publishes.NVML}
"""Where each is told."""


class Told(NamedTuple):
    """All that is published of a device."""

    name: str
    title: str
    model: str
    boards: int
    figures: Figures
    conditions: Conditions
    reading: Reading
    memory_bytes: float
    """Of all boards together, like the next."""
    memory_used_bytes: float
    prompt_tokens: int
    generated_tokens: int
    running: int
    waiting: int
    now_s: float
    """The device's own time of day."""
    outage: tuple[float, float] | None
    """The announced outage, by the same."""

    @property
    def reasons(self) -> int:
        """NVML's bits for what holds the clock down."""
        reading = self.reading
        found = 0
        if not reading.busy:
            found |= REASONS["gpu_idle"]
        if reading.throttle is Throttle.SLOW:
            found |= REASONS["hw_slowdown"] | REASONS["hw_thermal_slowdown"]
        if reading.power_capped:
            limited = reading.power_limit_w < self.figures.power.limit_w
            found |= REASONS["hw_slowdown"] | REASONS["hw_power_brake_slowdown"] if limited else REASONS["sw_power_cap"]
        return found

    @property
    def confidence(self) -> float:
        """How far it passes its own tests, 0 to 1: 1 for a device that does what its data sheet says."""
        conditions = self.conditions
        trusted = 0.5 if abs(conditions.clock_offset_s) > _DISTRUST_S else 1.0
        return trusted * (1 - conditions.error_ratio) / conditions.step_factor


class _Family(NamedTuple):
    name: str
    type: str
    help: str
    value: float


def _boards(told: Told) -> Iterable[_Family]:
    """What each board shows."""
    reading, figures = told.reading, told.figures
    used = told.memory_used_bytes / told.boards / _MIB
    total = told.memory_bytes / told.boards / _MIB
    yield _Family("SM_CLOCK", "gauge", "SM clock frequency (in MHz).", round(reading.clock * figures.sm_clock_mhz))
    yield _Family("GPU_TEMP", "gauge", "GPU temperature (in C).", round(reading.temperature_c, 1))
    yield _Family("SLOWDOWN_TEMP", "gauge", "Slowdown temperature for the device.", figures.thermal.throttle_c)
    yield _Family("SHUTDOWN_TEMP", "gauge", "Shutdown temperature for the device.", figures.thermal.shutdown_c)
    yield _Family("POWER_USAGE", "gauge", "Power draw (in W).", round(reading.power_w, 3))
    yield _Family("ENFORCED_POWER_LIMIT", "gauge", "Effective power limit (in W).", round(reading.power_limit_w, 3))
    energy_mj = round(reading.energy_j * 1000)
    yield _Family("TOTAL_ENERGY_CONSUMPTION", "counter", "Total energy consumption since boot (in mJ).", energy_mj)
    yield _Family("GPU_UTIL", "gauge", "GPU utilization (in %).", 100.0 if reading.busy else 0.0)
    yield _Family("FB_USED", "gauge", "Framebuffer memory used (in MiB).", round(used))
    yield _Family("FB_FREE", "gauge", "Framebuffer memory free (in MiB).", round(total - used))
    yield _Family("CLOCKS_EVENT_REASONS", "gauge", "Current clock event reasons (bitmask).", told.reasons)
    thermal_ns, power_ns = round(reading.slow_s * 1e9), round(reading.capped_s * 1e9)
    yield _Family("THERMAL_VIOLATION", "counter", "Throttling duration due to thermal constraints (in ns).", thermal_ns)
    yield _Family("POWER_VIOLATION", "counter", "Throttling duration due to power constraints (in ns).", power_ns)


def dcgm_text(told: Told) -> bytes:
    """Prometheus text, as the DCGM exporter and the serving engine beside it would write it."""
    lines: list[str] = []
    for family in _boards(told):
        name = f"DCGM_FI_DEV_{family.name}"
        lines += [f"# HELP {name} {family.help}", f"# TYPE {name} {family.type}"]
        for board in range(told.boards):
            labels = f'gpu="{board}",UUID="GPU-{told.name}-{board}",device="nvidia{board}",modelName="{told.title}"'
            lines.append(f'{name}{{{labels},Hostname="{told.name}"}} {family.value:.15g}')
    labels = f'{{model_name="{told.model}"}}'
    for name, kind, value in (
        ("vllm:num_requests_running", "gauge", told.running),
        ("vllm:num_requests_waiting", "gauge", told.waiting),
        ("vllm:prompt_tokens_total", "counter", told.prompt_tokens),
        ("vllm:generation_tokens_total", "counter", told.generated_tokens),
    ):
        lines += [f"# TYPE {name} {kind}", f"{name}{labels} {value}"]
    for name, figure in _own(told).items():
        lines += [f"# TYPE switchgear_device_{name} gauge", f"switchgear_device_{name} {figure:.15g}"]
    return "\n".join(lines).encode() + b"\n"


def nvml_json(told: Told) -> bytes:
    """JSON, one object a board with the names of `nvidia-smi --query-gpu`; true and false for its Active and Not Active."""
    reading, figures = told.reading, told.figures
    total, used = told.memory_bytes / told.boards / _MIB, told.memory_used_bytes / told.boards / _MIB
    gpu: dict[str, Any] = {
        "name": told.title,
        "power.draw": round(reading.power_w, 2),
        "enforced.power.limit": round(reading.power_limit_w, 2),
        "temperature.gpu": round(reading.temperature_c, 1),
        "temperature.gpu.tlimit": round(figures.thermal.throttle_c - reading.temperature_c, 1),
        "clocks.sm": round(reading.clock * figures.sm_clock_mhz),
        "clocks.max.sm": figures.sm_clock_mhz,
        "utilization.gpu": 100 if reading.busy else 0,
        "memory.total": round(total),
        "memory.used": round(used),
        "memory.free": round(total - used),
        "total_energy_consumption": round(reading.energy_j * 1000),
        "clocks_event_reasons.active": f"0x{told.reasons:016X}",
        **{f"clocks_event_reasons.{name}": bool(told.reasons & bit) for name, bit in REASONS.items()},
    }
    own = _own(told)
    return msgspec.json.encode(
        {
            "timestamp": told.now_s,
            "gpus": [{"index": board, **gpu} for board in range(told.boards)],
            "engine": {"prompt_tokens_total": told.prompt_tokens, "generation_tokens_total": told.generated_tokens},
            "device": own,
        }
    )


def _own(told: Told) -> dict[str, float]:
    """What neither DCGM nor NVML has a name for."""
    own = {"confidence": told.confidence, "timestamp_seconds": told.now_s}
    if told.reading.charge is not None:
        own["battery_charge_ratio"] = told.reading.charge
    if told.outage is not None:
        own["outage_start_timestamp_seconds"], own["outage_end_timestamp_seconds"] = told.outage
    return own
