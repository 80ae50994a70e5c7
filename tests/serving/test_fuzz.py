"""Whatever is sent to the API, it answers, and never with a server error."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from vur.serving.app import create_app
from vur.serving.guard import Guard

pytestmark = pytest.mark.slow
# Endless by design, or other than HTTP.
LEFT_OUT = ("/ws",)


@pytest.fixture
def kind() -> str:
    """SQLite only: what is sent decides here, not where it is kept."""
    return "sqlite"


@pytest.fixture
def api(ana):
    """The OpenAPI document with a client behind the guard."""
    return schemathesis.openapi.from_asgi("/api/v1/openapi.json", Guard(create_app()), headers={"Authorization": f"Bearer {ana.token}"})


schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@settings(max_examples=12, derandomize=True, deadline=None, phases=[Phase.explicit, Phase.generate], database=None,
          suppress_health_check=list(HealthCheck))
def test_no_request_is_answered_with_a_server_error(case, ana):
    if case.operation.path in LEFT_OUT:
        pytest.skip("not HTTP")
    response = case.call(headers={"Authorization": f"Bearer {ana.token}"})
    assert response.status_code < 500, response.text[:500]
    if response.status_code >= 400:
        body = response.json()
        assert body["detail"] and body["code"], body
