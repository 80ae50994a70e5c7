"""Absent rows are zeros or unknown, ended series are left out, and no total adds different months."""

import json

import numpy as np
import pandas as pd
import pytest

import vur
from vur.absence import absence_evidence, fill_absent, regular_panel, series_ends, shared_end
from vur.cli import main
from vur.errors import VurError
from vur.explain.why import explain_point
from vur.frequency import frequency
from vur.hierarchy import HierarchySpec, with_sums
from vur.models.forecast import forecasts
from vur.models.saved import Saved, open_model
from vur.models.update import update_model
from vur.panel import Panel, complete, future_frame, make_panel
from vur.report import summary
from vur.runs.config import Config
from vur.runs.dataset import DataSpec, dataset_of
from vur.stages.model import Candidate
from vur.stages.model.pipeline import Pipeline
from vur.stages.split import plan_split
from vur.stages.split.folds import SplitSpec
from vur.store.cache import StageCache
from vur.wizard.checks import validate
from vur.wizard.preparation import VersionRef
from vur.wizard.steps import check_step

START = {"D": "2023-01-02", "W-MON": "2021-01-04", "MS": "2018-01-01", "h": "2024-01-01"}


def table_of(values: dict[str, np.ndarray], there: dict[str, np.ndarray], freq: str = "D") -> pd.DataFrame:
    """A file with a row a series and stamp where `there`: `date, product, units`."""
    frames = []
    for name, y in values.items():
        stamps = pd.date_range(START[freq], periods=len(y), freq=freq)
        frames.append(pd.DataFrame({"date": stamps, "product": name, "units": y})[there[name]])
    return pd.concat(frames, ignore_index=True)


def to_panel(table: pd.DataFrame, freq: str | None = None) -> Panel:
    return make_panel(table, date="date", target="units", series=["product"], freq=freq)


SIZES = {
    "counts": lambda rng, n: 1.0 + rng.poisson(4, n),
    "single pieces": lambda rng, n: 1.0 + rng.poisson(0.3, n),
    "revenue": lambda rng, n: np.round(np.exp(rng.normal(4, 0.8, n)), 2),
    "boxes of 12": lambda rng, n: 12.0 * (1 + rng.poisson(1, n)),
}


def sales(seed: int, sizes: str = "counts", series: int = 8, steps: int = 300, rate: float = 0.3, freq: str = "D"):
    """Products that are sold now and then, at their own rates: only the rows with a sale."""
    rng = np.random.default_rng(seed)
    values = {f"P{k}": SIZES[sizes](rng, steps) for k in range(series)}
    there = {name: rng.random(steps) < rate * (0.6 + 0.8 * k / series) for k, name in enumerate(values)}
    there["P0"][-1] = True
    return table_of(values, there, freq)


def readings(seed: int, lost: float, series: int = 3, steps: int = 480, freq: str = "h"):
    """Positive readings of a sensor with a daily wave, of which a share is lost."""
    rng = np.random.default_rng(seed)
    wave = 20 + 8 * np.sin(np.arange(steps) * 2 * np.pi / 24)
    values = {f"s{k}": np.abs(wave + rng.normal(0, 2, steps)) for k in range(series)}
    return table_of(values, {name: rng.random(steps) >= lost for name in values}, freq)


# --- the evidence ---


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("sizes", "freq", "series", "steps"),
    [
        ("counts", "D", 8, 300),
        ("revenue", "D", 8, 300),
        ("single pieces", "MS", 20, 60),
        ("boxes of 12", "W-MON", 10, 120),
        ("counts", "h", 5, 600),
        ("revenue", "D", 1, 300),
    ],
)
def test_rows_only_where_something_was_sold_mean_zero(seed, sizes, freq, series, steps):
    panel = to_panel(sales(seed, sizes, series, steps, freq=freq), freq)
    evidence = absence_evidence(panel)
    assert evidence.verdict == "zero", evidence
    for unit in (1e-6, 1e6):
        scaled = panel.with_frame(panel.frame.assign(y=panel.frame["y"] * unit))
        assert absence_evidence(scaled).clues == evidence.clues


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("lost", [0.05, 0.3, 0.6])
def test_lost_readings_of_a_sensor_stay_unknown_and_nothing_is_said(seed, lost):
    assert absence_evidence(to_panel(readings(seed, lost), "h")).verdict == "missing"


