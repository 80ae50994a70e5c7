"""Data sources: real SQLite, DuckDB, Parquet and PostgreSQL, read-only, and what they must not give access to."""

import itertools
import sqlite3
import time
from pathlib import Path

import duckdb
import pandas as pd
import psycopg
import pytest
from databases import kind  # noqa: F401 - a fixture

from vur.errors import VurError
from vur.settings import settings
from vur.store import database
from vur.store.accounts.access import Principal
from vur.store.catalog import DatabaseConnection, Share
from vur.store.feeds import connections, kinds, reader
from vur.store.feeds.connections import Columns, Wanted, address
from vur.store.feeds.kinds import opened
from vur.store.feeds.postgresql import parsed_url

ROWS = pd.DataFrame(
    {
        "day": pd.date_range("2024-01-01", periods=40, freq="D").strftime("%Y-%m-%d"),
        "store": ["A", "B"] * 20,
        "sold": [float(number) for number in range(40)],
        "price": [1.5] * 40,
    }
)
COLUMNS = {"date": "day", "target": "sold", "series": ["store"]}
PASSWORD = "hunter2-secret"


@pytest.fixture
def sources(catalog) -> Path:
    """The folder that files may lie in, with the same rows in three kinds of file."""
    folder = catalog / "sources"
    folder.mkdir(parents=True)
    with sqlite3.connect(folder / "shop.sqlite") as connection:
        ROWS.to_sql("sales", connection, index=False)
        connection.execute(
            "CREATE VIEW endless AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
            "SELECT x AS day, x AS sold FROM n"
        )
    with duckdb.connect(str(folder / "shop.duckdb")) as connection:
        connection.execute("CREATE TABLE sales AS SELECT CAST(day AS DATE) AS day, store, sold, price FROM ROWS")
        connection.execute("CREATE SCHEMA other")
        connection.execute(
            "CREATE TABLE other.moments AS "
            "SELECT CAST(day AS TIMESTAMPTZ) AS day, sold::DECIMAL(10, 2) AS sold FROM sales"
        )
        connection.execute(
            "CREATE VIEW leak AS SELECT column0 AS day, column0 AS sold "
            "FROM read_csv('/etc/passwd', header = false, sep = '\\0')"
        )
    (folder / "parts").mkdir()
    dated = ROWS.assign(day=pd.to_datetime(ROWS["day"]))
    dated.iloc[:30].to_parquet(folder / "parts" / "a.parquet", index=False)
    dated.iloc[30:].to_parquet(folder / "parts" / "b.parquet", index=False)
    return folder


