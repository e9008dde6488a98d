"""The profiles and model specifications that come with the package (`profiles.toml`, `models.toml`), and profiles in files of one's own."""

import functools
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import msgspec

from switchgear.core.decoding import UNREADABLE
from switchgear.hardware.errors import HardwareError, UnknownName
from switchgear.hardware.model import (
    Architecture,
    Figure,
    Kind,
    ModelSpec,
    Observed,
    Physics,
    Precision,
    Profile,
    unknown,
)

T = TypeVar("T", bound=msgspec.Struct)
_SUFFIX = ".toml"


class _Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A figure as the file has it: `source` names a document of [sources], `assumed` gives the reasoning, or `unknown` says why it is."""

    value: float | None = None
    source: str = ""
    where: str = ""
    assumed: str = ""
    unknown: str = ""
    low: float | None = None
    high: float | None = None


class _Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    kind: Kind
    aliases: tuple[str, ...] = ()
    note: str = ""
    flop_per_s: dict[Precision, _Figure] = {}
    physics: dict[str, _Figure] | None = None
    observed: dict[str, _Figure] | None = None


class _PlaceFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sources: dict[str, str]
    profiles: dict[str, _Place]


class _Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    context_window_tokens: int
    embedding_dimensions: int
    source: str
    aliases: tuple[str, ...] = ()
    architecture: Architecture | None = None


class _ModelFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    models: dict[str, _Model]


def _read(name: str, kind: type[T]) -> T:
    text = resources.files("switchgear.hardware").joinpath(name).read_text(encoding="utf-8")
    try:
        return msgspec.toml.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise HardwareError(f"{name} cannot be read: {error}; install the package again") from error


def _figure(raw: _Figure, sources: Mapping[str, str], place: str) -> Figure:
    if raw.unknown:
        return unknown(raw.unknown)
    if raw.value is None:
        raise HardwareError(
            f"a figure of profile {place} has no value; give one, or unknown = the reason why there is none"
        )
    if raw.assumed:
        return Figure(raw.value, raw.assumed, assumed=True, low=raw.low, high=raw.high)
    if raw.source not in sources:
        raise UnknownName(f"source (profile {place})", raw.source, sources)
    return Figure(raw.value, f"{sources[raw.source]}: {raw.where}", low=raw.low, high=raw.high)


def _profile(name: str, place: _Place, sources: Mapping[str, str]) -> Profile:
    def figures(raw: Mapping[Precision, _Figure] | Mapping[str, _Figure]) -> dict[str, Figure]:
        return {str(key): _figure(value, sources, name) for key, value in raw.items()}

    physics = observed = None
    try:
        if place.physics is not None:
            physics = msgspec.convert(
                {**figures(place.physics), "flop_per_s": figures(place.flop_per_s)}, Physics, from_attributes=True
            )
        if place.observed is not None:
            observed = msgspec.convert(figures(place.observed), Observed, from_attributes=True)
    except msgspec.ValidationError as error:
        raise HardwareError(f"profile {name} cannot be used: {error}; correct its figures") from error
    return Profile(name=name, title=place.title, kind=place.kind, note=place.note, physics=physics, observed=observed)


@functools.cache
def _places() -> _PlaceFile:
    return _read("profiles.toml", _PlaceFile)


@functools.cache
def _specs() -> _ModelFile:
    return _read("models.toml", _ModelFile)


def parse_profiles(text: str, name: str = "profile") -> Mapping[str, Profile]:
    """The profiles in the text of a file like `profiles.toml`, as `switchgear profile` saves it. `name` is the file's, for errors.

    Raises HardwareError with what is wrong and where.
    """
    try:
        file = msgspec.toml.decode(text, type=_PlaceFile)
    except UNREADABLE as error:
        raise HardwareError(f"{name} cannot be read: {error}; write it as `switchgear profile --save` does") from error
    return MappingProxyType({key: _profile(key, place, file.sources) for key, place in file.profiles.items()})


def _saved(path: str, one: str) -> Profile:
    try:
        state = Path(path).stat()
        found = _parsed(path, state.st_mtime_ns, state.st_size)
    except OSError as error:
        raise HardwareError(
            f"{path} cannot be read: {error.strerror}; name a file that `switchgear profile --save` wrote"
        ) from error
    if not one and len(found) != 1:
        raise HardwareError(f"{path} holds {len(found)} profiles; name one of them: {path}:{next(iter(found), 'NAME')}")
    if one and one not in found:
        raise UnknownName(f"profile (in {path})", one, found)
    return found[one or next(iter(found))]


@functools.lru_cache(maxsize=64)
def _parsed(path: str, modified_ns: int, size: int) -> Mapping[str, Profile]:
    """Ten thousand devices of one file read it once; a file that was written anew is read anew."""
    return parse_profiles(Path(path).read_text(encoding="utf-8", errors="replace"), path)


@functools.cache
def profiles() -> Mapping[str, Profile]:
    """Every profile by its name, in the file's order."""
    file = _places()
    return MappingProxyType({name: _profile(name, place, file.sources) for name, place in file.profiles.items()})


@functools.cache
def models() -> Mapping[str, ModelSpec]:
    """Every model specification by its name, in the file's order."""
    return MappingProxyType(
        {
            name: ModelSpec(
                name=name,
                title=model.title,
                context_window_tokens=model.context_window_tokens,
                embedding_dimensions=model.embedding_dimensions,
                source=model.source,
                architecture=model.architecture,
            )
            for name, model in _specs().models.items()
        }
    )


@functools.cache
def _names() -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Which profile and which model a name or alias means."""
    return (
        {alias: name for name, place in _places().profiles.items() for alias in (name, *place.aliases)},
        {alias: name for name, model in _specs().models.items() for alias in (name, *model.aliases)},
    )


def profile(name: str) -> Profile:
    """The profile of this name or alias, or of a file as `switchgear profile --save` writes it: `mine.toml`, or `mine.toml:NAME` where it
    holds several.

    Raises UnknownName with the nearest known one, and HardwareError where a file cannot be used.
    """
    path, suffix, one = name.partition(_SUFFIX)
    if suffix and one[:1] in ("", ":"):
        return _saved(path + suffix, one[1:])
    known = _names()[0]
    if name not in known:
        raise UnknownName("profile", name, known)
    return profiles()[known[name]]


def model_spec(name: str) -> ModelSpec:
    """The model specification of this name or alias. Raises UnknownName with the nearest known one."""
    known = _names()[1]
    if name not in known:
        raise UnknownName("model", name, known)
    return models()[known[name]]
