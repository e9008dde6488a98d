"""The embedded default of `switchgear up`, as far as it is decided before anything starts."""

import importlib.util
import socket
import stat
from pathlib import Path

import pytest

from switchgear.cli import embedded
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
