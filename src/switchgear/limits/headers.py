"""The header lines `x-ratelimit-*` as OpenAI documents them ("Rate limits in headers"), and Retry-After (RFC 9110, 10.2.3)."""

import math

from switchgear.limits.share import RateShare

_RESET = b"1m1s"
"""After a call was admitted its minute is always the last to end: it is written down by the second and counts for 60 more."""
_LINES = b"x-ratelimit-limit-%(what)b: %(bound)d\r\nx-ratelimit-remaining-%(what)b: %%d\r\nx-ratelimit-reset-%(what)b: %(reset)b\r\n"


def template(share: RateShare, what: bytes) -> bytes:
    """The lines of one limit, with a place for what is left of it. Each line ends in CR LF."""
    return _LINES % {b"what": what, b"bound": share.counter.bound, b"reset": _RESET}


def retry_after(seconds: float) -> bytes:
    """Header lines that tell when to come back: whole seconds for all, and milliseconds for the clients that read them (OpenAI's do)."""
    return b"retry-after: %d\r\nretry-after-ms: %d\r\n" % (
        max(1, math.ceil(seconds)),
        max(1, math.ceil(seconds * 1000)),
    )
