"""The town of the matrix, one for each worker of the tests."""

import pytest
from starlette.testclient import TestClient

from tests.authz.founding import build
from tests.authz.town import Town


@pytest.fixture(scope="session")
def town(client: TestClient) -> Town:
    """Two clinics in which everybody has a record of every kind."""
    return build(client)
