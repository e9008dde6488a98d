"""Who calls, in a gateway of two workers: an OpenID provider that is not there, and a key that a reload switches off."""

import asyncio
import json
import signal

from tests.system.conftest import StartGateway
from tests.system.gateways import settled
from tests.system.program import PATIENCE_S
from tests.system.test_gateway import on_both_workers

PROVIDER = """
[oidc.company]
issuer = "http://127.0.0.1:9"
audience = ["urn:switchgear"]
fetch_s = 1.0
"""
POLICY = '@id("all") permit (principal, action, resource);\n@id("none") forbid (principal, action, resource);'


async def test_a_provider_that_is_not_there_is_an_alarm_and_keys_go_on(start: StartGateway) -> None:
    gateway = await start(more=PROVIDER)
    assert all(answer.whole for answer in await on_both_workers(gateway, 8))
    async with asyncio.timeout(PATIENCE_S):
        while len((await gateway.ready())[1]["alarms"]) < 2:
            await asyncio.sleep(0.05)
    status, ready = await gateway.ready()
    assert (status, ready["ready"]) == (200, True)
    for worker, alarm in enumerate(sorted(ready["alarms"])):
        assert alarm.startswith(f"worker {worker} cannot read the keys of company: ")
    workers = (await gateway.live())["workers"]
    assert [worker["identity"]["company"]["keys"] for worker in workers] == [0, 0]
    assert gateway.program.errors.count("keys of company cannot be read") == 2, "once for each worker, not at each try"


async def test_a_key_is_switched_off_at_once_in_every_worker(start: StartGateway) -> None:
    gateway = await start()
    caller = gateway.caller()
    assert (await caller.chat("chat", "hello", 4)).whole
    text = gateway.file.read_text()
    gateway.file.write_text(text.replace("pin = true", "pin = true\ndisabled = true"))
    gateway.program.signal(signal.SIGHUP)
    async with asyncio.timeout(PATIENCE_S):
        while (await caller.chat("chat", "hello", 4)).error != "key_disabled":  # on the connection that was open
            await asyncio.sleep(0.02)
        while {answer.error for answer in await on_both_workers(gateway)} != {"key_disabled"}:
            await asyncio.sleep(0.02)
    await caller.close()


async def test_reasons_are_metrics_without_the_ids_that_records_have(start: StartGateway) -> None:
    gateway = await start()
    (gateway.folder / "none.cedar").write_text(POLICY)
    gateway.file.write_text(gateway.file.read_text() + '\n[policy]\nfiles = ["none.cedar"]\n')
    gateway.program.signal(signal.SIGHUP)
    async with asyncio.timeout(PATIENCE_S):
        while {answer.error for answer in await on_both_workers(gateway)} != {"forbidden_by_policy"}:
            await asyncio.sleep(0.02)
        while not await gateway.metric("switchgear_ruled_out_total", backend="place", reason="forbidden"):
            await asyncio.sleep(0.02)
    await settled(gateway, 32)
    assert json.dumps("forbidden:none") not in (await gateway.admin("/metrics")).body.decode()
