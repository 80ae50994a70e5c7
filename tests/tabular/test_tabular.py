"""Prediction from a row: the same digits in any order, honest folds and intervals, leaks named, bad input refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vur.errors import VurError
from vur.tabular import TableModel, fit
from vur.tabular.algorithms import TABLE_ALGORITHMS, checked_parameters, table_algorithm
from vur.tabular.columns import read_table
from vur.tabular.evaluation import TableCandidate, choose, fit_candidate
from vur.tabular.folds import make_folds
from vur.tabular.words import say, say_aside, say_note

QUICK = "linear,decision_tree"


def homes(n: int = 160, seed: int = 0) -> pd.DataFrame:
    """Flats with a price of their area and district, errors in percent."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "area": rng.uniform(30, 250, n).round(1),
            "rooms": rng.integers(1, 6, n),
            "garage": rng.random(n) < 0.5,
            "district": rng.choice(["Centro", "Norte", "Sul"], n),
            "built": pd.Timestamp("1990-01-01") + pd.to_timedelta(rng.integers(0, 9_000, n), unit="D"),
        }
    )
    factor = frame["district"].map({"Centro": 1.0, "Norte": 0.7, "Sul": 2.0}).to_numpy()
    return frame.assign(price=(3_000 * frame["area"] * factor * rng.lognormal(0, 0.1, n)).round(-2))


@pytest.fixture(scope="module")
def model() -> TableModel:
    return fit(
        homes(), "price", algorithms="linear,ridge,random_forest", hyperparameters={"random_forest": {"trees": 30}}
    )


# --- numbers ---


def test_all_algorithms_are_compared_on_the_same_folds_and_beat_the_mean() -> None:
    found = fit(homes(), "price", hyperparameters={"random_forest": {"trees": 20}, "boosting": {"rounds": 60}})
    board = found.leaderboard.set_index("candidate")
    assert {one.removesuffix("-log") for one in board.index} == set(TABLE_ALGORITHMS)
    assert board.loc["mean", "skill"] == 0 and board["skill"].idxmax() not in ("mean", "median")
    assert set(board["chosen"].value_counts()) == {1, len(board) - 1}
    assert sorted(found.cv["row"]) == list(range(1, 161)) and set(found.cv["fold"]) == {1, 2, 3, 4, 5}
    own = found.cv[found.document["chosen"]]
    assert found.metrics["rmse"] == pytest.approx(float(np.sqrt(((own - found.cv["y"]) ** 2).mean())))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000))
def test_order_of_rows_and_columns_makes_no_difference(seed: int) -> None:
    frame = homes(90)
    rng = np.random.default_rng(seed)
    other = frame.iloc[rng.permutation(90)][list(rng.permutation(frame.columns))]
    new = homes(5, seed=9).drop(columns="price")
    first, second = (fit(one, "price", algorithms=QUICK) for one in (frame, other))
    assert first.predict(new).to_dict() == second.predict(new).to_dict()
    assert first.metrics == second.metrics
    assert second.cv.set_index("row")["y"].tolist() == other["price"].tolist()  # each row's prediction is that row's


@settings(max_examples=10, deadline=None)
@given(power=st.integers(-6, 6), id=st.sampled_from(["decision_tree", "random_forest", "boosting"]))
def test_the_unit_of_a_column_makes_no_difference_to_trees(power: int, id: str) -> None:
    frame, new, scale = homes(90), homes(5, seed=9).drop(columns="price"), 2.0**power
    values = checked_parameters([table_algorithm(id)], {id: {"rounds": 20} if id == "boosting" else {}})[id]
    found = []
    for factor in (1.0, scale):
        table = read_table(frame.assign(area=frame["area"] * factor), "price")
        fitted = fit_candidate(
            TableCandidate(id, values | ({"trees": 10} if id == "random_forest" else {})),
            table,
            np.argsort(table.row),
            0,
        )
        found.append(fitted.predict(new.assign(area=new["area"] * factor)).tolist())
    assert found[0] == found[1]


