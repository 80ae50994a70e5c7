"""Reconciliation: forecasts of totals and parts that agree, intervals that hold on every level, and their sentences."""

import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from builders import flights
from samples import ROOT

from vur.errors import VurError
from vur.frequency import frequency
from vur.hierarchy import Hierarchy, add_totals, hierarchy
from vur.hierarchy.methods import (
    METHODS,
    coherent,
    fold_matrices,
    largest_gap,
    possible_methods,
    shares_of,
    sparse_shares,
    weights_of,
)
from vur.hierarchy.reconcile import fit_reconciler, load_reconciler, reconcile_forecast
from vur.panel import Panel, make_panel
from vur.report.sections import Facts
from vur.report.sections import hierarchy as section
from vur.stages.model import Candidate, ModelSpec
from vur.stages.split import plan_split
from vur.stages.split.folds import SplitSpec, training_panel, validation_frame
from vur.stages.training import train
from vur.stages.training.evaluation import fold_scales
from vur.stages.training.sums import reconcile_training
from vur.text import LANGUAGES

REGIONS, EACH, HORIZON = 3, 4, 7
IDS = [f"r{k // EACH}/s{k % EACH}" for k in range(REGIONS * EACH)]


def simulated(length: int, seed: int, share: float = 0.5) -> np.ndarray:
    """Demand of twelve shops (days by shops) whose deviations have much in common, and carry over from day to day."""
    rng, n = np.random.default_rng(seed), len(IDS)

    def carried(columns: int) -> np.ndarray:
        noise, out = rng.normal(size=(length, columns)), np.zeros((length, columns))
        for t in range(length):
            out[t] = (0.5 * out[t - 1] if t else 0) + noise[t] * np.sqrt(0.75)
        return out

    size = np.linspace(5, 15, n)
    deviation = (
        np.sqrt(share / 2) * carried(1)
        + np.sqrt(share / 2) * np.repeat(carried(REGIONS), EACH, axis=1)
        + np.sqrt(1 - share) * carried(n)
    )
    return 100 + size * deviation


def panel_of_shops(values: np.ndarray, integer: bool = False) -> Panel:
    days = pd.date_range("2022-01-01", periods=len(values), freq="D")
    frame = pd.DataFrame(
        {
            "day": np.tile(days, len(IDS)),
            "region": np.repeat([id[:2] for id in IDS], len(days)),
            "shop": np.repeat([id[3:] for id in IDS], len(days)),
            "sold": values.T.ravel(),
        }
    )
    panel = make_panel(
        frame.assign(sold=frame["sold"].round() if integer else frame["sold"]),
        date="day",
        target="sold",
        series=("region", "shop"),
    )
    return add_totals(panel, hierarchy(panel))


def mean_forecasts(panel: Panel, plan, noise: dict[str, float] | None = None, seed: int = 0) -> pd.DataFrame:
    """Fold forecasts by the mean of four weeks, independent by series, with errors of `noise` (a share, by level)."""
    rng, found, rows = np.random.default_rng(seed), hierarchy(bottom_of(panel)), []
    for fold in plan.folds:
        ahead = validation_frame(panel, fold, plan)
        mean = training_panel(panel, fold, plan).frame.groupby("unique_id").tail(28).groupby("unique_id")["y"].mean()
        off = pd.Series({id: 1 + (noise or {}).get(found.level_of[id], 0.0) * rng.normal() for id in found.ids})
        rows.append(ahead.assign(fold=fold.number, forecast=ahead["unique_id"].map(mean * off)))
    scales = fold_scales(panel, plan)[["fold", "unique_id", "interval"]].rename(columns={"interval": "scale"})
    return pd.concat(rows, ignore_index=True).merge(scales, on=["fold", "unique_id"])


def bottom_of(panel: Panel) -> Panel:
    return panel.with_frame(panel.frame[panel.frame["unique_id"].isin(IDS)])


def ahead_of(panel: Panel, value: float | None = None) -> pd.DataFrame:
    """A forecast of `HORIZON` days that does not add up."""
    end, rng = panel.frame["ds"].max(), np.random.default_rng(3)
    mean = panel.frame.groupby("unique_id")["y"].mean()
    coming = end + pd.to_timedelta(np.arange(1, HORIZON + 1), "D")
    frame = pd.DataFrame({"unique_id": np.repeat(mean.index, HORIZON), "ds": np.tile(coming, len(mean))})
    return frame.assign(
        forecast=frame["unique_id"].map(mean) * rng.normal(1, 0.05, len(frame)) if value is None else value
    )


