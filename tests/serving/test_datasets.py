"""Datasets: upload, preview, columns, split, preparation, download, and permissions."""

import csv
import io
from datetime import date, timedelta
from pathlib import Path

import psutil
import pytest
from databases import both, kind  # noqa: F401 - a fixture
from samples import DATA
from sqlalchemy import select, update

from vur.errors import VurError
from vur.settings import settings
from vur.store import child_process, database
from vur.store.catalog import Activity, Dataset, Job, Model, Share
from vur.store.data import datasets, tables
from vur.store.home import folder
from vur.wizard import preparation

PT = {"Accept-Language": "pt-BR"}


def send(person, content: bytes | Path, filename: str = "vendas.csv", headers: dict | None = None, **fields):
    """Upload bytes or a sample file."""
    if isinstance(content, Path):
        filename, content = content.name, content.read_bytes()
    return person.post(
        "/datasets/upload", files={"file": (filename, content, "text/csv")}, data=fields, headers=headers or {}
    )


def sent(person, content: bytes | Path, filename: str = "vendas.csv", **fields) -> dict:
    """A dataset."""
    answer = send(person, content, filename, **fields)
    assert answer.status_code == 201, answer.text
    return answer.json()


def table(days: int = 60, columns: str = "date,sales,region,price", gap: int | None = None) -> bytes:
    """A small daily series with a category, a number and, at row `gap`, empty cells."""
    import datetime

    lines = [columns]
    for day in range(days):
        stamp = datetime.date(2024, 1, 1) + datetime.timedelta(day)
        sales = "" if day == gap else f"{100 + day % 7}"
        price = "" if day == gap else f"{5 + day % 3}.5"
        lines.append(f"{stamp},{sales},{('Norte', 'Sul')[day % 2]},{price}")
    return "\n".join(lines).encode()


def test_the_response_to_an_upload_has_the_documented_shape(ana):
    answer = send(ana, DATA / "flights_daily.csv")
    body = answer.json()
    assert answer.status_code == 201 and answer.headers["ETag"] == '"1"'
    assert body["filename"] == "flights_daily.csv" and body["size"] == (DATA / "flights_daily.csv").stat().st_size
    assert body["columns"][:3] == ["date", "origin", "departures"] and body["rows_count"] == 1095
    assert (
        body["detected_types"] | {"date": "datetime", "origin": "categorical", "departures": "numeric"}
        == body["detected_types"]
    )
    assert body["suggestions"]["date_column"] == "date" and body["suggestions"]["target_column"] == "departures"
    assert "departures" in body["suggestions"]["numeric_columns"] and body["suggestions"]["series_columns"] == [
        "origin"
    ]
    assert ana.get(answer.headers["Location"].removeprefix("/api/v1")).json()["dataset_id"] == body["dataset_id"]


def test_a_brazilian_file_is_read_and_explained_in_portuguese(ana):
    body = send(ana, DATA / "partidas_diarias.csv", headers=PT).json()
    assert body["file"]["delimiter"] == ";" and body["file"]["decimal"] == ","
    assert body["suggestions"]["reasons"]["Data"] == "É a única coluna de datas."
    rows = ana.get(f"/datasets/{body['dataset_id']}/preview", params={"limit": 1}).json()["items"]
    assert rows == [
        {
            "Data": "2013-01-01T00:00:00",
            "Aeroporto": "EWR",
            "Partidas": 304,
            "Cancelados": 1,
            "Temperatura média (°C)": 2.68,
            "Precipitação (mm)": 0.0,
        }
    ]


@both
def test_rejected_rows_are_listed_with_their_cause_in_the_users_language(ana):
    content = table(80).replace(b"2024-01-05,104", b"2024-01-05,muito")
    body = sent(ana, content)
    assert body["rejected_rows"] == 1 and body["rows_count"] == 79 and body["warnings"]
    url = f"/datasets/{body['dataset_id']}/rejects"
    assert ana.get(url).json()["items"] == [
        {"line": 6, "cause": "column sales: 'muito' is not a number", "text": "2024-01-05,muito,Norte,6.5"}
    ]
    assert ana.get(url, headers=PT).json()["items"][0]["cause"] == "coluna sales: 'muito' não é um número"
    assert ana.get(url, params={"page": 2}).json()["items"] == []


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "upload.empty"),
        (b"date,sales\n", "upload.header_only"),
        (b"%PDF-1.4 nothing", "upload.not_data"),
        (b"date,sales\n2024-01-01,1\x00\n", "upload.nul"),
        (b"date,sales,sales\n2024-01-01,1,2\n", "upload.duplicate_header"),
    ],
)
def test_an_unreadable_file_is_rejected_by_name_and_leaves_nothing(ana, catalog, content, code):
    answer = send(ana, content, "relatório.csv", headers=PT)
    assert answer.status_code == 400 and answer.json()["code"] == code and "relatório.csv" in answer.json()["detail"]
    assert list(folder("uploads").glob("*")) == [] and list(folder("datasets").glob("*")) == []
    assert ana.get("/datasets").json()["total"] == 0 and ana.get("/datasets/uploads").json()["total"] == 0


