import json
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from switchgear.cli.check import check

ROOT = Path(__file__).parents[2]
GOOD = f"""\
[[keys]]
name = "web-app"
sha256 = "{sha256(b"nobody guesses this").hexdigest()}"
team = "[product]"

[backends.box]
kind = "onprem"
base_url = "http://10.0.0.5:8000/v1"

[models.chat]
strategy = "weighted"
targets = [{{ backend = "box", model = "llama-8b", weight = 3 }}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "switchgear.toml"


def run(file: Path, *options: str) -> Result:
    return CliRunner().invoke(check, [str(file), *options])


def test_a_good_file_is_explained(file: Path) -> None:
    file.write_text(GOOD)
    result = run(file)
    assert result.exit_code == 0
    said = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert said[0].startswith(f"{file}: no problems, no warnings; snapshot ")
    assert "http://127.0.0.1:8080/v1 1 127.0.0.1:8081 batched, state" in said
    assert "box onprem openai http://10.0.0.5:8000/v1" in said
    assert "chat weighted box: llama-8b x3" in said
    assert "web-app [product] every model" in said


def test_problems_are_told_with_line_and_remedy(file: Path) -> None:
    file.write_text("[gateway]\nworkers = 0\ndurabilty = 1\n" + GOOD.replace('"box"', '"bix"'))
    result = run(file)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"problem {file}:2 gateway.workers must be a whole number of at least 1, not 0",
        "  Choose another, or leave it out for its default.",
        f"problem {file}:3 gateway.durabilty is not a known key",
        '  Did you mean "durability"?',
        f'problem {file}:15 models.chat.targets[0].backend names no backend: "bix"',
        '  Did you mean "box"?',
        f"{file}: 3 problems, no warnings; it cannot be served from",
    ]


def test_warnings_alone_leave_the_exit_code_0(file: Path) -> None:
    file.write_text('[gateway]\nlisten = ["0.0.0.0:8080"]\n' + GOOD)
    result = run(file)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"warning {file}:2 gateway.listen[0] takes calls from other machines without TLS")
    assert f"{file}: no problems, 1 warning; snapshot " in result.stdout


def test_json_has_the_same(file: Path) -> None:
    file.write_text('[gateway]\nlisten = ["unix:/run/s.sock"]\nadmin = "0.0.0.0:9"\n' + GOOD)
    result = run(file, "--json")
    assert result.exit_code == 0
    said = json.loads(result.stdout)
    assert said["ok"] is True
    assert said["problems"] == []
    assert [(one["line"], one["path"]) for one in said["warnings"]] == [(3, "gateway.admin")]
    assert len(said["snapshot"]) == 12
    assert said["means"] == {
        "listen": ["unix:/run/s.sock"],
        "admin": "0.0.0.0:9",
        "backends": {"box": {"kind": "onprem", "protocol": "openai", "base_url": "http://10.0.0.5:8000/v1"}},
        "models": {"chat": {"strategy": "weighted", "targets": [{"backend": "box", "model": "llama-8b"}]}},
        "keys": ["web-app"],
    }


def test_json_of_a_bad_file(file: Path) -> None:
    file.write_text("[gateway]\nworkers = \n")
    result = run(file, "--json")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert (said["ok"], said["snapshot"], said["means"]) == (False, None, None)
    assert said["problems"] == [
        {
            "line": 2,
            "path": "file",
            "message": "is not valid TOML: Invalid value",
            "remedy": "Text needs quotes; numbers, true and false need none.",
        }
    ]


def test_a_file_that_is_not_there(file: Path) -> None:
    result = run(file)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"problem {file} file cannot be read: No such file or directory\n")


def test_a_variable_that_is_not_set_is_worth_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    example = ROOT / "examples/two-places.toml"
    monkeypatch.delenv("CLOUD_API_KEY", raising=False)
    result = run(example)
    assert result.exit_code == 0
    assert "backends.cloud.api_key_env names a variable that is not set here" in result.stdout
    monkeypatch.setenv("CLOUD_API_KEY", "SECRET")
    result = run(example)
    assert "no warnings" in result.stdout
    assert "SECRET" not in result.stdout
