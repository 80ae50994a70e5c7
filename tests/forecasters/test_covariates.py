"""Known-future and past-only columns: used where they help, never ahead of time, every mistake named."""

import json
from dataclasses import replace
from time import perf_counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from builders import FLIGHT_COLUMNS, daily_sales, flights, seasonal

from vur.errors import VurError
from vur.forecasters.base import create, load_forecaster
from vur.forecasters.design import Design, design_for, training_rows, with_leads
from vur.forecasters.registry import algorithms
from vur.frequency import frequency
from vur.models.future import (
    check_cells,
    check_usable,
    coming_steps,
    covariate_use,
    fill_coming,
    future_table,
    known_users,
    missing_cells,
    used_columns,
)
from vur.panel import Panel, make_panel
from vur.stages.features import FeatureSpec, resolve_features
from vur.stages.model import Candidate
from vur.stages.model.pipeline import Pipeline, load_pipeline

QUICK = {
    "ridge": {},
    "linear_regression": {},
    "random_forest": {"trees": 20, "tree_rows": 2000},
    "lightgbm": {"rounds": 60},
    "lightgbm_count": {"rounds": 100, "learning_rate": 0.1, "leaves": 15, "min_leaf": 20, "l2": 1.0},
    "xgboost": {"rounds": 60},
}
ON_FEATURES = [id for id, entry in algorithms().items() if entry.family == "machine_learning"]


def led(n: int = 300, lag: int = 7, columns: tuple[str, ...] = ("visits", "noise", "walk"), seed: int = 0) -> Panel:
    """Two shops whose sales follow their visits `lag` days later, beside two columns without any use."""
    parts, days = [], pd.date_range("2023-01-02", periods=n)
    for i in range(2):
        rng = np.random.default_rng([seed, i])
        visits = 500 + 100 * rng.normal(size=n)
        effect = 0.05 * (np.r_[np.full(lag, 500.0), visits[:-lag]] - 500)
        y = (i + 1) * (seasonal(n, 7, level=50, swing=5, noise=1, seed=rng) + effect)
        parts.append(
            pd.DataFrame(
                {
                    "unique_id": f"s{i}",
                    "ds": days,
                    "y": y,
                    "visits": visits,
                    "noise": rng.normal(size=n),
                    "walk": rng.normal(size=n).cumsum(),
                }
            )
        )
    frame = pd.concat(parts, ignore_index=True)[["unique_id", "ds", "y", *columns]]
    return Panel(frame, frequency("D"), dict.fromkeys(columns, "past_only"))


def until(panel: Panel, rows: int) -> Panel:
    return panel.with_frame(panel.frame[panel.frame.groupby("unique_id").cumcount() < rows])


def error_of(panel: Panel, id: str, ahead: int = 5) -> float:
    """Mean absolute error of the first steps from several origins, fitted once."""
    model, errors = create(id, steps=7, **QUICK[id]).fit(until(panel, 240)), []
    for rows in range(240, 290, 5):
        merged = model.update(until(panel, rows)).predict(ahead).merge(panel.frame, on=["unique_id", "ds"])
        errors.append((merged["forecast"] - merged["y"]).abs().mean())
    return float(np.mean(errors))


# --- past_only ---


@pytest.mark.parametrize("id", ON_FEATURES)
def test_a_column_that_leads_the_target_makes_every_regression_better(id):
    without, useless, useful = (
        error_of(led(columns=columns), id) for columns in ((), ("noise", "walk"), ("visits", "noise", "walk"))
    )
    assert useful < 0.7 * without
    assert useless == without, "a column without any use must not change a forecast"


@pytest.mark.parametrize("lag", [1, 3, 10])
def test_the_lag_at_which_a_column_leads_is_found(lag):
    panel = led(lag=lag)
    design = with_leads(panel, design_for(panel), seed=0)
    assert [(lead.column, lead.lag) for lead in design.leads] == [("visits", lag)]
    names = training_rows(panel, design, 5000, 0).names
    assert [name for name in names if "[" in name] == ["visits[last]", "visits[mean]", f"visits[lag{lag}]"]


