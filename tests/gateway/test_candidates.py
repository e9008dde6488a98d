"""Which targets a call may go to, and the refusal where there is none: one test for each reason."""

from typing import Any

import pytest
from tests.gateway.routes import anywhere, make_head, make_route, usd

from switchgear.core.snapshot import Breaker, Endpoint, Prices
from switchgear.gateway.candidates import REASONS, allowed_route, candidates_of, refusal
from switchgear.gateway.errors import Refused
from switchgear.gateway.head import CallHead
from switchgear.gateway.table import Route
from switchgear.identity.model import Principal, PrincipalKind, Principals

NOW_S = 100.0
TOOLS = {"tools": [{"type": "function", "function": {"name": "f"}}]}
LONG = {"messages": [{"role": "user", "content": "x" * 8000}]}
IMAGES = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]}
SCHEMA = {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}}


def key(**changes: Any) -> Principal:
    return Principals().of(PrincipalKind.KEY, "k", **changes)


def break_down(route: Route, backend: str, now_s: float = NOW_S) -> None:
    breaker = next(one for one in route.targets if one.backend_name == backend).state.breaker
    for _ in range(breaker.settings.consecutive):
        breaker.completed(now_s, good=False, duration_s=0.1, probe=breaker.began(now_s))


def fill(route: Route, backend: str) -> None:
    target = next(one for one in route.targets if one.backend_name == backend)
    target.backend_state.in_flight = target.backend.max_in_flight


def split(route: Route, head: CallHead) -> tuple[list[str], dict[str, str]]:
    candidates, ruled_out = candidates_of(route, head, NOW_S, anywhere(route))
    return [one.backend_name for one in candidates], {one.backend: one.reason for one in ruled_out}


@pytest.mark.parametrize(
    ("reason", "place", "fields", "model"),
    [
        ("lacks_endpoint", {"endpoints": (Endpoint.EMBEDDINGS,)}, {}, {}),
        ("lacks_tools", {"tools": False}, TOOLS, {}),
        ("lacks_images", {"images": False}, IMAGES, {}),
        ("lacks_json_schema", {"json_schema": False}, SCHEMA, {}),
        ("lacks_logprobs", {"logprobs": False}, {"logprobs": True}, {}),
        ("context_too_small", {"context_window": 1000}, LONG, {}),
        ("over_cost_limit", {"prices": usd(1000)}, {}, {"max_cost_usd": 0.001}),
        ("unpriced", {"prices": None}, {}, {"max_cost_usd": 1.0}),
    ],
)
def test_what_a_target_lacks_rules_it_out(
    reason: str, place: dict[str, Any], fields: dict[str, Any], model: dict[str, Any]
) -> None:
    route = make_route({"a": place, "b": {"prices": usd(1)}}, **model)
    head = make_head(**fields)
    assert split(route, head) == (["b"], {"a": reason})
    alone = make_route({"a": place}, **model)
    error = refusal(alone, candidates_of(alone, head, NOW_S, anywhere(alone))[1], NOW_S)
    assert (error.code, error.param, error.retry_after_s) == ("no_capable_target", "model", None)
    assert f"a/m {REASONS[reason]}" in str(error)


def test_an_open_breaker_rules_out_until_it_lets_a_probe_through() -> None:
    route = make_route({"a": {"breaker": Breaker(consecutive=1, open_s=10.0)}, "b": {}})
    break_down(route, "a", NOW_S - 4.0)
    assert split(route, make_head()) == (["b"], {"a": "breaker_open"})
    break_down(route, "b")
    _, ruled_out = candidates_of(route, make_head(), NOW_S, anywhere(route))
    error = refusal(route, ruled_out, NOW_S)
    assert (error.code, error.status) == ("no_target_available", 503)
    assert error.retry_after_s == pytest.approx(6.0), "the first of them is asked again then"
    assert candidates_of(route, make_head(), NOW_S + 6.0, anywhere(route))[0], "and now it may"


