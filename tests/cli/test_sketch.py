"""`switchgear sketch` over a gateway that met a failure, and over sketches on disk."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.sketches.calls import sketched
from tests.system.gateways import KEY, configuration

from switchgear.cli import main
from switchgear.core.record import Outcome
from switchgear.core.sealing import Keyring, parse_keys
from switchgear.emulator.server import Emulator
from switchgear.gateway.config import load
from switchgear.gateway.supervisor import Supervisor
from switchgear.sketches.store import FILE, Store
from switchgear.wire.client import Pool
from switchgear.wire.fetch import fetch
from switchgear.wire.origin import Origin

KEYS = "a:" + base64.b64encode(bytes([5]) * 32).decode()
SECRET = "Anneliese pays with 4111 1111 1111 1111."
BODY: dict[str, Any] = {"model": "chat", "max_tokens": 4, "messages": [{"role": "user", "content": SECRET}]}
MORE = """
retry = { attempts = 1 }

[sketches]
keep = [{ when = "failed" }, { when = "broken" }]
key_env = "SKETCH_KEYS"
"""


def run(*arguments: object) -> Result:
    return CliRunner(env={"SKETCH_KEYS": KEYS}).invoke(main, ["sketch", *map(str, arguments)])


def keep(state: Path, *sketches: Any) -> None:
    store = Store(state / FILE, Keyring(parse_keys(KEYS), lambda size: b"\1" * size))
    for sketch in sketches:
        store.put(sketch)
    store.close()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    keep(
        tmp_path,
        sketched(BODY, call="call_a1", at_s=1.0),
        sketched({**BODY, "stream": True}, call="call_b1", at_s=2.0, model="large", outcome=Outcome.BROKEN, status=200),
    )
    return tmp_path


def test_list_shows_the_newest_first_and_none_of_the_call(state: Path) -> None:
    result = run("list", "--state-dir", state, "--key-env", "SKETCH_KEYS")
    assert result.exit_code == 0, result.output
    assert result.output.index("call_b1") < result.output.index("call_a1")
    assert "1 x payment_card" in result.output
    told = json.loads(run("list", "--state-dir", state, "--key-env", "SKETCH_KEYS", "--model", "chat", "--json").output)
    assert [(one["call"], one["when"], one["findings"]) for one in told] == [("call_a1", "failed", {"payment_card": 1})]


def test_show_prints_the_body_that_would_be_sent(state: Path) -> None:
    result = run("show", "call_a", "--state-dir", state, "--key-env", "SKETCH_KEYS", "--json")
    content = json.loads(result.output)
    assert content["body"]["messages"][0]["role"] == "user"
    assert "Anneliese" not in result.output
    assert "4111" not in result.output
    assert '"role": "user"' in run("show", "call_a", "--state-dir", state, "--key-env", "SKETCH_KEYS").output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "call_x"), "there is no sketch 'call_x'"),
        (("replay", "call_a"), "Give --target"),
        (("replay", "call_a", "--target", "place"), "give --config"),
    ],
)
def test_what_is_missing_is_named(state: Path, arguments: tuple[str, ...], said: str) -> None:
    result = run(*arguments, "--state-dir", state, "--key-env", "SKETCH_KEYS")
    assert result.exit_code != 0
    assert said in result.output


def test_without_a_key_or_a_file_the_remedy_is_named(state: Path, tmp_path: Path) -> None:
    assert "names no keys" in run("list", "--state-dir", state).output
    assert "is not set" in run("list", "--state-dir", state, "--key-env", "NONE").output
    assert "no sketch was kept there" in run("list", "--state-dir", tmp_path / "x", "--key-env", "SKETCH_KEYS").output


async def replayed(state: Path, call: str, place: Emulator, *more: str) -> tuple[int, dict[str, Any]]:
    arguments = ("replay", call, "--state-dir", state, "--key-env", "SKETCH_KEYS", "--url", place.base_url)
    result = await asyncio.to_thread(run, *arguments, "--model", "llama-3.1-8b", "--json", *more)
    return result.exit_code, json.loads(result.output)


@pytest.fixture
def place() -> Emulator:
    return Emulator(profile="h100-sxm", models=["llama-3.1-8b"], name="place", speed=1000.0)


async def test_a_failure_that_is_gone_is_told(state: Path, place: Emulator) -> None:
    await place.start()
    try:
        for call in ("call_a1", "call_b1"):
            code, told = await replayed(state, call, place)
            assert (code, told["comparison"]["verdict"]) == (1, "gone"), told
            assert told["replayed"]["outcome"] == "ok"
            assert told["replayed"]["completion_tokens"] > 0
    finally:
        await place.close()


async def test_a_place_that_nobody_answers_at_fails_in_another_way(state: Path, place: Emulator) -> None:
    await place.start()
    await place.close()
    code, told = await replayed(state, "call_a1", place)
    assert (code, told["comparison"]["verdict"]) == (1, "other")
    assert told["replayed"]["attempt_error"] == "connect_failed"


async def test_a_gateway_keeps_a_sketch_of_what_failed_and_it_fails_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Emulator
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKETCH_KEYS", KEYS)
    await place.start()
    try:
        place.set_faults(["status;code=500"])
        text = configuration(place.base_url, {"workers": 1, "state_dir": "state"}, MORE)
        (tmp_path / "gateway.toml").write_text(text)
        supervisor = Supervisor(load(text.encode(), name="x").config)
        await supervisor.start()
        try:
            status = await asked(supervisor, BODY)
        finally:
            await supervisor.stop(1.0)
        assert status >= 500
        (told,) = json.loads(run("list", "--config", "gateway.toml", "--json").output)
        assert (told["when"], told["model"], told["backend"]) == ("failed", "chat", "place")
        arguments = ("replay", told["call"], "--config", "gateway.toml", "--target", "place")
        again = await asyncio.to_thread(run, *arguments)
        assert again.exit_code == 0, again.output
        assert "ended as the original did" in again.output
        content = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
        assert b"Anneliese" not in content
    finally:
        await place.close()


async def asked(supervisor: Supervisor, body: dict[str, Any]) -> int:
    address = supervisor.listening[0]
    pool = Pool(Origin(address.host, address.port))
    headers = f"authorization: Bearer {KEY}\r\ncontent-type: application/json\r\n".encode()
    answer = await fetch(pool, "POST", "/v1/chat/completions", headers=headers, body=json.dumps(body).encode())
    await pool.close()
    return answer.status


async def test_policies_are_asked_before_a_sketch_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Emulator
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "all.cedar").write_text(
        '@id("all") permit (principal, action, resource);\n'
        '@id("no-secrets") forbid (principal, action == Action::"replay", resource)'
        ' when { context.data_class in DataClass::"restricted" };\n'
    )
    await place.start()
    more = MORE + '[policy]\nfiles = ["all.cedar"]\n'
    (tmp_path / "gateway.toml").write_text(configuration(place.base_url, {"state_dir": "state"}, more))
    keep(tmp_path / "state", sketched(BODY, call="call_a1", principal="demo", data_class="restricted"))
    arguments = ("replay", "call_a1", "--config", "gateway.toml", "--target", "place")
    try:
        refused = await asyncio.to_thread(run, *arguments)
        assert "no-secrets" in refused.output
        assert refused.exit_code == 1
        sent = await asyncio.to_thread(run, *arguments, "--data-class", "public", "--json")
        assert json.loads(sent.output)["replayed"]["outcome"] == "ok", sent.output
    finally:
        await place.close()


def test_rules_that_cannot_be_are_refused() -> None:
    from switchgear.gateway.config import inspect

    text = configuration("http://127.0.0.1:9/v1", more='[sketches]\nkeep = [{ when = "failed", models = ["chta"] }]\n')
    problems = [str(problem) for problem in inspect(text.encode()).problems]
    assert any('names no model: "chta"' in problem and "chat" in problem for problem in problems)
    assert any("names no key" in problem for problem in problems)
