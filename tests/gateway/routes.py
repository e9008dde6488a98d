"""Routes, targets and calls made by hand for what decides purely: real objects, no socket, no event loop."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from switchgear.core.record import Attempt, AttemptKind
from switchgear.core.snapshot import (
    Backend,
    Capabilities,
    Endpoint,
    Kind,
    Model,
    Prices,
    Snapshot,
    Target,
    make_snapshot,
)
from switchgear.gateway import table
from switchgear.gateway.call import Call, Desk
from switchgear.gateway.head import CallHead, read_head
from switchgear.wire.exchange import Exchange


def make_route(places: Mapping[str, Mapping[str, Any]], **model: Any) -> table.Route:
    """The route `chat`, one target for each place; a place's settings are a backend's, a target's or a capability's."""
    backends: dict[str, Backend] = {}
    targets: list[Target] = []
    for name, settings in places.items():
        own = dict(settings)
        target = {key: own.pop(key) for key in ("weight", "context_window") if key in own}
        can = {key: own.pop(key) for key in tuple(own) if key in Capabilities.__struct_fields__}
        backends[name] = Backend(
            kind=Kind.ONPREM, base_url="http://127.0.0.1:9/v1", capabilities=Capabilities(**can), **own
        )
        targets.append(Target(backend=name, model="m", **target))
    snapshot = make_snapshot(backends, {"chat": Model(targets=tuple(targets), **model)}, ())
    return table.Builder({}).build(snapshot).routes["chat"]


def anywhere(route: table.Route) -> table.Admission:
    """Where a call may go that no policy is about."""
    return table.Admission(route, None, "", None, route.targets, ())


def make_head(endpoint: Endpoint = Endpoint.CHAT, **fields: Any) -> CallHead:
    """The head of a call to `chat`."""
    fields.setdefault("model", "chat")
    if endpoint is Endpoint.CHAT:
        fields.setdefault("messages", [{"role": "user", "content": "Good day."}])
    return read_head(endpoint, msgspec.json.encode(fields))


def make_call(route: table.Route, head: CallHead, *, deadline_s: float = 1000.0) -> Call:
    """A call whose candidates are all targets of the route and whose first attempt went to the first of them. Nobody hears its answer."""
    loop = asyncio.get_running_loop()
    desk = Desk(loop, "test/0", loop.time, None, refuse_unrecorded=False)  # type: ignore[arg-type]  # it leaves no record
    exchange = Exchange(None, b"POST", b"/", {}, b"", None, 0.0)  # type: ignore[arg-type]  # gone
    call = Call(desk, table.Builder({}).build(route_snapshot()), exchange, "call_x", head.endpoint, 0.0, 0.0, 0)
    call.head, call.route, call.deadline_s = head, route, deadline_s
    call.candidates = list(route.targets)
    note_attempt(call, route.targets[0])
    return call


def route_snapshot() -> Snapshot:
    """A snapshot with nothing in it."""
    return make_snapshot({}, {}, ())


def note_attempt(call: Call, target: table.Target) -> Attempt:
    """One more attempt of a call, as it stands in its record."""
    attempt = Attempt(*target.name, AttemptKind.FIRST, 0.0)
    call.attempts.append(attempt)
    return attempt


def usd(per_mtok: float) -> Prices:
    """One price for all tokens, US dollars a million."""
    return Prices(input_usd_per_mtok=per_mtok, output_usd_per_mtok=per_mtok)
