"""`switchgear plan`: what hardware is worth. Its commands are in two files: those that simulate, and those that count money."""

import click

from switchgear.cli import plan_money, plan_sim


@click.group()
def plan() -> None:
    """What hardware is worth: size it, replay traffic on it, compare its cost."""


for _command in (*plan_sim.COMMANDS, *plan_money.COMMANDS):
    plan.add_command(_command)
