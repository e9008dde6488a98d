"""Health of backends' hardware: what telemetry says, how a backend stands, and where calls go by it."""

import asyncio
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.routes import make_route

from switchgear.core.clock import SystemClock
from switchgear.core.health import Energy, GridSeries, HealthSource
from switchgear.emulator.conditions import Named, timelines
from switchgear.emulator.device_spec import DeviceSpec
from switchgear.emulator.health import Publishes
from switchgear.emulator.scenario import Event, PowerCut, TelemetryLoss
from switchgear.emulator.site import Site
from switchgear.gateway.health import BackendHealth, Standing
from switchgear.gateway.health_formats import Telemetry, Unreadable, read_telemetry
from switchgear.gateway.health_poller import HealthPoller
from switchgear.gateway.strategies import STRATEGIES, Ask
from switchgear.gateway.table import Target

SOURCE = HealthSource(url="http://127.0.0.1:1/metrics", stale_s=15.0)
WELL = Telemetry(
    temperature_c=50.0, headroom_k=33.0, power_w=100.0, power_limit_w=300.0, energy_j=1000.0, memory_free=0.3, reasons=0,
    generated_tokens=0.0, prompt_tokens=0.0, confidence=1.0,
)  # fmt: skip

DCGM = b"""# HELP DCGM_FI_DEV_GPU_TEMP GPU temperature (in C).
# TYPE DCGM_FI_DEV_GPU_TEMP gauge
DCGM_FI_DEV_GPU_TEMP{gpu="0",modelName="NVIDIA H100",Hostname="n1"} 61
DCGM_FI_DEV_GPU_TEMP{gpu="1",modelName="NVIDIA H100",Hostname="n1"} 70
DCGM_FI_DEV_SLOWDOWN_TEMP{gpu="0"} 89
DCGM_FI_DEV_SLOWDOWN_TEMP{gpu="1"} 89
DCGM_FI_DEV_POWER_USAGE{gpu="0"} 310.5
DCGM_FI_DEV_POWER_USAGE{gpu="1"} 289.5
DCGM_FI_DEV_MEMORY_TEMP{gpu="0"} 9223372036854775794
DCGM_FI_DEV_FB_FREE{gpu="0"} 1000
DCGM_FI_DEV_FB_FREE{gpu="1"} 500
DCGM_FI_DEV_FB_USED{gpu="0"} 9000
DCGM_FI_DEV_FB_USED{gpu="1"} 9500
DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu="0"} 5000000
DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu="1"} 7000000
DCGM_FI_DEV_CLOCK_THROTTLE_REASONS{gpu="0"} 4
DCGM_FI_DEV_CLOCK_THROTTLE_REASONS{gpu="1"} 64
DCGM_FI_DEV_SM_CLOCK{gpu="0"} 1980
DCGM_FI_DEV_SM_CLOCK{gpu="1"} 990
"""


def healthy(**changes: Any) -> BackendHealth:
    health = BackendHealth(SOURCE)
    health.take(msgspec.structs.replace(WELL, **changes), 0.0)
    return health


# -- what telemetry says --


def test_of_several_boards_the_worst_counts_and_power_adds_up() -> None:
    told = read_telemetry(DCGM)
    assert (told.temperature_c, told.headroom_k) == (70, 19)
    assert told.power_w == pytest.approx(600)
    assert told.energy_j == pytest.approx(12_000)
    assert told.memory_free == pytest.approx(0.05)
    assert told.reasons == 4 | 64
    assert told.clock_mhz == 990


def test_what_is_not_said_is_unknown_and_a_blank_is_not_a_number() -> None:
    told = read_telemetry(b'DCGM_FI_DEV_GPU_TEMP{gpu="0"} 9223372036854775794\nDCGM_FI_DEV_POWER_USAGE{gpu="0"} 70\n')
    assert told == Telemetry(power_w=70.0)
    double = b'DCGM_FI_DEV_GPU_TEMP{gpu="0"} 61\nDCGM_FI_DEV_POWER_USAGE{gpu="0"} 1.4073748835533e+14\n'
    assert read_telemetry(double) == Telemetry(temperature_c=61.0)


def test_nvidia_smi_names_with_and_without_units() -> None:
    told = read_telemetry(
        b'{"temperature.gpu": "61", "power.draw": "71.23 W", "temperature.gpu.tlimit": "[N/A]", '
        b'"clocks_event_reasons.hw_thermal_slowdown": "Active", "clocks_event_reasons.sw_power_cap": "Not Active"}'
    )
    assert (told.temperature_c, told.power_w, told.headroom_k, told.reasons) == (61, 71.23, None, 0x40)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"<html>",
        b"{",
        b"{}",
        b"[1]",
        b'{"gpus": 3}',
        b"up 1\n",
        b"\xff\xfe{",
        b'{"gpus": "\xff"}',
        b'{"gpus":' + b"[" * 5000,
    ],
)
def test_what_is_no_telemetry_is_an_error_and_nothing_else(body: bytes) -> None:
    with pytest.raises(Unreadable):
        read_telemetry(body)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200), st.text(max_size=200).map(str.encode), st.just(DCGM).map(lambda text: text[::-1])
    )
)
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for prefix in (b"", b"DCGM_FI_DEV_GPU_TEMP ", b'{"gpus":['):
        try:
            read_telemetry(prefix + body)
        except Unreadable:
            continue