@pytest.mark.parametrize("noise", ["normal", "skewed"])
def test_intervals_hold_on_rows_to_come(noise: str) -> None:
    rng = np.random.default_rng(5)

    def rows(n: int) -> pd.DataFrame:
        x = rng.normal(size=(n, 2))
        error = rng.normal(size=n) if noise == "normal" else rng.exponential(1, n) - 1
        return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": 2 * x[:, 0] - x[:, 1] + error})

    inside = []
    for _ in range(6):
        found, later = fit(rows(150), "y", algorithms="linear"), rows(300)
        answer = found.predict(later.drop(columns="y"))
        inside.append(
            [((answer[f"lo-{k}"] <= later["y"]) & (later["y"] <= answer[f"hi-{k}"])).mean() for k in (80, 95)]
        )
        assert (answer["lo-95"] <= answer["lo-80"]).all() and (answer["hi-80"] <= answer["hi-95"]).all()
        assert (answer["lo-80"] <= answer["prediction"]).all() and (answer["prediction"] <= answer["hi-80"]).all()
        assert abs(found.document["coverage"]["80"] - 80) < 3
    eighty, ninety_five = np.mean(inside, axis=0)
    assert 0.76 < eighty < 0.86 and 0.92 < ninety_five < 0.98


def test_noise_is_called_noise() -> None:
    """Over twelve tables of noise, no model is said to predict for sure, and nearly always the mean is kept."""
    verdicts = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        table = pd.DataFrame(rng.normal(size=(120, 5)), columns=list("abcdy"))
        verdicts.append(fit(table, "y", algorithms="lasso,linear,decision_tree").document["verdict"])
    assert "clear" not in verdicts and verdicts.count("none") >= 10


def test_a_skewed_target_is_learnt_by_its_logarithm_where_that_is_better(model: TableModel) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=300)
    multiplied = pd.DataFrame({"x": x, "price": np.exp(1 + x + rng.normal(0, 0.2, 300))})
    found = fit(multiplied, "price", algorithms="linear")
    assert found.document["log"] and any("logarithm" in line for line in say(found.document))
    assert (found.predict(pd.DataFrame({"x": [0.0, 4.0]}))["prediction"] > 0).all()
    assert found.predict({"x": -1e6})[["prediction", "lo-95"]].to_numpy().min() >= 0, "no price below zero"


def test_a_simple_model_that_is_as_good_as_the_best_is_chosen() -> None:
    errors = pd.DataFrame({"mean": [9.0, 9, 9], "ridge": [3.0, 3.2, 2.9], "boosting": [3.05, 3.0, 2.9]})
    assert (choose(errors).chosen, choose(errors).best) == ("ridge", "boosting")
    assert choose(errors.assign(ridge=[4.0, 4.1, 3.9])).chosen == "boosting"


# --- folds ---


def test_a_house_that_was_sold_twice_is_never_on_both_sides() -> None:
    frame = homes(80).assign(house=lambda f: np.arange(80) % 30)
    table = read_table(frame, "price", group="house")
    for fold in make_folds(table, 5):
        assert not set(table.groups[fold.train]) & set(table.groups[fold.test])
    assert "house" not in [column.name for column in table.columns]
    found = fit(frame, "price", group="house", algorithms="linear")
    assert found.document["folds"] == {"kind": "group", "count": 5, "column": "house"}


def test_groups_are_judged_more_severely_than_shuffled_rows() -> None:
    """Where rows of one entity share a secret, folds that split entities promise too much."""
    rng = np.random.default_rng(3)
    entity = np.repeat(np.arange(30), 8)
    secret = rng.normal(0, 10, 30)[entity]
    mark = rng.normal(0, 1, 30)[entity]
    frame = pd.DataFrame({"entity": entity, "mark": mark, "y": secret + rng.normal(0, 1, 240)})
    options = {"algorithms": "nearest_neighbours", "features": ["mark"]}
    loose = fit(frame, "y", **options).leaderboard.set_index("candidate").loc["nearest_neighbours", "rmse"]
    honest = (
        fit(frame, "y", group="entity", **options).leaderboard.set_index("candidate").loc["nearest_neighbours", "rmse"]
    )
    assert honest > 3 * loose


