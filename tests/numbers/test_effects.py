"""Covariates reach the forecast, their order does not; columns that hold the answer and levels never seen are said."""

from dataclasses import replace
from time import monotonic

import numpy as np
import pandas as pd
import pytest

import vur
from vur.cli import main, parser
from vur.errors import VurError
from vur.explain.drivers import column_effects, drivers
from vur.explain.why import explain_point
from vur.forecasters.effects import learn_effects
from vur.models.forecast import forecasts
from vur.models.saved import Saved, open_model
from vur.models.scenarios import scenario
from vur.panel import Panel, make_panel
from vur.predictions.answer import Answer, render
from vur.runs.config import Config
from vur.serving.schemas.datasets import Configure as ColumnBody
from vur.serving.schemas.models import Configure as ModelBody
from vur.stages.model import Candidate, ModelSpec
from vur.stages.model.pipeline import Pipeline, load_pipeline
from vur.stages.preview.audit import audit
from vur.stages.split import plan_split
from vur.stages.split.folds import SplitSpec
from vur.stages.training import Training, train

HORIZON = 14
KNOWN = {"price": "known_future", "promo": "known_future"}


def shop(seed: int, days: int = 240, form: str = "additive", rate: float = 0.08, name: str = "a") -> pd.DataFrame:
    """A shop whose promotions are worth 30 (or 35 %) and a unit of price -2 (or -4 %); its future is quiet."""
    rng, t = np.random.default_rng(seed), np.arange(days + HORIZON)
    price, promo = rng.uniform(7, 13, len(t)), (rng.random(len(t)) < rate).astype(int)
    promo[days:] = 0
    level = 100 + np.cumsum(rng.normal(0, 0.6, len(t)))
    if form == "additive":
        y = level + 12 * np.sin(2 * np.pi * t / 7) - 2 * (price - 10) + 30 * promo + rng.normal(0, 6, len(t))
    else:
        y = level * (1 + 0.12 * np.sin(2 * np.pi * t / 7)) * np.exp(0.3 * promo - 0.04 * (price - 10))
        y = y * rng.normal(1, 0.06, len(t)) * np.exp(0.004 * t)
    table = {"shop": name, "ds": pd.date_range("2024-01-01", periods=len(t)), "price": price, "promo": promo}
    return pd.DataFrame(table | {"y": np.where(t < days, y, np.nan)})


def panel_of(*shops: pd.DataFrame, **roles: str) -> Panel:
    return make_panel(pd.concat(shops), series=["shop"], freq="D", roles=KNOWN | roles)


def trained(panel: Panel, *algorithms: str, folds: int = 3, effects: str = "auto") -> Training:
    plan = plan_split(panel, SplitSpec(horizon=HORIZON, folds=folds))
    found = [Candidate(name, name) for name in ("seasonal_naive", *algorithms)]
    return train(panel, plan, found, model=ModelSpec(algorithms=algorithms, effects=effects), clock=monotonic)


def moved(pipeline: Pipeline, panel: Panel, **change: float) -> float:
    """What the forecast of the horizon adds up to with other values of a column, less what it was."""
    assert panel.future is not None
    other = panel.future.assign(**change)
    plain, changed = (pipeline.predict(HORIZON, X)["forecast"].sum() for X in (panel.future, other))
    return float(changed - plain)


# --- effects ---


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_blind_members_do_not_vote_an_effect_away(seed: int) -> None:
    panel = panel_of(shop(seed))
    training = trained(panel, "theta", "ridge")
    assert training.pipeline.effects is not None, "errors out of fold fall by much"
    cheaper = moved(training.pipeline, panel, price=panel.future["price"] * 0.9)
    assert 0.65 * 30 * HORIZON < moved(training.pipeline, panel, promo=1) < 1.35 * 30 * HORIZON
    true = 2 * 0.1 * panel.future["price"].sum()
    assert 0.65 * true < cheaper < 1.35 * true
    plain = trained(panel, "theta", "ridge", effects="never")
    lost = moved(plain.pipeline, panel, promo=1) < 0.65 * 30 * HORIZON
    assert lost or plain.winner == "ridge", "the median of both loses it, unless ridge is used alone"


