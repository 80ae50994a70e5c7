"""Storage of datasets: the list with owners and use, deletion with undo, disk usage, switched-off downloads, Excel."""

import io
from datetime import timedelta

import openpyxl
import pytest
from samples import DATA
from sqlalchemy import update
from test_datasets import PT, both, kind, send, sent, table  # noqa: F401

from vur.settings import settings
from vur.store import database
from vur.store.catalog import Dataset, Job, Model, Pipeline, now
from vur.store.data import excel
from vur.store.home import folder
from vur.store.operations import disk, retention


def share(owner, id: str, person, right: str = "view") -> None:
    answer = owner.put(f"/shares/dataset/{id}", json={"email": person.user.email, "right": right})
    assert answer.status_code == 200, answer.text


def used_by(person, id: str) -> str:
    """A model and a pipeline of a person over a dataset; the model's id."""
    with database.writing() as session:
        model = Model(owner_id=person.id, name="m", algorithm="naive", family="f", dataset_id=id, dataset_number=1)
        session.add_all([model, Pipeline(owner_id=person.id, name="p", dataset_id=id)])
        session.flush()
        return model.id


# --- the list ---


@both
def test_the_list_says_who_owns_and_uses_a_dataset(ana, bia, vera, root):
    first = sent(ana, table(), name="Loja")["dataset_id"]
    second = sent(bia, table(70), "outra.csv")["dataset_id"]
    assert send_version(ana, first, table(80)) == 201
    share(ana, first, bia, "edit")
    share(ana, first, vera, "edit")
    used_by(bia, first)
    (row,) = ana.get("/datasets").json()["items"]
    found = {name: row[name] for name in ("owner", "right", "versions", "models", "pipelines", "shares")}
    assert found == {"owner": "ana@x.br", "right": "own", "versions": 2, "models": 1, "pipelines": 1, "shares": 2}
    assert row["stored_bytes"] > row["size"] and row["last_used_at"] is not None
    assert row["stored_bytes"] == ana.get("/datasets").json()["usage"]["total_bytes"], "as the quota counts"
    rows = {one["dataset_id"]: one for one in bia.get("/datasets").json()["items"]}
    assert (rows[first]["right"], rows[first]["shares"], rows[second]["right"]) == ("edit", None, "own")
    assert rows[second]["last_used_at"] is None and rows[second]["models"] == 0
    assert vera.get("/datasets").json()["items"][0]["right"] == "view", "viewers only look"
    assert {one["right"] for one in root.get("/datasets").json()["items"]} == {"own"}
    for whose, expected in (("mine", [second]), ("shared", [first])):
        found = bia.get("/datasets", params={"owned": whose}).json()
        assert [one["dataset_id"] for one in found["items"]] == expected and found["total"] == 1


@both
@pytest.mark.parametrize("column", ["owner", "versions", "models", "stored_bytes", "last_used_at", "rows"])
def test_the_list_is_sorted_by_every_number(ana, bia, root, column):
    small = sent(ana, table(), name="Loja")["dataset_id"]
    large = sent(bia, table(400), name="Outra")["dataset_id"]
    assert send_version(bia, large, table(420)) == 201
    used_by(bia, large)
    order = [one["dataset_id"] for one in root.get("/datasets", params={"sort": column}).json()["items"]]
    assert order == [small, large]
    order = [one["dataset_id"] for one in root.get("/datasets", params={"sort": f"-{column}"}).json()["items"]]
    assert order == [large, small]
    found = root.get("/datasets", params={"search": "BIA"}).json()
    assert [one["dataset_id"] for one in found["items"]] == [large], "owners are searched too"


def send_version(person, id: str, content: bytes) -> int:
    return person.post(f"/datasets/{id}/versions", files={"file": ("mais.csv", content, "text/csv")}).status_code


