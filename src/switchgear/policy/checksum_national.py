"""National identification numbers: whether one can have been given out. All take the number without separators, in upper case."""

from collections import Counter

from switchgear.policy.checksum import luhn, mod_11_10, verhoeff, weighted

_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_HETU_LETTERS = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_CF_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
_CF_MONTHS = "ABCDEHLMPRST"
_CF_OMOCODIA = str.maketrans("LMNPQRSTUV", "0123456789")
_NINO_UNUSED = frozenset(("BG", "GB", "NK", "KN", "TN", "NT", "ZZ"))
_ITIN_GROUPS = frozenset((*range(50, 66), *range(70, 89), *range(90, 93), *range(94, 100)))


def is_day(month: int, day: int) -> bool:
    """Whether a year can have this day."""
    return 1 <= month <= 12 and 1 <= day <= _DAYS[month - 1]


def us_ssn(digits: str) -> bool:
    """Social Security Administration, since 2011 randomised: area not 000, 666 or 9xx, no group or serial of zeros."""
    return digits[:3] not in ("000", "666") and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def us_itin(digits: str) -> bool:
    """Internal Revenue Service: 9xx, and a group of the published ranges (50-65, 70-88, 90-92, 94-99)."""
    return digits[0] == "9" and int(digits[3:5]) in _ITIN_GROUPS


def ca_sin(digits: str) -> bool:
    """Social Insurance Number: Luhn; none begins with 0 or 8."""
    return digits[0] not in "08" and luhn(digits)


def br_cpf(digits: str) -> bool:
    """Cadastro de Pessoas Físicas: two check digits modulo 11, and not one digit eleven times."""
    if digits == digits[0] * 11:
        return False
    first = weighted(digits[:9], tuple(range(10, 1, -1))) * 10 % 11 % 10
    second = weighted(digits[:10], tuple(range(11, 1, -1))) * 10 % 11 % 10
    return digits[9:] == f"{first}{second}"


def uk_nino(text: str) -> bool:
    """National Insurance number: HMRC's manual NIM39110 names the letters and the prefixes that are not used."""
    return text[0] not in "DFIQUV" and text[1] not in "DFIQUVO" and text[:2] not in _NINO_UNUSED


def uk_nhs(digits: str) -> bool:
    """NHS number: weights 10 to 2, modulo 11 (NHS Data Dictionary)."""
    check = 11 - weighted(digits[:9], tuple(range(10, 1, -1))) % 11
    return check != 10 and check % 11 == int(digits[9]) and digits != digits[0] * 10


def de_steuer_id(digits: str) -> bool:
    """Steuer-Identifikationsnummer: of the first ten digits one stands two or three times, the others at most once; MOD 11,10."""
    counts = sorted(Counter(digits[:10]).values(), reverse=True)
    return digits[0] != "0" and counts[0] in (2, 3) and counts[1] == 1 and mod_11_10(digits)


def fr_nir(text: str) -> bool:
    """Numéro d'inscription au répertoire (INSEE): key 97 less the number modulo 97; Corsica's 2A and 2B count as 19 and 18."""
    number = text[:13].replace("2A", "19").replace("2B", "18")
    month = int(text[3:5])
    return (
        number.isdigit()
        and (1 <= month <= 12 or 20 <= month <= 42 or month >= 50)
        and 97 - int(number) % 97 == int(text[13:])
    )


def es_dni(text: str) -> bool:
    """DNI and NIE: a letter by the number modulo 23; a NIE's X, Y, Z count as 0, 1, 2 (Ministerio del Interior)."""
    number = str("XYZ".index(text[0])) + text[1:-1] if text[0] in "XYZ" else text[:-1]
    return _DNI_LETTERS[int(number) % 23] == text[-1]


def it_codice_fiscale(text: str) -> bool:
    """Codice fiscale: decree of 23 December 1976; months as letters, women's days plus 40, digits may be letters (omocodia)."""
    day = int(text[9:11].translate(_CF_OMOCODIA))
    if text[8] not in _CF_MONTHS or not is_day(_CF_MONTHS.index(text[8]) + 1, day - 40 if day > 40 else day):
        return False
    places = [int(character) if character.isdigit() else ord(character) - 65 for character in text[:15]]
    return (sum(_CF_ODD[place] for place in places[::2]) + sum(places[1::2])) % 26 == ord(text[15]) - 65


def nl_bsn(digits: str) -> bool:
    """Burgerservicenummer: the eleven-proof with weights 9 to 2 and -1."""
    return digits != "000000000" and weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def be_nrn(digits: str) -> bool:
    """Rijksregisternummer: 97 less the first nine modulo 97; born from 2000 on, with a 2 in front. Months may be raised by 20 or 40."""
    if int(digits[2:4]) % 20 > 12:
        return False
    check = int(digits[9:])
    return check in (97 - int(digits[:9]) % 97, 97 - int("2" + digits[:9]) % 97)


def pl_pesel(digits: str) -> bool:
    """PESEL: weights 1 3 7 9, modulo 10; the month carries the century in steps of 20."""
    check = -weighted(digits[:10], (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10
    return check == int(digits[10]) and is_day(int(digits[2:4]) % 20, int(digits[4:6]))


def se_personnummer(digits: str) -> bool:
    """Personnummer, ten or twelve digits: Luhn over the last ten; a coordination number's day is raised by 60."""
    ten = digits[-10:]
    return is_day(int(ten[2:4]), int(ten[4:6]) % 60) and luhn(ten)


def fi_hetu(text: str) -> bool:
    """Henkilötunnus: day, month, year, a sign for the century, number, and a letter by all nine digits modulo 31."""
    number = text[:6] + text[7:10]
    return is_day(int(text[2:4]), int(text[:2])) and _HETU_LETTERS[int(number) % 31] == text[10]


def ch_ahv(digits: str) -> bool:
    """AHV-Nummer: 756 and the check digit of an EAN-13."""
    return -weighted(digits[:12], (1, 3) * 6) % 10 == int(digits[12])


def in_aadhaar(digits: str) -> bool:
    """Aadhaar: Verhoeff; none begins with 0 or 1, and none reads the same backwards (UIDAI)."""
    return digits[0] not in "01" and digits != digits[::-1] and verhoeff(digits)


def au_tfn(digits: str) -> bool:
    """Tax file number of nine digits: weights 1 4 3 7 5 8 6 9 10, modulo 11."""
    return digits != "000000000" and weighted(digits, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0
