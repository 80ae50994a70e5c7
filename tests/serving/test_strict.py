"""What a request may carry: unknown keys, broken bodies, names and dates are refused in one form, everywhere."""

import inspect
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from databases import kind  # noqa: F401 - a fixture
from fastapi.routing import APIRoute
from jobkit import DATA, dataset_of
from pydantic import BaseModel
from service import rest_api
from trained_models import register, runs  # noqa: F401 - a fixture

from vur.serving.app import ROUTERS
from vur.serving.dependencies import admin, analyst
from vur.serving.schemas.body import Body
from vur.serving.schemas.predictions import Observed
from vur.store import database
from vur.store.catalog import Job
from vur.text import LANGUAGES

SHAPE = {"detail", "code", "field", "values"}
ID = "5d1f6f2c-8e1b-4a0b-9a43-6d8e2f3c4b5a"


def routes() -> list[APIRoute]:
    return [route for _, route in placed()]


def placed() -> list[tuple[str, APIRoute]]:
    """Each route with its whole path."""
    return [one for router in ROUTERS for one in leaves(router, "/api/v1")]


def leaves(router: Any, prefix: str) -> Iterator[tuple[str, APIRoute]]:
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield prefix + route.path, route
        elif inner := getattr(route, "original_router", None):
            yield from leaves(inner, prefix + route.include_context.prefix)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models inside an annotation, and those inside their fields."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_in(field.annotation)
    for part in get_args(annotation):
        yield from models_in(part)


def test_every_body_and_every_object_in_it_refuses_unknown_keys():
    found = {
        model
        for route in routes()
        for parameter in inspect.signature(route.endpoint).parameters.values()
        if route.body_field is not None and parameter.name == "body"
        for model in models_in(parameter.annotation)
    }
    assert len(found) > 40
    assert [model.__name__ for model in found if not issubclass(model, Body)] == []
    assert [model.__name__ for model in found if model.model_config["extra"] != "forbid"] == [Observed.__name__]


