"""Routes, targets and calls made by hand for what decides purely: real objects, no socket, no event loop."""

from collections.abc import Mapping
from typing import Any

import msgspec

from switchgear.core.snapshot import Backend, Capabilities, Endpoint, Kind, Model, Prices, Target, make_snapshot
from switchgear.gateway import table
from switchgear.gateway.head import CallHead


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


def make_head(endpoint: Endpoint = Endpoint.CHAT, **fields: Any) -> CallHead:
    """The head of a call to `chat`."""
    fields.setdefault("model", "chat")
    if endpoint is Endpoint.CHAT:
        fields.setdefault("messages", [{"role": "user", "content": "Good day."}])
    return CallHead(endpoint, msgspec.json.encode(fields))


def usd(per_mtok: float) -> Prices:
    """One price for all tokens, US dollars a million."""
    return Prices(input_usd_per_mtok=per_mtok, output_usd_per_mtok=per_mtok)