@pytest.mark.parametrize("algorithm", ["theta", "lightgbm", "ridge", "ets"])
def test_every_winner_moves_by_the_true_effect(algorithm: str) -> None:
    panel = panel_of(shop(21), shop(22, name="b"))
    pipeline = Pipeline(Candidate(algorithm, algorithm), adjusted=True).fit(panel)
    assert 0.65 * 60 * HORIZON < moved(pipeline, panel, promo=1) < 1.35 * 60 * HORIZON


def test_factors_where_effects_multiply() -> None:
    panel = panel_of(shop(31, form="multiplicative"), shop(32, form="multiplicative", name="b"))
    pipeline = Pipeline(Candidate("theta", "theta"), adjusted=True).fit(panel)
    assert pipeline.effects is not None and pipeline.effects.form == "multiplicative"
    base = pipeline.predict(HORIZON, panel.future)["forecast"].sum()
    assert moved(pipeline, panel, promo=1) / base == pytest.approx(np.exp(0.3) - 1, rel=0.2)


def test_zeros_stay_zeros_and_promotions_multiply() -> None:
    rng, days = np.random.default_rng(5), 300
    promo = (rng.random(days + HORIZON) < 0.15).astype(int)
    promo[days:] = 0
    rows = [
        pd.DataFrame(
            {
                "shop": f"s{k}",
                "ds": pd.date_range("2024-01-01", periods=days + HORIZON),
                "promo": promo,
                "y": [*rng.poisson(rate * 2.5 ** promo[:days]), *[np.nan] * HORIZON],
            }
        )
        for k, rate in enumerate([0.3, 0.5, 1.0, 2.0])
    ]
    panel = make_panel(pd.concat(rows), series=["shop"], freq="D", roles={"promo": "known_future"})
    found = learn_effects(panel)
    assert found is not None and found.form == "multiplicative"
    assert np.exp(found.shared[0]) == pytest.approx(2.5, rel=0.25)
    rest = found.remove(panel).frame["y"].to_numpy()
    assert ((rest == 0) == (panel.frame["y"].to_numpy() == 0)).all()


def test_series_learn_from_each_other() -> None:
    short = [shop(seed, days=50, rate=0.05, name=f"s{seed}") for seed in range(20)]
    found = learn_effects(panel_of(*short))
    assert found is not None
    table = found.table()
    promo = table.loc[table["column"] == "promo", "effect"]
    worth = promo if found.form == "additive" else 100 * np.expm1(promo)
    assert (worth.between(20, 40)).all() and len(worth) == 20


def test_columns_without_an_effect_are_left_alone() -> None:
    rng = np.random.default_rng(41)
    parts = [shop(seed, name=str(seed)).assign(luck=rng.normal(size=254), flag=0) for seed in range(3)]
    panel = panel_of(*parts, luck="known_future", flag="known_future")
    found = learn_effects(panel)
    assert found is not None and found.columns == ["price", "promo"]
    assert found.unclear == {"flag": "constant", "luck": "chance"}
    quiet = panel_of(shop(3).assign(y=lambda table: 100 + np.where(table["y"].notna(), rng.normal(size=254), np.nan)))
    training = trained(quiet, "theta", folds=2)
    assert training.pipeline.effects is None and not training.pipeline.adjusted


def test_the_decision_is_said_and_looks_at_no_test() -> None:
    panel = panel_of(shop(51))
    training = trained(panel, "theta")
    assert any("price, promo" in note for note in training.notes)
    plan = plan_split(panel, SplitSpec(horizon=HORIZON, folds=3))
    assert plan.test is not None
    late = panel.frame["ds"] > plan.test.cutoffs.iloc[0]
    spoilt = panel.with_frame(panel.frame.assign(y=panel.frame["y"].where(~late, 1e6)))
    again = trained(spoilt, "theta")
    assert [str(note) for note in again.notes if "effects" in str(note)] == [
        str(note) for note in training.notes if "effects" in str(note)
    ]