@both
def test_use_names_only_what_the_reader_may_see(ana, bia):
    id = sent(ana, table())["dataset_id"]
    share(ana, id, bia)
    mine, other = used_by(ana, id), used_by(bia, id)
    body = bia.get(f"/datasets/{id}/usage").json()
    assert [one["model_id"] for one in body["used_by_models"]] == [other] and body["models"] == 2
    assert len(body["used_by_pipelines"]) == 1 and body["right"] == "view"
    assert mine in ana.get(f"/datasets/{id}/usage").text


# --- deletion and return ---


@both
def test_a_deleted_dataset_is_gone_for_all_and_comes_back_whole(ana, bia, vera, root):
    id = sent(ana, table(), name="Loja")["dataset_id"]
    share(ana, id, bia, "edit")
    model = used_by(ana, id)
    before = ana.get(f"/datasets/{id}").json()
    used = ana.get("/datasets").json()["usage"]["total_bytes"]
    assert ana.delete(f"/datasets/{id}").status_code == 204
    for person in (ana, bia, root):
        assert person.get("/datasets").json()["total"] == 0
        for path in ("", "/preview", "/statistics", "/series", "/versions", "/download", "/usage", "/compare"):
            assert person.get(f"/datasets/{id}{path}").status_code == 404, path
        assert person.put(f"/datasets/{id}", json={"name": "x"}).status_code == 404
        assert person.delete(f"/datasets/{id}").status_code == 404, "it is deleted already"
        assert person.get(f"/shares/dataset/{id}").status_code == 404
        assert person.post("/pipelines", json={"name": "p", "dataset_id": id}).status_code == 404
    with database.reading() as session:
        assert session.get(Model, model).dataset_id is None
    assert ana.get("/dashboard/stats").json()["total_datasets"] == 0
    assert id not in ana.get("/dashboard/tasks").text
    usage = ana.get("/datasets").json()["usage"]
    assert (usage["datasets"], usage["deleted"]) == (0, 1) and usage["total_bytes"] == usage["deleted_bytes"] == used
    (gone,) = ana.get("/datasets/deleted").json()["items"]
    assert (gone["dataset_id"], gone["name"], gone["rows_count"], gone["owner"]) == (id, "Loja", 60, "ana@x.br")
    assert gone["stored_bytes"] == used and gone["forgotten_at"] > gone["deleted_at"]
    assert bia.get("/datasets/deleted").json()["total"] == 0 and vera.get("/datasets/deleted").status_code == 403
    assert root.get("/datasets/deleted").json()["total"] == 1
    assert bia.post(f"/datasets/{id}/restore").status_code == 404, "an editor is no owner"
    assert ana.post(f"/datasets/{id}/restore", headers={"If-Match": '"99"'}).status_code == 412
    back = ana.post(f"/datasets/{id}/restore")
    assert back.status_code == 200 and back.headers["ETag"] == f'"{back.json()["version"]}"'
    changed = {"version", "updated_at"}
    assert {k: v for k, v in back.json().items() if k not in changed} == {
        k: v for k, v in before.items() if k not in changed
    }
    assert ana.get(f"/datasets/{id}/preview").json()["total"] == 60 and bia.get(f"/datasets/{id}").status_code == 200
    with database.reading() as session:
        assert session.get(Model, model).dataset_id == id, "its models are linked again"
    assert ana.get("/datasets").json()["items"][0]["pipelines"] == 1
    assert ana.post(f"/datasets/{id}/restore").status_code == 404, "it is not deleted"
    kinds = [one["type"] for one in ana.get("/dashboard/activity").json()["activities"]]
    assert kinds[:2] == ["dataset_restored", "dataset_deleted"]


def test_a_link_that_was_replaced_meanwhile_stays(ana):
    first, second = sent(ana, table())["dataset_id"], sent(ana, table(70))["dataset_id"]
    model = used_by(ana, first)
    ana.delete(f"/datasets/{first}")
    with database.writing() as session:
        session.execute(update(Pipeline).values(dataset_id=second))
    assert ana.post(f"/datasets/{first}/restore").status_code == 200
    body = ana.get(f"/datasets/{first}/usage").json()
    assert (body["models"], body["pipelines"]) == (1, 0) and body["used_by_models"][0]["model_id"] == model


