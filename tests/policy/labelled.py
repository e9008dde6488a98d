"""A labelled set: texts, and where each type of data stands in them.

Every value comes from a published source: Faker's locales, examples that issuers, registries and states publish, keys that a
cryptographic library makes, tokens made by the form that their issuer documents. None comes from the screen's own patterns.
"""

import random
import string
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import NamedTuple

from faker import Faker
from tests.policy import labelled_secrets, published

from switchgear.core.screening import Detector

EACH = 12
"""Values from each source."""


class Sample(NamedTuple):
    """A text with one value of one type in it."""

    text: str
    type: str
    start: int
    end: int
    source: str
    """Where the value is from: a locale of Faker, `published`, `documented form`."""
    named: bool
    """Whether a word beside the value says what it is."""


class _Source(NamedTuple):
    type: Detector
    source: str
    make: Callable[[], str]
    named: tuple[str, ...]
    bare: tuple[str, ...] = (
        "Can you check {} for me?",
        "Notes from today:\n{}\nplease follow up.",
        '{{"value": "{}"}}',
    )


def _spaced(text: str, *sizes: int, by: str = " ") -> str:
    parts, at = [], 0
    for size in sizes:
        parts.append(text[at : at + size])
        at += size
    return by.join(part for part in parts if part)


def _faker(locale: str) -> Faker:
    fake = Faker(locale)
    fake.seed_instance(20261121)
    return fake


def _birthday(fake: Faker, form: str) -> str:
    return fake.date_of_birth().strftime(form)


