"""Machines over HTTP: the interface without version, validated against its own document, and /api/v1/machines."""

import json
from pathlib import Path

import pytest
from databases import both, kind  # noqa: F401 - fixtures
from jsonschema import Draft202012Validator
from service import Person
from sqlalchemy import select

from vur.jobs import lifecycle
from vur.stages.upload.files import UploadOptions
from vur.store.catalog import Activity, Alert, Event, Job, Machine, MachineTraining
from vur.store.data import datasets, sources
from vur.store.database import reading, writing
from vur.store.home import folder

DOCUMENT = json.loads((Path(__file__).parent / "production_variables.json").read_text(encoding="utf-8"))
PLANT = b"temp;vazao;producao\n" + b"".join(b"%d,5;%d;%d,25\n" % (k % 17, k % 5, 3 * (k % 17)) for k in range(150))
BAD = {"code": "ranking.target_constant", "stage": "ranking", "data": {"column": "producao", "value": 3}}


def row(name: str, rank: int, low: int, high: int, importance: float, members: list[str] | None = None) -> dict:
    return {
        "rank": rank,
        "rank_low": low,
        "rank_high": high,
        "variable": name,
        "members": members or [name],
        "importance": importance,
        "significant": True,
    }


def of_outside(ranking: list[dict]) -> dict:
    return {"target": "producao", "ranking": ranking}


def check_answer(method: str, path: str, answer) -> None:
    """The answer has the shape that the interface's own document gives for its status."""
    described = DOCUMENT["paths"][path][method]["responses"][str(answer.status_code)]
    schema = described["content"]["application/json"]["schema"] | {"components": DOCUMENT["components"]}
    Draft202012Validator(schema).validate(answer.json())


def old(person: Person):
    """A client of the interface without version."""
    person.http.base_url = "http://localhost"
    return person.http


def machine(person: Person, name: str = "Extrusora 3") -> int:
    answer = old(person).post("/machines/", json={"machine_name": name})
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def sent(person: Person, id: int, target: str = "producao", content: bytes = PLANT, name="planta.csv", **query):
    query = {"machine_id": id, "target_column": target} | query
    return old(person).post("/train/", params=query, files={"file": (name, content)})


def ended(job_id: str, state: str, result: dict | None = None, error: dict | None = None) -> None:
    """End a job as its worker would."""
    spec = lifecycle.claim(job_id, "worker")
    assert spec is not None
    assert lifecycle.end(spec, "worker", state, result=result, error=error)


def finished(person: Person, id: int, ranking: list[dict], target: str = "producao") -> None:
    """Give a machine a finished training with a ranking, as an outside service's."""
    from vur.store import machines

    with writing() as session:
        found = machines.lock(session, id)
        values = {"user_id": person.id, "origin": "outside", "target": target, "source": "planta.csv"}
        training = machines.add_training(session, found, state="finished", **values)
        machines.finish(session, found, training, of_outside(ranking) | {"target": target})


def test_the_service_has_the_documents_paths_parameters_and_schemas(catalog):
    from vur.serving.app import create_app

    ours = create_app().openapi()
    for path, methods in DOCUMENT["paths"].items():
        for method, theirs in methods.items():
            found = ours["paths"][path][method]
            assert found["operationId"] == theirs["operationId"] and found["summary"] == theirs["summary"]
            assert found["description"]
            named = {(one["in"], one["name"]): one for one in found.get("parameters", [])}
            for one in theirs.get("parameters", []):
                mine = named.pop((one["in"], one["name"]))
                assert mine.get("required", False) == one["required"]
                types = [part["type"] for part in mine["schema"].get("anyOf", [mine["schema"]])]
                assert one["schema"]["type"] in types
            assert not any(one["required"] for key, one in named.items() if key[0] != "header")
            for status in theirs["responses"]:
                described = found["responses"][status]["content"]["application/json"]["schema"]
                if status == "422":
                    assert described == theirs["responses"]["422"]["content"]["application/json"]["schema"]
            body = theirs.get("requestBody", {}).get("content", {})
            assert all(found["requestBody"]["content"][kind]["schema"] == one["schema"] for kind, one in body.items())
    for name, theirs in DOCUMENT["components"]["schemas"].items():
        found = ours["components"]["schemas"][name]
        assert found["required"] == theirs["required"] if "required" in theirs else "required" not in found
        for key, one in theirs["properties"].items():
            assert found["properties"][key] == one, (name, key)


