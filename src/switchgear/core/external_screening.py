"""What the configuration says of a screen of somebody else's, in a process of its own, behind the content screen."""

from enum import StrEnum
from typing import Annotated

import msgspec

from switchgear.core.data_class import DataClass


class OnLate(StrEnum):
    """What becomes of a call for which the external screen has no answer in time, or that it cannot look at at all."""

    PASS = "pass"  # noqa: S105  no password
    """It goes on as if nothing had been found."""
    FLAG = "flag"
    """It goes on, and its record says `external_late`."""
    RAISE_TO = "raise_to"
    """It goes on, in the class `late_class` at least."""
    REFUSE = "refuse"
    """It is refused."""


class ExternalScreening(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Microsoft Presidio, for what no pattern tells: names, places. Needs the extra `presidio`."""

    entities: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("PERSON", "LOCATION", "NRP")
    """What it looks for, by Presidio's names. In rules and records they stand in lower case: person, location."""
    language: str = "en"
    """What texts are taken for, an ISO 639-1 code."""
    model: str = ""
    """The spaCy model that finds names, for example en_core_web_lg; installed already. Without one only its patterns look."""
    min_score: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    """What it is less sure of is no finding."""
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 0.25
    """How long a call may wait for it, seconds."""
    on_late: OnLate = OnLate.FLAG
    """When it is late, crashed or overloaded: pass, flag, raise_to or refuse."""
    late_class: DataClass | None = None
    """The class of a call with on_late = "raise_to"."""
    max_waiting: Annotated[int, msgspec.Meta(ge=1)] = 64
    """Calls that may wait for it at a time; it is late at once for further ones."""
