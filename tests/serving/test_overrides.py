# ruff: noqa: F811 - a fixture that is imported is no redefinition
"""Overrides of forecasts: who may make them, what they change, what stays, and what they were worth."""

import io

import pandas as pd
import pytest
from databases import kind  # noqa: F401 - a fixture
from trained_models import register, runs  # noqa: F401 - a fixture

from vur.store import database
from vur.store.catalog import Activity, Share

pytestmark = pytest.mark.slow


def history(person, model, series: str) -> dict:
    return person.get(f"/models/{model.id}/history", params={"series": series}).json()["forecast"]


def override(person, model, status: int = 201, **body) -> dict:
    asked = {"series": "sul", "reason": "festa da cidade"} | body
    answer = person.post(f"/models/{model.id}/overrides", json=asked)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_an_override_stands_beside_the_models_value(ana, runs):
    model = register(ana.id, runs["stores"])
    before = history(ana, model, "sul")
    days = before["timestamps"]
    made = ana.post(
        f"/models/{model.id}/overrides",
        json={"series": "sul", "start": days[1], "end": days[3], "factor": 1.5, "reason": "festa da cidade"},
    ).json()
    assert (made["state"], made["author"], made["reason"], made["factor"]) == (
        "active",
        "ana@x.br",
        "festa da cidade",
        1.5,
    )
    assert [point["timestamp"] for point in made["points"]] == days[1:4]
    after = history(ana, model, "sul")
    assert after["forecast"] == before["forecast"], "the model's own value stays"
    assert after["override"][1:4] == pytest.approx([1.5 * value for value in before["forecast"][1:4]])
    assert after["official"] == pytest.approx([before["forecast"][0], *after["override"][1:4], *before["forecast"][4:]])
    whole = ana.get(f"/models/{model.id}/history").json()["forecast"]
    moved = after["override"][1] - before["forecast"][1]
    assert whole["official"][1] - whole["forecast"][1] == pytest.approx(moved)
    assert set(history(ana, model, "norte")["override"]) == {None}
    table = pd.read_csv(io.BytesIO(ana.get(f"/models/{model.id}/forecast/download?series=sul").content))
    assert table["official"].to_numpy() == pytest.approx(after["official"]) and table["author"][1] == "ana@x.br"
    with database.reading() as session:
        assert session.query(Activity).filter_by(kind="forecast_overridden").count() == 1


def test_a_newer_override_replaces_and_a_withdrawn_one_stays_in_the_history(ana, runs):
    model = register(ana.id, runs["stores"])
    day, model_value = history(ana, model, "sul")["timestamps"][0], history(ana, model, "sul")["forecast"][0]
    first = override(ana, model, start=day, value=10)
    second = override(ana, model, start=day, value=20)
    assert history(ana, model, "sul")["official"][0] == 20
    listed = ana.get(f"/models/{model.id}/overrides").json()
    assert [(one["override_id"], one["state"]) for one in listed["items"]] == [
        (second["override_id"], "active"),
        (first["override_id"], "replaced"),
    ]
    path = f"/models/{model.id}/overrides/{second['override_id']}/withdraw"
    gone = ana.post(path, json={"reason": "cancelada"}).json()
    assert (gone["state"], gone["withdrawn_by"], gone["withdrawn_reason"]) == ("withdrawn", "ana@x.br", "cancelada")
    assert history(ana, model, "sul")["official"][0] == 10, "the one before counts again"
    again = ana.post(path)
    assert (again.status_code, again.json()["code"]) == (409, "overrides.withdrawn")
    ana.post(f"/models/{model.id}/overrides/{first['override_id']}/withdraw")
    assert history(ana, model, "sul")["official"][0] == pytest.approx(model_value)
    assert ana.get(f"/models/{model.id}/overrides?state=withdrawn").json()["total"] == 2
    assert ana.post(f"/models/{model.id}/overrides/unknown/withdraw").status_code == 404


def test_what_cannot_be_overridden_is_refused_with_the_reason(ana, runs):
    model = register(ana.id, runs["stores"])
    days = history(ana, model, "sul")["timestamps"]
    assert override(ana, model, 422, start="2020-01-01", value=1)["code"] == "overrides.no_steps"
    assert override(ana, model, 422, start=days[0])["code"] == "overrides.one_way"
    assert override(ana, model, 422, start=days[0], value=1, factor=2)["code"] == "overrides.one_way"
    assert override(ana, model, 422, start=days[0], value=1, series=None)["code"] == "forecasts.series_needed"
    assert override(ana, model, 422, start="soon", value=1)["code"] == "forecasts.stamp"
    assert override(ana, model, 422, start=days[0], value=1, reason="  ")["field"] == "reason"
    assert override(ana, model, 422, start=days[0], factor=-1)["field"] == "factor"
    ours = ana.post(
        f"/models/{model.id}/overrides",
        json={"series": "sul", "start": "2020-01-01", "value": 1, "reason": "teste"},
        headers={"Accept-Language": "pt-BR"},
    ).json()
    assert days[0] in ours["detail"] and "período" in ours["detail"]


