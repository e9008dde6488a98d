"""How to reach a person, and when they were born."""

import re

from switchgear.core.screening import Detector
from switchgear.policy.checksum_national import is_day
from switchgear.policy.patterns import Shape, any_of, digits_of, value_of, words

_FILES = frozenset(words("png jpg jpeg gif svg webp js ts css html json yaml yml py md txt pdf xml exe dll"))
_CODES_OF_COUNTRIES = frozenset(
    words(
        "1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 "
        "86 90 91 92 93 94 95 98 211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 "
        "237 238 239 240 241 242 243 244 245 246 247 248 249 250 251 252 253 254 255 256 257 258 260 261 262 263 264 265 "
        "266 267 268 269 290 291 297 298 299 350 351 352 353 354 355 356 357 358 359 370 371 372 373 374 375 376 377 378 "
        "379 380 381 382 383 385 386 387 389 420 421 423 500 501 502 503 504 505 506 507 508 509 590 591 592 593 594 595 "
        "596 597 598 599 670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691 692 800 808 850 "
        "852 853 855 856 870 878 880 881 882 883 886 888 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 976 "
        "977 979 992 993 994 995 996 998"
    )
)
"""ITU-T E.164, list of assigned country codes."""

_MONTHS = (
    "january february march april may june july august september october november december jan feb mar apr jun jul "
    "aug sep sept oct nov dec januar februar märz mai juni juli oktober dezember janvier février mars avril juin "
    "juillet août septembre octobre novembre décembre enero febrero marzo abril mayo junio julio agosto septiembre "
    "octubre noviembre diciembre gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre januari "
    "februari maart mei augustus janeiro fevereiro março maio junho julho setembro outubro novembro dezembro"
)


def _is_email(match: re.Match[str]) -> bool:
    local, _, domain = match[0].rpartition("@")
    return domain.rpartition(".")[2].lower() not in _FILES and ".." not in local


def _is_international(match: re.Match[str]) -> bool:
    """ITU-T E.164: a country code and at most 15 digits; in North America area and exchange begin with 2 to 9."""
    digits = digits_of(match).removeprefix("00") if not match[0].startswith("+") else digits_of(match)
    if not 8 <= len(digits) <= 16 or not any(digits[:size] in _CODES_OF_COUNTRIES for size in (1, 2, 3)):
        return False
    return digits[0] != "1" or (len(digits) >= 11 and digits[1] in "23456789")


def _is_national(match: re.Match[str]) -> bool:
    return 9 <= len(digits_of(match)) <= 12


def _is_date(match: re.Match[str]) -> bool:
    """A day that exists, in whichever order its parts are written."""
    numbers = [int(number) for number in re.findall(r"\d+", value_of(match))]
    if len(numbers) == 2:  # the month is a word
        return 1 <= min(numbers) <= 31
    if len(str(numbers[0])) == 4:
        return is_day(numbers[1], numbers[2])
    return is_day(numbers[1], numbers[0]) or is_day(numbers[0], numbers[1])