@both
def test_a_machine_is_registered_listed_and_deleted(ana, bia, kind):
    answer = old(ana).post("/machines/", json={"machine_name": " Extrusora 3 "})
    check_answer("post", "/machines/", answer)
    made = answer.json()
    assert made == {"machine_name": "Extrusora 3", "id": made["id"], "status": "criada", "model_id": made["id"]}
    assert isinstance(made["id"], int)
    machine(bia, "Prensa")
    answer = old(ana).get("/machines/")
    check_answer("get", "/machines/", answer)
    assert [one["machine_name"] for one in answer.json()] == ["Extrusora 3"]
    assert old(bia).delete(f"/machines/{made['id']}").status_code == 404
    answer = old(ana).delete(f"/machines/{made['id']}", headers={"Accept-Language": "pt-BR"})
    check_answer("delete", "/machines/{machine_id}", answer)
    assert answer.json()["deleted"] is True and "excluída" in answer.json()["detail"]
    assert old(ana).get("/machines/").json() == []
    assert machine(ana) > made["id"], "a number is never given again"


@pytest.mark.parametrize(
    ("method", "path", "call", "loc", "word"),
    [
        ("post", "/machines/", {"json": {}}, ["body", "machine_name"], "required"),
        ("post", "/machines/", {"json": {"machine_name": "  "}}, ["body", "machine_name"], "seen"),
        ("post", "/machines/", {"json": {"machine_name": "x" * 201}}, ["body", "machine_name"], "200"),
        ("post", "/machines/", {"json": {"machine_name": 3}}, ["body", "machine_name"], "text"),
        ("post", "/machines/", {"content": b"{", "headers": {"Content-Type": "application/json"}}, ["body", 1], ""),
        ("delete", "/machines/abc", {}, ["path", "machine_id"], "whole number"),
        ("get", "/ranking/", {"params": {"machine_id": "abc"}}, ["query", "machine_id"], "whole number"),
        ("post", "/train/", {"params": {"machine_id": 1}}, ["query", "target_column"], "required"),
    ],
)
def test_a_wrong_request_is_refused_in_the_documents_shape(ana, method, path, call, loc, word):
    answer = old(ana).request(method, path, **call)
    assert answer.status_code == 422, answer.text
    check_answer(method, path.replace("abc", "{machine_id}"), answer)
    first = answer.json()["detail"][0]
    assert first["loc"] == loc and word in first["msg"]


def test_a_wrong_form_names_the_field(ana):
    id = machine(ana)
    bare = {"machine_id": id, "target_column": "y"}
    for answer, loc in (
        (old(ana).post("/train/", params=bare), ["body", "file"]),
        (old(ana).post("/train/", params=bare, files={"outro": ("a.csv", PLANT)}), ["body", "outro"]),
        (sent(ana, id, lags="many"), ["query", "lags"]),
        (sent(ana, id, goal="best"), ["query", "goal"]),
        (sent(ana, id, target="x" * 501), ["query", "target_column"]),
        (sent(ana, id, target=""), ["query", "target_column"]),
        (sent(ana, id, encoding="klingon"), ["query", "encoding"]),
        (sent(ana, id, types="{"), ["query", "types"]),
        (sent(ana, id, exclude="[1"), ["query", "exclude"]),
    ):
        check_answer("post", "/train/", answer)
        assert answer.status_code == 422, answer.text
        first = answer.json()["detail"][0]
        assert first["loc"] == loc and first["msg"], answer.text
    with reading() as session:
        assert session.scalars(select(Job)).all() == []
    assert old(ana).get("/machines/").json()[0]["status"] == "criada"
    assert not [one for one in folder("results").glob("*")] if folder("results").exists() else True


def test_nobody_gets_in_without_a_token_and_a_viewer_only_reads(stranger, vera, ana):
    stranger.base_url = "http://localhost"
    for method, path in (
        ("get", "/machines/"),
        ("post", "/machines/"),
        ("delete", "/machines/1"),
        ("get", "/ranking/"),
    ):
        assert stranger.request(method, path).status_code == 401
    assert stranger.post("/train/?machine_id=1&target_column=y").status_code == 401
    assert old(vera).get("/machines/").json() == []
    assert old(vera).post("/machines/", json={"machine_name": "x"}).status_code == 403
    id = machine(ana)
    assert sent(vera, id).status_code == 403


