"""National identification numbers. Where one in ten numbers passes the check, a bare number needs a word of context."""

from switchgear.core.screening import Detector
from switchgear.policy import checksum_national as rules
from switchgear.policy.patterns import Check, Shape, any_of, by_digits, by_letters_and_digits

_NO_DIGIT_BEFORE = r"(?<![A-Za-z0-9_])(?<!\d[.,\-/])"
_NO_DIGIT_AFTER = r"(?![A-Za-z0-9_])(?![.,\-/]\d)"


def _written(detector: Detector, core: str, check: Check) -> Shape:
    """A number whose own form tells it."""
    return Shape(detector, core, _NO_DIGIT_BEFORE, _NO_DIGIT_AFTER, check)


def _named(detector: Detector, words: str, value: str, check: Check) -> Shape:
    """A number that only the words before it tell from any other."""
    core = rf"\b(?i:{any_of(words)})§G(?:[^\w]|_)(?P<v>{value})"
    return Shape(detector, core, right=_NO_DIGIT_AFTER, check=check)


_SSN, _ITIN = by_digits(rules.us_ssn), by_digits(rules.us_itin)
_SIN, _CPF, _NHS = by_digits(rules.ca_sin), by_digits(rules.br_cpf), by_digits(rules.uk_nhs)
_STEUER_ID, _BSN, _NRN = by_digits(rules.de_steuer_id), by_digits(rules.nl_bsn), by_digits(rules.be_nrn)
_PERSONNUMMER, _AADHAAR, _TFN = by_digits(rules.se_personnummer), by_digits(rules.in_aadhaar), by_digits(rules.au_tfn)
_NIR = by_letters_and_digits(rules.fr_nir)

NATIONAL: tuple[Shape, ...] = (
    _written(Detector.US_SSN, r"\d{3}(?:-\d{2}-|[ ]\d{2}[ ])\d{4}", _SSN),
    _named(Detector.US_SSN, "ssn social_security", r"\d{9}|\d{3}§S?\d{2}§S?\d{4}", _SSN),
    _written(Detector.US_ITIN, r"9\d{2}(?:-[5-9]\d-|[ ][5-9]\d[ ])\d{4}", _ITIN),
    _named(Detector.US_ITIN, "itin individual_taxpayer", r"9\d{8}", _ITIN),
    _written(Detector.CA_SIN, r"\d{3}-\d{3}-\d{3}", _SIN),
    _named(Detector.CA_SIN, "sin nas social_insurance assurance_sociale", r"\d{3}§S?\d{3}§S?\d{3}", _SIN),
    _written(Detector.BR_CPF, r"\d{3}\.\d{3}\.\d{3}-\d{2}", _CPF),
    _named(Detector.BR_CPF, "cpf", r"\d{3}§S?\d{3}§S?\d{3}[-/ ]?\d{2}", _CPF),
    _written(
        Detector.UK_NINO,
        r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ ]?\d{2}[ ]?\d{2}[ ]?\d{2}[ ]?[A-D]",
        by_letters_and_digits(rules.uk_nino),
    )._replace(candidate=r"[A-Z][ ]?\d{2}[ ]?\d{2}[ ]?\d{2}[ ]?[A-D]\b"),
    _named(Detector.UK_NHS, "nhs", r"\d{3}[- ]?\d{3}[- ]?\d{4}", _NHS),
    _written(Detector.DE_STEUER_ID, r"[1-9]\d[ ]\d{3}[ ]\d{3}[ ]\d{3}", _STEUER_ID),
    _named(
        Detector.DE_STEUER_ID,
        "steuer idnr identifikationsnummer tax_id tin",
        r"[1-9]\d[ ]?\d{3}[ ]?\d{3}[ ]?\d{3}",
        _STEUER_ID,
    ),
    _written(Detector.FR_NIR, r"[12378][ ]?\d{2}[ ]?\d{2}[ ]?\d[\dAB][ ]?\d{3}[ ]?\d{3}[ ]?\d{2}", _NIR)._replace(
        candidate=r"\d{2}[ ]?\d[\dAB][ ]?\d{3}[ ]?\d{3}[ ]?\d{2}\b"
    ),
    _written(
        Detector.ES_DNI, r"(?:\d{8}|[XYZ][- ]?\d{7})[- ]?[A-HJ-NP-TV-Z]", by_letters_and_digits(rules.es_dni)
    )._replace(candidate=r"\d{7}[- ]?[A-Z]\b"),
    _written(
        Detector.IT_CODICE_FISCALE,
        r"[A-Z]{6}[\dLMNP-V]{2}[A-EHLMPRST][\dLMNP-V]{2}[A-Z][\dLMNP-V]{3}[A-Z]",
        by_letters_and_digits(rules.it_codice_fiscale),
    ),
    _named(Detector.NL_BSN, "bsn burgerservice sofi", r"\d{9}|\d{4}[. ]\d{2}[. ]\d{3}|\d{3}[. ]\d{3}[. ]\d{3}", _BSN),
    _written(Detector.BE_NRN, r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", _NRN),
    _named(
        Detector.BE_NRN, "rijksregister registre_national insz niss national_register nationalregister", r"\d{11}", _NRN
    ),
    _written(Detector.PL_PESEL, r"\d{4}[0-3]\d{6}", by_digits(rules.pl_pesel))._replace(candidate=r"\b\d{11}\b"),
    _written(Detector.SE_PERSONNUMMER, r"(?:19|20)?\d{2}\d{4}[-+]\d{4}", _PERSONNUMMER),
    _written(Detector.SE_PERSONNUMMER, r"(?:19|20)\d{10}", _PERSONNUMMER)._replace(candidate=r"\b\d{12}\b"),
    _named(Detector.SE_PERSONNUMMER, "personnummer personnr", r"\d{10}", _PERSONNUMMER),
    _written(Detector.FI_HETU, r"[0-3]\d[01]\d{3}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", lambda m: rules.fi_hetu(m[0])),
    _written(Detector.CH_AHV, r"756\.?\d{4}\.?\d{4}\.?\d{2}", by_digits(rules.ch_ahv)),
    _written(Detector.IN_AADHAAR, r"[2-9]\d{3}[ ]\d{4}[ ]\d{4}", _AADHAAR),
    _named(Detector.IN_AADHAAR, "aadhaar aadhar uid uidai", r"[2-9]\d{3}[- ]?\d{4}[- ]?\d{4}", _AADHAAR),
    _named(Detector.AU_TFN, "tfn tax_file", r"\d{3}[ ]?\d{3}[ ]?\d{3}", _TFN),
)