def test_a_system_that_is_down_closed_weekends_and_a_few_gaps_stay_unknown():
    rng = np.random.default_rng(0)
    days = pd.date_range("2023-01-02", periods=400)
    amounts = {f"P{k}": 1.0 + rng.poisson(4, 400) for k in range(5)}
    down = rng.random(400) < 0.65
    weekdays = np.asarray(days.dayofweek < 5)
    smooth = {f"P{k}": 100 + np.cumsum(rng.normal(0, 1, 400)) for k in range(3)}
    few = {name: rng.random(400) > 0.03 for name in smooth}
    assert absence_evidence(to_panel(table_of(amounts, dict.fromkeys(amounts, down)), "D")).verdict == "missing"
    assert absence_evidence(to_panel(table_of(amounts, dict.fromkeys(amounts, weekdays)), "D")).verdict == "missing"
    assert absence_evidence(to_panel(table_of(smooth, few), "D")).verdict == "missing"


def test_amounts_far_from_zero_are_unsure_and_the_audit_says_how_to_decide(tmp_path):
    rng = np.random.default_rng(1)
    values = {f"P{k}": 100 + rng.normal(0, 12, 60) for k in range(6)}
    table = table_of(values, {name: rng.random(60) < 0.5 for name in values}, "MS")
    assert absence_evidence(to_panel(table, "MS")).verdict == "maybe"
    result = vur.run(table, freq="MS", horizon=3, algorithms="mean", notebook=False, out=tmp_path)
    said = result.audit.set_index("code").loc["absent_maybe"]
    assert said["severity"] == "warning" and "--absent zero" in said["message"] and "47%" in said["message"]
    assert result.forecast["forecast"].min() > 80
    asked = vur.run(table, freq="MS", horizon=3, algorithms="mean", absent="zero", notebook=False, out=tmp_path)
    assert asked.forecast["forecast"].mean() < 0.75 * result.forecast["forecast"].mean()
    assert "absent_asked" in set(asked.audit["code"])


def test_only_series_that_write_no_zeros_are_filled():
    """Some departments export zeros, others only sales: a gap among written zeros is a lost row."""
    table = sales(3)
    rng = np.random.default_rng(3)
    written = {f"Z{k}": np.where(rng.random(300) < 0.3, 1.0 + rng.poisson(4, 300), 0.0) for k in range(4)}
    there = {name: rng.random(300) < 0.9 for name in written}
    panel = regular_panel(to_panel(pd.concat([table, table_of(written, there)]), "D"), horizon=14)
    filled = set(panel.notes["absent"]["unique_id"])
    assert filled == {f"P{k}" for k in range(8)}
    gaps = panel.frame[panel.frame["y"].isna()]
    assert set(gaps["unique_id"]) == set(written)
    everything = regular_panel(to_panel(pd.concat([table, table_of(written, there)]), "D"), absent="zero", horizon=14)
    assert everything.frame["y"].notna().all()


def test_nothing_is_invented_before_the_first_sale_and_zeros_go_on_to_the_end():
    panel = to_panel(sales(5), "D")
    given = panel.frame.groupby("unique_id")["ds"].agg(["min", "max"])
    regular = regular_panel(panel, horizon=14)
    made = regular.frame.groupby("unique_id")["ds"].agg(["min", "max"])
    assert made["min"].equals(given["min"])
    assert (made["max"] == given["max"].max()).all() and (given["max"] < given["max"].max()).any()
    assert regular.frame["y"].sum() == panel.frame["y"].sum()


def test_a_row_without_a_value_is_no_absent_row():
    table = sales(7)
    table.loc[[20, 40], "units"] = np.nan
    regular = regular_panel(to_panel(table, "D"), absent="zero")
    assert regular.frame["y"].isna().sum() == 2


# --- the forecasts ---


def truth(rate: float, steps: int, series: int = 8) -> float:
    """What 8 products sell in `steps` steps: their rates times 5 pieces."""
    return float(sum(rate * (0.6 + 0.8 * k / series) * 5 * steps for k in range(series)))