def test_with_a_time_nothing_is_learnt_from_later_rows() -> None:
    frame = homes(90).assign(sold=lambda f: pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(90) // 2, unit="D"))
    table = read_table(frame.sample(frac=1, random_state=0), "price", time="sold")
    folds = make_folds(table, 4)
    for fold in folds:
        assert table.time[fold.train].max() < table.time[fold.test].min()
    assert [len(fold.train) for fold in folds] == sorted(len(fold.train) for fold in folds)
    found = fit(frame, "price", time="sold", folds=4, algorithms="linear")
    assert len(found.cv) < 90 and "sold" not in [column.name for column in found.columns]


def test_equal_rows_stay_together_and_are_counted() -> None:
    frame = pd.concat([homes(60), homes(60).head(25)])
    table = read_table(frame, "price")
    for fold in make_folds(table, 5):
        assert not set(table.key[fold.train]) & set(table.key[fold.test])
    assert "25 rows repeat another" in say_note(table.notes[0])


# --- leaks and columns that say nothing ---


def test_copies_of_the_target_and_ids_are_set_aside_and_named() -> None:
    frame = homes().assign(
        listing=lambda f: range(160),
        price_usd=lambda f: f["price"] / 5.4,
        rank=lambda f: np.log(f["price"]),
        country="BR",
        nothing=np.nan,
        notes=[f"flat with view number {k}" for k in range(160)],
        area_again=lambda f: f["area"],
    )
    found = fit(frame, "price", algorithms="linear")
    reasons = {one["column"]: one["reason"] for one in found.document["aside"]}
    assert reasons == {
        "listing": "id",
        "price_usd": "copy",
        "rank": "copy",
        "country": "constant",
        "nothing": "empty",
        "notes": "text",
        "area_again": "same",
    }
    assert "price_usd" in say_aside(
        next(one for one in found.document["aside"] if one["column"] == "price_usd"), "pt-BR"
    )
    assert fit(frame, "price", algorithms="linear", trust=["price_usd"]).metrics["r2"] > 0.999


def test_an_almost_exact_prediction_asks_whether_it_is_known_beforehand() -> None:
    frame = homes().assign(tax=lambda f: f["price"] * 0.1 + np.random.default_rng(0).normal(0, 500, 160))
    notes = fit(frame, "price", algorithms="linear").document["notes"]
    assert any("tax" in say_note(one) for one in notes if one["key"] == "too_good")


def test_the_column_that_matters_has_the_largest_importance(model: TableModel) -> None:
    assert model.importances["variable"].iloc[0] in ("area", "district")
    weak = model.importances.set_index("variable").loc["rooms"]
    assert abs(weak["importance"]) < 0.1 * model.importances["importance"].iloc[0]


# --- prediction and storage ---


def test_a_saved_model_predicts_the_same_digits_and_holds_no_pickle(tmp_path: Path) -> None:
    new = homes(6, seed=4).drop(columns="price")
    for id in TABLE_ALGORITHMS:
        found = fit(
            homes(),
            "price",
            algorithms=id,
            hyperparameters={"random_forest": {"trees": 10}} if id == "random_forest" else None,
        )
        back = TableModel.load(found.save(tmp_path / id))
        assert back.predict(new).to_dict() == found.predict(new).to_dict()
        assert back.document == found.document and back.cv.equals(found.cv)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]


def test_a_damaged_model_is_refused(tmp_path: Path, model: TableModel) -> None:
    folder = model.save(tmp_path / "m")
    (folder / "fold-1" / "design" / "state.npz").write_bytes(b"junk")
    with pytest.raises(VurError, match="cannot be read"):
        TableModel.load(folder)
    with pytest.raises(VurError, match="not empty"):
        model.save(folder)
    with pytest.raises(VurError, match="no saved table model"):
        TableModel.load(tmp_path / "nowhere")


def test_new_levels_and_values_out_of_range_are_said(model: TableModel) -> None:
    row = {"area": 900.0, "rooms": 3, "garage": True, "district": "Leste", "built": "2001-05-05"}
    notes = {one["key"]: say_note(one, "pt-BR") for one in model.predict(row).attrs["notes"]}
    assert "Leste" in notes["new_level"] and "900" in notes["outside"]
    empty = model.predict(row | {"area": None, "district": "Sul"}).attrs["notes"]
    assert [one["key"] for one in empty] == ["filled"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"district": None, "area": "big"}, "'area' has 'big' in row 1"),
        ({"area": float("inf")}, "'area' has inf in row 1"),
        ({"garage": "maybe"}, "'garage' has 'maybe' in row 1"),
        ({"built": "31/31/2001"}, "'built' has '31/31/2001' in row 1"),
        ({"aera": 3.0}, "does not know the column 'aera'; the nearest that it knows: area"),
    ],
)
def test_a_row_that_the_model_cannot_take_is_refused_with_its_place(model: TableModel, change: dict, said: str) -> None:
    row = {"area": 90.0, "rooms": 3, "garage": True, "district": "Sul", "built": "2001-05-05"}
    with pytest.raises(VurError, match=said.replace("(", r"\(")):
        model.predict(row | change)


