"""What `switchgear policy` prints."""

from collections.abc import Iterable

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from switchgear.cli.record_output import printable
from switchgear.core.errors import Problem
from switchgear.policy.authz_cases import Result
from switchgear.policy.authz_why import Answer

_PIPE_WIDTH = 400
"""Columns, where no person's terminal says how wide it is: nothing is folded for a program that reads."""


def console() -> Console:
    """Where it is printed."""
    made = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = _PIPE_WIDTH
    return made


def print_findings(out: Console, word: str, style: str, findings: Iterable[Problem]) -> None:
    """Problems or warnings, each with its remedy below it."""
    for found in findings:
        where = f"{found.path}:{found.line}" if found.line else found.path
        out.print(Text.assemble((word, style), f" {where} {printable(found.message)}"))
        out.print(Padding(Text(found.remedy, style="green"), (0, 0, 0, 2), expand=False))


def finding(found: Problem) -> dict[str, object]:
    """The same for a program."""
    return {"file": found.path, "line": found.line, "message": found.message, "remedy": found.remedy}


def result(one: Result, file: str) -> dict[str, object]:
    """How a test ended, for a program."""
    return {
        "file": file,
        "test": one.case.name,
        "backend": one.backend,
        "purpose": one.purpose,
        "allowed": one.decision.allowed,
        "policies": list(one.decision.policies),
        "errors": list(one.decision.errors),
        "passed": not one.failure,
        "failure": one.failure,
    }


def print_answer(out: Console, answer: Answer) -> None:
    """Why a principal may send something somewhere, or may not."""
    who = f"{answer.principal}" + (f" of team {answer.team}" if answer.team else "")
    roles = f", roles {', '.join(answer.roles)}" if answer.roles else ""
    told = "" if answer.class_given else " (nobody told; the configured default)"
    told = " (by its key, its team or the model)" if answer.class_raised else told
    out.print(Text(f"{who}{roles} calls {answer.model} with {answer.data_class} data{told}", style="bold"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold cyan")
    for column in ("target", "is", "to", "may", "why"):
        table.add_column(column, overflow="fold")
    for line in answer.lines:
        style = "green" if line.allowed else "red"
        table.add_row(
            f"{line.backend}/{line.model_there}" if line.model_there else line.backend,
            line.place,
            ", ".join(line.purposes),
            Text("yes" if line.allowed else "no", style=style),
            line.why,
        )
    out.print(table)
    if answer.above is not None:
        out.print()
        out.print(Text(f"Such a call is refused: {answer.principal} may send data up to class {answer.above}."))
    if answer.refusal is not None:
        out.print()
        out.print(Text(f"Such a call is refused: {answer.refusal.message}"))
