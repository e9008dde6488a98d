"""Verified tokens are remembered within bounds."""

import pytest

from switchgear.identity.model import Credential, PrincipalKind, Principals
from switchgear.identity.token_cache import TokenCache

ALICE = Principals().of(PrincipalKind.OIDC, "company:alice")


def credential(number: int) -> Credential:
    return Credential(principal=ALICE, digest=bytes([number]) * 32, signer="odd" if number % 2 else "even")


@pytest.fixture
def cache() -> TokenCache:
    return TokenCache(generation=4)


def test_what_was_kept_is_found_in_the_one_object_that_is_looked_into(cache: TokenCache) -> None:
    recent = cache.recent
    for number in range(20):
        made = credential(number)
        cache.keep(made)
        assert recent[made.digest] is made
        assert len(cache) <= 8


def test_what_was_used_in_the_generation_before_comes_back_and_older_ones_do_not(cache: TokenCache) -> None:
    made = [credential(number) for number in range(10)]
    for one in made:
        cache.keep(one)
    assert list(cache.recent.values()) == made[8:]
    assert cache.recall(made[4].digest) is made[4]
    assert cache.recent[made[4].digest] is made[4]
    assert cache.recall(made[3].digest) is None


def test_what_a_key_signed_is_revoked_in_both_generations(cache: TokenCache) -> None:
    made = [credential(number) for number in range(7)]
    for one in made:
        cache.keep(one)
    cache.forget(frozenset({"odd", "another"}))
    for one in made:
        odd = one.signer == "odd"
        assert (one.answer(0.0) is None) is odd
        assert ((cache.recent.get(one.digest) or cache.recall(one.digest)) is None) is odd
