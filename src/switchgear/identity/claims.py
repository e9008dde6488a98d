"""From the claims of a verified token to a principal, by configuration. Pure."""

from collections.abc import Mapping, Sequence
from functools import cache

from switchgear.core.identity import OidcProvider
from switchgear.identity.errors import ClaimsUnusable, TokenRejected
from switchgear.identity.model import Principal, PrincipalKind, Principals

_NAME_CHARACTERS = 256
_WORD_CHARACTERS = 128
_ROLES = 256
_SPACED = ("scope", "scp")
"""Claims that are words with spaces between them (RFC 8693, 4.2; Microsoft's `scp`)."""


@cache
def path_of(text: str) -> tuple[str, ...]:
    """The names to go down by. Raises ClaimsUnusable for a text that is no path."""
    if text.startswith("/"):
        parts = text[1:].split("/")
        if any("~" in part.replace("~0", "").replace("~1", "") for part in parts):
            raise ClaimsUnusable(f"{text!r} is no JSON Pointer: ~ is written ~0, and / in a name ~1")
        return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)
    parts = [text] if "://" in text else text.split(".")
    if not all(parts):
        raise ClaimsUnusable(f"{text!r} has a dot with nothing on one side; begin with / to write a name that has dots")
    return tuple(parts)


def find(claims: Mapping[str, object], path: Sequence[str]) -> object:
    """The value at a path, or None."""
    found: object = claims
    for name in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found


def principal_of(name: str, provider: OidcProvider, claims: Mapping[str, object], principals: Principals) -> Principal:
    """Who a provider's token shows.

    Raises ClaimsUnusable where the name or the team cannot be told or a role is no plain text (nothing is guessed, nothing left out),
    and TokenRejected with `principal_disabled`.
    """
    paths = provider.claims
    subject = _word(find(claims, path_of(paths.name)), paths.name, _NAME_CHARACTERS)
    if subject in provider.disabled:
        raise TokenRejected(f"{name}:{subject} is on the list of disabled ones", "principal_disabled")
    return principals.of(
        PrincipalKind.OIDC,
        f"{name}:{subject}",
        team=_team(provider, claims),
        roles=_roles(paths.roles, claims),
        models=provider.models,
        pin=provider.pin,
        data_class=provider.data_class,
        max_data_class=provider.max_data_class,
    )


def _team(provider: OidcProvider, claims: Mapping[str, object]) -> str:
    path = provider.claims.team
    if path is None:
        return provider.team or ""
    value = find(claims, path_of(path))
    named = value if isinstance(value, list) else [] if value is None else [value]
    words = [_word(one, path, _WORD_CHARACTERS) for one in named]
    teams = [team for word, team in provider.teams.items() if word in words] if provider.teams else words
    if teams and (provider.teams or len(teams) == 1):
        return teams[0]
    if len(teams) > 1:
        raise ClaimsUnusable(f"{path} names {len(teams)} teams, and `teams` does not say which counts")
    if provider.team is None:
        raise ClaimsUnusable(f"{path} names no team, and the provider has no `team` for that case")
    return provider.team


def _roles(path: str | None, claims: Mapping[str, object]) -> tuple[str, ...]:
    if path is None:
        return ()
    parts = path_of(path)
    value = find(claims, parts)
    if value is None:
        return ()
    if isinstance(value, str):
        value = value.split(" ") if parts[-1] in _SPACED else [value]
        value = [word for word in value if word]
    if not isinstance(value, list) or len(value) > _ROLES:
        raise ClaimsUnusable(f"{path} must be a list of at most {_ROLES} roles, or one text")
    return tuple(_word(one, path, _WORD_CHARACTERS) for one in value)


def _word(value: object, path: str, most: int) -> str:
    """Text that can stand in a record, a policy and a log line."""
    if (
        not isinstance(value, str)
        or not value
        or len(value) > most
        or not value.isprintable()
        or value != value.strip()
    ):
        raise ClaimsUnusable(f"{path} must be text of 1 to {most} printable characters, without spaces around it")
    return value
