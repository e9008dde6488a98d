"""The keys of sketches, from where the configuration says."""

import os
from collections.abc import Mapping
from pathlib import Path

from switchgear.core.sealing import BadSealingKey, Keyring, parse_keys
from switchgear.core.sketching import Sketching


def open_keyring(settings: Sketching, environment: Mapping[str, str]) -> Keyring:
    """From a variable of the environment, else from a file. Raises BadSealingKey."""
    return Keyring(parse_keys(_key_text(settings, environment)), os.urandom)


def _key_text(settings: Sketching, environment: Mapping[str, str]) -> str:
    if settings.key_env is not None:
        text = environment.get(settings.key_env)
        if text is None:
            raise BadSealingKey(
                f"the environment variable {settings.key_env} is not set. Set it to the keys of sketches, ID:BASE64."
            )
        return text
    if settings.key_file is None:
        raise BadSealingKey("[sketches] names no keys. Give key_env or key_file.")
    try:
        return Path(settings.key_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSealingKey(f"the key file of sketches, {settings.key_file}, cannot be read: {error}.") from error