@pytest.mark.parametrize("seed", [11, 12])
def test_the_total_is_that_of_sales_and_not_of_days_with_a_sale(seed, tmp_path):
    path = tmp_path / "absent.csv"
    sales(seed).to_csv(path, index=False)
    options = {"horizon": 14, "algorithms": "tsb,mean", "notebook": False, "out": tmp_path}
    found = vur.run(path, **options)
    assert found.forecast["forecast"].sum() == pytest.approx(truth(0.3, 14), rel=0.4)
    said = found.audit.set_index("code").loc["absent_zero"]
    assert "--absent missing" in said["message"] and said["severity"] == "warning"
    assert said["repair"].startswith("from vur.absence import regular_panel")
    unknown = vur.run(path, absent="missing", **options)
    assert unknown.forecast["forecast"].sum() > 2 * truth(0.3, 14)
    assert not {"absent_zero", "absent_maybe"} & set(unknown.audit["code"])


def test_every_door_takes_the_options(tmp_path, capsys):
    path = tmp_path / "absent.csv"
    sales(13, steps=120).to_csv(path, index=False)
    common = [str(path), "--horizon", "7", "--algorithms", "mean", "--no-notebook", "--out", str(tmp_path / "cli")]
    assert main(["run", *common, "--absent", "zero", "--quiet"]) == 0
    assert main(["run", *common, "--quiet"]) == 0
    assert "--absent missing" in capsys.readouterr().out
    runs = [json.loads(one.read_text()) for one in (tmp_path / "cli").glob("*/run.json")]
    assert len({run["config_hash"] for run in runs}) == 2
    config = tmp_path / "pipeline.yaml"
    config.write_text("data: {absent: missing, ended: forecast}\n", encoding="utf-8")
    spec = Config.from_yaml(config).data
    assert (spec.absent, spec.ended) == ("missing", "forecast")
    with pytest.raises(VurError, match="data.absent"):
        Config.from_dict({"data": {"absent": "nothing"}})
    with pytest.raises(VurError, match="data.ended"):
        vur.run(path, ended="maybe", notebook=False, out=tmp_path)


def test_the_wizard_checks_the_panel_that_a_run_trains_on(tmp_path):
    path = tmp_path / "ended.csv"
    ended_lines().to_csv(path, index=False)
    dataset = dataset_of(DataSpec(str(path)), StageCache())[0]
    folder = dataset.upload.parquet.parent.name
    columns = {"date": "date", "target": "units", "series": ["product"]}
    found = validate(folder, columns | {"fingerprint": dataset.fingerprint}, "en")
    assert found["series"] == 4 and {"ended"} <= {one["code"] for one in found["findings"]}
    kept = validate(folder, columns | {"fingerprint": dataset.fingerprint, "ended": "forecast"}, "en")
    assert kept["series"] == 6


def test_the_wizards_step_on_columns_takes_the_options(tmp_path):
    path = tmp_path / "ended.csv"
    ended_lines().to_csv(path, index=False)
    dataset = dataset_of(DataSpec(str(path)), StageCache())[0]
    kinds = {column.name: column.type for column in dataset.upload.columns}
    data = Config().to_dict()["data"] | {"fingerprint": dataset.fingerprint}
    ref = VersionRef("d", 1, dataset.upload.parquet.parent.name, 0, data, kinds, dataset.upload.suggestions.to_dict())
    columns = {"date_column": "date", "target_column": "units", "series_columns": ["product"]}
    section, facts = check_step("preview", columns | {"absent": "zero", "ended": "forecast"}, ref, "en")
    assert (section["absent"], section["ended"], facts["series"]) == ("zero", "forecast", 6)
    assert check_step("preview", columns, ref, "en")[1]["series"] == 4
    with pytest.raises(VurError, match="data.ended"):
        check_step("preview", columns | {"ended": "never"}, ref, "en")


# --- ended and late series ---


def ended_lines(seed: int = 0, lengths: tuple[int, ...] = (40, 40, 66, 66, 66, 66), freq: str = "MS") -> pd.DataFrame:
    """Lines of about 900 where they are shorter than the longest, of about 100 otherwise."""
    rng = np.random.default_rng(seed)
    values = {f"L{k}": rng.poisson(900 if n < max(lengths) - 5 else 100, n) * 1.0 for k, n in enumerate(lengths)}
    return table_of(values, {name: np.ones(len(y), bool) for name, y in values.items()}, freq)