def test_dates_with_and_without_an_offset_are_read_together(model: TableModel) -> None:
    row = {"area": 90.0, "rooms": 3, "garage": True, "district": "Sul"}
    days = ["2001-05-05", "2001-05-05T03:00:00+03:00", "2001-05-05T00:00:00Z"]
    assert model.predict([row | {"built": day} for day in days])["prediction"].nunique() == 1


def test_a_missing_column_is_named_with_the_nearest_one(model: TableModel) -> None:
    with pytest.raises(VurError, match="needs the column 'area'.*nearest that is there: aera"):
        model.predict({"aera": 90.0, "rooms": 3, "garage": True, "district": "Sul", "built": "2001-05-05"})
    with pytest.raises(VurError, match="no rows"):
        model.predict([])


# --- bad input ---


@pytest.mark.parametrize(
    ("frame", "options", "code"),
    [
        (lambda: homes(29), {}, "tabular.few_rows"),
        (lambda: homes().assign(price=1.0), {}, "tabular.target_constant"),
        (lambda: homes().assign(price=np.nan), {}, "tabular.target_empty"),
        (lambda: homes().assign(price=lambda f: f["price"].astype(str)), {}, "tabular.target_kind"),
        (lambda: homes().assign(price=lambda f: f["price"].where(f.index != 7, np.inf)), {}, "tabular.infinite"),
        (lambda: homes().assign(area=lambda f: f["area"].where(f.index != 7, np.inf)), {}, "tabular.infinite"),
        (lambda: homes().rename(columns={"rooms": "area"}), {}, "tabular.duplicate_columns"),
        (lambda: homes()[["price"]], {}, "tabular.no_features"),
        (homes, {"target": "prize"}, "tabular.no_column"),
        (homes, {"features": ["aera"]}, "tabular.no_column"),
        (homes, {"features": ["price"]}, "tabular.column_twice"),
        (homes, {"group": "price"}, "tabular.column_twice"),
        (homes, {"group": "district", "time": "built"}, "tabular.group_and_time"),
        (homes, {"group": "district"}, "tabular.few_groups"),
        (homes, {"folds": 1}, "tabular.folds"),
        (homes, {"levels": [99.9]}, "tabular.level"),
        (homes, {"levels": [-5]}, "tabular.level"),
        (homes, {"metric": "gini"}, "tabular.metric"),
        (homes, {"algorithms": "linaer"}, "forecasters.unknown"),
        (homes, {"algorithms": []}, "tabular.no_algorithms"),
        (homes, {"hyperparameters": {"ridge": {"alpha": -1}}}, "forecasters.parameter_value"),
        (homes, {"hyperparameters": {"ridge": {"alfa": 1}}}, "forecasters.parameter_unknown"),
    ],
)
def test_bad_input_is_refused_with_cause_and_remedy(frame, options: dict, code: str) -> None:
    with pytest.raises(VurError) as caught:
        fit(frame(), options.pop("target", "price"), **({"algorithms": "ridge"} | options))
    assert caught.value.code == code
    for language in ("en", "pt-BR"):
        assert caught.value.cause(language) and caught.value.remedy(language)


def test_an_infinite_value_is_named_with_its_column_and_row_of_the_source() -> None:
    frame = homes()
    frame.loc[0, "price"] = np.nan  # left out, and the rows after it still counted as in the source
    frame.loc[7, "area"] = np.inf
    with pytest.raises(VurError, match="'area' has inf in row 8"):
        fit(frame, "price")


def test_the_document_is_plain_json_and_speaks_both_languages(model: TableModel) -> None:
    document = json.loads(json.dumps(model.document, allow_nan=False))
    english, portuguese = say(document), say(document, "pt-BR")
    assert len(english) == len(portuguese) >= 5 and not set(english) & set(portuguese)


def test_a_value_for_which_there_is_no_number_is_refused() -> None:
    """Two numbers beyond what can be calculated with, which pull in opposite directions."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.uniform(0, 3, (120, 2)), columns=["up", "down"])
    model = fit(frame.assign(y=5 * frame["up"] - 5 * frame["down"] + rng.normal(0, 0.1, 120)), "y", algorithms="linear")
    with pytest.raises(VurError) as refused:
        model.predict(pd.DataFrame({"up": [1.0, 1e308], "down": [1.0, 1e308]}))
    assert refused.value.code == "tabular.beyond" and "Row 2" in refused.value.cause("en")
    assert "up" in refused.value.remedy("pt-BR")
