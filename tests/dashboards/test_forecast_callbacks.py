# ruff: noqa: F811 - a fixture that is imported is no redefinition
"""The forecasts page without a browser: who may do what, and what a browser sends that nobody should."""

import pytest
from service import *  # noqa: F403 - fixtures
from trained_models import register, runs  # noqa: F401 - a fixture

from vur.dashboards.client import ServiceError
from vur.dashboards.pages import forecast_views as views
from vur.dashboards.pages.forecasts import ForecastsPage
from vur.store import database
from vur.store.catalog import Override, Publication, Share

pytestmark = pytest.mark.slow


@pytest.fixture
def kind() -> str:
    """One database is enough: the pages know none."""
    return "sqlite"


@pytest.fixture
def opened():
    """Open the page for a person: `opened(ana, model=id)`; its requests reach the service in this process."""

    def page_of(person, **query) -> ForecastsPage:
        page = ForecastsPage()
        page.api.url = "http://localhost/api/v1"
        page.api._http = person.http
        page.heading.tell = lambda **message: page.told.append(message)
        page.told = []
        assert page._dispatch(page.heading, "start", {"token": person.token, "query": query}) is None
        return page

    return page_of


def count(table: type) -> int:
    with database.reading() as session:
        return session.query(table).count()


def test_a_viewers_forged_events_change_nothing(ana, vera, runs, opened):
    model = register(ana.id, runs["shop"])
    with database.writing() as session:
        session.add(Share(kind="model", object_id=model.id, user_id=vera.id))
    page = opened(vera, model=model.id, series="sul")
    day = page.data["forecast"]["timestamps"][0]
    change = {"start": day, "end": day, "way": "value", "amount": 1, "reason": "forged"}
    for panel, event, values in (
        (page.override, "override", change),
        (page.overrides, "withdraw", {"id": "x"}),
        (page.publish, "publish", {"title": "forged"}),
        (page.links, "revoke", {"id": "x"}),
    ):
        assert "analyst" in (page._dispatch(panel, event, values) or ""), event
    with pytest.raises(ServiceError, match="analyst"):  # past the role of the page, the service refuses once more
        page.add_override(change)
    assert count(Override) == count(Publication) == 0
    assert page.override.content["fields"] == [] and page.publish.content == {"hidden": True}


def test_an_analyst_who_may_not_change_the_model_gets_no_forms(ana, bia, runs, opened):
    model = register(ana.id, runs["shop"])
    with database.writing() as session:
        session.add(Share(kind="model", object_id=model.id, user_id=bia.id))
    page = opened(bia, model=model.id, series="sul")
    assert not page.may_edit and page.override.content["fields"] == [] and page.links.content == {"hidden": True}


@pytest.mark.parametrize(
    "values",
    [None, [], 5, "x", {}, {"id": {"a": 1}}, {"page": "many"}, {"from": "x", "to": []}, {"x": 1e300, "c0": "q"}],
)
def test_nonsense_of_a_browser_is_no_failure(ana, runs, opened, values):
    model = register(ana.id, runs["shop"])
    page = opened(ana, model=model.id, series="sul")
    for panel in page.panels[1:]:
        for event in panel.handlers:
            error = page._dispatch(panel, event, values)
            assert error is None or "reference" not in error, (event, error)
    assert count(Override) == count(Publication) == 0


def test_the_address_keeps_the_choice_and_another_model_starts_anew(ana, runs, opened):
    first, second = register(ana.id, runs["shop"]), register(ana.id, runs["equipment"])
    page = opened(ana, model=first.id, series="sul")
    assert page._dispatch(page.chooser, "choose", {"model": second.id, "series": "sul"}) is None
    assert (page.model["model_id"], page.series) == (second.id, "turnover")
    assert page.query == {"model": second.id, "series": "turnover"}
    wrong = opened(ana, model=first.id, series="oeste")
    assert wrong.series is None and any("oeste" in str(message) for message in wrong.told)


def test_only_the_changes_that_a_slider_can_make_are_asked_for():
    columns = [
        {"name": "price", "used": True, "kind": "number", "low": 1, "high": 9, "levels": [], "values": [2, 3]},
        {"name": "promo", "used": True, "kind": "number", "low": 0, "high": 1, "levels": [], "values": [0, 1]},
        {"name": "day", "used": True, "kind": "text", "low": None, "high": None, "levels": ["a", "b"], "values": ["a"]},
        {"name": "rain", "used": False, "kind": "number", "low": 0, "high": 9, "levels": [], "values": [1]},
    ]
    given = {"c0": -12.5, "c1": "1", "c2": "b", "c3": 4}
    assert views.changes_of(columns, given) == {"price": "-12.5%", "promo": 1.0, "day": "=b"}
    for wrong in ({"c0": "__import__"}, {"c0": 1e9}, {"c0": True}, {"c1": "2"}, {"c2": "<b>"}, {"c9": 1}, {"c0": 0}):
        assert views.changes_of(columns, wrong) == {}


def test_finer_points_replace_those_of_their_range():
    whole = {"timestamps": ["2024-01-01", "2024-01-11", "2024-01-21", "2024-01-31"], "values": [1, 2, 3, 4]}
    part = {"timestamps": ["2024-01-10", "2024-01-11", "2024-01-12"], "values": [8, 9, 7]}
    x, y = views.merged(whole, part)
    assert x == ["2024-01-01", "2024-01-10", "2024-01-11", "2024-01-12", "2024-01-21", "2024-01-31"]
    assert y == [1, 8, 9, 7, 3, 4]
