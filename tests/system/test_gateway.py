"""`switchgear gateway` with two workers: one gateway to whoever calls it, looks at it, reloads it or ends it."""

import asyncio
import json
import os
import re
import resource
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.system.conftest import StartGateway
from tests.system.gateways import KEY, MODEL, Gateway, configuration, settled
from tests.system.program import descendants, until
from tests.wire.certificates import Authority

from switchgear.cli.demo_caller import Answer
from switchgear.emulator.server import Emulator
from switchgear.wire.client import Pool
from switchgear.wire.errors import ConnectError, ResetError
from switchgear.wire.exchange import header
from switchgear.wire.fetch import fetch
from switchgear.wire.origin import Origin

AUTHORIZATION = header("authorization", f"Bearer {KEY}")
BODY = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}).encode()


async def on_both_workers(gateway: Gateway, count: int = 32) -> list[Answer]:
    """So many calls over a connection each: the kernel spreads connections, so that none reaching a worker is a chance of 1 in 2^31."""

    async def one() -> Answer:
        caller = gateway.caller()
        try:
            return await caller.chat("chat", "hello", 4)
        finally:
            await caller.close()

    return await asyncio.gather(*(one() for _ in range(count)))


class Load:
    """Calls, eight at a time, until told to end; each answer is kept, and none may fail."""

    def __init__(self, gateway: Gateway, model: str = "chat") -> None:
        self._gateway = gateway
        self._model = model
        self._ending = False
        self.answers: list[Answer] = []

    async def __aenter__(self) -> "Load":
        self._tasks = [asyncio.ensure_future(self._call()) for _ in range(8)]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._ending = True
        await asyncio.gather(*self._tasks)

    async def more(self, count: int = 50) -> None:
        """Wait for further answers."""
        goal = len(self.answers) + count
        await until(lambda: len(self.answers) >= goal or any(task.done() for task in self._tasks), f"{goal} answers")

    async def _call(self) -> None:
        caller = self._gateway.caller()
        try:
            while not self._ending:
                self.answers.append(await caller.chat(self._model, "hello", 4))
        finally:
            await caller.close()


async def test_it_answers_for_all_its_workers(start: StartGateway) -> None:
    gateway = await start()
    assert (await gateway.admin("/healthz")).status == 200
    status, ready = await gateway.ready()
    assert (status, ready) == (200, {"ready": True, "not_ready": [], "alarms": []})
    answers = await on_both_workers(gateway)
    assert all(answer.whole for answer in answers)
    assert len({answer.call for answer in answers}) == len(answers)
    await settled(gateway, len(answers))
    live = await gateway.live()
    assert [worker["worker"] for worker in live["workers"]] == [0, 1]
    assert len({worker["pid"] for worker in live["workers"]}) == 2
    written = [worker["journal"]["written"] for worker in live["workers"]]
    assert min(written) > 0, "one worker got no call"
    assert sum(written) == live["journal"]["written"] == len(answers)
    assert live["snapshot"] == gateway.snapshot
    assert await gateway.metric("gen_ai_server_request_duration_seconds_count") == len(answers)
    assert await gateway.metric("switchgear_worker_up") == 2
    assert gateway.recorded() == {answer.call for answer in answers}


async def test_it_is_not_ready_while_every_breaker_is_open(start: StartGateway, place: Emulator) -> None:
    gateway = await start(more="[backends.place.breaker]\nconsecutive = 1\nopen_s = 5.0\n")
    place.set_faults(["status;code=503"])
    headers, codes = AUTHORIZATION, set()
    address = gateway.addresses[0]
    for _ in range(32):  # on a connection each, as in `on_both_workers`
        pool = Pool(Origin(address.host, address.port))
        answer = await fetch(pool, "POST", "/v1/chat/completions", headers=headers, body=BODY)
        await pool.close()
        codes.add((answer.status, json.loads(answer.body)["error"]["code"]))
    assert codes == {(502, "upstream_error"), (503, "no_target_available")}
    status, told = await gateway.ready()
    assert (status, told["not_ready"]) == (503, ["every target's breaker is open"])
    (target,) = (await gateway.live())["targets"]
    assert (target["breaker"], target["breakers"]) == ("open", {"0": "open", "1": "open"})
    assert (target["breaker_opened"], target["last_error"]) == (2, "status_503")
    assert await gateway.metric("switchgear_breaker_state", backend="place", state="open") == 1
    assert await gateway.metric("switchgear_breaker_state", backend="place", state="closed") == 0
    assert await gateway.metric("switchgear_breaker_opened_total", backend="place") == 2
    place.set_faults([])
    breakers: dict[str, str] = target["breakers"]
    async with asyncio.timeout(20.0):
        while set(breakers.values()) != {"closed"}:
            await on_both_workers(gateway, 4)
            breakers = (await gateway.live())["targets"][0]["breakers"]
    assert (await gateway.ready())[0] == 200


