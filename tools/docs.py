"""Write the pages of docs/ that are made from the program: `python tools/docs.py`. A test compares them with the program."""

from pathlib import Path

from switchgear.gateway.errors_page import errors_page
from switchgear.gateway.reference import configuration_reference

ROOT = Path(__file__).parent.parent


def pages() -> dict[Path, str]:
    """Each generated page and what it should say."""
    full_example = (ROOT / "examples/full.toml").read_text(encoding="utf-8")
    return {
        ROOT / "docs/configuration.md": configuration_reference(full_example),
        ROOT / "docs/errors.md": errors_page(),
    }


def main() -> None:
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
