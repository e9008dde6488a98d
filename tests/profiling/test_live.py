"""Sweeps of an emulated place on a real socket: what is sent, how it is bounded, what comes of failures, and that the truth is found."""

import asyncio
import json
from typing import cast

import pytest

from switchgear.backends.registry import PROTOCOLS
from switchgear.core.clock import SystemClock
from switchgear.core.snapshot import ContinueTurn
from switchgear.emulator.server import Emulator
from switchgear.hardware.catalogue import model_spec, parse_profiles, profile
from switchgear.hardware.model import Kind, Physics
from switchgear.profiling.caller import Caller, Waits
from switchgear.profiling.design import design
from switchgear.profiling.errors import BadSweep, NoAnswer
from switchgear.profiling.model import Bounds, Price
from switchgear.profiling.saving import toml
from switchgear.profiling.service import Assumed, Measured, Named, measure
from switchgear.profiling.sweep import Sweep
from switchgear.profiling.telemetry import Reading, Sensors
from switchgear.wire.origin import Origin

CLOCK = SystemClock()
SMALL = design((32, 64, 128), (2, 4, 8), (1, 2), rounds=2, seed=0)
NAMED = Named(name="mine", title="Mine", kind=Kind.EDGE, source="a test of ours")


def caller_of(place: Emulator, model: str = "llama-8b", key: str | None = None) -> Caller:
    origin = Origin(place.address.host, place.address.port)
    adapter = PROTOCOLS["openai"]("/v1", origin.authority, "", key, {}, ContinueTurn.NO)
    return Caller(origin, adapter, model, CLOCK, Waits(connect_s=2, first_s=5, idle_s=5, total_s=20))


def appliance() -> Physics:
    physics = profile("appliance").physics
    assert physics is not None
    return physics


async def measured(place: Emulator, sensors: Sensors | None = None) -> Measured:
    plan = design((64, 512, 2000), (2, 6, 16), (1, 3), rounds=2, seed=0)
    assumed = Assumed(spec=model_spec("llama-8b"), physics=appliance())
    return await measure(caller_of(place), plan, Bounds(seconds=60), assumed, NAMED, CLOCK, sensors=sensors)


async def test_the_emulated_place_is_recognised() -> None:
    async with Emulator(profile="appliance", models=["llama-8b"]) as place:
        found = await measured(place)
    assert found.estimated is not None
    assert found.swept.counted
    assert found.swept.refused == 0
    assert found.swept.cached == 0
    truth = appliance()
    reached = found.estimated.factors
    assert reached.compute_efficiency == pytest.approx(truth.compute_efficiency.value, rel=0.35)
    assert reached.bandwidth_efficiency == pytest.approx(truth.bandwidth_efficiency.value, rel=0.35)
    read = parse_profiles(toml(found.profile, found.source))["mine"]
    assert read.physics is not None
    assert read.physics.memory_bytes == truth.memory_bytes
    assert "not fitted" in read.note


async def test_power_is_unknown_without_sensors_and_known_with_them() -> None:
    class Board:
        limit_w = 600.0
        boards = 2
        closed = False

        def read(self) -> Reading:
            return Reading(240.0, 55.0)

        def close(self) -> None:
            self.closed = True

    async with Emulator(profile="appliance", models=["llama-8b"], speed=50) as place:
        without = await measured(place)
        with_sensors = await measured(place, sensors=Board())
    assert (without.telemetry.idle_w, without.telemetry.busy_w, without.telemetry.warmest_c) == (None, None, None)
    assert (with_sensors.telemetry.idle_w, with_sensors.telemetry.warmest_c) == (240.0, 55.0)
    physics = with_sensors.profile.physics
    assert physics is not None
    assert (physics.idle_w.value, physics.tdp_w.value) == (120.0, 300.0), (
        "of one of the two boards, also where the backend uses one"
    )
    assert "NVML" in physics.idle_w.source


@pytest.mark.parametrize(
    ("bounds", "ended_by"),
    [
        (Bounds(tokens=3000), "tokens"),
        (Bounds(cost_usd=0.0003), "cost_usd"),
        (Bounds(seconds=0.3), "seconds"),
        (Bounds(), ""),
    ],
)
async def test_a_sweep_keeps_its_bounds(bounds: Bounds, ended_by: str) -> None:
    price = Price(0.1, 1.0)
    async with Emulator(profile="appliance", models=["llama-8b"], speed=2) as place:
        swept = await Sweep(caller_of(place), SMALL, bounds, CLOCK, price=price).run()
    assert swept.ended_by == ended_by
    spent = swept.prompt_tokens + swept.output_tokens
    assert bounds.tokens is None or spent <= bounds.tokens
    cost = price.cost_usd(swept.prompt_tokens, swept.output_tokens)
    assert bounds.cost_usd is None or cost <= bounds.cost_usd
    planned = len(SMALL.shapes) * SMALL.rounds
    assert len(swept.runs) == planned if not ended_by else len(swept.runs) < planned
    assert all(run.shape.concurrency == len(run.calls) for run in swept.runs)
    assert all(call.output_tokens == run.shape.output_tokens for run in swept.runs for call in run.calls)


