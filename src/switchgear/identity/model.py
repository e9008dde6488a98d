"""Who calls, and what they showed."""

import math
from collections.abc import Callable
from enum import StrEnum
from weakref import WeakValueDictionary

import msgspec

from switchgear.core.data_class import DataClass
from switchgear.identity.refusals import Refusal


class PrincipalKind(StrEnum):
    """How somebody showed who they are."""

    KEY = "key"
    OIDC = "oidc"
    CERTIFICATE = "certificate"


class Principal(msgspec.Struct, frozen=True, kw_only=True, eq=False, weakref=True):
    """Who calls. There is one object for each identity and its rights, so it is compared and hashed by identity: the same whether
    it was shown by an old or a renewed token, or by the one or the other secret of a key that is being rotated.
    """

    kind: PrincipalKind
    name: str
    """Stands in records. That of a token is PROVIDER:VALUE, so no provider can name somebody else's key."""
    team: str = ""
    roles: tuple[str, ...] = ()
    """Sorted, each once."""
    models: frozenset[str] | None = None
    """Models that it may call; None: all."""
    pin: bool = False
    """Whether it may choose a backend itself."""
    data_class: DataClass | None = None
    """What its calls carry at least."""
    max_data_class: DataClass | None = None
    """The strictest class that its calls may carry; None: any."""


class Principals:
    """Keeps one `Principal` for each identity, as long as somebody holds it."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[tuple[object, ...], Principal] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._known)

    def of(
        self,
        kind: PrincipalKind,
        name: str,
        *,
        team: str = "",
        roles: tuple[str, ...] = (),
        models: tuple[str, ...] | None = None,
        pin: bool = False,
        data_class: DataClass | None = None,
        max_data_class: DataClass | None = None,
    ) -> Principal:
        """The one object for these; the order of roles and models does not matter."""
        ordered = tuple(sorted(set(roles)))
        allowed = None if models is None else frozenset(models)
        rights = (kind, name, team, ordered, allowed, pin, data_class, max_data_class)
        found = self._known.get(rights)
        if found is None:
            found = Principal(
                kind=kind,
                name=name,
                team=team,
                roles=ordered,
                models=allowed,
                pin=pin,
                data_class=data_class,
                max_data_class=max_data_class,
            )
            self._known[rights] = found
        return found


class Credential(msgspec.Struct, kw_only=True, eq=False):
    """One secret, token or certificate that shows a principal from `from_s` until just before `until_s`, Unix time.

    It may be remembered beside a connection: whoever looks at the time first, as `answer` does, also notices that it was revoked.
    """

    principal: Principal
    digest: bytes
    """SHA-256 of what is shown."""
    from_s: float = -math.inf
    until_s: float = math.inf
    before: Refusal | None = None
    """What is said before its time. One that is disabled waits for a time that never comes."""
    after: Refusal | None = None
    """What is said after its time; None: it must be verified anew."""
    signer: str = ""
    """Of a token: the thumbprint (RFC 7638) of the key that signed it."""

    def answer(self, now_s: float) -> "Answer | None":
        """Who it shows now, or why nobody; None: it must be verified anew."""
        if now_s < self.from_s:
            return self.before
        return self.principal if now_s < self.until_s else self.after

    def revoke(self) -> None:
        """It shows nobody any more, wherever it is remembered."""
        self.until_s = -math.inf


Answer = Principal | Refusal


class Pending:
    """Who calls is not known until a provider's keys are read. `then` says whom to tell; it is told once, from the event loop."""

    __slots__ = ("_callback", "_resolve")

    def __init__(self, resolve: Callable[[], Answer]) -> None:
        self._resolve = resolve
        self._callback: Callable[[Answer], None] | None = None

    def then(self, callback: Callable[[Answer], None]) -> None:
        """Call back with a principal or a refusal. To be given in the same turn of the event loop."""
        self._callback = callback

    def cancel(self) -> None:
        """The caller has gone: nobody is told."""
        self._callback = None

    def settle(self) -> None:
        """The keys were read, or could not be."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback(self._resolve())
