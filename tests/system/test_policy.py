"""examples/policy, started for real: what its comments promise holds for every call, through failure and reload."""

import asyncio
import hashlib
import json
import re
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, AsyncOpenAI
from tests.system.gateways import Gateway, settled
from tests.system.program import PATIENCE_S, Program, until

from switchgear.emulator.server import Emulator

EXAMPLE = Path(__file__).parents[2] / "examples/policy"
RACK, CLOUD = "llama-3.1-8b", "gpt-x"
NAMES = ("research-app", "payroll", "agency-app")
BROKEN = '@id("oops") forbid (principal, action, resource) when { context.data_clas == DataClass::"public" };'


def configuration(rack: str, cloud: str) -> str:
    """The example with addresses, models and keys of a test; each key is its own name."""
    text = (EXAMPLE / "switchgear.toml").read_text()
    replaced = {
        '"127.0.0.1:8080"': '"127.0.0.1:0"',
        '"127.0.0.1:8081"': '"127.0.0.1:0"',
        "http://10.0.0.5:8000/v1": rack,
        "https://api.openai.com/v1": cloud,
        "meta-llama/Llama-3.1-8B-Instruct": RACK,
        "gpt-4o-mini": CLOUD,
        '"gpt-4o"': f'"{CLOUD}"',
    }
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    for name in NAMES:
        digest = hashlib.sha256(name.encode()).hexdigest()
        text, count = re.subn(rf'(name = "{name}"\nsha256 = )"[0-9a-f]{{64}}"', rf'\g<1>"{digest}"', text)
        assert count == 1
    return text


class Places:
    """The two backends of the example."""

    def __init__(self, rack: Emulator, cloud: Emulator) -> None:
        self.rack = rack
        self.cloud = cloud

    @staticmethod
    def seen(place: Emulator) -> int:
        return int(place.state()["counts"].get("seen", 0))


@pytest.fixture
async def places() -> AsyncIterator[Places]:
    async with (
        Emulator(profile="h100-sxm", models=[RACK], name="rack", speed=1000.0) as rack,
        Emulator(profile="cloud-api", models=[CLOUD], name="cloud", speed=1000.0) as cloud,
    ):
        yield Places(rack, cloud)


@pytest.fixture
async def gateway(tmp_path: Path, places: Places) -> AsyncIterator[Gateway]:
    shutil.copytree(EXAMPLE / "policies", tmp_path / "policies")
    text = configuration(places.rack.base_url, places.cloud.base_url)
    made = Gateway(tmp_path, text, {"CLOUD_API_KEY": "k"})
    yield await made.serving()
    await made.close()


async def ask(gateway: Gateway, who: str, model: str = "chat", data_class: str = "", **more: Any) -> str:
    """Where a call by the official client was answered, or the code of its error."""
    headers = {"x-switchgear-data-class": data_class} if data_class else {}
    async with AsyncOpenAI(base_url=f"http://{gateway.addresses[0]}/v1", api_key=who, max_retries=0) as client:
        try:
            answer = await client.chat.completions.with_raw_response.create(
                model=model,
                messages=[{"role": "user", "content": "hello"}],
                max_tokens=4,
                extra_headers=headers,
                **more,
            )
        except APIStatusError as error:
            return f"{error.status_code} {error.code}"
    return str(answer.headers["x-switchgear-backend"])


async def explained(gateway: Gateway, call: str) -> str:
    program = Program(gateway.folder, "explain", call, "--config", "gateway.toml")
    assert await program.ended() == 0, program.errors
    return program.output


async def test_the_example_is_whole_as_it_stands(tmp_path: Path) -> None:
    folder = shutil.copytree(EXAMPLE, tmp_path / "policy")
    for arguments, said in [
        (("check", "switchgear.toml"), "switchgear.toml: no problems, no warnings; snapshot "),
        (("policy", "check", "--config", "switchgear.toml"), "3 policies, no problems, no warnings"),
        (("policy", "test", "--config", "switchgear.toml"), "13 passed, none failed"),
    ]:
        program = Program(folder, *arguments, environment={"CLOUD_API_KEY": "k"})
        assert await program.ended() == 0, program.errors
        assert said in program.output


