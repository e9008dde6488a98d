"""Passports and driving licences: by the word before the number, or by a form with check digits."""

import re

from switchgear.core.screening import Detector
from switchgear.policy.checksum import icao_9303
from switchgear.policy.patterns import Shape, any_of, digits_of, value_of

_PASSPORT = any_of("passport reisepass passnummer pass_nr passeport pasaporte passaporto passaporte paspoort paszport")
_LICENCE = any_of(
    "driver_license driver_licence drivers_license drivers_licence driver's_license driver's_licence driver’s_license driver’s_licence "
    "driving_license driving_licence führerscheinnummer führerschein permis_de_conduire patente_di_guida patente rijbewijsnummer rijbewijs "
    "permiso_de_conducir licencia_de_conducir carnet_de_conducir carta_de_condução prawo_jazdy körkort"
)
_LICENCE_STEMS = (
    r"driv[a-z'’\s_\-]{2,9}licen[cs]e|führerschein|permis[\s_\-]{0,2}de[\s_\-]{0,2}conduire|patente|rijbewijs|de[\s_\-]{0,2}conducir|carta[\s_\-]{0,2}de[\s_\-]{0,2}condu"
    r"|prawo[\s_\-]{0,2}jazdy|körkort|DL[ ]?(?:no|number|#)|CNH"
)
"""What all of these begin with or hold: fewer states for the automaton."""
_PASSPORT_NUMBER = r"[A-Z]{1,3}[ ]?\d{5,9}|\d{2}[A-Z]{2}\d{5}|\d{8,9}|[CFGHJKLMNPRTVWXYZ][0-9CFGHJKLMNPRTVWXYZ]{8}"
"""A letter or three and digits, France's, digits alone, Germany's (which leaves out what could be read as a word or as another digit)."""
_LICENCE_NUMBER = r"[A-Z0-9]{1,9}[ \-]?[A-Z0-9]{2,9}(?:[ \-]?[A-Z0-9]{2,6}){0,3}"
_ANY_GAP = r"[\x00-\xff]{0,55}"


def _has_digits(match: re.Match[str]) -> bool:
    return len(digits_of(match)) >= 4


def _is_machine_readable(match: re.Match[str]) -> bool:
    """The second line of a passport: ICAO Doc 9303 part 4, section 4.2.2; check digits of number, birth and expiry."""
    line = value_of(match)
    return icao_9303(line[:9], line[9]) and icao_9303(line[13:19], line[19]) and icao_9303(line[21:27], line[27])


def _is_uk_licence(match: re.Match[str]) -> bool:
    """DVLA: five characters of the surname, filled with 9; sixteen in all."""
    return len(match[0]) == 16 and match[0][:5].rstrip("9").isalpha()


PAPERS: tuple[Shape, ...] = (
    Shape(
        Detector.PASSPORT,
        rf"\b(?i:{_PASSPORT})§G[^A-Za-z0-9](?P<v>{_PASSPORT_NUMBER})",
        r"(?<![A-Za-z])",
        check=_has_digits,
        candidate=rf"\b(?i:{_PASSPORT}){_ANY_GAP}\d",
        before=120,
    ),
    Shape(
        Detector.PASSPORT,
        r"P[A-Z<][A-Z<]{42}\s{1,2}(?P<v>[A-Z0-9<]{9}\d[A-Z<]{3}\d{6}\d[MFX<]\d{6}\d[A-Z0-9<]{14}[\d<]\d)",
        check=_is_machine_readable,
        candidate=r"\d[A-Z<]{3}\d{7}[MFX<]\d{7}",
        before=140,
    ),
    Shape(
        Detector.DRIVING_LICENCE,
        rf"\b(?:(?i:{_LICENCE})|DL[ ]?(?:no|number|#)|CNH)§G[^A-Za-z0-9](?P<v>{_LICENCE_NUMBER})",
        r"(?<![A-Za-z])",
        check=_has_digits,
        candidate=rf"(?i)\b(?:{_LICENCE_STEMS}){_ANY_GAP}\d",
        before=150,
        after=60,
    ),
    Shape(
        Detector.DRIVING_LICENCE,
        r"[A-Z]{1,5}9{0,4}\d[0156]\d(?:0[1-9]|[12]\d|3[01])\d[A-Z][A-Z9]\d[A-Z]{2}",
        check=_is_uk_licence,
    ),
)
