"""What a configuration may not say of who may call, what calls carry, and what policies allow: each with its line and a remedy."""

import importlib.util
from hashlib import sha256
from pathlib import Path

import pytest
from tests.gateway.test_config import BACKEND, HASH, KEY, MODEL, OTHER_HASH, judge

from switchgear.gateway.config import load, snapshot_of

REST = BACKEND + MODEL
GUESSED = sha256(b"secret").hexdigest()
ISSUER = 'issuer = "https://login.example.com"\naudience = ["x"]\n'
STRICTER = 'data_class = "restricted" # <-\nmax_data_class = "public"\n'
PROBLEMS = [
    (f"{KEY}{STRICTER}{REST}", "keys[0].data_class", "every call would be refused", "max_data_class"),
    (f"{KEY}[oidc.company]\n{ISSUER}{STRICTER}{REST}", "oidc.company.data_class", "every call would be refused", ""),
    (
        f'{KEY}hashes = [{{ sha256 = "{GUESSED}" }}] # <-\n{REST}',
        "keys[0].hashes[0].sha256",
        "anyone would guess",
        "key new",
    ),
    (f'{KEY}hashes = [{{ sha256 = "{HASH}" }}] # <-\n{REST}', "keys[0].hashes[0].sha256", "hash of app already", ""),
    (f"{KEY}expires = 2027-01-01T00:00:00 # <-\n{REST}", "keys[0].expires", "offset", ""),
    (f'{KEY}max_data_class = "secret" # <-\n{REST}', "keys[0].max_data_class", "one of public, internal", ""),
    (f'{KEY}[oidc.company]\n{ISSUER}algorithms = ["HS256"] # <-\n{REST}', "oidc.company.algorithms[0]", "HS256", ""),
    (f'{KEY}[oidc.company]\n{ISSUER}models = ["none"] # <-\n{REST}', "oidc.company.models[0]", "names no model", ""),
    (
        f'{KEY}[oidc.company]\naudience = ["x"]\nissuer = "http://a.example" # <-\n{REST}',
        "oidc.company.issuer",
        "not https",
        "",
    ),
    (f'{KEY}[[certificates]] # <-\nname = "edge"\n{REST}', "certificates[0]", "matches no certificate", "Give one of"),
    (f'{KEY}[[certificates]]\nname = "app" # <-\ndns = "a.b"\n{REST}', "certificates[0].name", "taken already", ""),
    (
        f'{KEY}[policy]\nfiles = ["none/*.cedar"] # <-\n{REST}',
        "policy.files[0]",
        "none/*.cedar, which matches no file",
        "",
    ),
    (f'{KEY}[policy]\nunknown_class = "none" # <-\n{REST}', "policy.unknown_class", "one of public, internal", ""),
    (f'{KEY}[teams.sales]\nrole = ["x"] # <-\n{REST}', "teams.sales.role", "not a known key", 'mean "roles"'),
    (f'{KEY}{BACKEND}jurisdiction = "EU//DE" # <-\n{MODEL}', "backends.box.jurisdiction", "such as EU or EU/DE", ""),
    (f'{KEY}{BACKEND}attested = "yes" # <-\n{MODEL}', "backends.box.attested", "true or false", ""),
    (f'{KEY}{BACKEND}{MODEL}data_class = "hidden" # <-\n', "models.chat.data_class", "one of public, internal", ""),
]


@pytest.mark.parametrize(
    ("text", "path", "message", "remedy"), PROBLEMS, ids=[one[1] + one[2][:12] for one in PROBLEMS]
)
def test_a_problem_has_its_line_and_a_remedy(text: str, path: str, message: str, remedy: str) -> None:
    (found,) = judge(text).problems
    assert found.path == path
    assert message in found.message
    assert remedy in found.remedy
    assert found.remedy
    assert "# <-" in text.split("\n")[(found.line or 0) - 1]


def test_certificates_that_nobody_is_asked_for_are_warned_of() -> None:
    found = judge(f'{KEY}[[certificates]]\nname = "edge"\ndns = "a.b"\n{REST}')
    assert found.problems == ()
    assert [(one.path, one.line) for one in found.warnings] == [("certificates", 4)]
    assert "client_ca" in found.warnings[0].remedy


def test_policies_are_checked_against_the_file_that_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = f'{KEY}[policy]\nfiles = ["*.cedar"]\n{REST}'
    policies = tmp_path / "p.cedar"
    policies.write_text(
        '@id("all") permit (principal, action, resource);\n'
        '@id("rack") forbid (principal, action, resource == Backend::"rack");\n'
        '@id("large") forbid (principal in Role::"none", action, resource);\n'
    )
    found = judge(text)
    assert [(one.path, one.line) for one in found.problems] == [("p.cedar:2", None)]
    assert "Known here: box." in found.problems[0].remedy
    assert [one.path for one in found.warnings] == ["p.cedar:3"]
    policies.write_text(policies.read_text().replace("rack", "box"))
    config = load(text.encode(), name="x").config
    first = snapshot_of(config)
    assert first.authorization.texts[0].text == policies.read_text()
    policies.write_text(policies.read_text() + "\n// said otherwise")
    assert snapshot_of(config).id != first.id, "other policies are another snapshot"


EXTERNAL = """[screen.external]
entities = ["PERSON"]
model = "no_such_model"
[[screen.rules]]
name = "names"
find = ["person"]
action = "redact"
"""


def test_an_external_screen_that_is_not_installed_here_is_warned_of() -> None:
    judged = judge(f"{KEY}{EXTERNAL}{REST}")
    assert judged.problems == ()
    told = {one.path: one for one in judged.warnings}
    assert "no_such_model" in told["screen.external.model"].message
    if importlib.util.find_spec("presidio_analyzer") is None:
        assert "switchgear[presidio]" in told["screen.external"].remedy


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        ('find = ["person"]', 'find = ["location"]', "screen.rules.names.find", "names location, which is not known"),
        (
            "[[screen.rules]]",
            "[[screen.patterns]]\nname = 'person'\nregex = 'x'\n[[screen.rules]]",
            "screen.patterns.person.name",
            "is taken",
        ),
        ("[backends.box]", "[backends.external-screen]", "backends.external-screen", "the name that policies know"),
    ],
)
def test_what_does_not_fit_an_external_screen_is_refused(old: str, new: str, path: str, message: str) -> None:
    text = f"{KEY}{EXTERNAL}{REST}".replace('"box"', '"external-screen"' if "backends" in new else '"box"')
    problems = judge(text.replace(old, new)).problems
    assert [(one.path, message in one.message) for one in problems] == [(path, True)]


def test_two_secrets_of_one_key_are_rotation() -> None:
    assert judge(f'{KEY}hashes = [{{ sha256 = "{OTHER_HASH}" }}]\n{REST}').problems == ()