async def test_workers_take_the_descriptors_that_they_may_have(start: StartGateway) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))  # as a shell starts it, in small
    try:
        gateway = await start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert resource.prlimit(gateway.program.pid, resource.RLIMIT_NOFILE)[0] == 256
    for worker in (await gateway.live())["workers"]:
        assert resource.prlimit(worker["pid"], resource.RLIMIT_NOFILE)[0] == min(hard, 1 << 20)
    callers = [
        gateway.caller() for _ in range(400)
    ]  # between two workers, of which 256 descriptors would not do for either
    answers = await asyncio.gather(*(caller.chat("chat", "hello", 4) for caller in callers))
    assert all(answer.whole for answer in answers)
    for caller in callers:
        await caller.close()


async def test_an_external_screen_that_does_not_run_is_an_alarm(start: StartGateway) -> None:
    gateway = await start({"workers": 1}, '[screen.external]\nmodel = "not_installed"\n')
    status, told = await gateway.ready()
    assert (status, told["alarms"]) == (200, ["worker 0 has no external screen: it does not run, and the log says why"])
    (worker,) = (await gateway.live())["workers"]
    assert worker["external_screen"]["ready"] is False


async def test_the_admin_address_says_what_it_serves(start: StartGateway) -> None:
    gateway = await start({"workers": 1})
    for method, path, status in (("POST", "/readyz", 405), ("GET", "/v1/models", 404), ("HEAD", "/healthz", 200)):
        answer = await gateway.admin(path, method)
        assert answer.status == status
        if status != 200:
            assert json.loads(answer.body)["error"]["type"] == "invalid_request_error"
        assert answer.headers.get(b"allow") == (b"GET, HEAD" if status == 405 else None)


async def test_sighup_swaps_the_snapshot_and_drops_no_call(start: StartGateway, place: Emulator) -> None:
    gateway = await start()
    async with Load(gateway) as load:
        await load.more()
        more = f'[models.further]\ntargets = [{{ backend = "place", model = "{MODEL}" }}]'
        gateway.file.write_text(configuration(place.base_url, more=more))
        gateway.program.signal(signal.SIGHUP)
        snapshots = {gateway.snapshot}
        while gateway.snapshot in snapshots:
            await load.more(5)
            snapshots = {worker["snapshot"] for worker in (await gateway.live())["workers"]}
        await load.more()
    assert len(snapshots) == 1
    assert all(answer.whole for answer in load.answers)
    caller = gateway.caller()
    assert (await caller.chat("further", "hello", 4)).whole
    await caller.close()
    assert await gateway.ready() == (200, {"ready": True, "not_ready": [], "alarms": []})


async def test_a_reload_asked_for_while_it_starts_is_done_when_it_serves(tmp_path: Path, place: Emulator) -> None:
    gateway = Gateway(tmp_path, configuration(place.base_url))
    status = Path(f"/proc/{gateway.program.pid}/status")
    blocked = re.compile(r"^SigBlk:\t[0-9a-f]+1$", re.MULTILINE)  # SIGHUP is the first bit
    await until(lambda: blocked.search(status.read_text()), "it looks out for signals")
    gateway.program.signal(signal.SIGHUP)
    await gateway.serving()
    await until(lambda: "serving snapshot" in gateway.program.errors, "it has read its file again")
    assert all(answer.whole for answer in await on_both_workers(gateway, 8))
    gateway.program.signal(signal.SIGTERM)
    assert await gateway.program.ended() == 0
    await gateway.close()


async def test_a_broken_file_changes_nothing_and_raises_an_alarm(start: StartGateway, place: Emulator) -> None:
    gateway = await start()
    async with Load(gateway) as load:
        gateway.file.write_text(configuration(place.base_url, more='[models.chat2]\ntargts = "x"'))
        gateway.program.signal(signal.SIGHUP)
        alarms: list[str] = []
        while not alarms:
            await load.more(5)
            status, ready = await gateway.ready()
            assert status == 200
            alarms = ready["alarms"]
        assert "models.chat2" in alarms[0]
        assert (await gateway.live())["snapshot"] == gateway.snapshot
        gateway.file.write_text(configuration(place.base_url))
        gateway.program.signal(signal.SIGHUP)
        while alarms:
            await load.more(5)
            alarms = (await gateway.ready())[1]["alarms"]
    assert all(answer.whole for answer in load.answers)


