"""What `check` says of `[cache]`, and of a model's `cache`, `escalate` and `last_resort`."""

from pathlib import Path

import pytest

from switchgear.gateway.config import inspect

BASE = """
[[keys]]
name = "k"
sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
[backends.b]
kind = "onprem"
base_url = "http://127.0.0.1:9/v1"
[backends.dumb]
kind = "onprem"
base_url = "http://127.0.0.1:9/v1"
capabilities = { logprobs = false }
[models.large]
targets = [{ backend = "b", model = "l" }]
[models.chat]
targets = [{ backend = "b", model = "m" }, { backend = "dumb", model = "m" }]
"""
KEYS = "a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


def found(more: str, environment: dict[str, str] | None = None) -> tuple[list[str], list[str]]:
    """Problems and warnings, each as its path and message."""
    inspected = inspect((BASE + more).encode(), environment=environment or {})
    return (
        [f"{one.path} {one.message}" for one in inspected.problems],
        [f"{one.path} {one.message}" for one in inspected.warnings],
    )


def test_a_good_one() -> None:
    more = f"""
escalate = {{ when = "refusal or length_cut", to = "large" }}
cache = {{ ttl_s = 60, disk = true }}
last_resort = [{{ stale_s = 10 }}, {{ model = "large" }}, {{ message = "later" }}]
[cache.disk]
key_env = "CACHE_KEYS"
# {KEYS}
"""
    assert found(more, {"CACHE_KEYS": KEYS}) == ([], [])


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (
            "cache = { ttl_s = 60, disk = true }",
            "models.chat.cache.disk wants answers kept on disk, and there is no [cache.disk]",
        ),
        ("cache = { ttl_s = 0 }", "models.chat.cache.ttl_s must be a number above 0, not 0"),
        ('escalate = { when = "refusal", to = "larg" }', 'models.chat.escalate.to names no model: "larg"'),
        ('escalate = { when = "refusal", to = "chat" }', "models.chat.escalate.to names the model itself"),
        (
            'escalate = { when = "refusl", to = "large" }',
            "models.chat.escalate.when cannot be read: column 1: there is no name refusl",
        ),
        ("last_resort = [{}]", "models.chat.last_resort[0] has none of stale_s, model and message"),
        ('last_resort = [{ model = "large", message = "x" }]', "models.chat.last_resort[0] has model and message"),
        (
            "last_resort = [{ stale_s = 5 }]",
            "models.chat.last_resort[0].stale_s has nothing to give: the model keeps no answers",
        ),
        ('last_resort = [{ model = "huge" }]', 'models.chat.last_resort[0].model names no model: "huge"'),
        ("[cache.disk]", "cache.disk has neither of key_env and key_file"),
        ('[cache.disk]\nkey_env = "A"\nkey_file = "b"', "cache.disk has both of key_env and key_file"),
        ('[cache.disk]\nkey_file = "nowhere"', "cache.disk.key_file names a file that cannot be read"),
    ],
)
def test_what_cannot_be(more: str, problem: str) -> None:
    problems, _ = found(more)
    assert problems == [problem]


def test_keys_that_cannot_be_used_are_not_shown() -> None:
    problems, _ = found('[cache.disk]\nkey_env = "A"', {"A": "mine:c2VjcmV0"})
    assert problems == ["cache.disk.key_env holds keys that cannot be used: the cache key 'mine' has 6 bytes, not 32"]


def test_a_key_file(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(KEYS)
    assert found(f'[cache.disk]\nkey_file = "{tmp_path}/keys"') == ([], [])


@pytest.mark.parametrize(
    ("more", "warning"),
    [
        ('[cache.disk]\nkey_env = "A"', "cache.disk.key_env names a variable that is not set here"),
        (
            'escalate = { when = "mean_logprob < -1", to = "large" }',
            "models.chat.targets[1] is never asked: the rule of escalate needs log-probabilities, and its backend gives none",
        ),
        (
            'escalate = { when = "refusal or format_failure", to = "large", first_tokens = 8 }',
            "models.chat.escalate.first_tokens lets a stream flow before format_failure can be known",
        ),
        (
            'escalate = { when = "refusal", to = "large" }\n[models.large.escalate]\nwhen = "refusal"\nto = "chat"',
            "models.chat.escalate.to names a model that escalates itself, which is done once for a call",
        ),
    ],
)
def test_what_may_be_wrong(more: str, warning: str) -> None:
    problems, warnings = found(more)
    assert problems == []
    assert warning in warnings