def test_leads_are_read_where_they_were_measured_and_nowhere_later():
    panel = led(lag=3)
    design = replace(with_leads(panel, design_for(panel), seed=0), steps=6)
    rows = training_rows(panel, design, 100_000, seed=0)
    lag3 = rows.X[:, rows.names.index("visits[lag3]")]
    assert (lag3[rows.step > 3] == 0).all() and (lag3[rows.step <= 3] != 0).mean() > 0.99
    at_three = rows.step == 3
    np.testing.assert_array_equal(lag3[at_three], rows.X[at_three, rows.names.index("visits[last]")])


@pytest.mark.parametrize("id", ["ridge", "lightgbm"])
def test_weather_without_predictive_value_does_not_change_the_forecast(id):
    airports = (flights(columns, "2013-10-08") for columns in ((), FLIGHT_COLUMNS))
    plain, beside = (create(id, **QUICK[id]).fit(panel).predict(28) for panel in airports)
    pd.testing.assert_frame_equal(plain, beside, check_exact=True)


@pytest.mark.parametrize("id", ["ridge", "xgboost"])
def test_values_after_the_cutoff_change_nothing_and_values_before_it_do(id):
    from vur.scoring.leakage import corrupt

    panel = led()
    cutoff = panel.frame.groupby("unique_id")["ds"].max() - pd.Timedelta(days=20)

    def forecast(source: Panel) -> np.ndarray:
        seen = source.frame[source.frame["ds"] <= source.frame["unique_id"].map(cutoff)]
        return create(id, **QUICK[id]).fit(source.with_frame(seen)).predict(7)["forecast"].to_numpy()

    true = forecast(panel)
    assert np.array_equal(true, forecast(corrupt(panel, cutoff)))
    earlier = corrupt(panel, cutoff - pd.Timedelta(days=5))
    only_visits = panel.with_frame(
        panel.frame.assign(
            visits=np.where(earlier.frame["visits"] != panel.frame["visits"], 900.0, panel.frame["visits"])
        )
    )
    assert not np.array_equal(true, forecast(only_visits))


@pytest.mark.parametrize("id", ["linear_regression", "ridge", "lightgbm", "xgboost"])
def test_the_leakage_canary_passes_with_past_only_columns(id):
    from vur.stages.split import plan_split
    from vur.stages.split.folds import SplitSpec
    from vur.stages.training.evaluation import Setting, canary_row

    panel = led()
    plan = plan_split(panel, SplitSpec(horizon=7, folds=2))
    setting = Setting(panel, plan, features=resolve_features(FeatureSpec(), panel))
    row = canary_row(setting, Candidate(id, id, QUICK[id])).iloc[0]
    assert row["passed"] and row["max_difference"] == 0


@pytest.mark.parametrize("id", ON_FEATURES)
def test_a_model_with_leads_is_saved_moved_and_survives_holes(id, tmp_path):
    panel = led(lag=2)
    holes = panel.with_frame(panel.frame.assign(visits=panel.frame["visits"].where(panel.frame.index % 11 != 3)))
    model = create(id, steps=7, **QUICK[id]).fit(until(holes, 280))
    assert [lead.column for lead in model.design.leads] == ["visits"]
    before = model.predict(30)
    assert np.isfinite(before["forecast"]).all(), "beyond the block nothing is known of the visits"
    loaded = load_forecaster(model.save(tmp_path))
    pd.testing.assert_frame_equal(loaded.predict(30), before, check_exact=True)
    moved, direct = (m.update(holes).predict(5) for m in (loaded, model))
    pd.testing.assert_frame_equal(moved, direct, check_exact=True)
    assert not np.array_equal(moved["forecast"], before.groupby("unique_id").head(5)["forecast"])
    with pytest.raises(VurError, match="visits"):
        model.update(led(columns=("noise",)))


