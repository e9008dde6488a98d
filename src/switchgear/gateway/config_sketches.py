"""What a configuration may not say of sketches. Whether their keys can be read is known where the gateway starts."""

from switchgear.gateway.config_model import Config
from switchgear.gateway.findings import Findings, suggest


def check_sketches(config: Config, findings: Findings) -> None:
    """Rules name models that exist, and what is kept is sealed."""
    settings = config.sketches
    for index, rule in enumerate(settings.keep):
        for place, model in enumerate(rule.models or ()):
            if model not in config.models:
                path = ("sketches", "keep", index, "models", place)
                findings.refuse(path, f'names no model: "{model}"', suggest(model, config.models, what="Models"))
    if settings.keep and settings.key_env is None and settings.key_file is None:
        findings.refuse(
            ("sketches",),
            "keeps sketches and names no key to seal them with",
            "Give key_env or key_file: ID:BASE64 of 32 random bytes; `openssl rand -base64 32` makes them.",
        )
