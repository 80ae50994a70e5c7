"""User administration and sharing."""

import threading

import pytest
from databases import both, kind  # noqa: F401 - a fixture
from sqlalchemy import select, update

from vur.errors import VurError
from vur.serving.middleware.guard import KNOWN
from vur.settings import settings
from vur.store.accounts.users import add_user, change_user
from vur.store.catalog import Activity, Pipeline, User
from vur.store.database import reading, writing
from vur.text import translate

PASSWORD = "correct horse 9"


@pytest.mark.parametrize(
    "method, path", [("get", ""), ("post", ""), ("get", "/x"), ("put", "/x"), ("delete", "/x"), ("post", "/x/logout")]
)
def test_only_administrators_manage_users(ana, vera, method, path):
    for person in (ana, vera):
        answer = person.request(
            method,
            f"/users{path}",
            json={"email": "a@b.cd", "password": PASSWORD} if method in ("post", "put") else None,
        )
        assert (answer.status_code, answer.json()["code"]) == (403, "api.forbidden")


@both
def test_users_are_listed_searched_sorted_and_paged(root, ana, bia, vera):
    page = root.get("/users", params={"sort": "email", "limit": 3}).json()
    assert [user["email"] for user in page["items"]] == ["ana@x.br", "bia@x.br", "root@x.br"]
    assert (page["total"], page["pages"]) == (4, 2)
    assert [user["email"] for user in root.get("/users", params={"search": "BIA"}).json()["items"]] == ["bia@x.br"]
    assert root.get("/users", params={"role": "viewer", "active": True}).json()["total"] == 1
    assert root.get("/users", params={"search": "%"}).json()["total"] == 0
    assert root.get("/users", params={"role": "king"}).status_code == 422
    assert root.get("/users", params={"sort": "password_hash"}).status_code == 422
    assert "password" not in root.get("/users").text


def test_an_account_is_created_with_a_role_and_used(root, stranger):
    made = root.post("/users", json={"email": "Caio@x.br", "password": PASSWORD, "role": "viewer", "quota_bytes": 5})
    assert made.status_code == 201 and (made.json()["role"], made.json()["quota_bytes"]) == ("viewer", 5)
    assert stranger.post("/auth/login", json={"email": "caio@x.br", "password": PASSWORD}).status_code == 200
    assert root.post("/users", json={"email": "caio@x.br", "password": PASSWORD}).status_code == 409
    assert root.get("/users/caio@x.br").json()["id"] == made.json()["id"]
    assert root.get("/users/nobody").status_code == 404


@both
def test_a_role_change_applies_at_once(root, ana):
    assert ana.get("/auth/me").status_code == 200
    changed = root.put(f"/users/{ana.id}", json={"role": "viewer"})
    assert changed.json()["role"] == "viewer" and changed.headers["ETag"] == f'"{changed.json()["version"]}"'
    assert ana.get("/auth/me").status_code == 401


def test_a_change_of_quota_or_name_ends_no_session(root, ana):
    assert root.put(f"/users/{ana.id}", json={"quota_bytes": 7, "full_name": "Ana"}).json()["quota_bytes"] == 7
    assert root.put(f"/users/{ana.id}", json={"quota_bytes": None}).json()["quota_bytes"] is None
    KNOWN.found.clear()
    assert ana.get("/auth/me").json()["full_name"] == "Ana"


def test_a_change_based_on_an_old_version_is_rejected(root, ana):
    before = root.get(f"/users/{ana.id}").headers["ETag"]
    assert root.put(f"/users/{ana.id}", json={"full_name": "A"}, headers={"If-Match": before}).status_code == 200
    assert root.put(f"/users/{ana.id}", json={"full_name": "B"}, headers={"If-Match": before}).status_code == 412


def test_a_deleted_user_is_deactivated_and_can_be_reactivated(root, ana, stranger):
    assert root.delete(f"/users/{ana.id}").status_code == 204
    assert ana.get("/auth/me").status_code == 401
    credentials = {"email": "ana@x.br", "password": PASSWORD}
    assert stranger.post("/auth/login", json=credentials).json()["code"] == "api.credentials"
    assert root.get(f"/users/{ana.id}").json()["active"] is False
    root.put(f"/users/{ana.id}", json={"active": True})
    assert stranger.post("/auth/login", json=credentials).status_code == 200


def test_an_administrator_sets_a_password_and_ends_sessions(root, ana, stranger):
    credentials = {"email": "ana@x.br", "password": PASSWORD}
    tokens = stranger.post("/auth/login", json=credentials).json()
    assert root.post(f"/users/{ana.id}/logout").json() == {"ended": 1}
    assert stranger.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]}).status_code == 401
    assert root.put(f"/users/{ana.id}", json={"password": "another horse 7"}).status_code == 200
    assert stranger.post("/auth/login", json=credentials).status_code == 401
    assert stranger.post("/auth/login", json=credentials | {"password": "another horse 7"}).status_code == 200