@pytest.fixture(scope="module")
def setting():
    panel = panel_of_shops(simulated(500, seed=1))
    plan = plan_split(panel, SplitSpec(horizon=HORIZON, folds=8, test=False))
    residuals = mean_forecasts(panel, plan, noise={"Total": 0.01, "region": 0.02, "region/shop": 0.05})
    return SimpleNamespace(panel=panel, plan=plan, found=hierarchy(bottom_of(panel)), residuals=residuals)


@pytest.fixture(scope="module")
def fitted(setting):
    return fit_reconciler(setting.residuals, setting.found, setting.panel, setting.plan)


@pytest.fixture(scope="module")
def airports():
    panel = flights(columns=())
    found = hierarchy(panel)
    panel = add_totals(panel, found)
    plan = plan_split(panel, SplitSpec(horizon=14, folds=3, test=True))
    names = [Candidate(name, name) for name in ("seasonal_naive", "theta")]
    training = train(panel, plan, names, model=ModelSpec(ensemble=False), clock=lambda: 0.0)
    return SimpleNamespace(
        panel=panel, plan=plan, found=found, training=training, whole=reconcile_training(training, found, panel, plan)
    )


# --- shares ---


@pytest.mark.parametrize("method", METHODS)
def test_every_method_adds_up_and_keeps_coherent_forecasts(setting, method):
    errors = np.random.default_rng(0).normal(size=(len(setting.found.ids), 40))
    shares, found = shares_of(method, setting.found, errors), setting.found
    forecast = np.random.default_rng(1).normal(100, 30, (len(found.ids), 6))
    made = coherent(found, shares, forecast)
    sums = len(found.sums)
    assert np.abs(made[:sums] - found.upper @ made[sums:]).max() <= 1e-9 * np.abs(made).max()
    assert np.allclose(coherent(found, shares, made), made, rtol=1e-9)


@pytest.mark.parametrize("method", ["ols", "wls_struct", "wls_var", "mint_shrink"])
def test_forecasts_are_those_of_hierarchicalforecast(setting, method):
    from hierarchicalforecast.methods import MinTrace

    rng, found = np.random.default_rng(0), setting.found
    errors, forecast = (
        rng.normal(size=(len(found.ids), 40)) * rng.lognormal(size=(len(found.ids), 1)),
        rng.normal(100, 30, (len(found.ids), 6)),
    )
    theirs = MinTrace(method).fit_predict(
        S=found.S.toarray(), y_hat=forecast, y_insample=errors, y_hat_insample=np.zeros_like(errors)
    )["mean"]
    assert np.allclose(coherent(found, shares_of(method, found, errors), forecast), theirs, rtol=1e-7)