@pytest.fixture
def shop(postgresql) -> str:
    """URL of a PostgreSQL database with the same rows, under a user with a password."""
    with psycopg.connect(f"{postgresql}/postgres", autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS shop")
        connection.execute("CREATE DATABASE shop")
        connection.execute("DROP ROLE IF EXISTS reader")
        connection.execute(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
    with psycopg.connect(f"{postgresql}/shop", autocommit=True) as connection:
        connection.execute('CREATE TABLE sales (day date, store text, sold numeric, "100% odd ""name""" text)')
        connection.cursor().executemany(
            "INSERT INTO sales VALUES (%s, %s, %s, 'x')", ROWS[["day", "store", "sold"]].to_numpy().tolist()
        )
        connection.execute("CREATE VIEW slow AS SELECT day, sold, pg_sleep(60)::text AS sleep FROM sales")
        for number, body in enumerate(
            (
                "DELETE FROM sales; SELECT 'x'::text",
                "SELECT set_config('transaction_read_only', 'off', true); DELETE FROM sales; SELECT 'x'::text",
            )
        ):
            connection.execute(
                f"CREATE FUNCTION wipe{number}() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ {body} $$"
            )
            connection.execute(f"CREATE VIEW trap{number} AS SELECT day, sold, wipe{number}() AS wiped FROM sales")  # noqa: S608 - a number of ours
            connection.execute(f"GRANT SELECT ON trap{number} TO reader")
        connection.execute("CREATE TABLE hidden (day date, sold numeric)")
        connection.execute("GRANT SELECT ON sales, slow TO reader")
        connection.execute("GRANT INSERT, UPDATE, DELETE ON sales TO reader")
    return f"postgresql://reader:{PASSWORD}@{postgresql.partition('@')[2]}/shop"


def body(kind: str, source: str, table: str = "sales", **columns) -> dict:
    return {"name": "Shop", "kind": kind, "source": source, "table": table, "columns": COLUMNS | columns}


def add(person, *arguments, **columns) -> dict:
    answer = person.post("/monitoring/databases", json=body(*arguments, **columns))
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("kind_of", "file", "table"),
    [
        ("sqlite", "shop.sqlite", "sales"),
        ("duckdb", "shop.duckdb", "sales"),
        ("parquet", "parts", ""),
        ("parquet", "parts/a.parquet", ""),
    ],
)
def test_a_file_is_registered_tested_previewed_changed_and_removed(sources, ana, kind_of, file, table):
    made = add(ana, kind_of, file, table, covariates=["price"])
    assert made["status"] == "connected" and made["configuration"]["columns"]["covariates"] == ["price"]
    id = made["id"]
    assert ana.get("/monitoring/databases").json()["items"][0]["id"] == id
    tested = ana.post(f"/monitoring/databases/{id}/test").json()
    assert (
        tested["ok"]
        and {"day", "sold"} <= tested["columns"].keys()
        and str(tested["newest"]).startswith("2024-01-30" if file.endswith("a.parquet") else "2024-02-09")
    )
    seen = ana.get(f"/monitoring/databases/{id}/preview?limit=3").json()
    assert [row["sold"] for row in seen["rows"]] == ([27, 28, 29] if file.endswith("a.parquet") else [37, 38, 39])
    assert {column["name"]: column["role"] for column in seen["columns"]} == {
        "day": "date",
        "store": "series",
        "sold": "target",
        "price": "covariate",
    }
    changed = ana.put(f"/monitoring/databases/{id}", json={"name": "Loja"}, headers={"If-Match": '"1"'})
    assert changed.json()["name"] == "Loja" and changed.headers["ETag"] == '"2"'
    assert ana.put(f"/monitoring/databases/{id}", json={"name": "X"}, headers={"If-Match": '"1"'}).status_code == 412
    assert (
        ana.put(f"/monitoring/databases/{id}", json={"columns": {"date": "day", "target": "nothing"}}).json()["code"]
        == "connections.column"
    )
    assert ana.delete(f"/monitoring/databases/{id}").status_code == 204
    assert ana.get(f"/monitoring/databases/{id}").status_code == 404


class CsvFile(reader.Reader):
    """A CSV file as a data source: all that a new kind has to define."""

    has_tables = False

    def __init__(self, address: str):
        self.frame = pd.read_csv(address)

    def tables(self):
        return [""]

    def columns(self, table):
        return {name: str(dtype) for name, dtype in self.frame.dtypes.items()}

    def read(self, table, names, by, since=None, limit=None):
        self.check(table, [*names, by])
        return self.frame.sort_values(by)[list(names)].tail(limit or len(self.frame))


def test_a_kind_is_a_class_and_one_line(sources, ana, monkeypatch):
    ROWS.to_csv(sources / "shop.csv", index=False)
    monkeypatch.setitem(kinds.KINDS, "csv", CsvFile)
    who = Principal(ana.id, "analyst")
    row = connections.register(who, Wanted("Shop", "csv", "shop.csv", "", Columns("day", "sold", ("store",))))
    tested, shown = connections.probe(row), connections.preview(row, limit=2)
    assert (tested.ok, tested.newest) == (True, "2024-02-09")
    assert [one["sold"] for one in shown["rows"]] == [38.0, 39.0]
    assert connections.configuration(row)["configuration"]["source"] == "shop.csv"
    with pytest.raises(VurError, match="no column price2"):
        connections.change(who, row.id, None, columns=Columns("day", "price2"))
    (sources / "shop.csv").unlink()
    assert connections.probe(row).error.code == "connections.no_file"


def test_rows_without_a_date_are_not_the_last_ones(sources, root, shop):
    with sqlite3.connect(sources / "shop.sqlite") as connection:
        connection.execute("INSERT INTO sales (store, sold) VALUES ('A', 1)")
    with psycopg.connect(shop) as connection:
        connection.execute("INSERT INTO sales (store, sold) VALUES ('A', 1)")
    for kind_of, source in (("sqlite", "shop.sqlite"), ("postgresql", shop)):
        id = add(root, kind_of, source)["id"]
        assert root.post(f"/monitoring/databases/{id}/test").json()["newest"] == "2024-02-09"
        assert root.get(f"/monitoring/databases/{id}/preview?limit=1").json()["rows"][0]["sold"] == 39


def test_a_source_that_breaks_later_is_reported_and_recovers(sources, ana):
    id = add(ana, "sqlite", "shop.sqlite")["id"]
    (sources / "shop.sqlite").rename(sources / "away")
    tested = ana.post(f"/monitoring/databases/{id}/test").json()
    assert (tested["ok"], tested["code"]) == (False, "connections.no_file")
    assert ana.get(f"/monitoring/databases/{id}").json()["status"] == "error"
    assert ana.get(f"/monitoring/databases/{id}/preview").status_code == 422
    (sources / "away").rename(sources / "shop.sqlite")
    assert ana.post(f"/monitoring/databases/{id}/test").json()["ok"]
    assert ana.get(f"/monitoring/databases/{id}").json() | {"checked_at": 0} == ana.get(
        f"/monitoring/databases/{id}"
    ).json() | {"checked_at": 0, "status": "connected", "error": None}
    (sources / "shop.sqlite").write_bytes(b"not a database" * 100)
    assert ana.post(f"/monitoring/databases/{id}/test").json()["code"] == "connections.unreachable"


OUTSIDE = [
    "/etc/passwd",
    "../catalog.sqlite",
    "../secrets.json",
    "link.sqlite",
    "folder/../../secrets.json",
    "..",
    ".",
    "~/x",
    "no.sqlite",
    "file:/etc/passwd?mode=rw",
    "shop.sqlite?mode=rwc",
    "pipe",
    "%2e%2e/secrets.json",
]


def test_nothing_outside_of_the_allowed_folders_is_opened(sources, ana):
    import os

    (sources / "link.sqlite").symlink_to(sources.parent / "catalog.sqlite")
    os.mkfifo(sources / "pipe")
    before = sorted(sources.iterdir())
    for name, path in itertools.product(("sqlite", "duckdb", "parquet"), OUTSIDE):
        answer = ana.post("/monitoring/databases", json=body(name, path, date="d" if path == "." else "day"))
        allowed = (
            ("connections.folder", "connections.no_file", "connections.column")
            if path == "."
            else ("connections.folder", "connections.no_file")
        )
        assert answer.status_code == 422 and answer.json()["code"] in allowed, answer.text
    assert sorted(sources.iterdir()) == before


def test_the_data_home_stays_closed_if_its_parent_is_allowed(sources, ana, monkeypatch, tmp_path):
    monkeypatch.setenv("VUR_DATA_FOLDERS", f"{tmp_path}, /nowhere")
    settings.cache_clear()
    assert (
        ana.post("/monitoring/databases", json=body("sqlite", str(sources.parent / "catalog.sqlite"))).json()["code"]
        == "connections.folder"
    )
    (sources / "shop.sqlite").rename(tmp_path / "elsewhere.sqlite")
    assert add(ana, "sqlite", str(tmp_path / "elsewhere.sqlite"))["status"] == "connected"
    assert "connections.folder" == ana.post("/monitoring/databases", json=body("sqlite", "/etc/passwd")).json()["code"]


def test_links_inside_a_parquet_folder_are_not_followed(sources, ana, tmp_path):
    outside = tmp_path / "salaries.parquet"
    ROWS.to_parquet(outside)
    (sources / "parts" / "c.parquet").symlink_to(outside)
    assert ana.post("/monitoring/databases", json=body("parquet", "parts", "")).json()["code"] == "connections.folder"


EVIL = [
    'sales"; DROP TABLE sales; --',
    "sales; DELETE FROM sales",
    "sqlite_schema",
    "(SELECT 1)",
    'sales" WHERE 1=1 --',
    "sales UNION SELECT * FROM x",
    "pg_authid",
    "information_schema.tables",
    "read_csv('/etc/passwd')",
    "sales AS x",
]


@pytest.mark.parametrize("kind_of", ["sqlite", "duckdb", "postgresql"])
def test_sql_injection_through_names_is_rejected(sources, root, shop, kind_of):
    source = {"sqlite": "shop.sqlite", "duckdb": "shop.duckdb", "postgresql": shop}[kind_of]
    for evil in EVIL:
        assert (
            root.post("/monitoring/databases", json=body(kind_of, source, evil)).json()["code"] == "connections.table"
        )
        for role in ("date", "target"):
            answer = root.post("/monitoring/databases", json=body(kind_of, source, **{role: evil}))
            assert answer.json()["code"] == "connections.column", answer.text
        assert (
            root.post("/monitoring/databases", json=body(kind_of, source, series=[evil])).json()["code"]
            == "connections.column"
        )
    with opened(kind_of, source) as reader:
        assert len(reader.read("sales", ["sold"], "day")) == 40


def test_unusual_names_are_quoted(sources, root, shop):
    odd = 'we"ird; --'
    with sqlite3.connect(sources / "odd.sqlite") as connection:
        connection.execute('CREATE TABLE "a b""; --" ("we""ird; --" TEXT, "100%" REAL)')
        connection.execute('INSERT INTO "a b""; --" VALUES (\'2024-01-01\', 5)')
    made = add(root, "sqlite", "odd.sqlite", 'a b"; --', date=odd, target="100%", series=[])
    assert root.get(f"/monitoring/databases/{made['id']}/preview").json()["rows"] == [{odd: "2024-01-01", "100%": 5.0}]
    made = add(root, "postgresql", shop, target='100% odd "name"')
    assert root.get(f"/monitoring/databases/{made['id']}/preview?limit=1").json()["rows"] == [
        {"day": "2024-02-09", "store": "B", '100% odd "name"': "x"}
    ]


def test_only_new_rows_are_queried_if_dates_can_be_compared(sources, shop):
    from datetime import date

    for kind_of, source, table in (
        ("sqlite", "shop.sqlite", "sales"),
        ("duckdb", "shop.duckdb", "sales"),
        ("duckdb", "shop.duckdb", "other.moments"),
        ("parquet", "parts", ""),
        ("postgresql", shop, "sales"),
        ("postgresql", shop, "public.sales"),
    ):
        with opened(kind_of, source) as reader:
            assert reader.read(table, ["sold"], "day", since=date(2024, 2, 5))["sold"].astype(float).tolist() == [
                35,
                36,
                37,
                38,
                39,
            ], (kind_of, table)
            assert len(reader.read(table, ["sold"], "day")) == 40


def test_sources_are_read_only_even_for_their_views(sources, shop):
    with opened("postgresql", shop) as reader, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        reader.connection.execute("DELETE FROM sales")
    for trap in ("trap0", "trap1"):
        with pytest.raises(VurError, match="read-only|read-write"), opened("postgresql", shop) as reader:
            reader.read(trap, ["wiped"], "day")
    with opened("postgresql", shop) as reader:
        assert len(reader.read("sales", ["sold"], "day")) == 40
    with opened("sqlite", "shop.sqlite") as reader, pytest.raises(Exception, match="readonly|read-only|query_only"):
        reader.connection.execute("DELETE FROM sales")
    with opened("duckdb", "shop.duckdb") as reader, pytest.raises(duckdb.Error, match="read-only"):
        reader.connection.execute("DELETE FROM sales")


def test_a_view_that_cannot_be_read_is_refused_when_it_is_registered(sources, ana):
    answer = ana.post("/monitoring/databases", json=body("duckdb", "shop.duckdb", "leak", series=[]))
    assert answer.status_code == 422 and "root:" not in answer.text and "/etc" not in answer.text, answer.text
    assert "SELECT" not in answer.text, "nobody wrote that query"
    made = add(ana, "duckdb", "shop.duckdb")["id"]
    changed = ana.put(f"/monitoring/databases/{made}", json={"table": "leak", "columns": COLUMNS | {"series": []}})
    assert changed.status_code == 422
    with sqlite3.connect(sources / "shop.sqlite") as connection:
        connection.execute("CREATE VIEW lost AS SELECT day, sold, gone(store) AS store FROM sales")
    assert ana.post("/monitoring/databases", json=body("sqlite", "shop.sqlite", "lost")).status_code == 422


@pytest.mark.parametrize("kind_of", ["sqlite", "duckdb", "parquet"])
def test_an_error_names_a_file_as_it_was_written_and_never_its_folder(sources, ana, kind_of, tmp_path):
    (sources / "deep").mkdir()
    (sources / "deep" / "no database").write_bytes(b"neither is this" * 100)
    for path in ("deep/no database", "./deep/../deep/no database", "../x.sqlite", "nothing", "deep/nothing"):
        answer = ana.post("/monitoring/databases", json=body(kind_of, path))
        assert answer.status_code == 422, answer.text
        assert str(tmp_path) not in answer.text and str(sources) not in answer.text, answer.text
        assert answer.json()["field"] == "source"
        if kind_of != "sqlite" or "no database" not in path:  # SQLite names no file there
            assert path in answer.json()["detail"], answer.text


def test_parts_of_a_folder_are_named_without_it(sources, ana, tmp_path):
    (sources / "parts" / "z.parquet").write_bytes(b"no parquet")
    told = ana.post("/monitoring/databases", json=body("parquet", "parts", "")).text
    assert "parts/z.parquet" in told and str(tmp_path) not in told, told


ADDRESSES = [
    "postgresql+psycopg://u:SECRET@h/db",
    "postgresql+asyncpg://u:SECRET@h/db",
    "mysql://u:SECRET@h/db",
    "postgresql:/u:SECRET@h/db",
    "postgresql//u:SECRET@h/db",
    "postgresql://u:SECRET@h:port/db",
    "postgresql://u:a@SECRET@nowhere.invalid/db",
    "postgresql://u:a/SECRET@h/db",
    "postgresql://u:SE/CRET@h/db",
    "postgresql://u:SECRET%zz@h/db",
    "postgresql://u:SECRET%00@h/db",
    "postgresql://u:SECRET@h/db?SECRET=1",
    "postgresql://u:SECRET@nowhere.invalid/db",
    "postgresql://u:%53ECRET@nowhere.invalid/db",
    "host=nowhere.invalid user=u password=SECRET dbname=db",
    "host=nowhere.invalid user=u password='SECRET dbname=db",
    "u SECRET h db",
]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("kind_of", ["postgresql", "sqlite", "parquet"])
def test_no_answer_repeats_a_password(sources, root, kind_of, address, capfd):
    if kind_of != "postgresql" and not reader.ADDRESS.search(address):
        pytest.skip("as a path, it is one")
    made = add(root, "sqlite", "shop.sqlite")["id"]
    answers = [root.post("/monitoring/databases", json=body(kind_of, address))]
    if reader.ADDRESS.search(address):
        answers += [root.put(f"/monitoring/databases/{made}", json={"source": address})]
    for answer in answers:
        assert answer.status_code == 422 and "SECRET" not in answer.text and "53ECRET" not in answer.text, answer.text
    assert "SECRET" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("key", ["kind", "table", "columns", "name", "source"])
def test_an_address_in_the_wrong_place_is_not_repeated(sources, root, key):
    wrong = {"kind": "postgresql://u:SECRET@h/db", "columns": "postgresql://u:SECRET@h/db"}.get(key, ["u:SECRET@h"])
    answer = root.post("/monitoring/databases", json=body("sqlite", "shop.sqlite") | {key: wrong})
    assert answer.status_code == 422 and key in answer.json()["field"] and "SECRET" not in answer.text, answer.text
    whole = root.post("/monitoring/databases", json="password SECRET")
    assert whole.status_code == 422 and "SECRET" not in whole.text


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        ({"date": "day", "target": "day"}, ("day", "date", "target")),
        ({"series": ["sold"]}, ("sold", "target", "series")),
        ({"series": ["shop", "shop"]}, ("shop", "series", "series")),
        ({"covariates": ["sold"]}, ("sold", "target", "covariates")),
        ({"covariates": ["day"]}, ("day", "date", "covariates")),
        ({"covariates": ["shop"], "series": ["shop"]}, ("shop", "series", "covariates")),
    ],
)
def test_a_column_has_one_role(sources, ana, columns, named):
    made = add(ana, "sqlite", "shop.sqlite")["id"]
    for answer in (
        ana.post("/monitoring/databases", json=body("sqlite", "shop.sqlite", **columns)),
        ana.put(f"/monitoring/databases/{made}", json={"columns": COLUMNS | columns}),
    ):
        told = answer.json()
        assert (answer.status_code, told["code"]) == (422, "connections.roles"), answer.text
        assert tuple(told["values"][key] for key in ("column", "first", "second")) == named