@both
def test_a_training_moves_the_machine_and_a_second_one_waits(ana, kind):
    id = machine(ana)
    answer = sent(ana, id, lags="6", decimal=",", delimiter=";", exclude="vazao, giro")
    check_answer("post", "/train/", answer)
    queued = answer.json()
    assert (queued["status"], queued["training"], queued["target_column"]) == ("treinando", 1, "producao")
    assert old(ana).get(queued["links"]["training"]).json()["state"] == "queued"
    assert old(ana).get(queued["links"]["job"]).json()["kind"] == "ranking"
    assert old(ana).get("/machines/").json()[0]["status"] == "treinando"
    second = sent(ana, id)
    assert second.status_code == 409 and "Training 1" in second.json()["detail"]
    with reading() as session:
        job = session.get(Job, queued["job_id"])
        assert job.params["options"] == {"decimal": ",", "delimiter": ";"} and job.params["lags"] == 6
        assert job.params["exclude"] == ["vazao", "giro"]
        assert (folder("results", job.id) / job.params["input_name"]).read_bytes() == PLANT
    ended(queued["job_id"], "failed", error=BAD)
    shown = old(ana).get(f"/api/v1/machines/{id}", headers={"Accept-Language": "pt-BR"}).json()
    assert shown["status"] == "erro" and "producao" in shown["error"]["detail"]
    listed = old(ana).get("/ranking/", params={"machine_id": id})
    check_answer("get", "/ranking/", listed)
    assert listed.json()[0]["ranking"] == [] and listed.json()[0]["error"]["code"] == BAD["code"]
    with reading() as session:
        kinds = {one.kind for one in session.scalars(select(Activity))}
        assert {"machine_created", "ranking_started", "ranking_failed"} <= kinds
        alert = session.scalar(select(Alert).where(Alert.kind == "ranking_failed"))
        assert alert.object_id == str(id) and alert.resolved_at is None
        states = [one.data["state"] for one in session.scalars(select(Event).where(Event.type == "machine_update"))]
        assert states == ["queued", "training", "failed"]
    assert "Extrusora 3" in old(ana).get("/api/v1/dashboard/alerts").json()["items"][0]["message"]
    finished(ana, id, [row("temp", 1, 1, 2, 0.4)])
    assert old(ana).get("/machines/").json()[0]["status"] == "pronta"
    with reading() as session:
        assert session.scalar(select(Alert.resolved_at).where(Alert.kind == "ranking_failed")) is not None


def test_a_failed_training_keeps_the_older_ranking(ana):
    id = machine(ana)
    finished(ana, id, [row("temp", 1, 1, 1, 0.4)])
    job = sent(ana, id).json()["job_id"]
    assert old(ana).get("/ranking/").json()[0]["ranking"][0]["variable"] == "temp"
    ended(job, "failed", error=BAD)
    found = old(ana).get("/ranking/", params={"machine_id": id}).json()[0]
    assert found["status"] == "erro" and found["ranking"][0]["variable"] == "temp" and found["training"] == 1
    assert found["error"]["code"] == BAD["code"]
    detail = old(ana).get(f"/api/v1/machines/{id}/ranking").json()
    assert detail["document"]["ranking"][0]["variable"] == "temp" and "outside" in detail["says"][0]


@both
def test_the_movement_of_a_ranking(ana, bia, kind):
    id = machine(ana)
    assert old(ana).get(f"/api/v1/machines/{id}/movement").json()["variables"] == []
    finished(ana, id, [row("temp", 1, 1, 1, 0.4), row("vazao", 2, 2, 3, 0.2), row("giro", 3, 2, 3, 0.1)])
    finished(ana, id, [row("x", 1, 1, 1, 0.9)], target="energia")
    finished(ana, id, [row("vazao + pressao", 1, 1, 2, 0.4, ["vazao", "pressao"]), row("temp", 2, 2, 2, 0.3)])
    found = old(ana).get(f"/api/v1/machines/{id}/movement").json()
    assert [one["training"] for one in found["trainings"]] == [1, 3] and found["target"] == "producao"
    moves = {one["variable"]: one for one in found["variables"]}
    assert {name: one["change"] for name, one in moves.items()} == {
        "vazao": "up",
        "pressao": "new",
        "temp": "down",
        "giro": "gone",
    }
    assert moves["vazao"]["moved"] == 1 and moves["vazao"]["clear"] is False
    assert moves["temp"]["clear"] is True and moves["vazao"]["places"][1]["group"] == "vazao + pressao"
    other = old(ana).get(f"/api/v1/machines/{id}/movement", params={"target": "energia"}).json()
    assert other["variables"][0]["change"] == "first"
    assert old(bia).get(f"/api/v1/machines/{id}/movement").status_code == 404


