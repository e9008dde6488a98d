"""Addresses of machines."""

import ipaddress
import re

from switchgear.core.screening import Detector
from switchgear.policy.patterns import Shape

_GROUP = r"[0-9A-Fa-f]{1,4}"


def _is_address(match: re.Match[str]) -> bool:
    """One that says something of somebody: not loopback, not `0.0.0.0`, not a mask."""
    try:
        address = ipaddress.ip_address(match[0])
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or match[0].startswith("255."))


def _is_written_as_one(match: re.Match[str]) -> bool:
    """`a::b` is C++ as well; a decimal digit, and no letter beside it, makes it an address."""
    return any(character.isdigit() for character in match[0]) and _is_address(match)


NETWORK: tuple[Shape, ...] = (
    Shape(
        Detector.IP_ADDRESS,
        r"(?:\d{1,3}\.){3}\d{1,3}",
        r"(?<![A-Za-z0-9_])(?<![\d][.\-])(?<!ersion )(?<!elease )(?<!ersion: )(?<!build )",
        r"(?![A-Za-z0-9_])(?!\.\d)(?!-[A-Za-z0-9])",
        _is_address,
    ),
    Shape(
        Detector.IP_ADDRESS,
        rf"(?:{_GROUP}:){{7}}{_GROUP}|(?:{_GROUP}:){{1,7}}(?::{_GROUP}){{1,6}}",
        r"(?<![\w:.])",
        r"(?![\w:])",
        _is_written_as_one,
        candidate=rf"[0-9A-Fa-f]::[0-9A-Fa-f]|:{_GROUP}:{_GROUP}:{_GROUP}:[0-9A-Fa-f]",
        before=45,
        after=45,
    ),
    Shape(
        Detector.MAC_ADDRESS,
        r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{2}-){5}[0-9A-Fa-f]{2}",
        r"(?<![\w:-])",
        r"(?![\w:-])",
    ),
    Shape(
        Detector.MAC_ADDRESS,
        r"(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}",
        r"(?<![\w.])",
        r"(?![\w.])",
        lambda m: any(c.isdigit() for c in m[0]),
    ),
)
