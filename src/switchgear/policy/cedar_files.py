"""Files of policies, read. Deciding does no I/O (`policy.cedar`): this is done once, where a configuration is loaded."""

import glob
from collections.abc import Iterable
from pathlib import Path

from switchgear.core.authorization import PolicyText
from switchgear.core.errors import ConfigError, Problem


def load_policies(files: Iterable[str], *, root: Path = Path()) -> tuple[PolicyText, ...]:
    """Texts of the files that paths and patterns name, each once, in order. Raises ConfigError for each that gives none."""
    texts: dict[str, PolicyText] = {}
    problems: list[Problem] = []
    for name in files:
        found = sorted(glob.glob(name, root_dir=root, recursive=True)) if glob.has_magic(name) else [name]
        if not found:
            problems.append(
                Problem(name, "matches no file", "Correct the pattern; it begins at the working directory.")
            )
        for file in found:
            try:
                texts.setdefault(file, PolicyText(file, (root / file).read_text(encoding="utf-8")))
            except OSError as error:
                problems.append(Problem(file, f"cannot be read: {error.strerror}", "Name a file that can."))
            except UnicodeDecodeError:
                problems.append(Problem(file, "is not UTF-8 text", "Save it as UTF-8."))
    if problems:
        raise ConfigError(problems)
    return tuple(texts.values())
