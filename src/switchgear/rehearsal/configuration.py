"""The gateway's configuration for a rehearsal: the one that a user serves with, or the shipped defaults, in front of emulated devices."""

import fnmatch
import hashlib
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from switchgear.core.health import HealthSource
from switchgear.core.identity import Key
from switchgear.core.limits import LimitSharing
from switchgear.core.snapshot import (
    Backend,
    BackendTls,
    Capabilities,
    ContinueTurn,
    Kind,
    Model,
    Retry,
    Target,
    Timeouts,
)
from switchgear.emulator.device_spec import DeviceSpec
from switchgear.gateway.config import Config, GatewayConfig
from switchgear.rehearsal.errors import RehearsalError
from switchgear.rehearsal.model import Scenario

KEY = "sk-sg-rehearsal"
"""What the callers of a rehearsal show; it opens nothing else."""
_TIMEOUTS = Timeouts(connect_s=1.0, first_token_s=5.0, idle_s=5.0, total_s=120.0)

S = TypeVar("S")


def shipped(scenario: Scenario) -> Config:
    """The defaults in front of the scenario's devices: each a backend of its own name, and the scenario's models."""
    specs = scenario.specs()
    names = list(specs)
    backends = {name: _backend(spec) for name, spec in specs.items()}
    every = tuple(Target(backend=name, model=_served(specs[name])) for name in names)
    models = {
        name: msgspec.structs.replace(model, targets=_expanded(model, names)) for name, model in scenario.models.items()
    }
    if not models:
        retry = Retry(attempts=min(5, len(every) + 1))
        models = {load.model: Model(targets=every, retry=retry) for load in scenario.load}
    return Config(gateway=GatewayConfig(), backends=backends, models=models)


def of_user(config: Config, scenario: Scenario) -> Config:
    """A user's own configuration, its backends replaced by the scenario's devices of the same names.

    Raises RehearsalError where one has no device, or a load names no model of it.
    """
    specs = scenario.specs()
    backends: dict[str, Backend] = {}
    for name, backend in config.backends.items():
        if name not in specs:
            raise RehearsalError(
                f"backend {name!r} of the configuration has no device in the scenario; add a table [devices.{name}], or take it out"
            )
        backends[name] = msgspec.structs.replace(
            backend, api_key_env=None, api_key_file=None, tls=BackendTls(), protocol="openai", probe=False
        )
    for load in scenario.load:
        if load.model not in config.models:
            raise RehearsalError(
                f"the load calls {load.model!r}, and the configuration has {', '.join(config.models)}; name one of those"
            )
    return msgspec.structs.replace(config, backends=backends, oidc={}, certificates=(), limit_sharing=LimitSharing())


def staged(config: Config, urls: Mapping[str, str], health_urls: Mapping[str, str], speed: float) -> Config:
    """A configuration with the addresses at which the devices are, the callers' key, and all its times divided by `speed`.

    Each device is asked at `health_urls` how it is; one that publishes nothing is not in it.
    """
    backends: dict[str, Backend] = {}
    for name, backend in config.backends.items():
        health_url = health_urls.get(name)
        source = None
        if health_url is not None:
            source = msgspec.structs.replace(backend.health or HealthSource(url=""), url=health_url)
        backends[name] = msgspec.structs.replace(backend, base_url=urls[name], health=source)
    key = Key(name="rehearsal", sha256=hashlib.sha256(KEY.encode()).hexdigest(), team="rehearsal", pin=True)
    keys = (*(one for one in config.keys if one.name != key.name), key)
    models = {name: faster(model, speed) for name, model in config.models.items()}
    return msgspec.structs.replace(
        config,
        gateway=GatewayConfig(),
        backends={name: faster(backend, speed) for name, backend in backends.items()},
        models=models,
        keys=keys,
    )


def faster(value: S, speed: float) -> S:
    """A structure with every time in it (a field that ends in `_s`) divided by `speed`, at any depth."""
    if speed == 1.0 or not isinstance(value, msgspec.Struct):
        return value
    changed: dict[str, Any] = {}
    for name in value.__struct_fields__:
        field = getattr(value, name)
        if name.endswith("_s") and isinstance(field, float | int) and not isinstance(field, bool):
            changed[name] = field / speed
        elif isinstance(field, msgspec.Struct):
            changed[name] = faster(field, speed)
    return msgspec.structs.replace(value, **changed) if changed else value


def _backend(spec: DeviceSpec) -> Backend:
    return Backend(
        kind=Kind(spec.place_kind().value),
        base_url="",
        region=spec.region,
        prices=spec.prices,
        max_in_flight=spec.max_in_flight,
        timeouts=_TIMEOUTS,
        capabilities=Capabilities(continue_turn=ContinueTurn.PREFILL),
    )


def _served(spec: DeviceSpec) -> str:
    return spec.model.partition("=")[0].partition("!")[0]


def _expanded(model: Model, names: list[str]) -> tuple[Target, ...]:
    """Targets whose backend is a pattern, each with every device that it matches, once."""
    found: dict[tuple[str, str], Target] = {}
    for target in model.targets:
        for name in fnmatch.filter(names, target.backend):
            found.setdefault((name, target.model), msgspec.structs.replace(target, backend=name))
    return tuple(found.values())
