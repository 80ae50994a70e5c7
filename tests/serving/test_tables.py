"""Tables over HTTP: training on a file or a dataset, versions, predictions and their history, and who may do what."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from databases import kind  # noqa: F401 - a fixture
from jobkit import dataset_of, ended, worker
from service import Person
from sqlalchemy import select

from vur.store import database
from vur.store.catalog import Activity, Alert, Share, TabularPrediction, TabularVersion
from vur.store.home import folder
from vur.store.models.models import TABLES, list_models

QUICK = {"algorithms": "linear,decision_tree", "folds": "3"}
ROW = {"area": 80.0, "bairro": "Sul", "garagem": True}


def csv_of(n: int = 90, seed: int = 0, target: bool = True) -> bytes:
    """Flats in a Brazilian CSV."""
    rng = np.random.default_rng(seed)
    area, bairro = rng.uniform(30, 250, n).round(1), rng.choice(["Sul", "Norte"], n)
    frame = pd.DataFrame({"area": area, "bairro": bairro, "garagem": rng.choice(["sim", "não"], n)})
    if target:
        frame["preco"] = (3000 * area * np.where(bairro == "Sul", 2, 1) * rng.lognormal(0, 0.1, n)).round(2)
    for name in frame.select_dtypes("number"):
        frame[name] = [f"{value:.2f}".replace(".", ",") for value in frame[name]]
    return frame.to_csv(sep=";", index=False).encode("latin-1")


def file(content: bytes, name: str = "casas.csv") -> dict:
    return {"file": (name, content, "text/csv")}


@pytest.fixture
def trained(ana: Person, catalog: Path) -> str:
    """The id of a table with a trained version."""
    answer = ana.post("/tables/upload", files=file(csv_of()), data={"target": "preco", **QUICK})
    assert answer.status_code == 202, answer.text
    with worker(catalog):
        (job,) = ended(answer.json()["job_id"])
    assert job.state == "succeeded", job.error
    return answer.json()["table_id"]


@pytest.mark.slow
def test_the_whole_story_of_a_table(ana: Person, catalog: Path) -> None:
    data = {"target": "preco", "name": "Casas", "hyperparameters": json.dumps({"decision_tree": {"depth": 4}}), **QUICK}
    started = ana.post("/tables/upload", files=file(csv_of()), data=data)
    assert started.status_code == 202 and started.json()["state"] == "queued" and started.json()["number"] == 1
    table = started.json()["table_id"]
    assert started.headers["location"] == f"/api/v1/tables/{table}"
    early = ana.post(f"/tables/{table}/predict", json={"rows": [ROW]})
    assert early.status_code == 409 and early.json()["code"] == "tables.not_trained"
    busy = ana.post(f"/tables/{table}/versions/upload", files=file(csv_of()))
    assert busy.status_code == 409 and busy.json()["code"] == "tables.busy"
    assert ana.delete(f"/tables/{table}").status_code == 409
    with worker(catalog):
        ended(started.json()["job_id"])

        one = ana.get(f"/tables/{table}").json()
        assert one["number"] == 1 and one["name"] == "Casas" and one["newest"]["state"] == "trained"
        detail = ana.get(f"/tables/{table}/versions/1", headers={"Accept-Language": "pt-BR"}).json()
        assert any("menos erro" in line for line in detail["says"]) and detail["source"] == "casas.csv"
        assert [column["name"] for column in detail["columns"]] == ["area", "bairro", "garagem"]
        assert detail["config"]["hyperparameters"] == {"decision_tree": {"depth": 4}}

        metrics = ana.get(f"/tables/{table}/metrics").json()
        board = {row["candidate"]: row for row in metrics["leaderboard"]}
        assert (
            board["mean"]["skill"] == 0
            and board[metrics["chosen"]]["skill"] > 0.3
            and board[metrics["chosen"]]["chosen"]
        )
        assert metrics["metrics"] == detail["metrics"] and metrics["coverage"].keys() == {"80", "95"}
        cv = ana.get(f"/tables/{table}/cross-validation?limit=20&fold=2").json()
        assert (
            len(cv["folds"]) == 3
            and {row["fold"] for row in cv["items"]} == {2}
            and cv["total"] == cv["folds"][1]["rows"]
        )
        whole = ana.get(f"/tables/{table}/cross-validation?limit=1000").json()
        errors = [row["predictions"][metrics["chosen"]] - row["actual"] for row in whole["items"]]
        assert len(errors) == 90 and np.sqrt(np.mean(np.square(errors))) == pytest.approx(metrics["metrics"]["rmse"])
        for kind in ("predictions", "residuals", "importances"):
            assert ana.get(f"/tables/{table}/figures/{kind}").json()["data"]
        assert ana.get(f"/tables/{table}/figures/pie").status_code == 422
        page = ana.get(f"/tables/{table}/report")
        assert "preco" in page.text and "sandbox" in page.headers["content-security-policy"]
        cells = json.loads(ana.get(f"/tables/{table}/notebook").text)["cells"]
        assert not [one for cell in cells for one in cell.get("outputs", []) if one["output_type"] == "error"]

        answer = ana.post(f"/tables/{table}/predict", json={"rows": [ROW, ROW | {"bairro": "Leste"}], "levels": [80]})
        assert answer.status_code == 200, answer.text
        first = answer.json()["predictions"][0]
        assert first["lo-80"] <= first["prediction"] <= first["hi-80"] and len(answer.json()["predictions"]) == 2
        assert [note["key"] for note in answer.json()["notes"]] == ["new_level"] and "Leste" in answer.json()["notes"][
            0
        ]["text"]

        second = ana.post(
            f"/tables/{table}/versions/upload", files=file(csv_of(120, seed=1), "mais.csv"), data={"folds": "4"}
        )
        assert second.status_code == 202 and second.json()["number"] == 2, second.text
        ended(second.json()["job_id"])
    listed = ana.get(f"/tables/{table}/versions").json()
    assert [row["number"] for row in listed["items"]] == [2, 1]
    assert listed["items"][0]["config"]["algorithms"] == ["linear", "decision_tree"], "choices go on"
    assert ana.get(f"/tables/{table}").json()["number"] == 2
    now_first = ana.post(f"/tables/{table}/predict", json={"rows": [ROW], "levels": [80]}).json()
    assert now_first["number"] == 2 and now_first["predictions"][0] != first
    old = ana.post(f"/tables/{table}/predict", json={"rows": [ROW], "levels": [80], "number": 1}).json()
    assert old["predictions"][0] == first, "an older version predicts the same digits"
    back = ana.patch(f"/tables/{table}", json={"number": 1, "name": "Casas antigas"})
    assert back.json()["number"] == 1 and back.json()["name"] == "Casas antigas"
    assert ana.patch(f"/tables/{table}", json={"number": 9}).status_code == 404
    stale = ana.patch(f"/tables/{table}", json={"name": "x"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412

    history = ana.get(f"/tables/{table}/predictions").json()
    assert history["total"] == 3 and [row["number"] for row in history["items"]] == [1, 2, 1]
    assert ana.get(f"/tables/{table}/predictions?version=2").json()["total"] == 1
    assert ana.get(f"/tables/{table}/predictions?limit=2&page=2").json()["items"][0]["n_rows"] == 2
    usage = ana.get(f"/tables/{table}/usage").json()
    assert (usage["requests"], usage["rows"]) == (3, 4) and [one["number"] for one in usage["items"]] == [2, 1]

    assert list(folder("datasets").rglob("*.parquet"))
    with database.reading() as session:
        jobs = session.scalars(select(TabularVersion.job_id)).all()
        kinds = set(session.scalars(select(Activity.kind)))
    assert {"table_started", "table_trained"} <= kinds and len(list_models(TABLES)) == 2
    assert ana.delete(f"/tables/{table}").status_code == 204
    assert ana.get(f"/tables/{table}").status_code == 404 and list_models(TABLES).empty
    assert not [id for id in jobs if folder("results", id).exists()]
    assert not list(folder("datasets").rglob("*.parquet")), "its data goes with it"
    with database.reading() as session:
        assert not session.scalars(select(TabularPrediction)).all()


@pytest.mark.slow
def test_a_file_is_predicted_row_by_row_and_can_be_downloaded(ana: Person, trained: str) -> None:
    answer = ana.post(
        f"/tables/{trained}/predict/upload", files=file(csv_of(7, 5, False), "novas.csv"), data={"levels": "80"}
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["n_rows"] == len(body["predictions"]) == 7 and body["source"] == "novas.csv" and body["kind"] == "file"
    csv = ana.get(body["links"]["download"].removeprefix("/api/v1"))
    frame = pd.read_csv(io.StringIO(csv.text))
    assert frame["prediction"].tolist() == pytest.approx([one["prediction"] for one in body["predictions"]])
    assert {"area", "bairro", "lo-80", "hi-80"} <= set(frame)
    detail = ana.get(f"/tables/{trained}/predictions/{body['prediction_id']}").json()
    assert (
        detail["rows"][0]["given"]["bairro"] in ("Sul", "Norte")
        and detail["rows"][0]["answer"] == body["predictions"][0]
    )
    rows = ana.post(f"/tables/{trained}/predict", json={"rows": [ROW]}).json()
    assert ana.get(f"/tables/{trained}/predictions/{rows['prediction_id']}/download").status_code == 409
    files, mean = ana.get(f"/tables/{trained}/predictions?kind=file").json(), body["mean"]
    assert files["total"] == 1
    assert ana.get(f"/tables/{trained}/predictions?kind=file&least={mean + 1}").json()["total"] == 0
    assert ana.get(f"/tables/{trained}/predictions?search=novas").json()["total"] == 1
    assert ana.get(f"/tables/{trained}/predictions?until=2020-01-01").json()["total"] == 0
    assert not list(folder("results").glob("*/input*")), "the file that was sent is not kept"


@pytest.mark.slow
def test_rows_that_cannot_be_predicted_are_refused_with_their_place(ana: Person, trained: str) -> None:
    cases = [
        ([{"area": 80.0, "bairro": "Sul"}], "garagem"),
        ([ROW | {"aera": 3}], "area"),
        ([ROW, ROW | {"area": "big"}], "row 2"),
        ([ROW | {"area": {"a": 1}}], "area"),
        ([ROW | {"area": [1, 2]}], "area"),
        ([ROW | {"garagem": "maybe"}], "garagem"),
        ([ROW | {"bairro": {"a": 1}}], "bairro"),
        ([{}], "rows"),
        ([], "rows"),
        ("no rows", "rows"),
    ]
    for rows, said in cases:
        answer = ana.post(f"/tables/{trained}/predict", json={"rows": rows}, headers={"Accept-Language": "en"})
        assert answer.status_code == 422 and said in answer.json()["detail"], (rows, answer.text)
    for levels in ([0], [120], [99.999]):
        assert ana.post(f"/tables/{trained}/predict", json={"rows": [ROW], "levels": levels}).status_code == 422
    short = file(b"area;bairro;garagem\n80;Sul;sim\n80;Sul;sim;1;2\n", "curto.csv")
    answer = ana.post(f"/tables/{trained}/predict/upload", files=short, headers={"Accept-Language": "en"})
    assert answer.status_code == 422 and answer.json()["code"] == "tables.rejected", answer.text
    assert ana.get(f"/tables/{trained}/predictions").json()["total"] == 0, "what was refused is no prediction"


@pytest.mark.slow
def test_others_see_a_table_only_when_it_is_shared_and_viewers_predict_only(
    ana: Person, bia: Person, vera: Person, stranger, trained: str
) -> None:
    assert stranger.get(f"/tables/{trained}").status_code == 401
    for person in (bia, vera):
        assert person.get(f"/tables/{trained}").status_code == 404
        assert person.post(f"/tables/{trained}/predict", json={"rows": [ROW]}).status_code == 404
        assert person.get("/tables").json()["total"] == 0
    with database.writing() as session:
        for person in (bia, vera):
            session.add(Share(kind="table", object_id=trained, user_id=person.id, right="view"))
    assert vera.post(f"/tables/{trained}/predict", json={"rows": [ROW]}).status_code == 200
    assert vera.delete(f"/tables/{trained}").status_code == 403
    assert bia.delete(f"/tables/{trained}").status_code == 403
    assert bia.patch(f"/tables/{trained}", json={"name": "mine"}).status_code == 403
    assert bia.post(f"/tables/{trained}/versions/upload", files=file(csv_of())).status_code == 403
    (row,) = vera.get(f"/tables/{trained}/predictions").json()["items"]
    assert bia.get(f"/tables/{trained}/predictions").json()["total"] == 0, "another user's predictions are not hers"
    assert bia.get(f"/tables/{trained}/predictions/{row['prediction_id']}").status_code == 404
    assert ana.get(f"/tables/{trained}/predictions/{row['prediction_id']}").status_code == 200


@pytest.mark.slow
def test_a_table_learns_from_a_stored_dataset(ana: Person, bia: Person, catalog: Path, tmp_path: Path) -> None:
    path = tmp_path / "casas.csv"
    path.write_bytes(csv_of())
    dataset = dataset_of(ana.id, path)
    body = {"dataset_id": dataset, "target": "preco", "algorithms": ["linear"], "folds": 3}
    assert bia.post("/tables", json=body).status_code == 404
    started = ana.post("/tables", json=body)
    assert started.status_code == 202, started.text
    with worker(catalog):
        ended(started.json()["job_id"])
    table = ana.get(started.json()["links"]["version"].removeprefix("/api/v1")).json()
    assert table["state"] == "trained" and (table["dataset_id"], table["dataset_number"]) == (dataset, 1), table
    again = ana.post(f"/tables/{table['table_id']}/versions", json={"dataset_id": dataset})
    assert again.status_code == 202 and again.json()["config"]["algorithms"] == ["linear"]
    cancelled = ana.post(f"/tables/{table['table_id']}/versions/2/cancel")
    assert cancelled.status_code == 202 and cancelled.json()["state"] == "cancelled"
    assert ana.post(f"/tables/{table['table_id']}/versions/2/cancel").status_code == 409
    assert ana.get(f"/tables/{table['table_id']}").json()["number"] == 1, "the older version goes on predicting"


@pytest.mark.slow
def test_a_training_that_fails_says_why_and_raises_an_alert(ana: Person, catalog: Path) -> None:
    content = b"area;preco\n" + b"".join(f"{k},5;abc{k % 3}\n".encode() for k in range(60))
    started = ana.post("/tables/upload", files=file(content, "ruim.csv"), data={"target": "preco"})
    with worker(catalog):
        (job,) = ended(started.json()["job_id"])
    assert job.state == "failed"
    found = ana.get(f"/tables/{started.json()['table_id']}/versions/1", headers={"Accept-Language": "en"}).json()
    assert found["state"] == "failed" and "'preco' has 'abc0' in row 1" in found["error"]["detail"]
    with database.reading() as session:
        assert session.scalars(select(Alert.kind)).all() == ["table_failed"]


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        ({}, 422, "target"),
        ({"target": "preco", "algorithms": "linaer"}, 422, "linear"),
        ({"target": "preco", "hyperparameters": "{"}, 422, "hyperparameters"),
        ({"target": "preco", "hyperparameters": '{"ridge": {"alpha": -1}}'}, 422, "alpha"),
        ({"target": "preco", "folds": "1"}, 422, "folds"),
        ({"target": "preco", "metric": "gini"}, 422, "metric"),
        ({"target": "preco", "levels": "120"}, 422, "levels"),
        ({"target": "preco", "tagret": "x"}, 400, "target"),
        ({"target": "preco", "decimal": "x"}, 400, "decimal"),
    ],
)
def test_a_wrong_form_is_refused_before_anything_is_queued(data: dict, status: int, said: str, ana: Person) -> None:
    answer = ana.post("/tables/upload", files=file(csv_of()), data=data, headers={"Accept-Language": "en"})
    assert answer.status_code == status and said in answer.text, answer.text
    assert ana.get("/tables").json()["total"] == 0 and ana.get("/jobs").json()["total"] == 0
    assert not list(folder("results").glob("*")), "no file is left behind"


def test_who_may_train_and_what_can_be_chosen(ana: Person, vera: Person) -> None:
    assert vera.post("/tables/upload", files=file(csv_of()), data={"target": "preco"}).status_code == 403
    listed = vera.get("/tables/algorithms", headers={"Accept-Language": "pt-BR"}).json()["items"]
    assert [one["id"] for one in listed][:2] == ["mean", "median"] and all(one["name"] for one in listed)
    boosting = next(one for one in listed if one["id"] == "boosting")
    assert boosting["parameters"]["rounds"]["default"] == 200 and boosting["parameters"]["rounds"]["description"]
    assert ana.get("/tables/nothing").status_code == 404
    empty = ana.post("/tables/upload", files=file(b""), data={"target": "preco"})
    assert empty.status_code == 400 and empty.json()["code"] == "upload.empty"
