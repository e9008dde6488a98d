"""The hot path of a plan, written out for its own shares.

A plan has one or two shares of each kind, and to loop over so few costs as much as what is done with each: admitting, settling and
telling of a call took 410 bytecodes by loops, and take half of it so. The text below is therefore made for each plan and compiled; plans
of the same shape have the same code. Names in it are the plan's shares: `r` of requests, `s` of calls in flight, `t` of tokens, `m` of
money.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from switchgear.limits.headers import template
from switchgear.limits.model import NANO

if TYPE_CHECKING:
    from switchgear.limits.plan import Plan
    from switchgear.limits.reservation import Reservation

Take = Callable[[int, float | None, float], "Reservation | None"]
Settle = Callable[["Reservation", int | None, float | None, float], None]


class Quick(NamedTuple):
    """What a call needs of its plan."""

    take: Take
    """`take(tokens, cost_usd, now_s)`: a reservation of one call, so many tokens and dollars, or None: look closely."""
    settle: Settle
    """`settle(reservation, tokens, cost_usd, now_s)`: what is used is used, the rest is free again."""
    lines: Callable[[], bytes]
    """Header lines of the limits with the least left: of requests, and of tokens."""


def quick(plan: "Plan") -> Quick:
    """For one plan."""
    from switchgear.limits.reservation import Reservation

    told = [[share for share in shares if share.counter.hard] for shares in (plan.requests, plan.tokens)]
    kinds = {"r": plan.requests, "s": plan.slots, "t": plan.tokens, "m": plan.money}
    names: dict[str, Any] = {f"{kind}{n}": share for kind, of_kind in kinds.items() for n, share in enumerate(of_kind)}
    for kind, shares in zip(("requests", "tokens"), told, strict=True):
        names |= {f"{kind}{n}": share for n, share in enumerate(shares)}
        names |= {f"{kind}{n}_lines": template(share, kind.encode()) for n, share in enumerate(shares)}
    names |= {"plan": plan, "shares": plan.shares, "Reservation": Reservation, "NANO": NANO}
    shape = tuple(len(one) for one in (plan.requests, plan.slots, plan.tokens, plan.money, *told))
    exec(_code(shape), names)  # noqa: S102  text that is made below, of numbers alone
    return Quick(names["take"], names["settle"], names["lines"])


@lru_cache(maxsize=256)
def _code(shape: tuple[int, ...]) -> Any:
    requests, slots, tokens, money, told_requests, told_tokens = shape
    r, s, t, m = (
        [f"{kind}{n}" for n in range(count)]
        for kind, count in zip("rstm", (requests, slots, tokens, money), strict=True)
    )
    told = [kind for kind, count in (("requests", told_requests), ("tokens", told_tokens)) if count]
    head = " + ".join(f"{kind} % ({kind}_left if {kind}_left > 0 else 0)" for kind in told)
    lines = [
        *_take(r + s, t, m),
        *_settle(s, t, m),
        "def lines():",
        *_tightest("requests", told_requests),
        *_tightest("tokens", told_tokens),
        f"    return {head or 'bytes()'}",
    ]
    return compile("\n".join(lines), f"<limits {shape}>", "exec")


def _take(ones: Sequence[str], tokens: Sequence[str], money: Sequence[str]) -> list[str]:
    short = [f"{one}.free < 1" for one in ones] + [f"{one}.free < tokens" for one in tokens]
    lines = [
        "def take(tokens, cost_usd, now_s):",
        "    if now_s >= plan.turns_s and not plan.turn(now_s):",
        "        return None",
        f"    if {' or '.join(short + ['cost_usd is None'] * bool(money)) or 'False'}:",
        "        return None",
        f"    nano_usd = {'int(cost_usd * NANO + 0.5)' if money else '0'}",
    ]
    if money:
        lines += [f"    if {' or '.join(f'{one}.free < nano_usd' for one in money)}:", "        return None"]
    lines += [f"    {one}.free -= 1" for one in ones]
    lines += [f"    {one}.free -= tokens" for one in tokens]
    lines += [f"    {one}.free -= nano_usd" for one in money]
    return [
        *lines,
        "    made = Reservation(plan, tokens, nano_usd, now_s, shares.lease)",
        "    shares.outstanding.add(made)",
        "    return made",
    ]


def _settle(slots: Sequence[str], tokens: Sequence[str], money: Sequence[str]) -> list[str]:
    lines = [
        "def settle(one, tokens, cost_usd, now_s):",
        "    shares.outstanding.discard(one)",
        "    if now_s >= plan.turns_s:",
        "        plan.turn(now_s)",  # a day that has ended must not be charged, nor a lease that is over be given back to
        *(f"    {slot}.free += 1" for slot in slots),
        "    valid = one.lease == shares.lease",
    ]
    if tokens:
        lines += [
            "    if tokens is not None:",
            "        more = tokens - one.tokens",
            "        if more > 0 or (more and valid):",
            *(f"            {share}.correct(one.taken_s, more, now_s)" for share in tokens),
        ]
    if money:
        lines += [
            "    reserved = one.nano_usd",
            "    real = reserved if cost_usd is None else int(cost_usd * NANO + 0.5)",
            "    if valid:",
            *(f"        {budget}.free += reserved - real; {budget}.spent += real" for budget in money),
            "    else:",
            *(f"        {budget}.cost_of_lost(reserved, real)" for budget in money),
        ]
    return lines


def _tightest(kind: str, count: int) -> list[str]:
    if not count:
        return []
    lines = [f"    {kind}_left = {kind}0.free + {kind}0.available", f"    {kind} = {kind}0_lines"]
    for n in range(1, count):
        lines += [
            f"    rest = {kind}{n}.free + {kind}{n}.available",
            f"    if rest < {kind}_left:",
            f"        {kind}_left = rest; {kind} = {kind}{n}_lines",
        ]
    return lines
