"""Written zeros that are no chance end a series; gaps between batches are zeros; an unsure gap is said on top."""

import numpy as np
import pandas as pd
import pytest
from builders import panel_of

import vur
from vur.absence import absence_evidence, absence_facts, continue_panel, fallen_silent, regular_panel, silences
from vur.panel import Panel, make_panel

STEPS = {"MS": (48, 20), "W-MON": (120, 60), "D": (900, 450), "QS": (64, 28), "h": (9000, 200)}


def shelf(seed: int, freq: str = "MS", dead: bool = True) -> Panel:
    """Eight parts sold now and then, with written zeros; `dead` is sold no more for half of the time or so."""
    rng, (steps, sold) = np.random.default_rng(seed), STEPS[freq]
    series = {f"p{k}": (rng.random(steps) < 0.25 + 0.05 * k) * (1.0 + rng.poisson(2, steps)) for k in range(7)}
    last = (rng.random(steps) < 0.5) * 5.0
    series["dead"] = np.where(np.arange(steps) < sold, last, 0.0) if dead else last
    return panel_of(series, freq)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("freq", list(STEPS))
def test_a_part_that_is_sold_no_more_is_listed_and_left_out(freq: str, seed: int) -> None:
    panel = shelf(seed, freq)
    found = regular_panel(panel, horizon=6)
    assert found.notes["ended"]["unique_id"].tolist() == ["dead"] and found.notes["ended"]["zeros"].all()
    assert "dead" not in found.ids and len(found.ids) == 7
    kept = regular_panel(panel, ended="forecast", horizon=6)
    assert kept.ids == panel.ids and not kept.notes["ended"]["omitted"].any()
    assert "ended" not in regular_panel(shelf(seed, freq, dead=False), horizon=6).notes


@pytest.mark.parametrize("cut", range(760, 1100, 40))
def test_what_is_sold_in_summer_only_is_not_over_in_any_other_month(cut: int) -> None:
    days, rng = pd.date_range("2015-01-01", periods=cut), np.random.default_rng(cut)
    summer = days.month.isin([5, 6, 7, 8])
    series = {f"ice{k}": summer * (rng.random(cut) < 0.6) * 3.0 for k in range(2)}
    series |= {f"bread{k}": (rng.random(cut) < 0.5) * 2.0 for k in range(3)}
    series["new"] = (
        np.where(np.arange(cut) > cut - 300, (np.arange(cut) < cut - 150) * (rng.random(cut) < 0.4), 0) * 4.0
    )
    assert "ended" not in regular_panel(panel_of(series, "D"), horizon=28).notes


def test_pauses_chance_and_panels_that_sell_nothing_end_nobody() -> None:
    rng = np.random.default_rng(3)
    often = {f"p{k}": (rng.random(80) < 0.5) * 3.0 for k in range(4)}
    pause = np.where((np.arange(80) < 20) | ((np.arange(80) > 45) & (np.arange(80) < 55)), often["p0"], 0.0)
    rare = np.zeros(80)
    rare[[3, 20, 41]] = 7.0
    below = np.where(np.arange(80) < 40, often["p1"], 0.0)
    below[5] = -2.0
    panel = panel_of(often | {"pause": pause, "rare": rare, "below": below, "never": np.zeros(80)}, "MS")
    assert "ended" not in regular_panel(panel, horizon=6).notes
    assert set(silences(panel).index) == {*often, "pause", "rare"}
    alone = panel_of({"dead": np.where(np.arange(80) < 40, often["p1"], 0.0)}, "MS")
    assert fallen_silent(silences(alone), 12).all() and regular_panel(alone, horizon=6).ids == ["dead"]


