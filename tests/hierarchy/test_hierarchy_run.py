"""Hierarchies as users request them: `vur.run(hierarchy=...)`, `vur run --hierarchy`, saved model, report, errors."""

import html
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from builders import daily_sales
from samples import ROOT

import vur
from vur.errors import VurError
from vur.hierarchy.reconcile import load_reconciler
from vur.models.saved import future_template
from vur.runs.config import Config
from vur.store.models.models import model_folder
from vur.text import LANGUAGES

pytestmark = pytest.mark.slow

OWN = ["Norte/1", "Norte/2", "Sul/1", "Sul/3", "Sul/4"]
HORIZON = 7
ENDS = ("lo-95", "lo-80", "forecast", "hi-80", "hi-95")


def shops(days: int = 240, ahead: int = HORIZON) -> pd.DataFrame:
    """Sales of five stores that share the weather, with a promotion known for `ahead` more days."""
    levels = {name: 40.0 + 10 * k for k, name in enumerate(OWN)}
    frame = daily_sales(levels, days, ahead, week=8, promo=15, noise=3, seed=1)
    weather = np.random.default_rng(2).normal(0, 4, days + ahead)
    frame["sold"] = (frame.pop("y") + np.tile(weather, len(OWN))).clip(lower=0).round(1)
    frame[["region", "store"]] = frame.pop("unique_id").str.split("/", expand=True)
    return frame.rename(columns={"ds": "day"})