def test_viewers_and_strangers_do_not_override(ana, bia, vera, root, runs):
    model = register(ana.id, runs["stores"])
    day = history(ana, model, "sul")["timestamps"][0]
    override(bia, model, 404, start=day, value=1)
    with database.writing() as session:
        session.add_all(Share(kind="model", object_id=model.id, user_id=one.id) for one in (bia, vera))
    assert override(vera, model, 403, start=day, value=1)["code"] == "api.forbidden"
    assert override(bia, model, 403, start=day, value=1)["code"] == "api.not_yours"
    made = override(root, model, start=day, value=1)
    assert history(vera, model, "sul")["official"][0] == 1, "viewers see the official forecast"
    assert vera.post(f"/models/{model.id}/overrides/{made['override_id']}/withdraw").status_code == 403
    assert vera.get(f"/models/{model.id}/overrides").json()["items"][0]["author"] == "root@x.br"


def test_the_value_added_compares_people_with_the_model_once_it_is_known_what_came(ana, bia, runs):
    model = register(ana.id, runs["stores"])
    shown = history(ana, model, "sul")
    days, values = shown["timestamps"], shown["forecast"]
    good = override(ana, model, start=days[0], value=values[0] + 8)
    override(ana, model, start=days[1], value=values[1] + 5)
    dropped = override(ana, model, start=days[2], value=0)
    ana.post(f"/models/{model.id}/overrides/{dropped['override_id']}/withdraw")
    rows = [{"dia": day, "loja": "sul", "vendas": value + 10} for day, value in zip(days[:3], values[:3], strict=True)]
    with database.writing() as session:
        session.add(Share(kind="model", object_id=model.id, user_id=bia.id))
    wrong = [row | {"vendas": 0.0} for row in rows]
    assert bia.post("/predictions/actuals", json={"model": model.id, "series": wrong}).status_code == 200
    assert ana.get(f"/models/{model.id}/overrides").json()["value_added"]["n"] == 0, "others do not judge them"
    ana.post(f"/models/{model.id}/predict", json={})
    assert ana.post("/predictions/actuals", json={"model": model.id, "series": rows}).json()["matched"] == 3
    found = ana.get(f"/models/{model.id}/overrides").json()
    worth = found["value_added"]
    assert (worth["n"], worth["better"], worth["worse"], worth["enough"]) == (2, 2, 0, False)
    assert worth["model_mae"] == pytest.approx(10) and worth["override_mae"] == pytest.approx((2 + 5) / 2)
    assert worth["value_added"] == pytest.approx(6.5) and worth["percent"] == pytest.approx(65)
    assert [(one["name"], one["n"]) for one in worth["by_author"]] == [("ana@x.br", 2)]
    assert worth["by_series"][0]["name"] == "sul"
    late = ana.post(f"/models/{model.id}/overrides/{good['override_id']}/withdraw")
    assert (late.status_code, late.json()["code"]) == (409, "overrides.scored")
    assert override(ana, model, 409, start=days[0], value=1)["code"] == "overrides.known"


def test_overrides_stay_with_the_family_when_a_new_model_takes_over(ana, runs):
    old = register(ana.id, runs["stores"], family="lojas")
    day = history(ana, old, "sul")["timestamps"][0]
    override(ana, old, start=day, value=7)
    new = register(ana.id, runs["stores"], family="lojas")
    assert history(ana, new, "sul")["official"][0] == 7
    assert ana.get(f"/models/{new.id}/overrides").json()["items"][0]["model_id"] == old.id


def test_local_hours_are_overridden_at_the_right_moment(ana, runs):
    model = register(ana.id, runs["hours"])
    shown = ana.get(f"/models/{model.id}/history").json()["forecast"]
    made = override(ana, model, series=None, start="2024-01-22T01:00", value=5)
    assert [point["timestamp"] for point in made["points"]] == [shown["timestamps"][1]] == ["2024-01-22T01:00:00-03:00"]
    assert ana.get(f"/models/{model.id}/history").json()["forecast"]["override"] == [None, 5, None, None]
