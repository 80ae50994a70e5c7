# ruff: noqa: F811 - a fixture that is imported is no redefinition
"""Published forecasts: a page for everybody with the link, until it expires or is revoked."""

import json
import re
from datetime import timedelta

import pytest
from databases import kind  # noqa: F401 - a fixture
from sqlalchemy import update
from trained_models import register, runs  # noqa: F401 - a fixture

from vur.serving.routes import published
from vur.store import database
from vur.store.catalog import Publication, Share, User, now

pytestmark = pytest.mark.slow


@pytest.fixture
def public(stranger):
    """A client without an account, which opens pages at the root of the service."""
    stranger.base_url = "http://localhost"
    return stranger


def publish(person, model, status: int = 201, **body) -> dict:
    answer = person.post(f"/models/{model.id}/publications", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_published_forecast_is_read_without_an_account(ana, public, runs, capfd):
    model = register(ana.id, runs["shop"])
    made = ana.post(
        f"/models/{model.id}/publications",
        json={"days": 3, "series": ["sul", "norte"], "title": "Vendas <b>da semana</b>", "language": "pt-BR"},
    ).json()
    assert made["url"] == f"http://localhost{made['path']}" and made["state"] == "active"
    page = public.get(made["path"])
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    text = page.text
    assert "Vendas &lt;b&gt;da semana&lt;/b&gt;" in text and "<b>" not in text
    assert '<html lang="pt-BR">' in text and "O link funciona até" in text and ">sul<" in text and ">norte<" in text
    shown = ana.get(f"/models/{model.id}/history?series=sul").json()["forecast"]
    assert f"{shown['forecast'][0]:.2f}".replace(".", ",") in text
    drawn = [len(re.findall(f'<path class="{name}" d="M', text)) for name in ("past", "coming", "band")]
    assert drawn == [4, 4, 4], "two series, for wide and for narrow screens"
    assert not re.search(r"<script|https?://|src=|url\(|@import", text), "the page needs nothing else"
    assert page.headers["referrer-policy"] == "no-referrer" and "noindex" in page.headers["x-robots-tag"]
    assert (
        "default-src 'none'" in page.headers["content-security-policy"] and "no-store" in page.headers["cache-control"]
    )
    assert '<html lang="en">' in public.get(made["path"], params={"language": "en"}).text
    assert '<html lang="pt-BR">' in public.get(made["path"], headers={"Accept-Language": "en"}).text, (
        "its author's choice"
    )
    assert ana.get(f"/models/{model.id}/publications").json()["items"][0]["views"] == 3
    token = made["path"].rpartition("/")[2]
    with database.reading() as session:
        row = session.get(Publication, made["publication_id"])
        stored = json.dumps({column.key: str(getattr(row, column.key)) for column in Publication.__table__.columns})
    assert (
        len(token) >= 43
        and token not in stored
        and token not in json.dumps(ana.get(f"/models/{model.id}/publications").json())
    )
    assert token not in capfd.readouterr().err, "the secret is in no log"


def test_a_published_forecast_does_not_change(ana, public, runs):
    model = register(ana.id, runs["stores"])
    made = publish(ana, model, series=["sul"])
    before = public.get(made["path"]).text
    day = ana.get(f"/models/{model.id}/history?series=sul").json()["forecast"]["timestamps"][0]
    change = {"series": "sul", "start": day, "value": 12345, "reason": "pedido grande"}
    assert ana.post(f"/models/{model.id}/overrides", json=change).status_code == 201
    assert public.get(made["path"]).text == before
    new = public.get(publish(ana, model, series=["sul"])["path"]).text
    assert "12,345" in new and "changed by a person" in new and "pedido grande" not in new


def test_the_sum_is_published_by_default(ana, public, runs):
    model = register(ana.id, runs["stores"])
    assert "Sum of all series" in public.get(publish(ana, model)["path"]).text
    refused = publish(ana, model, 422, series=["oeste"])
    assert refused["code"] == "predictions.unknown_series"
    assert publish(ana, model, 422, days=0)["field"] == "days"


def test_the_link_ends_when_it_expires_is_revoked_or_its_model_or_author_goes(ana, public, runs):
    model = register(ana.id, runs["equipment"], champion=False)
    links = [publish(ana, model) for _ in range(4)]

    def status(number: int) -> int:
        return public.get(links[number]["path"]).status_code

    assert [status(number) for number in range(4)] == [200] * 4
    ended = ana.delete(f"/models/{model.id}/publications/{links[0]['publication_id']}")
    assert ended.json()["state"] == "revoked" and status(0) == 404
    assert ana.delete(f"/models/{model.id}/publications/{links[0]['publication_id']}").status_code == 200
    with database.writing() as session:
        session.execute(
            update(Publication)
            .where(Publication.id == links[1]["publication_id"])
            .values(expires_at=now() - timedelta(seconds=1))
        )
    gone = public.get(links[1]["path"], headers={"Accept-Language": "pt-BR"})
    assert gone.status_code == 404 and "Este link não funciona mais" in gone.text
    states = {
        one["publication_id"]: one["state"] for one in ana.get(f"/models/{model.id}/publications").json()["items"]
    }
    assert [states[link["publication_id"]] for link in links] == ["revoked", "expired", "active", "active"]
    with database.writing() as session:
        session.execute(update(User).where(User.id == ana.id).values(active=False))
    assert status(2) == 404
    with database.writing() as session:
        session.execute(update(User).where(User.id == ana.id).values(active=True))
    assert status(2) == 200
    assert ana.delete(f"/models/{model.id}").status_code == 204 and status(2) == 404


def test_only_those_who_may_change_a_model_publish_it(ana, bia, vera, stranger, runs):
    model = register(ana.id, runs["equipment"])
    publish(bia, model, 404)
    with database.writing() as session:
        session.add_all(Share(kind="model", object_id=model.id, user_id=one.id) for one in (bia, vera))
    assert publish(vera, model, 403)["code"] == "api.forbidden"
    assert publish(bia, model, 403)["code"] == "api.not_yours"
    assert vera.get(f"/models/{model.id}/publications").status_code == 403
    made = publish(ana, model)
    assert bia.delete(f"/models/{model.id}/publications/{made['publication_id']}").status_code == 403
    assert stranger.post(f"/models/{model.id}/publications", json={}).status_code == 401


def test_nothing_leaves_where_downloads_are_switched_off(ana, root, public, runs):
    model = register(ana.id, runs["equipment"])
    before = publish(ana, model)
    assert root.put("/switches", json={"downloads": False}).status_code == 200
    assert publish(ana, model, 403)["code"] == "api.downloads_off"
    assert ana.get(f"/models/{model.id}/forecast/download").json()["code"] == "api.downloads_off"
    publish(root, model)
    assert public.get(before["path"]).status_code == 200, "what was published before stays until it is revoked"


def test_guessing_links_is_throttled(ana, public, runs, monkeypatch):
    monkeypatch.setattr(published, "MISSED", 3)
    model = register(ana.id, runs["equipment"])
    answers = [public.get(f"/published/{'x' * 43}") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [404, 404, 404, 429, 429]
    assert "<h1>Too many requests</h1>" in answers[-1].text
    assert public.get(publish(ana, model)["path"]).status_code == 200, "who has the link still reads"
    assert public.get("/published/a/b").status_code == 404 and public.post(f"/published/{'x' * 43}").status_code == 405
