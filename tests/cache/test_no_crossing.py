"""No answer crosses: not to another principal beyond the scope, not to another data class, not from a place that policy forbids the caller.

Random traffic goes through keys, memory and flights as the gateway would drive them; each answer remembers whose question it was. A seeded
bug (a part left out of the key) is caught, so the check can fail.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import msgspec
import pytest

from switchgear.cache.flights import Flight
from switchgear.cache.keys import Keys, audience
from switchgear.cache.memory import Memory
from switchgear.cache.model import Answer
from switchgear.cache.service import AnswerCache
from switchgear.core.caching import Scope
from switchgear.core.snapshot import Endpoint

PLACES = ("cloud", "onprem", "edge")
SCOPE = Scope.TEAM


class Question(NamedTuple):
    """One call: who asks what, of which class, and where policy lets it go."""

    principal: str
    team: str
    data_class: str
    allowed: frozenset[str]
    text: str


KeyOf = Callable[[Keys, Question], bytes]


def key_of(keys: Keys, question: Question, *, left_out: str = "") -> bytes:
    """The key as the gateway makes it; `left_out`: the seeded bug."""
    facts = {
        "places": " ".join(sorted(question.allowed)),
        "audience": audience(SCOPE, question.principal, question.team),
        "data_class": question.data_class,
    }
    if left_out in facts:
        facts[left_out] = ""
    fields = {} if left_out == "body" else {"prompt": msgspec.Raw(msgspec.json.encode(question.text))}
    return keys.key(Endpoint.COMPLETIONS, fields, **facts)  # type: ignore[arg-type]  # three texts, by name


class Asking:
    """A call under way."""

    deadline_s = 0.0

    def __init__(self, world: "World", question: Question) -> None:
        self.world = world
        self.question = question
        self.flight: Flight[Answer, str] | None = None

    def land(self, answer: Answer) -> None:
        self.world.served(self.question, answer)

    def refuse(self, error: str) -> None:
        raise AssertionError("nothing is refused here")

    def take_over(self) -> None:
        self.world.asking.append(self)

    def stop(self) -> None:
        raise AssertionError("nobody hangs up here")


class World:
    """Callers, one cache, and places that tell in their answer whose question it was."""

    def __init__(self, key: KeyOf) -> None:
        self.cache: AnswerCache[str] = AnswerCache(Memory(1024 * 1024), Keys(bytes(32)))
        self.key = key
        self.now_s = 0.0
        self.asking: list[Asking] = []
        self.crossed: list[tuple[Question, Question, str]] = []
        self.reused = 0

    def ask(self, question: Question) -> None:
        key = self.key(self.cache.keys, question)
        kept = self.cache.find(key, self.now_s)
        if kept is not None:
            self.served(question, kept.answer)
            return
        call = Asking(self, question)
        call.flight, leads = self.cache.flights.join(key, call)
        if leads:
            self.asking.append(call)

    def answer(self, number: int) -> None:
        """One of the places that the call may go to answers it."""
        if not self.asking:
            return
        call = self.asking.pop(number % len(self.asking))
        place = sorted(call.question.allowed)[number % len(call.question.allowed)]
        body = msgspec.json.encode(call.question._replace(allowed=frozenset((place,))))
        answer = Answer("completions", body, place, "m")
        assert call.flight is not None
        self.cache.keep(call.flight.key, answer, self.now_s, 30.0, 0.0, on_disk=False)
        call.flight.landed(call, answer)

    def fail(self, number: int) -> None:
        if self.asking:
            call = self.asking.pop(number % len(self.asking))
            assert call.flight is not None
            call.flight.failed(call)

    def served(self, asked: Question, answer: Answer) -> None:
        self.reused += 1
        first = Question(*msgspec.json.decode(answer.body, type=tuple[str, str, str, frozenset[str], str]))
        same_team = asked.team != "" and asked.team == first.team
        alike = (asked.data_class, asked.text) == (first.data_class, first.text)
        if not alike or not (same_team or asked.principal == first.principal) or answer.backend not in asked.allowed:
            self.crossed.append((first, asked, answer.backend))

    def go(self, steps: Iterable[tuple[str, Any]]) -> "World":
        for what, how in steps:
            if what == "wait":
                self.now_s += how
            else:
                getattr(self, what)(how)
        return self


def steps(number: int, seed: int) -> Iterator[tuple[str, Any]]:
    """Random traffic."""
    rng = random.Random(seed)
    for _ in range(number):
        what = rng.choices(["ask", "answer", "fail", "wait"], [10, 5, 1, 1])[0]
        if what != "ask":
            yield what, rng.randrange(40)
            continue
        places = frozenset(rng.sample(PLACES, rng.randint(1, 3)))
        team, data_class = rng.choice(["", "red", "blue"]), rng.choice(["public", "restricted"])
        yield what, Question(rng.choice(["ann", "bob", "eve"]), team, data_class, places, rng.choice(["one", "two"]))


def test_no_answer_crosses_in_a_hundred_thousand_steps() -> None:
    world = World(key_of).go(steps(100_000, seed=1))
    assert world.crossed == []
    assert world.reused > 10_000


@pytest.mark.parametrize("left_out", ["audience", "data_class", "places", "body"])
def test_a_part_left_out_of_the_key_is_caught(left_out: str) -> None:
    assert World(partial(key_of, left_out=left_out)).go(steps(1000, seed=1)).crossed