# Method, path, body, the key at fault, the nearest known one.
UNKNOWN = [
    ("POST", "/predictions/predict", {"model_id": ID, "horizn": 5}, "horizn", "horizon"),
    ("POST", "/predictions/real-time", {"model_id": ID, "level": [80]}, "level", "levels"),
    ("POST", "/predictions/batch", {"model": ID, "outptu": "csv"}, "outptu", "output"),
    ("POST", f"/models/{ID}/predict", {"futur": []}, "futur", "future"),
    ("POST", "/predictions/actuals", {"model": ID, "dataset": ID}, "dataset", "dataset_id"),
    ("POST", "/models/configure", {"dataset_id": ID, "algoritm": "ets"}, "algoritm", "algorithm"),
    ("POST", "/models/configure", {"dataset_id": ID, "validation": {"nsplits": 3}}, "validation.nsplits", "n_splits"),
    ("POST", "/models/configure", {"dataset_id": ID, "optimization": {"iter": 3}}, "optimization.iter", "iterations"),
    ("POST", "/models/custom", {"dataset_id": ID, "architecture": {}, "trainning": {}}, "trainning", "training"),
    ("POST", "/models/train", {"dataset_id": ID, "horizons": 3}, "horizons", "horizon"),
    ("POST", f"/models/{ID}/train", {"number": 3}, "number", "dataset_number"),
    ("POST", f"/models/{ID}/optimize", {"searchspace": {}}, "searchspace", "search_space"),
    ("POST", f"/models/{ID}/promote", {"reasons": "x"}, "reasons", "reason"),
    ("POST", f"/models/{ID}/save", {"nam": "x"}, "nam", "name"),
    ("POST", "/models/load", {"tags": "x"}, "tags", "tag"),
    ("PUT", f"/datasets/{ID}/config", {"target": "y"}, "target", "target_column"),
    ("POST", f"/datasets/{ID}/split", {"testsize": 0.1}, "testsize", "test_size"),
    ("POST", f"/datasets/{ID}/preprocess", {"outliers": {"treshold": 2}}, "outliers.treshold", "threshold"),
    ("POST", "/pipelines", {"name": "x", "dataset": ID}, "dataset", "dataset_id"),
    ("POST", "/schedules", {"model_id": ID, "cron": "0 3 * * 1", "time_zone": "UTC"}, "time_zone", "timezone"),
    ("POST", "/monitoring/predictions/start", {"model_id": ID, "interval": 2}, "interval", "interval_seconds"),
    ("PUT", "/auth/profile", {"fullname": "Ana"}, "fullname", "full_name"),
    ("POST", "/auth/login", {"email": "a@x.br", "passwort": "x"}, "passwort", "password"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body", "field", "near"), UNKNOWN, ids=[one[1] + " " + one[3] for one in UNKNOWN]
)
def test_an_unknown_key_is_refused_with_the_nearest_one(ana, method, path, body, field, near):
    answer = ana.request(method, path, json=body)
    assert answer.status_code == 422, answer.text
    told = answer.json()
    assert (told["code"], told["field"], told["values"]["near"]) == ("api.unknown_key", field, near)
    assert field in told["detail"] and f": {near}" in told["detail"], "the nearest name is listed first"


def test_a_free_section_is_checked_by_its_own_table(ana):
    dataset = dataset_of(ana.id, DATA / "electrical_equipment.csv")
    layers = [{"type": "lstm", "units": 4}, {"type": "dense", "units": 1}]
    for path, body, key in (
        ("/models/configure", {"algorithm": "arima", "hyperparameters": {"pp": 1}}, "pp"),
        ("/models/custom", {"architecture": {"layrs": layers}}, "layrs"),
        ("/models/custom", {"architecture": {"layers": [{"type": "lstm", "unitz": 4}, layers[1]]}}, "unitz"),
        ("/models/custom", {"architecture": {"layers": layers}, "compilation": {"optimiser": "adam"}}, "optimiser"),
        ("/models/custom", {"architecture": {"layers": layers}, "training": {"epoch": 3}}, "epoch"),
        ("/models/custom", {"architecture": {"layers": layers}, "training": {"early_stopping": {"wait": 3}}}, "wait"),
        ("/models/train", {"config": {"splitt": {}}}, "splitt"),
        ("/models/train", {"config": {"split": {"horizn": 3}}}, "horizn"),
    ):  # fmt: skip
        answer = ana.post(path, json={"dataset_id": dataset} | body)
        assert answer.status_code == 422 and key in answer.json()["detail"], (body, answer.text)


def test_a_step_in_the_form_of_a_body_is_checked_as_that_body(ana):
    dataset = dataset_of(ana.id, DATA / "electrical_equipment.csv")
    pipeline = ana.post("/pipelines", json={"name": "x", "dataset_id": dataset}).json()["pipeline_id"]
    for step, data, field in (
        ("preview", {}, ""),
        ("split", {}, ""),
        ("preprocessing", {"outliers": {"methd": "iqr"}}, "data.outliers.methd"),
        ("preprocessing", {"missing_values": {"columnz": []}}, "data.missing_values.columnz"),
        ("preprocessing", {}, ""),
        ("features", {"lag_features": {"lagz": [1]}}, "data.lag_features.lagz"),
        ("features", {"holidays": {"land": "BR"}}, "data.holidays.land"),
        ("features", {}, ""),
        ("model", {"algorithm": "ets", "validation": {"nsplits": 3}}, "data.validation.nsplits"),
        ("model", {"algorithm": "ets", "optimisation": {}}, "data.optimisation"),
    ):
        answer = ana.put(f"/pipelines/{pipeline}/steps/{step}", json={"data": data})
        assert (answer.status_code, answer.json().get("field", "")) == (422 if field else 200, field), answer.text


def test_a_distant_word_has_no_nearest_key(ana):
    told = ana.put("/auth/profile", json={"role": "admin"}).json()
    assert (told["field"], told["values"]["near"]) == ("role", None) and "language" in told["values"]["known"]


def test_an_unknown_key_of_a_step_is_placed_in_the_request(ana):
    dataset = dataset_of(ana.id, DATA / "electrical_equipment.csv")
    pipeline = ana.post("/pipelines", json={"name": "x", "dataset_id": dataset}).json()["pipeline_id"]
    for step, key, near in (
        ("preview", "target_colum", "target_column"),
        ("preview", "zzz", None),
        ("split", "horizn", "horizon"),
        ("split", "zzz", None),
        ("preprocessing", "outlierz", "outliers"),
        ("features", "countri", "country"),
        ("training", "levelz", "levels"),
    ):
        told = ana.put(f"/pipelines/{pipeline}/steps/{step}", json={"data": {key: 1}}).json()
        assert (told["code"], told["field"]) == ("config.unknown", f"data.{key}"), told
        assert told["values"]["near"] == near and "fingerprint" not in told["values"]["known"]
    for step in ("preview", "split"):
        assert ana.put(f"/pipelines/{pipeline}/steps/{step}", json={"data": {}}).status_code == 200
    told = ana.put(f"/pipelines/{pipeline}/steps/split", json={"data": {"gap": "x"}}).json()
    assert (told["code"], told["field"]) == ("config.value", "data.gap")


def test_a_misspelt_key_of_a_document_is_refused_unless_it_is_newer(ana):
    split = {"config": {"split": {"horizon": 3}}}
    for document, key, near in (
        (split | {"nme": 1}, "nme", "name"),
        ({"config": {"split": {"horizon": 3}, "splitt": {}}}, "config.splitt", "split"),
        ({"config": {"split": {"fold": 3}}}, "config.split.fold", "folds"),
        ({"config": {"split": {"gap": "x", "fold": 3}}}, "config.split.fold", "folds"),
        ({"config": {"data": {"upload": {"delimitr": ";"}}}}, "config.data.upload.delimitr", "delimiter"),
        ({"split": {"horizn": 3}}, "split.horizn", "horizon"),
    ):
        answer = ana.post("/pipelines/import", json=document)
        told = answer.json()
        assert (answer.status_code, told["code"], told["field"]) == (422, "config.unknown", key), answer.text
        assert told["values"]["near"] == near
    for newer in ({"format": 2}, {"vur": "99.1.0"}):
        assert ana.post("/pipelines/import", json=split | newer | {"nme": 1}).status_code == 201
    wrong = ana.post("/pipelines/import", json={"config": {"split": {"gap": "x"}, "training": {"seed": 3}}})
    assert wrong.status_code == 201 and wrong.json()["problems"][0]["code"] == "config.value"


def test_a_form_names_the_nearest_field(ana):
    file = {"file": ("a.csv", b"ds,y\n2020-01-01,3\n")}
    for path, fields, near in (
        ("/datasets/upload", {"nam": "x"}, "name"),
        ("/predictions/batch/upload", {"model": ID, "horizn": "3"}, "horizon"),
    ):
        told = ana.post(path, data=fields, files=file).json()
        assert told["code"] == "forms.field" and told["values"]["near"] == near and near in told["detail"]
    told = ana.post("/datasets/uploads", json={"filename": "a.csv", "size": 3, "options": {"delimitr": ";"}}).json()
    assert told["field"] == "options.delimitr" and told["values"]["near"] == "delimiter"
    told = ana.post("/auth/login", data={"username": "a@x.br", "password": "x", "passwort": "y"}).json()
    assert (told["code"], told["field"]) == ("api.unknown_key", "passwort")


def test_names_in_documents_are_one_line(ana):
    dataset = dataset_of(ana.id, DATA / "electrical_equipment.csv")
    told = ana.post("/models/train", json={"dataset_id": dataset, "config": {"name": "a\u0007b"}}).json()
    assert (told["code"], told["field"]) == ("api.control_character", "config.name")
    made = ana.post("/pipelines/import", json={"name": "loja\r\nX:\u0007 1", "config": {"split": {"horizon": 3}}})
    assert made.json()["name"] == "loja X: 1", made.text
    broken = ana.post("/pipelines/import", content=b'{"a": "\xff"}', headers={"Content-Type": "application/json"})
    assert broken.status_code == 400 and broken.json()["code"] == "api.unreadable"


def test_two_names_of_one_key_are_refused(ana):
    told = ana.post("/predictions/predict", json={"model": "a", "model_id": "b"}).json()
    assert told["code"] == "api.same_key" and {"model", "model_id"} <= set(told["detail"].split())


@pytest.mark.parametrize("horizon", [0, -1, True, "3", "soon", 10**9, 2.5])
def test_no_door_takes_a_wrong_horizon(ana, horizon):
    for path, body in (
        ("/predictions/predict", {"model": ID}),
        ("/predictions/batch", {"model": ID}),
        (f"/models/{ID}/predict", {}),
        ("/models/configure", {"dataset_id": ID}),
        (f"/datasets/{ID}/split", {}),
    ):
        answer = ana.post(path, json=body | {"horizon": horizon})
        assert answer.status_code == 422 and answer.json()["field"] == "horizon", (path, answer.text)
        assert answer.json()["values"]["value"] == horizon


BODIES = [
    ("POST", "/models/configure"),
    ("POST", "/auth/login"),
    ("PUT", f"/datasets/{ID}/config"),
    ("POST", "/auth/logout"),
]


@pytest.mark.parametrize(("method", "path"), BODIES)
def test_a_body_that_cannot_be_read_has_codes_of_its_own(ana, method, path):
    for content, media, status, code in (
        (b'{"a": "\xff"}', "application/json", 400, "api.unreadable"),
        (b"[" * 100_000, "application/json", 400, "api.unreadable"),
        (b'{"a": 1', "application/json", 400, "api.broken_json"),
        (b'{"a": 1}', "text/csv", 415, "api.not_json"),
    ):
        answer = ana.request(method, path, content=content[:60_000], headers={"Content-Type": media})
        told = answer.json()
        assert (answer.status_code, told["code"], told["field"]) == (status, code, None), answer.text
        assert told["values"] and told.keys() >= SHAPE


# Python reads these although they are no JSON, or no text; an answer that repeats them cannot be encoded.
UNSPEAKABLE = [
    ("/auth/login", '{"email": NaN, "password": "x"}', "email"),
    ("/auth/login", '{"email": "a\\ud800@x.br", "password": "x"}', "email"),
    ("/auth/login", '{"email": "a@x.br", "password": "x", "a\\ud800": 1}', "a\\ud800"),
    ("/models/configure", '{"dataset_id": "x", "horizon": NaN}', "horizon"),
    ("/models/configure", '{"dataset_id": "x", "horizon": 1e400}', "horizon"),
    ("/models/configure", '{"dataset_id": "\\ud800"}', "dataset_id"),
    ("/models/configure", '{"dataset_id": "x", "hyperparameters": {"p": -Infinity}}', "hyperparameters"),
    ("/models/custom", '{"dataset_id": "x", "architecture": {"layers": [NaN]}}', "architecture"),
    (f"/models/{ID}/optimize", '{"search_space": {"p": {"min": NaN}}}', "search_space.p"),
    (f"/datasets/{ID}/split", '{"train_size": NaN}', "train_size"),
    (f"/models/{ID}/predict", '{"levels": [NaN]}', "levels.0"),
    (f"/models/{ID}/predict", '{"series": ["\\ud800"]}', "series"),
    (f"/models/{ID}/predict", '{"series": {"a\\udfff": {"values": []}}}', "series.a\ufffd\ufffd\ufffd"),
    ("/predictions/actuals", '{"model": "m", "series": [{"a": "\\ud800"}]}', "series"),
    ("/models/load", '{"tag": "\\ud800"}', "tag"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "content", "field"), UNSPEAKABLE)
def test_what_no_answer_can_repeat_is_refused(ana, caplog, path, content, field):
    answer = ana.post(path, content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert answer.json().keys() >= SHAPE and len(answer.content) < 3_000
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_an_answer_repeats_no_long_value_and_no_endless_list(ana):
    from vur.errors import LONGEST, VurError, error_body

    body = error_body(VurError("package.no_model", field="model", value="x" * 10**6, known="a"))
    assert len(body["detail"]) < LONGEST + 200 and len(body["values"]["value"]) == LONGEST + 1
    wrong = {"a": {"timestamps": ["2024"] * 9_000, "values": ["x"] * 9_000}}
    answer = ana.post(f"/models/{ID}/predict", json={"series": wrong})
    assert answer.status_code == 422 and len(answer.json()["problems"]) == 100


def test_errors_are_sentences_in_every_language(ana):
    told = {
        language: ana.post("/models/load", json={"tga": "x"}, headers={"Accept-Language": language}).json()["detail"]
        for language in LANGUAGES
    }
    assert len(set(told.values())) == len(LANGUAGES) and all("tga" in one and "tag" in one for one in told.values())


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/pipelines", "GET, POST"),
        ("PATCH", "/models/configure", "POST"),
        ("PATCH", f"/models/{ID}", "DELETE, GET, PUT"),
        ("PUT", "/docs", "GET"),
        ("POST", f"/datasets/uploads/{ID}", "DELETE, GET, HEAD, PATCH"),
        ("PATCH", "/auth/me", "GET"),
    ],
)
def test_a_wrong_method_is_told_every_right_one(ana, method, path, allowed):
    answer = ana.request(method, path)
    found = set(answer.headers["allow"].split(", "))
    assert answer.status_code == 405 and found == set(answer.json()["values"]["allowed"].split(", "))
    assert found - {"HEAD"} == set(allowed.split(", ")) - {"HEAD"}


