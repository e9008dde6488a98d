"""An emulated place on a socket."""

from types import TracebackType
from typing import Any, Self

from switchgear.core.clock import Clock, SystemClock
from switchgear.emulator.place import Place, Settings
from switchgear.emulator.service import Service
from switchgear.wire.address import Address, bind, bound_address, parse_address
from switchgear.wire.server import Server


class Emulator:
    """One emulated place, running while the context is open, on the running event loop.

    ::

        async with Emulator(profile="appliance", models=["llama-8b"], speed=50) as place:
            place.base_url                          # "http://127.0.0.1:54321/v1"
            place.set_faults(["stall;after_tokens=5"])
            place.state()["counts"]

    Takes the fields of `Settings` by name. Raises EmulatorError, HardwareError or AddressError.
    """

    def __init__(
        self,
        *,
        models: list[str] | tuple[str, ...],
        listen: str = "127.0.0.1:0",
        clock: Clock | None = None,
        **settings: Any,
    ) -> None:
        self.settings = Settings(models=tuple(models), **settings)
        self._listen = listen
        self._clock = clock or SystemClock()
        self._service: Service | None = None
        self._server: Server | None = None
        self.address = Address()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen."""
        service = Service(Place(self.settings, self._clock))
        sock = bind(parse_address(self._listen))
        self.address = bound_address(sock)
        self._service = service
        self._server = Server(self._service.handle, clock=self._clock)
        await self._server.listen(sock)

    async def close(self, grace_s: float = 0.0) -> None:
        """Stop: calls in flight may end for `grace_s` seconds, then they are cut."""
        server, service = self._server, self._service
        self._server = self._service = None
        if server is not None and grace_s > 0:
            await server.drain(grace_s)
        if service is not None:
            await service.close()
        if server is not None:
            await server.close()

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL; for a unix socket a URL whose host means nothing."""
        return "http://localhost/v1" if self.address.path else f"http://{self.address}/v1"

    @property
    def service(self) -> Service:
        """The running place. Raises RuntimeError where it is not running."""
        if self._service is None:
            raise RuntimeError("the emulator is not running; use it as an async context manager")
        return self._service

    def set_faults(self, rules: Any) -> None:
        """Replace the rules: text, one rule or fault, or a list of them. Raises EmulatorError."""
        self.service.set_faults(rules)

    def state(self) -> dict[str, Any]:
        """What `GET /emulator/state` says."""
        return self.service.state()
