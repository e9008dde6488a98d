"""What the room asks of others."""

from typing import NamedTuple, Protocol


class KeyReader(Protocol):
    """Reads the keys of one provider, wherever they are."""

    async def read(self) -> bytes:
        """Its JWK Set now, unread. Raises ProviderError; ends within the provider's `fetch_s`."""
        ...


class Kept(NamedTuple):
    """A JWK Set and when it was read, Unix time."""

    content: bytes
    read_at_s: float


class KeyMemory(Protocol):
    """Keeps the keys of one provider over a restart. Raises nothing: what cannot be kept or found is logged, and serving goes on."""

    def load(self) -> Kept | None:
        """What was kept last."""
        ...

    def keep(self, kept: Kept) -> None:
        """Keep this in place of what was kept before."""
        ...