@pytest.mark.parametrize("seed", [0, 1])
def test_ended_lines_are_named_and_left_out_of_the_next_months(seed, tmp_path):
    table = ended_lines(seed)
    end = table["date"].max()
    result = vur.run(table, horizon=4, algorithms="theta", notebook=False, out=tmp_path)
    assert set(result.forecast["unique_id"]) == {"L2", "L3", "L4", "L5"}
    assert result.forecast["ds"].min() > end
    assert result.forecast["forecast"].sum() == pytest.approx(1600, rel=0.1)
    found = result.audit[result.audit["code"] == "ended"].set_index("unique_id")
    assert found["count"].to_dict() == {"L0": 26, "L1": 26} and (found["last"] == "2021-04-01").all()
    page = result.report.read_text(encoding="utf-8")
    assert "L0 and L1 (2)" in page and "all 4 series together" in page
    kept = vur.run(table, horizon=4, algorithms="theta", ended="forecast", notebook=False, out=tmp_path)
    assert set(kept.forecast["unique_id"]) == {f"L{k}" for k in range(6)} and kept.forecast["ds"].min() > end
    assert kept.forecast.groupby("unique_id")["ds"].agg(["min", "max"]).drop_duplicates().shape == (1, 2)
    assert set(kept.audit.loc[kept.audit["code"] == "ended_forecast", "unique_id"]) == {"L0", "L1"}


@pytest.mark.parametrize(
    ("lengths", "shared", "ended"),
    [
        ((40, 40, 66, 66, 66, 66), True, ["L0", "L1"]),
        ((66, 66, 66, 65), True, []),  # one step early: late, not ended
        ((66, 66, 60, 54), True, []),  # a season or less
        ((66, 66, 66, 53), True, ["L3"]),  # a season and a step
        ((30, 66), False, []),  # successor: half of them
        ((20, 35, 50, 66), False, []),  # a competition
        ((66,), True, []),
    ],
)
def test_who_has_ended(lengths, shared, ended):
    found, over = shared_end(series_ends(to_panel(ended_lines(0, lengths))), reach=12)
    assert found is shared and over.index[over].tolist() == ended


def test_a_series_that_pauses_is_late_and_not_over():
    """Its own longest gap is longer than the silence at the end."""
    table = ended_lines(0, (66, 66, 66, 66))
    months = table["date"].drop_duplicates().to_numpy()
    pause = (table["product"] == "L0") & table["date"].isin(months[10:30]) | (
        (table["product"] == "L0") & (table["date"] > months[46])
    )
    panel = regular_panel(to_panel(table[~pause]), absent="missing", horizon=4)
    assert "L0" in panel.ids and panel.notes["late"]["steps"].tolist() == [19]
    assert panel.origin == pd.Timestamp(months[-1])


def seasonal_panel(behind: int, months: int = 72) -> Panel:
    """Four monthly series with a season; the last one stops `behind` months before the others."""
    t = np.arange(months)
    rng = np.random.default_rng(2)
    values = {f"S{k}": 100 + 40 * np.sin(t * np.pi / 6) + rng.normal(0, 2, months) for k in range(4)}
    there = {name: np.ones(months, bool) for name in values}
    there["S3"][months - behind :] = False
    return to_panel(table_of(values, there, "MS"))


@pytest.mark.parametrize("algorithm", ["seasonal_naive", "theta", "ets"])
def test_a_late_series_is_forecast_for_the_same_months_with_its_season(algorithm):
    panel = regular_panel(seasonal_panel(4), horizon=6)
    pipeline = Pipeline(Candidate(algorithm, algorithm)).fit(panel)
    found = pipeline.predict(6)
    assert found.groupby("unique_id")["ds"].first().nunique() == 1 and len(found) == 24
    assert found["ds"].min() == pd.Timestamp("2024-01-01")
    late, other = (found.loc[found["unique_id"] == name, "forecast"].to_numpy() for name in ("S3", "S0"))
    assert np.abs(late - other).max() < 15  # a flat line from September would be off by 40
    pd.testing.assert_frame_equal(future_frame(panel, 6)[["unique_id", "ds"]], found[["unique_id", "ds"]])


def test_folds_cut_late_series_at_the_same_months():
    panel = regular_panel(seasonal_panel(2), horizon=6)
    plan = plan_split(panel, SplitSpec(horizon=6))
    assert plan.alignment == "calendar"
    for fold in [*plan.folds, plan.test]:
        assert fold.cutoffs.nunique() == 1


