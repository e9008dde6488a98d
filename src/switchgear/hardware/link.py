"""The way between caller and device: how long bytes take, how often they are lost, and when there is no way.

Time is latency, serialisation and what loss costs. Serialisation is at the lower of the link's bandwidth and of what TCP reaches with
that loss (Mathis et al., "The Macroscopic Behavior of the TCP Congestion Avoidance Algorithm", CCR 27(3), 1997, equation 3: a segment per
round trip times the square root of 3/2 over the loss rate). A lost message of one segment is sent again after the retransmission
time-out, which doubles each time (RFC 6298, sections 2 and 5.5).
"""

import math
from random import Random

import msgspec

from switchgear.hardware.bounds import not_negative, positive
from switchgear.hardware.errors import BadFigure

SEGMENT_BYTES = 1460.0
"""A TCP segment on Ethernet: 1,500 bytes less the headers of IPv4 and TCP (RFC 9293, section 3.7.1)."""
LEAST_TIMEOUT_S = 0.2
"""Linux's lowest retransmission time-out (TCP_RTO_MIN); RFC 6298 would have 1 s."""
_MOST_TRIES = 15
"""Linux gives up after so many (net.ipv4.tcp_retries2)."""


class Outage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A window in which nothing passes: from `start_s`, for `lasts_s`, again every `every_s` (0: once). Raises BadFigure."""

    start_s: float
    lasts_s: float
    every_s: float = 0.0

    def __post_init__(self) -> None:
        not_negative(start_s=self.start_s, every_s=self.every_s)
        positive(lasts_s=self.lasts_s)
        if self.every_s and self.every_s <= self.lasts_s:
            raise BadFigure("every_s", self.every_s, f"a period longer than lasts_s ({self.lasts_s:g} s)")

    def ends_s(self, at_s: float) -> float | None:
        """When the window that `at_s` lies in ends; None outside of every window."""
        if at_s < self.start_s:
            return None
        within_s = (at_s - self.start_s) % self.every_s if self.every_s else at_s - self.start_s
        return at_s - within_s + self.lasts_s if within_s < self.lasts_s else None


class Link(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A link, the same both ways. Raises BadFigure."""

    latency_s: float
    """One way, without load."""
    bandwidth_bytes_per_s: float
    jitter_s: float = 0.0
    """Standard deviation of the latency; it never falls below `latency_s` less twice that, or zero."""
    loss: float = 0.0
    """Fraction of segments that do not arrive."""
    outages: tuple[Outage, ...] = ()

    def __post_init__(self) -> None:
        not_negative(latency_s=self.latency_s, jitter_s=self.jitter_s)
        positive(bandwidth_bytes_per_s=self.bandwidth_bytes_per_s)
        if not 0 <= self.loss < 1:
            raise BadFigure("loss", self.loss, "a fraction from 0 to below 1; a link that loses all is an outage")


def up(link: Link, at_s: float) -> bool:
    """Whether anything passes."""
    return all(outage.ends_s(at_s) is None for outage in link.outages)


def up_again_s(link: Link, at_s: float) -> float:
    """The first time from `at_s` on at which something passes. Raises BadFigure where windows overlap without end."""
    for _ in range(10_000):
        ends = [ends_s for outage in link.outages if (ends_s := outage.ends_s(at_s)) is not None]
        if not ends:
            return at_s
        at_s = max(ends)
    raise BadFigure("outages", at_s, "windows that leave time between them")


def next_outage_s(link: Link, at_s: float) -> float:
    """When the next window begins, `at_s` itself if it lies in one; infinite where none does."""
    if not up(link, at_s):
        return at_s
    return min((_begins_s(outage, at_s) for outage in link.outages), default=math.inf)


def throughput_bytes_per_s(link: Link) -> float:
    """What a long TCP transfer reaches: the bandwidth, or Mathis's bound where loss makes it lower."""
    if not link.loss or not link.latency_s:
        return link.bandwidth_bytes_per_s
    bound = SEGMENT_BYTES / (2 * link.latency_s) * math.sqrt(1.5 / link.loss)
    return min(link.bandwidth_bytes_per_s, bound)


def transfer_s(link: Link, size_bytes: float) -> float:
    """Expected seconds, one way, until the last of so many bytes is there: latency, serialisation, and time-outs of the last segment."""
    not_negative(size_bytes=size_bytes)
    timeout_s = _timeout_s(link)
    # Doubling, each further loss less likely: the sum of loss^k 2^(k-1), up to where TCP gives up.
    repeats_s = timeout_s * sum(link.loss**tried * 2.0 ** (tried - 1) for tried in range(1, _MOST_TRIES + 1))
    return link.latency_s + size_bytes / throughput_bytes_per_s(link) + repeats_s


def sample_transfer_s(link: Link, size_bytes: float, random: Random) -> float:
    """One draw of `transfer_s`: jitter and loss by `random`, always with two or more draws, so that a course can be repeated."""
    not_negative(size_bytes=size_bytes)
    latency_s = link.latency_s + link.jitter_s * max(-2.0, random.gauss(0.0, 1.0))
    wait_s, timeout_s = 0.0, _timeout_s(link)
    for _ in range(_MOST_TRIES):
        if random.random() >= link.loss:
            break
        wait_s += timeout_s
        timeout_s *= 2
    return max(0.0, latency_s) + size_bytes / throughput_bytes_per_s(link) + wait_s


def _timeout_s(link: Link) -> float:
    """Smoothed round trip and four times its deviation, not below the least (RFC 6298, section 2.3)."""
    return max(LEAST_TIMEOUT_S, 2 * link.latency_s + 4 * math.sqrt(2) * link.jitter_s)


def _begins_s(outage: Outage, at_s: float) -> float:
    if at_s <= outage.start_s:
        return outage.start_s
    if not outage.every_s:
        return math.inf
    return outage.start_s + math.ceil((at_s - outage.start_s) / outage.every_s) * outage.every_s