@pytest.mark.parametrize("id", ["ridge", "lightgbm"])
def test_beyond_the_block_an_unknown_driver_counts_as_usual_and_not_as_zero(id):
    forecast = create(id, steps=7, **QUICK[id]).fit(led(lag=2)).predict(21)["forecast"].to_numpy().reshape(2, 21)
    usual = 50 + 5 * np.sin(np.arange(300, 321) * 2 * np.pi / 7)
    np.testing.assert_allclose(forecast[:, 7:] / [[1], [2]], [usual[7:], usual[7:]], rtol=0.12)


def test_the_history_stored_with_a_model_covers_its_leads():
    panel = led(lag=2)
    model = create("ridge", steps=7, features=FeatureSpec(lags=(1,), rolling=(), differences=())).fit(panel)
    kept = model.predict(7)["forecast"]
    assert len(model.tail) < len(panel.frame)
    model.tail = panel.frame
    np.testing.assert_allclose(model.predict(7)["forecast"], kept, rtol=1e-9)


def test_a_driver_that_was_never_measured_at_the_end_still_gives_a_forecast():
    panel = led(lag=2)
    model = create("lightgbm", **QUICK["lightgbm"]).fit(panel)
    gone = panel.with_frame(panel.frame.assign(visits=panel.frame["visits"].where(panel.frame["ds"] < "2023-08-01")))
    assert np.isfinite(model.update(gone).predict(14)["forecast"]).all()


def test_only_numbers_and_flags_may_lead():
    panel = led()
    panel = Panel(
        panel.frame.assign(sky="grey", open=panel.frame["noise"] > 0),
        panel.freq,
        panel.roles | {"sky": "past_only", "open": "past_only"},
    )
    assert resolve_features(FeatureSpec(), panel).past_only == ("noise", "open", "visits", "walk")
    create("ridge").fit(panel).predict(3)
    for language in ("en", "pt-BR"):
        with pytest.raises(VurError) as caught:
            resolve_features(FeatureSpec(past_only=("sky",)), panel)
        assert "sky" in caught.value.text(language) and "grey" in caught.value.text(language)
    with pytest.raises(VurError, match="price"):
        resolve_features(FeatureSpec(past_only=("price",)), panel)


def test_no_column_leads_when_none_is_selected():
    panel = led()
    spec = resolve_features(FeatureSpec(past_only=()), panel)
    assert with_leads(panel, design_for(panel, spec), seed=0).leads == ()


def test_a_design_from_before_there_were_leads_can_be_read():
    data = json.loads(json.dumps(design_for(flights(())).to_dict()))
    del data["leads"], data["spec"]["past_only"]
    assert Design.from_dict(data).leads == () and Design.from_dict(data).spec.past_only == ()


def test_a_covariate_whose_name_looks_like_a_lag_keeps_its_values():
    panel = led(columns=())
    level = np.linspace(1000, 2000, len(panel.frame))
    panel = Panel(
        panel.frame.assign(lagoon_level=level, difference_in_price=level),
        panel.freq,
        dict.fromkeys(("lagoon_level", "difference_in_price"), "known_future"),
    )
    rows = training_rows(panel, design_for(panel), 1000, seed=0)
    assert rows.X[:, rows.names.index("lagoon_level")].max() > 1900
    assert rows.X[:, rows.names.index("difference_in_price")].max() > 1900


# --- known in the future: who uses it ---


def priced(n: int = 200, coming: int = 0, shops: tuple[str, ...] = ("norte", "sul")) -> pd.DataFrame:
    """Sales that fall by 5 of 100 for each unit of price, with custom column names; `coming` days have no sales yet."""
    frame = daily_sales(dict.fromkeys(shops, 100.0), n, coming, growth=2, week=8, price=-5)
    frame["clima"] = np.random.default_rng(1).choice(["sol", "chuva"], len(frame))
    return frame.rename(columns={"unique_id": "loja", "ds": "dia", "y": "vendas", "price": "preço"})


def priced_panel(**given) -> Panel:
    return make_panel(
        priced(**given),
        date="dia",
        target="vendas",
        series=["loja"],
        roles={"preço": "known_future", "clima": "known_future"},
    )