async def test_a_bound_on_cost_without_prices_is_refused() -> None:
    async with Emulator(profile="appliance", models=["llama-8b"]) as place:
        with pytest.raises(BadSweep, match="give what the backend charges"):
            Sweep(caller_of(place), SMALL, Bounds(cost_usd=1.0), CLOCK)


async def test_calls_that_fail_now_and_then_are_left_out() -> None:
    rules = [{"fault": "status;code=503", "probability": 0.1}]
    async with Emulator(profile="appliance", models=["llama-8b"], speed=50, seed=1, faults=rules) as place:
        caller = caller_of(place)
        swept = await Sweep(caller, SMALL, Bounds(seconds=30), CLOCK).run()
    assert swept.refused > 0
    assert len(swept.runs) + swept.refused == len(SMALL.shapes) * SMALL.rounds


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("status;code=500", "status 500"),
        ("cut;after_tokens=1", "not whole"),
        ("end_early;after_tokens=1", "without a finish reason"),
        ("malformed_event;after_tokens=1", "check that the backend speaks OpenAI's API"),
        ("status;code=401", "check the model's name and the key"),
    ],
)
async def test_a_backend_that_always_fails_is_told_of(fault: str, message: str) -> None:
    async with Emulator(profile="appliance", models=["llama-8b"], speed=50) as place:
        place.set_faults([fault])
        with pytest.raises(NoAnswer, match=message):
            await Sweep(caller_of(place), SMALL, Bounds(seconds=30), CLOCK).run()


async def test_a_model_of_another_name_and_a_place_that_is_not_there() -> None:
    async with Emulator(profile="appliance", models=["llama-8b"], speed=50) as place:
        assert await caller_of(place).models() == ["llama-8b"]
        with pytest.raises(NoAnswer, match="check the model's name"):
            await caller_of(place, model="nobody").settle("hello")
        gone = caller_of(place)
    with pytest.raises(NoAnswer, match="check the URL"):
        await gone.models()
    with pytest.raises(NoAnswer, match="not whole"):
        await gone.settle("hello")


class Picky(asyncio.Protocol):
    """A backend that takes only OpenAI's newest words and reports no usage."""

    bodies: list[dict[str, object]]

    def __init__(self, bodies: list[dict[str, object]]) -> None:
        self.bodies = bodies
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports are none by inheritance

    def data_received(self, data: bytes) -> None:
        self.data += data
        _, _, body = self.data.partition(b"\r\n\r\n")
        if not body:
            return
        asked = json.loads(body)
        self.bodies.append(asked)
        if "ignore_eos" in asked or "max_tokens" in asked:
            answer = b'{"error":{"message":"use max_completion_tokens","type":"invalid_request_error","code":null,"param":null}}'
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: %d\r\n\r\n%b" % (len(answer), answer))
        else:
            events = b"".join(
                b'data: {"choices":[{"index":0,"delta":{"content":"word %d "},"finish_reason":null}]}\n\n' % index
                for index in range(asked["max_completion_tokens"])
            )
            events += b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}\n\ndata: [DONE]\n\n'
            self.transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%b"
                % (len(events), events)
            )
        self.data = b""


async def test_what_the_backend_takes_is_found_out_once() -> None:
    bodies: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Picky(bodies), "127.0.0.1", 0)
    async with server:
        origin = Origin(*server.sockets[0].getsockname()[:2])
        adapter = PROTOCOLS["openai"]("/v1", origin.authority, "", None, {}, ContinueTurn.NO)
        caller = Caller(origin, adapter, "any", CLOCK)
        first = await caller.settle("hello there")
        second = await caller.burst(["hello again", "and again"], 3)
    assert [("max_tokens" in body, "ignore_eos" in body) for body in bodies[:3]] == [
        (True, True),
        (True, False),
        (False, False),
    ]
    assert len(bodies) == 5
    assert not first.counted
    assert [call.output_tokens for call in second] == [3, 3]


async def test_a_backend_that_counts_nothing_is_estimated_and_says_so() -> None:
    async with Emulator(profile="appliance", models=["llama-8b"], speed=20, faults=["no_usage"]) as place:
        found = await measured(place)
    assert not found.swept.counted
    assert "tokens are estimates" in found.profile.note


async def test_a_model_that_nobody_knows_is_seen_from_outside() -> None:
    async with Emulator(profile="cloud-api", models=["gpt-x"], speed=20) as place:
        plan = design((32, 64, 128), (4, 8), (1, 2), rounds=2, seed=0)
        found = await measure(caller_of(place, "gpt-x"), plan, Bounds(seconds=60), Assumed(), NAMED, CLOCK)
    assert found.estimated is None
    assert found.profile.observed is not None
    read = parse_profiles(toml(found.profile, found.source))["mine"].observed
    assert read is not None
    for name in read.__struct_fields__:
        assert getattr(read, name).value == getattr(found.profile.observed, name).value