@pytest.mark.parametrize("value", ["-8258770", "2024", "1706659200", "1e9", "soon", "2024-13-01"])
@pytest.mark.parametrize("place", ["/predictions?until=", "/predictions/stats?since=", "/dashboard/activity?since="])
def test_a_number_is_no_date(ana, place, value):
    answer = ana.get(place + value)
    assert answer.status_code == 422 and answer.json()["field"].endswith(place[-6:-1]), answer.text


def test_a_date_is_one_with_and_without_a_time(ana):
    for value in ("2024-01-31", "2024-01-31T14:30:00Z", "2024-01-31 14:30:00"):
        assert ana.get("/predictions", params={"until": value}).status_code == 200


CONTROL = ["loja\r\nX-Evil: 1", "a\tb", "a\x1b[31mb", "a\u2028b", "a\x7fb", "a\u202eb", "a\x85b"]


@pytest.mark.parametrize("name", CONTROL)
def test_a_name_has_no_control_character(ana, root, name):
    source = {"kind": "sqlite", "source": "shop.sqlite", "table": "t", "columns": {"date": "a", "target": "b"}}
    for who, method, path, body, key in (
        (ana, "PUT", f"/datasets/{ID}", {"name": name}, "name"),
        (ana, "POST", "/datasets/uploads", {"filename": "a.csv", "size": 3, "name": name}, "name"),
        (ana, "POST", "/datasets/uploads", {"filename": name, "size": 3}, "filename"),
        (ana, "POST", "/pipelines", {"name": name}, "name"),
        (ana, "PUT", f"/pipelines/{ID}", {"name": name}, "name"),
        (ana, "POST", f"/pipelines/{ID}/models", {"name": name}, "name"),
        (ana, "POST", "/models/configure", {"dataset_id": ID, "name": name}, "name"),
        (ana, "PUT", f"/models/{ID}", {"name": name}, "name"),
        (ana, "POST", f"/models/{ID}/save", {"name": name}, "name"),
        (ana, "POST", f"/models/{ID}/promote", {"reason": name}, "reason"),
        (ana, "POST", "/schedules", {"model_id": ID, "cron": "0 3 * * 1", "timezone": name}, "timezone"),
        (ana, "POST", "/monitoring/databases", source | {"name": name}, "name"),
        (ana, "POST", "/auth/api-keys", {"name": name}, "name"),
        (ana, "PUT", "/auth/profile", {"full_name": name}, "full_name"),
        (root, "POST", "/users", {"email": "x@x.br", "password": "x", "username": name}, "username"),
    ):  # fmt: skip
        answer = who.request(method, path, json=body)
        assert answer.status_code == 422, (path, answer.text)
        assert answer.json()["field"] == key, (path, answer.text)