async def test_a_worker_that_starts_during_a_reload_serves_the_new_snapshot(
    start: StartGateway, place: Emulator
) -> None:
    gateway = await start()
    for turn in range(3):
        before = await gateway.live()
        more = f'[models.turn{turn}]\ntargets = [{{ backend = "place", model = "{MODEL}" }}]'
        gateway.file.write_text(configuration(place.base_url, more=more))
        os.kill(before["workers"][turn % 2]["pid"], signal.SIGKILL)
        await another_starts(gateway, {worker["pid"] for worker in before["workers"]})
        gateway.program.signal(signal.SIGHUP)
        live = before
        async with asyncio.timeout(20.0):
            while live["restarts"] == before["restarts"] or len(live["workers"]) < 2 or stale(live, before["snapshot"]):
                await asyncio.sleep(0.02)
                live = await gateway.live()
        assert (await gateway.ready())[1]["alarms"] == []
        assert all(answer.whole for answer in await on_both_workers(gateway, 8))


async def another_starts(gateway: Gateway, pids: set[int]) -> None:
    await until(lambda: set(descendants(gateway.program.pid)) - pids, "another worker is starting")


def stale(live: dict[str, Any], before: str) -> bool:
    """Whether the gateway, or one of its workers, still serves what it served before."""
    return before in (live["snapshot"], *(worker["snapshot"] for worker in live["workers"]))


@pytest.mark.parametrize("speed", [1.0])
async def test_sigterm_lets_calls_in_flight_end_and_takes_no_more(start: StartGateway) -> None:
    gateway = await start()
    callers = [gateway.caller() for _ in range(8)]
    begun: set[int] = set()
    streams = [
        asyncio.ensure_future(caller.stream("chat", "hello", 200, lambda _, number=number: begun.add(number)))
        for number, caller in enumerate(callers)
    ]
    await until(lambda: len(begun) == len(callers), "every stream has begun")
    gateway.program.signal(signal.SIGTERM)
    await refused(gateway)
    over_before = [stream.done() for stream in streams]
    answers = await asyncio.gather(*streams)
    assert not any(over_before), "the calls were over before one was refused"
    assert all(answer.whole for answer in answers)
    assert len({answer.text for answer in answers}) == 1
    assert await gateway.program.ended() == 0
    assert gateway.recorded() == {answer.call for answer in answers}
    for caller in callers:
        await caller.close()


async def refused(gateway: Gateway) -> None:
    """Wait until a new connection is refused."""
    address = gateway.addresses[0]
    async with asyncio.timeout(10.0):
        while True:
            pool = Pool(Origin(address.host, address.port))
            try:
                await fetch(pool, "GET", "/v1/models", headers=AUTHORIZATION)
            except ConnectError:
                return
            except ResetError:
                continue  # it had come in just before, and nobody took it any more
            finally:
                await pool.close()


