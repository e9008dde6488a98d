"""Which records are asked for."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from switchgear.core.record import Record

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
ANY = "any"


@dataclass(frozen=True)
class Filter:
    """All that is given must hold; what is empty or None holds for every record."""

    model: str = ""
    backend: str = ""
    """Answered, or was asked."""
    outcome: str = ""
    key: str = ""
    team: str = ""
    endpoint: str = ""
    status: int | None = None
    error: str = ""
    """Of the call or of one of its attempts; `any`: it has one."""
    since_s: float | None = None
    until_s: float | None = None

    def matches(self, record: Record) -> bool:
        """Whether a record is asked for."""
        return (
            (not self.model or record.model == self.model)
            and (not self.key or record.principal == self.key)
            and (not self.team or record.team == self.team)
            and (not self.outcome or record.outcome == self.outcome)
            and (not self.endpoint or record.endpoint == self.endpoint)
            and (self.status is None or record.status == self.status)
            and (self.since_s is None or record.at_s >= self.since_s)
            and (self.until_s is None or record.at_s < self.until_s)
            and (not self.backend or self._backend_matches(record))
            and (not self.error or self._error_matches(record))
        )

    @property
    def is_empty(self) -> bool:
        """Whether every record matches."""
        return self == Filter()

    def _backend_matches(self, record: Record) -> bool:
        return record.backend == self.backend or any(attempt.backend == self.backend for attempt in record.attempts)

    def _error_matches(self, record: Record) -> bool:
        errors = [record.error, *(attempt.error for attempt in record.attempts)]
        return any(errors) if self.error == ANY else self.error in errors


def parse_moment(text: str, now_s: float) -> float:
    """Unix time from `90s`, `10m`, `2h`, `1d` (ago), or from an ISO 8601 date or time (UTC where it has no offset). Raises ValueError."""
    if ago := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text):
        return now_s - float(ago[1]) * _UNITS_S[ago[2]]
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
