"""Metrics: the scores of a leaderboard equal the plain formulas and those of utilsforecast."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vur.errors import VurError
from vur.scoring import metrics as m

numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 6))


def table(**columns) -> pd.DataFrame:
    return pd.DataFrame({"algorithm": "a", "unique_id": "s", **columns})


def scales(mase=1.0, rmsse=1.0, **more) -> pd.DataFrame:
    return pd.DataFrame({"unique_id": ["s"], "mase": mase, "rmsse": rmsse, **more})


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20))
def test_table_of_one_series_equals_the_plain_formulas(pairs):
    y, forecast = map(list, zip(*pairs, strict=True))
    row = m.score(table(y=y, forecast=forecast), scales(2.0, 3.0)).iloc[0]
    expected = {
        "mae": m.mae(y, forecast),
        "rmse": m.rmse(y, forecast),
        "bias": m.bias(y, forecast),
        "smape": m.smape(y, forecast),
        "mape": m.mape(y, forecast),
        "wape": m.wape(y, forecast),
        "mase": m.mase(y, forecast, 2.0),
        "rmsse": m.rmsse(y, forecast, 3.0),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(row[name], value, rtol=1e-9, err_msg=name)
    if np.ptp(y) > 1e-3:
        np.testing.assert_allclose(row["r2"], m.r2(y, forecast), rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20))
def test_rmse_is_at_least_mae_and_mae_at_least_bias(pairs):
    y, forecast = map(list, zip(*pairs, strict=True))
    assert m.rmse(y, forecast) >= m.mae(y, forecast) * (1 - 1e-9)
    assert m.mae(y, forecast) >= abs(m.bias(y, forecast)) * (1 - 1e-9)
    assert 0 <= m.smape(y, forecast) <= 200


def test_missing_actuals_are_not_scored():
    with_gap = m.score(table(y=[1.0, np.nan, 3.0], forecast=[2.0, 900.0, 3.0]), scales())
    without = m.score(table(y=[1.0, 3.0], forecast=[2.0, 3.0]), scales())
    pd.testing.assert_frame_equal(with_gap, without)


def test_a_large_series_does_not_drown_a_small_one():
    rows = pd.DataFrame(
        {"algorithm": "a", "unique_id": ["big"] * 9 + ["small"], "y": [0.0] * 10, "forecast": [1000.0] * 9 + [2.0]}
    )
    each = pd.DataFrame({"unique_id": ["big", "small"], "mase": [1000.0, 1.0], "rmsse": [1000.0, 1.0]})
    assert m.score(rows, each).loc[0, "mase"] == 1.5


def test_series_without_scale_are_left_out_and_counted():
    rows = pd.DataFrame({"algorithm": "a", "unique_id": ["flat", "ok"], "y": [1.0, 1.0], "forecast": [5.0, 2.0]})
    train = pd.DataFrame(
        {"unique_id": ["flat"] * 4 + ["ok"] * 4, "ds": [*range(4)] * 2, "y": [1.0] * 4 + [1.0, 2, 1, 2]}
    )
    row = m.score(rows, m.train_scale(train)).iloc[0]
    assert (row["mase"], row["unscaled"], row["series"]) == (1.0, 1, 2)
    assert row["mae"] == 2.5


def test_scale_ignores_gaps_and_never_crosses_series():
    train = pd.DataFrame({"unique_id": list("aaaabb"), "ds": [0, 1, 2, 3, 0, 1], "y": [1.0, np.nan, 3, 4, 100, 104]})
    assert m.train_scale(train).set_index("unique_id")["mase"].to_dict() == {"a": 1.0, "b": 4.0}


def test_scale_uses_each_folds_own_training_part():
    rows = table(fold=[1, 2], y=[0.0, 0.0], forecast=[4.0, 4.0])
    per_fold = pd.DataFrame({"unique_id": "s", "fold": [1, 2], "mase": [1.0, 4.0], "rmsse": 1.0})
    assert m.score(rows, per_fold).loc[0, "mase"] == 2.5


def test_mape_does_not_rank_over_zeros():
    assert m.ranking_metric("mape", zeros=1)[0] == "mase"
    assert m.ranking_metric("mape", zeros=0) == ("mape", None)
    assert np.isnan(m.mape([0.0], [1.0]))


def test_r2_keeps_its_digits_far_from_zero():
    y = 1e9 + np.arange(10.0)
    assert m.score(table(y=y, forecast=y + 0.5), scales()).loc[0, "r2"] == pytest.approx(m.r2(y - 1e9, y - 1e9 + 0.5))


def test_messages_name_what_is_wrong():
    with pytest.raises(VurError, match="algorithm"):
        m.score(pd.DataFrame({"unique_id": ["s"], "y": [1.0], "forecast": [1.0]}), scales())
    with pytest.raises(VurError, match="'speed'"):
        m.ranking_metric("speed", 0)
    with pytest.raises(VurError) as error:
        m.mae([1, 2, 3], [1])
    assert "3 valores" in error.value.text("pt-BR")


def test_no_rows_give_no_scores():
    assert m.score(table(y=[np.nan], forecast=[1.0]), scales()).empty


def test_agrees_with_utilsforecast():
    losses = pytest.importorskip("utilsforecast.losses")
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"unique_id": np.repeat(["a", "b"], 12), "ds": [*range(12)] * 2, "y": rng.normal(50, 9, 24)})
    rows["forecast"] = rows["y"] + rng.normal(0, 3, 24)
    train = pd.DataFrame({"unique_id": np.repeat(["a", "b"], 48), "ds": [*range(48)] * 2, "y": rng.normal(50, 9, 96)})
    ours = m.score(rows.assign(algorithm="x"), m.train_scale(train, 12), by=["unique_id"]).set_index("unique_id")
    theirs = losses.mase(rows, ["forecast"], 12, train).set_index("unique_id")["forecast"]
    np.testing.assert_allclose(ours["mase"], theirs)
    np.testing.assert_allclose(
        ours["rmsse"], losses.rmsse(rows, ["forecast"], 12, train).set_index("unique_id")["forecast"]
    )
    np.testing.assert_allclose(ours["smape"], 200 * losses.smape(rows, ["forecast"]).set_index("unique_id")["forecast"])