# -- how a backend stands --


def test_without_telemetry_it_is_unknown_never_good() -> None:
    assert BackendHealth().standing(0.0) is Standing.UNKNOWN
    assert BackendHealth(SOURCE).standing(0.0) is Standing.UNKNOWN
    said_nothing = BackendHealth(SOURCE)
    said_nothing.take(Telemetry(power_w=70.0), 0.0)
    assert said_nothing.standing(0.0) is Standing.UNKNOWN


def test_a_reading_ages() -> None:
    health = healthy()
    assert health.standing(15.0) is Standing.GOOD
    assert health.standing(15.1) is Standing.UNKNOWN
    health.miss("connection refused")
    assert health.standing(1.0) is Standing.GOOD
    assert health.view(20.0)["why"] == "connection refused"


def test_a_stuck_exporter_is_no_news() -> None:
    health = healthy()
    for at_s in (5.0, 10.0, 15.0, 20.0):
        health.take(WELL, at_s)
    assert health.standing(20.0) is Standing.UNKNOWN
    assert health.error == "the readings repeat themselves"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"reasons": 0x40}, "heat"),
        ({"reasons": 0x88}, "power brake"),
        ({"headroom_k": 0.5}, "too hot"),
        ({"memory_free": 0.001}, "out of memory"),
        ({"confidence": 0.3}, "confidence"),
        ({"charge": 0.1}, "battery"),
    ],
)
def test_what_is_known_to_be_bad_is_said(said: dict[str, float], why: str) -> None:
    health = healthy(**said)
    assert health.standing(1.0) is Standing.BAD
    assert why in str(health.view(1.0)["why"])


def test_idle_and_a_normal_power_cap_are_no_trouble() -> None:
    assert healthy(reasons=0x1 | 0x4).standing(0.0) is Standing.GOOD


def test_a_rise_that_goes_on_is_seen_before_the_limit() -> None:
    health = BackendHealth(SOURCE)
    for number in range(6):
        rising = msgspec.structs.replace(
            WELL, temperature_c=50.0 + 4 * number, headroom_k=33.0 - 4 * number, energy_j=1000.0 + number
        )
        health.take(rising, 5.0 * number)
    assert rising.headroom_k == 13.0
    assert health.standing(25.0) is Standing.BAD
    steady = healthy(headroom_k=13.0)
    assert steady.standing(0.0) is Standing.GOOD


def test_an_announced_outage_keeps_calls_away_before_it_begins_and_until_it_ends() -> None:
    health = healthy(outage_in_s=(60.0, 90.0))
    for number, at_s in enumerate((10.0, 20.0, 30.0, 45.0, 55.0, 80.0), start=1):
        later = msgspec.structs.replace(WELL, energy_j=1000.0 + number, outage_in_s=(60.0 - at_s, 90.0 - at_s))
        health.take(later, at_s)
        assert health.standing(at_s) is (Standing.GOOD if at_s < 50.0 else Standing.BAD)


def test_joules_of_a_token_are_metered_over_time() -> None:
    health = healthy()
    health.take(msgspec.structs.replace(WELL, energy_j=1600.0, generated_tokens=250.0, prompt_tokens=500.0), 5.0)
    assert health.token_j == pytest.approx(600 / 300)  # a prompt's token counts a tenth
    assert health.call_j(100, 40, 6.0) == pytest.approx(2 * 50)
    assert health.call_j(100, 40, 60.0) is None  # the meter is stale
    health.take(msgspec.structs.replace(WELL, energy_j=10.0, generated_tokens=5.0), 10.0)  # started again
    assert health.token_j == pytest.approx(2.0)


def test_stated_joules_stand_in_where_no_meter_is_read() -> None:
    health = BackendHealth(energy=Energy(prompt_token_j=0.01, completion_token_j=0.5))
    assert health.call_j(100, 10, 0.0) == pytest.approx(6.0)
    assert BackendHealth(energy=Energy(prompt_token_j=0.01)).call_j(1, 1, 0.0) is None
    health.grid_g_per_kwh = 360.0
    assert health.call_g(1000.0) == pytest.approx(0.1)
    assert health.call_g(None) is None


# -- where calls go --