async def test_what_the_example_promises_holds(gateway: Gateway, places: Places) -> None:
    told = [
        ("research-app", "chat", "", "rack"),
        ("research-app", "large", "confidential", "cloud"),
        ("research-app", "chat", "restricted", "rack"),
        ("research-app", "large", "restricted", "403 forbidden_by_policy"),
        ("payroll", "chat", "public", "rack"),
        ("payroll", "large", "public", "403 forbidden_by_policy"),
        ("agency-app", "chat", "", "rack"),
        ("agency-app", "large", "public", "403 forbidden_by_policy"),
        ("agency-app", "chat", "confidential", "403 data_class_not_allowed"),
    ]
    for who, model, data_class, expected in told * 2:
        assert await ask(gateway, who, model, data_class) == expected, (who, model, data_class)
    assert Places.seen(places.cloud) == 2
    await settled(gateway, 2 * len(told))


async def test_restricted_data_stays_inside_although_nobody_else_answers(gateway: Gateway, places: Places) -> None:
    for fault in ("connect_reset", "status;code=503", "malformed_body", "cut;after_tokens=1"):
        places.rack.set_faults([fault])
        assert (await ask(gateway, "payroll", stream=fault.startswith("cut"))).startswith("5") or "cut" in fault
        assert Places.seen(places.cloud) == 0, fault
    places.rack.set_faults(["connect_reset"])
    assert await ask(gateway, "research-app") == "cloud", "other data falls back"


async def test_a_refusal_is_explained(gateway: Gateway, places: Places) -> None:
    async with AsyncOpenAI(base_url=f"http://{gateway.addresses[0]}/v1", api_key="agency-app", max_retries=0) as client:
        with pytest.raises(APIStatusError) as caught:
            await client.chat.completions.create(model="large", messages=[{"role": "user", "content": "hello"}])
    for text in ("contractors-not-on-the-large-model", "contractors may not use the large model", "Call chat."):
        assert text in caught.value.message
    await settled(gateway, 1)
    story = await explained(gateway, caught.value.response.headers["x-switchgear-call"])
    assert f"Ruled out: cloud ({CLOUD}) is forbidden by a policy (contractors-not-on-the-large-model)." in story
    assert "No candidate was left." in story


async def test_why_says_beforehand_what_the_gateway_does(gateway: Gateway) -> None:
    for who, model, data_class in [
        ("research-app", "large", "restricted"),
        ("payroll", "large", ""),
        ("payroll", "chat", "public"),
        ("agency-app", "chat", "confidential"),
        ("agency-app", "large", ""),
        ("research-app", "large", ""),
    ]:
        options = ["--class", data_class] if data_class else []
        arguments = ["--config", "gateway.toml", "--principal", who, "--model", model, "--purpose", "first", "--json"]
        program = Program(gateway.folder, "policy", "why", *arguments, *options)
        assert await program.ended() == 0, program.errors
        said = json.loads(program.output)
        did = await ask(gateway, who, model, data_class)
        allowed = [line["backend"] for line in said["lines"] if line["allowed"]]
        assert (said["refusal"] is None and said["above"] is None) == (did in allowed), (who, model, did, said)


async def test_other_policies_count_when_they_are_loaded_and_broken_ones_change_nothing(gateway: Gateway) -> None:
    policies = gateway.folder / "policies/rules.cedar"
    before = policies.read_text()
    assert await ask(gateway, "agency-app", "large") == "403 forbidden_by_policy"

    policies.write_text(before + BROKEN)
    check = Program(gateway.folder, "check", "gateway.toml", environment={"CLOUD_API_KEY": "k"})
    assert await check.ended() == 1
    line = before.count("\n") + 1
    assert f"policies/rules.cedar:{line} policy oops: attribute `data_clas`" in check.output
    gateway.program.signal(signal.SIGHUP)
    await until(lambda: "data_clas" in gateway.program.errors, "the log says what is wrong")
    status, ready = await gateway.ready()
    assert (status, ready["ready"]) == (200, True)
    assert await ask(gateway, "agency-app", "large") == "403 forbidden_by_policy"

    policies.write_text(before.replace('principal in Role::"contractor"', 'principal == Principal::"nobody"'))
    gateway.program.signal(signal.SIGHUP)
    async with asyncio.timeout(PATIENCE_S):  # sixteen connections: both workers are among those who answer
        while set(await asyncio.gather(*(ask(gateway, "agency-app", "large") for _ in range(16)))) != {"cloud"}:
            await asyncio.sleep(0.05)
