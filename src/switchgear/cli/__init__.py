"""What people type. The composition root: here, and nowhere else, the rooms are put together."""

import importlib

import click

import switchgear

_COMMANDS = {
    "up": "switchgear.cli.up:up",
    "gateway": "switchgear.cli.gateway:gateway",
    "check": "switchgear.cli.check:check",
    "key": "switchgear.cli.key:key",
    "policy": "switchgear.cli.policy:policy",
    "profile": "switchgear.cli.profile:profile",
    "plan": "switchgear.cli.plan:plan",
    "rehearse": "switchgear.cli.rehearse:rehearse",
    "records": "switchgear.cli.records:records",
    "explain": "switchgear.cli.records:explain",
    "sketch": "switchgear.cli.sketch:sketch",
    "escalate": "switchgear.cli.escalate:escalate",
    "emulate": "switchgear.cli.emulate:emulate",
    "engine": "switchgear.cli.engine:engine",
    "demo": "switchgear.cli.demo:demo",
}


class _Lazy(click.Group):
    """Commands are imported when they are called: each starts as fast as what it needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        where = _COMMANDS.get(cmd_name)
        if where is None:
            return None
        module, _, name = where.partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)  # noqa: S101  the table above names commands
        return command


@click.group(cls=_Lazy)
@click.version_option(switchgear.__version__, prog_name="switchgear")
def main() -> None:
    """One OpenAI-compatible endpoint in front of every place where AI inference can run."""