def test_a_queued_batch_does_not_read_a_deleted_dataset(ana):
    from vur.errors import VurError
    from vur.jobs.batch import observations
    from vur.jobs.spec import spec_of

    id = sent(ana, table())["dataset_id"]
    with database.writing() as session:
        session.add(Job(id="b", owner_id=ana.id, kind="batch", dataset_id=id, state="failed"))
    assert ana.delete(f"/datasets/{id}").status_code == 204
    with database.reading() as session:
        spec = spec_of(session.get(Job, "b"))
    with pytest.raises(VurError, match=id):
        observations(spec, None)


@both
def test_a_deleted_dataset_is_forgotten_with_its_files_after_the_days_of_the_setting(ana):
    id, other = sent(ana, table())["dataset_id"], sent(ana, table(70))["dataset_id"]
    ana.delete(f"/datasets/{id}")
    assert retention.sweep()[2] == 0 and len(list(folder("datasets").glob("file-*"))) == 2
    with database.writing() as session:
        session.execute(update(Dataset).where(Dataset.id == id).values(deleted_at=now() - timedelta(days=31)))
    assert retention.sweep()[2] == 1 and len(list(folder("datasets").glob("file-*"))) == 1
    assert ana.post(f"/datasets/{id}/restore").status_code == 404 and ana.get(f"/datasets/{other}").status_code == 200
    assert ana.get("/datasets").json()["usage"]["deleted"] == 0


def test_a_dataset_is_deleted_at_once_on_request_or_by_the_setting(ana, bia, monkeypatch):
    id = sent(ana, table())["dataset_id"]
    ana.delete(f"/datasets/{id}")
    assert bia.delete(f"/datasets/{id}", params={"forever": True}).status_code == 404
    assert ana.delete(f"/datasets/{id}", params={"forever": True}).status_code == 204
    assert list(folder("datasets").glob("*")) == [] and ana.get("/datasets/deleted").json()["total"] == 0
    id = sent(ana, table())["dataset_id"]
    monkeypatch.setenv("VUR_KEEP_DELETED_DAYS", "0")
    settings.cache_clear()
    assert ana.delete(f"/datasets/{id}").status_code == 204 and list(folder("datasets").glob("*")) == []


# --- disk usage ---


@both
def test_disk_usage_is_shown_by_dataset_and_to_administrators_in_full(ana, bia, root):
    small, large = sent(ana, table())["dataset_id"], sent(ana, DATA / "flights_daily.csv")["dataset_id"]
    sent(bia, table(70))
    ana.delete(f"/datasets/{small}")
    body = ana.get("/datasets/storage").json()
    assert [one["dataset_id"] for one in body["datasets"]] == [large, small]
    assert body["datasets"][1]["deleted_at"] is not None and body["users"] is body["home"] is None
    total = sum(one["stored_bytes"] for one in body["datasets"])
    assert total == body["usage"]["total_bytes"] and body["usage"]["quota_bytes"] == settings().quota_bytes
    assert (body["keep_deleted_days"], body["max_upload_bytes"]) == (30, settings().max_upload_bytes)
    disk._measured.clear()
    whole = root.get("/datasets/storage").json()
    assert [(one["email"], one["total_bytes"] == total) for one in whole["users"]] == [
        (ana.user.email, True),
        (bia.user.email, False),
    ]
    home = whole["home"]
    files = sum(path.stat().st_size for path in folder("datasets").rglob("*") if path.is_file())
    assert home["parts"]["datasets"] == files and 0 < home["free_bytes"] < home["total_bytes"]
    sent(root, table(90))
    assert root.get("/datasets/storage").json()["home"]["parts"] == home["parts"], "measured once a minute"


# --- downloads ---


