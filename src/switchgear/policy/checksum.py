"""Check digits, each by its published rule. All take digits (or letters and digits) without separators."""

_VERHOEFF_D = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_VERHOEFF_P = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def luhn(digits: str) -> bool:
    """Luhn's formula: ISO/IEC 7812-1, annex B. Payment cards, Canada's SIN, Sweden's personnummer."""
    total = sum(map(int, digits[-1::-2]))
    return (total + sum(_DOUBLED[int(digit)] for digit in digits[-2::-2])) % 10 == 0


def mod_97(text: str) -> bool:
    """ISO/IEC 7064 MOD 97-10 over letters (A = 10) and digits, as ISO 13616 uses it: `text` has the check digits at its end."""
    return int("".join(str(int(character, 36)) for character in text)) % 97 == 1


def mod_11_10(digits: str) -> bool:
    """ISO/IEC 7064 MOD 11,10: Germany's Steuer-Identifikationsnummer."""
    product = 10
    for digit in digits[:-1]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(digits[-1])


def verhoeff(digits: str) -> bool:
    """Verhoeff's dihedral check: India's Aadhaar."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = int(_VERHOEFF_D[check][int(_VERHOEFF_P[place % 8][int(digit)])])
    return check == 0


def weighted(digits: str, weights: tuple[int, ...]) -> int:
    """The sum of each digit times its weight; digits beyond the weights do not count."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def icao_9303(field: str, check: str) -> bool:
    """The check digit of a machine-readable travel document: ICAO Doc 9303 part 3, section 4.9 (weights 7 3 1, `<` is 0)."""
    total = sum(
        (0 if character == "<" else int(character, 36)) * (7, 3, 1)[place % 3] for place, character in enumerate(field)
    )
    return total % 10 == int(check)
