"""What can be wrong with a rule, or with what a threshold is to be fitted from.

::

    ConfidenceError
    ├── BadRule        the text of a rule makes no sense; says at which column, and what to write
    └── NoFit          records and outcomes from which no threshold follows
"""

from switchgear.core.errors import SwitchgearError


class ConfidenceError(SwitchgearError):
    code = "confidence_error"


class BadRule(ConfidenceError):
    """`column` counts from 1."""

    code = "bad_rule"

    def __init__(self, message: str, column: int, remedy: str) -> None:
        super().__init__(f"column {column}: {message}. {remedy}")
        self.message = message
        self.column = column
        self.remedy = remedy


class NoFit(ConfidenceError):
    code = "no_fit"
