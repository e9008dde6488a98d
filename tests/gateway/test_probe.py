"""What places say of themselves rules them out, until they are other places; one that says nothing of use keeps no other from it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from tests.gateway.plane import MODEL, Plane
from tests.gateway.recording import recording, replies

from switchgear.core.snapshot import Capabilities, Snapshot, Target
from switchgear.gateway import probe
from switchgear.gateway.probe import Prober
from switchgear.wire.exchange import Exchange

LONG = {"model": "chat", "messages": [{"role": "user", "content": "river " * 3000}]}
PROBED: dict[str, Any] = {"probe": True}


def card(**told: Any) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": "another"}, {"id": MODEL, "object": "model", **told}]}


@contextlib.asynccontextmanager
async def probing(plane: Plane) -> AsyncIterator[Prober]:
    prober = Prober(plane.gateway, plane.builder)
    prober.start(plane.snapshot)
    try:
        yield prober
    finally:
        await prober.close()


async def told(plane: Plane, *windows: int | None) -> None:
    """Wait until the targets have these context windows."""
    async with asyncio.timeout(5.0):
        while tuple(target.context_window for target in plane.gateway.table.targets()) != windows:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    "named",
    [
        {"max_model_len": 2048},
        {"context_length": 2048},
        {"context_window": 2048},
        {"meta": {"n_ctx": 2048, "n_ctx_train": 8192}},
        {"meta": {"n_ctx_train": 2048}},
    ],
)
async def test_a_window_that_a_place_tells_rules_it_out(named: dict[str, Any]) -> None:
    async with (
        recording(replies(card(**named))) as place,
        Plane("a", urls={"a": place.base_url}, backends={"a": PROBED}) as plane,
        probing(plane),
    ):
        await told(plane, 2048)
        assert (place.requests[0].method, place.requests[0].target) == (b"GET", b"/v1/models")
        answer = await plane.send(LONG)
        assert (answer.status, len(place.requests)) == (400, 1), "it is not tried in hope"
        record = await plane.record()
    assert (record.error, record.ruled_out[0].reason) == ("no_capable_target", "context_too_small")


async def test_emulated_places_tell_their_windows() -> None:
    async with Plane("a", "b", backends={"a": PROBED}) as plane, probing(plane):
        async with asyncio.timeout(5.0):
            while plane.gateway.table.targets()[0].context_window is None:
                await asyncio.sleep(0.005)
        assert plane.gateway.table.targets()[1].context_window is None, "nobody asked it"


@pytest.mark.parametrize("configured", ["target", "backend"])
async def test_a_configured_window_comes_first(configured: str) -> None:
    backend = {**PROBED, "capabilities": Capabilities(context_window=4096)} if configured == "backend" else PROBED
    target = Target(backend="a", model=MODEL, context_window=4096 if configured == "target" else None)
    async with recording(replies(card(max_model_len=2048))) as place:
        plane = Plane("a", urls={"a": place.base_url}, backends={"a": backend}, model={"targets": (target,)})
        async with plane, probing(plane):
            while not plane.builder.live.windows:
                await asyncio.sleep(0.005)
            await told(plane, 4096)


def never_a_list(exchange: Exchange) -> None:
    exchange.abort()


@pytest.mark.parametrize(
    "first",
    [
        never_a_list,
        replies({"error": {"message": "no such path"}}, 404),
        replies(b"<html>"),
        replies(b'{"data":[{"id":"\xff"}]}'),
        replies(b"[" * 5000),
        replies({"data": [{"id": 7}]}),
    ],
    ids=["no answer", "an error", "no JSON", "no UTF-8", "nested too deeply", "another shape"],
)
async def test_a_place_that_tells_nothing_of_use_is_asked_again_and_keeps_no_other_from_being_asked(
    first: Callable[[Exchange], None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(probe, "_EVERY_S", 0.05)
    async with recording(first) as a, recording(replies(card(max_model_len=2048))) as b:
        urls = {"a": a.base_url, "b": b.base_url}
        async with Plane("a", "b", urls=urls, backends={"a": PROBED, "b": PROBED}) as plane:
            with caplog.at_level(logging.WARNING):
                async with probing(plane):
                    await told(plane, None, 2048)
                    a.answer = replies(card(max_model_len=1024))
                    await told(plane, 1024, 2048)
            assert len(b.requests) == 1, "who has answered is not asked again"
    assert caplog.messages
    assert all(said.startswith("backend a does not tell its models: ") for said in caplog.messages)


async def test_what_one_place_told_is_not_believed_of_another() -> None:
    async with (
        recording(replies(card(max_model_len=1024))) as old,
        recording(never_a_list) as new,
        Plane("a", urls={"a": old.base_url}, backends={"a": PROBED}) as plane,
        probing(plane),
    ):
        await told(plane, 1024)
        before = plane.snapshot

        def swap(**changes: Any) -> None:
            backends = {"a": msgspec.structs.replace(before.backends["a"], **changes)}
            snapshot: Snapshot = msgspec.structs.replace(before, backends=backends)
            plane.gateway.serve(plane.builder.build(snapshot))

        swap(region="elsewhere")
        await told(plane, 1024)
        swap(probe=False)
        await told(plane, None)
        swap(base_url=new.base_url)
        await told(plane, None)
        assert plane.builder.live.windows == {}