def test_the_client_may_specify_the_file_format(ana):
    body = sent(ana, b"date,sales\n2024-01-01,1.234\n2024-01-02,2.345\n2024-01-03,3.456\n", decimal=",", delimiter=",")
    assert ana.get(f"/datasets/{body['dataset_id']}/preview").json()["items"][0]["sales"] == 1234
    refused = send(ana, table(), decimal="!")
    assert refused.status_code == 400 and refused.json()["code"] == "upload.option"
    assert send(ana, table(), colour="red").json()["code"] == "forms.field"


@both
def test_the_list_shows_storage_and_searches_names(ana):
    first = sent(ana, table(), name="Loja A", description="física")
    sent(ana, table(70), "outra.csv")
    body = ana.get("/datasets", params={"search": "loja"}).json()
    assert [row["dataset_id"] for row in body["items"]] == [first["dataset_id"]] and body["items"][0][
        "description"
    ] == "física"
    usage = body["usage"]
    assert (
        usage["datasets"] == 2
        and usage["rows"] == 130
        and usage["total_bytes"] > first["size"]
        and usage["uploads_in_progress"] == 0
    )
    assert ana.get("/datasets", params={"sort": "rows"}).json()["items"][0]["rows_count"] == 60


def test_renaming_needs_the_current_version(ana):
    id = sent(ana, table())["dataset_id"]
    assert ana.put(f"/datasets/{id}", json={"name": "Novo"}, headers={"If-Match": '"1"'}).json()["name"] == "Novo"
    late = ana.put(f"/datasets/{id}", json={"name": "Velho"}, headers={"If-Match": '"1"'})
    assert late.status_code == 412 and ana.get(f"/datasets/{id}").json()["name"] == "Novo"
    assert ana.put(f"/datasets/{id}", json={"nome": "x"}).status_code == 422
    assert ana.put(f"/datasets/{id}", json={"name": "a\x00b"}).status_code == 422


def test_preview_gives_pages_and_columns(ana):
    id = sent(ana, DATA / "flights_daily.csv")["dataset_id"]
    body = ana.get(f"/datasets/{id}/preview", params={"page": 11, "limit": 100, "columns": "departures,date"}).json()
    assert (
        body["columns"] == ["departures", "date"]
        and body["pages"] == 11
        and body["total"] == 1095
        and len(body["items"]) == 95
    )
    with (DATA / "flights_daily.csv").open() as stream:
        rows = list(csv.DictReader(stream))[1000:]
    assert [row["departures"] for row in body["items"]] == [int(row["departures"]) for row in rows]
    wrong = ana.get(f"/datasets/{id}/preview", params={"columns": "departure"})
    assert wrong.status_code == 422 and "departures" in wrong.json()["detail"]
    assert ana.get(f"/datasets/{id}/preview", params={"limit": 1001}).status_code == 422