def test_a_source_is_shared_under_the_name_of_its_path(sources, ana, bia):
    made = add(ana, "sqlite", "shop.sqlite")["id"]
    shared = ana.put(f"/shares/database/{made}", json={"email": "bia@x.br", "right": "view"})
    assert shared.status_code == 200, shared.text
    assert bia.get(f"/monitoring/databases/{made}").status_code == 200
    assert ana.get(f"/shares/connection/{made}").json()["items"] == ana.get(f"/shares/database/{made}").json()["items"]
    assert ana.delete(f"/shares/database/{made}/{bia.id}").status_code == 204
    assert bia.get(f"/monitoring/databases/{made}").status_code == 404
    wrong = ana.get(f"/shares/chair/{made}").json()
    assert "database" in wrong["detail"]


def test_an_endless_query_is_stopped(sources, root, shop, monkeypatch):
    monkeypatch.setattr(reader, "SECONDS", 1)
    for made in (
        add(root, "sqlite", "shop.sqlite", "endless", series=[]),
        add(root, "postgresql", shop, "slow", series=[], target="sleep"),
    ):
        started = time.monotonic()
        answer = root.get(f"/monitoring/databases/{made['id']}/preview")
        assert answer.json()["code"] == "connections.unreachable" and time.monotonic() - started < 10