def test_a_run_with_a_late_series_says_so_and_adds_the_same_months(tmp_path):
    frame = seasonal_panel(1).frame
    result = vur.run(frame, horizon=6, algorithms="seasonal_naive", notebook=False, out=tmp_path)
    assert result.audit.set_index("code").loc["late_end", ["unique_id", "count"]].tolist() == ["S3", 1]
    assert result.forecast.groupby("ds")["unique_id"].nunique().unique().tolist() == [4]
    assert result.panel.origin == pd.Timestamp("2023-12-01")
    model = result.model
    pd.testing.assert_frame_equal(model.predict(6), result.forecast[["unique_id", "ds", "forecast"]])
    again = vur.forecast(result.model_tag, horizon=3)
    assert again["ds"].min() == pd.Timestamp("2024-01-01") and len(again) == 12


def test_known_future_values_are_needed_after_the_shared_end_only():
    panel = seasonal_panel(3)
    frame = panel.frame.assign(price=9.0)
    coming = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=4, freq="MS"), "price": 7.0})
    future = pd.concat([coming.assign(unique_id=name) for name in panel.ids])
    table = pd.concat([frame, future[["unique_id", "ds", "price"]]], ignore_index=True)
    priced = regular_panel(make_panel(table, roles={"price": "known_future"}), horizon=4)
    pipeline = Pipeline(Candidate("seasonal_naive", "seasonal_naive")).fit(priced)
    assert pipeline.behind["S3"] == 3
    assert pipeline.predict(4)["ds"].max() == pd.Timestamp("2024-04-01")


def test_a_late_series_with_covariates_is_forecast_explained_and_moved_by_what_if(tmp_path):
    """Other series need no values beyond the horizon because one is late."""
    rng = np.random.default_rng(0)
    panel = seasonal_panel(3)
    promo = (rng.random(len(panel.frame)) < 0.3).astype(float)
    frame = panel.frame.assign(promo=promo, y=panel.frame["y"] + 20 * promo)
    months = pd.date_range("2024-01-01", periods=4, freq="MS")
    coming = [pd.DataFrame({"unique_id": id, "ds": months, "promo": [0.0, 1, 0, 0]}) for id in panel.ids]
    result = vur.run(
        pd.concat([frame, *coming], ignore_index=True),
        horizon=4,
        algorithms="ridge",
        roles={"promo": "known_future"},
        name="late",
        notebook=False,
        out=tmp_path,
    )
    assert result.forecast["ds"].unique().tolist() == list(months) and len(result.forecast) == 16
    found = explain_point(result.model, result.panel, "S3", months[1])
    own = result.forecast.set_index(["unique_id", "ds"]).loc[("S3", months[1]), "forecast"]
    assert found.step == 2 and found.forecast == pytest.approx(own)
    assert found.baseline + found.table["contribution"].sum() == pytest.approx(own)
    other = vur.scenario("late", "always", {"promo": 1})
    rise = other.forecast["forecast"].to_numpy() - result.forecast["forecast"].to_numpy()
    assert rise.reshape(4, 4)[:, 0].min() > 10
    with pytest.raises(VurError, match="promo"):
        vur.forecast("late", horizon=5)


@pytest.mark.parametrize("alias", ["D", "h", "15min", "W-MON", "B", "MS", "ME", "QS", "1"])
def test_ends_are_counted_in_steps_of_any_calendar(alias):
    stamps = np.arange(60) if alias == "1" else pd.date_range("2022-01-03", periods=60, freq=alias)
    lengths = {"a": 60, "b": 60, "c": 60, "late": 58, "over": 30}
    table = pd.concat(
        [pd.DataFrame({"unique_id": k, "ds": stamps[:n], "y": 5.0 + np.arange(n) % 4}) for k, n in lengths.items()]
    )
    panel = regular_panel(make_panel(table, freq=None if alias == "1" else alias), horizon=5)
    over = panel.notes["ended"]["steps"].tolist() if "ended" in panel.notes else []
    assert over == ([30] if max(5, panel.freq.season) < 30 else [])
    late = panel.notes["late"].set_index("unique_id")["steps"]
    assert late["late"] == 2 and panel.origin == stamps[-1]
    ahead = future_frame(panel, 3)
    assert ahead.groupby("unique_id")["ds"].first().nunique() == 1
    assert ahead["ds"].min() > stamps[-1]


