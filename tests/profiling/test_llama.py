"""A short sweep of the shipped engine: real tokens, real times, a profile that loads. No test here asserts a time."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest

from switchgear.backends.registry import PROTOCOLS
from switchgear.core.clock import SystemClock
from switchgear.core.snapshot import ContinueTurn
from switchgear.hardware.catalogue import model_spec, parse_profiles
from switchgear.hardware.model import Kind, Precision
from switchgear.profiling.caller import Caller
from switchgear.profiling.design import design
from switchgear.profiling.model import Bounds
from switchgear.profiling.saving import toml
from switchgear.profiling.service import Assumed, Named, measure
from switchgear.wire.origin import Origin

pytest.importorskip("xllamacpp", reason="the llama engine is not installed")


@pytest.fixture(scope="module")
def engine() -> Iterator[Origin]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "switchgear", "engine", "llama", "--listen", f"127.0.0.1:{port}", "--threads", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield Origin("127.0.0.1", port)
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait(10)


async def test_the_shipped_engine_is_profiled(engine: Origin) -> None:
    clock = SystemClock()
    adapter = PROTOCOLS["openai"]("/v1", engine.authority, "", None, {}, ContinueTurn.NO)
    caller = Caller(engine, adapter, "pydoc-tiny", clock)
    plan = design((40, 80, 160), (4, 8, 16), (1, 2), rounds=1, seed=0)
    assumed = Assumed(spec=model_spec("pydoc-tiny"), precision=Precision.INT8, seats=4)
    named = Named(name="here", title="Here", kind=Kind.EDGE, source="a test of ours")
    found = await measure(caller, plan, Bounds(seconds=120), assumed, named, clock)
    assert len(found.swept.runs) == 18
    assert found.swept.counted
    assert found.swept.cached < 0.1, "prompts share their template at most"
    for run in found.swept.runs:
        for call in run.calls:
            assert 0 < call.first_s <= call.last_s
            assert call.output_tokens == run.shape.output_tokens
            assert call.prompt_tokens == pytest.approx(run.shape.prompt_tokens, rel=0.6, abs=30)
    assert found.estimated is not None
    assert found.estimated.held_out.call.rows == len(plan.held_out)
    physics = parse_profiles(toml(found.profile, found.source))["here"].physics
    assert physics is not None
    rate = physics.flop_per_s[Precision.INT8]
    assert rate.low is not None
    assert rate.high is not None
    assert rate.low <= rate.value <= rate.high
