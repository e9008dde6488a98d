"""Random policies, snapshots, faults and calls through a whole data plane, and what of it went where it must not.

What may go where is worked out from the policies' meaning in Python (`tests.policy.authz_any`), which shares neither Cedar nor the
gateway's code with what is tested. What did go is what the places at the other end of the gateway's connections saw.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from tests.gateway.memory_net import MemoryTransport, Network, attach
from tests.gateway.memory_places import Place, Seen
from tests.gateway.plane import KeptRecords, request
from tests.gateway.residency_any import CLASSES, WORD, Asked, Rules, any_rules
from tests.policy.authz_any import NAMES

from switchgear.cache.keys import SECRET_BYTES, Keys
from switchgear.cache.memory import Memory
from switchgear.cache.service import AnswerCache
from switchgear.core.authorization import ATTEMPTS, Purpose
from switchgear.core.external_screening import PLACE, OnLate
from switchgear.core.record import AttemptKind, Record
from switchgear.gateway.app import Gateway
from switchgear.gateway.call import Desk
from switchgear.gateway.errors import error_body
from switchgear.gateway.table import Builder
from switchgear.policy.external import ExternalAnswer, Told
from switchgear.policy.model import Finding
from switchgear.wire.exchange import Exchange
from switchgear.wire.server import Server, ServerConnection

_CALL = b'"user": "call-'


class MemoryScreen:
    """An `ExternalScreen` without a process: remembers whose texts it was shown, and finds something, nothing or no end by chance."""

    def __init__(self, rng: Random) -> None:
        self._random = rng
        self.shown: list[int] = []
        self.answered: dict[int, bool] = {}
        """By call, whether it found something."""

    def ask(self, texts: Sequence[str], timeout_s: float, told: Told) -> Callable[[], None]:
        number = next(int(text.removeprefix("call-")) for text in texts if text.startswith("call-"))
        self.shown.append(number)
        takes_s = self._random.choice((0.0, 0.01, 0.05, 1.0))

        def tell() -> None:
            if takes_s > timeout_s:
                told(ExternalAnswer(late="timeout"))
            else:
                found = self.answered[number] = self._random.random() < 0.4
                told(ExternalAnswer((Finding("person", 0, 1, 0),) if found else ()))

        return asyncio.get_running_loop().call_later(min(takes_s, timeout_s), tell).cancel


class Course:
    """A data plane under random calls, and all that came of them."""

    def __init__(self, rng: Random, *, calls: int, about: Purpose | None = None) -> None:
        """`about`: the purpose that policies are to be about more often than others."""
        self.rng = rng
        self.seen: list[Seen] = []
        self.asked: dict[int, Asked] = {}
        self.rules: dict[int, Rules] = {}
        """By call, those of the snapshot that it was let in by."""
        self.records: dict[int, Record] = {}
        trouble = rng.choice((0.0, 0.3, 0.6, 0.9))
        self._places = {f"b{n}": Place(f"b{n}", rng, self.seen, trouble=trouble) for n in range(4)}
        self._screen = MemoryScreen(rng)
        self.network = Network(dict(self._places), lambda name: self._places[name].refuses())
        self._calls = calls
        self._snapshots = [any_rules(rng, about), any_rules(rng, about)]
        self._now = self._snapshots[0]

    async def run(self) -> None:
        loop, kept, rng = asyncio.get_running_loop(), KeptRecords(), self.rng
        builder = Builder({})
        builder.external = self._screen
        desk = Desk(loop, "test/0", lambda: 1e9 + loop.time(), kept, refuse_unrecorded=False)
        desk.cache = AnswerCache(Memory(1024 * 1024), Keys(rng.randbytes(SECRET_BYTES)))
        gateway = Gateway(builder.build(self._now.snapshot), desk, rng=rng)
        ids: dict[str, int] = {}

        def handle(exchange: Exchange) -> None:
            begin = exchange.body.index(_CALL) + len(_CALL)
            number = int(exchange.body[begin : exchange.body.index(b'"', begin)])
            self.rules[number] = self._now
            ids[f"{gateway._id_count + 1:05x}"] = number
            gateway.handle(exchange)

        server = Server(handle, check_head=gateway.check_head, error_body=error_body)
        callers = [self._caller(server, number) for number in range(4)]
        async with asyncio.TaskGroup() as group:
            for caller in callers:
                group.create_task(caller)
            for rules in self._snapshots[1:]:
                await asyncio.sleep(rng.uniform(0.5, 3.0))
                table = builder.build(rules.snapshot)
                self._now = rules
                gateway.serve(table)
        while desk.calls or len(desk.tasks):
            await asyncio.sleep(0.1)
        await server.close()
        for pool in gateway.table.pools.values():
            await pool.close()
        self.records = {ids[record.call[-5:]]: record for record in kept.kept}
        assert len(self.records) == len(kept.kept) == len(self.rules), "each call leaves one record"

    async def _caller(self, server: Server, lane: int) -> None:
        """Calls one after the other, on one connection as long as it lasts."""
        line: Line | None = None
        for number in range(lane, self._calls, 4):
            asked = self.asked[number] = self._any_call()
            line = line if line is not None and line.open else Line(server)
            await asyncio.sleep(self.rng.choice((0.0, 0.001, 0.2)))
            patience_s = self.rng.choice((60.0,) * 9 + (0.01,))
            await line.ask(_request(asked, number, self.rng), patience_s)

    def _any_call(self) -> Asked:
        rng = self.rng
        who, model, told = rng.choice(NAMES), rng.choice(("chat", "chat", "big")), rng.choice(CLASSES)
        return Asked(who, model, told, streamed=rng.random() < 0.5, named=rng.random() < 0.2)

    # -- what is held against it --

    def violations(self) -> Iterator[str]:
        """Whatever went where it must not, or is not what the record says."""
        reached: dict[int, set[tuple[str, str]]] = {}
        for one in self.seen:
            reached.setdefault(one.call, set()).add((one.backend, one.model))
            attempts = self.records[one.call].attempts
            if one.goes_on and not any(made.kind is AttemptKind.CONTINUE for made in attempts):
                yield f"call {one.call}: {one.backend} was told of an answer, and the record has no {AttemptKind.CONTINUE}"
        for number in self._screen.shown:
            asked = self.asked[number]
            if not self.rules[number].allows(asked, asked.model, Purpose.SCREEN, (PLACE, "")):
                yield f"call {number}, {asked}: {Purpose.SCREEN} reached the external screen"
        for number, record in self.records.items():
            told = f"call {number}, {self.asked[number]}: "
            if record.error == "internal_error":
                yield f"{told}a defect of the gateway"
            for target in reached.get(number, set()) - {(one.backend, one.model) for one in record.attempts}:
                yield f"{told}{target} was reached, and the record does not say so"
            for text in self._wrong_attempts(number, record):
                yield told + text
            if record.reuse and record.backend:
                yield from (told + text for text in self._wrong_reuse(number, record))

    def _wrong_attempts(self, number: int, record: Record) -> Iterator[str]:
        rules, asked = self.rules[number], self._looked_at(number)
        models = [asked.model]
        before: set[tuple[str, str]] = set()
        for index, one in enumerate(record.attempts):
            target = (one.backend, one.model)
            resort = one.kind is AttemptKind.FALLBACK and rules.snapshot.models[asked.model].last_resort
            if one.kind is AttemptKind.ESCALATE or (
                one.kind is AttemptKind.FALLBACK and not any(rules.has(name, target) for name in models)
            ):
                models, before = ["big"], set()
            elif one.kind is AttemptKind.FALLBACK and target in before:  # the same place, as a smaller model's target
                models = ["big"]
            elif resort:
                models = list(dict.fromkeys((*models, "big")))  # one of them: it cannot be told which
            if (one.kind is AttemptKind.FIRST) != (index == 0) and not resort:
                yield f"attempt {index} is called {one.kind}"
            if one.kind is AttemptKind.RETRY and target not in before:
                yield f"attempt {index} at {target} is called a retry, and nothing was tried there"
            before.add(target)
            purpose = Purpose(one.kind.value)
            fitting = [name for name in models if rules.has(name, target)]
            if not any(rules.allows(asked, name, purpose, target) for name in fitting):
                yield f"{purpose} reached {target} as {' or '.join(fitting)}"

    def _looked_at(self, number: int) -> Asked:
        """A call with what the external screen made of it."""
        screen, answered = self.rules[number].snapshot.screen, self._screen.answered
        if screen is None or screen.external is None:
            return self.asked[number]
        missing = number not in answered and screen.external.on_late is OnLate.RAISE_TO
        return self.asked[number]._replace(found=missing or answered.get(number, False))

    def _wrong_reuse(self, number: int, record: Record) -> Iterator[str]:
        """A kept answer is of a place where it may be kept, and where the call itself could have gone."""
        rules, asked, target = self.rules[number], self._looked_at(number), (record.backend, record.answered_model)
        models = [name for name in ("chat", "big") if rules.has(name, target)]
        if not any(rules.allows(asked, name, Purpose.CACHE, target) for name in models):
            yield f"{Purpose.CACHE} gave an answer of {target}"
        if not any(rules.allows(asked, name, purpose, target) for name in models for purpose in ATTEMPTS):
            yield f"{Purpose.CACHE} gave an answer of {target}, where the call could not go"

    def counted(self) -> Counter[str]:
        """What happened: attempts by kind, reuses, refusals."""
        count: Counter[str] = Counter({Purpose.SCREEN.value: len(self._screen.shown)})
        for record in self.records.values():
            count.update(one.kind.value for one in record.attempts)
            count[record.outcome.value] += 1
            if record.reuse:
                count[record.reuse.value if hasattr(record.reuse, "value") else str(record.reuse)] += 1
            if record.error:
                count[record.error] += 1
        return count


class Line:
    """A caller's connection."""

    def __init__(self, server: Server) -> None:
        self._read = bytearray()
        self._whole: asyncio.Future[None] | None = None
        self._line = attach(ServerConnection(server, asyncio.get_running_loop()), self)

    @property
    def open(self) -> bool:
        return self._line.open

    async def ask(self, data: bytes, patience_s: float) -> None:
        """Send a request and wait for its answer, for so long; then hang up."""
        self._read.clear()
        self._whole = asyncio.get_running_loop().create_future()
        self._line.send(data)
        try:
            async with asyncio.timeout(patience_s):
                await self._whole
        except TimeoutError:
            self._line.hang_up()

    def received(self, line: MemoryTransport, data: bytes) -> None:
        self._read += data
        head, blank, body = bytes(self._read).partition(b"\r\n\r\n")
        if not blank or self._whole is None or self._whole.done():
            return
        if b"transfer-encoding: chunked" in head:
            whole = body.endswith(b"0\r\n\r\n")
        else:
            whole = len(body) == int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
        if whole:
            self._whole.set_result(None)

    def lost(self, line: MemoryTransport) -> None:
        if self._whole is not None and not self._whole.done():
            self._whole.set_result(None)


def _request(asked: Asked, number: int, rng: Random) -> bytes:
    body: dict[str, Any] = {
        "model": asked.model,
        "messages": [{"role": "user", "content": rng.choice(("Where?", "And then?")) + f" {WORD}" * asked.named}],
        "user": f"call-{number}",
    }
    if asked.streamed:
        body["stream"] = True
    headers = {} if asked.told is None else {"x_switchgear_data_class": asked.told.value}
    return request(body, key=asked.who, **headers)
