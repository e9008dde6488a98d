"""What the configuration says of a screen of somebody else's, in a process of its own, behind the content screen."""

from enum import StrEnum
from typing import Annotated

import msgspec

from switchgear.core.authorization import Jurisdiction, Word
from switchgear.core.data_class import DataClass

PLACE = "external-screen"
"""What policies call the place where it looks: `Backend::"external-screen"`."""


class OnLate(StrEnum):
    """What becomes of a call that the external screen did not look at: it was late, is down or overloaded, or may not by policy."""

    PASS = "pass"  # noqa: S105  no password
    """It goes on as if nothing had been found."""
    FLAG = "flag"
    """It goes on, and its record says why among the screen's rules: `external_late:timeout`."""
    RAISE_TO = "raise_to"
    """It goes on, in the class `late_class` at least."""
    REFUSE = "refuse"
    """It is refused."""


class ExternalScreening(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Microsoft Presidio, for what no pattern tells: names, places. Needs the extra `presidio`. One process for each worker."""

    entities: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("PERSON", "LOCATION", "NRP")
    """What it looks for, by Presidio's names. In rules and records they stand in lower case: person, location."""
    language: str = "en"
    """What texts are taken for, an ISO 639-1 code."""
    model: str = ""
    """The spaCy model that finds names, for example en_core_web_lg; installed already. Without one only its patterns look."""
    min_score: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    """What it is less sure of is no finding."""
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 0.25
    """How long a call may wait for it."""
    on_late: OnLate = OnLate.FLAG
    """When it is late, crashed or overloaded, or policies forbid it the text: pass, flag, raise_to or refuse."""
    late_class: DataClass = DataClass.RESTRICTED
    """The class of a call with on_late = "raise_to"."""
    max_waiting: Annotated[int, msgspec.Meta(ge=1)] = 64
    """Calls that may wait for it at a time; it is late at once for further ones."""
    region: str = ""
    """Where this machine stands, for policies."""
    jurisdiction: Jurisdiction = ""
    """Whose law holds there, for policies: widest first, as in EU/DE."""
    labels: tuple[Word, ...] = ()
    """Words of your own that policies may ask for."""
    attested: bool = False
    """Whether this machine proved what it runs."""

    @property
    def kind(self) -> str:
        """For policies: it runs on the gateway's own machine."""
        return "onprem"

    @property
    def types(self) -> frozenset[str]:
        """Types of its findings, as rules and records name them."""
        return frozenset(entity.lower() for entity in self.entities)