_PHONE_SEPARATOR = r"(?:§S|[/()]){0,3}"
_PHONE_WORDS = any_of(
    "phone tel telephone mobile cell cellphone fax handy handynummer telefon rufnummer téléphone portable teléfono "
    "móvil cellulare telefono telefoon whatsapp call_me reach_me telefonnummer"
)
_BORN = any_of(
    "born birth birthday dob d.o.b geboren geb. geburtsdatum geburtstag naissance né_le née_le nacido nacida "
    "nacimiento nato_il nata_il nascita nascido nascida nascimento geboortedatum urodzony urodzona urodzenia "
    "födelsedatum fødselsdato syntymäaika"
)
_DATE = (
    r"\d{1,2}[./\-][ ]?\d{1,2}[./\-][ ]?(?:\d{4}|\d{2})|\d{4}[\-/.]\d{1,2}[\-/.]\d{1,2}"
    rf"|\d{{1,2}}(?:st|nd|rd|th|er|º|\.)?[ ](?:of[ ]|de[ ])?(?i:{any_of(_MONTHS)})\.?,?[ ](?:de[ ])?\d{{4}}"
    rf"|(?i:{any_of(_MONTHS)})\.?[ ]\d{{1,2}}(?:st|nd|rd|th)?,?[ ]\d{{4}}"
)
_BEYOND = (
    r"\u00aa\u00ba\u00c0-\u1fff\u200c\u200d\u2c00-\u2dff\u3005-\u3007\u3021-\ufeff"
    r"\U00010000-\U0001efff\U00020000-\U0010ffff"
)
"""Letters and their marks beyond ASCII, as addresses may have them (RFC 6531): no spaces, quotes, punctuation or emoji."""
CONTACT: tuple[Shape, ...] = (
    Shape(
        Detector.EMAIL,
        rf"[\w{_BEYOND}][\w.!#$%&'*+/=?^`{{|}}~\-{_BEYOND}]{{0,63}}@(?:[\w{_BEYOND}](?:[\w\-{_BEYOND}]{{0,62}})\.){{1,8}}"
        rf"(?:[A-Za-z]{{2,24}}|[{_BEYOND}]{{2,24}}|xn--[A-Za-z0-9\-]{{2,59}})",
        r"(?<![\w.+%\-])",
        r"(?![A-Za-z0-9_\-@])",
        _is_email,
        candidate=r"§L@§L(?:[\w\-\x80-\xff]{0,62})\.[A-Za-z\x80-\xff]{2}",
        before=140,
        after=200,
    ),
    Shape(
        Detector.PHONE,
        rf"\+[(]?[1-9](?:{_PHONE_SEPARATOR}\d){{7,15}}(?:[ ]?(?:x|ext\.?)[ ]?\d{{1,6}})?"
        rf"|00[1-9](?:{_PHONE_SEPARATOR}\d){{8,14}}(?:x\d{{1,6}})?",
        r"(?<![\w+])(?<!\d[ .\-])",
        r"(?![A-Za-z0-9_])",
        _is_international,
        candidate=rf"\+[(]?[1-9](?:{_PHONE_SEPARATOR}\d){{7}}|00[1-9](?:{_PHONE_SEPARATOR}\d){{8}}",
    ),
    Shape(
        Detector.PHONE,
        r"(?:1[-. ])?(?:\([2-9]\d{2}\)[ ]?|[2-9]\d{2}[-.])[2-9]\d{2}[-. ]\d{4}(?:[ ]?(?:x|ext\.?)[ ]?\d{1,6})?",
        r"(?<![\w.\-])",
        r"(?![A-Za-z0-9_])(?![-.]\d)",
        candidate=r"[2-9]\d{2}\)?[ ]?[2-9]\d{2}[-. ]\d{4}|[2-9]\d{2}[-.][2-9]\d{2}[-. ]\d{4}",
    ),
    Shape(
        Detector.PHONE,
        r"0[1-9](?:[ .]\d{2}){4}|0[1-9]\d{1,4}[ /\-]{1,3}\d{2,8}(?:[ \-]?\d{2,6}){0,3}"
        r"|\(0[1-9]\d{0,4}\)[ /\-]{0,3}\d{2,8}(?:[ \-]?\d{2,6}){0,3}",
        r"(?<![\w.\-/])",
        r"(?![A-Za-z0-9_])(?![-./:]\d)",
        _is_national,
        candidate=r"\b0[1-9](?:[ .]\d{2}){4}|\b0[1-9]\d{1,4}[ /\-]{1,3}\d{2}|\(0[1-9]\d{0,4}\)[ /\-]{0,3}\d{2}",
    ),
    Shape(
        Detector.PHONE,
        rf"\b(?i:{_PHONE_WORDS})"
        r"[^\w][\s\S]{0,25}?[^\w](?P<v>[(]?\d(?:[ ./()\-]{0,2}\d){6,14})",
        r"(?<![A-Za-z])",
        candidate=rf"\b(?i:{_PHONE_WORDS})[\x00-\xff]{{0,30}}\d(?:[ ./()\-]{{0,2}}\d){{6}}",
        after=30,
    ),
    Shape(
        Detector.DATE_OF_BIRTH,
        rf"\b(?i:{_BORN})§G(?P<v>{_DATE})",
        r"(?<![A-Za-z])",
        r"(?![A-Za-z0-9_])(?![./\-]\d)",
        _is_date,
        candidate=rf"\b(?i:{_BORN})§G\d",
        before=120,
        after=60,
    ),
)