def test_the_yardstick_stays_what_it_is() -> None:
    panel = panel_of(shop(52))
    boards = [trained(panel, "theta", effects=choice).leaderboard for choice in ("always", "never")]
    naive = [board.set_index("algorithm").at["seasonal_naive", "mae"] for board in boards]
    assert naive[0] == naive[1]


@pytest.mark.parametrize("form", ["additive", "multiplicative"])
def test_a_saved_pipeline_keeps_its_effects(form: str, tmp_path) -> None:
    whole = panel_of(shop(61, form=form), shop(62, form=form, name="b"))
    early = whole.with_frame(whole.frame[whole.frame["ds"] < "2024-08-01"])
    ahead = pd.concat([whole.frame, whole.future])[["unique_id", "ds", "price", "promo"]]
    pipeline = Pipeline(Candidate("theta", "theta"), adjusted=True).fit(early)
    pipeline.save(tmp_path)
    loaded = load_pipeline(tmp_path)
    pd.testing.assert_frame_equal(loaded.predict(5, ahead), pipeline.predict(5, ahead))
    before = loaded.effects.table()
    loaded.update(whole)
    pd.testing.assert_frame_equal(loaded.effects.table(), before)
    assert 0.65 * 60 * HORIZON < moved(loaded, whole, promo=1)


def test_a_new_series_takes_the_common_effects() -> None:
    panel = panel_of(*(shop(seed, name=f"s{seed}") for seed in range(4)))
    pipeline = Pipeline(Candidate("ridge", "ridge"), adjusted=True).fit(panel)
    grown = panel_of(*(shop(seed, name=f"s{seed}") for seed in range(4)), shop(77, days=100, name="new"))
    pipeline.update(grown)
    one = replace(grown, future=grown.future[grown.future["unique_id"] == "new"])
    frames = [pipeline.predict(HORIZON, pd.concat([grown.future.assign(promo=k)])) for k in (0, 1)]
    new = [frame.loc[frame["unique_id"] == "new", "forecast"].sum() for frame in frames]
    assert 15 * HORIZON < new[1] - new[0] < 45 * HORIZON and len(one.future)


def test_explanations_show_the_effects() -> None:
    panel = panel_of(shop(71))
    panel = replace(panel, future=panel.future.assign(promo=1, price=7.0))
    pipeline = Pipeline(Candidate("theta", "theta"), adjusted=True).fit(panel)
    found = explain_point(pipeline, panel, "a", panel.future["ds"].iloc[3])
    parts = found.table.set_index("what")["contribution"]
    assert found.baseline + parts.sum() == pytest.approx(found.forecast)
    assert 20 < parts["covariate:promo"] < 40 and 2 < parts["covariate:price"] < 12
    assert set(column_effects(pipeline)["column"]) == {"price", "promo"}
    assert len(drivers(pipeline, panel)["effects"]) == 2


def test_missing_future_values_are_named() -> None:
    panel = panel_of(shop(81))
    pipeline = Pipeline(Candidate("theta", "theta"), adjusted=True).fit(panel)
    with pytest.raises(VurError, match="promo"):
        pipeline.predict(HORIZON + 3, panel.future)


# --- order of columns ---


@pytest.mark.parametrize("algorithm", ["ridge", "lightgbm", "xgboost", "random_forest", "theta"])
@pytest.mark.parametrize("adjusted", [False, True])
def test_the_order_of_columns_changes_no_digit(algorithm: str, adjusted: bool) -> None:
    rng = np.random.default_rng(6)
    parts = [
        shop(seed, days=130, name=name).assign(
            noise=rng.normal(size=144), kind=rng.choice(["x", "y", "z"], 144), visits=rng.normal(size=144)
        )
        for seed, name in ((1, "a"), (2, "b"))
    ]
    table, roles = pd.concat(parts), KNOWN | {"noise": "known_future", "kind": "known_future", "visits": "past_only"}
    found = []
    for names in (list(roles), list(reversed(roles))):
        ordered = {name: roles[name] for name in names}
        panel = make_panel(table[["shop", "ds", "y", *names]], series=["shop"], freq="D", roles=ordered)
        pipeline = Pipeline(Candidate(algorithm, algorithm), adjusted=adjusted).fit(panel)
        found.append(pipeline.predict(HORIZON, panel.future)["forecast"].to_numpy())
    np.testing.assert_array_equal(*found)


