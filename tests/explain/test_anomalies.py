"""Anomalies are found, and nothing else: in the folds, in a finished run, and in new data of a saved model."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import daily_sales, fold_rows

import vur
from vur.cli import main
from vur.errors import VurError
from vur.explain.anomalies import (
    anomalies,
    anomaly_events,
    anomaly_findings,
    anomaly_sentences,
    conformal_p,
    held_out_bands,
    score_bands,
)
from vur.frequency import Frequency
from vur.models.check import check_new, check_sentences
from vur.report.sections.anomalies import Found, part
from vur.report.training import write_anomalies
from vur.scoring.intervals import calibrate
from vur.text import LANGUAGES

pytestmark = pytest.mark.slow

DAYS = pd.date_range("2023-01-02", periods=240)
AHEAD = pd.date_range(DAYS[-1] + pd.Timedelta("1D"), periods=14)


# --- in the folds ---


def residuals(seed: int = 0, series: int = 6, folds: int = 6, horizon: int = 10) -> pd.DataFrame:
    """Forecasts of 100 with errors that grow with the root of the step, each series on its own scale."""
    rng = np.random.default_rng(seed)
    rows = fold_rows(series, folds, horizon)
    rows["ds"] = pd.Timestamp("2023-01-01") + pd.to_timedelta(rows["fold"] * horizon + rows["step"], "D")
    size = 2.0 ** rows["unique_id"].str[1:].astype(int)
    return rows.assign(
        scale=size, forecast=100.0 * size, y=100 * size + size * np.sqrt(rows["step"]) * rng.normal(size=len(rows))
    )


def judged(rows: pd.DataFrame, level: float = 95) -> pd.DataFrame:
    return held_out_bands(rows, rows.groupby("unique_id")["scale"].first(), level)


def test_an_injected_spike_has_the_highest_score():
    rows = residuals()
    place = rows.index[(rows["unique_id"] == "s1") & (rows["fold"] == 4) & (rows["step"] == 4)][0]
    rows.loc[place, "y"] += 40 * rows.loc[place, "scale"]
    found = anomalies(judged(rows), 95, "D")
    first = found.iloc[0]
    assert (first["unique_id"], first["ds"], first["direction"]) == ("s1", rows.loc[place, "ds"], "above")
    assert first["score"] > 2 * found["score"].iloc[1] and first["p_value"] == found["p_value"].min()
    assert anomaly_findings(found)[0].severity == "warning" and anomaly_findings(found)[0].unique_id == "s1"


@pytest.mark.parametrize("level", [80, 95])
def test_a_clean_panel_gives_about_the_nominal_share(level):
    shares = [len(anomalies(judged(residuals(seed), level), level)) / 360 for seed in range(5)]
    assert np.mean(shares) == pytest.approx(1 - level / 100, abs=0.025)
    assert max(shares) < 2.5 * (1 - level / 100)


def test_p_values_of_clean_errors_are_uniform():
    rows = pd.concat([judged(residuals(seed)) for seed in range(3)])
    assert [float((rows["p_value"] < cut).mean()) for cut in (0.1, 0.5)] == pytest.approx([0.1, 0.5], abs=0.06)
    calibration = calibrate(residuals(), residuals().groupby("unique_id")["scale"].first())
    assert np.isnan(conformal_p(calibration, residuals().head(1).assign(y=np.nan))).all()


def test_adjacent_anomalies_on_one_side_are_one_event():
    bands = pd.DataFrame(
        {
            "unique_id": "a",
            "ds": DAYS[:8],
            "step": range(1, 9),
            "forecast": 10.0,
            "lo-95": 8.0,
            "hi-95": 12.0,
            "y": [10, 14, 15, 10, 5, 16, 10, 13.0],
        }
    )
    found = anomalies(bands, 95, "D")
    events = anomaly_events(found)
    assert found["y"].tolist() == [16, 15, 5, 14, 13] and found["score"].tolist() == [3, 2.5, 2.5, 2, 1.5]
    assert events[["start", "end", "count"]].to_records(index=False).tolist()[1] == (DAYS[1].value, DAYS[2].value, 2)
    apart = anomalies(bands.assign(ds=DAYS[:8].delete(2).append(DAYS[[9]])), 95, "D")
    assert apart["event"].nunique() == 5, "a missing day ends an event"


def test_the_first_error_of_a_perfectly_forecast_series_is_an_anomaly():
    rows = score_bands(
        pd.DataFrame({"unique_id": "a", "ds": DAYS[:2], "forecast": 5.0, "lo-95": 5.0, "hi-95": 5.0, "y": [5.0, 6.0]})
    )
    assert rows["score"].tolist() == [0.0, np.inf] and rows["direction"].tolist() == ["", "above"]
    with pytest.raises(VurError, match="lo-80"):
        score_bands(rows, 80)


def test_one_fold_of_one_series_has_no_held_out_intervals():
    rows = residuals(series=1, folds=1)
    assert judged(rows).empty and {"lo-95", "hi-95", "p_value"} <= set(judged(rows))


def test_sentences_compare_the_count_with_chance():
    quiet, loud = (
        residuals(),
        residuals().assign(y=lambda r: r["y"] + r["scale"] * 20 * ((r["fold"] == 3) & (r["step"] > 5))),
    )
    for language in LANGUAGES:
        usual, more = (anomaly_sentences(anomalies(judged(rows)), 360, 95, language)[0] for rows in (quiet, loud))
        none = anomaly_sentences(anomalies(judged(quiet)).head(0), 360, 95, language)[0]
        assert all("18" in said and "360" in said for said in (usual, more, none))
        assert len({said.translate(str.maketrans("", "", "0123456789")) for said in (usual, more, none)}) == 3


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_section_lists_anomalies_by_score_and_plots_the_worst_series(language, tmp_path):
    bands = judged(
        residuals().assign(y=lambda r: r["y"] + 60 * r["scale"] * ((r["unique_id"] == "s2") & (r["step"] == 7)))
    )
    found = Found(anomalies(bands, 95, "D"), bands, 95, Frequency("D", 7, (7,)), "s2")
    section = part(found, language)
    rows = section.blocks[0].table["rows"]
    assert "s2" in str(rows[0])
    marked = section.blocks[0].figure["data"][-1]
    assert len(marked["x"]) == int((found.table["unique_id"] == "s2").sum())
    write_anomalies(found, tmp_path / "a.csv")
    assert len(pd.read_csv(tmp_path / "a.csv")) == len(found.table)
    write_anomalies(None, tmp_path / "b.csv")
    assert pd.read_csv(tmp_path / "b.csv").empty


# --- a run, and new data against its model ---


def sales() -> pd.DataFrame:
    """Two shops with a weekly season and a promotion worth 12; the first has a spike of 90 in training."""
    levels, days = {"north": 100, "south": 200}, len(DAYS) + len(AHEAD)
    rows = daily_sales(levels, days, start="2023-01-02", promo=12, noise=2, seed=3)
    frame = rows.rename(columns={"ds": "day", "unique_id": "shop", "y": "sold"})
    frame.loc[(frame["shop"] == "north") & (frame["day"] == DAYS[-20]), "sold"] += 90
    return frame


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> vur.RunResult:
    """Ridge on the training days; the coming promotions are in the file."""
    frame = sales()
    frame.loc[frame["day"].isin(AHEAD), "sold"] = np.nan
    return vur.run(
        frame,
        date="day",
        target="sold",
        series="shop",
        horizon=14,
        folds=4,
        algorithms=["ridge"],
        roles={"promo": "known_future"},
        name="shops",
        notebook=False,
        out=tmp_path_factory.mktemp("reports"),
    )


def new_rows(**edits: float) -> pd.DataFrame:
    """The coming days of both shops; `edits` add to the third day of a shop."""
    frame = sales()[lambda f: f["day"].isin(AHEAD)].reset_index(drop=True)
    for shop, more in edits.items():
        frame.loc[(frame["shop"] == shop) & (frame["day"] == AHEAD[2]), "sold"] += more
    return frame


def test_a_run_lists_the_anomalies_of_its_training_data(ran):
    first = ran.anomalies.iloc[0]
    assert (first["unique_id"], first["ds"], first["direction"]) == ("north", DAYS[-20], "above")
    assert ran.anomalies["score"].is_monotonic_decreasing and first["score"] > 3
    assert "plot-anomalies-0" in ran.report.read_text(encoding="utf-8")


def test_a_spike_in_new_data_is_flagged_with_the_highest_score(ran):
    table = check_new("shops", new_rows(south=-60))
    worst = table.loc[table["score"].idxmax()]
    assert (worst["unique_id"], worst["ds"], worst["direction"]) == ("south", AHEAD[2], "below") and worst["anomaly"]
    assert len(table) == 28 and table["unique_id"].is_monotonic_increasing
    clean = check_new("shops", new_rows())
    assert not clean.loc[clean["ds"] == AHEAD[2], "anomaly"].any() and clean["anomaly"].sum() <= 4
    pd.testing.assert_frame_equal(clean, check_new("shops", new_rows().sample(frac=1, random_state=1)))


def test_rows_that_cannot_be_checked_say_why(ran):
    new = new_rows()
    new = new[~((new["shop"] == "north") & (new["day"] == AHEAD[4]))]
    extra = pd.DataFrame(
        {
            "day": [DAYS[-1], AHEAD[0], AHEAD[5] + pd.Timedelta("0h")],
            "shop": ["north", "west", "south"],
            "sold": [100, 1, np.nan],
            "promo": 0,
        }
    )
    new = pd.concat([new[~((new["shop"] == "south") & (new["day"] == AHEAD[5]))], extra])
    later = new.tail(1).assign(day=AHEAD[-1] + pd.Timedelta("3D"), sold=200.0)
    table = check_new("shops", pd.concat([new, later]))
    assert table["note"].value_counts().drop("").to_dict() == {
        "gap": 3,
        "before": 1,
        "unknown_series": 1,
        "no_value": 1,
        "beyond": 1,
    }
    assert not table.loc[table["note"].isin(["gap", "before", "unknown_series", "no_value"]), "anomaly"].any()
    for language in LANGUAGES:
        said = " ".join(check_sentences(table, 95, language))
        assert "west" in said and f"{AHEAD[4]:%Y-%m-%d}" in said


@pytest.mark.parametrize(("drop", "named"), [("promo", "promo"), ("shop", "shop"), ("sold", "sold"), ("day", "day")])
def test_a_missing_column_is_named(ran, drop, named):
    new = new_rows().assign(
        day=lambda f: f["day"] + pd.Timedelta("5D")
    )  # beyond the promotions that the training file held
    with pytest.raises(VurError, match=f"'{named}'") as caught:
        check_new("shops", new.drop(columns=drop))
    assert named in caught.value.text("pt-BR")


@pytest.mark.parametrize(
    ("edit", "named"), [({"sold": "many"}, "many"), ({"day": "soon"}, "soon"), ({"day": 5}, "day")]
)
def test_a_value_that_cannot_be_read_is_named(ran, edit, named):
    with pytest.raises(VurError, match=named):
        check_new("shops", new_rows().astype({next(iter(edit)): object}).assign(**edit))


def test_empty_data_and_duplicate_dates_are_refused(ran):
    with pytest.raises(VurError, match="no rows"):
        check_new("shops", new_rows().head(0))
    with pytest.raises(VurError, match=f"{AHEAD[0]:%Y-%m-%d}"):
        check_new("shops", pd.concat([new_rows(), new_rows().head(1)]))
    with pytest.raises(VurError, match="120"):
        check_new("shops", new_rows(), level=120)


def test_vur_check_from_the_command_line(ran, tmp_path: Path, capsys):
    source, out = tmp_path / "new.csv", tmp_path / "checked.csv"
    new_rows(north=80).to_csv(source, index=False)
    assert main(["check", "shops", str(source), "--out", str(out), "--language", "pt-BR"]) == 0
    said = capsys.readouterr().out
    assert "Fora do intervalo de 95%" in said and "north" in said and "28 linhas" in said
    table = pd.read_csv(out, parse_dates=["ds"])
    assert table.loc[table["score"].idxmax(), "ds"] == AHEAD[2] and len(table) == 28
    assert main(["check", "shops", str(source), "--level", "80"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("unique_id,ds,step,y,forecast,lo,hi,score") and "80% interval" in printed.err
    assert main(["check", "shops", str(tmp_path / "gone.csv")]) == 1
    assert "gone.csv" in capsys.readouterr().err


# --- a model that moves on ---


def test_update_moves_the_saved_model_and_is_repeatable(ran, tmp_path: Path, capsys):
    whole, out = tmp_path / "whole.csv", tmp_path / "compared.csv"
    sales().to_csv(whole, index=False)
    tag = f"{ran.model_tag}-{AHEAD[-1]:%Y%m%d}"
    assert main(["update", ran.model_tag, str(whole), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert tag in said and "28 new values of 2 series" in said and "inside the 95% intervals" in said
    assert len(pd.read_csv(out)) == 28
    future = pd.DataFrame(
        {
            "shop": np.repeat(["north", "south"], 3),
            "day": np.tile(AHEAD[-1] + pd.to_timedelta([1, 2, 3], "D"), 2),
            "promo": 0,
        }
    )
    first = vur.forecast(tag, 3, future=future)
    assert first["ds"].min() == AHEAD[-1] + pd.Timedelta("1D")
    assert main(["update", ran.model_tag, str(whole)]) == 0
    pd.testing.assert_frame_equal(first, vur.forecast(tag, 3, future=future))
    assert main(["update", tag, str(whole)]) == 1, "nothing is new any more"
    assert f"{AHEAD[-1]:%Y-%m-%d}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        (lambda: sales().drop(columns="promo"), "promo"),
        (lambda: sales()[lambda f: f["shop"] != "south"], "south"),
        (new_rows, f"{AHEAD[0]:%Y-%m-%d}"),
    ],
)
def test_update_refuses_data_without_the_training_rows(ran, frame, named):
    from vur.models.update import update_model

    with pytest.raises(VurError, match=named) as caught:
        update_model(ran.model_tag, frame())
    assert named in caught.value.text("pt-BR")
