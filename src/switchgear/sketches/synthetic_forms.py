"""Stand-ins that are built rather than proposed: forms that chance alone does not hit."""

import base64
import random
import re
import string
from collections.abc import Callable

from switchgear.core.screening import Detector

_BASE64 = string.ascii_letters + string.digits + "+/"
_URL_SAFE = string.ascii_letters + string.digits + "-_"
_KEY_LINE = re.compile(r"-----(?:BEGIN|END) [A-Z0-9 ]+-----|[A-Za-z-]+: ")
_MRZ = re.compile(r"[A-Z0-9<]{44}")


def email(value: str, rng: random.Random) -> str:
    """As long as the value where that can be, and below `.example`, which nobody has (RFC 2606)."""
    local, _, domain = value.rpartition("@")
    name = "".join(letter if letter in "._+-" else rng.choice(string.ascii_lowercase) for letter in local) or "x"
    host = "".join(rng.choice(string.ascii_lowercase) for _ in range(max(len(domain) - len(".example"), 3)))
    return f"{name}@{host}.example"


def jwt(value: str, rng: random.Random) -> str:
    """A token whose first part names an algorithm (RFC 7515), whose second is a JSON object of the same size, and no signature fits."""
    head, payload, signature = [*value.split("."), "", "", ""][:3]
    first = _padded(b'{"alg":"HS256"', len(head), rng)
    second = _padded(b'{"sub":"0"', len(payload), rng)
    return f"{first}.{second}.{''.join(rng.choice(_URL_SAFE) for _ in signature)}"


def _padded(begun: bytes, length: int, rng: random.Random) -> str:
    """A JSON object in base64url, about so many characters long."""
    room = length * 3 // 4 - len(begun) - len(b',"x":""}')
    more = "".join(rng.choice(string.ascii_lowercase) for _ in range(room)).encode()
    filled = begun + (b',"x":"' + more + b'"}' if room > 0 else b"}")
    return base64.urlsafe_b64encode(filled).decode().rstrip("=")


def private_key(value: str, rng: random.Random) -> str:
    """The same lines between the same markers (RFC 7468), of random base64."""
    parts: list[str] = []
    at = 0
    for marker in _KEY_LINE.finditer(value):
        parts += (_base64_like(value[at : marker.start()], rng), marker[0] if marker[0].startswith("-----") else "x: ")
        at = marker.end()
    return "".join((*parts, _base64_like(value[at:], rng)))


def _base64_like(text: str, rng: random.Random) -> str:
    escaped = text.replace("\\n", "\n")
    made = "".join(rng.choice(_BASE64) if letter.isalnum() or letter in "+/" else letter for letter in escaped)
    return made.replace("\n", "\\n") if escaped != text else made


def passport(value: str, rng: random.Random) -> str:
    """The second line of a machine-readable passport (ICAO Doc 9303, part 4, section 4.2.2); empty for any other form."""
    if not _MRZ.fullmatch(value):
        return ""
    letters, digits = string.ascii_uppercase, string.digits
    number = "".join(rng.choice(letters if one.isalpha() else digits) if one != "<" else one for one in value[:9])
    born = f"{rng.randint(40, 99):02d}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"
    until = f"{rng.randint(27, 36):02d}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"
    personal = "".join(rng.choice(letters + digits) if one != "<" else one for one in value[28:42])
    signed = number + _check(number) + born + _check(born) + until + _check(until) + personal + _check(personal)
    line = f"{number}{_check(number)}UTO{born}{_check(born)}{rng.choice('MFX')}{until}{_check(until)}"
    return line + personal + _check(personal) + _check(signed)


def _check(field: str) -> str:
    """Weights 7, 3, 1 (ICAO Doc 9303, part 3, section 4.9)."""
    return str(sum((0 if c == "<" else int(c, 36)) * (7, 3, 1)[place % 3] for place, c in enumerate(field)) % 10)


_PROVIDER = re.compile(
    r"gsk_|xai-|pplx-|r8_|nvapi-|sk-or-v1-|dapi|lsv2_(?:pt|sk)_|[sp]k-lf-|SG\.|do[opr]_v1_|dckr_(?:pat|oat)_|hvs\.|glsa_|shp(?:at|ca|pa|ss)_"
    r"|AGE-SECRET-KEY-1|sk-sg-"
)
_PARTS = re.compile(r"[A-Za-z0-9]+")
_HEX = re.compile(r"[0-9a-f]{4,}|[0-9A-F]{8,}")
_BECH32 = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"
"""BIP 173, in capitals, as age writes it."""


def provider_key(value: str, rng: random.Random) -> str:
    """The prefix that says whose it is, and behind it parts of the same lengths and alphabets; empty for a prefix that is not known."""
    prefix = _PROVIDER.match(value)
    if prefix is None:
        return ""

    def drawn(part: re.Match[str]) -> str:
        alphabet = string.ascii_letters + string.digits
        if prefix[0].startswith("AGE"):
            alphabet = _BECH32
        elif _HEX.fullmatch(part[0]):
            alphabet = "0123456789abcdef"
        elif part[0].isdigit():
            alphabet = string.digits
        return "".join(rng.choice(alphabet) for _ in part[0])

    return prefix[0] + _PARTS.sub(drawn, value[prefix.end() :])


FORMS: dict[str, Callable[[str, random.Random], str]] = {
    Detector.EMAIL.value: email,
    Detector.JWT.value: jwt,
    Detector.PRIVATE_KEY.value: private_key,
    Detector.PASSPORT.value: passport,
    Detector.PROVIDER_KEY.value: provider_key,
}
"""By type of finding. Each gives a stand-in, or an empty text for a form that it does not know."""
