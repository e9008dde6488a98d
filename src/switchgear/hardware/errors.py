"""What can be wrong with figures.

::

    HardwareError
    ├── UnknownName        a profile or model specification that is not in the data
    ├── BadFigure          a number that cannot be: negative, zero where it divides, not finite
    └── DoesNotFit         the model, with room for one short conversation, is larger than the memory
"""

import difflib
from collections.abc import Iterable

from switchgear.core.errors import SwitchgearError


class HardwareError(SwitchgearError):
    """Figures that make no sense. The message ends with what to do about it."""

    code = "invalid_hardware"


class UnknownName(HardwareError):
    """No profile, model or precision of this name."""

    code = "unknown_hardware"

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        close = difflib.get_close_matches(name, names, n=1)
        remedy = f"did you mean {close[0]!r}?" if close else f"choose one of {', '.join(names)}"
        super().__init__(f"no {what} {name!r}; {remedy}")


class BadFigure(HardwareError):
    """A number out of its range."""

    code = "invalid_figure"

    def __init__(self, name: str, value: float, expected: str) -> None:
        super().__init__(f"{name} is {value!r}; give {expected}")


class DoesNotFit(HardwareError):
    """The weights and the least useful KV cache need more memory than there is."""

    code = "model_does_not_fit"