BLANK = [" ", "   ", "\u00a0", "\u3000", "\u200d", "\u200e "]


@pytest.mark.parametrize("name", [*BLANK, "\u200b", "lo\u200bja", "\ufeffloja", "\u2060"])
def test_a_name_can_be_seen(ana, root, name):
    code = "api.blank" if name in BLANK else "api.control_character"
    source = {"kind": "sqlite", "source": "shop.sqlite", "table": "t", "columns": {"date": "a", "target": "b"}}
    for who, method, path, body, key in (
        (ana, "PUT", f"/datasets/{ID}", {"name": name}, "name"),
        (ana, "POST", "/datasets/uploads", {"filename": name, "size": 3}, "filename"),
        (ana, "POST", "/pipelines", {"name": name}, "name"),
        (ana, "POST", "/models/configure", {"dataset_id": ID, "name": name}, "name"),
        (ana, "PUT", f"/models/{ID}", {"name": name}, "name"),
        (ana, "POST", f"/models/{ID}/save", {"name": name}, "name"),
        (ana, "POST", "/monitoring/databases", source | {"name": name}, "name"),
        (ana, "POST", "/auth/api-keys", {"name": name}, "name"),
        (root, "POST", "/users", {"email": "x@x.br", "password": "x", "username": name}, "username"),
    ):  # fmt: skip
        answer = who.request(method, path, json=body)
        told = answer.json()
        assert (answer.status_code, told["code"], told["field"]) == (422, code, key), (path, answer.text)
    assert ana.post("/pipelines", json={"name": "Família 👨\u200d👩\u200d👧"}).status_code == 201


