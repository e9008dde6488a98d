import json
import re
import tomllib
from hashlib import sha256

import pytest
from click.testing import CliRunner, Result

from switchgear.cli.key import hash_of, key, new_key
from switchgear.gateway.config import load

REST = b"""
[backends.box]
kind = "edge"
base_url = "http://127.0.0.1:9/v1"
[models.chat]
targets = [{ backend = "box", model = "m" }]
"""


def run(*options: str) -> Result:
    return CliRunner().invoke(key, ["new", *options])


def test_the_key_is_printed_once_and_its_hash_completes_a_configuration() -> None:
    result = run("--name", "web-app", "--team", "product")
    assert result.exit_code == 0
    fresh, _, rest = result.stdout.partition("\n")
    assert re.fullmatch(r"sk-sg-[A-Za-z0-9_-]{43}", fresh)
    assert fresh not in rest
    assert "not stored" in rest
    block = rest[rest.index("[[keys]]") :]
    (entry,) = load(block.encode() + REST, name="made").config.keys
    assert (entry.name, entry.team, entry.sha256) == ("web-app", "product", sha256(fresh.encode()).hexdigest())


def test_json_has_all_of_it() -> None:
    said = json.loads(run("--json").stdout)
    assert said["sha256"] == hash_of(said["key"])
    assert said["name"] == f"key-{said['sha256'][:8]}"
    assert said["team"] == ""
    assert tomllib.loads(said["toml"]) == {"keys": [{"name": said["name"], "sha256": said["sha256"]}]}
    assert said["key"] not in said["toml"]


def test_no_two_keys_are_alike() -> None:
    assert len({new_key() for _ in range(1000)}) == 1000


@pytest.mark.parametrize("team", ['the "quoted" \\ one', "café ☕", "[x]"])
def test_a_team_may_have_any_printable_name(team: str) -> None:
    said = json.loads(run("--team", team, "--json").stdout)
    assert tomllib.loads(said["toml"])["keys"][0]["team"] == team


@pytest.mark.parametrize(
    "options", [("--name", "a@b"), ("--name", ""), ("--name", "a b"), ("--name", "a\n"), ("--team", "a\nb")]
)
def test_a_name_that_no_configuration_takes_is_refused(options: tuple[str, str]) -> None:
    result = run(*options)
    assert result.exit_code == 2
    assert f"Invalid value for {options[0]}" in result.stderr
    assert "sk-sg-" not in result.output