def test_a_run_says_it_and_a_saved_model_stays_without_it_until_it_is_sold_again(tmp_path) -> None:
    panel = shelf(4)
    given = panel.frame[["unique_id", "ds", "y"]]
    result = vur.run(given, horizon=6, algorithms=["tsb"], notebook=False, out=tmp_path)
    assert "dead" not in set(result.forecast["unique_id"])
    said = result.audit.set_index("code").loc["ended_zeros"]
    assert said["unique_id"] == "dead" and "--ended forecast" in said["message"]
    assert "dead (1)" in result.report.read_text(encoding="utf-8")
    kept = vur.run(given, horizon=6, algorithms=["tsb"], ended="forecast", notebook=False, out=tmp_path)
    assert "dead" in set(kept.forecast["unique_id"]) and "ended_zeros_forecast" in set(kept.audit["code"])
    facts = absence_facts(regular_panel(panel, horizon=6))
    ahead = given.groupby("unique_id").tail(1).assign(ds=lambda rows: rows["ds"] + pd.offsets.MonthBegin(1), y=0.0)
    longer = make_panel(pd.concat([given, ahead]), freq="MS")
    assert "dead" not in continue_panel(longer, facts).ids
    again = longer.with_frame(
        longer.frame.assign(y=longer.frame["y"].mask(longer.frame["ds"] == ahead["ds"].max(), 4.0))
    )
    assert "dead" in continue_panel(again, facts).ids


# --- batches ---


def batches(seed: int, amounts: str, rate: float = 0.3, series: int = 6, steps: int = 200) -> pd.DataFrame:
    """Amounts far from zero in some weeks, and no row in the others."""
    rng = np.random.default_rng(seed)
    sizes = {"lots": 500 + 50.0 * rng.integers(0, 4, (series, steps)), "any": rng.uniform(500, 650, (series, steps))}
    weeks = pd.date_range("2020-01-06", periods=steps, freq="W-MON")
    frames = [pd.DataFrame({"t": weeks, "sku": f"s{k}", "qty": sizes[amounts][k].round(1)}) for k in range(series)]
    return pd.concat([frame[rng.random(steps) < rate] for frame in frames], ignore_index=True)


def panel_from(table: pd.DataFrame) -> Panel:
    return make_panel(table, date="t", target="qty", series=["sku"], freq="W-MON")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("amounts", "rate"), [("lots", 0.3), ("any", 0.3), ("lots", 0.55)])
def test_batches_at_random_weeks_of_several_parts_leave_zeros_between(seed: int, amounts: str, rate: float) -> None:
    table = batches(seed, amounts, rate)
    assert absence_evidence(panel_from(table)).verdict == "zero"
    scaled = table.assign(qty=table["qty"] * 1e-6)
    assert absence_evidence(panel_from(scaled)).verdict == "zero"


@pytest.mark.parametrize("seed", range(3))
def test_few_gaps_one_series_or_half_of_continuous_amounts_stay_unsure(seed: int) -> None:
    assert absence_evidence(panel_from(batches(seed, "any", 0.55))).verdict == "maybe"
    assert absence_evidence(panel_from(batches(seed, "lots", 0.3, series=1))).verdict == "maybe"
    assert absence_evidence(panel_from(batches(seed, "lots", 0.5, steps=50))).verdict == "maybe"


def test_the_total_of_batches_counts_the_weeks_between(tmp_path) -> None:
    result = vur.run(
        batches(9, "lots"), horizon=8, algorithms=["tsb", "mean"], freq="W-MON", notebook=False, out=tmp_path
    )
    assert result.forecast["forecast"].mean() == pytest.approx(0.3 * 575, rel=0.35)


@pytest.mark.parametrize(
    ("language", "careful", "badge"),
    [("en", "Careful", "Gaps may be zeros"), ("pt-BR", "Atenção", "Lacunas podem ser zeros")],
)
def test_where_gaps_stay_unsure_the_headline_says_it_and_the_badge_is_not_green(
    language: str, careful: str, badge: str, tmp_path
) -> None:
    table = batches(2, "any", 0.55)
    options = {"horizon": 8, "algorithms": ["mean"], "freq": "W-MON", "notebook": False, "out": tmp_path}
    page = vur.run(table, language=language, **options).report.read_text(encoding="utf-8")
    head = page[page.index("<h1") : page.index("</h1>")]
    assert careful in head and "%" in head
    assert 'class="verdict unsure"' in page and badge in page and 'class="verdict clear"' not in page
    told = vur.run(table, language=language, absent="missing", **options).report.read_text(encoding="utf-8")
    assert badge not in told and careful not in told[told.index("<h1") : told.index("</h1>")]
