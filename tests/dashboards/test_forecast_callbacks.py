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
from vur.text import translate

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
    assert wrong.series == "leste" and any("oeste" in str(message) for message in wrong.told)


def test_a_model_opens_on_one_series_and_the_sum_stays_a_choice(ana, runs, opened):
    model = register(ana.id, runs["shop"])
    page = opened(ana, model=model.id)
    assert page.series == "leste"  # the first by name: without a run there are no values of folds to compare
    assert page.override.content["fields"] and not page.why.content.get("hidden")
    assert page.chooser.content["fields"][1]["options"][0] == ["", "Sum of all series"]
    assert page._dispatch(page.chooser, "choose", {"model": model.id, "series": ""}) is None
    assert page.series is None and page.query["series"] == "" and page.why.content == {"hidden": True}
    assert opened(ana, **page.query).series is None


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


def say(key: str, /, **values: object) -> str:
    return translate(f"pages.forecasts.{key}", "en", **values)


def test_what_an_override_lacks_is_said_at_its_fields_and_what_was_typed_stays(ana, runs, opened):
    model = register(ana.id, runs["shop"])
    page = opened(ana, model=model.id, series="sul")
    day = page.data["forecast"]["timestamps"][1]
    typed = {"start": day, "end": day, "way": "percent", "amount": None, "reason": " x "}
    assert page._dispatch(page.override, "override", typed) is None
    fields = {one["name"]: one for one in page.override.content["fields"]}
    assert (fields["start"]["value"], fields["reason"]["value"]) == (day, " x ")
    assert fields["amount"]["error"] == say("amount_needed") and "3 characters" in fields["reason"]["error"]
    assert page._dispatch(page.override, "override", typed | {"amount": -150, "reason": "a feast"}) is None
    assert {one["name"] for one in page.override.content["fields"] if one["error"]} == {"amount"}
    assert count(Override) == 0
    assert page._dispatch(page.override, "override", typed | {"amount": 20, "reason": "a feast"}) is None
    assert count(Override) == 1 and not any(one["error"] for one in page.override.content["fields"])
    assert page.told[-1]["notice"] == {"text": "1 date was overridden.", "kind": "success"}


def test_the_reasons_are_plain_words_and_the_method_stands_apart(ana, runs, opened):
    model = register(ana.id, runs["shop"])
    page = opened(ana, model=model.id, series="sul")
    words = " ".join(page.reasons.content["lines"])
    assert "The forecast for" in words and "SHAP" not in words
    assert "contributions" in " ".join(page.reasons.content["more"]["lines"])
    page.choose({"series": ""})
    assert page.why.content == page.reasons.content == {"hidden": True}
    assert "select" not in page.table.content or not page.table.content["select"]


def test_values_are_counted_without_the_missing_ones():
    history = {"count": 500, "missing": 12}
    one = {"history": history, "series": "a", "n_series": 3, "target": "sold"}
    assert views.counted(one, say) == "488 observed values of sold; 12 are missing"
    assert views.counted(one | {"history": {"count": 2, "missing": 1}}, say) == "1 observed value of sold; 1 is missing"
    assert views.counted(one | {"series": None}, say) == "500 dates of sold; on 12 of them a series has no value"
    assert views.counted(one | {"history": {"count": 1488, "missing": 0}}, say) == "1,488 observed values of sold"


def test_intervals_that_become_narrower_are_noticed():
    def ends(*widths: float) -> dict[str, object]:
        return {"intervals": {"80": {"lo": [0], "hi": [1]}, "95": {"lo": [0.0] * len(widths), "hi": [*widths]}}}

    assert views.narrows(ends(9.7, 9.8, 3.2)) and not views.narrows(ends(9.7, 9.0, 12))
    assert not views.narrows({"intervals": {}})


def test_a_column_of_intervals_is_shown_only_if_one_is_known():
    issue = {"origin": "2024-01-01", "source": "backtest", "n": 7, "mae": 1.0, "bias": -1.0, "coverage": None}
    keys = [column["key"] for column in views.issues_table({"issues": [issue]}, say)["columns"]]
    assert "coverage" not in keys
    answered = issue | {"source": "ledger", "coverage": 90.0}
    found = views.issues_table({"issues": [issue, answered]}, say)
    assert found["columns"][-1]["key"] == "coverage" and [row["coverage"] for row in found["rows"]] == [None, 0.9]


def test_the_methods_of_a_forecast_are_named_with_their_shares():
    members = [{"algorithm": "ETS", "weight": 0.25}, {"algorithm": "Ridge", "weight": 0.75}]
    assert views.made_of(members, say) == ["The value combines several methods: Ridge (75%), ETS (25%)."]
    assert views.made_of([{"algorithm": "ETS", "weight": 1.0}], say) == ["The value is that of the method ETS."]
    assert views.made_of([], say) == []


def test_tables_are_offered_only_where_downloads_are_on(ana, root, runs, opened):
    model = register(ana.id, runs["shop"])
    offered = [one["label"] for one in opened(ana, model=model.id).chart.content["actions"]]
    assert root.put("/switches", json={"downloads": False}).status_code == 200
    left = [one["label"] for one in opened(ana, model=model.id).chart.content["actions"]]
    assert (offered, left) == (["PNG", "CSV", "Excel"], ["PNG"])


def test_the_dates_of_an_hourly_forecast_have_their_time_at_midnight_too():
    def timed(*stamps: str) -> bool:
        many = [1.0] * len(stamps)
        found = {"timestamps": [*stamps], "override": [None] * len(stamps), "official": many, "forecast": many}
        return views.table(found | {"intervals": {}}, 1, say, "en")["columns"][0]["time"]

    assert timed("2024-01-01T23:00:00-03:00", "2024-01-02T00:00:00-03:00")
    assert not timed("2024-01-01", "2024-01-02") and not timed("2024-01-01T00:00:00")