def pipeline(panel: Panel, id: str = "ridge", **parameters) -> Pipeline:
    return Pipeline(Candidate(id, id, parameters), features=resolve_features(FeatureSpec(), panel)).fit(panel)


def test_a_model_without_known_future_columns_refuses_future_values_by_name():
    panel = priced_panel()
    model = pipeline(panel, "theta")
    check_usable(model, None)
    for language in ("en", "pt-BR"):
        with pytest.raises(VurError) as caught:
            check_usable(model, priced().drop(columns="vendas"))
        assert caught.value.code == "covariates.unused"
        text = caught.value.text(language)
        assert (
            "theta" in text and "preço, clima" in text and "loja" not in text and "lightgbm" in text and "ridge" in text
        )


def test_a_regression_uses_them_unless_its_features_leave_them_out():
    panel = priced_panel()
    model = pipeline(panel)
    assert used_columns(model) == ["preço", "clima"]
    check_usable(model, priced())
    deaf = Pipeline(Candidate("ridge", "ridge"), features=resolve_features(FeatureSpec(known_future=()), panel)).fit(
        panel
    )
    with pytest.raises(VurError, match="preço"):
        check_usable(deaf, priced())


def test_an_ensemble_is_usable_when_one_member_is():
    panel = priced_panel()
    assert used_columns(pipeline(panel, "ensemble", members=["theta", "ridge"])) == ["preço", "clima"]
    with pytest.raises(VurError, match="ensemble"):
        check_usable(pipeline(panel, "ensemble", members=["theta", "naive"]), priced())


def test_which_covariates_each_algorithm_uses():
    panel = priced_panel()
    panel = Panel(
        panel.frame.assign(visits=1.0, note="x", hub="y"),
        panel.freq,
        panel.roles | {"visits": "past_only", "note": "past_only", "hub": "static"},
    )
    assert covariate_use("xgboost", panel) == {"used": ["preço", "clima", "visits", "hub"], "ignored": ["note"]}
    assert covariate_use("theta", panel)["used"] == [] and len(covariate_use("theta", panel)["ignored"]) == 5
    assert "preço" in covariate_use("ensemble", panel, members=["theta", "ridge"])["used"]
    assert set(ON_FEATURES) <= set(known_users()) and "naive" not in known_users()
    for id, entry in algorithms().items():
        assert set(covariate_use(id, panel)["used"]) <= {
            c for c, role in panel.roles.items() if role in entry.covariates
        }


# --- the table of future values ---


def test_the_template_has_the_users_names_and_what_is_known():
    panel = priced_panel(coming=3)
    for source in (panel, pipeline(panel)):
        table = future_table(source, 5)
        assert list(table) == ["dia", "loja", "preço", "clima"] and len(table) == 10
        assert table["dia"].iloc[0] == pd.Timestamp("2024-07-19") and table["loja"].unique().tolist() == [
            "norte",
            "sul",
        ]
        assert table["preço"].isna().tolist() == [False] * 3 + [True] * 2 + [False] * 3 + [True] * 2
        truth = priced(coming=3).query("vendas != vendas")
        assert (
            table.dropna()["preço"].tolist() == truth["preço"].tolist()
            and table.dropna()["clima"].tolist() == truth["clima"].tolist()
        )


def test_a_loaded_model_keeps_what_was_known(tmp_path):
    panel = priced_panel(coming=3)
    model = pipeline(panel)
    model.save(tmp_path)
    pd.testing.assert_frame_equal(future_table(load_pipeline(tmp_path), 4, panel.names), future_table(model, 4))


def test_missing_cells_are_listed_exactly():
    table = future_table(priced_panel(coming=2), 2)
    assert missing_cells(table).empty
    table.loc[3, "preço"] = np.nan
    assert missing_cells(table).to_dict("records") == [
        {"series": "sul", "stamp": pd.Timestamp("2024-07-20"), "column": "preço"}
    ]
    table.loc[0, "clima"] = None
    assert missing_cells(pd.DataFrame(table), "dia", ["loja"])["column"].tolist() == ["clima", "preço"]


