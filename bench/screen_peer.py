"""Runs in a peer's own environment, where nothing of ours is: `python screen_peer.py presidio|datafog < texts.json > found.json`.

In: `{"texts": [...], "timed": [...]}`. Out: version, findings of each text under our names of types, CPU per KB of the timed ones.
"""

import importlib.metadata
import inspect
import json
import logging
import sys
import time
from collections.abc import Callable
from typing import Any

Found = list[tuple[str, int, int]]
_PRESIDIO = {
    "EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone", "CREDIT_CARD": "payment_card", "IBAN_CODE": "iban", "IP_ADDRESS": "ip_address",
    "MAC_ADDRESS": "mac_address", "US_SSN": "us_ssn", "US_ITIN": "us_itin", "US_PASSPORT": "passport", "UK_PASSPORT": "passport",
    "DE_PASSPORT": "passport", "US_DRIVER_LICENSE": "driving_licence", "UK_DRIVING_LICENCE": "driving_licence", "CA_SIN": "ca_sin",
    "UK_NHS": "uk_nhs", "UK_NINO": "uk_nino", "ES_NIF": "es_dni", "ES_NIE": "es_dni", "IT_FISCAL_CODE": "it_codice_fiscale",
    "PL_PESEL": "pl_pesel", "FI_PERSONAL_IDENTITY_CODE": "fi_hetu", "SE_PERSONNUMMER": "se_personnummer", "DE_TAX_ID": "de_steuer_id",
    "IN_AADHAAR": "in_aadhaar", "AU_TFN": "au_tfn",
}  # fmt: skip
_DATAFOG = {
    "EMAIL": "email", "PHONE": "phone", "SSN": "us_ssn", "CREDIT_CARD": "payment_card", "IP_ADDRESS": "ip_address", "DOB": "date_of_birth",
    "DE_IBAN": "iban", "DE_TAX_ID": "de_steuer_id", "DE_PASSPORT_NUMBER": "passport",
}  # fmt: skip
_THRESHOLD = 0.4
"""Presidio scores its findings; its documentation's examples and its demo take 0.35 to 0.5 as the least."""


def _presidio() -> tuple[str, Callable[[str], Found]]:
    """Every recognizer that works by patterns, for all countries, with its raising of scores by context; no language model."""
    import spacy
    from presidio_analyzer import (
        AnalyzerEngine,
        LocalRecognizer,
        PatternRecognizer,
        RecognizerRegistry,
        predefined_recognizers,
    )
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    logging.disable(logging.WARNING)
    engine = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": "blank"}])
    engine.nlp = {"en": spacy.blank("en")}
    known = [one for _, one in inspect.getmembers(predefined_recognizers, inspect.isclass)]
    recognizers: list[Any] = [one(supported_language="en") for one in known if issubclass(one, PatternRecognizer)]
    recognizers.append(predefined_recognizers.PhoneRecognizer(supported_language="en"))
    assert all(isinstance(one, LocalRecognizer) for one in recognizers)
    analyzer = AnalyzerEngine(RecognizerRegistry(recognizers), engine, supported_languages=["en"])
    entities = [name for name in analyzer.get_supported_entities("en") if name in _PRESIDIO]

    def find(text: str) -> Found:
        found = analyzer.analyze(text, "en", entities=entities, score_threshold=_THRESHOLD)
        return [(_PRESIDIO[one.entity_type], one.start, one.end) for one in found]

    return importlib.metadata.version("presidio-analyzer"), find


def _datafog() -> tuple[str, Callable[[str], Found]]:
    """Its own expressions, the German ones included."""
    import datafog

    def find(text: str) -> Found:
        found = datafog.scan(text, engine="regex", locales=["de"]).entities
        return [(_DATAFOG[one.type], one.start, one.end) for one in found if one.type in _DATAFOG]

    return importlib.metadata.version("datafog"), find


def main() -> None:
    """See the module."""
    given = json.load(sys.stdin)
    version, find = {"presidio": _presidio, "datafog": _datafog}[sys.argv[1]]()
    findings = [find(text) for text in given["texts"]]
    costs = []
    for _ in range(3):
        began = time.process_time_ns()
        for text in given["timed"]:
            find(text)
        costs.append(
            (time.process_time_ns() - began) / 1_000 / sum(len(text.encode()) / 1024 for text in given["timed"])
        )
    json.dump({"version": version, "findings": findings, "us_per_kb": min(costs)}, sys.stdout)


if __name__ == "__main__":
    main()
