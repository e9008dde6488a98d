"""What a configuration of identities may not say, and how it is decoded."""

import tomllib

import msgspec
import pytest

from switchgear.core.identity import Certificate, Key, OidcProvider
from switchgear.identity.checks import check, url_problem
from switchgear.identity.refusals import WHAT_TO_DO


class File(msgspec.Struct, forbid_unknown_fields=True):
    """The tables of a configuration file that are looked at here."""

    keys: tuple[Key, ...] = ()
    oidc: dict[str, OidcProvider] = {}
    certificates: tuple[Certificate, ...] = ()


def read(text: str) -> File:
    return msgspec.convert(tomllib.loads(text), File)


def flaws(text: str) -> list[tuple[str, str]]:
    found = read(text)
    return [
        (".".join(str(part) for part in flaw.path), flaw.message)
        for flaw in check(found.keys, found.oidc, found.certificates)
    ]


GOOD = f"""
[[keys]]
name = "app"
sha256 = "{"0" * 64}"
expires = 2027-06-30T00:00:00+02:00
roles = ["writer"]
data_class = "internal"
max_data_class = "confidential"
hashes = [{{ sha256 = "{"1" * 64}", valid_from = 2027-01-01T00:00:00Z, valid_until = 2027-01-31T00:00:00Z }}]

[oidc.company]
issuer = "https://login.example.com/realms/company"
audience = ["urn:switchgear"]
algorithms = ["RS256", "EdDSA"]
claims = {{ name = "email", team = "groups", roles = "realm_access.roles" }}
teams = {{ "sg-platform" = "platform" }}

[[certificates]]
name = "edge-42"
uri = "spiffe://example.org/edge-42"
"""


def test_a_good_configuration() -> None:
    assert flaws(GOOD) == []
    found = read(GOOD)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=File) == found, "as a snapshot travels"


@pytest.mark.parametrize(
    "line",
    [
        'algorithms = ["none"]',
        'algorithms = ["HS256"]',
        "algorithms = []",
        "audience = []",
        "leeway_s = 3600",
        "refresh_s = 0",
        'client_secret = "x"',
    ],
)
def test_what_cannot_be_configured_at_all(line: str) -> None:
    text = '[oidc.company]\nissuer = "https://a"\n' + ("" if "audience" in line else 'audience = ["a"]\n') + line
    with pytest.raises(msgspec.ValidationError):
        read(text)


@pytest.mark.parametrize("moment", ["2027-01-01", "2027-01-01T00:00:00", '"2027-01-01"'])
def test_a_moment_has_an_offset(moment: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        read(f'[[keys]]\nname = "a"\nsha256 = "{"0" * 64}"\nexpires = {moment}')


COMPANY = '[oidc.company]\naudience = ["a"]\n'


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        (COMPANY + 'issuer = "http://login.example.com"', "oidc.company.issuer", "not https"),
        (COMPANY + 'issuer = "login.example.com"', "oidc.company.issuer", "no https URL"),
        (COMPANY + 'issuer = "https://a?b=c"', "oidc.company.issuer", "query"),
        (COMPANY + 'issuer = "https://a"\njwks_url = "http://a/keys"', "oidc.company.jwks_url", "not https"),
        (COMPANY + 'issuer = "https://a"\nclaims = { team = "a..b" }', "oidc.company.claims.team", "dot"),
        (COMPANY + 'issuer = "https://a"\nteams = { a = "b" }', "oidc.company.teams", "needs a claim"),
        (
            COMPANY + 'issuer = "https://a"\n[oidc.other]\nissuer = "https://a"\naudience = ["b"]',
            "oidc.other.issuer",
            "that of company",
        ),
        ('[oidc."a:b"]\nissuer = "https://a"\naudience = ["a"]', "oidc.a:b", "colon"),
        (GOOD.replace("1" * 64, "0" * 64), "keys.0.hashes.0.sha256", "hash of app"),
        (GOOD.replace("2027-01-31", "2027-01-01"), "keys.0.hashes.0.valid_until", "never count"),
        (GOOD.replace('name = "edge-42"', 'name = "app"'), "certificates.0.name", "taken"),
        (GOOD.replace('name = "app"', 'name = "company:alice"'), "keys.0.name", "provider company"),
        ('[[certificates]]\nname = "a"', "certificates.0", "matches no certificate"),
    ],
)
def test_what_is_wrong_although_each_value_is_fine(text: str, path: str, words: str) -> None:
    ((where, message),) = flaws(text)
    assert where == path
    assert words in message


@pytest.mark.parametrize(
    "url", ["https://a", "https://a:8443/b?c=d", "http://127.0.0.1:1", "http://[::1]/", "http://localhost"]
)
def test_addresses_that_are_believed(url: str) -> None:
    assert url_problem(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://",
        "ftp://a",
        "http://a",
        "http://127.0.0.1.example.com",
        "https://a:b",
        "https://[",
        "https://u@a",
        "https://a#b",
        "https://a b",
    ],
)
def test_addresses_that_are_not(url: str) -> None:
    assert url_problem(url) is not None


def test_every_refusal_has_words_for_its_caller() -> None:
    assert all(code.islower() and text.endswith(".") and len(text) < 140 for code, text in WHAT_TO_DO.items())
