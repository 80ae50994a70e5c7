"""Generated requests to every operation cause no server error; errors are documented and have the common shape."""

import pytest
import schemathesis
from databases import kind  # noqa: F401 - a fixture
from hypothesis import HealthCheck, Phase, given, settings

from vur.serving.app import create_app
from vur.serving.middleware.guard import Guard
from vur.serving.middleware.tokens import access_token
from vur.store.catalog import User
from vur.store.database import reading

pytestmark = pytest.mark.slow
EXAMPLES = 12
SHAPE = {"detail", "code", "field", "values"}


def token(user_id: str) -> str:
    """A new token, because generated requests may end all sessions."""
    with reading() as session:
        return access_token(session.get(User, user_id))[0]


def problem(case, bearer: str) -> str | None:
    """The error in the response to a generated request, or None."""
    response = case.call(headers={"Authorization": f"Bearer {bearer}"})
    if response.status_code == 503 and case.operation.path.split("/")[-1] in ("health", "ready"):
        return None  # no worker runs here, as readiness reports
    if response.status_code >= 500:
        return f"{response.status_code} {response.text[:300]}"
    if response.status_code < 400 or case.method.upper() == "HEAD":
        return None
    if str(response.status_code) not in case.operation.definition.raw["responses"]:
        return f"{response.status_code} is not documented: {response.text[:200]}"
    if case.operation.path.startswith("/published/") and response.text.startswith("<!doctype html>"):
        return None  # a page for people, errors too
    body = response.json() if response.text and "json" in str(response.headers.get("content-type", "")) else {}
    return None if SHAPE <= body.keys() else f"{response.status_code} in another shape: {response.text[:200]}"


def test_no_request_is_answered_with_a_server_error(root):
    api = schemathesis.openapi.from_asgi(
        "/api/v1/openapi.json", Guard(create_app()), headers={"Authorization": f"Bearer {root.token}"}
    )
    found, labels = {}, []
    for result in api.get_all_operations():
        labels.append(result.ok().label)
        fuzz(result.ok(), root.id, found)
    assert len(labels) > 80
    assert found == {}


def fuzz(operation, user_id: str, found: dict[str, str]) -> None:
    """Send generated requests to one operation; the first wrong response goes into `found`."""

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def send(case):
        if wrong := problem(case, token(user_id)):
            found.setdefault(operation.label, wrong)

    send()