def big_tree(regions: int, each: int) -> Hierarchy:
    n = regions * each
    tags = {
        "Total": ("Total",),
        "region": tuple(f"region=r{k:03}" for k in range(regions)),
        "region/shop": tuple(f"s{k:05}" for k in range(n)),
    }
    return Hierarchy(
        tags, {"Total": np.zeros(n, np.int64), "region": np.arange(n) // each}, {"Total": (), "region": ("region",)}
    )


def test_five_thousand_series_are_solved_without_large_matrices():
    found, rng = big_tree(50, 100), np.random.default_rng(0)
    errors = rng.normal(size=(len(found.ids), 30)) * rng.lognormal(0, 1, (len(found.ids), 1))
    weights = weights_of("wls_var", found, errors)
    sums = len(found.sums)
    spread = found.upper.multiply(weights[sums:]).tocsr()
    exact = np.linalg.solve(np.diag(weights[:sums]) + (spread @ found.upper.T).toarray(), spread.toarray()).T
    assert np.abs(sparse_shares(found, weights) - exact).max() < 1e-8 * np.abs(exact).max()
    assert possible_methods(found, 4) == ["bottom_up", "wls_struct", "ols", "wls_var"]


def test_learnt_methods_need_errors(setting):
    with pytest.raises(VurError, match="wls_var"):
        shares_of("wls_var", setting.found)


def test_negative_parts_are_clipped_and_still_add_up(setting):
    forecast = np.random.default_rng(0).normal(0.5, 3, (len(setting.found.ids), 20))
    made = coherent(setting.found, shares_of("ols", setting.found), forecast, nonnegative=True)
    sums = len(setting.found.sums)
    assert (made >= 0).all()
    assert (made[:sums] == setting.found.upper @ made[sums:]).all()


# --- choosing ---


def test_an_accurate_total_has_weight():
    panel = panel_of_shops(simulated(500, seed=2))
    plan = plan_split(panel, SplitSpec(horizon=HORIZON, folds=8, test=False))
    residuals = mean_forecasts(panel, plan, noise={"region/shop": 0.3})
    reconciler = fit_reconciler(residuals, hierarchy(bottom_of(panel)), panel, plan)
    errors = reconciler.methods.set_index("method")["error"]
    assert reconciler.method in ("wls_var", "mint_shrink")
    assert errors[reconciler.method] < errors["none"] < errors["bottom_up"]


def test_an_inaccurate_total_has_no_weight():
    panel = panel_of_shops(simulated(500, seed=2))
    plan = plan_split(panel, SplitSpec(horizon=HORIZON, folds=8, test=False))
    residuals = mean_forecasts(panel, plan, noise={"Total": 0.5, "region": 0.5})
    reconciler = fit_reconciler(residuals, hierarchy(bottom_of(panel)), panel, plan)
    errors = reconciler.methods.set_index("method")["error"]
    assert errors[reconciler.method] < 0.5 * errors["none"] and errors[reconciler.method] < 0.8 * errors["ols"]
    assert errors[reconciler.method] <= errors["bottom_up"]


def test_weights_are_evaluated_on_held_out_folds(setting):
    matrices = fold_matrices(setting.residuals, setting.found, setting.panel, setting.plan)
    from vur.hierarchy.methods import held_out_forecasts, learning_errors

    made = held_out_forecasts("wls_var", setting.found, matrices)
    changed = replace(matrices, y=np.where(matrices.fold == 1, 5 * matrices.y, matrices.y))
    assert np.array_equal(
        held_out_forecasts("wls_var", setting.found, changed)[:, matrices.fold == 1], made[:, matrices.fold == 1]
    )
    assert not np.array_equal(
        held_out_forecasts("wls_var", setting.found, changed)[:, matrices.fold == 2], made[:, matrices.fold == 2]
    )
    assert np.isfinite(learning_errors(matrices, matrices.fold > 0)).all()


def test_one_fold_and_no_fold(setting):
    one = fit_reconciler(setting.residuals[setting.residuals["fold"] == 1], setting.found, setting.panel, setting.plan)
    assert set(one.methods["method"]) == {"none", "bottom_up", "wls_struct", "ols"}
    none = fit_reconciler(setting.residuals.head(0), setting.found, setting.panel, setting.plan)
    assert none.method == "wls_struct"
    made = none.apply(ahead_of(setting.panel), (80, 95))
    assert largest_gap(setting.found, made) <= 1e-9
    width = (made["hi-80"] - made["lo-80"]).groupby(made["unique_id"]).mean()
    assert np.sqrt((width[IDS] ** 2).sum()) < width["Total"] <= 1.01 * width[IDS].sum()


def test_a_series_that_starts_too_late_for_a_fold(setting):
    cutoff = setting.plan.folds[1].cutoffs.max()
    frame = setting.panel.frame[(setting.panel.frame["unique_id"] != "r2/s3") | (setting.panel.frame["ds"] > cutoff)]
    panel = replace(bottom_of(setting.panel), frame=frame[frame["unique_id"].isin(IDS)].reset_index(drop=True))
    panel = add_totals(panel, setting.found)
    young = mean_forecasts(panel, setting.plan)
    young = young[(young["unique_id"] != "r2/s3") | (young["fold"] > 3)]
    matrices = fold_matrices(young, setting.found, panel, setting.plan)
    row = setting.found.ids.index("r2/s3")
    assert (matrices.forecast[row, matrices.fold == 1] == 0).all() and not matrices.given[row, matrices.fold == 1].any()
    seen = panel.frame[
        (panel.frame["unique_id"] == "r2/s3") & (panel.frame["ds"] <= setting.plan.folds[2].cutoffs.max())
    ]
    assert np.allclose(matrices.forecast[row, matrices.fold == 3], seen["y"].tail(7).mean())
    made = fit_reconciler(young, setting.found, panel, setting.plan).apply(ahead_of(panel), (80, 95))
    assert largest_gap(setting.found, made) <= 1e-9
    assert np.isfinite(made[["forecast", "lo-95", "hi-95"]]).all(axis=None)


def test_series_without_any_error(setting):
    perfect = setting.residuals.assign(forecast=setting.residuals["y"])
    made = fit_reconciler(perfect, setting.found, setting.panel, setting.plan).apply(ahead_of(setting.panel), (95,))
    assert largest_gap(setting.found, made) <= 1e-9
    some = setting.residuals["unique_id"].isin(IDS[:3])
    partly = setting.residuals.assign(forecast=setting.residuals["forecast"].where(~some, setting.residuals["y"]))
    assert np.isfinite(
        fit_reconciler(partly, setting.found, setting.panel, setting.plan).apply(ahead_of(setting.panel), (95,))[
            "hi-95"
        ]
    ).all()


# --- applying ---


def test_forecasts_add_up_on_every_level(setting, fitted):
    raw = ahead_of(setting.panel)
    made = fitted.apply(raw, (80, 95))
    assert largest_gap(setting.found, raw) > 0.01
    assert largest_gap(setting.found, made) <= 1e-9
    assert list(made) == ["unique_id", "ds", "forecast", "lo-80", "hi-80", "lo-95", "hi-95"]
    ends = made[["lo-95", "lo-80", "forecast", "hi-80", "hi-95"]].to_numpy()
    assert (np.diff(ends, axis=1) >= 0).all()


def test_rows_keep_their_order_and_their_columns(setting, fitted):
    raw = ahead_of(setting.panel).assign(note="kept")
    made = fitted.apply(raw, (80,))
    mixed = fitted.apply(raw.sample(frac=1, random_state=0), (80,))
    pd.testing.assert_frame_equal(mixed.sort_index(), made)
    assert (made["note"] == "kept").all()
    assert reconcile_forecast(None, raw, (80,)) is raw
    pd.testing.assert_frame_equal(reconcile_forecast(fitted, raw, (80,)), made)
    pd.testing.assert_frame_equal(fitted.apply(raw, ()), made[list(raw)])


def test_counts_are_expected_values_with_whole_intervals_and_never_negative():
    panel = panel_of_shops(np.maximum(simulated(300, seed=4) - 95, 0), integer=True)
    plan = plan_split(panel, SplitSpec(horizon=HORIZON, folds=4, test=False))
    assert all(panel.integer.values()) and all(panel.nonnegative.values())
    found = hierarchy(bottom_of(panel))
    made = fit_reconciler(mean_forecasts(panel, plan), found, panel, plan).apply(ahead_of(panel), (80, 95))
    ends = made[["lo-80", "hi-80", "lo-95", "hi-95"]].to_numpy()
    assert (ends == np.round(ends)).all() and (ends >= 0).all() and (made["forecast"] >= 0).all()
    assert (made["forecast"] % 1 > 0).any()
    assert largest_gap(found, made) == pytest.approx(0, abs=1e-12)


def test_forecasts_that_cannot_be_reconciled(setting, fitted):
    raw = ahead_of(setting.panel)
    with pytest.raises(VurError) as info:
        fitted.apply(raw[(raw["unique_id"] != "r1/s2") | (raw["ds"] != raw["ds"].max())])
    assert info.value.code == "hierarchy.incomplete"
    assert all(
        "r1/s2" in info.value.text(language) and str(raw["ds"].max())[:10] in info.value.text(language)
        for language in LANGUAGES
    )
    with pytest.raises(VurError, match="r9/s9"):
        fitted.apply(pd.concat([raw, raw.tail(1).assign(unique_id="r9/s9")]))


def test_saved_reconcilers_give_the_same_numbers_in_another_process(setting, fitted, tmp_path):
    raw = ahead_of(setting.panel)
    fitted.save(tmp_path / "kept")
    raw.to_parquet(tmp_path / "raw.parquet")
    program = (
        "import sys, pandas as pd; from pathlib import Path; from vur.hierarchy.reconcile import load_reconciler\n"
        "here = Path(sys.argv[1]); again = load_reconciler(here / 'kept')\n"
        "again.apply(pd.read_parquet(here / 'raw.parquet'), (80, 95)).to_parquet(here / 'made.parquet')\n"
        "assert 'hierarchicalforecast' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, cwd=ROOT, timeout=120)
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "made.parquet"), fitted.apply(raw, (80, 95)), check_exact=True
    )
    again = load_reconciler(tmp_path / "kept")
    pd.testing.assert_frame_equal(again.methods, fitted.methods)
    assert not any(path.suffix in (".pkl", ".joblib") for path in tmp_path.rglob("*"))
    (tmp_path / "kept" / "state.npz").unlink()
    with pytest.raises(VurError, match="kept"):
        load_reconciler(tmp_path / "kept")


