"""What authorizing costs: `python -m bench.authz`.

Sides, in turn over several rounds in one process, each over the shipped starting policies and a configurable number of further ones:

- kept: `authorizer.reach[standing, model, data_class]`, what each call does
- uncached: a decision of Cedar's with policies and world compiled, one at a time
- in one: the same for all targets of a model together, which is what fills the cache, per decision
- from text: `cedarpy.is_authorized` with texts and entities, as without any compiling

and, once, what a snapshot costs: reading and checking policies, compiling them; what a standing costs, known and new; what a refusal costs.
Figures are CPU time of this thread.
"""

import argparse
import gc
import importlib.resources
import json
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import cedarpy
from rich.console import Console
from rich.table import Table

from switchgear.core.authorization import Place, PolicyText, Purpose, Team
from switchgear.core.data_class import DataClass
from switchgear.policy.authz import Authorizer
from switchgear.policy.authz_world import Target
from switchgear.policy.cedar import PolicySet, Sending
from switchgear.policy.cedar_check import check
from switchgear.policy.cedar_schema import World, entities, principal

WORLD = World(
    {
        "cloud-eu": Place(kind="cloud", region="eu-central", jurisdiction="EU/DE"),
        "cloud-us": Place(kind="cloud", region="us-east", jurisdiction="US"),
        "rack": Place(kind="onprem", region="eu-central", jurisdiction="EU/DE", labels=("gpu",)),
    },
    {f"model-{number}": (("large",) if number % 2 else ()) for number in range(16)},
    {"agency": Team(roles=("contractor",)), "research": Team()},
)
ROUTES = {name: tuple(Target(place, "llama") for place in WORLD.places) for name in WORLD.models}


class Figure(NamedTuple):
    """One side's CPU time, ns for each time."""

    median_ns: float
    lowest_ns: float


def measure(act: Callable[[], object], times: int, rounds: int) -> Figure:
    """CPU time of doing something, the loop around it taken off."""

    def run(what: Callable[[], object]) -> float:
        begin = time.thread_time_ns()
        for _ in range(times):
            what()
        return (time.thread_time_ns() - begin) / times

    empty = min(run(lambda: None) for _ in range(3))
    found = [run(act) - empty for _ in range(rounds)]
    return Figure(statistics.median(found), min(found))


def texts(further: int) -> tuple[PolicyText, ...]:
    """The starting policies, and further ones that look like them."""
    starting = importlib.resources.files("switchgear.policy") / "starting"
    shipped = [PolicyText(one.name, one.read_text()) for one in starting.iterdir() if one.name.endswith(".cedar")]
    more = "\n".join(
        f'@id("further-{number}") forbid (principal in Team::"team-{number}", action, resource)\n'
        f'when {{ context.data_class in DataClass::"confidential" && resource.kind == Kind::"cloud" }};'
        for number in range(further)
    )
    return (*shipped, PolicyText("further.cedar", more))


def sides(given: tuple[PolicyText, ...], policies: PolicySet, rounds: int) -> dict[str, Figure]:
    """Each side's CPU time."""
    authorizer: Authorizer[Target] = Authorizer(policies, ROUTES)
    standing = authorizer.standing("ada", "research")
    reach, model, data_class = authorizer.reach, "model-3", DataClass.CONFIDENTIAL
    sendings = [Sending(Purpose.FIRST, target.backend, target.model) for target in ROUTES[model]]
    text = "\n".join(one.text for one in given)
    everything = json.dumps([*entities(WORLD), principal("ada", "research", ())])
    request = {
        "principal": {"type": "Principal", "id": "ada"},
        "action": {"type": "Action", "id": "first"},
        "resource": {"type": "Backend", "id": "rack"},
        "context": {
            "model": {"__entity": {"type": "Model", "id": model}},
            "model_there": "llama",
            "data_class": {"__entity": {"type": "DataClass", "id": "confidential"}},
        },
    }

    def ask(some: list[Sending]) -> object:
        return policies.decide(standing.name, standing.around, model, data_class, some)

    def fill() -> object:
        fresh: Authorizer[Target] = Authorizer(policies, ROUTES)
        return fresh.reach[fresh.standing("ada", "research"), model, data_class]

    together = measure(lambda: ask(sendings), 200, rounds)
    names = iter(range(10**9))
    return {
        "kept": measure(lambda: reach[standing, model, data_class], 200_000, rounds),
        "uncached": measure(lambda: ask(sendings[:1]), 300, rounds),
        "in one, each": Figure(together.median_ns / len(sendings), together.lowest_ns / len(sendings)),
        "from text": measure(lambda: cedarpy.is_authorized(request, text, everything), 40, rounds),
        "a first call (authorizer, standing, reach)": measure(fill, 50, rounds),
        "standing, known": measure(lambda: authorizer.standing("ada", "research"), 20_000, rounds),
        "standing, new": measure(lambda: policies.with_principal(f"user-{next(names)}", "research", ()), 200, rounds),
        "a snapshot: read and check": measure(lambda: check(given, WORLD), 1, rounds),
        "a snapshot: compile in a worker": measure(lambda: PolicySet.of_checked(given, WORLD), 1, rounds),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--further", type=int, nargs="*", default=[0, 50], help="policies beside the starting ones")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    gc.disable()
    found: dict[int, dict[str, Figure]] = {}
    for further in options.further:
        given = texts(further)
        policies = PolicySet(check(given, WORLD).policies, WORLD)
        found[len(policies.policies)] = sides(given, policies, options.rounds)
    if options.json:
        print(json.dumps({count: {side: one._asdict() for side, one in made.items()} for count, made in found.items()}))
        return
    for count, made in found.items():
        table = Table(title=f"{count} policies, 3 targets, CPU time", title_justify="left")
        for column in ("", "median", "lowest", "x kept"):
            table.add_column(column, justify="left" if not column else "right")
        for side, figure in made.items():
            times = figure.median_ns / made["kept"].median_ns
            table.add_row(side, _time(figure.median_ns), _time(figure.lowest_ns), f"{times:,.0f}")
        Console().print(table)


def _time(ns: float) -> str:
    return f"{ns:,.0f} ns" if ns < 1e4 else f"{ns / 1e3:,.1f} us" if ns < 1e6 else f"{ns / 1e6:,.2f} ms"


if __name__ == "__main__":
    main()