def test_ended_with_absent_rows_as_zero(tmp_path):
    """A line sold in every month that stops has ended; one sold now and then goes on with zeros."""
    rng = np.random.default_rng(4)
    rare = {"R": 1.0 + rng.poisson(2, 66)}
    rows = table_of(rare, {"R": (rng.random(66) < 0.2) & (np.arange(66) < 50)}, "MS")
    panel = regular_panel(to_panel(pd.concat([ended_lines(), rows])), absent="zero", horizon=4)
    assert panel.notes["ended"]["unique_id"].tolist() == ["L0", "L1"]
    assert panel.frame.groupby("unique_id")["ds"].max().nunique() == 1 and "R" in panel.ids
    kept = regular_panel(to_panel(ended_lines()), absent="zero", ended="forecast", horizon=4)
    assert (kept.frame.groupby("unique_id")["y"].apply(lambda y: (y == 0).sum())[["L0", "L1"]] == 26).all()


# --- sums, saved models ---


def test_a_hierarchy_closes_refuses_or_leaves_out_ended_parts():
    dataset_panel = to_panel(ended_lines())

    def total(ends: str, ended: str) -> pd.DataFrame:
        panel = with_sums(regular_panel(dataset_panel, ended=ended, horizon=4), HierarchySpec("all", ends))
        return panel.frame[panel.frame["unique_id"] == "Total"]

    with pytest.raises(VurError, match="L0"):
        total("refuse", "forecast")
    closed, without = total("zero", "forecast"), total("refuse", "omit")
    assert closed["y"].iloc[0] > 2000 and without["y"].iloc[0] < 600
    assert closed["ds"].max() == without["ds"].max() == pd.Timestamp("2023-06-01")


def test_a_run_with_sums_refuses_ended_parts_until_told(tmp_path):
    options = {"horizon": 4, "algorithms": "mean", "notebook": False, "out": tmp_path, "hierarchy": "all"}
    with pytest.raises(VurError, match="L0"):
        vur.run(ended_lines(), **options)
    left = vur.run(ended_lines(), ended="omit", **options)
    assert set(left.forecast["unique_id"]) == {"Total", "L2", "L3", "L4", "L5"}
    late = ended_lines(0, (40, 66, 66, 64))
    cut = vur.run(late, **(options | {"hierarchy": {"levels": "all", "ends": "cut"}}))
    assert cut.forecast["ds"].min() == pd.Timestamp("2023-05-01") and "L0" not in set(cut.forecast["unique_id"])


def test_an_update_goes_on_with_what_the_data_meant(tmp_path):
    table = sales(21, steps=160)
    days = table["date"].drop_duplicates().sort_values()
    known = table[table["date"] <= days.iloc[-15]]
    result = vur.run(known, horizon=7, algorithms="mean", name="rare", notebook=False, out=tmp_path)
    before = result.forecast["forecast"].sum()
    moved = update_model(result.model_tag, table)
    after = vur.forecast(moved.tag, horizon=7)
    assert after["ds"].min() == days.iloc[-1] + pd.Timedelta(days=1) and after["ds"].nunique() == 7
    assert after["forecast"].sum() == pytest.approx(before, rel=0.3)
    assert (moved.compared["y"] == 0).mean() > 0.4
    pipeline, head, metadata = open_model(result.model_tag)
    saved = Saved(result.model_tag, pipeline, head, metadata, lambda: result.panel)
    given = table[table["date"] > days.iloc[-15]].rename(columns={"product": "unique_id", "date": "ds", "units": "y"})
    found = forecasts(saved, 7, observations=given)
    assert not found.errors and (found.frame["ds"].min() > given["ds"].max())
    assert found.frame["forecast"].sum() == pytest.approx(before * found.frame["unique_id"].nunique() / 8, rel=0.4)


def test_an_update_leaves_out_what_had_ended_and_keeps_the_shared_end(tmp_path):
    table = ended_lines(0, (40, 66, 66, 66, 66))
    result = vur.run(table, horizon=4, algorithms="theta", name="lines", notebook=False, out=tmp_path)
    more = pd.concat([table, table_of({"L1": np.full(68, 100.0)}, {"L1": np.arange(68) > 65}, "MS")])
    for name in ("L2", "L3"):
        more = pd.concat([more, table_of({name: np.full(68, 100.0)}, {name: np.arange(68) > 65}, "MS")])
    moved = update_model(result.model_tag, more)
    found = vur.forecast(moved.tag, horizon=4)
    assert set(found["unique_id"]) == {"L1", "L2", "L3", "L4"}
    assert found.groupby("unique_id")["ds"].min().unique().tolist() == [pd.Timestamp("2023-09-01")]
    back = pd.concat([table, table_of({"L0": np.full(67, 100.0)}, {"L0": np.arange(67) > 65}, "MS")])
    with pytest.raises(VurError):
        update_model(result.model_tag, back)


