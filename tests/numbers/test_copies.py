"""Noisy copies and classes of the target are found in all series together; plans, prices and promotions are not."""

import numpy as np
import pandas as pd
import pytest

from vur.panel import Panel, make_panel
from vur.scoring.copies import copied_columns, cut_from, noisy_copy, without_copies
from vur.stages.preview.audit import audit

DAYS, KNOWN = 328, 300
STAMPS = pd.date_range("2023-01-01", periods=DAYS)


def sales(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sales with a week and a drift, and what of them could be expected."""
    rng = np.random.default_rng(seed)
    base = 50 + 20 * np.sin(np.arange(DAYS) * 2 * np.pi / 7) + np.cumsum(rng.normal(0, 1, DAYS))
    return base + rng.normal(0, 3, DAYS), base


def panel_of(*series: dict[str, np.ndarray]) -> Panel:
    tables = [pd.DataFrame({"ds": STAMPS, "unique_id": f"s{k}"} | columns) for k, columns in enumerate(series)]
    table = pd.concat(tables).assign(y=lambda rows: rows["y"].where(rows["ds"] < STAMPS[KNOWN]))
    known = [name for name in table if name not in ("ds", "unique_id", "y")]
    return make_panel(table, freq="D", roles=dict.fromkeys(known, "known_future"))


def kinds(panel: Panel) -> dict[str, str]:
    return copied_columns(panel, 28).drop_duplicates("column").set_index("column")["kind"].to_dict()


@pytest.mark.parametrize("seed", [77, 78, 79])
@pytest.mark.parametrize("sd", [1, 2])
def test_a_copy_with_noise_of_its_own_is_found(seed: int, sd: float) -> None:
    y, _ = sales(seed)
    rng = np.random.default_rng(seed + 5)
    promo = (rng.random(DAYS) < 0.12).astype(float)
    panel = panel_of({"y": y, "near": y + rng.normal(0, sd, DAYS), "promo": promo})
    assert kinds(panel) == {"near": "noisy"}
    (found,) = [one for one in audit(panel) if one.code.startswith("leak")]
    assert "noise of its own" in found.text("en") and "'near'" in found.text("en") and "ruído" in found.text("pt-BR")
    assert without_copies(panel, 28).roles == {"near": "exclude", "promo": "known_future"}
    assert without_copies(panel, 28, trust=["near"]).roles["near"] == "known_future"


@pytest.mark.parametrize("seed", [77, 78, 79])
def test_classes_of_the_target_are_found_in_every_series(seed: int) -> None:
    y, _ = sales(seed)
    parts = []
    for k in range(1, 5):
        own = y * k
        classes = pd.qcut(own, 5, labels=list("abcde")).astype(str)
        low = (own < np.quantile(own, 0.15)).astype(int)
        parts.append(
            {"y": own, "bucket": classes, "stock_out": low, "tens": np.round(own, -1), "fives": np.floor(own / 5) * 5}
        )
    found = copied_columns(panel_of(*parts), 28)
    assert found.groupby("column").size().to_dict() == {"bucket": 4, "stock_out": 4, "tens": 4, "fives": 4}


def honest(seed: int) -> dict[str, np.ndarray]:
    """Sales that price, promotion, closed days and events move strongly, and what is known of them in advance."""
    rng = np.random.default_rng(seed)
    _, base = sales(seed)
    price, promo = rng.choice([8.0, 9, 10, 12], DAYS), (rng.random(DAYS) < 0.2).astype(int)
    closed, event = (rng.random(DAYS) < 0.08).astype(int), (rng.random(DAYS) < 0.1).astype(int)
    noise = rng.choice([0.5, 2, 6])
    y = base + 200 - 15 * price + 30 * promo + 300 * event + rng.normal(0, noise, DAYS)
    columns = {
        "price": price,
        "promo": promo,
        "closed": closed,
        "event": event,
        "tier": np.where(price < 9.5, "low", "high"),
    }
    calendar = {"weekday": STAMPS.day_name(), "month": STAMPS.month, "number": np.arange(DAYS), "level": base.round(-1)}
    return {"y": np.where(closed == 1, 0.0, y)} | columns | calendar


def test_honest_columns_are_not() -> None:
    for seed in range(12):
        assert kinds(panel_of(honest(seed))) == {}, seed
        assert kinds(panel_of(honest(seed), honest(seed + 100))) == {}, seed


@pytest.mark.parametrize("error", [2.0, 4, 8])
def test_a_plan_that_is_kept_closely_is_no_copy(error: float) -> None:
    """What nobody knew is in the target, not in the plan."""
    flagged = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        plan = sales(seed)[1] + 30 * (rng.random(DAYS) < 0.3) + rng.normal(0, 10, DAYS)
        flagged += noisy_copy([plan + rng.normal(0, error, DAYS)], [plan], [7]) > 0
    assert flagged <= 2


def test_counts_and_growing_series_have_classes_of_their_own() -> None:
    rng = np.random.default_rng(0)
    promo = (rng.random(DAYS) < 0.2).astype(int)
    counts = rng.poisson(np.where(promo, 8, 2)).astype(float)
    assert not cut_from(counts, pd.Series(promo), [7])
    assert not cut_from(np.cumsum(rng.exponential(1, DAYS)), pd.Series(STAMPS.month), [7, 365])
    assert cut_from(counts, pd.Series(pd.cut(counts, [-1, 2, 4, 99], labels=False)), [7]) is None, (
        "too few different values"
    )


def test_one_series_of_four_does_not_decide_about_a_plan() -> None:
    """Made as planned within 3 %: in one or two series, more than 98 % of the changes follow the plan by chance."""
    decided, alone = 0, 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        parts = []
        for k in range(4):
            plan = rng.uniform(60, 140, DAYS)
            parts.append({"y": plan * rng.normal(1, 0.029 if k == 0 else 0.045, DAYS), "plan": plan})
        decided += bool(kinds(panel_of(*parts)))
        alone += bool(kinds(panel_of(parts[0])))
    assert decided <= 1 and alone >= 5