def test_several_series_columns_and_steps_of_a_month_and_of_an_hour():
    rows = [
        {"mês": day, "estado": state, "loja": shop, "y": 1.0 + k, "meta": 5.0}
        for state, shop in (("CE", "1/2"), ("SP", "7"))
        for k, day in enumerate(pd.date_range("2022-01-31", periods=24, freq="ME"))
    ]
    panel = make_panel(
        pd.DataFrame(rows), date="mês", target="y", series=["estado", "loja"], roles={"meta": "known_future"}
    )
    table = future_table(panel, 2)
    assert table[["estado", "loja"]].drop_duplicates().to_numpy().tolist() == [["CE", "1/2"], ["SP", "7"]]
    coming = fill_coming(
        coming_steps(panel, 2), table.assign(meta=[1, 2, 3, 4], mês=table["mês"] - pd.Timedelta(days=3)), ["meta"]
    )
    assert coming.rows["meta"].tolist() == [1, 2, 3, 4], "any day of the month names the step"
    bare = pipeline(panel)  # a model keeps no series columns, and 1/2 cannot be told from two names
    assert list(future_table(bare, 1)) == ["mês", "unique_id", "meta"]
    assert fill_coming(coming_steps(bare, 1), future_table(bare, 1).assign(meta=9), ["meta"]).rows["meta"].tolist() == [
        9,
        9,
    ]

    hours = pd.date_range("2024-03-01", periods=200, freq="h", tz="America/Sao_Paulo")
    panel = make_panel(
        pd.DataFrame({"t": hours, "y": np.arange(200.0), "x": 1.0}), date="t", target="y", roles={"x": "known_future"}
    )
    table = future_table(panel, 3)
    assert table["t"].iloc[0] == pd.Timestamp("2024-03-09 08:00", tz="America/Sao_Paulo")
    for stamps in (
        table["t"],
        table["t"].dt.tz_localize(None),
        table["t"].astype(str),
        table["t"].dt.tz_convert("UTC"),
    ):
        coming = coming_steps(panel, 3)
        naive = stamps.dtype != object and stamps.dt.tz is None
        filled = fill_coming(
            replace(coming, tz="America/Sao_Paulo") if naive else coming, table.assign(t=stamps, x=[4, 5, 6]), ["x"]
        )
        assert filled.rows["x"].tolist() == [4, 5, 6]


def test_five_thousand_series_take_seconds():
    days = pd.date_range("2024-01-01", periods=30)
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat([f"s{i:04}" for i in range(5000)], 30),
            "ds": np.tile(days, 5000),
            "y": 1.0,
            "price": 2.0,
        }
    )
    panel = Panel(frame, frequency("D"), {"price": "known_future"}, names={"date": "day", "series": ["shop"]})
    started = perf_counter()
    table = future_table(panel, 28)
    assert len(table) == 140_000 and len(missing_cells(table)) == 140_000
    filled = fill_coming(coming_steps(panel, 28), table.assign(price=1.5), ["price"])
    check_cells(filled, ["price"])
    assert perf_counter() - started < 20
    with pytest.raises(VurError) as caught:
        check_cells(
            fill_coming(
                coming_steps(panel, 28), table.assign(price=np.where(table.index == 77_777, np.nan, 1.0)), ["price"]
            ),
            ["price"],
        )
    assert caught.value.data["table"].to_numpy().tolist() == [["s2777", pd.Timestamp("2024-02-21"), "price"]]


# --- what a user's table can have wrong ---


def filled(change) -> pd.DataFrame:
    """Coming rows of two shops, complete but for what `change(table)` does to a copy of the table."""
    panel = priced_panel()
    table = future_table(panel, 4).assign(**{"preço": 10.0, "clima": "sol"})
    coming = fill_coming(coming_steps(panel, 4), change(table.copy()), ["preço", "clima"])
    check_cells(coming, ["preço", "clima"])
    return coming.rows


