"""Forecasts of the winner in the folds, with the scale of each series."""

import pandas as pd

from vur.panel import Panel
from vur.report.clock import in_model_time
from vur.report.sections import Facts
from vur.stages.training.evaluation import fold_noise, fold_scales
from vur.stages.training.leaderboard import residuals_of


def winner_residuals(facts: Facts) -> tuple[pd.DataFrame, pd.Series, Panel] | None:
    """Fold forecasts of the winner with the scale of each series, the latest scales, and the panel.

    None without folds or a fitted pipeline.
    """
    evaluation = getattr(facts.training, "evaluation", None)
    forecasts = getattr(evaluation, "forecasts", None)
    ends = getattr(getattr(facts.training, "pipeline", None), "ends", None)
    if evaluation is None or forecasts is None or ends is None:
        return None
    if not getattr(facts.plan, "folds", ()) or facts.training.winner not in set(forecasts["algorithm"]):
        return None
    panel = in_model_time(facts.panel, ends)
    scales = fold_scales(panel, facts.plan)
    latest = scales.drop_duplicates("unique_id", keep="last").set_index("unique_id")["interval"].astype(float)
    noise = fold_noise(panel, facts.plan)
    return residuals_of(evaluation, facts.training.winner, scales, noise), latest, panel
