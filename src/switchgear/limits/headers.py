"""The header lines `x-ratelimit-*` as OpenAI documents them ("Rate limits in headers"), and Retry-After (RFC 9110, 10.2.3)."""

import math

from switchgear.limits.share import RateShare

_RESET = b"1m1s"
"""After a call was admitted its minute is always the last to end: it is written down by the second and counts for 60 more."""
_LINES = b"x-ratelimit-limit-%(what)b: %(bound)d\r\nx-ratelimit-remaining-%(what)b: %%d\r\nx-ratelimit-reset-%(what)b: %(reset)b\r\n"


class RateHeaders:
    """Writes them for one plan. Only what is left is written anew for each answer."""

    __slots__ = ("_requests", "_tokens")

    def __init__(self, requests: tuple[RateShare, ...], tokens: tuple[RateShare, ...]) -> None:
        self._requests = [(share, _template(share, b"requests")) for share in requests]
        self._tokens = [(share, _template(share, b"tokens")) for share in tokens]

    def lines(self) -> bytes:
        """Of the limits that apply, the one with the least left; nothing where there is none. Each line ends in CR LF."""
        return _tightest(self._requests) + _tightest(self._tokens)


def _template(share: RateShare, what: bytes) -> bytes:
    return _LINES % {b"what": what, b"bound": share.counter.bound, b"reset": _RESET}


def _tightest(shares: list[tuple[RateShare, bytes]]) -> bytes:
    if not shares:
        return b""
    share, template = shares[0]
    left = share.free + share.available
    if len(shares) > 1:
        for other, lines in shares:
            rest = other.free + other.available
            if rest < left:
                left, template = rest, lines
    return template % (left if left > 0 else 0)


def retry_after(seconds: float) -> bytes:
    """Header lines that tell when to come back: whole seconds for all, and milliseconds for the clients that read them (OpenAI's do)."""
    return b"retry-after: %d\r\nretry-after-ms: %d\r\n" % (
        max(1, math.ceil(seconds)),
        max(1, math.ceil(seconds * 1000)),
    )
