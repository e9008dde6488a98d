"""Which faults a request meets: those that it brings itself and those of the place's rules. Deciding is pure."""

import fnmatch
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from switchgear.emulator.errors import EmulatorError
from switchgear.emulator.faults import Fault, parse_faults


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a rule is in force, in real seconds since it was set: from `start_s` to `end_s`, and so again every `every_s`."""

    start_s: float = 0.0
    end_s: float | None = None
    every_s: float | None = None

    def __post_init__(self) -> None:
        if self.start_s < 0 or (self.end_s is not None and self.end_s <= self.start_s):
            raise ValueError("end_s must be after start_s, and start_s not negative")
        if self.every_s is not None and (self.end_s is None or self.every_s < self.end_s - self.start_s):
            raise ValueError("every_s needs an end_s and must not be shorter than the time from start_s to end_s")

    def holds(self, elapsed_s: float) -> bool:
        """Whether it is in force `elapsed_s` after it was set."""
        since_s = elapsed_s - self.start_s
        if since_s < 0:
            return False
        if self.every_s is not None:
            since_s %= self.every_s
        return self.end_s is None or since_s < self.end_s - self.start_s


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A fault for the requests that match. `model` and `endpoint` are shell patterns; `count` ends it after so many hits."""

    fault: Fault
    model: str = "*"
    endpoint: str = "*"
    probability: float = 1.0
    schedule: Schedule | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError("probability must be from 0 to 1")
        if self.count is not None and self.count < 1:
            raise ValueError("count must be at least 1")


class Asked(NamedTuple):
    """What a decision depends on: the request, its number at this place, and the seconds since the rules were set."""

    model: str
    endpoint: str
    number: int
    elapsed_s: float


def decide(rules: Sequence[Rule], fired: Mapping[int, int], asked: Asked, seed: int) -> list[int]:
    """The rules that hit a request, by their places in `rules`; `fired` says how often each has hit before.

    The chance of a hit is a function of the seed, the rule's place and the request's number, so a run can be repeated.
    """
    hits = []
    for index, rule in enumerate(rules):
        if rule.count is not None and fired.get(index, 0) >= rule.count:
            continue
        if rule.schedule is not None and not rule.schedule.holds(asked.elapsed_s):
            continue
        if not (fnmatch.fnmatchcase(asked.model, rule.model) and fnmatch.fnmatchcase(asked.endpoint, rule.endpoint)):
            continue
        if rule.probability < 1 and chance(seed, index, asked.number) >= rule.probability:
            continue
        hits.append(index)
    return hits


def chance(seed: int, index: int, number: int) -> float:
    """An even number from 0 up to but without 1 for one rule and one request."""
    digest = hashlib.blake2b(f"{seed}/{index}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def parse_rules(raw: Any) -> tuple[Rule, ...]:
    """Read rules: a list of them, one of them, or faults alone, in JSON's types. Raises EmulatorError."""
    if isinstance(raw, str) or not isinstance(raw, list):
        raw = [] if raw is None else [raw]
    rules: list[Rule] = []
    for one in raw:
        if isinstance(one, dict) and "fault" in one:
            rules.extend(_rule(one, fault) for fault in parse_faults(one["fault"]))
        else:
            rules.extend(Rule(fault=fault) for fault in parse_faults(one))
    return tuple(rules)


def _rule(raw: dict[str, Any], fault: Fault) -> Rule:
    raw = {
        name: value for name, value in raw.items() if name != "fired"
    }  # told by the control endpoint beside each rule
    known = set(Rule.__struct_fields__)
    if unknown := sorted(set(raw) - known):
        raise EmulatorError(f"rule has an unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    try:
        return msgspec.convert({**raw, "fault": msgspec.to_builtins(fault)}, Rule)
    except msgspec.ValidationError as error:
        raise EmulatorError(f"rule for {raw['fault']!r}: {error}; see `switchgear emulate --help`") from error


class FaultBook:
    """A place's rules, how often each has hit, and which one-time faults of requests are spent."""

    _REMEMBERED = 4096

    def __init__(self, place: str, seed: int, rules: Sequence[Rule] = ()) -> None:
        self._place = place
        self._seed = seed
        self._spent: dict[bytes, None] = {}
        self._number = 0
        self.rules: tuple[Rule, ...] = tuple(rules)
        self.fired: dict[int, int] = {}
        self.set_at_s = 0.0

    def set(self, rules: Sequence[Rule], now_s: float) -> None:
        """Replace the rules; their schedules and counts begin anew at monotonic `now_s`."""
        self.rules = tuple(rules)
        self.fired = {}
        self.set_at_s = now_s

    def meet(self, endpoint: str, model: str, own: Sequence[Fault], now_s: float, body: bytes) -> tuple[Fault, ...]:
        """The faults of one request: its own first, then the rules'. With a `none` of its own it meets none."""
        self._number += 1
        here = [fault for fault in own if fault.at in ("", self._place)]
        if any(fault.__struct_config__.tag == "none" for fault in here):
            return ()
        asked = Asked(model, endpoint, self._number, now_s - self.set_at_s)
        for index in decide(self.rules, self.fired, asked, self._seed) if self.rules else ():
            fault = self.rules[index].fault
            if fault.at in ("", self._place):
                self.fired[index] = self.fired.get(index, 0) + 1
                here.append(fault)
        return tuple(fault for fault in here if not getattr(fault, "once", False) or self._first(fault, body))

    def _first(self, fault: Fault, body: bytes) -> bool:
        key = hashlib.blake2b(msgspec.json.encode(fault) + body, digest_size=16).digest()
        if key in self._spent:
            return False
        if len(self._spent) >= self._REMEMBERED:
            del self._spent[next(iter(self._spent))]
        self._spent[key] = None
        return True