def put(row: int, column: str, value) -> object:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table[column] = table[column].astype(object)
        table.loc[row, column] = value
        return table

    return change


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        (put(6, "preço", None), "covariates.missing", ["preço (sul, 2024-07-21)"]),
        (lambda t: t.drop(index=2), "covariates.missing", ["preço (norte, 2024-07-21)", "clima (norte, 2024-07-21)"]),
        (put(5, "preço", "dez reais"), "covariates.not_number", ["preço", "dez reais", "sul", "2024-07-20", "6"]),
        (put(1, "preço", np.inf), "covariates.not_number", ["preço", "norte", "2024-07-20"]),
        (put(4, "loja", "suul"), "covariates.unknown_series", ["suul", "sul", "5"]),
        (lambda t: t.rename(columns={"preço": "Preço"}), "covariates.column_close", ["preço", "Preço"]),
        (lambda t: t.rename(columns={"preço": "valor"}), "covariates.column_missing", ["preço", "valor"]),
        (lambda t: t.drop(columns="loja"), "covariates.column_missing", ["loja"]),
        (lambda t: t.rename(columns={"dia": "data"}), "covariates.column_missing", ["dia"]),
        (lambda t: pd.concat([t, t.tail(1)]), "covariates.twice", ["sul", "2024-07-22", "8, 9"]),
        (
            lambda t: t.assign(dia=t["dia"] + pd.Timedelta(days=40)),
            "covariates.outside",
            ["2024-07-19", "2024-07-22", "2024-08-28"],
        ),
        (lambda t: t.assign(dia=range(8)), "covariates.stamps", ["dia"]),
        (lambda t: t.iloc[:0], "covariates.no_rows", []),
    ],
)
def test_each_mistake_in_the_future_values_is_named(change, code, named):
    with pytest.raises(VurError) as caught:
        filled(change)
    assert caught.value.code == code
    for language in ("en", "pt-BR"):
        assert all(word in caught.value.text(language) for word in named), caught.value.text(language)


def test_a_complete_table_is_taken_in_any_order_with_rows_of_the_past_and_other_columns():
    past = priced().drop(columns="vendas").head(3)
    shuffled = filled(lambda t: pd.concat([past, t.sample(frac=1, random_state=1).assign(obs="?", vendas=np.nan)]))
    pd.testing.assert_frame_equal(shuffled, filled(lambda t: t))
    assert filled(lambda t: t.assign(**{"preço": "10.5"}))["preço"].tolist() == [10.5] * 8


def test_one_missing_cell_is_the_only_one_named():
    with pytest.raises(VurError) as caught:
        filled(put(6, "preço", None))
    assert caught.value.data["count"] == 1
    assert caught.value.data["table"].to_dict("records") == [
        {"series": "sul", "stamp": pd.Timestamp("2024-07-21"), "column": "preço"}
    ]


def test_a_long_list_of_missing_cells_is_cut_in_the_message_and_whole_in_the_data():
    with pytest.raises(VurError) as caught:
        check_cells(coming_steps(priced_panel(), 30), ["preço", "clima"])
    assert len(caught.value.data["table"]) == caught.value.data["count"] == 120 and len(str(caught.value)) < 600


def test_what_is_empty_in_the_table_is_taken_from_the_training_data():
    panel = priced_panel(coming=2)
    known = coming_steps(panel, 2).rows
    coming = fill_coming(
        coming_steps(panel, 2), future_table(panel, 2).assign(**{"preço": [1.0, None, None, None]}), ["preço"]
    )
    assert coming.rows["preço"].tolist() == [1.0, *known["preço"].iloc[1:]]
    ends = panel.frame.groupby("unique_id")["ds"].max()
    one = SimpleNamespace(head=panel, ends=ends, behind=pd.Series(0, index=ends.index))
    assert (
        fill_coming(coming_steps(one, 2), pd.DataFrame({"dia": ["2024-07-19"], "loja": ["sul"], "preço": [3]}), [])
        .rows["preço"]
        .iloc[2]
        == 3
    )
