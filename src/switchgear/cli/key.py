"""`switchgear key`: callers' keys. Only their hashes are ever stored."""

import json
import secrets
from hashlib import sha256

import click
import msgspec

from switchgear.core.snapshot import Key

PREFIX = "sk-sg-"
_RANDOM_BYTES = 32


def new_key() -> str:
    """A key that nobody can guess: 256 random bits behind a prefix that scanners for leaked secrets can know it by."""
    return PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def hash_of(key: str) -> str:
    """What the configuration knows of a key: its SHA-256 in lower-case hexadecimal.

    A hash without salt or stretching is enough, since a random key of 256 bits cannot be found by trying.
    """
    return sha256(key.encode()).hexdigest()


@click.group()
def key() -> None:
    """Make keys for callers."""


@key.command()
@click.option("--name", help="Who it belongs to; stands in records.  [default: key- and the first digits of its hash]")
@click.option("--team", default="", help="The team that its calls are counted for.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def new(name: str | None, team: str, as_json: bool) -> None:
    """Print a fresh key, once, and the [[keys]] block for the configuration. The key itself is not stored anywhere."""
    fresh = new_key()
    sha = hash_of(fresh)
    entry = _entry(name if name is not None else f"key-{sha[:8]}", sha, team)
    toml = _toml(entry)
    if as_json:
        click.echo(
            json.dumps({"key": fresh, "name": entry.name, "team": entry.team, "sha256": sha, "toml": toml}, indent=2)
        )
        return
    click.echo(f"{fresh}\n")
    click.echo("This is the key. It is shown once and not stored: give it to its caller now.")
    click.echo("The configuration gets its hash only:\n")
    click.echo(toml)


def _entry(name: str, sha: str, team: str) -> Key:
    if not team.isprintable():
        raise click.BadParameter("must be on one line", param_hint="--team")
    wrong = click.BadParameter(
        "must consist of letters, digits and . _ : / -, at most 128, a letter or digit first", param_hint="--name"
    )
    if not name.isprintable():
        raise wrong
    try:
        return msgspec.convert({"name": name, "sha256": sha, "team": team}, Key)
    except msgspec.ValidationError as error:
        raise wrong from error


def _toml(entry: Key) -> str:
    lines = ["[[keys]]", f'name = "{entry.name}"', f'sha256 = "{entry.sha256}"']
    if entry.team:  # JSON's escapes of printable text are TOML's too
        lines.append(f"team = {json.dumps(entry.team, ensure_ascii=False)}")
    return "\n".join(lines)
