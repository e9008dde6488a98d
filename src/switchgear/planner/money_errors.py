"""What the money half of the planner refuses.

::

    MoneyError              figures from which no cost can be made
    ├── BadPlan             a file of assumptions or scores: every problem with its place and remedy
    ├── UnitMismatch        a formula that adds what cannot be added
    ├── NotServed           calls that no place of an option can serve
    └── NothingToShow       no record, no vendor, no option to say anything about
"""

from collections.abc import Sequence

from switchgear.core.errors import Problem
from switchgear.planner.errors import PlannerError


class MoneyError(PlannerError):
    """Figures from which no cost can be made. The message ends with what to do about it."""

    code = "invalid_plan_money"


class BadPlan(MoneyError):
    """A file that no answer can be given from. Every problem found is listed, not only the first."""

    code = "invalid_plan"

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = list(problems)


class UnitMismatch(MoneyError):
    """Units that do not fit, or a division by zero, in a formula."""

    code = "plan_units_differ"


class NotServed(MoneyError):
    """An option cannot serve all calls and does not say that this is meant."""

    code = "plan_not_served"


class NothingToShow(MoneyError):
    """There is nothing to compute an answer from."""

    code = "plan_nothing_to_show"
