"""Reading a scenario's file: every problem with its line and a remedy, as for the gateway's configuration."""

import fnmatch
import os
import re
import tomllib
from itertools import combinations
from pathlib import Path as File
from typing import Any

import msgspec

from switchgear.core.clock import ManualClock
from switchgear.core.errors import Problem, SwitchgearError
from switchgear.core.snapshot import Model
from switchgear.emulator.conditions import UNDISTURBED, hit
from switchgear.emulator.device_spec import DeviceSpec
from switchgear.emulator.place import Place, World
from switchgear.emulator.scenario import (
    EVENTS,
    GATEWAY,
    MOST_FLAPS,
    ON_GATEWAY,
    BatteryRunDown,
    Event,
    NetworkFlap,
    kind_of,
)
from switchgear.gateway.config import ConfigFileError
from switchgear.gateway.config_decode import BAD, Decoder
from switchgear.gateway.findings import Findings, suggest
from switchgear.gateway.lines import Lines, Path
from switchgear.gateway.strategies import STRATEGIES
from switchgear.rehearsal.model import MOST_BEHIND_A_GATEWAY, MOST_DEVICES, Scenario

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def read_scenario(path: str | os.PathLike[str]) -> Scenario:
    """The scenario in a file. Raises ConfigFileError with every problem, its line and its remedy."""
    name = os.fspath(path)
    try:
        text = File(path).read_bytes()
    except OSError as error:
        reason = Problem("file", f"cannot be read: {error.strerror or error}", "Name a scenario's file.")
        raise ConfigFileError(name, [reason]) from error
    return parse_scenario(text, name=name)


def parse_scenario(text: bytes, *, name: str = "scenario") -> Scenario:
    """The scenario in a file's content. Raises ConfigFileError with every problem."""
    try:
        decoded = text.decode("utf-8-sig")
        raw = tomllib.loads(decoded)
    except UnicodeDecodeError as error:
        raise ConfigFileError(name, [Problem("file", "is not UTF-8 text", "Save it as UTF-8.")]) from error
    except (ValueError, RecursionError) as error:
        problem = Problem("file", f"is not valid TOML: {error}", "See toml.io for how TOML is written.")
        raise ConfigFileError(name, [problem]) from error
    lines = Lines(decoded)
    findings = Findings(lines)
    scenario = _Reader(raw, findings, lines).read()
    if findings.problems or scenario is None:
        raise ConfigFileError(name, findings.problems)
    return scenario


class _Decoder(Decoder):
    """The configuration's decoder, which also takes what a structure itself has to say against its values."""

    def _table(self, value: object, struct: type[msgspec.Struct], path: Path) -> object:
        try:
            return super()._table(value, struct, path)
        except SwitchgearError as error:
            said = str(error)
            field = next((key for key in (value if isinstance(value, dict) else ()) if said.startswith(key)), None)
            problem, _, remedy = said.partition("; ")
            self.findings.refuse((*path, field) if field else path, problem, _sentence(remedy))
            return BAD