def test_a_description_may_have_paragraphs(ana):
    body = {"name": "Lojas", "description": "Primeira linha.\n\tSegunda linha."}
    assert ana.post("/pipelines", json=body).json()["description"] == body["description"]
    assert ana.post("/pipelines", json=body | {"description": "a\x1bb"}).json()["code"] == "api.control_character"


def test_codes_of_roles_and_objects_are_documented():
    document = rest_api().openapi()
    for path, route in placed():
        for method in route.methods:
            answers = document["paths"][path][method.lower()]["responses"]
            needs = {one.call for one in dependants(route.dependant)}
            assert "403" in answers or not needs & {admin, analyst}, f"{method} {path}"
            assert "405" in answers and "Allow" in answers["405"]["headers"]
            assert "404" in answers or "{" not in path
            if route.body_field is not None:
                assert {"400", "413", "415"} <= answers.keys(), f"{method} {path}"
    for path in ("configure", "custom"):
        assert "404" in document["paths"][f"/api/v1/models/{path}"]["post"]["responses"]
    assert "415" in document["paths"]["/api/v1/predictions/batch/upload"]["post"]["responses"]


def dependants(dependant: Any) -> Iterator[Any]:
    for one in dependant.dependencies:
        yield one
        yield from dependants(one)


@pytest.fixture
def native(catalog, monkeypatch) -> Iterator[Any]:
    """The whole service as BentoML serves it, with the client of an analyst."""
    from service import Person
    from starlette.testclient import TestClient

    from vur.serving.service import service

    monkeypatch.setattr("vur.serving.process.startup.warm", lambda: None)
    token = Person("analyst", "ana").token
    with TestClient(service.to_asgi(), headers={"Authorization": f"Bearer {token}"}) as client:
        yield client