def test_a_full_backend_is_ruled_out() -> None:
    route = make_route({"a": {"max_in_flight": 2}, "b": {}})
    fill(route, "a")
    assert split(route, make_head()) == (["b"], {"a": "full"})
    fill(route, "b")
    error = refusal(route, candidates_of(route, make_head(), NOW_S, anywhere(route))[1], NOW_S)
    assert (error.code, error.retry_after_s) == ("no_target_available", 1.0)


def test_when_to_come_back_is_told_by_those_that_could_serve_the_call() -> None:
    route = make_route({"unable": {"tools": False}, "broken": {"breaker": Breaker(consecutive=1, open_s=10.0)}})
    break_down(route, "broken")
    error = refusal(route, candidates_of(route, make_head(**TOOLS), NOW_S, anywhere(route))[1], NOW_S)
    assert error.code == "no_target_available"
    assert error.retry_after_s == pytest.approx(10.0), "the one that lacks tools will never do"


def test_a_pin_leaves_one_backend() -> None:
    route = make_route({"a": {}, "b": {}, "c": {}})
    assert split(route, make_head(model="chat@b")) == (["b"], {"a": "not_pinned", "c": "not_pinned"})


def test_a_refusal_of_a_pinned_call_speaks_of_its_backend_alone() -> None:
    route = make_route({"a": {}, "b": {"tools": False}})
    head = make_head(model="chat@b", **TOOLS)
    error = refusal(route, candidates_of(route, head, NOW_S, anywhere(route))[1], NOW_S)
    assert error.code == "no_capable_target"
    assert "a/m" not in str(error)
    assert "b/m cannot call tools" in str(error)


def test_capabilities_are_looked_at_before_the_moment() -> None:
    route = make_route({"a": {"tools": False, "breaker": Breaker(consecutive=1)}})
    break_down(route, "a")
    assert split(route, make_head(**TOOLS)) == ([], {"a": "lacks_tools"})


def test_a_targets_own_window_and_prices_come_before_its_backends() -> None:
    route = make_route({"a": {"context_window": 100_000}})
    assert split(route, make_head(**LONG)) == (["a"], {})
    assert route.targets[0].cost_usd(1, 0, 1) is None


@pytest.mark.parametrize(
    ("name", "who", "code", "status"),
    [
        ("other", key(), "model_not_found", 404),
        ("", key(), "model_not_found", 404),
        ("chat", key(models=("embed",)), "model_not_allowed", 403),
        ("chat@a", key(), "pin_not_allowed", 403),
        ("chat@z", key(pin=True), "unknown_pin", 404),
        ("other@a", key(pin=True), "model_not_found", 404),
    ],
)
def test_models_and_pins_that_a_key_may_not_call(name: str, who: Principal, code: str, status: int) -> None:
    with pytest.raises(Refused) as caught:
        allowed_route({"chat": make_route({"a": {}})}, make_head(model=name), who)
    assert (caught.value.code, caught.value.status, caught.value.param) == (code, status, "model")


def test_models_and_pins_that_a_key_may_call() -> None:
    route = make_route({"a": {}})
    for name, who in (("chat", key()), ("chat", key(models=("chat",))), ("chat@a", key(pin=True))):
        assert allowed_route({"chat": route}, make_head(model=name), who) is route


def test_cached_tokens_have_their_own_price() -> None:
    prices = Prices(input_usd_per_mtok=2.0, cached_input_usd_per_mtok=0.5, output_usd_per_mtok=8.0)
    target = make_route({"a": {"prices": prices}}).targets[0]
    assert target.cost_usd(1000, 400, 100) == pytest.approx((600 * 2.0 + 400 * 0.5 + 100 * 8.0) / 1e6)
    plain = make_route({"a": {"prices": usd(2)}}).targets[0]
    assert plain.cost_usd(1000, 400, 100) == pytest.approx(1100 * 2.0 / 1e6)
