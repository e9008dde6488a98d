"""The calls of a scenario, all drawn before it begins: the same seed brings the same calls at the same times."""

import hashlib
import random
from typing import NamedTuple

import msgspec

from switchgear.core.data_class import DataClass
from switchgear.rehearsal.model import Load, Scenario

_WORDS = (
    "relay",
    "station",
    "cable",
    "harbour",
    "engineer",
    "window",
    "river",
    "bridge",
    "signal",
    "season",
    "market",
    "orchard",
)
"""Each is one token of the emulator's tokenizer, with the space before it."""


class Arrival(NamedTuple):
    """One call to come."""

    number: int
    at_s: float
    load: Load
    device: str
    """Whom to ask where there is no gateway; empty with one."""
    model: str
    body: bytes

    @property
    def data_class(self) -> DataClass | None:
        """What it carries."""
        return self.load.data_class


def arrivals(scenario: Scenario) -> list[Arrival]:
    """All calls in order of time."""
    drawn: list[tuple[float, int]] = []
    for index, load in enumerate(scenario.load):
        draw = random.Random(_seed(scenario.seed, index))  # noqa: S311  traffic, not secrets
        ends_s = scenario.lasts_s if load.for_s is None else min(scenario.lasts_s, load.at_s + load.for_s)
        at_s = load.at_s + draw.expovariate(load.rate_per_s)
        while at_s < ends_s:
            drawn.append((at_s, index))
            at_s += draw.expovariate(load.rate_per_s)
    drawn.sort()
    names = [] if scenario.through_gateway else list(scenario.specs())
    models = {} if scenario.through_gateway else {name: spec.model for name, spec in scenario.specs().items()}
    made: list[Arrival] = []
    for number, (at_s, index) in enumerate(drawn):
        load = scenario.load[index]
        device = names[_seed(scenario.seed, number) % len(names)] if names else ""
        model = models[device].partition("=")[0] if device else load.model
        made.append(Arrival(number, at_s, load, device, model, _body(load, model, scenario.seed, number)))
    return made


def _seed(seed: int, index: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{index}".encode(), digest_size=8).digest(), "big")


def _body(load: Load, model: str, seed: int, number: int) -> bytes:
    """A chat of about so many prompt tokens that asks for exactly so many tokens of answer."""
    draw = random.Random(_seed(seed, -1 - number))  # noqa: S311  as above
    text = " ".join(draw.choices(_WORDS, k=load.prompt_tokens))
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": load.output_tokens,
        "min_tokens": load.output_tokens,
        "stream": load.stream,
    }
    if load.stream:
        body["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(body)
