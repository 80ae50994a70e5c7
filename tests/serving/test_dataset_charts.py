"""Points of a dataset's series for a chart: extremes and gaps survive, counts are exact, answers stay small."""

import datetime

import numpy as np
from samples import DATA
from test_datasets import PT, both, kind, send, sent, table  # noqa: F401

from vur.store.data.thinning import short_numbers, thin
from vur.wizard import chart

DAY = 86_400_000


def ms(day: str) -> int:
    return int(datetime.datetime.fromisoformat(day).replace(tzinfo=datetime.UTC).timestamp() * 1000)


def long_table(rows: int) -> bytes:
    """Minutes with one peak, one hole and a stretch of empty cells."""
    start = datetime.datetime(2023, 1, 1)
    lines = ["moment,load"]
    for k in range(rows):
        value = 1e6 if k == 54_321 else -1e6 if k == 54_322 else 100 + k % 60
        lines.append(f"{start + datetime.timedelta(minutes=k)},{'' if 70_000 <= k < 71_000 else value}")
    return "\n".join(lines).encode()


def test_thinning_keeps_ends_extremes_and_gaps():
    values = np.sin(np.arange(100_003) / 7)
    values[40_000], values[40_001], values[60_000:62_000] = 9, -9, np.nan
    at = thin(values, 1000)
    assert len(at) <= 1000 and at[0] == 0 and at[-1] == 100_002 and (np.diff(at) > 0).all()
    assert {40_000, 40_001} <= set(at.tolist()) and np.isnan(values[at]).any()
    drawn = values[at][~np.isnan(values[at])]
    assert drawn.max() == 9 and drawn.min() == -9
    assert thin(values[:50], 50).tolist() == list(range(50))
    for count in (5, 6, 7, 11, 12, 13, 99, 100, 101):
        assert len(thin(np.arange(float(count)), 4)) <= 4 and thin(np.arange(float(count)), 4)[-1] == count - 1
    assert short_numbers(np.array([1.0, 0.1 + 0.2, np.nan, np.inf, 1e300])) == [1, 0.3, None, None, 1e300]


def test_a_hundred_thousand_points_are_few_on_the_wire_and_lose_no_extreme(ana):
    id = sent(ana, long_table(100_500))["dataset_id"]
    answer = ana.get(f"/datasets/{id}/series")
    body = answer.json()
    (curve,) = body["items"]
    assert len(answer.content) < 60_000 and len(curve["stamps"]) == len(curve["values"]) <= 2000
    assert (curve["rows"], curve["missing"], curve["min"], curve["max"]) == (100_500, 1000, -1e6, 1e6)
    assert 1e6 in curve["values"] and -1e6 in curve["values"] and None in curve["values"]
    assert curve["first"] == curve["stamps"][0] == ms("2023-01-01") and curve["stamps"] == sorted(curve["stamps"])
    assert curve["series"] == body["column"] == "load" and body["time"] == "datetime" and body["series_count"] == 1
    part = ana.get(f"/datasets/{id}/series", params={"from": "2023-02-07 17:00", "to": "2023-02-07 17:59"}).json()
    assert part["items"][0]["rows"] == 60 == len(part["items"][0]["stamps"]), "a part is shown in full"
    day = ana.get(f"/datasets/{id}/series", params={"from": "2023-02-07", "to": "2023-02-07"}).json()
    assert day["items"][0]["rows"] == 1440, "a date alone is its whole day"


def test_several_series_share_the_points_and_their_total_is_a_series(ana):
    id = sent(ana, DATA / "flights_daily.csv")["dataset_id"]
    first = ana.get(f"/datasets/{id}/series").json()
    assert [one["series"] for one in first["items"]] == ["EWR"] and first["series_names"] == ["EWR", "JFK", "LGA"]
    two = ana.get(f"/datasets/{id}/series", params={"series": ["LGA", "JFK"], "points": 100}).json()
    assert [one["series"] for one in two["items"]] == ["LGA", "JFK"]
    assert all(len(one["stamps"]) <= 50 and one["rows"] == 365 for one in two["items"])
    day = {"from": "2013-01-01", "to": "2013-01-01"}
    single = ana.get(f"/datasets/{id}/series", params={"series": ["EWR", "JFK", "LGA"]} | day).json()["items"]
    (total,) = ana.get(f"/datasets/{id}/series", params={"total": True} | day).json()["items"]
    assert total["series"] is None and total["values"] == [sum(one["values"][0] for one in single)]
    other = ana.get(f"/datasets/{id}/series", params={"column": "temp"}).json()
    assert other["column"] == "temp" and "temp" in other["columns"] and "origin" not in other["columns"]


