"""Payment cards and bank accounts."""

import re
from typing import NamedTuple

from switchgear.core.screening import Detector
from switchgear.policy.checksum import luhn, mod_97
from switchgear.policy.patterns import Shape, compact_of, digits_of, words


class _Range(NamedTuple):
    """Numbers of one issuer: the first digits from `low` to `high`, and how many digits such a card has."""

    low: int
    high: int
    lengths: tuple[int, ...]


_ISSUERS: tuple[_Range, ...] = (
    _Range(4, 4, (13, 16, 19)),  # Visa
    _Range(51, 55, (16,)),  # Mastercard
    _Range(2221, 2720, (16,)),  # Mastercard
    _Range(34, 34, (15,)),  # American Express
    _Range(37, 37, (15,)),  # American Express
    _Range(6011, 6011, (16, 19)),  # Discover
    _Range(644, 649, (16, 19)),  # Discover
    _Range(65, 65, (16, 19)),  # Discover, RuPay, Elo
    _Range(62, 62, (16, 17, 18, 19)),  # UnionPay
    _Range(81, 81, (16, 17, 18, 19)),  # UnionPay, RuPay
    _Range(300, 305, (14, 16)),  # Diners Club
    _Range(3095, 3095, (14, 16)),  # Diners Club
    _Range(36, 36, (14, 15, 16, 17, 18, 19)),  # Diners Club
    _Range(38, 39, (14, 16)),  # Diners Club
    _Range(3528, 3589, (16, 17, 18, 19)),  # JCB
    _Range(50, 50, (16, 19)),  # Maestro, Elo, Verve
    _Range(56, 58, (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
    _Range(60, 60, (16,)),  # RuPay
    _Range(67, 67, (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
    _Range(2200, 2204, (16, 17, 18, 19)),  # Mir
    _Range(9792, 9792, (16,)),  # Troy
)
"""The ranges that the schemes publish; ISO/IEC 7812 leaves the rest to others than payment cards."""

_IBAN_LENGTHS = words(
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
    "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 "
    "LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 "
    "PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 "
    "YE30"
)
"""SWIFT's IBAN registry, release 100: country and length."""


def _is_card(match: re.Match[str]) -> bool:
    digits = digits_of(match)
    size = len(digits)
    for low, high, lengths in _ISSUERS:
        if low <= int(digits[: len(str(low))]) <= high and size in lengths:
            return luhn(digits) and len(set(digits)) > 1
    return False


def _is_iban(match: re.Match[str]) -> bool:
    text = compact_of(match)
    return mod_97(text[4:] + text[:4])


def _iban_expression() -> str:
    """Countries of one length share an alternative, so that an IBAN ends where its country says."""
    by_length: dict[int, list[str]] = {}
    for entry in _IBAN_LENGTHS:
        by_length.setdefault(int(entry[2:]), []).append(entry[:2])
    return "|".join(
        rf"(?:{'|'.join(countries)})\d\d(?:[ \u00a0-]?[A-Z0-9]){{{length - 4}}}"
        for length, countries in sorted(by_length.items())
    )


FINANCIAL: tuple[Shape, ...] = (
    Shape(
        Detector.IBAN,
        _iban_expression(),
        check=_is_iban,
        candidate=r"[A-Z]{2}\d\d(?:[ ]|\xc2\xa0)?[A-Z0-9]{4}(?:[ ]|\xc2\xa0)?[A-Z0-9]{4}",
        before=30,
        after=60,
    ),
    Shape(
        Detector.PAYMENT_CARD,
        r"[2-69]\d{3}§S\d{4}§S\d{4}§S\d{4}(?:§S\d{1,3})?|3\d{3}§S\d{6}§S\d{4,5}|[2-69]\d{11,18}|8\d{15,18}|5\d{3}§S\d{4}§S\d{5}",
        r"(?<![A-Za-z0-9_])(?<!\d[.,])",
        r"(?!\d)(?![.,]\d)(?![A-Za-z])",
        _is_card,
        after=20,
        candidate=r"\b\d{4}§S\d{4}§S(?:\d{4}§S\d{4}|\d{5})|\b\d{4}§S\d{6}§S\d{4}|\b\d{12}",
    ),
)
