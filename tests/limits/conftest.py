"""A PostgreSQL server for all tests of this folder that want one."""

from collections.abc import Iterator

import pytest
from tests.limits.postgres import Cluster, running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    with running() as cluster:
        yield cluster
