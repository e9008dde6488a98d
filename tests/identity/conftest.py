"""The real OpenID provider: one process for the whole run, since it takes a second to start."""

from collections.abc import Iterator

import pytest
from tests.identity.openid_provider import OpenIdProvider, installed
from tests.identity.signing import signing_key


@pytest.fixture(scope="session")
def provider_process() -> Iterator[OpenIdProvider]:
    with OpenIdProvider(installed()) as process:
        process.start(signing_key("first"))
        yield process


@pytest.fixture
def openid(provider_process: OpenIdProvider) -> OpenIdProvider:
    """The provider as it was at the start: one key, no faults, nothing counted."""
    provider_process.rotate(signing_key("first"))
    provider_process.command("misbehave")
    provider_process.command("count")
    return provider_process
