"""A measured profile as text, in the form of `hardware/profiles.toml`, which `hardware.catalogue.parse_profiles` reads."""

import json
from collections.abc import Iterator

from switchgear.hardware.model import Figure, Profile

_SOURCE = "measured"


def toml(profile: Profile, source: str) -> str:
    """The profile as TOML. Figures whose source begins with `source` refer to it; the others keep their reasoning or document."""
    head = "# Written by `switchgear profile`. low and high are the 95 % interval of what was fitted."
    lines = [f"{head}\n\n[sources]\n{_SOURCE} = {_text(source)}"]
    other = _other_sources(profile, source)
    lines += [f"{key} = {_text(document)}" for document, key in other.items()]
    name = json.dumps(profile.name)
    lines.append(f"\n[profiles.{name}]\ntitle = {_text(profile.title)}\nkind = {_text(profile.kind.value)}")
    if profile.note:
        lines.append(f"note = {_text(profile.note)}")
    view = profile.physics or profile.observed
    rest: list[str] = []
    for field in () if view is None else view.__struct_fields__:
        value = getattr(view, field)
        if isinstance(value, Figure):
            rest.append(f"{field} = {_figure(value, source, other)}")
        else:
            lines += [f"{field}.{key} = {_figure(figure, source, other)}" for key, figure in value.items()]
    lines.append(f"[profiles.{name}.{'physics' if profile.physics else 'observed'}]")
    return "\n".join([*lines, *rest]) + "\n"


def _figures(profile: Profile) -> Iterator[Figure]:
    view = profile.physics or profile.observed
    for field in () if view is None else view.__struct_fields__:
        value = getattr(view, field)
        yield from [value] if isinstance(value, Figure) else value.values()


def _other_sources(profile: Profile, source: str) -> dict[str, str]:
    """Documents of figures that were not measured, each with a key."""
    documents: dict[str, str] = {}
    for figure in _figures(profile):
        if not figure.assumed and not figure.source.startswith(source):
            documents.setdefault(figure.source.partition(": ")[0], f"document-{len(documents) + 1}")
    return documents


def _figure(figure: Figure, source: str, other: dict[str, str]) -> str:
    if not figure.known:
        return f"{{ unknown = {_text(figure.source)} }}"
    interval = (
        ""
        if figure.low is None or figure.high is None
        else f", low = {_number(figure.low)}, high = {_number(figure.high)}"
    )
    if figure.assumed:
        where = f"assumed = {_text(figure.source)}"
    elif figure.source.startswith(source):
        said = figure.source.removeprefix(source).lstrip("; ")
        where = f"source = {_text(_SOURCE)}, where = {_text(said or 'fitted')}"
    else:
        document, _, place = figure.source.partition(": ")
        where = f"source = {_text(other[document])}, where = {_text(place)}"
    return f"{{ value = {_number(figure.value)}, {where}{interval} }}"


def _number(value: float) -> str:
    return repr(float(value))


def _text(value: str) -> str:
    return json.dumps(value)  # TOML's basic strings know every escape that JSON writes
