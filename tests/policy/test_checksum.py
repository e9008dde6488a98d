import pytest
from faker import Faker
from tests.policy import published

from switchgear.policy import checksum, checksum_national


def test_published_numbers_pass_their_checks() -> None:
    assert all(map(checksum.luhn, published.CARDS))
    assert all(checksum.mod_97(iban[4:] + iban[:4]) for iban in published.IBANS)
    assert all(map(checksum_national.de_steuer_id, published.STEUER_IDS))
    assert all(map(checksum_national.in_aadhaar, published.AADHAARS))
    assert all(map(checksum_national.uk_nhs, published.NHS_NUMBERS))
    assert all(map(checksum_national.au_tfn, published.TFNS))


@pytest.mark.parametrize(
    ("locale", "provider", "rule"),
    [
        ("en_US", "ssn", checksum_national.us_ssn),
        ("en_US", "itin", checksum_national.us_itin),
        ("en_CA", "ssn", checksum_national.ca_sin),
        ("pt_BR", "cpf", checksum_national.br_cpf),
        ("fr_FR", "ssn", checksum_national.fr_nir),
        ("es_ES", "nif", checksum_national.es_dni),
        ("es_ES", "nie", checksum_national.es_dni),
        ("it_IT", "ssn", checksum_national.it_codice_fiscale),
        ("nl_NL", "ssn", checksum_national.nl_bsn),
        ("nl_BE", "ssn", checksum_national.be_nrn),
        ("pl_PL", "pesel", checksum_national.pl_pesel),
        ("sv_SE", "ssn", checksum_national.se_personnummer),
        ("de_CH", "ssn", checksum_national.ch_ahv),
    ],
)
def test_numbers_that_faker_makes_pass(locale: str, provider: str, rule: object) -> None:
    assert callable(rule)
    fake = Faker(locale)
    fake.seed_instance(7)
    made = [getattr(fake, provider)() for _ in range(200)]
    assert [text for text in made if not rule("".join(filter(str.isalnum, text)))] == []


def test_a_finnish_number_keeps_its_sign_of_the_century() -> None:
    fake = Faker("fi_FI")
    fake.seed_instance(7)
    assert all(checksum_national.fi_hetu(fake.ssn()) for _ in range(200))


@pytest.mark.parametrize(
    ("rule", "number"),
    [
        (checksum.luhn, "4111111111111111"),
        (checksum_national.ca_sin, "130692544"),
        (checksum_national.br_cpf, "52998224725"),
        (checksum_national.uk_nhs, "9434765919"),
        (checksum_national.de_steuer_id, "86095742719"),
        (checksum_national.nl_bsn, "111222333"),
        (checksum_national.pl_pesel, "44051401359"),
        (checksum_national.ch_ahv, "7569217076985"),
        (checksum_national.in_aadhaar, "234123412346"),
        (checksum_national.au_tfn, "876543210"),
        (checksum_national.be_nrn, "93051822361"),
        (checksum_national.se_personnummer, "8112189876"),
    ],
)
def test_one_wrong_digit_fails(rule: object, number: str) -> None:
    """Each of these checks sees every single wrong digit, but for the eleven-proofs' and the dates' own exceptions."""
    assert callable(rule)
    assert rule(number)
    for place, digit in enumerate(number):
        wrong = number[:place] + str((int(digit) + 1) % 10) + number[place + 1 :]
        assert not rule(wrong), wrong


def test_numbers_that_were_never_given_out() -> None:
    assert not checksum_national.us_ssn("000123456")
    assert not checksum_national.us_ssn("666123456")
    assert not checksum_national.us_ssn("900123456")
    assert not checksum_national.us_ssn("123001234")
    assert not checksum_national.uk_nino("BG123456A")
    assert not checksum_national.uk_nino("DA123456A")
    assert not checksum_national.br_cpf("11111111111")
    assert not checksum_national.uk_nhs("0000000000")
    assert not checksum_national.pl_pesel("44053401350")


def test_the_check_digits_of_a_passport() -> None:
    line = published.MACHINE_READABLE.split("\n")[1]
    assert checksum.icao_9303(line[:9], line[9])
    assert checksum.icao_9303(line[13:19], line[19])
    assert not checksum.icao_9303(line[:9], "5")
