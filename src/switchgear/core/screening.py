# ruff: noqa: S105  names of types of secrets, not secrets
"""What the content screen looks for and what it does about it: the part of the snapshot that configures it.

The structures are those of the table `[screen]` of the configuration file, see docs/screen.md.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

from switchgear.core.data_class import DataClass
from switchgear.core.external_screening import ExternalScreening

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
"""Of a rule, a pattern or a list: lower-case letters, digits, `_` and `-`."""


class Detector(StrEnum):
    """A type of data that the screen knows. The value stands in rules, records and placeholders."""

    EMAIL = "email"
    PHONE = "phone"
    POSTAL_ADDRESS = "postal_address"
    DATE_OF_BIRTH = "date_of_birth"
    PASSPORT = "passport"
    DRIVING_LICENCE = "driving_licence"

    PAYMENT_CARD = "payment_card"
    IBAN = "iban"

    US_SSN = "us_ssn"
    US_ITIN = "us_itin"
    CA_SIN = "ca_sin"
    BR_CPF = "br_cpf"
    UK_NINO = "uk_nino"
    UK_NHS = "uk_nhs"
    DE_STEUER_ID = "de_steuer_id"
    FR_NIR = "fr_nir"
    ES_DNI = "es_dni"
    IT_CODICE_FISCALE = "it_codice_fiscale"
    NL_BSN = "nl_bsn"
    BE_NRN = "be_nrn"
    PL_PESEL = "pl_pesel"
    SE_PERSONNUMMER = "se_personnummer"
    FI_HETU = "fi_hetu"
    CH_AHV = "ch_ahv"
    IN_AADHAAR = "in_aadhaar"
    AU_TFN = "au_tfn"

    IP_ADDRESS = "ip_address"
    MAC_ADDRESS = "mac_address"

    AWS_KEY = "aws_key"
    AZURE_KEY = "azure_key"
    GOOGLE_KEY = "google_key"
    OPENAI_KEY = "openai_key"
    ANTHROPIC_KEY = "anthropic_key"
    HUGGINGFACE_TOKEN = "huggingface_token"
    GITHUB_TOKEN = "github_token"
    GITLAB_TOKEN = "gitlab_token"
    SLACK_TOKEN = "slack_token"
    STRIPE_KEY = "stripe_key"
    NPM_TOKEN = "npm_token"
    PYPI_TOKEN = "pypi_token"
    PROVIDER_KEY = "provider_key"
    PRIVATE_KEY = "private_key"
    JWT = "jwt"
    GENERIC_SECRET = "generic_secret"


CANARY = "canary"
"""The type of a finding that is a canary token."""

_CONTACT = frozenset((Detector.EMAIL, Detector.PHONE, Detector.POSTAL_ADDRESS, Detector.DATE_OF_BIRTH))
_DOCUMENT = frozenset((Detector.PASSPORT, Detector.DRIVING_LICENCE))
_FINANCIAL = frozenset((Detector.PAYMENT_CARD, Detector.IBAN))
_NETWORK = frozenset((Detector.IP_ADDRESS, Detector.MAC_ADDRESS))
_SECRET = frozenset(one for one in Detector if one is Detector.JWT or one.endswith(("_key", "_token", "_secret")))
_NATIONAL_ID = frozenset(Detector) - _CONTACT - _DOCUMENT - _FINANCIAL - _NETWORK - _SECRET

GROUPS: dict[str, frozenset[Detector]] = {
    "contact": _CONTACT,
    "document": _DOCUMENT,
    "financial": _FINANCIAL,
    "national_id": _NATIONAL_ID,
    "network": _NETWORK,
    "secret": _SECRET,
    "personal": _CONTACT | _DOCUMENT | _FINANCIAL | _NATIONAL_ID,
    "all": frozenset(Detector),
}
"""Names that stand for several detectors in a rule."""


class Action(StrEnum):
    """What a finding in a call leads to. The strictest of all rules that apply counts: refuse, redact, route, flag."""

    FLAG = "flag"
    """It is on the record, nothing else."""
    ROUTE = "route"
    """The call goes only to places that are allowed for the class that the rule raises it to."""
    REDACT = "redact"
    """A placeholder goes in its stead; where the answer names the placeholder, the caller gets the original."""
    REFUSE = "refuse"
    """The call goes nowhere."""


class AnswerAction(StrEnum):
    """What a finding in an answer leads to. The strictest of all rules that apply counts."""

    FLAG = "flag"
    """It is on the record, nothing else."""
    REDACT = "redact"
    """The caller gets `[TYPE]` in its stead."""
    BLOCK = "block"
    """The answer ends before it, with an error."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A table of the configuration: immutable, and an unknown key in it is an error."""