def test_the_secret_is_encrypted_and_never_returned(sources, root, shop):
    made = add(root, "postgresql", shop)
    assert "reader:***@" in made["configuration"]["source"]
    answers = [
        root.get("/monitoring/databases"),
        root.get(f"/monitoring/databases/{made['id']}"),
        root.post(f"/monitoring/databases/{made['id']}/test"),
        root.get(f"/monitoring/databases/{made['id']}/preview"),
        root.put(f"/monitoring/databases/{made['id']}", json={"name": "B"}),
        root.post("/monitoring/databases", json=body("postgresql", shop.replace("/shop", "/nothing"))),
        root.post("/monitoring/databases", json=body("postgresql", shop, "nothing")),
    ]
    assert not any(PASSWORD in answer.text for answer in answers)
    with database.reading() as session:
        row = session.get(DatabaseConnection, made["id"])
        assert PASSWORD not in row.secret + row.shown and address(row) == shop


def test_only_admins_reach_postgresql_by_default(sources, ana, vera, root, shop, monkeypatch):
    refused = ana.post("/monitoring/databases", json=body("postgresql", shop))
    assert (refused.status_code, refused.json()["code"]) == (403, "api.forbidden")
    made = add(root, "postgresql", shop)
    with database.writing() as session:
        session.add(Share(kind="connection", object_id=made["id"], user_id=ana.id, right="edit"))
    assert ana.put(f"/monitoring/databases/{made['id']}", json={"table": "hidden"}).status_code == 403, (
        "nor what an administrator registered"
    )
    assert ana.put(f"/monitoring/databases/{made['id']}", json={"name": "Ours"}).status_code == 200
    monkeypatch.setenv("VUR_CONNECTIONS", "analyst")
    settings.cache_clear()
    assert ana.post("/monitoring/databases", json=body("postgresql", shop)).status_code == 201
    assert vera.post("/monitoring/databases", json=body("sqlite", "shop.sqlite")).status_code == 403