@both
def test_an_administrator_switches_downloads_off_and_on(ana, vera, root):
    id = sent(ana, table())["dataset_id"]
    share(ana, id, vera)
    switches = ana.get("/switches").json()
    assert switches == {"downloads": True, "may_download": True, "updated_at": None}
    assert ana.put("/switches", json={"downloads": False}).status_code == 403
    assert vera.get(f"/datasets/{id}/download").status_code == 200
    off = root.put("/switches", json={"downloads": False}).json()
    assert (off["downloads"], off["may_download"]) == (False, True) and off["updated_at"]
    assert ana.get("/switches").json()["may_download"] is False
    doors = [
        *(f"/datasets/{id}/download?format={one}" for one in ("csv", "excel", "parquet", "original")),
        "/predictions/batch/x/download",
        "/models/x/notebook",
    ]
    for door in doors:
        for person in (ana, vera):
            refused = person.get(door, headers=PT)
            assert refused.status_code == 403 and refused.json()["code"] == "api.downloads_off", door
            assert "administrador" in refused.json()["detail"]
        assert root.get(door).status_code in (200, 404), door
    assert ana.get(f"/datasets/{id}/preview").status_code == 200, "looking stays"
    assert root.put("/switches", json={}).json()["downloads"] is False, "what is omitted stays"
    assert root.put("/switches", json={"downloads": True}).json()["downloads"] is True
    assert ana.get(f"/datasets/{id}/download").status_code == 200


def test_every_route_that_sends_a_file_asks_for_the_right_to_download():
    """A new door that sends an attachment must not forget the switch."""
    import inspect

    from fastapi.routing import APIRoute

    from vur.serving.app import ROUTERS
    from vur.serving.dependencies import downloader

    code = {"/pipelines/{pipeline_id}/notebook"}  # holds what was chosen, and no data
    doors = set()
    for route in (route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)):
        source = inspect.getsource(route.endpoint)
        if ("attachment(" in source or "excel_file(" in source) and route.path not in code:
            doors.add(route.path)
            assert downloader in [one.call for one in route.dependant.dependencies], route.path
    assert {"/datasets/{dataset_id}/download", "/predictions/batch/{job_id}/download"} <= doors


def test_an_excel_file_has_dates_numbers_and_text_but_no_formula(ana):
    lines = [f"2024-01-{day:02d},{day}.5,{'=1+1' if day == 1 else 'São Paulo'},{day % 2 == 0}" for day in range(1, 21)]
    id = sent(ana, "\n".join(["dia,valor,loja,promo", *lines]).encode(), name="Vendas — 2024")["dataset_id"]
    answer = ana.get(f"/datasets/{id}/download", params={"format": "excel"})
    assert answer.status_code == 200 and ".xlsx" in answer.headers["Content-Disposition"]
    rows = list(openpyxl.load_workbook(io.BytesIO(answer.content)).active.iter_rows())
    assert [cell.value for cell in rows[0]] == ["dia", "valor", "loja", "promo"] and len(rows) == 21
    day, value, shop, promo = rows[1]
    assert day.is_date and day.value.isoformat() == "2024-01-01T00:00:00" and day.number_format == "yyyy-mm-dd"
    assert (value.value, promo.value) == (1.5, False) and (shop.data_type, shop.value) == ("s", "=1+1")
    again = sent(ana, answer.content, "de-volta.xlsx")
    assert ana.get(f"/datasets/{again['dataset_id']}/preview").json()["total"] == 20


def test_a_table_that_no_sheet_holds_is_refused_with_the_way_out(ana, monkeypatch):
    id = sent(ana, table(60))["dataset_id"]
    monkeypatch.setattr(excel, "MOST_ROWS", 50)
    refused = ana.get(f"/datasets/{id}/download", params={"format": "excel"}, headers=PT)
    assert (
        refused.status_code == 422 and refused.json()["code"] == "datasets.sheet" and "CSV" in refused.json()["detail"]
    )


