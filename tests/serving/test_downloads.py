"""Downloads: their names are no paths, and no text in their CSV is a formula; what a form with a file must be."""

import csv
import io
import re
from urllib.parse import unquote

import pytest
from test_datasets import PT, both, kind, send, sent, table  # noqa: F401

FORMULA = '=HYPERLINK("http://x.example";"open")'


@pytest.mark.parametrize(
    "name",
    ["../../x", "..\\x", "/etc/x", "C:\\x", "a/b", 'a"b', "vendas — São Paulo", "..", "%2e%2e%2fx"],
)
@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_the_name_of_a_download_is_no_path(ana, name, format):
    id = sent(ana, table())["dataset_id"]
    assert ana.put(f"/datasets/{id}", json={"name": name}).status_code == 200
    answer = ana.get(f"/datasets/{id}/download", params={"format": format})
    header = answer.headers["Content-Disposition"]
    plain, full = re.fullmatch(r"attachment; filename=\"([ -~]+)\"; filename\*=UTF-8''(\S+)", header).groups()
    for saved in (plain, unquote(plain), full, unquote(full)):
        assert not set(saved) & set('/\\:"') and not saved.startswith(".") and saved.endswith(f".{format}")
    assert ("São Paulo" in unquote(full)) == ("São Paulo" in name)


def test_an_original_keeps_its_name_and_bytes_and_csv_has_no_formula(ana):
    rows = [[FORMULA, f"2024-01-{day:02d}", f"{day - 9}.5", "-3.5" if day % 2 else "+x"] for day in range(1, 21)]
    stream = io.StringIO()
    csv.writer(stream).writerows([["store", "day", "value", "@note"], *rows])
    content = stream.getvalue().encode()
    id = sent(ana, content, "lojas.csv")["dataset_id"]
    original = ana.get(f"/datasets/{id}/download", params={"format": "original"})
    assert original.content == content and 'filename="lojas.csv"' in original.headers["Content-Disposition"]
    for dialect, delimiter in (("en", ","), ("pt-BR", ";")):
        text = ana.get(f"/datasets/{id}/download", params={"dialect": dialect}).content.decode("utf-8-sig")
        header, *found = csv.reader(io.StringIO(text), delimiter=delimiter)
        assert header == ["store", "day", "value", "'@note"]
        assert {row[0] for row in found} == {f"'{FORMULA}"} and {row[3] for row in found} == {"-3.5", "'+x"}
        assert found[0][2].replace(",", ".") == "-8.5"


@pytest.mark.parametrize("route", ["/datasets/upload", "/datasets/{id}/versions", "/predictions/batch/upload"])
@pytest.mark.parametrize(
    ("content_type", "body", "code"),
    [
        ("application/json", b'{"file": {}}', "forms.media_type"),
        ("application/x-www-form-urlencoded", b"file=x", "forms.media_type"),
        ("text/csv", b"a,b", "forms.media_type"),
        ("multipart/form-data", b"a,b", "forms.boundary"),
        ("multipart/form-data; boundary=", b"a,b", "forms.boundary"),
        ("", b"a,b", "forms.media_type"),
    ],
)
def test_what_is_no_form_is_told_what_to_send(ana, route, content_type, body, code):
    url = route.format(id=sent(ana, table())["dataset_id"] if "{id}" in route else "")
    for headers in ({}, PT):
        answer = ana.post(url, content=body, headers={"Content-Type": content_type, **headers})
        assert answer.status_code == 415 and answer.json()["code"] == code and answer.json()["field"] == "file"
        told = answer.json()["detail"]
        assert "multipart/form-data" in told and "`file`" in told and ("boundary" in told) == (code == "forms.boundary")
