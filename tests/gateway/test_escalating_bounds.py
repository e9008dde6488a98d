"""Who may have the larger model asked: policies, keys, capabilities; and one deadline, one cost limit, one set of limits for both."""

import hashlib

import pytest
from tests.gateway.cared import Cared, Gate, at, story, swap, text_of
from tests.gateway.escalation import ASKED, ESCALATE, FAILED, FIRST, OK, RULE, STREAMED, told, whole, world
from tests.gateway.recording import streams

from switchgear.core.authorization import Authorization, PolicyText
from switchgear.core.data_class import DataClass
from switchgear.core.limits import Limit
from switchgear.core.snapshot import Capabilities, Key, Prices


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_where_the_larger_model_may_not_be_asked_the_answer_is_given_as_it_is(streamed: bool) -> None:
    small = streams(*told(("n", -3.0))) if streamed else whole("n", -3.0)
    async with world(small, whole("YES", None)) as one:
        texts = '@id("all") permit (principal, action, resource);@id("no") forbid (principal, action == Action::"escalate", resource);'
        swap(one.plane, authorization=Authorization(texts=(PolicyText("p.cedar", texts),)))
        answer = await one.send(STREAMED if streamed else ASKED)
        assert text_of(answer) == "n"
        assert "x-switchgear-degraded" not in answer.headers
        assert one.asked("large") == 0
        assert story(await one.record()) == [("small", FIRST, OK)]


async def test_a_key_that_may_not_call_the_larger_model_does_not_get_there_either() -> None:
    scoped = Key(name="scoped", sha256=hashlib.sha256(b"scoped").hexdigest(), models=("chat",))
    async with world(whole("no", -3.0), whole("YES", None), keys=(scoped,)) as one:
        answer = await one.send(ASKED, key="scoped")
        assert text_of(answer) == "no"
        assert "x-switchgear-degraded" not in answer.headers
        assert "logprobs" not in one.places["small"].fields, "nothing follows from a verdict, so none is made"
        assert one.asked("large") == 0


async def test_the_larger_model_makes_no_less_of_a_call_of_which_nobody_told_anything() -> None:
    larger = {"data_class": DataClass.PUBLIC}
    async with world(whole("no", -3.0), whole("YES", None), larger=larger) as one:
        texts = '@id("all") permit (principal, action, resource);@id("stays") forbid (principal, action, resource) when'
        texts += ' { context.data_class in DataClass::"restricted" && context.model == Model::"large" };'
        swap(one.plane, authorization=Authorization(texts=(PolicyText("p.cedar", texts),)))
        assert text_of(await one.send(ASKED)) == "no"
        assert one.asked("large") == 0
        assert text_of(await one.send(ASKED, x_switchgear_data_class="internal")) == "YES"


async def test_a_policy_that_lets_one_of_two_larger_targets_be_asked() -> None:
    async with Cared(
        {"small": whole("n", -3.0), "big": whole("BIG", None), "huge": whole("HUGE", None)},
        model={"targets": at("small"), "escalate": RULE},
        aliases={"large": {"targets": at("big", "huge")}},
        backends={"big": {"labels": ("far",)}},
    ) as one:
        texts = (
            '@id("all") permit (principal, action, resource);'
            '@id("near") forbid (principal, action == Action::"escalate", resource) when { resource.labels.contains("far") };'
        )
        swap(one.plane, authorization=Authorization(texts=(PolicyText("p.cedar", texts),)))
        assert text_of(await one.send(ASKED)) == "HUGE"
        record = await one.record()
        assert [(out.backend, out.reason) for out in record.ruled_out] == [("big", "forbidden:near")]
        assert text_of(await one.send({**ASKED, "model": "large"})) == "BIG", "a call of its own may go there"


async def test_a_target_without_logprobs_is_no_candidate() -> None:
    async with Cared(
        {"dumb": whole("no", None), "small": whole("yes", -0.5), "large": whole("YES", None)},
        model={"targets": at("dumb", "small"), "escalate": RULE},
        aliases={"large": {"targets": at("large")}},
        backends={
            "dumb": {"capabilities": Capabilities(logprobs=False)},
            "large": {"capabilities": Capabilities(logprobs=False)},
        },
    ) as one:
        assert text_of(await one.send(ASKED)) == "yes"
        assert [(out.backend, out.reason) for out in (await one.record()).ruled_out] == [("dumb", "lacks_logprobs")]
        one.places["small"].answer = whole("no", -2.0)
        assert text_of(await one.send(ASKED)) == "YES", "of the larger model none are wanted"


async def test_one_deadline_for_both() -> None:
    gate = Gate()
    async with world(whole("no", -2.0), gate) as one:
        answer = await one.send(ASKED, x_switchgear_timeout_s="0.2")
        assert (text_of(answer), answer.headers["x-switchgear-degraded"]) == ("no", "unsure")
        assert story(await one.record()) == [("small", FIRST, OK), ("large", ESCALATE, FAILED)]


async def test_one_cost_limit_for_both() -> None:
    dear = Prices(input_usd_per_mtok=100.0, output_usd_per_mtok=1000.0)
    async with world(
        whole("no", -2.0), whole("YES", None), model={"max_cost_usd": 0.01}, backends={"large": {"prices": dear}}
    ) as one:
        answer = await one.send({**ASKED, "max_tokens": 50})
        assert (text_of(answer), answer.headers["x-switchgear-degraded"]) == ("no", "unsure")
        record = await one.record()
        assert [(out.backend, out.reason) for out in record.ruled_out] == [("large", "over_cost_limit")]
        assert one.asked("large") == 0
        assert text_of(await one.send({**ASKED, "max_tokens": 5})) == "YES"


async def test_limits_on_the_larger_model_hold() -> None:
    async with world(whole("no", -2.0), whole("YES", None)) as one:
        limits = (
            Limit(name="few", model="large", requests_per_minute=1),
            Limit(name="all", key="*", requests_per_minute=5, tokens_per_minute=100_000, usd_per_day=1.0),
        )
        swap(one.plane, limits=limits)
        said = [text_of(await one.send(ASKED)) for _ in range(3)]
        assert said == ["YES", "no", "no"]
        assert (await one.record(2)).degraded == "unsure"
        shares = {
            share.counter.measure.value: share
            for share in one.plane.gateway.table.limiter.shares
            if share.counter.limit == "all"
        }
        assert shares["requests_per_minute"].free == 2, "one call is one call, however many models it asks"
        tokens = shares["tokens_per_minute"]
        assert tokens.free + sum(tokens.refunds.values()) == 100_000 - 4 * 11, "and all that they use is counted"
        spent = shares["usd_per_day"].spent
        assert spent == pytest.approx(4 * 13_000), "in billionths of a dollar; nothing is counted twice"
        assert not one.plane.builder.shares.outstanding