def sums_of(forecast: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Each sum's rows beside those of the parts that it must have, worked out from the names alone."""
    wide = forecast.pivot(index="ds", columns="unique_id", values="forecast")
    groups = {"Total": OWN} | {f"region={name}": [id for id in OWN if id.startswith(name)] for name in ("Norte", "Sul")}
    return {name: pd.DataFrame({"sum": wide[name], "parts": wide[parts].sum(axis=1)}) for name, parts in groups.items()}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> vur.RunResult:
    """A run with a promotion known in the future, whose totals and regions add up."""
    return vur.run(
        shops(),
        date="day",
        target="sold",
        series=["region", "store"],
        hierarchy="region,store",
        algorithms="seasonal_naive,ridge",
        horizon=HORIZON,
        folds=4,
        roles={"promo": "known_future"},
        name="lojas",
        out=tmp_path_factory.mktemp("reports"),
        notebook=False,
    )


def test_every_total_is_the_sum_of_its_parts(done: vur.RunResult) -> None:
    forecast = done.forecast
    assert sorted(forecast["unique_id"].unique()) == sorted([*OWN, "Total", "region=Norte", "region=Sul"])
    assert (forecast.groupby("unique_id").size() == HORIZON).all()
    for name, both in sums_of(forecast).items():
        assert (both["sum"] - both["parts"]).abs().max() < 1e-6, name
        assert both["sum"].min() > 50, name


def test_intervals_are_nested_and_hold_the_forecast(done: vur.RunResult) -> None:
    ends = done.forecast[list(ENDS)].to_numpy()
    assert (np.diff(ends, axis=1) >= 0).all() and (ends[:, -1] > ends[:, 0]).all()
    half = (done.forecast["hi-80"] - done.forecast["lo-80"]).groupby(done.forecast["unique_id"]).mean() / 2
    assert np.sqrt((half[OWN] ** 2).sum()) < half["Total"] < 1.05 * half[OWN].sum(), "stores share the weather"


def test_sampled_futures_add_up(done: vur.RunResult) -> None:
    reconciler, raw = done.model.reconciler, done.forecast[["unique_id", "ds", "forecast"]]
    paths = dict(zip(reconciler.hierarchy.ids, reconciler.paths(raw), strict=True))
    assert np.allclose(paths["Total"], sum(paths[id] for id in OWN))
    total = done.forecast[done.forecast["unique_id"] == "Total"].set_index("ds")
    inside = (paths["Total"] >= total["lo-80"].to_numpy()[:, None]) & (
        paths["Total"] <= total["hi-80"].to_numpy()[:, None]
    )
    assert inside.mean() == pytest.approx(0.8, abs=0.01)


def test_the_leaderboard_says_which_series_it_scores(done: vur.RunResult) -> None:
    record = done.record
    assert (record["n_series"], record["sums"]) == (8, 3)
    page = html.unescape(done.report.read_text(encoding="utf-8"))
    assert "Scores weight 8 series equally, 5 of the data and 3 of totals" in page
    assert "are of the final forecasts, which add up" in page


def test_the_report_compares_with_and_without_adding_up(done: vur.RunResult) -> None:
    page = html.unescape(done.report.read_text(encoding="utf-8"))
    by_level = done.model.reconciler.by_level.set_index("level")
    assert "Part of this section could not" not in page, "the total can be explained, too"
    for text in (
        "Totals and their parts",
        "MASE alone",
        "MASE reconciled",
        "In 80%",
        "Reconciliation methods compared",
    ):
        assert text in page
    for name in ("Total", "region", "region/store"):
        assert f"{by_level.at[name, 'mase_before']:.3f}" in page and f"{by_level.at[name, 'mase_after']:.3f}" in page
        assert 55 <= by_level.at[name, "held-80"] <= 98
    board = done.leaderboard.set_index("algorithm")
    alone = (by_level["mase_before"] * by_level["series"]).sum() / 8
    assert alone == pytest.approx(board.at[done.record["winner"], "mase"])


def test_the_headline_counts_the_data_once(done: vur.RunResult) -> None:
    page = html.unescape(done.report.read_text(encoding="utf-8"))
    total = done.forecast.loc[done.forecast["unique_id"] == "Total", "forecast"].sum()
    assert f"{total:,.1f}" in page.partition("</h1>")[0].rpartition("<h1")[2]
    assert "<dd>5</dd>" in page.replace(" ", "").replace("\n", ""), "the data hold five series"


@pytest.mark.slow
def test_the_saved_model_gives_equal_forecasts_in_another_process(done: vur.RunResult, tmp_path: Path) -> None:
    program = f"import vur; vur.forecast({done.model_tag!r}).to_parquet({str(tmp_path / 'f.parquet')!r})"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, timeout=120, env=os.environ)
    again = pd.read_parquet(tmp_path / "f.parquet")
    pd.testing.assert_frame_equal(again.astype({"ds": done.forecast["ds"].dtype}), done.forecast, check_exact=True)
    folder = model_folder(done.model_tag)
    assert {path.name for path in (folder / "reconciler").iterdir()} == {"state.json", "state.npz"}
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]
    assert load_reconciler(folder / "reconciler").method == done.model.reconciler.method
    assert "sums: 3" in (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_reproduce_gives_the_same_digits(done: vur.RunResult) -> None:
    answer = vur.reproduce(done.folder)
    assert answer["equal"] and answer["rows"] == 8 * HORIZON, answer


def test_future_values_are_given_for_stores_only(done: vur.RunResult) -> None:
    table = future_template(done.model_tag)
    assert sorted(set(table["region"] + "/" + table["store"])) == OWN and table["promo"].notna().all()
    plain, busy = (
        vur.forecast(done.model_tag, future=table.assign(promo=0.0)),
        vur.forecast(done.model_tag, future=table.assign(promo=1.0)),
    )
    for forecast in (plain, busy):
        for name, both in sums_of(forecast).items():
            assert (both["sum"] - both["parts"]).abs().max() < 1e-6, name
    gain = busy.set_index(["unique_id", "ds"])["forecast"] - plain.set_index(["unique_id", "ds"])["forecast"]
    assert gain["Total"].mean() > 20, "five stores sell about fifteen more each"


def test_a_scenario_counts_the_total_once(done: vur.RunResult) -> None:
    from vur.models.scenarios import effects, scenario

    made = scenario(done.model_tag, "busy", {"promo": 1})
    total = effects(done.model_tag, ["busy"], total=True).iloc[0]
    own = made.forecast[made.forecast["unique_id"].isin(OWN)]["forecast"].sum()
    assert total["total"] == pytest.approx(own)


def test_a_model_moved_to_new_data_still_adds_up(done: vur.RunResult) -> None:
    from vur.panel import complete, make_panel
    from vur.scoring.adaptive import adapt

    longer = make_panel(
        shops(254), date="day", target="sold", series=("region", "store"), roles={"promo": "known_future"}
    )
    longer = complete(longer)
    moved = done.model.update(longer)
    made = moved.predict(HORIZON, longer.future, levels=(80, 95))
    assert made["ds"].min() == longer.frame["ds"].max() + pd.Timedelta("1D")
    for name, both in sums_of(made).items():
        assert (both["sum"] - both["parts"]).abs().max() < 1e-6, name
    fresh = vur.runs.result.RunResult(done.folder).model
    wild = longer.with_frame(
        longer.frame.assign(y=longer.frame["y"].where(longer.frame["ds"] <= fresh.ends.max(), longer.frame["y"] * 1.6))
    )
    adapt(fresh, wild, steps=1)
    later = fresh.predict(HORIZON, longer.future, levels=(80,))
    width = (later["hi-80"] - later["lo-80"]).mean() / (made["hi-80"] - made["lo-80"]).mean()
    assert width > 1.3, "intervals grow after large errors"


def test_the_panel_of_a_result_holds_the_sums(done: vur.RunResult) -> None:
    frame = done.panel.frame.pivot(index="ds", columns="unique_id", values="y")
    assert np.allclose(frame["Total"], frame[OWN].sum(axis=1))


def test_the_configuration_keeps_the_hierarchy(done: vur.RunResult, tmp_path: Path) -> None:
    config = done.config
    assert yaml.safe_load(config.to_yaml())["hierarchy"]["levels"] == [[], ["region"], ["region", "store"]]
    (tmp_path / "one.yaml").write_text(config.to_yaml(), encoding="utf-8")
    assert Config.from_yaml(tmp_path / "one.yaml") == config
    (tmp_path / "two.yaml").write_text(
        yaml.safe_dump(yaml.safe_load(config.to_yaml()) | {"hierarchy": {"levels": "region,store"}}), encoding="utf-8"
    )
    assert Config.from_yaml(tmp_path / "two.yaml").hash() == config.hash()
    (tmp_path / "no.yaml").write_text(yaml.safe_dump({"hierarchy": {"level": "all"}}), encoding="utf-8")
    with pytest.raises(VurError, match="hierarchy.level") as info:
        Config.from_yaml(tmp_path / "no.yaml")
    assert "levels" in info.value.text()


@pytest.mark.slow
def test_the_command_adds_a_total(tmp_path: Path) -> None:
    frame = shops(ahead=0).drop(columns="promo").assign(sold=lambda rows: rows["sold"].round())
    frame.to_csv(tmp_path / "shops.csv", index=False)
    arguments = [
        "run",
        "shops.csv",
        "--series",
        "region",
        "--series",
        "store",
        "--hierarchy",
        "all",
        "--algorithms",
        "seasonal_naive",
        "--horizon",
        "5",
        "--folds",
        "2",
        "--no-notebook",
        "--quiet",
        "--language",
        "pt-BR",
        "--out",
        "reports",
    ]
    ran = subprocess.run(
        [sys.executable, "-m", "vur.cli", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        env=os.environ,
    )
    assert ran.returncode == 0, ran.stderr
    assert "mesmo peso a 6 séries, 5 dos dados e 1 de totais" in ran.stdout
    forecast = pd.read_csv(next((tmp_path / "reports").glob("*/forecast.csv"))).pivot(
        index="ds", columns="unique_id", values="forecast"
    )
    assert list(forecast.columns) == [*OWN, "Total"]
    assert np.allclose(forecast["Total"], forecast[OWN].sum(axis=1), rtol=1e-12)


def renamed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(shop=frame["region"].where(frame["region"] != "Norte", "Total"))[frame["store"] == "1"]


BAD = [
    ({"hierarchy": "região,store"}, None, "hierarchy.column_unknown", ("região", "region, store")),
    (
        {"hierarchy": [[], ["region"], ["store"]]},
        None,
        "hierarchy.not_nested",
        ("store=1", "region=Norte", "region=Sul"),
    ),
    (
        {"hierarchy": "all"},
        lambda rows: rows[(rows["region"] == "Sul") & (rows["store"] == "3")],
        "hierarchy.one_series",
        ("Sul/3",),
    ),
    ({"hierarchy": "all", "series": "shop"}, renamed, "hierarchy.clash", ("Total",)),
    (
        {"hierarchy": "all"},
        lambda rows: rows[(rows["store"] != "4") | (rows["day"] < "2024-06-01")],
        "hierarchy.ends",
        ("Sul/4", "2024-05-31"),
    ),
    ({"hierarchy": {"levels": "all", "ends": "drop"}}, None, "hierarchy.option", ("drop", "refuse | zero | cut")),
    ({"hierarchy": ["region", 3]}, None, "hierarchy.levels", ("3",)),
]


@pytest.mark.parametrize("given, change, code, words", BAD, ids=[code for _, _, code, _ in BAD])
def test_impossible_hierarchies(given, change, code, words, tmp_path: Path) -> None:
    frame = shops(ahead=0)
    frame = frame if change is None else change(frame)
    with pytest.raises(VurError) as info:
        vur.run(
            frame,
            **(
                {
                    "date": "day",
                    "target": "sold",
                    "series": ["region", "store"],
                    "algorithms": "seasonal_naive",
                    "out": tmp_path,
                    "notebook": False,
                }
                | given
            ),
        )
    assert info.value.code == code
    for language in LANGUAGES:
        text = info.value.text(language)
        assert all(word in text for word in words) and "{" not in text, text
    for record in tmp_path.glob("*/run.json"):
        assert code in record.read_text(encoding="utf-8"), "the failure is kept with the run"


def test_a_series_that_closed_counts_as_zero(tmp_path: Path) -> None:
    frame = shops(ahead=0).drop(columns="promo")
    frame = frame[(frame["store"] != "4") | (frame["day"] < "2024-08-01")]
    made = vur.run(
        frame,
        date="day",
        target="sold",
        series=["region", "store"],
        hierarchy={"levels": "region", "ends": "zero"},
        algorithms="seasonal_naive",
        horizon=3,
        folds=2,
        out=tmp_path,
        notebook=False,
    )
    for name, both in sums_of(made.forecast).items():
        assert (both["sum"] - both["parts"]).abs().max() < 1e-6, name
    assert (made.forecast.query("unique_id == 'Sul/4'")["forecast"] == 0).all()
    assert (
        "Sul/4" in made.report.read_text(encoding="utf-8").partition('id="h-hierarchy"')[2].partition("</section>")[0]
    )


def test_without_a_hierarchy_there_are_no_sums(tmp_path: Path) -> None:
    made = vur.run(
        shops(ahead=0).drop(columns="promo"),
        date="day",
        target="sold",
        series=["region", "store"],
        algorithms="seasonal_naive",
        horizon=3,
        folds=2,
        out=tmp_path,
        notebook=False,
    )
    assert sorted(made.forecast["unique_id"].unique()) == OWN and made.record["sums"] == 0
    assert made.model.reconciler is None and "Totals and their parts" not in made.report.read_text(encoding="utf-8")
