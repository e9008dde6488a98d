"""The scenes of `switchgear demo`. Everything they say was measured or read while they ran."""

import asyncio
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from switchgear.cli.demo_caller import Answer, Caller
from switchgear.cli.embedded import Place, engine_is_missing
from switchgear.cli.record_output import printable
from switchgear.core.errors import SwitchgearError
from switchgear.core.record import AttemptOutcome, Outcome, Record, decode_record
from switchgear.gateway.story import amount, duration, explain, usd
from switchgear.journal.reader import Reader
from switchgear.wire.address import Address, parse_address
from switchgear.wire.client import Pool
from switchgear.wire.errors import ExchangeError
from switchgear.wire.fetch import Response, fetch
from switchgear.wire.origin import Origin

T = TypeVar("T")

_PROMPT = "What does the with statement do?"
_TOKENS = 32
_ENGINE_TOKENS = 100
"""The small real model writes a byte with each token."""
_CUT_AFTER = 12
_CROWD = 6
"""Calls at once after the kill: one more than the failures in a row that open a breaker."""
DOWN_S = 3.0
"""How long the killed place stays away."""
OPEN_S = 4.0
"""How long the breaker of the preferred place is open."""
_SOON_S = 20.0
_POLL_S = 0.05
_WIDTH = 76


class DemoFailed(SwitchgearError):
    """Something did not go as the tour tells it."""

    code = "demo_failed"