def test_bentomls_own_endpoint_has_the_same_errors(native, caplog):
    for content, media, status, code, field in (
        (b'{"model": "x", "horizon": "soon"}', "application/json", 422, "api.invalid", "horizon"),
        (b'{"model": "x", "horizon": 0}', "application/json", 422, "api.invalid", "horizon"),
        (b'{"model": "x", "horizon": true}', "application/json", 422, "api.invalid", "horizon"),
        (b'{"model": "x", "horizn": 3}', "application/json", 422, "api.unknown_key", "horizn"),
        (b"{}", "application/json", 422, "api.invalid", "model"),
        (b"", "application/json", 422, "api.invalid", "model"),
        (b"[]", "application/json", 422, "api.invalid", "body"),
        (b'{"mo', "application/json", 400, "api.broken_json", None),
        (b'{"a": "\xff"}', "application/json", 400, "api.unreadable", None),
        (b'{"model": "x"}', "text/csv", 415, "api.not_json", None),
        (b"\x80\x04", "application/vnd.bentoml+pickle", 415, "api.http", None),
        (b'{"model": "x", "horizon": NaN}', "application/json", 422, "api.invalid", "horizon"),
        (b'{"model": "x", "levels": [1e400]}', "application/json", 422, "api.invalid", "levels.0"),
        (b'{"model": "a\\ud800"}', "application/json", 422, "api.invalid", "model"),
        (b'{"a\\ud800": "x"}', "application/json", 422, "api.unknown_key", "a\\ud800"),
        (b'{"model": "x"}', "application/json", 404, "api.not_found", None),
    ):
        answer = native.post("/predict", content=content, headers={"Content-Type": media})
        told = answer.json()
        assert (answer.status_code, told["code"], told["field"]) == (status, code, field), (content, answer.text)
        assert told.keys() >= SHAPE
    for page in ("/docs.json", "/schema.json", "/"):
        assert native.get(page).status_code == 200, page
    wrong = native.put("/predict")
    assert wrong.status_code == 405 and wrong.headers["allow"] == "POST" and wrong.json()["code"] == "api.method"
    assert not [record for record in caplog.records if record.levelname == "ERROR" or record.exc_info]