@both
def test_a_shared_machine(ana, bia, vera, root, kind):
    id = machine(ana)
    for person in (ana, bia, vera, root):
        person.http.base_url = "http://localhost"
    assert bia.get(f"/api/v1/machines/{id}").status_code == 404
    assert bia.get("/ranking/", params={"machine_id": id}).status_code == 404
    assert bia.put(f"/api/v1/shares/machine/{id}", json={"email": "bia@x.br", "right": "edit"}).status_code == 404
    shared = ana.put(f"/api/v1/shares/machine/{id}", json={"email": "bia@x.br", "right": "view"})
    assert shared.status_code == 200, shared.text
    assert ana.get(f"/api/v1/shares/machine/{id}").json()["items"][0]["email"] == "bia@x.br"
    assert [one["id"] for one in bia.get("/machines/").json()] == [id]
    assert sent(bia, id).status_code == 403 and bia.delete(f"/machines/{id}").status_code == 403
    ana.put(f"/api/v1/shares/machine/{id}", json={"email": "bia@x.br", "right": "edit"})
    assert sent(bia, id).status_code == 200
    assert bia.delete(f"/machines/{id}").status_code == 403, "deleting is for the owner"
    assert vera.get(f"/api/v1/machines/{id}").status_code == 404
    assert root.get(f"/api/v1/machines/{id}").status_code == 200
    assert bia.get("/api/v1/shares/machine/abc").status_code == 404
    assert "Extrusora" in str(ana.get("/api/v1/dashboard/activity").json())


@both
def test_deleting_a_machine_cancels_its_training_and_removes_its_files(ana, kind):
    id, other = machine(ana), machine(ana, "Prensa")
    waiting = sent(ana, id).json()["job_id"]
    running = sent(ana, other).json()["job_id"]
    spec = lifecycle.claim(running, "worker")
    assert old(ana).delete(f"/machines/{id}").status_code == 200
    assert old(ana).delete(f"/machines/{other}").status_code == 200
    with reading() as session:
        assert session.get(Job, waiting).state == "cancelled"
        assert session.get(Job, running).cancel_requested
        assert session.scalars(select(MachineTraining)).all() == session.scalars(select(Machine)).all() == []
    assert not folder("results", waiting).exists() and folder("results", running).exists()
    assert lifecycle.lease_state(spec, "worker") == "cancel"
    assert lifecycle.end(spec, "worker", "cancelled")
    assert not folder("results", running).exists()


def test_a_training_is_cancelled_and_tried_again(ana):
    id = machine(ana)
    job = sent(ana, id).json()["job_id"]
    at = f"/api/v1/machines/{id}/trainings/1"
    assert old(ana).post(f"{at}/cancel").json()["state"] == "cancelled"
    assert old(ana).get("/machines/").json()[0]["status"] == "criada"
    assert old(ana).post(f"{at}/cancel").status_code == 409
    again = old(ana).post(f"/api/v1/jobs/{job}/retry")
    assert again.status_code == 202, again.text
    second = old(ana).get(f"/api/v1/machines/{id}/trainings/2").json()
    assert (second["state"], second["source"], second["target"]) == ("queued", "planta.csv", "producao")
    assert old(ana).get("/machines/").json()[0]["status"] == "treinando"
    assert old(ana).get(f"/api/v1/machines/{id}/trainings/9").status_code == 404
    assert old(ana).get(f"{at}/report").status_code == 409


