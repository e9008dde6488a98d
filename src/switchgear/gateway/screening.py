"""A call and the content screen: what is found in it, by our own screen and by an external one beside it, and what follows."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from switchgear.core.authorization import Purpose
from switchgear.core.data_class import DataClass
from switchgear.core.external_screening import PLACE, ExternalScreening, OnLate
from switchgear.gateway.call import Call
from switchgear.gateway.errors import Refused
from switchgear.gateway.table import Admission
from switchgear.policy.external import FORBIDDEN, ExternalAnswer, follow
from switchgear.policy.model import CLEAN, Verdict, tally

if TYPE_CHECKING:  # its automata are loaded by who has a screen
    from switchgear.policy.screen import Screen

_COME_BACK_S = 1.0
"""When to come back where the external screen gave no answer."""


def screened(call: Call, admission: Admission) -> Admission:
    """What our own screen finds in a call, and where the call may go with that. Raises Refused."""
    screen, head = call.table.screen, call.head
    if screen is None or head is None:
        return admission
    verdict = call.verdict = screen.request(head.fields, admission.data_class)
    return admission if verdict is CLEAN else _followed(call, admission, verdict)


def ask_elsewhere(
    call: Call, admission: Admission, external: ExternalScreening, told: Callable[[ExternalAnswer], None]
) -> None:
    """Have the external screen asked beside ours, where our own does not refuse the call and policies allow it: `told` hears what it
    found, or why there is no answer. Raises Refused.
    """
    screen, head, table = _screen_of(call), call.head, call.table
    assert head is not None  # noqa: S101  who is admitted has one
    own = call.verdict = screen.request(head.fields, admission.data_class)
    if own.refused_by:
        raise _refused_by(own)
    carries = _counts_as(call, admission, own.raised_to)
    check_class(call, admission.data_class if own.raised_to is None else carries)
    if _why_forbidden(call, carries):
        told(ExternalAnswer(late=FORBIDDEN))
    elif table.external is None:
        told(ExternalAnswer(late="down"))
    else:
        timeout_s = min(external.timeout_s, admission.route.config.deadline_s)
        call.waits = table.external.ask(screen.texts(head.fields), timeout_s, told)


def screened_with(call: Call, admission: Admission, external: ExternalScreening, answer: ExternalAnswer) -> Admission:
    """The same as `screened`, once the external screen has answered or is known not to. Raises Refused."""
    assert call.head is not None  # noqa: S101  who is admitted has one
    decision = follow(answer, external)
    verdict = call.verdict
    if answer.findings:
        verdict = _screen_of(call).request_with(call.head.fields, admission.data_class, answer.findings)
    if decision.flag:
        verdict = msgspec.structs.replace(
            verdict,
            rules=(*verdict.rules, decision.flag),
            raised_to=max(filter(None, (verdict.raised_to, decision.raised_to)), default=None),
        )
    call.verdict = verdict
    if decision.refused:
        raise _refused_unseen(call, admission, answer.late)
    return admission if verdict is CLEAN else _followed(call, admission, verdict)


def check_class(call: Call, told: DataClass | None) -> None:
    """`told`: the strictest class that was declared, or raised to. Raises Refused where the caller may not send what the call carries."""
    principal = call.principal
    if principal is None or principal.max_data_class is None:
        return
    carries, most = told or call.table.snapshot.authorization.unknown_class, principal.max_data_class
    if carries > most:
        raise Refused(
            "data_class_not_allowed",
            f"{principal.name!r} may send data up to class {most.value}, and this call counts as {carries.value}"
            f"{'' if told else ', because nobody declared its class'}. Send less sensitive data,"
            " declare its class with x-switchgear-data-class, or ask for the right.",
        )


def _followed(call: Call, admission: Admission, verdict: Verdict) -> Admission:
    """What follows from findings. Raises Refused."""
    assert call.head is not None  # noqa: S101  who is admitted has one
    assert call.principal is not None  # noqa: S101  as above
    if verdict.refused_by:
        raise _refused_by(verdict)
    if verdict.redacted is not None:
        call.head.fields = verdict.redacted
    if verdict.raised_to is None:
        return admission
    return call.table.admission(call.principal, admission.route, (_counts_as(call, admission, verdict.raised_to),))


def _refused_by(verdict: Verdict) -> Refused:
    found = ", ".join(f"{one.count} x {one.type}" for one in tally(verdict.findings))
    return Refused(
        "refused_by_screen",
        f"The rule {verdict.refused_by!r} of the content screen refuses this call: it holds {found}."
        " Take that out of the call, or ask whoever runs this gateway for a model that may have it.",
    )


def _refused_unseen(call: Call, admission: Admission, late: str) -> Refused:
    if late == FORBIDDEN:
        why = _why_forbidden(call, _counts_as(call, admission, call.verdict.raised_to))
        return Refused(
            "forbidden_by_policy",
            f"Policy does not let the external screen look at this call ({why}), and calls that it has not looked at are"
            f' refused here (screen.external.on_late = "{OnLate.REFUSE.value}"). Send less sensitive data, or ask whoever'
            " writes the policies.",
        )
    return Refused(
        "screen_unavailable",
        f"The external screen gave no answer about this call ({late}), and calls that it has not looked at are refused here."
        " Send the call again.",
        retry_after_s=_COME_BACK_S,
    )


def _counts_as(call: Call, admission: Admission, raised_to: DataClass | None) -> DataClass:
    """The class of a call that the screen raises: never below what it counts as where nobody declared one."""
    declared = admission.data_class or call.table.snapshot.authorization.unknown_class
    return declared if raised_to is None else max(declared, raised_to)


def _why_forbidden(call: Call, data_class: DataClass) -> str:
    """Why policies forbid that a call of this class is looked at elsewhere; empty where they allow it."""
    authorizer, principal, route = call.table.authorizer, call.principal, call.route
    if authorizer is None or principal is None or route is None:
        return ""
    from switchgear.policy.authz_refusal import why
    from switchgear.policy.cedar import Sending

    sending = Sending(Purpose.SCREEN, PLACE)
    decision = authorizer.decision[call.table.standing(principal), route.name, data_class, sending]
    return "" if decision.allowed else why(decision, authorizer.policies.policies)


def _screen_of(call: Call) -> "Screen":
    screen = call.table.screen
    assert screen is not None  # noqa: S101  an external screen is configured within ours
    return screen