def test_no_door_forecasts_past_the_calendar(ana, runs):  # noqa: F811
    """64 bits of nanoseconds end in April 2262; the greatest horizon that works is in the answer, and works."""
    model = register(ana.id, runs["equipment"]).id
    doors = (
        ("/predictions/predict", {"model": model}),
        ("/predictions/real-time", {"model": model}),
        ("/predictions/batch", {"model": model}),
        (f"/models/{model}/predict", {}),
    )
    for path, body in doors:
        told = ana.post(path, json=body | {"horizon": 9_000, "levels": []}).json()
        assert (told["code"], told["field"]) == ("predictions.calendar", "horizon"), (path, told)
        most = told["values"]["most"]
        over = ana.post(path, json=body | {"horizon": most + 1, "levels": []})
        assert over.status_code == 422 and over.json()["values"]["most"] == most
        within = ana.post(path, json=body | {"horizon": most, "levels": []})
        assert within.status_code in (200, 202), within.text
        if within.status_code == 200:
            stamps = next(iter(within.json()["forecasts"].values()))["timestamps"]
            assert stamps == sorted(stamps) and stamps[-1] == "2262-04-01" and len(set(stamps)) == most
    form = {"model": model, "horizon": "9000"}
    answer = ana.post("/predictions/batch/upload", data=form, files={"file": ("a.csv", b"ds,y\n2013-01-01,3\n")})
    assert answer.status_code == 422 and answer.json()["field"] == "horizon"


# Method, path, body, what the answer says in Portuguese and in English.
REASONS = [
    ("POST", "/models/configure", {"dataset_id": ID, "horizon": 0}, "deve ser no mínimo 1", "it must be at least 1"),
    ("POST", "/models/configure", {"dataset_id": ID, "horizon": "x"}, "um número inteiro", "a whole number"),
    ("POST", "/models/configure", {"dataset_id": ID, "name": "a\x00"}, "caractere NUL", "the NUL character"),
    ("POST", "/models/configure", {"dataset_id": ID, "name": ""}, "pelo menos 1 caractere", "at least 1 character"),
    ("POST", "/models/configure", {"dataset_id": ID, "levels": [100]}, "menor que 100", "less than 100"),
    ("POST", "/models/configure", {"dataset_id": ID, "metrics": "mae"}, "uma lista", "a list"),
    ("POST", "/models/configure", {"dataset_id": ID, "preset": "x"}, "um destes: 'fast', ", "one of 'fast', "),
    ("POST", "/models/configure", {}, "dataset_id: é obrigatório", "dataset_id: it is required"),
    ("POST", "/models/configure", [1], "deve ser um objeto", "it must be an object"),
    ("POST", "/auth/login", {"password": "x"}, "email ou username", "email or username"),
    ("GET", "/datasets?page=x", None, "page: deve ser um número inteiro", "page: it must be a whole number"),
    ("GET", "/datasets?sort=colour", None, "colour não é um destes", "colour is not one of"),
]


