"""The embedded default of `switchgear up`, as far as it is decided before anything starts."""

import importlib.util
import shlex
import socket
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from switchgear.cli import embedded, main
from switchgear.cli.up import called_as
from switchgear.gateway.supervisor import StateDirUnusable


def test_without_llama_cpp_four_places_and_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    made = embedded.places(1.0)
    assert [place.name for place in made] == ["appliance", "onprem", "cloud", "edge"]
    assert "pip install 'switchgear[llama]'" in embedded.engine_is_missing(made)


def test_chat_prefers_the_appliance_and_may_use_every_place() -> None:
    made = embedded.places(1.0)
    config = embedded.configuration(made, "sk-sg-some-key")
    chat = config.models["chat"]
    assert [target.backend for target in chat.targets] == ["appliance", "onprem", "cloud", "edge", "engine"]
    assert chat.strategy == "priority"
    assert chat.retry.attempts == len(made)
    assert "sk-sg-some-key" not in repr(config)


def test_the_key_is_made_once_and_is_its_owners(tmp_path: Path) -> None:
    key = embedded.stored_key(tmp_path / "state")
    assert embedded.stored_key(tmp_path / "state") == key
    assert embedded.stored_key(tmp_path / "other") != key
    assert stat.S_IMODE((tmp_path / "state" / "up-key").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\xff\xfe", b"sk-sg-a b", b"sk-sg-a\nb", "sk-sg-schl\u00fcssel".encode()]
)
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "up-key").write_bytes(content)
    with pytest.raises(StateDirUnusable, match=r"up-key holds no key; remove it"):
        embedded.stored_key(tmp_path)


def test_what_to_type_works_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "a folder" / "switchgear"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert called_as(str(program)) == shlex.quote(str(program))
    monkeypatch.setenv("PATH", str(program.parent))
    assert called_as(str(program)) == "switchgear"
    assert called_as("/somewhere/switchgear/__main__.py") == "switchgear"


def test_a_file_and_options_of_the_embedded_default(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("")
    refused = CliRunner().invoke(main, ["up", "--config", str(file), "--state-dir", "elsewhere", "--speed", "2"])
    assert refused.exit_code == 2
    assert "leave --state-dir, --speed out" in refused.output


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_speed_that_is_none(command: str) -> None:
    refused = CliRunner().invoke(main, [command, "--speed", "0"])
    assert refused.exit_code == 2
    assert refused.output.count("not in the range") == 1


def test_a_state_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StateDirUnusable, match="--state-dir"):
        embedded.stored_key(tmp_path / "state")


def test_a_taken_port_is_left_to_whoever_has_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert embedded.free_or_any(taken.getsockname()[1]) == 0
    assert embedded.free_or_any(0) == 0