# --- levels never seen ---


def kinds(last: list[str], name: str = "a") -> pd.DataFrame:
    rng = np.random.default_rng(len(name))
    kind = [*rng.choice(["none", "red"], 200, p=[0.8, 0.2]), *last]
    y = 40 + 20 * (np.array(kind[:200]) == "red") + rng.normal(0, 1, 200)
    table = {"shop": name, "ds": pd.date_range("2024-01-01", periods=len(kind)), "promo": kind}
    return pd.DataFrame(table | {"y": [*y, *[np.nan] * len(last)]})


def test_levels_never_seen_are_said_with_series_and_stamp() -> None:
    quiet = ["none"] * 3
    tables = [kinds([*quiet, "black friday", "Red "], "a"), kinds([*quiet, "cyber monday", "red"], "bb")]
    panel = make_panel(pd.concat(tables), series=["shop"], freq="D", roles={"promo": "known_future"})
    found = [one for one in audit(panel) if one.code in ("unseen_level", "misspelt_level")]
    said = {(one.unique_id, one.data["level"], one.data["near"], str(one.rows[0])[:10]) for one in found}
    assert said == {
        ("a", "black friday", "", "2024-07-22"),
        ("a", "Red ", "red", "2024-07-23"),
        ("bb", "cyber monday", "", "2024-07-22"),
    }
    pipeline = Pipeline(Candidate("ridge", "ridge"), adjusted=True).fit(panel)
    frame = pipeline.predict(5, panel.future).set_index(["unique_id", "ds"])["forecast"]
    assert frame["a"].iloc[3] == pytest.approx(40, abs=3), "an unknown level has no effect"
    assert frame["bb"].iloc[4] == pytest.approx(60, abs=3)


def test_a_promotion_that_never_was_is_said() -> None:
    table = shop(91).assign(promo=lambda rows: np.where(rows["y"].notna(), 0, 1))
    found = [one for one in audit(panel_of(table)) if one.code == "unseen_value"]
    assert [(one.unique_id, one.data["column"], one.count) for one in found] == [("a", "promo", HORIZON)]


# --- columns that hold the answer ---


def leak_cases(y: np.ndarray) -> dict[str, np.ndarray]:
    rng, series = np.random.default_rng(8), pd.Series(y)
    return {
        "copy": y,
        "affine": 3 - 0.2 * y,
        "rank": series.rank().to_numpy(),
        "zscore": (y - y.mean()) / y.std(),
        "log": np.log(y),
        "near": 0.95 * y + rng.normal(0, 0.5, len(y)),
        "tomorrow": np.append(y[1:], y[-1]),
        "next week": np.append(y[7:], np.full(7, y[-1])),
        "yesterday": np.append(y[0], y[:-1]),
        "centred mean": series.rolling(5, center=True, min_periods=1).mean().to_numpy(),
        "sum so far": y.cumsum(),
    }


def table_with(seed: int = 9, days: int = 300) -> pd.DataFrame:
    """A shop whose price and promotion explain most of its sales."""
    return shop(seed, days=days, rate=0.3)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_columns_made_of_the_target_are_found(seed: int) -> None:
    table = table_with(seed)
    y = table["y"].dropna().to_numpy()
    for name, values in leak_cases(y).items():
        column = np.append(values, np.full(HORIZON, values[-28:].mean()))
        panel = panel_of(table.assign(net=column), net="known_future")
        leaks = [one for one in audit(panel) if one.code.startswith("leak")]
        assert {one.data["column"] for one in leaks} == {"net"}, name
        assert leaks[0].unique_id == "a" and "net" in leaks[0].text("en")


