"""Microsoft Presidio in a process of its own: `python -m switchgear.policy.external_presidio SETTINGS`, asked over its standard streams.

It reaches no network: its library `tldextract` would fetch a list of domain endings at the first e-mail address, so it is given the
list that comes with it.
"""

import sys
from typing import Any, BinaryIO

import msgspec

from switchgear.core.external_screening import ExternalScreening
from switchgear.policy.external_frames import Ready, Reply, Request, line


class Presidio:
    """Its analyzer, made once."""

    def __init__(self, settings: ExternalScreening) -> None:
        """Raises ImportError without the extra, and OSError for a spaCy model that is not installed."""
        import spacy
        import tldextract
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import SpacyNlpEngine

        tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
        language = settings.language
        pipeline = spacy.load(settings.model) if settings.model else spacy.blank(language)

        class Engine(SpacyNlpEngine):
            """With the one pipeline; Presidio's own engine downloads a model that is missing."""

            def __init__(self) -> None:
                super().__init__(models=[{"lang_code": language, "model_name": settings.model or "blank"}])
                self.nlp = {language: pipeline}  # type: ignore[assignment]  # it is None until `load`

            def load(self) -> None:
                pass

        engine = Engine()
        registry = RecognizerRegistry(supported_languages=[language])
        registry.load_predefined_recognizers(languages=[language], nlp_engine=engine)
        self._analyzer: Any = AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=[language])
        self._settings = settings

    def find(self, texts: list[str]) -> list[tuple[str, int, int, int]]:
        """Findings in texts, in order of text and place."""
        settings = self._settings
        found = [
            (one.entity_type.lower(), one.start, one.end, number)
            for number, text in enumerate(texts)
            for one in self._analyzer.analyze(
                text, settings.language, entities=list(settings.entities), score_threshold=settings.min_score
            )
        ]
        return sorted(found, key=lambda one: (one[3], one[1]))


def serve(presidio: Presidio, asked: BinaryIO, told: BinaryIO) -> None:
    """Answer requests one after the other until nobody asks any more."""
    decode = msgspec.json.Decoder(Request).decode
    for text in asked:
        request = decode(text)
        try:
            reply = Reply(request.number, presidio.find(request.texts))
        except Exception as error:  # noqa: BLE001  whatever its recognizers raise: the next call may go well
            reply = Reply(request.number, error=type(error).__name__)
        told.write(line(reply))
        told.flush()


def main() -> None:
    """Entry point of the process; its argument is an `ExternalScreening` as JSON."""
    told = sys.stdout.buffer
    sys.stdout = sys.stderr  # whatever a library prints must not stand between the lines
    try:
        presidio = Presidio(msgspec.json.decode(sys.argv[1], type=ExternalScreening))
    except Exception as error:
        told.write(line(Ready(f"{type(error).__name__}: {error}")))
        told.flush()
        raise SystemExit(1) from error
    told.write(line(Ready()))
    told.flush()
    serve(presidio, sys.stdin.buffer, told)


if __name__ == "__main__":
    main()