@both
def test_the_last_administrator_cannot_be_removed(root):
    for answer in (
        root.delete(f"/users/{root.id}"),
        root.put(f"/users/{root.id}", json={"role": "analyst"}),
        root.put(f"/users/{root.id}", json={"active": False}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "users.last_admin")
    assert root.put(f"/users/{root.id}", json={"full_name": "Root"}).status_code == 200
    root.post("/users", json={"email": "caio@x.br", "password": PASSWORD, "role": "admin"})
    assert root.delete(f"/users/{root.id}").status_code == 204


@both
def test_two_administrators_cannot_both_leave_concurrently(catalog):
    with writing() as session:
        ids = [add_user(session, f"{name}@x.br", PASSWORD, role="admin").id for name in ("caio", "duda")]
    start, results = threading.Barrier(2), []

    def leave(id: str) -> None:
        start.wait()
        try:
            with writing() as session:
                change_user(session, session.get_one(User, id), {"active": False})
            results.append("gone")
        except VurError as error:
            results.append(error.code)

    threads = [threading.Thread(target=leave, args=(id,)) for id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == ["gone", "users.last_admin"]


@pytest.fixture
def pipeline(ana) -> str:
    """A pipeline of Ana's."""
    with writing() as session:
        row = Pipeline(name="Vendas", owner_id=ana.id)
        session.add(row)
    return row.id


def test_a_share_is_granted_changed_and_revoked(ana, bia, vera, pipeline):
    path = f"/shares/pipeline/{pipeline}"
    assert bia.get(path).status_code == 404
    shared = ana.put(path, json={"email": "BIA@x.br"}).json()["items"]
    assert [(row["email"], row["right"]) for row in shared] == [("bia@x.br", "view")]
    assert (
        bia.get(path).status_code == 403
        and bia.put(path, json={"email": "vera@x.br"}).json()["code"] == "api.not_yours"
    )
    assert ana.put(path, json={"email": "bia@x.br", "right": "edit"}).json()["items"][0]["right"] == "edit"
    assert bia.put(path, json={"email": "vera@x.br"}).status_code == 403, "who may edit may not share"
    assert ana.delete(f"{path}/{bia.id}").status_code == 204
    assert ana.get(path).json()["items"] == [] and bia.get(path).status_code == 404
    assert ana.delete(f"{path}/{bia.id}").status_code == 404
    with reading() as session:
        told = session.scalars(
            select(Activity).where(Activity.owner_id == bia.id, Activity.kind == "shared_pipeline")
        ).first()
    assert translate(f"activity.{told.kind}", "pt-BR", **told.values) == "ana@x.br compartilhou um pipeline com você"


def test_a_user_gives_up_their_own_permission(ana, vera, pipeline):
    ana.put(f"/shares/pipeline/{pipeline}", json={"email": "vera@x.br"})
    assert vera.delete(f"/shares/pipeline/{pipeline}/{ana.id}").status_code == 403
    assert vera.delete(f"/shares/pipeline/{pipeline}/{vera.id}").status_code == 204
    assert ana.get(f"/shares/pipeline/{pipeline}").json()["items"] == []


@pytest.mark.parametrize("email, code", [("nobody@x.br", "users.no_address"), ("ana@x.br", "users.owner")])
def test_an_object_cannot_be_shared_with_its_owner(ana, pipeline, email, code):
    assert ana.put(f"/shares/pipeline/{pipeline}", json={"email": email}).json()["code"] == code


def test_sharing_needs_a_known_kind_and_an_active_user(ana, bia, pipeline):
    assert ana.put(f"/shares/user/{pipeline}", json={"email": "bia@x.br"}).json()["code"] == "users.choice"
    with writing() as session:
        session.execute(update(User).where(User.id == bia.id).values(active=False))
    assert ana.put(f"/shares/pipeline/{pipeline}", json={"email": "bia@x.br"}).json()["code"] == "users.no_address"


@both
def test_people_to_share_with_are_found_without_showing_strangers(ana, bia, vera, root, pipeline, monkeypatch):
    def found(person, text: str) -> list[str]:
        return [one["email"] for one in person.get("/shares/people", params={"search": text}).json()["items"]]

    assert found(ana, "x.br") == [] and found(ana, "BIA@x.br") == ["bia@x.br"] == found(ana, "bia@x.br")
    assert found(root, "x.br") == ["ana@x.br", "bia@x.br", "vera@x.br"], "administrators find everybody"
    ana.put(f"/shares/pipeline/{pipeline}", json={"email": "bia@x.br"})
    assert found(ana, "x.br") == ["bia@x.br"] and found(bia, "x.br") == []
    monkeypatch.setenv("VUR_REGISTRATION", "closed")
    settings.cache_clear()
    assert found(bia, "x.br") == ["ana@x.br", "root@x.br", "vera@x.br"], "who is here was invited"
    assert found(bia, "%%") == [] and found(bia, "__") == []
    assert vera.get("/shares/people", params={"search": "ana"}).status_code == 403
