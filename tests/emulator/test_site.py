"""Many devices behind few sockets: addressing, what callers see of a device in trouble, and the health that it publishes."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from switchgear.core.clock import SystemClock
from switchgear.emulator.conditions import Named, timelines
from switchgear.emulator.device_spec import DeviceSpec
from switchgear.emulator.errors import EmulatorError
from switchgear.emulator.health import Publishes
from switchgear.emulator.scenario import (
    BadFirmware,
    Event,
    Partition,
    PlannedOutage,
    PowerCut,
    SlowDisk,
    TelemetryLoss,
)
from switchgear.emulator.site import Site
from switchgear.wire.client import Pool
from switchgear.wire.errors import ExchangeError, FirstByteTimeout, ResetError, TotalTimeout
from switchgear.wire.fetch import Response, fetch
from switchgear.wire.origin import Origin

SPEC = DeviceSpec(profile="l4", model="llama-3.1-8b", boot_s=200.0)
ASK: dict[str, Any] = {"model": "llama-3.1-8b", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}
SPEED = 100.0
METER = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION_total"
"""As the parser calls it: it gives every counter that ending."""


def site(*events: Event, specs: Mapping[str, DeviceSpec] | None = None, **settings: Any) -> Site:
    devices = dict(specs or {"a": SPEC, "b": SPEC})
    lines = timelines(events, [Named(name, spec.labels) for name, spec in devices.items()], 1e6, 0)
    return Site(devices, lines, SystemClock(), speed=SPEED, **settings)


async def ask(where: Site, name: str, path: str = "/v1/chat/completions", **options: Any) -> Response:
    body = msgspec.json.encode({**ASK, **options.pop("body", {})}) if path.startswith("/v1/chat") else None
    address = where.address(name)
    pool = Pool(Origin(address.host, address.port))
    try:
        return await fetch(pool, "POST" if body else "GET", f"/{name}{path}", body=body, **{"total_s": 5.0, **options})
    finally:
        await pool.close()


def values(text: bytes) -> dict[str, float]:
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


async def test_ten_thousand_devices_answer_behind_two_sockets() -> None:
    names = [f"edge-{number:05}" for number in range(10_000)]
    async with site(specs=dict.fromkeys(names, SPEC), listen=("127.0.0.1:0", "127.0.0.1:0")) as where:
        assert len(where.addresses) == 2
        for name in (names[0], names[4711], names[-1]):
            answer = await ask(where, name)
            assert answer.status == 200
            assert where.service(name).place.name == name
        assert where.url(names[0]).startswith("http://127.0.0.1:")


async def test_a_device_may_have_an_address_of_its_own() -> None:
    async with site() as where:
        address = await where.listen_for("b", "127.0.0.1:0")
        pool = Pool(Origin(address.host, address.port))
        answer = await fetch(pool, "GET", "/v1/models")
        await pool.close()
        assert json.loads(answer.body)["data"][0]["id"] == "llama-3.1-8b"


async def test_unknown_devices_and_too_many_sockets_are_refused() -> None:
    with pytest.raises(EmulatorError, match="64"):
        site(listen=("127.0.0.1:0",) * 65)
    async with site() as where:
        with pytest.raises(EmulatorError, match="no device 'c'"):
            where.service("c")
        address = where.address("a")
        pool = Pool(Origin(address.host, address.port))
        assert (await fetch(pool, "GET", "/nobody/v1/models")).status == 404
        await pool.close()


async def test_one_that_is_off_resets_and_one_that_starts_says_503() -> None:
    async with site(PowerCut(on=("a",), for_s=20.0)) as where:
        with pytest.raises(ResetError):
            await ask(where, "a")
        assert (await ask(where, "b")).status == 200
        while where.presence("a").off():
            await asyncio.sleep(0.01)
        starting = await ask(where, "a")
        assert starting.status == 503
        assert json.loads(starting.body)["error"]["code"] == "loading"
        assert starting.headers[b"retry-after"] == b"1"


async def test_a_stream_breaks_when_the_power_goes() -> None:
    async with site(PowerCut(on=("a",), at_s=100.0)) as where:
        with pytest.raises(ExchangeError) as broken:
            await ask(where, "a", body={"stream": True, "max_tokens": 4000, "min_tokens": 4000})
        assert not isinstance(broken.value, TotalTimeout | FirstByteTimeout)
        assert where.service("a").place.calls.counts["broken"] == 1


async def test_a_partition_is_silent_or_refuses() -> None:
    async with site(Partition(on=("a",)), Partition(on=("b",), drop=False)) as where:
        with pytest.raises((FirstByteTimeout, TotalTimeout)):
            await ask(where, "a", total_s=0.2)
        with pytest.raises(ResetError):
            await ask(where, "b")


async def test_what_waited_for_the_link_goes_on_when_it_is_back() -> None:
    async with site(Partition(on=("a",), for_s=20.0)) as where:
        assert (await ask(where, "a")).status == 200
        assert where.presence("a").now_s() >= 20.0


async def test_bad_firmware_answers_500() -> None:
    spec = msgspec.structs.replace(SPEC, boot_s=0.0)
    async with site(BadFirmware(error_ratio=1.0, on=("a",)), specs={"a": spec}) as where:
        assert (await ask(where, "a")).status == 500


async def test_a_slow_disk_delays_a_call() -> None:
    async with site(SlowDisk(on=("a",), delay_s=30.0)) as where:
        assert (await ask(where, "a")).status == 200
        assert where.presence("a").now_s() >= 30.0


async def test_dcgm_names_types_and_units() -> None:
    async with site(specs={"a": msgspec.structs.replace(SPEC, devices=2)}) as where:
        await ask(where, "a")
        text = (await ask(where, "a", "/metrics")).body
    families = {family.name: family for family in text_string_to_metric_families(text.decode())}
    assert {"DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_FB_USED"} <= set(
        families
    )
    assert families["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"].type == "counter"
    assert families["DCGM_FI_DEV_GPU_TEMP"].type == "gauge"
    assert len(families["DCGM_FI_DEV_GPU_TEMP"].samples) == 2
    assert families["DCGM_FI_DEV_GPU_TEMP"].samples[1].labels["gpu"] == "1"
    found = values(text)
    assert found["DCGM_FI_DEV_SM_CLOCK"] == 1980
    assert found["DCGM_FI_DEV_FB_USED"] + found["DCGM_FI_DEV_FB_FREE"] == pytest.approx(24e9 / 2**20, abs=1)
    assert found["DCGM_FI_DEV_POWER_USAGE"] == 16
    assert found["vllm:generation_tokens_total"] == 5
    assert found["switchgear_device_confidence"] == 1


async def test_nvml_names() -> None:
    async with site(specs={"a": msgspec.structs.replace(SPEC, publishes=Publishes.NVML)}) as where:
        told = json.loads((await ask(where, "a", "/nvml")).body)
        assert (await ask(where, "a", "/metrics")).status == 404
    gpu = told["gpus"][0]
    assert gpu["power.draw"] == 16
    assert gpu["clocks.sm"] == 1980
    assert gpu["temperature.gpu"] + gpu["temperature.gpu.tlimit"] == pytest.approx(83)
    assert gpu["clocks_event_reasons.gpu_idle"] is True
    assert gpu["clocks_event_reasons.hw_thermal_slowdown"] is False
    assert int(gpu["clocks_event_reasons.active"], 16) == 1
    assert told["device"]["confidence"] == 1


async def test_an_announced_outage_is_published_with_its_times() -> None:
    async with site(PlannedOutage(on=("a",), at_s=1000.0, for_s=100.0, notice_s=1000.0)) as where:
        found = values((await ask(where, "a", "/metrics")).body)
    start_s = found["switchgear_device_outage_start_timestamp_seconds"]
    assert found["switchgear_device_outage_end_timestamp_seconds"] - start_s == pytest.approx(100.0 / SPEED)
    assert 0 < start_s - found["switchgear_device_timestamp_seconds"] <= 1000.0 / SPEED


async def test_telemetry_that_is_lost_or_frozen() -> None:
    async with site(TelemetryLoss(on=("a",)), TelemetryLoss(on=("b",), frozen=True)) as where:
        assert (await ask(where, "a", "/metrics")).status == 404
        assert (await ask(where, "a")).status == 200
        first = values((await ask(where, "b", "/metrics")).body)
        second = values((await ask(where, "b", "/metrics")).body)
        assert first[METER] == second[METER] == 0


async def test_a_cloud_publishes_nothing() -> None:
    async with site(specs={"a": DeviceSpec(profile="cloud-api", model="gpt-x")}) as where:
        assert (await ask(where, "a", "/metrics")).status == 404
        assert (await ask(where, "a", body={"model": "gpt-x"})).status == 200