async def test_a_unix_socket_and_tls(start: StartGateway, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    path = tmp_path / "calls.sock"
    tls = f'\n[gateway.tls]\ncert = "{authority.cert}"\nkey = "{authority.key}"\n'
    gateway = await start({"listen": ["127.0.0.1:0", f"unix:{path}"]}, tls)
    address = gateway.addresses[0]
    assert gateway.addresses[1].path == str(path)
    for origin in (
        Origin("127.0.0.1", address.port, authority.client()),
        Origin("localhost", 80, path=str(path)),
    ):
        pool = Pool(origin)
        answer = await fetch(pool, "POST", "/v1/chat/completions", headers=AUTHORIZATION, body=BODY)
        assert answer.status == 200
        await pool.close()
    gateway.program.signal(signal.SIGTERM)
    assert await gateway.program.ended() == 0
    assert not path.exists()


async def test_a_reload_shows_renewed_certificates_and_refuses_nobody(
    start: StartGateway, place: Emulator, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    gateway = await start(more=f'\n[gateway.tls]\ncert = "{authority.cert}"\nkey = "{authority.key}"\n')
    address = gateway.addresses[0]

    async def shown() -> bytes:
        """Who answers a call on a connection of its own."""
        pool = Pool(Origin("127.0.0.1", address.port, authority.client()))
        connection = await pool.acquire(10.0)
        assert connection._transport is not None
        der: bytes = connection._transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        pool.released(connection)
        answer = await fetch(pool, "POST", "/v1/chat/completions", headers=AUTHORIZATION, body=BODY)
        await pool.close()
        assert answer.status == 200
        return der

    async def all_shown(count: int) -> set[bytes]:
        return set(await asyncio.gather(*(shown() for _ in range(count))))

    before = await all_shown(8)
    assert len(before) == 1
    authority.issue("server", "127.0.0.1")
    calling = asyncio.ensure_future(all_shown(64))
    gateway.program.signal(signal.SIGHUP)
    await calling
    await until(lambda: "serving snapshot" in gateway.program.errors, "it has loaded again")
    after = await all_shown(32)
    assert len(after) == 1
    assert after.isdisjoint(before)
    gateway.file.write_text(configuration(place.base_url))  # from the next start on without TLS
    authority.cert.unlink()
    gateway.program.signal(signal.SIGHUP)
    await until(
        lambda: gateway.program.errors.count("the certificate that was read before") == 2, "both workers say so"
    )
    assert await all_shown(8) == after


@pytest.mark.parametrize("speed", [1.0])
async def test_a_successor_may_take_a_unix_socket_while_calls_in_flight_end(
    start: StartGateway, tmp_path: Path
) -> None:
    path, admin = tmp_path / "calls.sock", tmp_path / "admin.sock"
    gateway = await start({"listen": ["127.0.0.1:0", f"unix:{path}"], "admin": f"unix:{admin}"})
    caller = gateway.caller()
    begun = asyncio.Event()
    stream = asyncio.ensure_future(caller.stream("chat", "hello", 200, lambda _: begun.set()))
    await begun.wait()
    assert (await gateway.ready())[0] == 200
    gateway.program.signal(signal.SIGTERM)
    await until(lambda: not path.exists(), "the old file is gone")
    assert (await gateway.ready())[0] == 503, "whoever looks at it is told until the end"
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(str(path))
        assert not stream.done()
        assert (await stream).whole
        assert await gateway.program.ended() == 0
        assert path.exists(), "the file is the successor's"
        assert not admin.exists()
    await caller.close()


async def fails(gateway: Gateway) -> str:
    """What it says when it cannot start: an error for people, and exit status 1."""
    try:
        assert await gateway.program.ended() == 1
        said = gateway.program.errors + gateway.program.output
        assert "Traceback" not in said
        return said
    finally:
        await gateway.close()


async def test_up_serves_a_file_as_well(tmp_path: Path, place: Emulator) -> None:
    gateway = Gateway(tmp_path, configuration(place.base_url), command="up")
    try:
        await gateway.serving()
        assert all(answer.whole for answer in await on_both_workers(gateway, 4))
        os.killpg(gateway.program.pid, signal.SIGINT)  # as a terminal sends Ctrl-C: to every process of the group
        assert await gateway.program.ended() == 0
        assert "Traceback" not in gateway.program.errors
    finally:
        await gateway.close()


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_port_in_use(start: StartGateway, tmp_path: Path, place: Emulator, workers: int) -> None:
    first = await start({"workers": workers})
    other = tmp_path / "other"
    other.mkdir()
    taken = str(first.addresses[0])
    said = await fails(Gateway(other, configuration(place.base_url, {"workers": workers, "listen": [taken]})))
    assert f"cannot listen on {taken}" in said
    assert all(answer.whole for answer in await on_both_workers(first, 4))


async def test_the_admin_port_in_use(tmp_path: Path, place: Emulator) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        said = await fails(Gateway(tmp_path, configuration(place.base_url, {"admin": where})))
    assert f"cannot listen on {where}" in said


async def test_a_file_with_an_unknown_key(tmp_path: Path, place: Emulator) -> None:
    said = await fails(Gateway(tmp_path, configuration(place.base_url, {"worker": 2})))
    assert "gateway.worker" in said
    assert "workers" in said
    assert "line 6" in said


async def test_a_secret_that_is_not_there(tmp_path: Path, place: Emulator) -> None:
    text = configuration(place.base_url).replace("[backends.place]", '[backends.place]\napi_key_env = "PLACE_KEY"')
    said = await fails(Gateway(tmp_path, text))
    assert "PLACE_KEY" in said
    given = await Gateway(tmp_path, text, {"PLACE_KEY": "a-secret-value"}).serving()
    await given.close()
    assert "a-secret-value" not in given.program.output + given.program.errors


async def test_a_state_directory_that_cannot_be_made(tmp_path: Path, place: Emulator) -> None:
    (tmp_path / "file").write_text("")
    said = await fails(Gateway(tmp_path, configuration(place.base_url, {"state_dir": "file/state"})))
    assert "gateway.state_dir" in said


async def test_a_certificate_that_is_none(tmp_path: Path, place: Emulator) -> None:
    for name in ("cert", "key"):
        (tmp_path / f"{name}.pem").write_text("no PEM")
    tls = '\n[gateway.tls]\ncert = "cert.pem"\nkey = "key.pem"\n'
    said = await fails(Gateway(tmp_path, configuration(place.base_url, more=tls)))
    assert "cert.pem" in said