class _Reader:
    def __init__(self, raw: dict[str, Any], findings: Findings, lines: Lines) -> None:
        self._raw = raw
        self._findings = findings
        self._lines = lines
        self._events: dict[int, Event] = {}
        """Good ones, by their place in the file."""

    def read(self) -> Scenario | None:
        events = self._raw.pop("events", [])
        if not isinstance(events, list):
            self._findings.refuse(("events",), "must be an array of tables", "Write each as [[events]].")
            events = []
        doc = _Decoder(self._raw, self._findings)
        scenario = doc.decode(self._raw, Scenario, ())
        for index, event in enumerate(events):
            self._read_event(doc, event, ("events", index), index)
        for path, spec in doc.all(DeviceSpec):
            self._check_hardware(path, spec)
        if not isinstance(scenario, Scenario):
            return None
        self._check_devices(scenario)
        if self._findings.problems:
            return None
        self._check_models(scenario)
        self._check_load(scenario)
        for index, one in self._events.items():
            self._check_event(scenario, one, ("events", index))
        if not self._findings.problems:
            self._check_overlaps(scenario)
        return msgspec.structs.replace(scenario, events=tuple(self._events.values()))

    def _read_event(self, doc: Decoder, raw: object, path: Path, index: int) -> None:
        kind = raw.get("kind") if isinstance(raw, dict) else None
        if not isinstance(raw, dict) or not isinstance(kind, str) or kind not in EVENTS:
            what = "has no kind" if kind is None else f"is of no known kind: {kind!r}"
            self._findings.refuse((*path, "kind"), what, suggest(str(kind or ""), EVENTS, what="Kinds"))
            return
        without = {key: value for key, value in raw.items() if key != "kind"}
        made = doc.decode(without, EVENTS[kind], path)
        if isinstance(made, Event):
            self._events[index] = made

    # -- what does not fit together --

    def _check_devices(self, scenario: Scenario) -> None:
        total = 0
        for name, spec in scenario.devices.items():
            path = ("devices", name)
            total += spec.count
            if not _NAME.fullmatch(name):
                self._findings.refuse(
                    path,
                    "is no name for a device",
                    "Use letters, digits and . _ -, at most 64, a letter or digit first.",
                )
            if name == GATEWAY:
                self._findings.refuse(path, "is the gateway's own name", "Call the device something else.")
        if not scenario.devices:
            self._findings.refuse(("devices",), "names no device", "Write at least one table [devices.NAME].")
        most = MOST_BEHIND_A_GATEWAY if scenario.through_gateway else MOST_DEVICES
        if total > most:
            remedy = "Set through_gateway = false for a fleet." if total <= MOST_DEVICES else "Give fewer."
            self._findings.refuse(("devices",), f"are {total} devices, and {most} can be rehearsed so", remedy)

    def _check_hardware(self, path: Path, spec: DeviceSpec) -> None:
        try:
            figures = spec.figures()
            Place(spec.settings("device", speed=1.0, seed=0), ManualClock(), World(figures, UNDISTURBED, 0.0))
        except SwitchgearError as error:
            problem, _, remedy = str(error).partition("; ")
            self._findings.refuse(path, problem, _sentence(remedy))

    def _check_models(self, scenario: Scenario) -> None:
        names = list(scenario.specs())
        for name, model in scenario.models.items():
            path = ("models", name)
            if model.strategy not in STRATEGIES:
                self._findings.refuse(
                    (*path, "strategy"),
                    f"names no strategy: {model.strategy!r}",
                    suggest(model.strategy, STRATEGIES, what="Strategies"),
                )
            self._check_targets(model, path, names)

    def _check_targets(self, model: Model, path: Path, names: list[str]) -> None:
        for index, target in enumerate(model.targets):
            if not fnmatch.filter(names, target.backend):
                self._findings.refuse(
                    (*path, "targets", index),
                    f"names no device: {target.backend!r}",
                    suggest(target.backend, names[:50], what="Devices"),
                )

    def _check_load(self, scenario: Scenario) -> None:
        if not scenario.load:
            self._findings.refuse(("load",), "is empty", "Write at least one table [[load]].")
        for index, load in enumerate(scenario.load):
            if load.at_s >= scenario.lasts_s:
                self._findings.refuse(
                    ("load", index, "at_s"),
                    f"begins at {load.at_s:g} s, and the scenario lasts {scenario.lasts_s:g} s",
                    "Let it begin before the end.",
                )
            if scenario.through_gateway and scenario.models and load.model not in scenario.models:
                self._findings.refuse(
                    ("load", index, "model"),
                    f"names no model: {load.model!r}",
                    suggest(load.model, scenario.models, what="Models"),
                )

    def _check_event(self, scenario: Scenario, event: Event, path: Path) -> None:
        refuse = self._findings.refuse
        if event.at_s >= scenario.lasts_s:
            refuse(
                (*path, "at_s"),
                f"begins at {event.at_s:g} s, and the scenario lasts {scenario.lasts_s:g} s",
                "Let it begin before the end, or let the scenario last longer.",
            )
        if event.ramp_s and not event.ramps:
            refuse((*path, "ramp_s"), f"{kind_of(event)} comes at once", "Leave ramp_s out.")
        elif event.for_s is not None and 2 * event.ramp_s > event.for_s:
            refuse(
                (*path, "ramp_s"),
                f"growing and fading for {event.ramp_s:g} s each do not fit into {event.for_s:g} s",
                "Give a ramp of at most half of for_s.",
            )
        if isinstance(event, NetworkFlap):
            self._check_flap(scenario, event, path)
        self._check_aim(scenario, event, path)

    def _check_flap(self, scenario: Scenario, event: NetworkFlap, path: Path) -> None:
        if event.down_s >= event.period_s:
            self._findings.refuse(
                (*path, "down_s"),
                f"is {event.down_s:g} s of every {event.period_s:g} s: the link is never up",
                "Give less than period_s, or a partition.",
            )
        elif (event.ends_s(scenario.lasts_s) - event.at_s) / event.period_s > MOST_FLAPS:
            self._findings.refuse((*path, "period_s"), f"makes more than {MOST_FLAPS} flaps", "Give a longer period.")

    def _check_aim(self, scenario: Scenario, event: Event, path: Path) -> None:
        refuse = self._findings.refuse
        if GATEWAY in event.on:
            if event.on != (GATEWAY,):
                refuse((*path, "on"), "names the gateway and devices", "Write an event for each.")
            if not isinstance(event, ON_GATEWAY):
                refuse((*path, "on"), f"the gateway meets no {kind_of(event)} here", "Name devices.")
            return
        names = [device.name for device in scenario.named()]
        for number, pattern in enumerate(event.on):
            if not fnmatch.filter(names, pattern):
                groups = [*scenario.devices, *names[:200]]
                refuse(
                    (*path, "on", number), f"matches no device: {pattern!r}", suggest(pattern, groups, what="Devices")
                )
        aimed = hit(event, 0, scenario.named(), scenario.seed)
        if not aimed and event.where:
            labels = sorted({f"{key}={value}" for one in scenario.named() for key, value in one.labels.items()})
            refuse((*path, "where"), "matches no device's labels", f"Labels here: {', '.join(labels[:20]) or 'none'}.")
        specs = scenario.specs()
        if isinstance(event, BatteryRunDown) and (bare := [one for one in aimed if specs[one].battery is None]):
            refuse(path, f"{bare[0]} has no battery", "Give the device a battery, or use power_cut.")

    def _check_overlaps(self, scenario: Scenario) -> None:
        """Two events that set the same quantity of the same device at the same time contradict each other."""
        named, lasts_s = scenario.named(), scenario.lasts_s
        hits = {
            index: set(hit(event, place, named, scenario.seed))
            for place, (index, event) in enumerate(self._events.items())
        }
        for (first, one), (second, other) in combinations(self._events.items(), 2):
            both = hits[first] & hits[second] or ({GATEWAY} if GATEWAY in one.on and GATEWAY in other.on else set())
            apart = one.ends_s(lasts_s) <= other.at_s or other.ends_s(lasts_s) <= one.at_s
            if one.quantity == other.quantity and both and not apart:
                line = self._lines.line(("events", first))
                self._findings.refuse(
                    ("events", second),
                    f"sets the {one.quantity} of {min(both)} while the {kind_of(one)} on line {line} does",
                    "Let one end before the other begins, or aim them at different devices.",
                )


def _sentence(remedy: str) -> str:
    """A remedy from the end of an error's message, as a sentence of its own."""
    if not remedy:
        return ""
    return f"{remedy[0].upper()}{remedy[1:]}{'' if remedy[-1] in '.?' else '.'}"
