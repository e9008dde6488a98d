"""The detailed simulation: every step of every unit, and the gateway's own routing functions for each call."""

import heapq
import itertools
import math
from collections.abc import Callable, Iterable

import numpy as np

from switchgear.gateway.table import Target
from switchgear.planner import simulate_arrays as tables
from switchgear.planner.admitting import Admitting
from switchgear.planner.fleet import Fleet
from switchgear.planner.fleet_physics import BYTES_PER_TOKEN, sites_of
from switchgear.planner.routing import Draws, PlannedCall, Router, is_busy
from switchgear.planner.simulate_batch import Sequence
from switchgear.planner.simulate_detailed_place import TELL_S, DetailedPlace
from switchgear.planner.simulate_result import Totals
from switchgear.planner.simulate_setup import edges_between, new_state
from switchgear.planner.workload import Workload

Sink = Callable[[tables.Table], None]


class _Call:
    """One simulated call."""

    __slots__ = (
        "asked_s", "at_s", "attempts", "block_tokens", "blocks", "cached", "first_s", "id", "output", "place", "planned", "probe", "prompt",
        "queue_s", "rank", "sequence", "stamp", "target", "ttft_s",
    )  # fmt: skip

    def __init__(self, number: int, at_s: float, prompt: int, output: int, rank: int, blocks: tuple[int, ...]) -> None:
        self.id, self.at_s, self.prompt, self.output, self.rank, self.blocks = (
            number,
            at_s,
            prompt,
            output,
            rank,
            blocks,
        )
        self.planned: PlannedCall | None = None
        self.target: Target | None = None
        self.place: DetailedPlace[_Call] | None = None
        self.sequence: Sequence | None = None
        self.asked_s = 0.0
        self.first_s = math.inf
        self.ttft_s = math.nan
        self.queue_s = -1.0
        self.cached = 0
        self.probe = False
        self.attempts = 0
        self.stamp = 0
        self.block_tokens = 0


def run_detailed(
    fleet: Fleet, parts: Iterable[Workload], seed: int, sink: Sink, router: Router, admitting: Admitting
) -> Totals:
    """Simulate calls that come in pieces, in order. Raises BadFleet."""
    return _Run(fleet, seed, sink, router, admitting).run(parts)