def test_fitting_twice_gives_the_same_numbers(setting, fitted):
    raw, again = ahead_of(setting.panel), fit_reconciler(setting.residuals, setting.found, setting.panel, setting.plan)
    pd.testing.assert_frame_equal(again.apply(raw, (80, 95)), fitted.apply(raw, (80, 95)), check_exact=True)
    other = fit_reconciler(setting.residuals, setting.found, setting.panel, setting.plan, seed=1)
    assert not other.apply(raw, (80,))["lo-80"].equals(fitted.apply(raw, (80,))["lo-80"])


# --- intervals ---


def test_sampled_paths_add_up_and_hold_the_intervals(setting, fitted):
    raw = ahead_of(setting.panel)
    paths, made = fitted.paths(raw), fitted.apply(raw, (80,)).set_index(["unique_id", "ds"])
    sums = len(setting.found.sums)
    assert paths.shape == (len(setting.found.ids), HORIZON, 1000)
    assert (
        np.abs(paths[:sums].reshape(sums, -1) - setting.found.upper @ paths[sums:].reshape(len(IDS), -1)).max()
        < 1e-9 * np.abs(paths).max()
    )
    total = made.loc["Total"]
    inside = (paths[0] >= total["lo-80"].to_numpy()[:, None]) & (paths[0] <= total["hi-80"].to_numpy()[:, None])
    assert inside.mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.slow