class ScreenRule(_Part, frozen=True, kw_only=True):
    """What to do about some types of findings in a call."""

    name: Name
    """Stands in refusals and records."""
    find: tuple[str, ...]
    """Detectors, groups of them (a key of `GROUPS`), own patterns and word lists, by name."""
    action: Action = Action.FLAG
    raise_to: DataClass | None = None
    """The class that a finding raises the call to. Needed for `route`; counts with any action."""
    data_classes: tuple[DataClass, ...] | None = None
    """Declared classes of calls that the rule is for; all where not given."""
    at_least: Annotated[int, msgspec.Meta(ge=1)] = 1
    """Applies from this many findings of `find` together in one call."""


class AnswerRule(_Part, frozen=True, kw_only=True):
    """What to do about some types of findings in an answer."""

    name: Name
    """Stands in errors and records."""
    find: tuple[str, ...]
    """As in `ScreenRule.find`; also `canary`."""
    action: AnswerAction = AnswerAction.FLAG
    data_classes: tuple[DataClass, ...] | None = None
    """Classes of calls that the rule is for; all where not given."""
    unless_in_prompt: bool = True
    """Whether what stood in the prompt may stand in the answer. Never so for canaries, which stand in prompts to be told apart."""


class OwnPattern(_Part, frozen=True, kw_only=True):
    """A company's own form of data, as a regular expression that is matched in linear time."""

    name: Name
    """Its type: stands in rules, records and placeholders."""
    regex: str
    """No back-references and no look-around; no `^` or `$`: a text of a call has no fixed beginning. `\\b` is a word's edge."""
    ignore_case: bool = False
    """Whether capitals do not matter."""
    context: tuple[str, ...] = ()
    """Where given, one of these words must stand within 60 characters before or after it, in any case."""


class WordList(_Part, frozen=True, kw_only=True):
    """Words and phrases of the company: code names, customers."""

    name: Name
    """Its type: stands in rules, records and placeholders."""
    words: tuple[str, ...] = ()
    """What is looked for."""
    file: str | None = None
    """A file with one word or phrase on each line, `#` begins a comment; read when the configuration is."""
    ignore_case: bool = True
    """Whether capitals do not matter."""
    whole_words: bool = True
    """Whether letters or digits right beside it make it another word."""


class Canary(_Part, frozen=True, kw_only=True):
    """A token planted in a prompt or a document, which no answer may show."""

    name: Name
    """Stands in errors and records."""
    token: str = ""
    """The token itself: in clear text here, so rather one of the next two."""
    token_env: str | None = None
    """Environment variable that holds it; read when the configuration is."""
    token_file: str | None = None
    """File that holds it."""


class Screening(_Part, frozen=True, kw_only=True):
    """The content screen. A type that is on and that no rule names is flagged."""

    detectors: tuple[Detector, ...] | None = None
    """Types that are looked for; all where not given."""
    rules: tuple[ScreenRule, ...] = ()
    """For calls. All that apply count; their order means nothing."""
    answer_rules: tuple[AnswerRule, ...] = ()
    """For answers. All that apply count. Without any, answers are not watched; placeholders are put back all the same."""
    patterns: tuple[OwnPattern, ...] = ()
    word_lists: tuple[WordList, ...] = ()
    canaries: tuple[Canary, ...] = ()
    external: ExternalScreening | None = None


class Found(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """For the record: how often one type was found in a call or an answer, and where. Never what."""

    type: str
    count: int
    offsets: list[tuple[int, int, int]]
    """Number of the text, first character, character after the last; of the first 16."""
