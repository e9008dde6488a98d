"""The port to a screen of somebody else's, and what follows from its answer. Pure.

::

    asked = screen.ask(texts, timeout_s, told)     on the event loop; `told` is called once, on it, never before `ask` returns
    asked()                                        the call is gone: nobody waits any more
    decision = follow(answer, settings)
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from switchgear.core.data_class import DataClass
from switchgear.core.external_screening import ExternalScreening, OnLate
from switchgear.policy.model import Finding

LATE = "external_late"
"""With the reason behind a colon it is the flag on the record of a call that went on without an answer."""
FORBIDDEN = "forbidden"
"""The reason where policies forbid that the text goes there: nobody was asked."""


class ExternalAnswer(msgspec.Struct, frozen=True):
    """What an external screen found in the texts of one call."""

    findings: tuple[Finding, ...] = ()
    """In the order of the texts; `Finding.text` counts those that were asked about. They may overlap those of our own detectors."""
    late: str = ""
    """Why there is no answer: `timeout`, `down`, `overloaded`, `failed`, `forbidden`; empty where there is one."""


Told = Callable[[ExternalAnswer], None]


class ExternalScreen(Protocol):
    """Looks at the texts of calls, elsewhere. Whether it may see them is the asker's to find out (`Purpose.SCREEN`). Raises nothing."""

    def ask(self, texts: Sequence[str], timeout_s: float, told: Told) -> Callable[[], None]:
        """Have texts looked at. Returns what ends the waiting, after which `told` is not called."""
        ...


class LateDecision(NamedTuple):
    """What becomes of a call that an external screen did not answer for."""

    refused: bool = False
    flag: str = ""
    raised_to: DataClass | None = None


def follow(answer: ExternalAnswer, settings: ExternalScreening) -> LateDecision:
    """What a missing answer means; nothing where there is one: its findings are then judged by the rules like all others."""
    if not answer.late or settings.on_late is OnLate.PASS:
        return LateDecision()
    flag = f"{LATE}:{answer.late}"
    if settings.on_late is OnLate.REFUSE:
        return LateDecision(refused=True, flag=flag)
    return LateDecision(flag=flag, raised_to=settings.late_class if settings.on_late is OnLate.RAISE_TO else None)