class _Run:
    def __init__(self, fleet: Fleet, seed: int, sink: Sink, router: Router, admitting: Admitting) -> None:
        self.fleet = fleet
        self.seed = seed
        self.sites = sites_of(fleet)
        self.router = router
        self.admitting = admitting
        self.tables = new_state(fleet, seed)  # numbers of places and units, as the fast simulation has them
        self.places = [
            DetailedPlace[_Call](site, target) for site, target in zip(self.sites, self.router.targets, strict=True)
        ]
        self._by_target = {place.target.name: place for place in self.places}
        self._heap: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        self._ended: list[tuple[object, ...]] = []
        self._sink = sink
        self._live = 0
        self._retries = 0
        self._timeouts = 0
        self.now_s = 0.0
        for place in self.places:
            if place.site.placement is not None:
                self._later(place.tick_s, self._ticker(place))
            if place.target.backend_state.health is not None:
                self._later(0.0, self._teller(place))

    # -- time --

    def run(self, parts: Iterable[Workload]) -> Totals:
        number, until_s = 0, 0.0
        for part in parts:
            end_s = float(np.nextafter(part.at_s[-1], math.inf))
            self._plan_edges(until_s, end_s)
            groups = self.admitting.groups_of(part)
            ranks = self.admitting.ranks_of(groups)
            for row in range(len(part)):
                self._advance(float(part.at_s[row]))
                self._arrive(_call_of(part, row, number, int(ranks[row])), int(groups[row]))
                number += 1
            until_s = end_s
            self._flush()
        self._plan_edges(until_s, until_s + 2 * self.fleet.deadline_s + 1.0)
        while self._live:
            self._advance(self._heap[0][0])
        for place in self.places:
            place.tick(self.now_s)
        self._flush()
        return self._totals()

    def _advance(self, until_s: float) -> None:
        while self._heap and self._heap[0][0] <= until_s:
            at_s, _, step = heapq.heappop(self._heap)
            self.now_s = at_s
            step(at_s)
        self.now_s = until_s

    def _later(self, at_s: float, step: Callable[[float], None]) -> None:
        heapq.heappush(self._heap, (at_s, next(self._order), step))

    def _ticker(self, place: DetailedPlace[_Call]) -> Callable[[float], None]:
        def tick(now_s: float) -> None:
            place.tick(now_s)
            self._later(now_s + place.tick_s, tick)

        return tick

    def _teller(self, place: DetailedPlace[_Call]) -> Callable[[float], None]:
        def tell(now_s: float) -> None:
            place.tell(now_s)
            self._later(now_s + TELL_S, tell)

        return tell

    def _plan_edges(self, start_s: float, end_s: float) -> None:
        for edge in edges_between(self.fleet, start_s, end_s):
            self._later(float(edge["at_s"]), self._edge(int(edge["place"]), edge))

    def _edge(self, index: int, edge: tables.Table) -> Callable[[float], None]:
        def step(now_s: float) -> None:
            lost = self.places[index].edge(edge, sum(site.place.units for site in self.sites[:index]))
            for call in [call for call in self.places[index].calls if lost(call)]:
                self._fail(call, now_s, again=True, blames=True, rest_s=None, reason=tables.LOST)

        return step

    # -- one call --

    def _arrive(self, call: _Call, group: int) -> None:
        now_s = call.at_s
        self._live += 1
        draws = Draws(self.seed, call.id)
        call.planned = self.router.call(draws, group, call.prompt, call.output, now_s + self.fleet.deadline_s)
        if not call.planned.admission.targets:
            self._end(call, now_s, tables.REFUSED, self.router.row(group)[-1])
            return
        full = self.router.order(call.planned, now_s)
        if not call.planned.candidates:
            self._end(call, now_s, tables.REFUSED, tables.FULL if full else tables.NO_CANDIDATE)
            return
        self._ask_first(call, now_s)

    def _ask_first(self, call: _Call, now_s: float) -> None:
        planned = call.planned
        if planned is None or not planned.candidates:
            self._end(call, now_s, tables.REFUSED, tables.FULL)
            return
        first = planned.candidates[0]
        rest_until_s = first.state.rest_until_s
        if rest_until_s > now_s and rest_until_s < planned.deadline_s:

            def rested(at_s: float) -> None:
                self.router.rested(planned, at_s)
                self._ask_first(call, at_s)

            self._later(rest_until_s, rested)
            return
        self._ask(call, first, now_s)

    def _ask(self, call: _Call, target: Target, now_s: float) -> None:
        place, planned = self._by_target[target.name], call.planned
        if planned is None:
            return
        call.target, call.place, call.asked_s, call.first_s = target, place, now_s, math.inf
        call.sequence, call.cached = None, 0
        call.attempts += 1
        call.stamp += 1
        planned.note(target)
        call.probe = target.state.breaker.began(now_s)
        target.state.in_flight += 1
        target.backend_state.in_flight += 1
        place.join(call)
        timeouts = target.timeouts
        self._watch(call, now_s + timeouts.first_token_s, first=True)
        self._watch(call, min(now_s + timeouts.total_s, planned.deadline_s), first=False)
        if place.link_down:
            self._refuse(call, now_s + timeouts.connect_s, again=False, rest_s=None, reason=tables.BROKEN_PLACE)
        elif place.site.observed is not None:
            self._ask_seen(call, place, now_s)
        else:
            sent_s = place.sent_s(call.prompt * BYTES_PER_TOKEN, now_s)
            self._if_live(call, sent_s, self._deliver)

    def _ask_seen(self, call: _Call, place: DetailedPlace[_Call], now_s: float) -> None:
        rest_s = place.rest_s(now_s)
        if not place.up:
            self._refuse(call, now_s + 2 * place.link_s, again=True, rest_s=None, reason=tables.BROKEN_PLACE)
        elif rest_s:
            self._refuse(call, now_s + 2 * place.link_s, again=True, rest_s=rest_s, reason=tables.FULL)
        elif call.planned is not None:
            first_s = now_s + place.seen_first_s(call.planned.draws) + 2 * place.link_s
            call.queue_s = max(call.queue_s, 0.0)
            if first_s - now_s <= place.target.timeouts.first_token_s:
                call.first_s = first_s
                self._if_live(call, first_s + place.seen_rest_s(call.output), self._complete)

    def _deliver(self, call: _Call, now_s: float) -> None:
        place, planned = call.place, call.planned
        if place is None or planned is None:
            return
        index = place.unit_for(planned.draws, call.blocks)
        if index is None:
            self._refuse(call, now_s + place.link_s, again=True, rest_s=None, reason=tables.BROKEN_PLACE)
            return
        place.units[index].load += 1
        call.sequence = Sequence(call.prompt, call.output, call.blocks if place.site.place.prefix_cache else ())
        place.bind(call, index)
        self._if_live(call, now_s + place.site.request_s, self._submit)

    def _submit(self, call: _Call, now_s: float) -> None:
        place, one = call.place, call.sequence
        if place is None or one is None:
            return
        unit = place.units[place.unit_of(call)]
        idle = unit.step is None
        unit.submit(one, call.block_tokens, now_s)
        place.owner[id(one)] = call
        call.cached = one.cached_tokens
        if idle:
            self._schedule(place, place.unit_of(call))

    def _schedule(self, place: DetailedPlace[_Call], index: int) -> None:
        unit = place.units[index]
        step = unit.step
        if step is None:
            return

        def over(now_s: float) -> None:
            if unit.step is not step:  # it went off meanwhile
                return
            ended = unit.end(now_s)
            for one in ended.started:
                starter = place.owner[id(one)]
                starter.first_s = min(starter.first_s, now_s + place.link_s)
            for one in ended.finished:
                self._finish(place, place.owner.pop(id(one)), now_s)
            unit.begin(now_s)
            self._schedule(place, index)

        self._later(step.end_s, over)

    def _finish(self, place: DetailedPlace[_Call], call: _Call, now_s: float) -> None:
        place.units[place.unit_of(call)].load -= 1
        place.unbind(call)
        if place.link_s or place.link_byte_s:
            self._if_live(call, now_s + place.link_s, self._complete)
        else:
            self._complete(call, now_s)

    # -- ends --

    def _watch(self, call: _Call, at_s: float, *, first: bool) -> None:
        def late(target_call: _Call, now_s: float) -> None:
            if first and target_call.first_s < math.inf:
                return
            self._timeouts += 1
            self._give_up(target_call)
            self._fail(target_call, now_s, again=False, blames=True, rest_s=None, reason=tables.TIMED_OUT)

        self._if_live(call, at_s, late)

    def _refuse(self, call: _Call, at_s: float, *, again: bool, rest_s: float | None, reason: int) -> None:
        def refuse(one: _Call, now_s: float) -> None:
            self._fail(one, now_s, again=again, blames=rest_s is None, rest_s=rest_s, reason=reason)

        stamp = call.stamp
        self._later(at_s, lambda now_s: refuse(call, now_s) if call.stamp == stamp else None)

    def _if_live(self, call: _Call, at_s: float, step: Callable[[_Call, float], None]) -> None:
        """Take a step of an attempt, unless the attempt is over by then."""
        stamp = call.stamp
        if at_s <= self.now_s:
            step(call, self.now_s)
            return
        self._later(at_s, lambda now_s: step(call, now_s) if call.stamp == stamp else None)

    def _give_up(self, call: _Call) -> None:
        place, one = call.place, call.sequence
        if place is None or one is None or not place.bound(call):
            return
        unit = place.units[place.unit_of(call)]
        unit.load -= 1
        place.unbind(call)
        if id(one) in place.owner:
            del place.owner[id(one)]
            unit.give_up(one)

    def _leave(self, call: _Call) -> None:
        target, place, one = call.target, call.place, call.sequence
        if target is None or place is None:
            return
        target.state.in_flight -= 1
        target.backend_state.in_flight -= 1
        place.leave(call)
        call.stamp += 1
        if one is not None and one.admitted_s is not None and call.queue_s < 0:
            call.queue_s = one.admitted_s - one.submitted_s

    def _complete(self, call: _Call, now_s: float) -> None:
        target = call.target
        self._leave(call)
        if target is None:
            return
        first_s = min(call.first_s, now_s)
        if math.isnan(call.ttft_s):
            call.ttft_s = first_s - call.at_s
        target.state.latency.observe(first_s - call.asked_s, now_s)
        target.state.breaker.completed(now_s, good=True, duration_s=now_s - call.asked_s, probe=call.probe)
        self._end(call, now_s, tables.OK, tables.NO_REASON)

    def _fail(self, call: _Call, now_s: float, *, again: bool, blames: bool, rest_s: float | None, reason: int) -> None:
        target, planned = call.target, call.planned
        if target is None or planned is None:
            return
        self._leave(call)
        if call.place is not None and call.sequence is not None:
            call.place.owner.pop(id(call.sequence), None)
            call.place.unbind(call)
        if rest_s is not None:
            target.state.rest_until_s = now_s + rest_s
        if blames:
            target.state.breaker.completed(now_s, good=False, duration_s=now_s - call.asked_s, probe=call.probe)
        else:
            target.state.breaker.abandoned(probe=call.probe)
        planned.failed(target, again=again, retry_after_s=rest_s, now_s=now_s)
        if call.first_s <= now_s and math.isnan(call.ttft_s):
            call.ttft_s = call.first_s - call.at_s
        if math.isnan(call.ttft_s):
            self._go_on(call, now_s, reason)
            return
        other = planned.rescuer(now_s) if self.fleet.rescue else None
        if other is None:
            self._end(call, now_s, tables.BROKEN, reason)
        else:
            self._retries += 1
            self._ask(call, other, now_s)

    def _go_on(self, call: _Call, now_s: float, reason: int) -> None:
        choice = None if call.planned is None else call.planned.next(now_s)
        if choice is None:
            self._end(call, now_s, tables.FAILED, reason)
            return
        self._retries += 1
        target, wait_s = choice

        def again(one: _Call, at_s: float) -> None:
            if wait_s and is_busy(target, at_s):
                if one.planned is not None and one.planned.chain is not None:
                    one.planned.chain.skip(target)
                self._go_on(one, at_s, tables.BROKEN_PLACE)
            else:
                self._ask(one, target, at_s)

        self._if_live(call, now_s + wait_s, again)

    def _end(self, call: _Call, now_s: float, outcome: int, reason: int) -> None:
        self._live -= 1
        place = self.places.index(call.place) if call.place is not None else tables.NOBODY
        self._ended.append(
            (
                *(call.id, outcome, place, call.attempts, call.rank, reason, call.at_s, call.ttft_s, now_s - call.at_s),
                *(call.queue_s, call.prompt, call.output, call.cached),
            )
        )

    def _flush(self) -> None:
        self._sink(np.array(self._ended, dtype=tables.ENDED))
        self._ended.clear()

    def _totals(self) -> Totals:
        units, places = self.tables.units, self.tables.places
        first = 0
        for index, place in enumerate(self.places):
            place.write(places[index : index + 1], units[first : first + place.site.place.units])
            first += place.site.place.units
        return Totals(units, places, self.now_s, self._retries, self._timeouts)


def _call_of(part: Workload, row: int, number: int, rank: int) -> _Call:
    blocks: tuple[int, ...] = ()
    if part.shares_prefixes:
        blocks = tuple(part.block_ids[part.block_ends[row] : part.block_ends[row + 1]].tolist())
    prompt, output = int(part.prompt_tokens[row]), int(part.output_tokens[row])
    call = _Call(number, float(part.at_s[row]), prompt, output, rank, blocks)
    call.block_tokens = part.block_tokens
    return call
