"""Another snapshot while calls are under way: none is dropped, what is known of a target stays, what went is let go."""

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.gateway.plane import KEY, Plane, checked
from tests.wire.serving import Caller

from switchgear.core.errors import ConfigError
from switchgear.core.record import Outcome
from switchgear.core.snapshot import Breaker, Model, Snapshot, Target, make_snapshot
from switchgear.gateway.breaker import BreakerState

CALL: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}


def changed(plane: Plane, *, targets: tuple[str, ...] = ("a", "b"), **backend: Any) -> Snapshot:
    """The plane's snapshot with other targets and other settings of backend `a`."""
    before = plane.snapshot
    model = before.models["chat"]
    chosen = tuple(target for target in model.targets if target.backend in targets)
    backends = {name: one for name, one in before.backends.items() if name in targets}
    if "a" in backends:
        backends["a"] = msgspec.structs.replace(backends["a"], **backend)
    return make_snapshot(backends, {"chat": msgspec.structs.replace(model, targets=chosen)}, before.keys)


def swap(plane: Plane, snapshot: Snapshot) -> None:
    plane.gateway.serve(plane.builder.build(snapshot))
    plane.snapshot = snapshot


async def test_calls_under_way_end_as_they_began_and_new_ones_go_the_new_way() -> None:
    async with Plane("a", "b", speed=2.0) as plane:
        expected = await plane.stream()
        first = plane.snapshot.id
        under_way = [asyncio.ensure_future((plane.stream if n % 2 else plane.ask)()) for n in range(20)]
        while plane.places["a"].state()["counts"]["seen"] < 21:
            await asyncio.sleep(0.005)
        swap(plane, changed(plane, targets=("b",)))
        assert await plane.stream() == expected
        assert set(await asyncio.gather(*under_way)) == {expected}
        records = plane.records.kept
        assert all(record.outcome is Outcome.OK for record in records)
        assert [(record.backend, record.snapshot) for record in records].count(("a", first)) == 21
        assert [(record.backend, record.snapshot) for record in records].count(("b", plane.snapshot.id)) == 1
        assert plane.gateway.desk.calls == 0


async def test_swaps_under_load_drop_no_call() -> None:
    async with Plane("a", "b") as plane:
        ended = asyncio.Event()

        async def keep_swapping() -> int:
            count = 0
            while not ended.is_set():
                count += 1
                swap(plane, changed(plane, max_in_flight=100 + count))  # other connections each time
                await asyncio.sleep(0.01)
            return count

        swapping = asyncio.ensure_future(keep_swapping())
        answers = [
            await asyncio.gather(*(plane.send({**CALL, "stream": n % 2 == 0}) for n in range(10))) for _ in range(6)
        ]
        ended.set()
        assert await swapping > 3
        assert all(answer.status == 200 for batch in answers for answer in batch)
        assert all(record.outcome is Outcome.OK for record in plane.records.kept)
        assert len({record.snapshot for record in plane.records.kept}) > 1
        assert plane.gateway.desk.calls == 0


async def test_what_is_known_of_a_target_outlives_a_snapshot() -> None:
    breaker = Breaker(consecutive=1, open_s=60.0)
    async with Plane("a", "b", backends={"a": {"breaker": breaker}}) as plane:
        plane.places["a"].set_faults(["connect_reset"])
        assert await plane.ask()
        opened = plane.gateway.table.targets()[0].state
        assert opened.breaker.state(time.monotonic()) is BreakerState.OPEN
        swap(plane, changed(plane, region="elsewhere"))
        assert plane.gateway.table.targets()[0].state is opened
        assert await plane.ask()
        assert plane.records.kept[-1].ruled_out[0].reason == "breaker_open"
        swap(plane, changed(plane, breaker=Breaker(consecutive=2, open_s=60.0)))
        assert plane.gateway.table.targets()[0].state.breaker.state(time.monotonic()) is BreakerState.CLOSED, (
            "new rules"
        )


async def test_budgets_outlive_a_snapshot_unless_they_are_changed() -> None:
    async with Plane("a") as plane:
        retries = plane.gateway.table.routes["chat"].state.retries
        swap(plane, changed(plane, region="elsewhere"))
        assert plane.gateway.table.routes["chat"].state.retries is retries