def test_rows_of_one_date_are_combined_as_the_dataset_says(ana):
    id = sent(ana, table(30) + b"\n2024-01-01,50,Norte,5.5")["dataset_id"]
    assert ana.put(f"/datasets/{id}/config", json={"series_columns": []}).status_code == 200
    assert ana.get(f"/datasets/{id}/series").json()["items"][0]["values"][:2] == [100, 50]
    for how, expected in (("sum", 150), ("mean", 75), ("last", 50), ("first", 100)):
        config = {"series_columns": [], "duplicates": how}
        assert ana.put(f"/datasets/{id}/config", json=config).status_code == 200
        curve = ana.get(f"/datasets/{id}/series").json()["items"][0]
        assert curve["values"][0] == expected and curve["rows"] == 30


def test_stamps_with_a_zone_are_those_of_its_clock(ana):
    lines = [f"2024-01-{day:02d}T12:00:00-03:00,{day}" for day in range(1, 21)]
    id = sent(ana, "\n".join(["moment,load", *lines]).encode())["dataset_id"]
    body = ana.get(f"/datasets/{id}/series").json()
    assert body["timezone"] == "UTC-03:00" and body["items"][0]["first"] == ms("2024-01-01T12:00:00")


def test_integers_may_be_the_time(ana):
    content = "\n".join(["step,value", *(f"{k},{k * k}" for k in range(1, 41))]).encode()
    id = sent(ana, content)["dataset_id"]
    ana.put(f"/datasets/{id}/config", json={"date_column": "step", "target_column": "value"})
    body = ana.get(f"/datasets/{id}/series", params={"from": "3", "to": "5"}).json()
    assert body["time"] == "integer" and body["items"][0]["stamps"] == [3, 4, 5]
    refused = ana.get(f"/datasets/{id}/series", params={"from": "soon"}, headers=PT)
    assert (
        refused.status_code == 422
        and refused.json()["field"] == "from"
        and "número inteiro" in refused.json()["detail"]
    )


def test_names_are_data_and_never_code(ana):
    columns = """d"a'y,s;ale--s,sto"re"""
    body = table(40, "date,sales,region,price").replace(b"date,sales,region", columns.encode(), 1)
    found = send(ana, b'"d""a\'y",s;ale--s,"sto""re",price\n' + body.split(b"\n", 1)[1])
    assert found.status_code == 201, found.text
    id = found.json()["dataset_id"]
    config = {"date_column": "d\"a'y", "target_column": "s;ale--s", "series_columns": ['sto"re']}
    assert ana.put(f"/datasets/{id}/config", json=config).status_code == 200
    answer = ana.get(f"/datasets/{id}/series", params={"series": "Sul"})
    assert answer.status_code == 200 and answer.json()["items"][0]["rows"] == 20


def test_wrong_questions_are_told_what_there_is(ana, bia):
    id = sent(ana, DATA / "flights_daily.csv")["dataset_id"]
    for params, code, word in (
        ({"series": "JFX"}, "datasets.series", "JFK"),
        ({"column": "origin"}, "datasets.no_number", "departures"),
        ({"column": "departure"}, "datasets.column", "departures"),
        ({"from": "yesterday"}, "api.invalid", "yesterday"),
        ({"points": 3}, "api.invalid", "10"),
        ({"version": 9}, "datasets.no_version", "1"),
    ):
        answer = ana.get(f"/datasets/{id}/series", params=params)
        assert answer.status_code in (404, 422) and answer.json()["code"] == code and word in answer.json()["detail"]
        assert ana.get(f"/datasets/{id}/series", params=params, headers=PT).json()["detail"] != answer.json()["detail"]
    assert bia.get(f"/datasets/{id}/series").status_code == 404


def test_a_large_table_is_read_in_a_process_of_its_own(ana, monkeypatch):
    monkeypatch.setattr(chart, "BIG_ROWS", 10)
    id = sent(ana, table(60))["dataset_id"]
    ana.put(f"/datasets/{id}/config", json={"series_columns": ["region"]})
    curve = ana.get(f"/datasets/{id}/series", params={"series": "Sul"}).json()["items"][0]
    assert curve["rows"] == 30 and curve["series"] == "Sul"