def test_intervals_hold_on_every_level_where_parts_move_together():
    """Over many worlds: nominal coverage of total, regions and shops; independent sums would miss it by far."""
    inside, independent = {}, []
    for seed in range(8):
        values = simulated(1400, seed=100 + seed, share=0.6)
        panel, later = panel_of_shops(values[:400]), panel_of_shops(values)
        plan = plan_split(panel, SplitSpec(horizon=HORIZON, folds=6, test=False))
        found = hierarchy(bottom_of(panel))
        reconciler = fit_reconciler(mean_forecasts(panel, plan), found, panel, plan)
        actual = later.frame.pivot(index="unique_id", columns="ds", values="y").loc[list(found.ids)].to_numpy()
        for origin in range(500, 1393, 28):
            mean = actual[:, origin - 28 : origin].mean(axis=1)
            raw = pd.DataFrame(
                {
                    "unique_id": np.repeat(found.ids, HORIZON),
                    "ds": np.tile(np.arange(HORIZON), len(found.ids)),
                    "forecast": np.repeat(mean, HORIZON),
                }
            )
            made = reconciler.apply(raw, (80, 95))
            made = made.assign(
                y=actual[:, origin : origin + HORIZON].ravel(), level=made["unique_id"].map(found.level_of)
            )
            for level in (80, 95):
                hit = (made["y"] >= made[f"lo-{level}"]) & (made["y"] <= made[f"hi-{level}"])
                for name, share in hit.groupby(made["level"]).mean().items():
                    inside.setdefault((name, level), []).append(share)
            total, parts = made[made["level"] == "Total"], made[made["level"] == "region/shop"]
            half = np.sqrt((((parts["hi-80"] - parts["lo-80"]) / 2) ** 2).groupby(parts["ds"]).sum().to_numpy())
            independent.append((np.abs(total["y"] - total["forecast"]).to_numpy() <= half).mean())
    for (name, level), shares in inside.items():
        low, high = {80: (0.74, 0.88), 95: (0.915, 0.99)}[level]
        assert low <= np.mean(shares) <= high, (name, level, np.mean(shares))
    assert np.mean(independent) < 0.6


# --- a whole training ---