# --- two versions ---


def test_two_versions_are_compared_row_by_row(ana):
    id = sent(ana, table(60))["dataset_id"]
    ana.put(f"/datasets/{id}/config", json={"series_columns": ["region"]})
    lines = table(65).decode().split("\n")
    lines[0] += ",stock"
    lines[1:] = [line + ",7" for line in lines[1:]]
    lines[10] = lines[10].replace("Sul,", "Sul,9")
    lines[11] = lines[11].replace(f",{lines[11].split(',')[1]},", ",999,")
    del lines[20]
    assert send_version(ana, id, "\n".join(lines).encode()) == 201
    body = ana.get(f"/datasets/{id}/compare", params={"from": 1, "to": 2}).json()
    assert body["keys"] == ["date", "region"] and (body["from_version"], body["to_version"]) == (1, 2)
    assert body["counts"] == {
        "added": 5,
        "removed": 1,
        "changed": 2,
        "unchanged": 57,
        "rows_old": 60,
        "rows_new": 64,
    }
    assert body["columns_added"] == ["stock"] and body["columns_removed"] == [] and body["columns_not_compared"] == 0
    columns = {one["column"]: one for one in body["columns"]}
    assert (columns["sales"]["changed"], columns["price"]["changed"], columns["date"]["changed"]) == (1, 1, 0)
    assert columns["sales"]["old"]["sum"] == sum(100 + day % 7 for day in range(60))
    assert body["range"] == {
        "old": {"first": "2024-01-01T00:00:00", "last": "2024-02-29T00:00:00"},
        "new": {"first": "2024-01-01T00:00:00", "last": "2024-03-05T00:00:00"},
    }
    changed = [one for one in body["rows"] if one["change"] == "changed"]
    assert changed[1] == {
        "change": "changed",
        "key": {"date": "2024-01-11T00:00:00", "region": "Norte"},
        "old": {"sales": 103},
        "new": {"sales": 999},
    }
    removed = [one for one in body["rows"] if one["change"] == "removed"]
    assert removed[0]["key"]["date"] == "2024-01-20T00:00:00" and removed[0]["new"] is None
    assert ana.get(f"/datasets/{id}/compare").json() == body, "by default the current one with the one before"
    back = ana.get(f"/datasets/{id}/compare", params={"from": 2, "to": 1, "limit": 0}).json()
    assert (back["counts"]["added"], back["counts"]["removed"], back["rows"]) == (1, 5, [])
    same = ana.get(f"/datasets/{id}/compare", params={"from": 2, "to": 2}).json()["counts"]
    assert (same["unchanged"], same["changed"], same["added"], same["removed"]) == (64, 0, 0, 0)
    assert ana.get(f"/datasets/{id}/compare", params={"to": 9}).json()["code"] == "datasets.no_version"


def test_rows_of_one_key_are_paired_in_their_order_and_empty_cells_are_equal(ana):
    first = table(40, gap=5) + b"\n2024-01-01,1,Norte,5.5"
    id = sent(ana, first)["dataset_id"]
    ana.put(f"/datasets/{id}/config", json={"series_columns": []})
    assert send_version(ana, id, first + b"\n2024-01-01,2,Norte,5.5") == 201
    counts = ana.get(f"/datasets/{id}/compare").json()["counts"]
    assert (counts["added"], counts["removed"], counts["changed"], counts["unchanged"]) == (1, 0, 0, 41)


def test_a_large_comparison_runs_in_a_process_of_its_own(ana, monkeypatch):
    from vur.wizard import preparation

    monkeypatch.setattr(preparation, "BIG_ROWS", 10)
    id = sent(ana, table(60))["dataset_id"]
    assert send_version(ana, id, table(61)) == 201
    assert ana.get(f"/datasets/{id}/compare").json()["counts"]["added"] == 1
    assert ana.get(f"/datasets/{id}/download", params={"format": "excel"}).status_code == 200
