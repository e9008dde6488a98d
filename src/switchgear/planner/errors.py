"""What the planner refuses. A plan made from nonsense is worse than none, so nothing is guessed and nothing is dropped in silence.

::

    PlannerError                   something that no plan can be made from
    ├── BadWorkload                a trace or generator: empty, unsorted, negative, not finite, a column that is missing
    ├── BadFleet                   a fleet: a place, fault or limit that cannot be, a model that nowhere fits
    ├── BadQuestion                an objective or option that has no answer
    ├── OutOfReach                 an objective that no size within the bounds meets
    └── MissingExtra               a library of the extra `plan` that is not installed
"""

from switchgear.core.errors import SwitchgearError


class PlannerError(SwitchgearError):
    """Nothing can be planned from this. The message ends with what to do about it."""

    code = "invalid_plan_input"


class BadWorkload(PlannerError):
    """Calls that cannot have been."""

    code = "invalid_workload"


class BadFleet(PlannerError):
    """Places that cannot be."""

    code = "invalid_fleet"


class BadQuestion(PlannerError):
    """A question without an answer."""

    code = "invalid_question"


class OutOfReach(PlannerError):
    """An objective that more units of this kind do not meet."""

    code = "objective_out_of_reach"


class MissingExtra(PlannerError):
    """A library that the planner needs and the data plane does not."""

    code = "missing_extra"

    def __init__(self, library: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {library}; install it with: pip install 'switchgear[plan]'")