class Tour:
    """The scenes, in order. Each raises DemoFailed when something does not go as it is told."""

    def __init__(self, console: Console, made: list[Place], caller: Caller, admin: Address, state_dir: Path) -> None:
        self._console = console
        self._places = made
        self._preferred = made[0]
        self._caller = caller
        self._admin = Pool(Origin(admin.host, admin.port))
        self._reader = Reader(state_dir / "journal")
        self._told: list[tuple[str, Record]] = []

    async def run(self, endpoint: str) -> None:
        try:
            self._welcome(endpoint)
            unbroken = await self._call_each_place()
            await self._embed()
            rescued = await self._break_in_mid_answer(unbroken)
            await self._kill_the_preferred()
            await self._wait_for_its_return()
            self._tell(rescued)
            self._sum_up()
        finally:
            await self._caller.close()
            await self._admin.close()
            self._reader.close()

    # -- scenes --

    def _welcome(self, endpoint: str) -> None:
        count = {4: "four", 5: "five"}[len(self._places)]
        self._console.print(f"[bold]One endpoint, {count} places[/]   {endpoint}")
        if why := engine_is_missing(self._places):
            self._console.print(why, markup=False)

    async def _call_each_place(self) -> str:
        """Returns what the preferred place answers when nothing breaks."""
        self._scene("Every place, called by the same API", f"model chat@PLACE: “{_PROMPT}”")
        unbroken = ""
        for place in self._places:
            tokens = _ENGINE_TOKENS if place.name == "engine" else _TOKENS
            with self._waiting(f"asking {place.name}"):
                answer = await self._caller.chat(f"chat@{place.name}", _PROMPT, tokens)
                record = await self._record(f"chat@{place.name}", answer)
            _expect(answer.status == 200 and answer.whole, f"{place.name} did not answer: {answer}")
            _expect(answer.backend == place.name, f"{place.name} was asked, {answer.backend} answered")
            self._line(place.name, f"{place.model:<12}  {_figures(record)}")
            self._console.print(Text(f"{'':<11}{_short(answer.text)}", style="italic"))
            unbroken = unbroken or answer.text
        return unbroken

    async def _embed(self) -> None:
        answer, dimensions = await self._caller.embed("chat", _PROMPT)
        record = await self._record("chat, embedding", answer)
        _expect(answer.whole, f"no embedding came: {answer}")
        self._line(answer.backend, f"{'embedding':<12}  {_figures(record)}  {dimensions} dimensions")

    async def _break_in_mid_answer(self, unbroken: str) -> Record:
        name = self._preferred.name
        self._scene(
            "The preferred place breaks in mid-answer", f"{name} will cut the connection after {_CUT_AFTER} tokens"
        )
        await self._set_faults({"fault": f"cut;after_tokens={_CUT_AFTER}", "count": 1})
        pieces = 0

        def show(piece: str) -> None:
            nonlocal pieces
            pieces += 1
            self._console.print(Text(printable(piece)), end="", soft_wrap=True)
            if pieces == _CUT_AFTER:
                self._console.print(f" [bold red]✂ {name} is gone[/] ", end="", soft_wrap=True)
            sys.stdout.flush()

        answer = await self._caller.stream("chat", _PROMPT, _TOKENS, show)
        self._console.print()
        await self._set_faults()
        record = await self._record("chat, streamed", answer)
        _expect(answer.whole, f"the stream came to no proper end: {answer}")
        _expect(answer.text == unbroken, f"the rescued answer differs: {answer.text!r}, unbroken: {unbroken!r}")
        _expect(record.attempts[0].outcome is AttemptOutcome.FAILED, "the fault did not strike")
        _expect(record.backend != name, f"{name} answered although it had broken")
        self._good(f"one whole answer, the same as unbroken: {record.backend} carried it to its end")
        return record

    async def _kill_the_preferred(self) -> None:
        name, child = self._preferred.name, self._preferred.child
        if child is None or child.process is None:
            raise DemoFailed(f"{name} has no process")
        pid = child.process.pid
        self._scene("The preferred place is killed", f"kill -9 {pid} ({name}), then {_CROWD} calls at once")
        os.kill(pid, signal.SIGKILL)
        await _until(lambda: not os.path.exists(f"/proc/{pid}"))
        with self._waiting("calling"):
            calls = [self._caller.chat("chat", _PROMPT, _TOKENS // 2) for _ in range(_CROWD)]
            answers, state = await asyncio.gather(asyncio.gather(*calls), self._until_breaker("open"))
        for answer in answers:
            record = await self._record("chat", answer)
            _expect(answer.whole, f"a call failed: {answer}")
            self._line(answer.backend, f"{_attempts(record):<20}  {_figures(record)}")
        _expect(state == "open", f"{name} is dead, and its breaker is {state}")
        self._good(f"every call was answered, and the breaker of {name} is open: it is asked no more")

    async def _until_it_serves(self) -> None:
        async with asyncio.timeout(_SOON_S):
            while True:
                with suppress(ExchangeError):
                    if (await self._ask_preferred("GET", "/health")).status == 200:
                        return
                await asyncio.sleep(_POLL_S)

    async def _until_breaker(self, wanted: str) -> str:
        """The state of the preferred place's breaker: the wanted one as soon as the admin address tells it, else the last that it told."""
        state = ""
        for _ in range(round(OPEN_S * 2 / _POLL_S)):
            live = msgspec.json.decode((await fetch(self._admin, "GET", "/live")).body)
            state = next(one["breaker"] for one in live["targets"] if one["backend"] == self._preferred.name)
            if state == wanted:
                break
            await asyncio.sleep(_POLL_S)
        return state

    async def _wait_for_its_return(self) -> None:
        name = self._preferred.name
        self._scene("It comes back", f"`up` starts its process again; after {OPEN_S:g} s one probe is let through")
        with self._waiting(f"waiting for {name}"):
            await self._until_it_serves()
            await self._until_breaker("half_open")
            answer = await self._caller.chat("chat", _PROMPT, _TOKENS // 2)
        record = await self._record("chat", answer)
        _expect(answer.backend == name, f"{name} is back, and {answer.backend} answered")
        state = await self._until_breaker("closed")
        _expect(state == "closed", f"{name} is back, and its breaker is {state}")
        self._line(name, f"{_attempts(record):<20}  {_figures(record)}")
        self._good(f"the breaker of {name} is closed")

    def _tell(self, rescued: Record) -> None:
        self._scene("One call's story", f"switchgear explain {rescued.call}")
        for line in explain(rescued):
            self._console.print(Text(printable(line)))

    def _sum_up(self) -> None:
        self._scene(
            "Who answered, and what it cost", "from the journal: one record a call, never a prompt or an answer"
        )
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        for name in ("asked for", "answered by", "attempts"):
            table.add_column(name, no_wrap=True)
        for name in ("tokens", "time", "cost"):
            table.add_column(name, no_wrap=True, justify="right")
        for asked, record in self._told:
            tokens = f"{amount(record.prompt_tokens)} + {amount(record.completion_tokens)}"
            table.add_row(
                asked, record.backend, _attempts(record), tokens, duration(record.duration_s), usd(record.cost_usd)
            )
        costs = [record.cost_usd for _, record in self._told]
        total_usd = None if None in costs else math.fsum(cost for cost in costs if cost is not None)
        prompt, completion = (
            sum(tokens) for tokens in zip(*((r.prompt_tokens, r.completion_tokens) for _, r in self._told), strict=True)
        )
        table.add_section()
        table.add_row(
            f"{len(self._told)} calls",
            "",
            "",
            f"{amount(prompt)} + {amount(completion)}",
            "",
            usd(total_usd),
        )
        self._console.print(table)

    # -- what the scenes need --

    async def _record(self, asked: str, answer: Answer) -> Record:
        """The call's record. It reaches the disk within milliseconds."""
        row = await _until(lambda: self._reader.find(answer.call))
        record = decode_record(row.body)
        _expect(record.outcome is Outcome.OK, f"the record of {answer.call} says {record.outcome}: {record.error}")
        self._told.append((asked, record))
        return record

    async def _set_faults(self, *rules: dict[str, Any]) -> None:
        answer = await self._ask_preferred("PUT", "/emulator/faults", msgspec.json.encode({"rules": rules}))
        _expect(answer.status == 200, f"the emulator refused the fault: {answer.body!r}")

    async def _ask_preferred(self, method: str, path: str, body: bytes | None = None) -> Response:
        """Its control endpoints, behind the gateway's back."""
        address = parse_address(self._preferred.backend.base_url.removeprefix("http://").removesuffix("/v1"))
        pool = Pool(Origin(address.host, address.port))
        try:
            return await fetch(pool, method, path, body=body)
        finally:
            await pool.close()

    def _scene(self, title: str, note: str) -> None:
        self._console.print(f"\n[bold cyan]{title}[/]\n[dim]{note}[/]", soft_wrap=True)

    def _line(self, who: str, text: str) -> None:
        self._console.print(f"[bold]{who:<10}[/] {text}", soft_wrap=True)

    def _good(self, text: str) -> None:
        self._console.print(f"[green]✓[/] {text}", soft_wrap=True)

    @contextmanager
    def _waiting(self, text: str) -> Iterator[None]:
        with self._console.status(text):
            yield


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise DemoFailed(otherwise)


def _figures(record: Record) -> str:
    tokens = f"{amount(record.prompt_tokens)} + {amount(record.completion_tokens)} tokens"
    return f"{tokens:<16} {duration(record.duration_s):>8}  {usd(record.cost_usd)}"


def _attempts(record: Record) -> str:
    return " ".join(
        attempt.backend if attempt.outcome is AttemptOutcome.OK else f"{attempt.backend} ✗"
        for attempt in record.attempts
    )


def _short(text: str) -> str:
    line = printable(" ".join(text.split()))
    return line if len(line) <= _WIDTH - 11 else f"{line[: _WIDTH - 12]}…"


async def _until(found: Callable[[], T | None]) -> T:
    """What `found` gives, as soon as it gives something. It is asked a hundred times a second: a process or a file calls nobody back."""
    async with asyncio.timeout(_SOON_S):
        while not (value := found()):  # noqa: ASYNC110  as the docstring says
            await asyncio.sleep(0.01)
    return value
