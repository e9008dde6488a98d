"""What authorization answers with: where a principal may send calls of a model and a class, and what it is told where that is nowhere."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

import cedarpy

from switchgear.core.authorization import Purpose
from switchgear.core.data_class import DataClass
from switchgear.core.record import RuledOut
from switchgear.policy.cedar import Decision
from switchgear.policy.errors import PolicyError

_CALL = (Purpose.FIRST, Purpose.RETRY, Purpose.FALLBACK, Purpose.HEDGE, Purpose.RESCUE, Purpose.CONTINUE)
"""Purposes of a call's own attempts. To escalate is to ask another model's targets."""


class StaleStanding(PolicyError):
    """A standing of another snapshot's authorizer was shown: make it anew of the principal."""

    code = "stale_standing"


class Destination(Protocol):
    """A target, as far as it is looked at here."""

    @property
    def backend_name(self) -> str: ...
    @property
    def model(self) -> str: ...


T = TypeVar("T", bound=Destination)
V = TypeVar("V")


class Standing:
    """What policies can tell of a principal. Principals that no policy tells apart share one. Compared by identity."""

    __slots__ = ("around", "name", "of")

    def __init__(self, of: object, name: str, around: cedarpy.Entities) -> None:
        self.of = of
        """Whose it is; no other authorizer takes it."""
        self.name = name
        self.around = around


class Denied(NamedTuple):
    """A target that policies rule out for the first attempt, and what said so."""

    backend: str
    model: str
    decision: Decision

    @property
    def reason(self) -> str:
        """For the record: `forbidden:ID,ID`, `policy_failed:ID` or `not_permitted` (no policy permits it)."""
        ids = ",".join(self.decision.policies)
        if self.decision.errors:
            return f"policy_failed:{ids}"
        return f"forbidden:{ids}" if ids else "not_permitted"


class Refusal(NamedTuple):
    """What a caller is told whose call may go nowhere. The same for all of one standing."""

    message: str
    """What forbade it, the remedy, and what would be allowed, in sentences."""
    policies: tuple[str, ...]
    """Ids of the policies that forbade, or failed; none where no policy permits."""
    data_classes: dict[str, tuple[str, ...]]
    """Data classes for which the same model may be called, with the backends that would do, strictest first."""
    models: tuple[str, ...]
    """Models that may be called for this data class: the first few."""

    def details(self) -> dict[str, object]:
        """For the error's body, beside its message."""
        return {
            "policies": list(self.policies),
            "allowed": {
                "data_classes": {name: list(backends) for name, backends in self.data_classes.items()},
                "models": list(self.models),
            },
        }


class ByPurpose(dict[str, V], Generic[V]):
    """By purpose, made when it is first asked for. A key may be an `AttemptKind`, which has the same words."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[Purpose], V]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, purpose: str) -> V:
        value = self[purpose] = self._make(Purpose(purpose))
        return value


class Reach(Generic[T]):
    """Which targets of a model a principal may use for data of a class."""

    __slots__ = (
        "allowed",
        "data_class",
        "decisions",
        "denied",
        "everywhere",
        "refusal",
        "ruled_out",
        "targets",
        "uniform",
    )

    def __init__(
        self, data_class: DataClass, targets: Sequence[T], decide: Callable[[Purpose], tuple[Decision, ...]]
    ) -> None:
        decisions = ByPurpose(decide)

        def allow(purpose: Purpose) -> tuple[T, ...]:
            return tuple(target for target, made in zip(targets, decisions[purpose], strict=True) if made.allowed)

        self.data_class = data_class
        """The one decided for: that of calls whose class nobody told, where none was."""
        self.decisions: ByPurpose[tuple[Decision, ...]] = decisions
        """By purpose, one for each target of the model."""
        self.allowed: ByPurpose[tuple[T, ...]] = ByPurpose(allow)
        """By purpose, targets that may be sent something, as configured. Those of a call's attempts are known, others are asked for
        when they are first looked at."""
        own = [self.allowed[purpose] for purpose in _CALL]
        self.uniform = all(one == own[0] for one in own)
        """Whether it makes no difference which of a call's attempts an attempt is: then `targets` is all there is to ask.
        Where it is False, an attempt may go only to a target of `allowed[kind]`."""
        self.everywhere = self.uniform and bool(targets) and len(own[0]) == len(targets)
        """Whether policies rule out nothing here."""
        self.targets: tuple[T, ...] = ()
        """Those that at least one attempt of a call may use; none where its first may use none."""
        if own[0]:
            self.targets = tuple(target for target in targets if any(target in one for one in own))
        self.denied: tuple[Denied, ...] = tuple(
            Denied(target.backend_name, target.model, decision)
            for target, decision in zip(targets, decisions[Purpose.FIRST], strict=True)
            if target not in self.targets
        )
        """The others."""
        self.ruled_out = tuple(RuledOut(out.backend, out.model, out.reason) for out in self.denied)
        """The same as the record keeps them."""
        self.refusal: Refusal | None = None
        """What a caller is told, once one had to be; see `Authorizer.refuse`."""