def long_texts(person, rows: int, length: int = 100_000) -> str:
    """A dataset with the same long text in each row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    days = [date(2023, 1, 1) + timedelta(days=day) for day in range(rows)]
    pq.write_table(pa.table({"date": days, "sales": range(rows), "note": ["é" * length] * rows}), file)
    return sent(person, file.getvalue(), "n.parquet")["dataset_id"]


def test_long_texts_are_cut_in_answers_and_whole_in_downloads(ana, monkeypatch):
    id = long_texts(ana, 100)
    page = ana.get(f"/datasets/{id}/preview", params={"limit": 1000})
    assert page.json()["items"][99] == {"date": "2023-04-10T00:00:00", "sales": 99, "note": "é" * 1000 + "…"}
    facts = ana.get(f"/datasets/{id}/statistics")
    note = next(row for row in facts.json()["columns"] if row["column"] == "note")
    assert note["top"] == note["min"] == "é" * 1000 + "…" and note["top_count"] == 100
    for name in ("", "/validate"):
        answer = ana.post(f"/datasets/{id}{name}") if name else ana.get(f"/datasets/{id}")
        assert answer.status_code == 200 and len(answer.text) < 50_000
    text = ana.get(f"/datasets/{id}/download").text
    assert text.splitlines()[1:] == [
        f"{line['date'][:10]},{line['sales']},{'é' * 100_000}" for line in page.json()["items"]
    ]
    monkeypatch.setattr(tables, "MOST_CHARACTERS", 50_000)
    refused = ana.get(f"/datasets/{id}/preview")
    assert refused.status_code == 422 and refused.json()["code"] == "datasets.page"
    fits = ana.get(f"/datasets/{id}/preview", params={"limit": refused.json()["values"]["limit"]})
    assert fits.status_code == 200 and len(fits.json()["items"]) > 40


def test_a_download_that_fails_says_so_before_its_first_byte(ana, monkeypatch):
    id = long_texts(ana, 100)
    monkeypatch.setattr(tables, "LIMITED", tables.LIMITED | {"memory_limit": "4MB"})
    refused = ana.get(f"/datasets/{id}/download")
    assert refused.status_code == 422 and refused.json()["code"] == "datasets.memory"


def test_rejected_rows_fit_into_an_answer(ana, monkeypatch):
    id = sent(ana, table(60) + b"\n" + b"x" * 5000)["dataset_id"]
    assert ana.get(f"/datasets/{id}/rejects").json()["items"][0]["text"] == "x" * 5000
    monkeypatch.setattr(tables, "MOST_CHARACTERS", 2_000_000)
    assert ana.get(f"/datasets/{id}/rejects?limit=1000").json()["items"][0]["text"] == "x" * 1000 + "…"


def test_answers_about_large_datasets_have_limits_of_time_and_memory(ana, monkeypatch):
    id = long_texts(ana, 200)
    with database.reading() as session:
        ref = preparation.version_ref(session, session.get_one(Dataset, id))
    assert preparation.is_big(ref) and ref.owner
    assert 0 < child_process.machine_share() < psutil.virtual_memory().total / 2**20
    monkeypatch.setenv("VUR_JOB_MEMORY_MB", "500")
    for function, arguments, seconds, code in (
        ("signal:pause", {}, 1, "datasets.slow"),
        ("numpy:ones", {"shape": 2**29}, 60, "datasets.memory"),
        ("os:abort", {}, 60, "datasets.crashed"),
    ):
        monkeypatch.setenv("VUR_ANALYSIS_SECONDS", str(seconds))
        settings.cache_clear()
        with pytest.raises(VurError) as refused:
            preparation.analyse(ref, function, arguments, True)
        assert refused.value.code == code
    monkeypatch.undo()
    settings.cache_clear()


def test_statistics_are_those_of_the_file_and_are_computed_once(ana, monkeypatch):
    id = sent(ana, table(60, gap=10))["dataset_id"]
    body = ana.get(f"/datasets/{id}/statistics").json()
    sales = next(row for row in body["columns"] if row["column"] == "sales")
    assert (
        sales["missing"] == 1
        and sales["min"] == 100
        and sales["max"] == 106
        and sales["type"] == "numeric"
        and sales["unique"] == 7
    )
    assert body["series"]["series"] == 1 and body["series"]["freq"] == "D" and body["series"]["items"][0]["rows"] == 60
    monkeypatch.setattr("vur.stages.preview.describe_columns", lambda path: 1 / 0)
    assert ana.get(f"/datasets/{id}/statistics").json() == body


@both
def test_columns_are_chosen_and_unknown_names_are_answered_with_the_existing_ones(ana):
    id = sent(ana, table())["dataset_id"]
    answer = ana.put(
        f"/datasets/{id}/config",
        json={
            "date_column": "date",
            "target_column": "sales",
            "feature_columns": ["price"],
            "exclude_columns": ["region"],
        },
    )
    assert (
        answer.status_code == 200
        and answer.json()["config"]["feature_columns"] == ["price"]
        and answer.json()["remarks"] == []
    )
    wrong = ana.put(f"/datasets/{id}/config", json={"target_column": "vendas"}).json()
    assert wrong["field"] == "target_column" and "sales, region, price" in wrong["detail"]
    twice = ana.put(f"/datasets/{id}/config", json={"feature_columns": ["price"], "exclude_columns": ["price"]})
    assert twice.status_code == 422 and twice.json()["code"] == "datasets.column_twice"
    assert ana.put(f"/datasets/{id}/config", json={"target_column": "region"}).json()["code"] == "datasets.column_kind"
    assert ana.put(f"/datasets/{id}/config", json={"timezone": "Brasília"}).json()["code"] == "datasets.timezone"
    assert ana.put(f"/datasets/{id}/config", json={"freq": "sometimes"}).status_code == 422
    with database.reading() as session:
        spec = datasets.data_spec(session, session.get(Dataset, id))
    assert spec["target"] == "sales" and spec["roles"] == {"region": "exclude"} and "path" not in spec


def test_a_column_chosen_for_one_role_is_suggested_for_no_other(ana):
    steps = b"step,v\n" + b"".join(b"%d,%d\n" % (k, 30 + k % 20) for k in range(1, 61))
    id = sent(ana, steps)["dataset_id"]
    assert ana.get(f"/datasets/{id}").json()["suggestions"]["target_column"] == "step"
    assert ana.put(f"/datasets/{id}/config", json={"date_column": "step"}).json()["config"]["target_column"] == "v"
    assert ana.post(f"/datasets/{id}/validate").json()["can_forecast"]
    both = ana.put(f"/datasets/{id}/config", json={"date_column": "step", "target_column": "step"})
    assert both.status_code == 422 and both.json()["code"] == "datasets.column_twice"


def test_a_run_reads_the_chosen_columns_of_the_stored_file(ana):
    from vur.runs.config import Config
    from vur.runs.dataset import dataset_of
    from vur.store.cache import StageCache

    body = sent(ana, table())
    ana.put(f"/datasets/{body['dataset_id']}/config", json={"target_column": "price", "feature_columns": []})
    with database.reading() as session:
        row = session.get(Dataset, body["dataset_id"])
        spec, path = datasets.data_spec(session, row), datasets.source_path(session, row)
    assert path.read_bytes() == table() and "vendas" not in str(path)
    config = Config.from_dict({"data": spec | {"path": str(path)}})
    dataset, cached = dataset_of(config.data, StageCache())
    assert cached and dataset.panel(config.data).names["target"] == "price" and dataset.panel(config.data).roles == {}


def test_validation_lists_findings_and_whether_forecasting_is_possible(ana):
    good = ana.post(f"/datasets/{sent(ana, table())['dataset_id']}/validate").json()
    assert good["can_forecast"] and good["freq"] == "D" and good["counts"]["error"] == 0
    twice = sent(ana, table(60) + b"\n2024-01-03,50,Norte,1.5")
    body = ana.post(f"/datasets/{twice['dataset_id']}/validate", headers=PT).json()
    assert not body["can_forecast"] and not body["valid"] and body["reason"]["code"] == "panel.duplicates"
    finding = body["findings"][0]
    assert (
        finding["severity"] == "error"
        and finding["code"] == "duplicate_stamps"
        and "duplicates='sum'" in finding["repair"]
        and "linha" in finding["message"]
    )
    short = ana.post(f"/datasets/{sent(ana, table(2))['dataset_id']}/validate").json()
    assert not short["can_forecast"] and short["reason"]
    words = sent(ana, b"a,b\nx,y\nz,w\nx,w", "words.csv")["dataset_id"]
    words = ana.post(f"/datasets/{words}/validate").json()
    assert not words["can_forecast"] and words["reason"]["code"] == "runs.no_date"


def test_findings_never_name_paths_of_the_server(ana, catalog):
    body = sent(ana, table(80).replace(b"2024-01-05,104", b"2024-01-05,muito"))
    assert str(catalog) not in ana.post(f"/datasets/{body['dataset_id']}/validate").text
    assert str(catalog) not in ana.get(f"/datasets/{body['dataset_id']}").text


@both
def test_a_split_is_by_time_and_stored(ana):
    id = sent(ana, table(100))["dataset_id"]
    body = ana.post(
        f"/datasets/{id}/split",
        json={"train_size": 0.7, "validation_size": 0.15, "test_size": 0.15, "method": "time_series", "shuffle": False},
    ).json()
    assert body["train"] == {"start": "2024-01-01T00:00:00", "end": "2024-03-10T00:00:00", "rows": 70}
    assert body["validation"]["rows"] == 15 and body["test"] == {
        "start": "2024-03-26T00:00:00",
        "end": "2024-04-09T00:00:00",
        "rows": 15,
    }
    assert body["folds"][0]["cutoff"] == body["train"]["end"] and body["horizon"] == 15
    assert ana.get(f"/datasets/{id}").json()["split"] == {"train_size": 0.7, "validation_size": 0.15, "test_size": 0.15}
    shuffled = ana.post(f"/datasets/{id}/split", json={"train_size": 0.7, "shuffle": True}, headers=PT)
    assert shuffled.status_code == 422 and "futuro" in shuffled.json()["detail"]
    assert ana.post(f"/datasets/{id}/split", json={"horizon": 5000, "folds": 3}).json()["code"] == "split.too_short"
    assert (
        ana.post(f"/datasets/{id}/split", json={"train_size": 0.9, "test_size": 0.9}).json()["code"] == "split.shares"
    )
    ana.put(f"/datasets/{id}/config", json={"target_column": "price"})
    assert ana.get(f"/datasets/{id}").json()["split"] == {}


def newer(person, id: str, content: bytes, name: str = "março.csv"):
    """Upload a later file of a dataset."""
    return person.post(f"/datasets/{id}/versions", files={"file": (name, content, "text/csv")})


@both
def test_a_later_file_becomes_the_next_version_and_choices_stay(ana, bia):
    id = sent(ana, table(60), name="Vendas")["dataset_id"]
    ana.put(f"/datasets/{id}/config", json={"target_column": "price", "exclude_columns": ["region"]})
    assert newer(bia, id, table(90)).status_code == 404
    answer = newer(ana, id, table(90))
    body = answer.json()
    assert (
        answer.status_code == 201
        and body["data_version"] == 2
        and body["rows_count"] == 90
        and body["name"] == "Vendas"
        and body["filename"] == "março.csv"
    )
    assert body["config"]["target_column"] == "price" and body["config"]["exclude_columns"] == ["region"]
    with database.reading() as session:
        row = session.get(Dataset, id)
        assert (
            datasets.source_path(session, row).read_bytes() == table(90)
            and datasets.data_spec(session, row)["target"] == "price"
        )
    lacking = newer(ana, id, b"date,sales\n2024-01-01,1\n2024-01-02,2\n")
    assert (
        lacking.status_code == 422
        and "price" in lacking.json()["detail"]
        and ana.get(f"/datasets/{id}/versions").json()["total"] == 2
    )
    assert len(list(folder("datasets").glob("file-*"))) == 2 and list(folder("uploads").glob("*")) == []
    original = ana.get(f"/datasets/{id}/download", params={"format": "original", "version": 1})
    assert original.content == table(60) and "vendas.csv" in original.headers["Content-Disposition"]


def test_choices_about_columns_that_a_version_lacks_return_with_them(ana):
    id = sent(ana, table(60))["dataset_id"]
    chosen = {"exclude_columns": ["region"], "roles": {"price": "past_only"}}
    assert ana.put(f"/datasets/{id}/config", json=chosen).status_code == 200
    short = b"date,sales\n" + b"".join(b"2024-01-%02d,%d\n" % (day, day) for day in range(1, 29))
    lacking = newer(ana, id, short).json()["config"]
    assert lacking["exclude_columns"] == [] and lacking["roles"] == {}
    again = ana.post(f"/datasets/{id}/versions/1/use").json()["config"]
    assert again["exclude_columns"] == ["region"] and again["roles"] == {"price": "past_only"}
    assert newer(ana, id, table(90)).json()["config"]["roles"] == {"price": "past_only"}


def test_file_options_apply_to_the_next_version(ana):
    id = sent(ana, b"date,sales\n2024-01-01,1.234\n2024-01-02,2.345\n2024-01-03,3.456\n", decimal=",", delimiter=",")[
        "dataset_id"
    ]
    newer(ana, id, b"date,sales\n2024-01-01,1.234\n2024-01-02,2.345\n2024-01-03,3.457\n").raise_for_status()
    assert ana.get(f"/datasets/{id}/preview").json()["items"][2]["sales"] == 3457


DOCUMENT = {
    "missing_values": {"method": "forward_fill", "columns": ["sales"]},
    "outliers": {"method": "iqr", "threshold": 1.5, "columns": ["sales"]},
    "normalization": {"method": "minmax", "columns": ["sales"]},
    "feature_engineering": {
        "lag_features": {"enabled": True, "lags": [1, 7, 30]},
        "rolling_features": {"enabled": True, "windows": [7, 30], "functions": ["mean", "std"]},
        "seasonal_features": {"enabled": True, "extract": ["month", "quarter", "day_of_week"]},
    },
}


def test_steps_on_the_target_belong_to_the_pipeline_and_change_no_row(ana):
    id = sent(ana, table(90, gap=10).replace(b"2024-02-01,103", b"2024-02-01,900"))["dataset_id"]
    body = ana.post(f"/datasets/{id}/preprocess", json=DOCUMENT).json()
    assert (
        body["version"] == 1 and not body["new_version"] and {step["where"] for step in body["steps"]} == {"pipeline"}
    )
    assert (
        body["counts"]["filled"] >= 1
        and body["counts"]["outliers"] == 1
        and "training part only" in body["explanation"]
    )
    assert body["config"]["preprocess"]["missing"] == "forward" and body["config"]["preprocess"]["transforms"] == [
        "min_max"
    ]
    assert body["config"]["features"]["lags"] == [1, 7, 30] and ["std", 1, 30] in body["config"]["features"]["rolling"]
    assert {"lag30", "rolling_mean_lag1_window_size7", "dayofweek", "quarter"} <= set(body["features"]["columns"])
    assert body["preview"]["before"] and all(0 <= row["sales"] <= 1 for row in body["preview"]["after"])
    assert ana.get(f"/datasets/{id}").json()["preprocess"]["outliers"]["treatment"] == "clip"


@both
def test_steps_that_change_rows_create_a_new_version_and_keep_the_old_one(ana):
    id = sent(ana, table(90, gap=10))["dataset_id"]
    body = ana.post(
        f"/datasets/{id}/preprocess",
        json={
            "missing_values": {"method": "forward_fill", "columns": ["price"]},
            "date_range": {"end": "2024-03-20"},
            "drop_columns": ["region"],
        },
        headers=PT,
    ).json()
    assert (
        body["new_version"]
        and body["version"] == 2
        and body["counts"]["rows_after"] == 80
        and body["counts"]["rows_before"] == 90
    )
    assert [step["where"] for step in body["steps"][:3]] == ["data"] * 3 and body["steps"][0][
        "text"
    ] == "Valores ausentes foram preenchidos com o valor anterior: price (1)."
    rows = ana.get(f"/datasets/{id}/preview").json()
    assert (
        rows["columns"] == ["date", "sales", "price"]
        and rows["total"] == 80
        and rows["items"][10]["price"] == rows["items"][9]["price"] is not None
    )
    assert ana.get(f"/datasets/{id}/preview", params={"version": 1}).json()["items"][10]["price"] is None
    found = ana.get(f"/datasets/{id}/versions").json()["items"]
    assert [(row["number"], row["kind"], row["current"]) for row in found] == [
        (2, "preprocess", True),
        (1, "upload", False),
    ]
    with database.reading() as session:
        row = session.get(Dataset, id)
        assert datasets.source_path(session, row).suffix == ".parquet" and datasets.source_path(
            session, row, 1
        ).read_bytes() == table(90, gap=10)
    back = ana.post(f"/datasets/{id}/versions/1/use").json()
    assert back["data_version"] == 1 and back["rows_count"] == 90 and "region" in back["columns"]
    assert ana.post(f"/datasets/{id}/versions/7/use").status_code == 404


def test_preparation_rejects_unsupported_steps_and_names_them(ana):
    id = sent(ana, table(90))["dataset_id"]

    def asked(**what):
        return ana.post(f"/datasets/{id}/preprocess", json=what)

    assert "forward" in asked(missing_values={"method": "guess"}).json()["detail"]
    assert asked(missing_values={"method": "mean", "columns": ["region"]}).json()["code"] == "prepare.kind"
    assert asked(outliers={"columns": ["nothing"]}).json()["code"] == "prepare.column"
    assert asked(drop_columns=["sales"]).json()["code"] == "prepare.needed"
    assert asked(date_range={"start": "2030-01-01"}).json()["code"] == "prepare.nothing_left"
    assert asked(feature_engineering={"lag_features": {"lags": [0]}}).status_code == 422
    assert "price" in asked(normalization={"method": "minmax", "columns": ["price"]}).json()["warnings"][0]
    wrong = asked(feature_engineering={"rolling_features": {"functions": ["averag"]}})
    assert wrong.status_code == 422 and wrong.json()["field"] == "feature_engineering.rolling_features.functions"
    unknown = asked(normalization={"method": "maxabs"}).json()
    assert "minmax, " in unknown["detail"] and "min_max" not in unknown["detail"]
    assert ana.get(f"/datasets/{id}/versions").json()["total"] == 1 and list(folder("uploads").glob("*")) == []


def test_downloads_give_the_original_bytes_and_the_table_in_both_formats(ana):
    content = (DATA / "partidas_diarias.csv").read_bytes()
    id = sent(ana, DATA / "partidas_diarias.csv")["dataset_id"]
    original = ana.get(f"/datasets/{id}/download", params={"format": "original"})
    assert original.content == content and "partidas_diarias.csv" in original.headers["Content-Disposition"]
    brazilian = ana.get(f"/datasets/{id}/download", headers=PT).content.decode("utf-8-sig")
    assert brazilian.splitlines()[1] == "01/01/2013;EWR;304;1;2,68;0,0"
    assert (
        ana.get(f"/datasets/{id}/download", params={"dialect": "en"}, headers=PT).text.splitlines()[1]
        == "2013-01-01,EWR,304,1,2.68,0.0"
    )
    import pandas as pd

    assert (
        len(pd.read_parquet(io.BytesIO(ana.get(f"/datasets/{id}/download", params={"format": "parquet"}).content)))
        == 1095
    )


@both
def test_equal_files_are_stored_once_until_the_last_dataset_is_deleted(ana, bia):
    first, second = sent(ana, table())["dataset_id"], sent(bia, table(), "segredo-da-bia.csv")["dataset_id"]
    assert len(list(folder("datasets").glob("file-*"))) == 1
    assert "segredo" not in ana.get(f"/datasets/{first}").text
    assert ana.delete(f"/datasets/{first}", params={"forever": True}).status_code == 204
    assert bia.get(f"/datasets/{second}/preview").json()["total"] == 60
    assert bia.delete(f"/datasets/{second}", params={"forever": True}).status_code == 204
    assert list(folder("datasets").glob("*")) == [] and bia.get(f"/datasets/{second}").status_code == 404


@both
def test_a_dataset_in_use_stays_and_a_trained_model_outlives_its_dataset(ana):
    body = sent(ana, table())
    id = body["dataset_id"]
    with database.writing() as session:
        model = Model(
            owner_id=ana.id,
            name="m",
            algorithm="naive",
            status="trained",
            family="f",
            tag="m:1",
            dataset_id=id,
            dataset_number=1,
        )
        session.add_all([model, Job(id="job-1", owner_id=ana.id, kind="train", state="running", dataset_id=id)])
    refused = ana.delete(f"/datasets/{id}")
    assert refused.status_code == 409 and "job-1" in refused.json()["detail"]
    stored = folder("bentoml") / "models" / "m" / "1"
    stored.mkdir(parents=True)
    (stored / "model.yaml").write_text(f"metadata:\n  fingerprint: {body['fingerprint']}\n")
    with database.writing() as session:
        session.execute(update(Job).values(state="succeeded"))
    assert ana.delete(f"/datasets/{id}", params={"forever": True}).status_code == 204
    with database.reading() as session:
        assert session.get(Model, model.id).dataset_id is None
    assert len(list(folder("datasets").glob("file-*"))) == 1, "the model's data must stay"
    (stored / "model.yaml").unlink()
    assert datasets.collect([body["fingerprint"]]) == 1 and list(folder("datasets").glob("*")) == []


ENDPOINTS = [
    ("GET", ""),
    ("PUT", ""),
    ("DELETE", ""),
    ("GET", "/preview"),
    ("GET", "/statistics"),
    ("GET", "/rejects"),
    ("GET", "/download"),
    ("GET", "/series"),
    ("GET", "/compare"),
    ("GET", "/usage"),
    ("PUT", "/config"),
    ("POST", "/validate"),
    ("POST", "/split"),
    ("POST", "/preprocess"),
    ("GET", "/versions"),
    ("POST", "/versions"),
    ("POST", "/versions/1/use"),
]


@both
def test_nobody_sees_or_touches_the_datasets_of_another(ana, bia, vera):
    id = sent(ana, table())["dataset_id"]
    assert bia.get("/datasets").json()["total"] == 0
    for method, path in ENDPOINTS:
        body = {"json": {}} if method in ("PUT", "POST") else {}
        answer = bia.request(method, f"/datasets/{id}{path}", **body)
        assert answer.status_code == 404 and "vendas" not in answer.text, (method, path, answer.text)
    with database.writing() as session:
        session.add_all(
            [Share(kind="dataset", object_id=id, user_id=person.id, right="view") for person in (bia, vera)]
        )
    for person in (bia, vera):
        for method, path in ENDPOINTS:
            body = {"json": {}} if method in ("PUT", "POST") else {}
            changes = (
                method in ("PUT", "DELETE")
                or path in ("/split", "/preprocess", "/versions/1/use")
                or (method, path) == ("POST", "/versions")
            )
            answer = person.request(method, f"/datasets/{id}{path}", **body)
            assert answer.status_code == (403 if changes else 200), (person.user.email, method, path, answer.text)
    assert (
        send(vera, table()).status_code == 403
        and vera.post("/datasets/uploads", json={"filename": "a.csv", "size": 3}).status_code == 403
    )
    with database.writing() as session:
        session.execute(update(Share).values(right="edit"))
    assert (
        bia.put(f"/datasets/{id}", json={"name": "Nosso"}).status_code == 200
        and bia.delete(f"/datasets/{id}").status_code == 403
    )
    assert vera.put(f"/datasets/{id}", json={"name": "x"}).status_code == 403
    assert ana.get(f"/datasets/{id}").json()["name"] == "Nosso"


@both
def test_activity_is_recorded(ana):
    id = sent(ana, table())["dataset_id"]
    ana.put(f"/datasets/{id}/config", json={})
    ana.delete(f"/datasets/{id}")
    with database.reading() as session:
        kinds = list(session.scalars(select(Activity.kind).order_by(Activity.created_at)))
    assert kinds == ["dataset_uploaded", "dataset_configured", "dataset_deleted"]


@both
def test_malformed_ids_are_rejected_without_a_database_query(ana):
    for id in ("%00", "..%2F..%2Fetc", "a" * 300, "%F0%9F%92%A9"):
        assert ana.get(f"/datasets/{id}/preview").status_code in (404, 422)


def test_absent_rows_and_ended_series_are_set_by_request(ana):
    """Eight products, of which each has rows only on its days with a sale."""
    import datetime

    lines = ["date,product,units"]
    for day in range(120):
        stamp = datetime.date(2024, 1, 1) + datetime.timedelta(day)
        lines += [f"{stamp},P{k},{1 + (day * 7 + k) % 5}" for k in range(8) if hash_of(day, k) < 0.4 or day == 119]
    id = sent(ana, "\n".join(lines).encode())["dataset_id"]
    columns = {"date_column": "date", "target_column": "units", "series_columns": ["product"]}

    def codes() -> set[str]:
        return {finding["code"] for finding in ana.post(f"/datasets/{id}/validate").json()["findings"]}

    body = ana.put(f"/datasets/{id}/config", json=columns | {"absent": "missing"}).json()
    assert (body["config"]["absent"], body["config"]["ended"]) == ("missing", "auto")
    assert not {"absent_zero", "absent_asked"} & codes()
    prepared = ana.post(f"/datasets/{id}/preprocess", json={"absent": "zero", "ended": "forecast"}).json()
    assert {"Absent rows count as zero."} <= {step["text"] for step in prepared["steps"]}
    assert ana.get(f"/datasets/{id}").json()["config"]["absent"] == "zero"
    assert "absent_asked" in codes()
    assert ana.put(f"/datasets/{id}/config", json=columns | {"absent": "never"}).status_code == 422


def hash_of(day: int, product: int) -> float:
    """A number in [0, 1) that looks random."""
    return (day * 7919 + product * 104729) * 2654435761 % 2**32 / 2**32


# --- types of columns ---


def test_types_are_changed_by_reading_the_file_again_as_a_version_and_back(ana, bia):
    text = "date,sales,code\n" + "".join(f"2024-01-{day + 1:02},{10 + day},{day:03}\n" for day in range(28))
    found = sent(ana, text.replace(",12,", ",n/x,").encode())
    at = f"/datasets/{found['dataset_id']}"
    pipeline = ana.post("/pipelines", json={"name": "p", "dataset_id": found["dataset_id"]}).json()["pipeline_id"]
    ana.put(f"/pipelines/{pipeline}/steps/preview", json={"data": {}}).raise_for_status()
    assert found["detected_types"]["code"] == "id" and found["given_types"] == {} and found["rejected_rows"] == 1

    changed = ana.put(f"{at}/types", json={"types": {"code": "numeric", "sales": "text"}})
    assert changed.status_code == 200, changed.text
    changed = changed.json()
    assert changed["given_types"] == {"code": "numeric", "sales": "text"} and changed["data_version"] == 2
    assert changed["detected_types"]["code"] == "numeric" and changed["rejected_rows"] == 0
    assert ana.get(f"{at}/preview").json()["items"][1]["code"] == 1
    assert "preview" not in ana.get(f"/pipelines/{pipeline}/state").json()["completed_steps"]

    later = ana.post(f"{at}/versions", files={"file": ("later.csv", text.encode() + b"2024-01-29,38,028\n")}).json()
    assert later["given_types"] == changed["given_types"] and later["rows_count"] == 29  # a later file is read alike
    ana.post(f"{at}/versions/2/use").raise_for_status()
    again = ana.put(f"{at}/types", json={"types": {}}).json()
    assert again["given_types"] == {} and again["detected_types"] == found["detected_types"]
    assert again["data_version"] == 1 and ana.get(f"{at}/versions").json()["total"] == 3

    for types, status, code in (
        ({"date": "numeric"}, 400, "upload.type_numeric"),
        ({"gone": "text"}, 422, "datasets.column"),
    ):
        refused = ana.put(f"{at}/types", json={"types": types}, headers=PT)
        assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text
    assert ana.put(f"{at}/types", json={"types": {"sales": "money"}}).status_code == 422
    assert ana.get(at).json()["data_version"] == 1
    assert bia.put(f"{at}/types", json={"types": {}}).status_code == 404


def test_a_training_reads_the_file_with_the_given_types(ana):
    text = "date,sales,flag\n" + "".join(f"2024-01-{day + 1:02},{10 + day},{day % 2}\n" for day in range(28))
    id = sent(ana, text.encode())["dataset_id"]
    ana.put(f"/datasets/{id}/types", json={"types": {"flag": "boolean"}}).raise_for_status()
    pipeline = ana.post("/pipelines", json={"name": "p", "dataset_id": id}).json()["pipeline_id"]
    document = ana.get(f"/pipelines/{pipeline}/export").json()
    assert document["config"]["data"]["upload"]["types"] == {"flag": "boolean"}
    told = ana.get(f"/pipelines/{pipeline}/code", params={"step": "upload"}).json()
    assert 'types={"flag": "boolean"}' in told["http"]
    same = sent(ana, text.encode(), types='{"flag": "boolean"}')
    assert same["detected_types"]["flag"] == "boolean"
    assert send(ana, text.encode(), types="flag").json()["code"] == "upload.option"