@pytest.mark.parametrize(
    "part",
    [
        "d?options=-c%20default_transaction_read_only%3Doff",
        "d?passfile=/etc/shadow",
        "d?service=x",
        "d?sslkey=/etc/ssl/private/key",
    ],
)
def test_addresses_with_forbidden_options_are_rejected(part):
    with pytest.raises(VurError) as refused:
        parsed_url(f"postgresql://u@h/{part}")
    assert refused.value.code == "connections.option"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///d",
        "host=h",
        "postgresql:///",
        "mysql://u@h/d",
        "postgresql://h/d",
        "postgresql://u@/d",
        "postgresql://u@a,b/d",
        "nonsense = = ",
    ],
)
def test_incomplete_addresses_are_rejected(url):
    with pytest.raises(VurError) as refused:
        parsed_url(url)
    assert refused.value.code == "connections.url"


def test_another_users_source_is_hidden(sources, ana, bia, vera):
    id = add(ana, "sqlite", "shop.sqlite")["id"]
    for answer in (
        bia.get(f"/monitoring/databases/{id}"),
        bia.put(f"/monitoring/databases/{id}", json={"name": "x"}),
        bia.delete(f"/monitoring/databases/{id}"),
        bia.post(f"/monitoring/databases/{id}/test"),
        bia.get(f"/monitoring/databases/{id}/preview"),
        vera.get(f"/monitoring/databases/{id}"),
    ):
        assert answer.status_code == 404
    assert bia.get("/monitoring/databases").json()["items"] == []


def test_an_invalid_request_names_the_field(sources, ana):
    for wrong, field in (
        ({"kind": "oracle"}, "kind"),
        ({"table": ""}, "table"),
        ({"name": "\u0000"}, "name"),
        ({"columns": {"target": "sold"}}, "columns.date"),
        ({"secret": 1}, "secret"),
    ):
        answer = ana.post("/monitoring/databases", json=body("sqlite", "shop.sqlite") | wrong)
        assert answer.status_code == 422 and (field in answer.json()["field"] or field in answer.text), answer.text
