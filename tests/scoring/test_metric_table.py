"""The table of metrics: one entry is enough for a metric to be computed, ranked on and shown in every place."""

import re

import numpy as np
import pandas as pd
import pytest
from samples import DATA

import vur
from vur.commands.run import print_summary
from vur.errors import VurError
from vur.forecasters.ensemble import loss_function
from vur.runs.config import default_config
from vur.scoring.metrics import METRICS, Metric, ranking_metric, score, shown_metrics, with_skill
from vur.stages.model.search_space import OptimizeSpec
from vur.store.models.models import find_model, model_folder
from vur.text import table

MEDAE = Metric("medae", pooled=lambda errors, groups: groups.median(errors.absolute))
TEXTS = {"short": {"en": "MedAE", "pt-BR": "MedAE"}, "meaning": {"en": "Median absolute error.", "pt-BR": "Mediana."}}


@pytest.fixture
def medae(monkeypatch: pytest.MonkeyPatch) -> None:
    """The median absolute error, with its entry and its texts."""
    monkeypatch.setitem(METRICS, "medae", MEDAE)
    for part, texts in TEXTS.items():
        monkeypatch.setitem(table(), f"report.metric.medae.{part}", texts)


def rows_and_scales() -> tuple[pd.DataFrame, pd.DataFrame]:
    rows = pd.DataFrame({"algorithm": ["a"] * 3 + ["b"] * 3, "unique_id": "s", "y": [1.0, 2.0, 3.0] * 2})
    rows["forecast"] = [1.0, 4.0, 103.0, 2.0, 3.0, 4.0]
    return rows, pd.DataFrame({"unique_id": ["s"], "mase": 1.0, "rmsse": 1.0})


@pytest.mark.usefixtures("medae")
def test_a_new_metric_is_computed_and_may_rank() -> None:
    scores = score(*rows_and_scales()).set_index("algorithm")
    assert scores["medae"].to_dict() == {"a": 2.0, "b": 1.0}
    assert ranking_metric("medae", zeros=3) == ("medae", None)
    assert OptimizeSpec(3, metric="val_medae").metric == "medae"
    assert all(shown_metrics(place)[-1] == "medae" for place in ("summary", "card", "model", "report"))


@pytest.mark.usefixtures("medae")
def test_a_new_metric_is_on_the_leaderboard_the_summary_the_report_and_the_card_of_a_run(tmp_path, capsys) -> None:
    config = default_config(model={"metric": "medae"})
    frame = pd.read_csv(DATA / "electrical_equipment.csv")
    run = vur.run(
        frame,
        config=config,
        algorithms="seasonal_naive,drift,theta",
        horizon=6,
        name="medae",
        out=tmp_path,
        notebook=False,
        fresh=True,
    )

    board = run.leaderboard
    assert board.loc[board["algorithm"] != "ensemble", "medae"].is_monotonic_increasing, "the leaderboard ranks on it"
    print_summary(run, "en")
    assert re.search(r"rank +algorithm .*wape +medae +skill", capsys.readouterr().out)
    page = run.report.read_text(encoding="utf-8")
    assert "MedAE" in page and "Median absolute error." in page
    assert re.search(r"smape +medae +skill", (model_folder(run.model_tag) / "README.md").read_text(encoding="utf-8"))
    assert find_model(run.model_tag).info.metadata["medae"] == pytest.approx(board.loc[0, "medae"], abs=1e-6)


def test_an_unknown_metric_is_refused_with_the_known_names() -> None:
    known = "mae, mase, rmse, mape, smape, rmsse, auto, wape, r2"  # the nearest first
    with pytest.raises(VurError, match="'medae'") as caught:
        ranking_metric("medae", zeros=0)
    assert caught.value.data == {"field": "metric", "metric": "medae", "known": known}
    with pytest.raises(VurError, match="'bias'"):
        ranking_metric("bias", zeros=0)


def test_each_place_shows_its_metrics_in_its_order() -> None:
    assert list(METRICS) == ["mase", "mae", "rmse", "mape", "smape", "rmsse", "wape", "r2", "bias", "pbias"]
    assert {
        place: shown_metrics(place) for place in ("summary", "card", "model", "report", "test", "worst", "epoch")
    } == {
        "summary": ["mase", "mae", "rmse", "smape", "wape"],
        "card": ["mase", "mae", "rmse", "smape"],
        "model": ["mase", "mae", "rmse", "smape", "wape"],
        "report": ["mase", "mae", "rmse", "wape", "smape", "mape", "rmsse", "r2", "bias", "pbias"],
        "test": ["mase", "mae", "wape", "rmse"],
        "worst": ["mase", "mae", "wape"],
        "epoch": ["mae", "rmse", "mape", "smape"],
    }


@pytest.mark.parametrize("name", list(METRICS))
def test_every_metric_has_a_formula_a_loss_and_its_texts(name: str) -> None:
    metric = METRICS[name]
    assert (metric.per_row is None) != (metric.pooled is None)
    assert name == metric.name and {f"report.metric.{name}.{part}" for part in ("short", "meaning")} <= table().keys()
    rows, scales = rows_and_scales()
    assert np.isfinite(score(rows, scales)[name]).all()
    loss = loss_function(rows.assign(mase=1.0, rmsse=1.0), name)
    assert loss(rows["y"].to_numpy()) == 0 < loss(rows["forecast"].to_numpy()), "the loss of an ensemble falls"
    if not metric.at_zero:
        assert f"training.note.{name}_zeros" in table()


def test_rows_without_a_group_are_not_scored_and_categories_keep_their_order() -> None:
    rows, scales = rows_and_scales()
    rows["level"] = pd.Categorical(["x", "x", None, "y", "y", "y"], categories=["z", "y", "x"])
    scores = score(rows, scales, by=["level"])
    assert scores[["level", "n"]].to_numpy().tolist() == [["x", 2], ["y", 3]]
    assert with_skill(scores.assign(algorithm="a"))["skill"].isna().all()