def test_a_training_whose_forecasts_add_up(airports):
    training, whole = airports.training, airports.whole
    reconciler = whole.pipeline.reconciler
    raw = training.pipeline.predict(14)
    made = reconciler.apply(raw, (80, 95))
    assert largest_gap(airports.found, raw) > 0 and largest_gap(airports.found, made) == 0
    assert getattr(training.pipeline, "reconciler", None) is None  # the training given is not touched
    mine = whole.test_forecasts[whole.test_forecasts["algorithm"] == whole.winner]
    assert largest_gap(airports.found, mine) == 0 and mine["y"].notna().all()
    other = whole.test_forecasts["algorithm"] != whole.winner
    pd.testing.assert_frame_equal(whole.test_forecasts[other], training.test_forecasts[other])
    assert {"mase", "skill", "coverage-80", "width-95"} <= set(whole.test_scores)


def test_scores_by_level(airports):
    table = airports.whole.pipeline.reconciler.by_level.set_index("level")
    assert list(table.index) == ["Total", "origin"] and table["series"].tolist() == [1, 3]
    board = airports.training.leaderboard.set_index("algorithm").loc[airports.whole.winner]
    assert (table["mase_before"] * table["series"]).sum() / 4 == pytest.approx(board["mase"])
    methods = airports.whole.pipeline.reconciler.methods
    assert np.isfinite(table[["mase_after", "mae_after", "skill_after", "change"]]).all(axis=None)
    assert set(methods["method"]) == {"none", *METHODS}


# --- the report ---


def facts_of(airports, language: str = "en") -> Facts:
    pipeline = airports.whole.pipeline
    forecast = pipeline.reconciler.apply(pipeline.predict(14)[["unique_id", "ds", "forecast"]], (80, 95))
    return Facts(airports.panel, airports.whole, airports.plan, forecast, language)


def test_the_report_has_a_section_on_totals(airports):
    found = section.collect(facts_of(airports))
    for language in LANGUAGES:
        part = section.part(found, language)
        text = " ".join(part.sentences)
        assert ("3 series by origin" in text) if language == "en" else ("3 séries por origin" in text)
        assert "14" in text and part.blocks[0].figure["data"]
        json.dumps([block.figure for block in part.blocks], allow_nan=False)
        levels = part.blocks[1].table["rows"]
        assert [row[0] for row in levels] == ["Total", "origin"] and len(part.blocks[2].table["rows"]) == 6
        marked = part.blocks[2].table["marked"]
        assert len(marked) == 1
    names = [trace["name"] for trace in part.blocks[0].figure["data"] if trace.get("stackgroup")]
    assert sorted(names) == ["EWR", "JFK", "LGA"]


def test_the_report_says_when_sums_do_not_add_up(airports):
    facts = facts_of(airports)
    off = facts.forecast["unique_id"] == "Total"
    wrong = replace(facts, forecast=facts.forecast.assign(forecast=facts.forecast["forecast"] + 100 * off))
    assert "do not add up" in " ".join(section.part(section.collect(wrong), "en").sentences)
    assert "do not add up exactly" not in " ".join(section.part(section.collect(facts), "en").sentences)


def test_the_report_has_no_section_without_sums(airports):
    assert section.collect(replace(facts_of(airports), training=airports.training)) is None


def test_the_report_of_many_parts(setting, fitted):
    found = hierarchy(bottom_of(setting.panel), [[]])
    reconciler = fit_reconciler(setting.residuals.head(0), found, setting.panel, setting.plan)
    kept = ["Total", *IDS]
    panel = setting.panel.with_frame(setting.panel.frame[setting.panel.frame["unique_id"].isin(kept)])
    panel = replace(panel, notes={"late": pd.DataFrame({"unique_id": ["r0/s1"], "ds": [1]})})
    forecast = reconciler.apply(ahead_of(panel), (80,))
    told = section.collect(
        Facts(panel, SimpleNamespace(pipeline=SimpleNamespace(reconciler=reconciler)), setting.plan, forecast)
    )
    part = section.part(told, "en")
    assert [trace["name"] for trace in part.blocks[0].figure["data"] if trace.get("stackgroup")][-1] == "7 others"
    assert "r0/s1" in " ".join(part.sentences)
    assert len(part.blocks) == 1  # no folds, so nothing to compare


def test_importing_vur_does_not_import_hierarchicalforecast():
    program = (
        "import sys, vur, vur.hierarchy, vur.hierarchy.reconcile\nassert 'hierarchicalforecast' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, timeout=120)
    assert frequency("D").alias == "D"
