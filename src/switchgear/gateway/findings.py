"""What is found in a configuration: problems, for which it is refused, and warnings."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from switchgear.core.errors import Problem
from switchgear.gateway.lines import Lines, Path, dotted


class Findings:
    """Collects both, each with the line of its path."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._problems: list[Problem] = []
        self._warnings: list[Problem] = []

    def refuse(self, path: Path, message: str, remedy: str) -> None:
        self._problems.append(self._at(path, message, remedy))

    def warn(self, path: Path, message: str, remedy: str) -> None:
        self._warnings.append(self._at(path, message, remedy))

    def elsewhere(self, problems: Iterable[Problem], warnings: Iterable[Problem] = ()) -> None:
        """What is found in another file that this one names: the line goes with that file's name."""
        self._problems += [_placed(problem) for problem in problems]
        self._warnings += [_placed(problem) for problem in warnings]

    def refused(self, path: Path) -> bool:
        """Whether there is a problem at a path already."""
        return any(problem.path == dotted(path) for problem in self._problems)

    @property
    def problems(self) -> list[Problem]:
        """In the order of the file."""
        return sorted(self._problems, key=_line)

    @property
    def warnings(self) -> list[Problem]:
        """In the order of the file."""
        return sorted(self._warnings, key=_line)

    def _at(self, path: Path, message: str, remedy: str) -> Problem:
        return Problem(dotted(path), message, remedy, self._lines.line(path))


def suggest(name: str, known: Iterable[str], *, what: str) -> str:
    """A remedy for a name that is not known: the nearest one that is, or all of them."""
    names: Sequence[str] = list(known)
    folded = {one.casefold(): one for one in reversed(names)}
    near = get_close_matches(name.casefold(), folded, n=1)
    if near:
        return f'Did you mean "{folded[near[0]]}"?'
    return f"{what}: {', '.join(names) or 'none'}."


def _placed(problem: Problem) -> Problem:
    where = problem.path if problem.line is None else f"{problem.path}:{problem.line}"
    return Problem(where, problem.message, problem.remedy)


def _line(problem: Problem) -> int:
    return problem.line or 0
