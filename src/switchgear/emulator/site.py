"""Many devices of one scenario behind few sockets.

Ten thousand listening sockets would be ten thousand descriptors and as many ports, for devices of which most are asked seldom. So a site
listens on a few sockets, whatever the number of its devices, and the first part of a path names the device: `/NAME/v1/chat/completions`,
`/NAME/metrics`. A device's place (its models, its memory of calls) is made when it is first asked; its body needs none before, since
nothing that happens to a device without work depends on being looked at. Where each device must have an address of its own,
`listen_for` gives it one.

What a shared socket cannot do: a device that is off still accepts the connection, and resets it when the request has come.
"""

import socket
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from switchgear.core.clock import Clock
from switchgear.emulator.conditions import Timeline
from switchgear.emulator.device_spec import DeviceSpec
from switchgear.emulator.errors import ApiError, EmulatorError
from switchgear.emulator.place import Place, World
from switchgear.emulator.presence import Presence
from switchgear.emulator.service import Service
from switchgear.wire.address import Address, bind, bound_address, parse_address
from switchgear.wire.exchange import Exchange
from switchgear.wire.model import Limits
from switchgear.wire.server import Server

MOST_SOCKETS = 64


class Site:
    """The devices of a scenario as HTTP servers, from the moment `start` is called, which is the scenario's time 0.

    `devices` names each with what it is; `timelines` what happens to it; `speed` is emulated seconds in one real second. Raises
    EmulatorError, HardwareError or AddressError.
    """

    def __init__(
        self,
        devices: Mapping[str, DeviceSpec],
        timelines: Mapping[str, Timeline],
        clock: Clock,
        *,
        speed: float = 1.0,
        seed: int = 0,
        listen: Sequence[str] = ("127.0.0.1:0",),
    ) -> None:
        if len(listen) > MOST_SOCKETS:
            raise EmulatorError(
                f"a site of {len(listen)} shared sockets; give at most {MOST_SOCKETS}, whatever the number of devices"
            )
        self.addresses: list[Address] = []
        self._devices = devices
        self._numbers = {name: number for number, name in enumerate(devices)}
        self._timelines = timelines
        self._clock = clock
        self._speed = speed
        self._seed = seed
        self._listen_at = listen
        self._services: dict[str, Service] = {}
        self._servers: list[Server] = []
        self.origin_s = 0.0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen on the shared sockets."""
        self.origin_s = self._clock.monotonic_s()
        for address in self._listen_at:
            sock = bind(parse_address(address))
            self.addresses.append(bound_address(sock))
            await self._listen(sock, self._shared)

    async def listen_for(self, name: str, address: str) -> Address:
        """An address at which one device alone answers, without its name in the path."""
        service = self.service(name)
        sock = bind(parse_address(address))
        bound = bound_address(sock)
        await self._listen(sock, service.handle)
        return bound

    async def close(self) -> None:
        """Cut all calls and stop."""
        for service in self._services.values():
            await service.close()
        for server in self._servers:
            await server.close()
        self._servers.clear()

    def address(self, name: str) -> Address:
        """The shared socket at which a device is asked, with its name as the first part of the path."""
        return self.addresses[self._numbers[name] % len(self.addresses)]

    def url(self, name: str) -> str:
        """Where a device is, at a shared TCP socket; its API is below `/v1` of that."""
        return f"http://{self.address(name)}/{name}"

    def presence(self, name: str) -> Presence:
        """A device as its callers see it. Raises EmulatorError where there is none of this name."""
        presence = self.service(name).place.presence
        if presence is None:
            raise EmulatorError(f"{name!r} has no body")
        return presence

    def service(self, name: str) -> Service:
        """The running place of a device, made where nobody has asked for it yet. Raises EmulatorError."""
        service = self._services.get(name)
        if service is None:
            spec = self._devices.get(name)
            if spec is None:
                raise EmulatorError(f"no device {name!r}; there are {', '.join(list(self._devices)[:20])}")
            world = World(spec.figures(), self._timelines[name], self.origin_s, spec.published())
            place = Place(spec.settings(name, speed=self._speed, seed=self._seed), self._clock, world)
            service = self._services[name] = Service(place)
        return service

    async def _listen(self, sock: socket.socket, handler: Callable[[Exchange], None]) -> None:
        server = Server(handler, limits=Limits(connections=20_000), clock=self._clock)
        self._servers.append(server)
        await server.listen(sock)

    def _shared(self, exchange: Exchange) -> None:
        path = exchange.target.partition(b"?")[0].decode("latin-1")
        name, slash, rest = path.removeprefix("/").partition("/")
        if name not in self._devices:
            error = ApiError(404, f"No device {name[:100]!r} at this site.", error_code="unknown_device")
            exchange.reply(404, error.body())
            return
        self.service(name).answer(exchange, slash + rest)