def test_a_repair_from_the_audit_changes_the_meaning(tmp_path):
    result = vur.run(sales(31), horizon=7, algorithms="mean", notebook=False, out=tmp_path)
    names = {"panel": result.panel}
    exec(result.audit.set_index("code").loc["absent_zero", "repair"], names)
    assert names["panel"].frame["y"].isna().sum() > 1000
    assert fill_absent(result.panel, ()).frame["y"].isna().sum() == names["panel"].frame["y"].isna().sum()


# --- the headline ---


def rows_of(**begins: str) -> pd.DataFrame:
    return pd.concat(
        [
            pd.DataFrame({"unique_id": k, "ds": pd.date_range(v, periods=4, freq="MS"), "forecast": 10.0})
            for k, v in begins.items()
        ],
        ignore_index=True,
    )


def facts_of(forecast: pd.DataFrame, **data: object) -> tuple[dict, list[str]]:
    freq = complete(seasonal_panel(1)).freq
    given = {"target": "units", "integer": True, "nonnegative": True} | data
    history = forecast.iloc[:0].assign(y=np.nan)
    facts = summary.expected(history, forecast, freq, given)
    return facts, summary.expectation_sentences(facts, given, freq, "en")


def test_a_headline_adds_only_stamps_that_all_series_share():
    facts, said = facts_of(rows_of(a="2024-07-01", b="2024-07-01"))
    assert facts["value"] == 80 and "80 over the next 4 months, all 2 series together" in said[0]
    facts, said = facts_of(rows_of(a="2024-07-01", b="2024-09-01"))
    assert facts["value"] == 40 and facts["next"] == 20 and facts["next_stamp"] == pd.Timestamp("2024-09-01")
    assert "40 over the 2 months that all series share, September 2024 to October 2024" in said[0]
    facts, said = facts_of(rows_of(a="2022-05-01", b="2024-07-01"), ended=["old"])
    assert facts["value"] is None and facts["next"] is None and facts["miss"] is None
    assert "no total" in said[0] and "May 2022 and October 2024" in said[0] and "old (1)" in said[1]


def test_mondays_and_fridays_share_their_weeks():
    """Neither has the other's stamps, but the next four weeks are the same."""
    stamps = {
        "north": pd.date_range("2024-02-26", periods=4, freq="7D"),
        "south": pd.date_range("2024-03-01", periods=4, freq="7D"),
    }
    forecast = pd.concat([pd.DataFrame({"unique_id": k, "ds": v, "forecast": 100.0}) for k, v in stamps.items()])
    facts = summary.expected(forecast.iloc[:0].assign(y=1.0), forecast, frequency("7D"), {"aggregate": "sum"})
    assert (facts["value"], facts["horizon"], facts["whole"], facts["next"]) == (800, 4, True, None)
    later = forecast.assign(
        ds=forecast["ds"].where(forecast["unique_id"] == "north", forecast["ds"] + pd.Timedelta("7D"))
    )
    facts = summary.expected(forecast.iloc[:0].assign(y=1.0), later, frequency("7D"), {"aggregate": "sum"})
    assert (facts["value"], facts["horizon"], facts["whole"]) == (600, 3, False)


def test_an_average_counts_the_same_stamps():
    forecast = rows_of(a="2024-07-01", b="2024-09-01").assign(forecast=[1.0, 2, 3, 4, 5, 6, 7, 8])
    facts, said = facts_of(forecast, integer=False, aggregate="mean")
    assert facts["value"] == 4.5 and "average 4.50 over the 2 months that all series share" in said[0]


def test_a_page_without_a_shared_stamp_has_no_total(tmp_path):
    table = ended_lines(0, (30, 66))
    result = vur.run(table, horizon=3, algorithms="theta", notebook=False, out=tmp_path)
    assert result.forecast.groupby("unique_id")["ds"].min().tolist() == [
        pd.Timestamp("2020-07-01"),
        pd.Timestamp("2023-07-01"),
    ]
    page = result.report.read_text(encoding="utf-8")
    assert "no total, as the 2 series end at different stamps" in page and "the series share no stamp" in page


def test_old_configurations_and_columns_mean_auto():
    assert (Config().data.absent, Config().data.ended) == ("auto", "auto")
    assert Config.from_dict({"data": {"date": "d"}}).data.absent == "auto"