@pytest.mark.parametrize(("method", "path", "body", "portuguese", "english"), REASONS)
def test_reasons_are_in_the_language_of_the_reader(ana, method, path, body, portuguese, english):
    for language, said in (("pt-BR", portuguese), ("en", english)):
        answer = ana.request(method, path, json=body, headers={"Accept-Language": language})
        assert answer.status_code == 422, answer.text
        assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    ("content", "portuguese"),
    [
        (b'{"horizon": }', "não é um JSON válido: o caractere 13"),
        (b'{"name": "\xff"}', "o byte 11 não é UTF-8"),
        (b"[" * 100_000, "aninhamento"),
    ],
)
def test_a_broken_body_is_explained_in_the_language_of_the_reader(ana, content, portuguese):
    headers = {"Accept-Language": "pt-BR", "Content-Type": "application/json"}
    answer = ana.post("/models/configure", content=content, headers=headers)
    assert answer.status_code == 400 and portuguese in answer.json()["detail"], answer.text


def test_a_column_that_the_model_lacks_is_said(ana, runs):  # noqa: F811
    """It may be one of the data that the model does not use, so it is named, not refused."""
    model = register(ana.id, runs["stores"]).id
    blocks = {"norte": {"timestamps": ["2024-04-30"], "values": [60.0], "valus": [1]}}
    rows = [{"dia": "2024-04-30", "loja": "norte", "vendas": 60.0, "vendaz": 3}]
    for series, name, near in ((blocks, "valus", "vendas"), (rows, "vendaz", "vendas")):
        for path in ("/predictions/predict", "/predictions/real-time", "/predictions/batch", "/predictions/actuals"):
            answer = ana.post(path, json={"model": model, "series": series}, headers={"Accept-Language": "pt-BR"})
            assert answer.status_code in (200, 202), (path, answer.text)
            (said,) = answer.json()["warnings"]
            assert f"'{name}'" in said and f": {near}" in said and "coluna" in said, (path, said)
    del rows[0]["vendaz"]
    assert ana.post(f"/models/{model}/predict", json={"series": rows}).json()["warnings"] == []


def test_no_levels_are_no_intervals_everywhere(ana, runs):  # noqa: F811
    model = register(ana.id, runs["equipment"]).id
    dataset = dataset_of(ana.id, DATA / "electrical_equipment.csv")
    for path, body in (("/models/configure", {"algorithm": "naive"}), ("/models/train", {"algorithm": "naive"})):
        made = ana.post(path, json={"dataset_id": dataset, "levels": []} | body)
        assert made.status_code in (201, 202), made.text
        config = ana.get(f"/models/{made.json()['model_id']}").json()["config"]
        assert config["training"]["levels"] == []
    assert ana.post(f"/models/{model}/predict", json={"levels": []}).json()["levels"] == []
    file = {"file": ("a.csv", b"month,turnover\n2016-06-01,100\n")}
    for levels, meant in (("[]", []), ("[80, 95]", [80.0, 95.0]), ("80,95", [80.0, 95.0])):
        answer = ana.post("/predictions/batch/upload", data={"model": model, "levels": levels}, files=file)
        assert answer.status_code == 202, answer.text
        with database.reading() as session:
            assert session.get(Job, answer.json()["job_id"]).params["levels"] == meant


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predictions/predict", {"model": "nowhere", "model_id": None, "horizon": 7.0}),
        ("/models/configure", {"dataset_id": ID, "hyperparameters": None, "metrics": None}),
        ("/models/configure", {"dataset_id": ID, "optimization": {"enabled": False, "method": None}}),
        ("/models/custom", {"dataset_id": ID, "architecture": {}, "compilation": None, "training": None}),
    ],
)
def test_null_is_as_if_an_optional_key_were_left_out(ana, path, body):
    answer = ana.post(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "api.not_found"), answer.text