def ordered(strategy: str, healths: dict[str, BackendHealth | None], busy: dict[str, int] | None = None) -> list[str]:
    targets = make_route({name: {} for name in healths}).targets
    for target in targets:
        target.backend_state.health = healths[target.backend_name]
        target.backend_state.in_flight = (busy or {}).get(target.backend_name, 0)
    found: list[Target] = STRATEGIES[strategy](targets, Ask(1.0, 100, 50, random.Random(1)))
    return [target.backend_name for target in found]


def test_unknown_comes_behind_good_and_ahead_of_bad() -> None:
    order = ordered(
        "headroom", {"bad": healthy(reasons=0x40), "none": None, "cool": healthy(), "stale": BackendHealth(SOURCE)}
    )
    assert order[0] == "cool"
    assert set(order[1:3]) == {"none", "stale"}
    assert order[3] == "bad"


def test_among_the_good_the_cooler_comes_first_and_then_the_less_busy() -> None:
    assert ordered("headroom", {"warm": healthy(headroom_k=8.0), "cool": healthy()}) == ["cool", "warm"]
    assert ordered("headroom", {"busy": healthy(), "free": healthy()}, {"busy": 5}) == ["free", "busy"]


def metered(token_j: float, **changes: Any) -> BackendHealth:
    health = healthy(**changes)
    health.token_j = token_j
    return health


def test_energy_prefers_fewer_joules_and_unknown_comes_behind() -> None:
    order = ordered(
        "energy",
        {
            "none": None,
            "dear": metered(3.0),
            "hot": metered(0.1, reasons=0x40),
            "cheap": metered(1.0),
            "silent": healthy(energy_j=None),
        },
    )
    assert order[:2] == ["cheap", "dear"]
    assert set(order[2:4]) == {"none", "silent"}
    assert order[4] == "hot"


def test_a_meter_that_has_seen_no_call_gets_one_at_a_time() -> None:
    healths = {"known": metered(1.0), "fresh": healthy(), "hot": healthy(reasons=0x40)}
    assert ordered("energy", dict(healths)) == ["fresh", "known", "hot"]
    assert ordered("energy", dict(healths), {"fresh": 1}) == ["known", "fresh", "hot"]


def test_with_a_grid_grams_count_and_a_target_without_one_is_unknown() -> None:
    wind, coal, bare = metered(2.0), metered(1.0), metered(0.5)
    wind.grid_g_per_kwh, coal.grid_g_per_kwh = 30.0, 900.0
    assert ordered("energy", {"bare": bare, "coal": coal, "wind": wind}) == ["wind", "coal", "bare"]


# -- asking --


async def polled(events: list[Event], publishes: Publishes, enough: str) -> BackendHealth:
    """A device's health once the gateway has found it to stand so."""
    spec = DeviceSpec(profile="l4", model="llama-3.1-8b", publishes=publishes)
    lines = timelines(events, [Named("a")], 1e6, 0)
    poller = HealthPoller(SystemClock())
    async with Site({"a": spec}, lines, SystemClock(), speed=10.0) as site:
        path = "/metrics" if publishes is Publishes.DCGM else "/nvml"
        asked = HealthSource(url=f"{site.url('a')}{path}", every_s=0.02, stale_s=0.2, horizon_s=0.05, timeout_s=0.1)
        health = BackendHealth(asked, Energy(grid=GridSeries(g_per_kwh=(400.0,))))
        await poller.watch({"a": health, "cloud": BackendHealth()})
        async with asyncio.timeout(5.0):
            while enough not in (health.standing(asyncio.get_running_loop().time()).value, health.error):
                await asyncio.sleep(0.01)
        await poller.close()
    return health


@pytest.mark.parametrize("publishes", [Publishes.DCGM, Publishes.NVML])
async def test_a_device_is_asked_in_either_words(publishes: Publishes) -> None:
    health = await polled([], publishes, "good")
    assert health.telemetry is not None
    assert health.telemetry.power_w == 16
    assert health.telemetry.headroom_k == pytest.approx(48, abs=1)
    assert health.grid_g_per_kwh == 400.0


async def test_lost_telemetry_is_said() -> None:
    health = await polled([TelemetryLoss()], Publishes.DCGM, "status 404")
    assert health.standing(0.0) is Standing.UNKNOWN


async def test_health_that_was_good_becomes_unknown_when_the_device_is_gone() -> None:
    health = await polled([PowerCut(at_s=3.0)], Publishes.DCGM, "good")
    assert health.standing(1e9) is Standing.UNKNOWN


async def test_an_address_that_makes_no_sense_is_said_and_ends_nothing() -> None:
    health = BackendHealth(HealthSource(url="http://"))
    poller = HealthPoller(SystemClock())
    await poller.watch({"a": health})
    async with asyncio.timeout(5.0):
        while "cannot be asked" not in health.error:
            await asyncio.sleep(0.01)
    await poller.close()
