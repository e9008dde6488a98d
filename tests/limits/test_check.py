"""Limits as configured: what is wrong is named with its place and a remedy."""

from collections.abc import Iterable

import msgspec
import pytest

from switchgear.core.errors import Problem
from switchgear.core.limits import FairShare, Limit, LimitSharing
from switchgear.limits.check import fair_share_problems, limit_problems, sharing_problems

NAMES = {"key": ["demo"], "team": ["research", "sales"], "model": ["chat"], "backend": ["own", "cloud"]}


def texts(problems: Iterable[Problem]) -> list[str]:
    return [str(problem) for problem in problems]


def test_what_is_right_has_no_problems() -> None:
    limits = [Limit(team="research", model="chat", in_flight=1), Limit(key="*", requests_per_minute=0)]
    assert texts(limit_problems(limits, NAMES)) == []
    assert texts(fair_share_problems(FairShare(weights={"sales": 2.0}), NAMES["team"])) == []
    assert texts(sharing_problems(LimitSharing(database="postgresql://me@db/limits"), limits, 4)) == []
    assert texts(sharing_problems(LimitSharing(), limits, 1)) == []
    assert texts(sharing_problems(LimitSharing(), [], 4)) == []


def test_a_limit_that_bounds_nothing() -> None:
    (text,) = texts(limit_problems([Limit(team="sales")], NAMES))
    assert text.startswith(
        "limits[0]: the limit 'team=sales' bounds nothing. Give it at least one of requests_per_minute,"
    )


def test_a_name_that_does_not_exist_is_told_with_the_nearest_one() -> None:
    (text,) = texts(limit_problems([Limit(team="reserch", in_flight=1)], NAMES))
    assert text == "limits[0].team: there is no team 'reserch'. Did you mean 'research'?"
    (text,) = texts(limit_problems([Limit(backend="zzz", in_flight=1)], NAMES))
    assert text.endswith('Use one of cloud, own, or "*" for each.')


def test_names_that_come_from_elsewhere_are_not_looked_up() -> None:
    assert texts(limit_problems([Limit(team="whatever", in_flight=1)], {"model": ["chat"]})) == []


def test_two_limits_of_one_name() -> None:
    limits = [Limit(team="sales", in_flight=1), Limit(team="sales", usd_per_day=1.0)]
    (text,) = texts(limit_problems(limits, NAMES))
    assert text.startswith("limits[1]: there is a limit 'team=sales' already")


def test_several_workers_without_anything_in_common() -> None:
    (text,) = texts(sharing_problems(LimitSharing(), [Limit(in_flight=1)], 4))
    assert "4 workers would each admit" in text
    assert "sqlite:///state/limits.db" in text


@pytest.mark.parametrize("address", ["postgresql://me:secret@db/limits", "postgresql://db/limits?password=secret"])
def test_a_password_in_the_address_is_refused_and_not_shown(address: str) -> None:
    (text,) = texts(sharing_problems(LimitSharing(database=address), [], 1))
    assert "PGPASSWORD" in text
    assert "secret" not in text


def test_an_address_of_another_kind_is_refused_and_not_shown_whole() -> None:
    (text,) = texts(sharing_problems(LimitSharing(database="mysql://me:secret@db/x"), [], 1))
    assert "sqlite:///PATH" in text
    assert "secret" not in text


def test_a_lease_that_cannot_be_renewed_in_time() -> None:
    (text,) = texts(sharing_problems(LimitSharing(sync_s=5.0, lease_s=10.0), [], 1))
    assert text.startswith("limit_sharing.lease_s")


def test_weights_name_teams() -> None:
    (text,) = texts(fair_share_problems(FairShare(weights={"slaes": 2.0}), NAMES["team"]))
    assert text == "fair_share.weights.slaes: there is no team 'slaes'. Did you mean 'sales'?"


@pytest.mark.parametrize(
    "text",
    [
        b'{"requests_per_minute": -1}', b'{"usd_per_day": -0.1}', b'{"mode": "strict"}', b'{"in_flight": 1.5}',
        b'{"requests_per_hour": 5}', b'{"name": "a|b"}',
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_its_type(text: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Limit)