def honest_cases(rng: np.random.Generator, days: pd.DatetimeIndex) -> dict[str, np.ndarray]:
    t = np.arange(len(days))
    slow = np.cumsum(rng.normal(0, 1, len(days)))
    return {
        "temperature": 15 + 10 * np.sin(2 * np.pi * t / 365) + pd.Series(rng.normal(0, 3, len(t))).ewm(3).mean(),
        "weekday": days.dayofweek.to_numpy(float),
        "month": days.month.to_numpy(float),
        "day": days.day.to_numpy(float),
        "index": t.astype(float),
        "plan": 100 + 30 * rng.normal(size=len(t)),
        "slow": slow,
    }


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_honest_columns_are_not(seed: int) -> None:
    rng, days = np.random.default_rng(seed), pd.date_range("2022-01-01", periods=500)
    columns = {name: np.asarray(values, float) for name, values in honest_cases(rng, days).items()}
    season = 10 * np.sin(2 * np.pi * np.arange(500) / 7)
    for name, driver in columns.items():
        strong = 3 * (driver - driver.mean())
        noise = rng.normal(0, 0.5 * strong.std(), 500)  # R² of 0.8
        if name == "plan":
            noise = rng.normal(0, 0.2 * strong.std(), 500)  # made as planned, within 5 %
        y = 200 + season + strong + noise
        table = pd.DataFrame({"ds": days, "unique_id": "a", "y": np.where(np.arange(500) < 486, y, np.nan)} | columns)
        panel = make_panel(table.assign(before=np.append(np.full(14, np.nan), y[:-14])), freq="D",
                           roles=dict.fromkeys([*columns, "before"], "known_future"))  # fmt: skip
        assert not [one for one in audit(panel) if one.code.startswith("leak")], name


def test_leaks_are_found_in_the_series_that_have_them() -> None:
    tables = [table_with(seed).assign(shop=f"s{seed}", net=lambda rows: rows["price"] * 2) for seed in range(4)]
    tables[2] = tables[2].assign(net=lambda rows: (0.95 * rows["y"]).fillna(90))
    found = [one for one in audit(panel_of(*tables, net="known_future")) if one.code.startswith("leak")]
    assert [one.unique_id for one in found] == ["s2"]


# --- whole runs, as a user sees them ---