async def test_a_target_that_went_is_forgotten_and_its_connections_are_closed() -> None:
    async with Plane("a", "b") as plane:
        assert await plane.ask()
        pool = plane.gateway.table.pools["a"]
        assert pool.open == 1
        swap(plane, changed(plane, targets=("b",)))
        await asyncio.sleep(0.02)
        assert pool.open == 0
        assert set(plane.builder.live.targets) == {target.name for target in plane.gateway.table.targets()}
        assert "a" not in plane.gateway.live()["pools"]


async def test_connections_are_kept_where_nothing_of_them_changed() -> None:
    async with Plane("a") as plane:
        assert await plane.ask()
        pool = plane.gateway.table.pools["a"]
        swap(plane, changed(plane, region="elsewhere"))
        assert plane.gateway.table.pools["a"] is pool
        assert await plane.ask()
        assert pool.opened == 1


async def test_a_snapshot_that_cannot_be_served_changes_nothing() -> None:
    async with Plane("a") as plane:
        served = plane.gateway.table
        for wrong in ({"api_key_env": "NO_SUCH_VARIABLE"}, {"base_url": "ftp://x"}, {"api_key_file": "/no/such/file"}):
            with pytest.raises(ConfigError) as caught:
                swap(plane, changed(plane, **wrong))
            assert caught.value.problems[0].path == "backends.a"
        assert plane.gateway.table is served
        assert await plane.ask()


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b" \n", "is empty"), (b"\xff\xfe", "is not text"), (b"a\nb", "holds a line break")],
)
async def test_a_file_that_holds_no_key_changes_nothing(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    async with Plane("a") as plane:
        with pytest.raises(ConfigError) as caught:
            swap(plane, changed(plane, api_key_file=str(file)))
        assert str(file) in str(caught.value)
        assert message in str(caught.value)
        assert await plane.ask()


async def test_a_model_that_went_is_not_found_any_more() -> None:
    async with Plane("a") as plane:
        before = plane.snapshot
        swap(
            plane, make_snapshot(before.backends, {"other": Model(targets=before.models["chat"].targets)}, before.keys)
        )
        checked(await plane.send(CALL), "model_not_found", "model")
        assert await plane.ask(model="other")
        swap(plane, make_snapshot(before.backends, before.models, ()))
        checked(await plane.send(CALL), "invalid_api_key")


async def test_a_key_that_went_is_refused_on_a_connection_that_it_had_opened() -> None:
    data = b'{"model":"chat","messages":[],"max_tokens":4}'
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: {len(data)}\r\n\r\n"
    async with Plane("a") as plane, Caller(plane.address) as caller:
        for _ in range(3):
            await caller.send(head.encode() + data)
            assert (await caller.answer()).status == 400, "the place wants a message: the key was good"
        before = plane.snapshot
        await caller.send(head.encode())
        swap(plane, make_snapshot(before.backends, before.models, ()))
        await caller.send(data)
        checked(await caller.answer(), "invalid_api_key")
        await caller.send(head.encode() + data)
        checked(await caller.answer(), "invalid_api_key")
        swap(plane, before)
        await caller.send(head.encode() + data)
        assert (await caller.answer()).status == 400


async def test_a_bound_that_was_lowered_counts_what_is_under_way() -> None:
    async with Plane("a", "b", backends={"a": {"max_in_flight": 10}}) as plane:
        plane.places["a"].set_faults(["slow_first_token;delay_s=0.2"])
        under_way = [asyncio.ensure_future(plane.send(CALL)) for _ in range(4)]
        while plane.places["a"].state()["counts"].get("seen", 0) < 4:
            await asyncio.sleep(0.005)
        swap(plane, changed(plane, max_in_flight=2))
        assert (await plane.send(CALL)).headers["x-switchgear-backend"] == "b"
        assert {answer.headers["x-switchgear-backend"] for answer in await asyncio.gather(*under_way)} == {"a"}
        assert (await plane.send(CALL)).headers["x-switchgear-backend"] == "a"


def test_the_same_content_is_the_same_snapshot() -> None:
    targets = (Target(backend="a", model="m"),)
    one, two = (make_snapshot({}, {"chat": Model(targets=targets)}, ()) for _ in range(2))
    assert one.id == two.id
    assert make_snapshot({}, {"chat": Model(targets=targets, rescue=False)}, ()).id != one.id