def _contact() -> Iterator[_Source]:
    email = ("Write to {} today.", "From: {}\nSubject: invoice", "E-Mail: {}")
    for locale in (
        "en_US",
        "en_GB",
        "de_DE",
        "fr_FR",
        "es_ES",
        "it_IT",
        "nl_NL",
        "pl_PL",
        "pt_BR",
        "sv_SE",
        "en_IN",
        "ja_JP",
    ):
        fake = _faker(locale)
        yield _Source(Detector.EMAIL, locale, fake.email, email)
        yield _Source(Detector.EMAIL, locale, fake.company_email, email)
    phone = ("Phone: {}", "You can call me at {} after five.", "Tel. {}")
    for locale in (
        "en_US",
        "en_GB",
        "de_DE",
        "fr_FR",
        "es_ES",
        "it_IT",
        "nl_NL",
        "pl_PL",
        "pt_BR",
        "sv_SE",
        "en_IN",
        "en_AU",
    ):
        yield _Source(Detector.PHONE, locale, _faker(locale).phone_number, phone)
    for locale in ("en_US", "de_DE", "fr_FR", "es_ES", "pl_PL", "en_GB"):
        fake = _faker(locale)
        born = {
            "en_US": ("Date of birth: {}", "She was born on {} in Ohio."),
            "en_GB": ("DOB {}", "born {}"),
            "de_DE": ("Geburtsdatum: {}", "geboren am {} in Kiel"),
            "fr_FR": ("Date de naissance : {}", "né le {} à Lyon"),
            "es_ES": ("Fecha de nacimiento: {}", "nacida el {}"),
            "pl_PL": ("Data urodzenia: {}", "urodzony {}"),
        }[locale]
        form = {
            "en_US": "%m/%d/%Y",
            "en_GB": "%d %B %Y",
            "de_DE": "%d.%m.%Y",
            "fr_FR": "%d/%m/%Y",
            "es_ES": "%d-%m-%Y",
            "pl_PL": "%Y-%m-%d",
        }[locale]
        yield _Source(Detector.DATE_OF_BIRTH, locale, partial(_birthday, fake, form), born, ())
    for locale in ("en_US", "en_CA", "en_AU", "en_IN", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL", "pt_BR"):
        yield _Source(
            Detector.POSTAL_ADDRESS,
            locale,
            _faker(locale).street_address,
            ("Address: {}", "Ship it to {}, thanks.", "I live at {}."),
        )


def _papers() -> Iterator[_Source]:
    for locale, words in (
        ("en_US", ("Passport number: {}", "my US passport is {}")),
        ("en_GB", ("passport no. {}", "UK passport {}")),
        ("de_DE", ("Reisepass-Nr. {}", "Passnummer: {}")),
    ):
        yield _Source(Detector.PASSPORT, locale, _faker(locale).passport_number, words, ())
    yield _Source(
        Detector.PASSPORT,
        "published",
        lambda: published.MACHINE_READABLE.split("\n")[1],
        ("P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\n{}\n",),
        (),
    )
    fake = _faker("en_US")
    for state, form in published.LICENCE_FORMS:
        make = partial(fake.bothify, form, letters=string.ascii_uppercase)
        yield _Source(
            Detector.DRIVING_LICENCE,
            state,
            make,
            ("Driver's license: {}", "driver license number {} (" + state + ")"),
            (),
        )
    yield _Source(Detector.DRIVING_LICENCE, "published", lambda: "MORGA657054SM9IJ", ("Driving licence {}",))


def _financial() -> Iterator[_Source]:
    rng = random.Random(1)
    card = ("Card number: {}", "I paid with {} yesterday.")
    cards, ibans = iter(published.CARDS * 9), iter(published.IBANS * 9)
    yield _Source(Detector.PAYMENT_CARD, "published", lambda: next(cards), card)
    yield _Source(Detector.PAYMENT_CARD, "published", lambda: next(cards), card)
    yield _Source(Detector.PAYMENT_CARD, "published, in groups", lambda: _group_card(next(cards), rng), card)
    fake = _faker("en_US")
    for kind in ("visa16", "visa13", "visa19", "mastercard", "amex", "discover", "diners", "jcb16"):
        yield _Source(Detector.PAYMENT_CARD, f"Faker {kind}", partial(fake.credit_card_number, kind), card)
    iban = ("IBAN: {}", "Please transfer it to {}.")
    for _ in range(4):
        yield _Source(Detector.IBAN, "published", lambda: next(ibans), iban)
        yield _Source(Detector.IBAN, "published, in groups", lambda: _spaced(next(ibans), *(4,) * 9), iban)
    for locale in ("de_DE", "en_GB", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL", "tr_TR"):
        yield _Source(Detector.IBAN, locale, _faker(locale).iban, iban)


def _group_card(digits: str, rng: random.Random) -> str:
    by = rng.choice(" -")
    return _spaced(digits, 4, 6, 5, by=by) if len(digits) == 15 else _spaced(digits, 4, 4, 4, 4, 4, by=by)


def _national() -> Iterator[_Source]:
    us, br, be, se = _faker("en_US"), _faker("pt_BR"), _faker("nl_BE"), _faker("sv_SE")
    yield _Source(Detector.US_SSN, "en_US", us.ssn, ("SSN: {}", "my social security number is {}"))
    yield _Source(Detector.US_SSN, "en_US, digits", lambda: us.ssn().replace("-", ""), ("SSN {}",), ())
    yield _Source(Detector.US_ITIN, "en_US", us.itin, ("ITIN: {}",))
    yield _Source(Detector.CA_SIN, "en_CA", _faker("en_CA").ssn, ("SIN: {}", "social insurance number {}"))
    yield _Source(Detector.BR_CPF, "pt_BR", br.cpf, ("CPF: {}", "meu CPF é {}"))
    yield _Source(Detector.BR_CPF, "pt_BR, digits", lambda: br.cpf().replace(".", "").replace("-", ""), ("CPF {}",), ())
    yield from _british()
    tax = iter(published.STEUER_IDS * 9)
    yield _Source(
        Detector.DE_STEUER_ID,
        "published",
        lambda: next(tax),
        ("Steuer-ID: {}", "Meine steuerliche Identifikationsnummer ist {}"),
        (),
    )
    yield _Source(Detector.DE_STEUER_ID, "published, in groups", lambda: _spaced(next(tax), 2, 3, 3, 3), ("IdNr. {}",))
    yield _Source(Detector.FR_NIR, "fr_FR", _faker("fr_FR").ssn, ("NIR : {}", "numéro de sécurité sociale {}"))
    yield _Source(Detector.ES_DNI, "es_ES", _faker("es_ES").nif, ("DNI {}",))
    yield _Source(Detector.ES_DNI, "es_ES", _faker("es_ES").nie, ("NIE {}",))
    yield _Source(Detector.IT_CODICE_FISCALE, "it_IT", _faker("it_IT").ssn, ("codice fiscale {}",))
    yield _Source(Detector.NL_BSN, "nl_NL", _faker("nl_NL").ssn, ("BSN: {}", "mijn burgerservicenummer is {}"))
    yield _Source(Detector.BE_NRN, "nl_BE", be.ssn, ("rijksregisternummer {}",), ())
    yield _Source(
        Detector.BE_NRN,
        "nl_BE, written",
        lambda: "{}.{}.{}-{}.{}".format(*_spaced(be.ssn(), 2, 2, 2, 3, 2).split()),
        ("NISS {}",),
    )
    yield _Source(Detector.PL_PESEL, "pl_PL", _faker("pl_PL").pesel, ("PESEL {}",))
    yield _Source(Detector.SE_PERSONNUMMER, "sv_SE", se.ssn, ("personnummer {}",))
    long = partial(se.ssn, long=True)  # type: ignore[call-arg]  # Sweden's provider has it
    yield _Source(Detector.SE_PERSONNUMMER, "sv_SE, long", long, ("personnummer {}",))
    yield _Source(Detector.FI_HETU, "fi_FI", _faker("fi_FI").ssn, ("henkilötunnus {}",))
    yield _Source(Detector.CH_AHV, "de_CH", _faker("de_CH").ssn, ("AHV-Nr. {}",))
    aadhaar = iter(published.AADHAARS * 9)
    yield _Source(Detector.IN_AADHAAR, "published", lambda: next(aadhaar), ("Aadhaar: {}",), ())
    yield _Source(
        Detector.IN_AADHAAR, "published, in groups", lambda: _spaced(next(aadhaar), 4, 4, 4), ("UIDAI number {}",)
    )
    tfn = iter(published.TFNS * 9)
    yield _Source(Detector.AU_TFN, "published", lambda: next(tfn), ("TFN: {}", "tax file number {}"))


def _british() -> Iterator[_Source]:
    rng = random.Random(2)
    nhs = iter(published.NHS_NUMBERS * 9)

    def nino() -> str:
        digits = f"{rng.randrange(1_000_000):06d}"
        text = rng.choice(published.NINO_PREFIXES) + digits + rng.choice("ABCD")
        return text if rng.random() < 0.5 else _spaced(text, 2, 2, 2, 2, 1)

    yield _Source(Detector.UK_NINO, "documented form", nino, ("NINO {}", "National Insurance number: {}"))
    yield _Source(Detector.UK_NHS, "published", lambda: _spaced(next(nhs), 3, 3, 4), ("NHS number: {}",))
    yield _Source(Detector.UK_NHS, "published", lambda: next(nhs), ("NHS no. {}",))


def _network() -> Iterator[_Source]:
    fake = _faker("en_US")
    yield _Source(Detector.IP_ADDRESS, "en_US ipv4", fake.ipv4_public, ("Connection from {} refused.", "client_ip={}"))
    yield _Source(Detector.IP_ADDRESS, "en_US ipv6", fake.ipv6, ("Connection from {} refused.", "[{}]:443"))
    yield _Source(
        Detector.IP_ADDRESS,
        "RFC 4291",
        iter(("2001:db8::8:800:200c:417a", "ff01::101", "2001:db8:0:cd30:123:4567:89ab:cdef") * 9).__next__,
        ("host {}",),
    )
    yield _Source(Detector.MAC_ADDRESS, "en_US", fake.mac_address, ("ether {} txqueuelen 1000",))


def _secret() -> Iterator[_Source]:
    for kind, source, make, texts in labelled_secrets.sources():
        yield _Source(
            kind, source, make, texts, () if kind is Detector.GENERIC_SECRET else ("Use this: {}", "x = '{}'\nrun(x)")
        )


@cache
def samples() -> tuple[Sample, ...]:
    """The whole set; the same each time, but for the private keys."""
    state = random.getstate()
    random.seed(20261121)  # some of Faker's providers draw from here
    try:
        return tuple(_samples())
    finally:
        random.setstate(state)


def _samples() -> list[Sample]:
    made = []
    for sources in (_contact(), _papers(), _financial(), _national(), _network(), _secret()):
        for source in sources:
            for number in range(EACH):
                value = source.make()
                texts = (*((text, True) for text in source.named), *((text, False) for text in source.bare))
                text, named = texts[number % len(texts)]
                before, _, after = text.replace("{{", "{").replace("}}", "}").partition("{}")
                made.append(
                    Sample(
                        before + value + after,
                        source.type.value,
                        len(before),
                        len(before) + len(value),
                        source.source,
                        named,
                    )
                )
    return made