def open_saved(tag: str) -> Saved:
    """A saved model as the service opens it."""
    return Saved(tag, *open_model(tag), lambda: pytest.fail("no history is needed"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, vur.RunResult]:
    """A run of a shop with price and promotion, and one of promotions with a level that training never held."""
    out = tmp_path_factory.mktemp("runs")
    given = {"series": "shop", "horizon": HORIZON, "folds": 2, "notebook": False, "out": out}
    net = pd.Series(0.95 * shop(101)["y"]).fillna(95.0)
    sold = vur.run(shop(101).assign(net=net).rename(columns={"ds": "date", "y": "sales"}), date="date", target="sales",
                   algorithms="theta,ridge", roles=KNOWN | {"net": "known_future"}, name="sold", **given)  # fmt: skip
    last = ["none"] * (HORIZON - 2) + ["black friday", "red"]
    kind = vur.run(kinds(last).rename(columns={"ds": "date", "y": "v"}), date="date", target="v", algorithms="ridge",
                   roles={"promo": "known_future"}, name="kind", **given)  # fmt: skip
    return {"sold": sold, "kind": kind}


def test_a_what_if_moves_the_forecast_of_an_ensemble(runs) -> None:
    found = {name: scenario(runs["sold"].model_tag, name, edits) for name, edits in
             (("p", {"promo": 1}), ("q", {"price": "-10%"}),
              ("part", {"promo": {"change": 1, "start": "2024-09-01", "end": "2024-09-03"}}))}  # fmt: skip
    changed = {name: (one.forecast["forecast"] - one.baseline["forecast"]).sum() for name, one in found.items()}
    assert 0.65 * 30 * HORIZON < changed["p"] < 1.35 * 30 * HORIZON
    true = 2 * 0.1 * found["q"].base["price"].sum()
    assert 0.65 * true < changed["q"] < 1.35 * true
    assert 0.65 * 90 < changed["part"] < 1.35 * 90
    assert not found["p"].notes


def test_a_column_that_holds_the_answer_is_left_out_unless_trusted(runs, tmp_path) -> None:
    audit_table = runs["sold"].audit
    leaks = audit_table[audit_table["code"].str.startswith("leak")]
    assert len(leaks) == 1 and "net" in leaks["message"].iloc[0] and "--trust" in leaks["message"].iloc[0]
    with pytest.raises(VurError, match="net"):
        scenario(runs["sold"].model_tag, "n", {"net": 1})
    again = vur.run(shop(101).assign(net=lambda table: (0.95 * table["y"]).fillna(95.0)), series="shop", folds=1,
                    algorithms="ridge", roles=KNOWN | {"net": "known_future"}, trust="net", horizon=HORIZON,
                    notebook=False, out=tmp_path)  # fmt: skip
    board = again.leaderboard.set_index("algorithm")["mae"]
    assert board["ridge"] < 0.3 * runs["sold"].leaderboard.set_index("algorithm").at["ridge", "mae"]
    assert again.config.data.trust == ("net",) and again.config.data.roles["net"] == "known_future"
    with pytest.raises(VurError, match="nut"):
        vur.run(shop(101), series="shop", trust="nut", notebook=False, out=tmp_path)


def test_a_forecast_says_levels_that_training_never_held(runs, capsys) -> None:
    said = runs["kind"].audit.set_index("code").at["unseen_level", "message"]
    assert "black friday" in said and "promo" in said and "'a'" in said
    tag = runs["kind"].model_tag
    assert main(["forecast", tag]) == 0
    captured = capsys.readouterr()
    assert "black friday" in captured.err and "2024-07-31" in captured.err
    future = pd.DataFrame({"date": pd.date_range("2024-07-19", periods=HORIZON), "shop": "a", "promo": "RED"})
    found = forecasts(open_saved(tag), future=future)
    answer = render(open_saved(tag), found, HORIZON, ())
    assert [one["near"] for one in answer.strange] == ["red"]
    body = Answer({"kind": "predict"}, answer.parts, {}, 1, answer.strange).to_dict("pt-BR")
    assert len(body["warnings"]) == 1 and "RED" in body["warnings"][0]


def test_a_what_if_says_why_it_cannot(tmp_path) -> None:
    table = shop(111, days=120).assign(gift=0, luck=np.random.default_rng(0).normal(size=134).round(2))
    made = vur.run(table, series="shop", folds=1, horizon=HORIZON, algorithms="theta", name="cannot",
                   roles=KNOWN | {"gift": "known_future", "luck": "known_future"}, effects="always",
                   notebook=False, out=tmp_path)  # fmt: skip
    for column, word in (("gift", "one value"), ("luck", "chance")):
        with pytest.raises(VurError, match=word):
            scenario(made.model_tag, column, {column: 1})
    blind = vur.run(table, series="shop", folds=1, horizon=HORIZON, algorithms="theta,ridge", name="blind",
                    roles=KNOWN, effects="never", notebook=False, out=tmp_path)  # fmt: skip
    if blind.leaderboard["algorithm"].iloc[0] == "ensemble":
        assert [one["key"] for one in scenario(blind.model_tag, "p", {"promo": 1}).notes] == ["blind"]


def test_every_door_takes_the_options() -> None:
    config = Config.from_dict({"data": {"trust": ["net"]}, "model": {"effects": "never"}})
    assert config.data.trust == ("net",) and config.model.effects == "never"
    with pytest.raises(VurError, match="sometimes"):
        Config.from_dict({"model": {"effects": "sometimes"}})
    parsed = parser().parse_args(["run", "x.csv", "--trust", "net", "--effects", "never"])
    assert parsed.trust == ["net"] and parsed.effects == "never"
    assert {"trust"} <= set(ColumnBody.model_fields) and {"effects"} <= set(ModelBody.model_fields)