def test_machines_under_v1(ana):
    made = ana.post("/machines", json={"machine_name": "Extrusora 3", "description": "Linha 2"})
    assert made.status_code == 201 and made.headers["Location"].endswith(f"/machines/{made.json()['id']}")
    id = made.json()["id"]
    ana.post("/machines", json={"machine_name": "Prensa"})
    assert ana.get(f"/machines/{id}").headers["ETag"] == '"1"'
    assert ana.patch(f"/machines/{id}", json={"machine_name": "E3"}, headers={"If-Match": '"9"'}).status_code == 412
    changed = ana.patch(f"/machines/{id}", json={"machine_name": "E3"}, headers={"If-Match": '"1"'})
    assert changed.json()["machine_name"] == "E3" and changed.json()["description"] == "Linha 2"
    unknown = ana.patch(f"/machines/{id}", json={"nome": "E3"})
    assert unknown.status_code == 422 and unknown.json()["code"] == "api.unknown_key"
    found = ana.get("/machines", params={"search": "pren", "sort": "-machine_name"}).json()
    assert found["total"] == 1 and found["items"][0]["machine_name"] == "Prensa"
    assert ana.get("/machines", params={"sort": "weight"}).status_code == 422
    trained = ana.post(
        f"/machines/{id}/trainings",
        data={"target": "producao", "time": "data_hora", "goal": "min", "level": "0.95"},
        files={"file": ("planta.csv", PLANT)},
    )
    assert trained.status_code == 202, trained.text
    assert trained.json()["settings"] == {"time": "data_hora", "goal": "min", "level": 0.95}
    assert ana.get(f"/machines/{id}/trainings").json()["items"][0]["training"] == 1
    assert ana.get(f"/machines/{id}/trainings/1").json()["document"] is None
    ranked = ana.get(f"/machines/{id}/ranking")
    assert ranked.status_code == 409 and "in training" in ranked.json()["detail"]
    assert ana.post(f"/machines/{id}/what-if", json={"values": {"temp": 3}}).status_code == 409
    assert ana.get(f"/machines/{id}/trainings/1/report").status_code == 409
    assert ana.get(f"/machines/{id}/trainings/1/notebook").status_code == 409
    assert ana.post(f"/machines/{id}/trainings", content=b"x").status_code == 422
    assert ana.delete(f"/machines/{id}").status_code == 204
    assert ana.get(f"/machines/{id}").status_code == 404


def test_a_stored_dataset_is_ranked(ana, bia):
    dataset = ana.post("/datasets/upload", files={"file": ("planta.csv", PLANT)}).json()["dataset_id"]
    id = ana.post("/machines", json={"machine_name": "Extrusora 3"}).json()["id"]
    foreign = bia.post("/machines", json={"machine_name": "Prensa"}).json()["id"]
    body = {"dataset_id": dataset, "target": "producao", "lags": 3}
    assert bia.post(f"/machines/{foreign}/trainings", json=body).status_code == 404
    assert ana.post(f"/machines/{id}/trainings", json=body | {"lags": -1}).json()["field"] == "lags"
    assert ana.post(f"/machines/{id}/trainings", json=body | {"dataset_number": 7}).status_code == 404
    found = ana.post(f"/machines/{id}/trainings", json=body).json()
    assert (found["dataset_id"], found["dataset_number"], found["source"]) == (dataset, 1, "planta.csv")
    assert found["settings"] == {"lags": 3}


def test_the_same_request_twice_trains_once(ana):
    id = machine(ana)
    ana.http.headers["Idempotency-Key"] = "once-and-only-once"
    first, second = sent(ana, id), sent(ana, id)
    assert first.json() == second.json() and second.headers["Idempotency-Replayed"] == "true"
    with reading() as session:
        assert len(session.scalars(select(MachineTraining)).all()) == 1


@pytest.mark.parametrize("id", [0, -1, 2**63, 10**30])
def test_numbers_that_no_machine_has(ana, id):
    assert old(ana).delete(f"/machines/{id}").status_code in (404, 422)
    assert old(ana).get("/ranking/", params={"machine_id": id}).status_code in (404, 422)
    assert sent(ana, id).status_code in (404, 422)


def test_files_of_failed_trainings_and_data_of_deleted_machines_do_not_stay(ana):
    id, other = machine(ana), machine(ana, "Prensa")
    first = sent(ana, id).json()["job_id"]
    ended(first, "failed", error=BAD)
    inputs = list(folder("results", first).glob("input*"))
    assert [one.read_bytes() for one in inputs] == [PLANT], "kept for another try"
    second = sent(ana, id).json()["job_id"]
    assert not inputs[0].exists() and list(folder("results", second).glob("input*"))
    sent(ana, other)
    digest = old(ana).get(f"/api/v1/machines/{id}/trainings/1").json()["fingerprint"]
    table = sources.address(digest, UploadOptions())
    table.mkdir(parents=True)
    old(ana).delete(f"/machines/{id}")
    assert table.is_dir() and datasets.is_needed(digest), "the other machine was trained on the same file"
    old(ana).delete(f"/machines/{other}")
    assert not table.exists() and sources.original(digest) is None
