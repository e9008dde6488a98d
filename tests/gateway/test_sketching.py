"""Which calls a gateway keeps a sketch of: those that failed, and those whose answer was unsure, as the rules say."""

import asyncio
import base64
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.gateway.escalation import ASKED, told, whole, world
from tests.gateway.recording import replies, streams

from switchgear.core.clock import SystemClock
from switchgear.core.sketching import Sketching, SketchRule, SketchWhen
from switchgear.gateway.call import Desk
from switchgear.gateway.channel import Channel
from switchgear.gateway.sketching import Sketches, open_keeper, take
from switchgear.sketches.opening import open_keyring
from switchgear.sketches.store import FILE, Store
from switchgear.wire.exchange import Exchange

KEYS = {"SKETCH_KEYS": "k1:" + base64.b64encode(bytes(32)).decode()}
UNSURE = SketchRule(when=SketchWhen.LOW_CONFIDENCE)
FAILS: Callable[[Exchange], None] = replies({"error": {"message": "no"}}, 500)


def settings(*rules: SketchRule) -> Sketching:
    return Sketching(keep=rules, key_env="SKETCH_KEYS")


@asynccontextmanager
async def sketching(desk: Desk, folder: Path, *rules: SketchRule) -> AsyncIterator[None]:
    """A worker's side at this desk and the supervisor's at the other end; at the end all that was picked is kept."""
    chosen = settings(*rules)
    keeper = open_keeper(chosen, None, folder, KEYS, SystemClock())
    assert keeper is not None
    ours, theirs = socket.socketpair()
    quick = {"sketch": lambda content, answer: take(content, keeper, answer)}
    supervisor = await Channel.open(theirs, {}, lambda: None, quick)
    worker = await Channel.open(ours, {}, lambda: None)
    sketches = desk.sketches = Sketches(chosen, worker, random.Random(1))
    try:
        yield
        async with asyncio.timeout(10.0):
            while sketches._under_way:
                await asyncio.sleep(0.002)
    finally:
        desk.sketches = None
        worker.close()
        supervisor.close()
        await asyncio.to_thread(keeper.close)


def kept(folder: Path) -> list[tuple[str, str]]:
    """Of each sketch, the rule and the model."""
    store = Store(folder / FILE, open_keyring(settings(UNSURE), KEYS))
    try:
        return [(one.when, one.model) for one in store.newest()]
    finally:
        store.close()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_an_unsure_answer_is_sketched_and_a_sure_one_is_not(tmp_path: Path, streamed: bool) -> None:
    answers = iter((-3.0, -0.1))

    def small(exchange: Exchange) -> None:
        logprob = next(answers)
        (streams(*told(("n", logprob))) if streamed else whole("n", logprob))(exchange)

    large = streams(*told(("YES", -0.1))) if streamed else whole("YES", None)
    async with world(small, large) as one, sketching(one.plane.gateway.desk, tmp_path, UNSURE):
        for _ in range(2):
            assert (await one.send({**ASKED, "stream": streamed})).status == 200
        unsure = await one.record(1)
    assert unsure.attempts[0].confidence is not None
    assert kept(tmp_path) == [("low_confidence", "chat")]


async def test_an_unsure_answer_that_is_given_all_the_same_is_sketched_too(tmp_path: Path) -> None:
    async with (
        world(whole("n", -3.0), FAILS) as one,
        sketching(one.plane.gateway.desk, tmp_path, SketchRule(when=SketchWhen.FAILED), UNSURE),
    ):
        assert (await one.send(ASKED)).headers["x-switchgear-degraded"] == "unsure"
    assert kept(tmp_path) == [("low_confidence", "chat")]


async def test_a_rule_for_other_models_or_errors_keeps_nothing(tmp_path: Path) -> None:
    rules = (
        SketchRule(when=SketchWhen.LOW_CONFIDENCE, models=("large",)),
        SketchRule(when=SketchWhen.FAILED, errors=("upstream_timeout",)),
    )

    answers = iter((whole("n", -3.0), FAILS))
    async with (
        world(lambda exchange: next(answers)(exchange), whole("YES", None)) as one,
        sketching(one.plane.gateway.desk, tmp_path, *rules),
    ):
        assert (await one.send(ASKED)).status == 200
        assert (await one.send(ASKED)).status == 502
    assert kept(tmp_path) == []
