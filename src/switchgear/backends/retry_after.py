"""Retry-After (RFC 9110, 10.2.3): seconds, or a date."""

import math
from datetime import UTC
from email.utils import parsedate_to_datetime


def parse_retry_after(value: str, now_s: float) -> float | None:
    """Seconds from `now_s` (Unix time) that the header asks to wait, never negative; None where it cannot be read."""
    value = value.strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, IndexError):
            return None
        if moment.tzinfo is None:  # asctime form: HTTP dates are in GMT
            moment = moment.replace(tzinfo=UTC)
        seconds = moment.timestamp() - now_s
    return max(0.0, seconds) if math.isfinite(seconds) else None
