"""Accounts: registration, sessions, revoked tokens, personal keys."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
from databases import both, kind  # noqa: F401 - a fixture
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update

from vur.serving.middleware.clients import Forwarded, address_of
from vur.serving.middleware.guard import KNOWN
from vur.serving.views import throttle
from vur.settings import settings
from vur.store.accounts.sessions import REPEAT
from vur.store.catalog import Alert, ApiKey, Counter, User, now
from vur.store.catalog import Session as Login
from vur.store.database import reading, writing

PASSWORD = "correct horse 9"
LOGIN = {"email": "Ana@X.br", "password": PASSWORD}
ANA = LOGIN | {"full_name": "Ana"}


@pytest.fixture
def home(stranger: TestClient) -> TestClient:
    """A client after Ana has registered."""
    assert stranger.post("/auth/register", json=ANA).status_code == 201
    return stranger


def log_in(client: TestClient, password: str = PASSWORD, **named: str) -> dict:
    """The tokens of Ana."""
    answer = client.post("/auth/login", json={"email": "ana@x.br", "password": password, **named})
    assert answer.status_code == 200, answer.text
    return answer.json()


def bearer(tokens: dict | str) -> dict[str, str]:
    """The header of an access token or key."""
    return {"Authorization": f"Bearer {tokens if isinstance(tokens, str) else tokens['access_token']}"}


def status(client: TestClient, tokens: dict | str) -> int:
    """The response of /auth/me to a token, without the cache."""
    KNOWN.found.clear()
    return client.get("/auth/me", headers=bearer(tokens)).status_code


def test_register_log_in_and_read_own_account(home):
    tokens = log_in(home)
    assert tokens["token_type"] == "bearer" and tokens["expires_in"] == settings().access_minutes * 60
    me = home.get("/auth/me", headers=bearer(tokens)).json()
    assert me["email"] == "ana@x.br" and me["role"] == "analyst" and me["last_login_at"]
    assert not {"password", "password_hash", "epoch"} & (me.keys() | tokens["user"].keys())


def test_registration_takes_no_role(stranger):
    answer = stranger.post("/auth/register", json=ANA | {"role": "admin"})
    assert answer.status_code == 422 and answer.json()["field"] == "role"
    assert stranger.post("/auth/register", json=ANA).json()["role"] == "analyst"


@pytest.mark.parametrize(
    "change, code",
    [
        ({"email": "nowhere"}, "users.email"),
        ({"password": "short"}, "api.password"),
        ({"password": "aaaaaaaaaaaaaaa"}, "api.password"),
        ({"password": "ana.souza@x.br", "email": "ana.souza@x.br"}, "api.password"),
        ({"username": "bob@x.br"}, "users.username"),
        ({"username": "a b"}, "users.username"),
        ({"password": "x" * 1000}, "api.invalid"),
        ({"language": "de"}, "api.invalid"),
    ],
)
def test_an_invalid_registration_names_the_field(stranger, change, code):
    answer = stranger.post("/auth/register", json=ANA | change)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.json()["field"] in change


def test_names_and_addresses_are_case_insensitive(home):
    assert home.post("/auth/register", json=ANA | {"email": "ANA@x.BR"}).json()["code"] == "api.taken"
    home.post("/auth/register", json={"email": "bia@x.br", "password": PASSWORD, "username": "Bia"})
    assert (
        home.post("/auth/register", json={"email": "b2@x.br", "password": PASSWORD, "username": "bia"}).status_code
        == 409
    )


@both
def test_concurrent_registrations_of_one_address_create_one_account(stranger):
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: stranger.post("/auth/register", json=ANA).status_code, range(4)))
    assert sorted(answers) == [201, 409, 409, 409]


def test_registration_can_be_closed(stranger, monkeypatch):
    monkeypatch.setenv("VUR_REGISTRATION", "closed")
    settings.cache_clear()
    answer = stranger.post("/auth/register", json=ANA, headers={"Accept-Language": "pt-BR"})
    assert answer.status_code == 403 and "fechado" in answer.json()["detail"]


def test_the_oauth2_form_logs_in_too(home):
    answer = home.post("/auth/login", data={"grant_type": "password", "username": "ana@x.br", "password": PASSWORD})
    assert status(home, answer.json()) == 200
    assert home.post("/auth/login", data={"username": "ana@x.br"}).status_code == 422


def test_wrong_password_and_unknown_user_get_the_same_response_after_the_same_time(home):
    def refused(email: str) -> tuple[float, int, dict]:
        began = time.perf_counter()
        answer = home.post("/auth/login", json={"email": email, "password": "wrong horse 10"})
        return time.perf_counter() - began, answer.status_code, answer.json()

    refused("nobody@x.br")  # computes the hash for unknown users
    known, unknown = [refused("ana@x.br") for _ in range(3)], [refused("nobody@x.br") for _ in range(3)]
    assert {answer[1] for answer in known + unknown} == {401}
    assert known[0][2] == unknown[0][2]
    assert 0.4 < min(known)[0] / min(unknown)[0] < 2.5
    with reading() as session:
        assert "m=65536,t=3" in session.scalar(select(User.password_hash)), "Argon2's recommended cost"


@both
def test_guessing_throttles_the_address_for_a_while(home):
    wrong = [
        home.post("/auth/login", json={"email": "ana@x.br", "password": f"wrong {n}"})
        for n in range(throttle.PER_ACCOUNT + 2)
    ]
    assert [answer.status_code for answer in wrong] == [401] * throttle.PER_ACCOUNT + [429] * 2
    assert 0 < int(wrong[-1].headers["Retry-After"]) <= throttle.WINDOW.total_seconds()
    assert home.post("/auth/login", json={"email": "ana@x.br", "password": PASSWORD}).status_code == 429
    assert home.post("/auth/login", json={"username": "ANA@x.br", "password": PASSWORD}).status_code == 429
    with writing() as session:
        session.execute(update(Counter).values(window_start=now() - throttle.WINDOW))
    log_in(home)


@both
def test_concurrent_guesses_are_counted_before_they_are_checked(home):
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda n: home.post("/auth/login", json={"email": "ana@x.br", "password": f"wrong {n}"}).status_code,
                range(24),
            )
        )
    assert answers.count(401) == throttle.PER_ACCOUNT and answers.count(429) == 24 - throttle.PER_ACCOUNT


def test_one_address_cannot_try_many_accounts(home):
    answers = [
        home.post("/auth/login", json={"email": f"u{n}@x.br", "password": "wrong horse"}).status_code for n in range(20)
    ]
    assert answers == [401] * throttle.PER_ADDRESS + [429] * (20 - throttle.PER_ADDRESS)


def at(address: str, client: TestClient) -> TestClient:
    """The same service, asked from another address."""
    return TestClient(client.app, base_url=str(client.base_url), client=(address, 50000))


def guess(client: TestClient, login: str, times: int) -> list[int]:
    return [
        client.post("/auth/login", json={"email": login, "password": f"wrong {n}"}).status_code for n in range(times)
    ]


@both
def test_guesses_from_one_address_lock_nobody_out_elsewhere(home, monkeypatch):
    monkeypatch.setattr(throttle, "LONGEST", 0.1)
    assert guess(at("192.0.2.1", home), "ana@x.br", 14) == [401] * 10 + [429] * 4
    log_in(at("192.0.2.2", home))
    assert at("192.0.2.1", home).post("/auth/login", json=LOGIN).status_code == 429, "its own failures still count"


def test_an_account_guessed_from_many_addresses_is_slowed_and_never_closed(home, monkeypatch):
    monkeypatch.setattr(throttle, "LONGEST", 0.3)
    for name in ("ana@x.br", "nobody@x.br"):
        answers = [guess(at(f"192.0.2.{n}", home), name, 4) for n in range(1, 4)]
        assert answers == [[401] * 4] * 3, "unknown accounts answer as known ones do"
        began = time.perf_counter()
        assert guess(at("198.51.100.1", home), name, 1) == [401]
        assert time.perf_counter() - began >= 0.3
    began = time.perf_counter()
    log_in(at("198.51.100.2", home))
    assert time.perf_counter() - began >= 0.3
    assert guess(at("192.0.2.1", home), "ana@x.br", 7) == [401] * 6 + [429], "a login elsewhere frees no guesser"


def test_the_delay_doubles_to_its_limit(catalog):
    with writing() as session:
        waits = [throttle.count(session, "a", f"192.0.2.{n}") for n in range(throttle.FREE + 6)]
    assert waits == [0.0] * throttle.FREE + [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_other_spellings_and_the_user_name_tell_nothing_about_an_account(home):
    assert guess(home, "ana", 10) == [401] * 10
    assert guess(home, " ANA ", 1) == [429], "another spelling is the same name"
    assert guess(home, "ana@x.br", 1) == [401], "that both names are of one account, nobody learns"


def test_a_stolen_token_cannot_keep_its_owner_from_a_new_password(home, monkeypatch):
    monkeypatch.setattr(throttle, "LONGEST", 0.1)
    tokens = log_in(home)

    def change(client: TestClient, current: str) -> int:
        asked = {"password": "another horse 7", "current_password": current}
        return client.put("/auth/profile", json=asked, headers=bearer(tokens)).status_code

    assert [change(at("192.0.2.1", home), f"guess {n}") for n in range(11)][-1] == 429
    assert change(at("192.0.2.2", home), PASSWORD) == 200


async def client_seen(proxies: tuple[str, ...], sender: str, forwarded: str | None) -> str:
    """The address that counts for a request of `sender` with that `X-Forwarded-For`."""
    seen: list[str] = []

    async def app(scope, receive, send) -> None:
        seen.append(address_of(scope))

    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    await Forwarded(app, proxies)({"type": "http", "client": (sender, 1), "headers": headers}, None, None)
    return seen[0]


@pytest.mark.parametrize(
    ("proxies", "sender", "forwarded", "address"),
    [
        ((), "127.0.0.1", "192.0.2.1", "127.0.0.1"),
        (("127.0.0.1",), "127.0.0.1", "192.0.2.1", "192.0.2.1"),
        (("127.0.0.1",), "::ffff:127.0.0.1", "192.0.2.1", "192.0.2.1"),
        (("127.0.0.1",), "192.0.2.9", "192.0.2.1", "192.0.2.9"),
        (("127.0.0.1",), "127.0.0.1", "203.0.113.5, 192.0.2.1", "192.0.2.1"),
        (("127.0.0.1", "10.0.0.0/8"), "127.0.0.1", "203.0.113.5, 192.0.2.1, 10.1.2.3", "192.0.2.1"),
        (("127.0.0.1",), "127.0.0.1", None, "127.0.0.1"),
        ((), "::ffff:192.0.2.1", None, "192.0.2.1"),
        ((), "2001:db8:1:2:3::4", None, "2001:db8:1:2::/64"),
    ],
)
def test_only_trusted_proxies_say_whose_request_it_is(proxies, sender, forwarded, address):
    assert asyncio.run(client_seen(proxies, sender, forwarded)) == address


@both
def test_concurrent_logins_of_one_user_all_succeed_and_change_no_version(home, kind):
    with reading() as session:
        version = session.scalar(select(User.version))
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: home.post("/auth/login", json=LOGIN).status_code, range(6)))
    with reading() as session:
        assert answers == [200] * 6 and session.scalar(select(User.version)) == version


def test_successful_logins_are_not_throttled(home, monkeypatch):
    monkeypatch.setattr(throttle, "PER_ADDRESS", 3)
    for _ in range(6):
        log_in(home)


@both
def test_refresh_rotates_and_a_reused_token_ends_the_session(home):
    first = log_in(home)
    second = home.post("/auth/refresh", json={"refresh_token": first["refresh_token"]}).json()
    assert second["refresh_token"] != first["refresh_token"] and status(home, second) == 200
    third = home.post("/auth/refresh", json={"refresh_token": second["refresh_token"]}).json()
    stolen = home.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})
    assert (stolen.status_code, stolen.json()["code"]) == (401, "users.ended")
    assert home.post("/auth/refresh", json={"refresh_token": third["refresh_token"]}).status_code == 401
    assert status(home, third) == 401
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(Alert).where(Alert.kind == "login_reused")) == 1


@both
def test_two_tabs_that_refresh_concurrently_both_stay_logged_in(home):
    token = log_in(home)["refresh_token"]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: home.post("/auth/refresh", json={"refresh_token": token}), range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1 and status(home, answers[0].json()) == 200
    with writing() as session:
        session.execute(update(Login).values(refreshed_at=now() - REPEAT))
    assert home.post("/auth/refresh", json={"refresh_token": token}).status_code == 401, (
        "later it is a token that was used before"
    )
    assert home.post("/auth/refresh", json={"refresh_token": answers[0].json()["refresh_token"]}).status_code == 401


def test_an_invented_refresh_token_ends_no_session(home):
    tokens = log_in(home)
    login = jwt.decode(tokens["access_token"], options={"verify_signature": False})["sid"]
    for made_up in (f"{login}.x.y", f"{login}.", "é", "..", tokens["access_token"], tokens["refresh_token"][:-1]):
        assert home.post("/auth/refresh", json={"refresh_token": made_up}).status_code == 401
    assert home.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]}).status_code == 200


def test_no_token_or_password_is_stored_in_clear(home, catalog):
    tokens = log_in(home)
    key = home.post("/auth/api-keys", json={"name": "n"}, headers=bearer(tokens)).json()["key"]
    with reading() as session:
        login, user, kept = session.scalar(select(Login)), session.scalar(select(User)), session.scalar(select(ApiKey))
        held = " ".join(str(value) for row in (login, user, kept) for value in vars(row).values())
    assert not any(secret in held for secret in (tokens["refresh_token"], tokens["access_token"], key, PASSWORD))
    assert user.password_hash.startswith("$argon2id$") and "correct" not in user.password_hash


@both
def test_log_out_ends_only_this_session(home):
    here, there = log_in(home), log_in(home)
    assert home.post("/auth/logout", headers=bearer(here)).status_code == 204
    assert home.get("/auth/me", headers=bearer(here)).status_code == 401, "at once in the process that was asked"
    assert home.post("/auth/refresh", json={"refresh_token": here["refresh_token"]}).status_code == 401
    assert status(home, there) == 200


def test_log_out_everywhere(home):
    here, there = log_in(home), log_in(home)
    assert home.post("/auth/logout", json={"all": True}, headers=bearer(here)).status_code == 204
    assert status(home, here) == status(home, there) == 401


def test_sessions_are_listed_and_ended_one_by_one(home):
    here, there = log_in(home), home.post("/auth/login", json=LOGIN, headers={"User-Agent": "Phone"}).json()
    items = home.get("/auth/sessions", headers=bearer(here)).json()["items"]
    assert [(item["agent"], item["current"]) for item in items] == [("Phone", False), ("testclient", True)]
    assert home.delete(f"/auth/sessions/{items[0]['id']}", headers=bearer(here)).status_code == 204
    assert status(home, there) == 401 and status(home, here) == 200


def test_nobody_ends_the_session_of_another_user(home, bia):
    tokens = log_in(home)
    login = home.get("/auth/sessions", headers=bearer(tokens)).json()["items"][0]["id"]
    assert bia.delete(f"/auth/sessions/{login}").status_code == 404
    assert status(home, tokens) == 200


@both
@pytest.mark.parametrize("change", [{"active": False}, {"role": "viewer"}, {"epoch": 7}])
def test_tokens_are_revoked_with_the_account(home, change):
    tokens = log_in(home)
    with writing() as session:
        session.execute(update(User).values(**change))
    assert status(home, tokens) == 401


def test_a_revoked_token_is_rejected_within_two_seconds_in_other_processes(home):
    tokens = log_in(home)
    assert home.get("/auth/me", headers=bearer(tokens)).status_code == 200
    with writing() as session:
        session.execute(update(Login).values(revoked_at=Login.created_at))
    time.sleep(2.1)
    assert home.get("/auth/me", headers=bearer(tokens)).status_code == 401


def test_a_cached_token_costs_microseconds(home):
    from vur.serving.middleware.guard import authenticate

    header = bearer(log_in(home))["Authorization"]
    authenticate(header)
    began = time.perf_counter()
    for _ in range(2000):
        authenticate(header)
    assert (time.perf_counter() - began) / 2000 < 20e-6


@pytest.mark.parametrize("how", ["none", "other secret", "refresh", "expired", "no epoch"])
def test_forged_tokens_are_rejected(home, how):
    tokens = log_in(home)
    content = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    from vur.store.secret import secret

    forged = {
        "none": lambda: jwt.encode(content | {"role": "admin"}, None, "none"),
        "other secret": lambda: jwt.encode(content, "x" * 43, "HS256"),
        "refresh": lambda: jwt.encode(content | {"typ": "refresh"}, secret("tokens"), "HS256"),
        "expired": lambda: jwt.encode(content | {"exp": 1}, secret("tokens"), "HS256"),
        "no epoch": lambda: jwt.encode(
            {key: value for key, value in content.items() if key != "epoch"}, secret("tokens"), "HS256"
        ),
    }[how]()
    assert status(home, tokens) == 200
    assert status(home, forged) == 401


def test_a_new_address_in_the_profile_needs_the_password(home):
    tokens = log_in(home)
    changed = home.put("/auth/profile", json={"full_name": "Ana Souza", "language": "pt-BR"}, headers=bearer(tokens))
    assert changed.json()["full_name"] == "Ana Souza"
    refused = home.put("/auth/profile", json={"email": "new@x.br"}, headers=bearer(tokens))
    assert (
        refused.status_code == 422
        and refused.json()["field"] == "current_password"
        and "senha atual" in refused.json()["detail"]
    )
    assert (
        home.put(
            "/auth/profile", json={"email": "new@x.br", "current_password": PASSWORD}, headers=bearer(tokens)
        ).json()["username"]
        == "new@x.br"
    )
    assert home.post("/auth/login", json={"email": "ana@x.br", "password": PASSWORD}).status_code == 401


def test_a_profile_cannot_take_the_name_of_another(home, bia):
    for change in ({"username": "ana@x.br"}, {"email": "ana@x.br", "current_password": PASSWORD}, {"role": "admin"}):
        answer = bia.put("/auth/profile", json=change)
        assert answer.status_code in (409, 422) or answer.json()["role"] == "analyst"
    assert bia.get("/auth/me").json()["email"] == "bia@x.br"


def test_a_new_password_ends_other_sessions_and_old_tokens(home):
    here, there = log_in(home), log_in(home)
    wrong = home.put(
        "/auth/profile", json={"password": "another horse 7", "current_password": "wrong"}, headers=bearer(here)
    )
    assert wrong.json()["code"] == "users.current"
    answer = home.put(
        "/auth/profile", json={"password": "another horse 7", "current_password": PASSWORD}, headers=bearer(here)
    ).json()
    assert status(home, answer["access_token"]) == 200
    assert status(home, here) == status(home, there) == 401
    assert home.post("/auth/refresh", json={"refresh_token": there["refresh_token"]}).status_code == 401
    assert home.post("/auth/refresh", json={"refresh_token": here["refresh_token"]}).status_code == 200
    log_in(home, "another horse 7")


def test_the_current_password_cannot_be_guessed_with_a_stolen_token(home):
    tokens = log_in(home)
    for n in range(throttle.PER_ACCOUNT):
        home.put(
            "/auth/profile",
            json={"password": "another horse 7", "current_password": f"guess {n}"},
            headers=bearer(tokens),
        )
    answer = home.put(
        "/auth/profile", json={"password": "another horse 7", "current_password": PASSWORD}, headers=bearer(tokens)
    )
    assert answer.status_code == 429


@both
def test_a_personal_key_works_in_both_headers_and_is_shown_once(ana, stranger):
    made = ana.post("/auth/api-keys", json={"name": "batch"}).json()
    assert made["key"].startswith("vur_")
    assert stranger.get("/auth/me", headers=bearer(made["key"])).json()["id"] == ana.id
    assert stranger.get("/auth/me", headers={"X-API-Key": made["key"]}).json()["id"] == ana.id
    listed = ana.get("/auth/api-keys").json()["items"]
    assert listed[0]["prefix"] == made["key"][:12] and listed[0]["last_used_at"] and "key" not in listed[0]
    assert ana.delete(f"/auth/api-keys/{made['id']}").status_code == 204
    assert stranger.get("/auth/me", headers=bearer(made["key"])).status_code == 401
    assert ana.get("/auth/api-keys").json()["items"] == []


def test_a_key_is_limited_to_its_role_and_lifetime(ana, stranger):
    made = ana.post("/auth/api-keys", json={"name": "reader", "role": "viewer", "days": 1}).json()
    assert (
        stranger.put(f"/shares/dataset/{ana.id}", json={"email": "bia@x.br"}, headers=bearer(made["key"])).json()[
            "code"
        ]
        == "api.forbidden"
    )
    assert ana.post("/auth/api-keys", json={"name": "root", "role": "admin"}).status_code == 403
    with writing() as session:
        session.execute(update(ApiKey).values(expires_at=ApiKey.created_at))
    assert status(stranger, made["key"]) == 401


def test_a_key_loses_rights_with_its_owner(ana, root, stranger):
    key = ana.post("/auth/api-keys", json={"name": "n", "role": "analyst"}).json()["key"]
    assert root.put(f"/users/{ana.id}", json={"role": "viewer"}).status_code == 200
    assert (
        stranger.put(f"/shares/dataset/{ana.id}", json={"email": "bia@x.br"}, headers=bearer(key)).json()["values"][
            "have"
        ]
        == "viewer"
    )
    root.delete(f"/users/{ana.id}")
    assert status(stranger, key) == 401


@pytest.mark.parametrize(
    "method, path, body",
    [
        ("post", "/auth/api-keys", {"name": "more"}),
        ("put", "/auth/profile", {"full_name": "x"}),
        ("post", "/auth/logout", {"all": True}),
        ("delete", "/auth/sessions/x", None),
        ("delete", "/auth/api-keys/x", None),
    ],
)
def test_a_key_creates_no_keys_and_changes_no_account(ana, stranger, method, path, body):
    key = ana.post("/auth/api-keys", json={"name": "n"}).json()["key"]
    answer = stranger.request(method, path, json=body, headers=bearer(key))
    assert (answer.status_code, answer.json()["code"]) == (403, "users.key")
