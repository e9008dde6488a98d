"""What a caller is told whose call may go nowhere: which policies forbade it, and what would be allowed."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from switchgear.core.data_class import DataClass
from switchgear.policy.authz_model import Denied, Destination, Reach, Refusal
from switchgear.policy.cedar import Decision
from switchgear.policy.cedar_text import Policy

T = TypeVar("T", bound=Destination)
MODELS_TRIED = 8
"""Other models that are looked at for what would be allowed: a refusal is made between two calls, at some 100 us for each target."""


def make_refusal(
    model: str,
    reach: Reach[T],
    policies: dict[str, Policy],
    other_models: Iterable[str],
    targets_of: Callable[[str, DataClass], Sequence[T]],
) -> Refusal:
    """The refusal of a call to a model whose `reach` is nowhere; `targets_of` tells where others may begin."""
    data_class = reach.data_class
    classes: dict[str, tuple[str, ...]] = {}
    for other in sorted(DataClass, reverse=True):
        if other is not data_class and (targets := targets_of(model, other)):
            classes[other.value] = tuple(dict.fromkeys(target.backend_name for target in targets))
    models = tuple(name for name in other_models if targets_of(name, data_class))
    ids = dict.fromkeys(policy for out in reach.denied for policy in out.decision.policies)
    sentences = [
        f"Policy lets no target of {model!r} take this call ({data_class.value} data): {_why(reach.denied, policies)}.",
        *_remedies(policies[one] for one in ids if one in policies),
        _allowed(model, data_class, classes, models),
    ]
    return Refusal(" ".join(sentences), tuple(ids), classes, models)


def _why(denied: Iterable[Denied], policies: dict[str, Policy]) -> str:
    places: dict[str, list[str]] = {}
    for out in denied:
        places.setdefault(why(out.decision, policies), []).append(f"{out.backend}/{out.model}")
    return "; ".join(f"{', '.join(names)}: {told}" for told, names in places.items()) or "it has none"


def why(decision: Decision, policies: dict[str, Policy]) -> str:
    """What made a refusing decision, in words."""
    if decision.errors:
        return f"refused because a policy could not be evaluated ({'; '.join(decision.errors)})"
    if not decision.policies:
        return "permitted by no policy"
    return f"forbidden by {', '.join(described(one, policies) for one in decision.policies)}"


def described(policy: str, policies: dict[str, Policy]) -> str:
    """A policy's id, with what its author says of it."""
    text = policies[policy].description.strip().rstrip(".") if policy in policies else ""
    return f"{policy} ({text})" if text else policy


def _remedies(policies: Iterable[Policy]) -> list[str]:
    texts = dict.fromkeys(policy.remedy.strip() for policy in policies)
    return [text if text.endswith((".", "!", "?")) else f"{text}." for text in texts if text]


def _allowed(model: str, data_class: DataClass, classes: dict[str, tuple[str, ...]], models: tuple[str, ...]) -> str:
    parts = [f"{name} data at {', '.join(backends)}" for name, backends in classes.items()]
    allowed = [f"{model!r} with {'; or '.join(parts)}"] if parts else []
    if models:
        allowed.append(f"{data_class.value} data with {', '.join(map(repr, models))}")
    if not allowed:
        return "Nothing else is allowed to this principal here: ask whoever writes the policies."
    return f"Allowed would be: {'. Or '.join(allowed)}."
