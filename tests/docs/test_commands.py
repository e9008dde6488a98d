"""Commands, options and make targets that the prose names exist."""

import re
import shlex
from collections.abc import Iterator

import click
import pytest
from tests.docs.pages import ROOT, blocks, pages

from switchgear.cli import main

_CALL = re.compile(r"(?:^|[\s/])switchgear ([a-z].*)")
_MAKE = re.compile(r"`make ([a-z-]+)`|^make ([a-z-]+)", re.MULTILINE)


def called() -> Iterator[str]:
    """Each line of a shell block, and each word in backticks, that calls the program: what stands behind its name."""
    for page in pages():
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                if found := _CALL.search(line.partition(" # ")[0].partition("  #")[0]):
                    yield found[1].partition(" > ")[0]
        yield from re.findall(r"`switchgear ([a-z][^`]*)`", page.read_text(encoding="utf-8"))


def refuse(words: list[str]) -> None:
    """Raises click.UsageError where a command or one of its options is not there."""
    command: click.Command = main
    context = click.Context(main)
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"no command {name}")
        command = found
    options = {one for parameter in command.params for one in (*parameter.opts, *parameter.secondary_opts)}
    known = options | {"--help", "--version"}
    for word in rest:
        if word.startswith("--") and word.partition("=")[0] not in known:
            raise click.UsageError(f"{command.name} has no option {word}")


CALLED = sorted(set(called()))


@pytest.mark.parametrize("line", CALLED)
def test_a_command_in_the_prose_exists(line: str) -> None:
    refuse(shlex.split(line.replace("…", "")))


def test_the_prose_shows_every_command() -> None:
    shown = {line.split()[0] for line in CALLED}
    assert shown >= set(main.list_commands(click.Context(main)))


def test_a_command_that_is_not_there_would_be_found() -> None:
    with pytest.raises(click.UsageError):
        refuse(["emulat"])
    with pytest.raises(click.UsageError):
        refuse(["records", "--no-such-option"])


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {
        name for page in pages() for pair in _MAKE.findall(page.read_text(encoding="utf-8")) for name in pair if name
    }
    assert {"up", "test"} <= named <= targets
