"""What can go wrong in policy.

::

    PolicyError
    └── ScreenError      a screen that cannot be compiled: the pattern, the word list or the rule is named, with the remedy
"""

from switchgear.core.errors import SwitchgearError


class PolicyError(SwitchgearError):
    """The root of this room's errors."""

    code = "policy_error"


class ScreenError(PolicyError):
    """A configured screen that cannot be compiled. `path` says where: `patterns.NAME.regex`, `rules.NAME.find`."""

    code = "invalid_screen"

    def __init__(self, path: str, message: str, remedy: str) -> None:
        super().__init__(f"{path}: {message}. {remedy}")
        self.path = path
        self.message = message
        self.remedy = remedy
