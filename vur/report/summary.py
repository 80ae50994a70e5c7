"""The findings of a run in a few numbers and plain sentences: what to expect, and whether to trust it."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from vur.forecasters.registry import algorithm_name
from vur.frequency import Frequency, advance
from vur.panel import steps_behind
from vur.scoring.comparison import Difference
from vur.scoring.metrics import METRICS, REFERENCE
from vur.settings import tidy_levels
from vur.stages.training.choice import verdict
from vur.stages.upload.names import names_amount
from vur.text import translate
from vur.wording import digits_for, level_text, listing, number, percent, stamp, steps


def aggregate_of(data: dict[str, Any]) -> str:
    """How a horizon is aggregated: `sum` for counts and what is named like an amount, else `mean`; `data` may set it.

    Neither has negative values.
    """
    adds_up = data.get("nonnegative") and (data.get("integer") or names_amount(str(data.get("target") or "")))
    return data.get("aggregate") or ("sum" if adds_up else "mean")


def target_digits(values: Iterable[float], data: dict[str, Any]) -> int:
    """Decimals of forecasts and their sums: none where whole numbers are asked for, few for whole-number data."""
    return 0 if data.get("whole") else digits_for(values, bool(data.get("integer")))


def _lagged(ds: pd.Series, freq: Frequency, lag: int) -> pd.Series:
    return pd.Series(advance(ds.to_numpy(), -lag, freq.alias), index=ds.index)


def change_since(history: pd.DataFrame, forecast: pd.DataFrame, freq: Frequency, horizon: int) -> dict[str, Any] | None:
    """Change of the forecast from the actual values of the same timestamps some seasons earlier: `{"share", "lag"}`.

    The lag is the shortest multiple of a week, else of the season, that covers the whole horizon (the horizon itself
    without a season). None when fewer than 90% of those timestamps were observed or their sum is not positive.
    """
    cycles = (freq.week, max(freq.season, 1), horizon)
    for lag in dict.fromkeys(math.ceil(horizon / cycle) * cycle for cycle in cycles if cycle):
        try:
            ahead = forecast[["unique_id", "forecast"]].assign(ds=_lagged(forecast["ds"], freq, lag))
        except (TypeError, ValueError, OverflowError):
            return None
        pairs = ahead.merge(history[["unique_id", "ds", "y"]], on=["unique_id", "ds"]).dropna()
        if len(pairs) >= 0.9 * len(forecast) and pairs["y"].sum() > 0:
            return {"share": float(pairs["forecast"].sum() / pairs["y"].sum() - 1), "lag": lag}
    return None


def total_misses(residuals: pd.DataFrame | None, aggregate: str) -> dict[str, float] | None:
    """Relative error of the total (or mean) over horizon and series in past tests: `mean`, `max`, number of `tests`."""
    if residuals is None or residuals.empty or "fold" not in residuals:
        return None
    folds = residuals.dropna(subset=["y", "forecast"]).groupby("fold")[["y", "forecast"]].sum()
    folds = folds[folds["y"] > 0]
    if folds.empty:
        return None
    share = (folds["forecast"] / folds["y"] - 1).abs()
    return {"mean": float(share.mean()), "max": float(share.max()), "tests": len(share)}


def shared_rows(forecast: pd.DataFrame, freq: Frequency) -> pd.DataFrame:
    """The rows of `forecast` in steps that all of its series have, with their `step`: only those can be added up.

    Steps count from the earliest stamp, so that Mondays of one series and Fridays of another share their weeks.
    """
    stamps = np.sort(forecast["ds"].unique())
    steps = steps_behind(pd.Series(np.repeat(stamps[:1], len(stamps))), stamps, freq)
    rows = forecast.assign(step=forecast["ds"].map(dict(zip(stamps, steps, strict=True))))
    series = rows.groupby("step")["unique_id"].transform("nunique")
    return rows[series == rows["unique_id"].nunique()]


def expected(
    history: pd.DataFrame,
    forecast: pd.DataFrame,
    freq: Frequency,
    data: dict[str, Any],
    residuals: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """The numbers of the headline: total or mean of the horizon, next value with its range, change from the past.

    They count the steps that all series share: `horizon` of them, from `start` to `end`; `whole` says whether those are
    all steps. Where series end so far apart that they share none, `value` and `next` are None, and `start` and `end`
    those of all forecasts. For several series `next` is their sum (or mean) in the first shared step, without a range,
    if they have the same stamp there.
    """
    how, ids = aggregate_of(data), forecast["unique_id"].nunique()
    rows = shared_rows(forecast, freq)
    whole, apart = len(rows) == len(forecast), rows.empty
    horizon = int(forecast.groupby("unique_id", observed=True).size().max()) if apart else rows["step"].nunique()
    first = rows[rows["step"] == rows["step"].min()]
    together = first["ds"].nunique() == 1
    levels = tidy_levels(float(name[3:]) for name in forecast.columns if name.startswith("lo-"))
    facts: dict[str, Any] = {
        "how": how,
        "series": ids,
        "horizon": horizon,
        "whole": whole,
        "value": None if apart else float(getattr(rows["forecast"], how)()),
        "start": (forecast if apart else rows)["ds"].min(),
        "end": (forecast if apart else rows)["ds"].max(),
        "next_stamp": first["ds"].iloc[0] if together else None,
        "next": float(getattr(first["forecast"], how)()) if together else None,
        "level": levels[0] if levels else None,
        "range": None,
        "change": None if apart else change_since(history, rows, freq, horizon),
        "miss": None if apart else total_misses(residuals, how),
        "digits": target_digits(forecast["forecast"].head(1000), data if how == "sum" else {}),
    }
    if ids == 1 and levels:
        facts["range"] = (float(first[f"lo-{levels[0]}"].iloc[0]), float(first[f"hi-{levels[0]}"].iloc[0]))
    return facts


def title(name: str) -> str:
    """A column name at the start of a sentence: `total_vendas` as `Total vendas`."""
    words = str(name).replace("_", " ").strip() or str(name)
    return words[:1].upper() + words[1:]


def expectation_sentences(facts: dict[str, Any], data: dict[str, Any], freq: Frequency, language: str) -> list[str]:
    """The headline, then the next value, the change from the past, and the size of past errors of such totals.

    Without a stamp that all series share there is no total, and the headline says so; series left out are named.
    """

    def say(key: str, **values: object) -> str:
        return translate(f"report.headline.{key}", language, **values)

    period = steps(facts["horizon"], freq, language)
    span = {"start": stamp(facts["start"], freq, language), "end": stamp(facts["end"], freq, language)}
    name = data.get("label") or title(data.get("target") or "y")
    gone = data.get("ended") or []
    left_out = [say("ended", names=listing(gone, language), count=number(len(gone), language, 0))] if gone else []
    if facts["value"] is None:
        count = number(facts["series"], language, 0)
        return [say("apart", target=name, count=count, period=period, **span), *left_out]
    value = number(facts["value"], language, facts["digits"])
    several = say("across", count=number(facts["series"], language, 0)) if facts["series"] > 1 else ""
    if facts["series"] > 1 and facts["how"] == "mean":
        several = say("per_series", count=number(facts["series"], language, 0))
    key = facts["how"] if facts["whole"] else f"{facts['how']}_shared"
    unsure = " " + say("unsure", share=percent(data["unsure"], language, 0)) if data.get("unsure") else ""
    said = [say(key, target=name, value=value, period=period, several=several, **span) + unsure, *left_out]
    if facts["change"]:
        share, lag = facts["change"]["share"], steps(facts["change"]["lag"], freq, language)
        key = "same" if abs(share) < 0.005 else "more" if share > 0 else "less"
        said.append(say(f"{key}_{facts['how']}", change=percent(abs(share), language), lag=lag))
    if facts["next"] is not None:
        words = {
            "stamp": stamp(facts["next_stamp"], freq, language),
            "value": number(facts["next"], language, facts["digits"]),
        }
        if facts["range"]:
            low, high = (number(v, language, facts["digits"]) for v in facts["range"])
            said.append(say("next_range", **words, low=low, high=high, level=level_text(facts["level"], language)))
        else:
            said.append(say(f"next_{facts['how']}", **words))
    if facts["miss"]:
        miss = facts["miss"]
        said.append(
            say(
                f"miss_{facts['how']}" if miss["tests"] > 1 else f"miss_{facts['how']}_once",
                mean=percent(miss["mean"], language),
                max=percent(miss["max"], language),
                tests=number(miss["tests"], language, 0),
            )
        )
    return said


def scored_sentences(hierarchy: Any, tested: bool, language: str) -> list[str]:
    """Which series and forecasts the scores are about, when some series are sums of others.

    `tested`: there is a held-out test.
    """
    if hierarchy is None:
        return []
    counts = {"series": len(hierarchy.ids), "own": len(hierarchy.bottom), "sums": len(hierarchy.sums)}
    said = translate(
        "hierarchy.scored", language, **{name: number(count, language, 0) for name, count in counts.items()}
    )
    return [said + (" " + translate("hierarchy.scored_test", language) if tested else "")]


# --- accuracy ---


def score_rows(scores: Any) -> pd.DataFrame:
    """Scores as a frame with an `algorithm` column.

    `scores` is a frame, `{algorithm: {metric: value}}`, or the dict of one algorithm.
    """
    if scores is None or len(scores) == 0:
        return pd.DataFrame({"algorithm": []})
    if isinstance(scores, pd.DataFrame):
        return scores if "algorithm" in scores else scores.rename_axis("algorithm").reset_index()
    if all(isinstance(value, dict) for value in scores.values()):
        return pd.DataFrame.from_dict(scores, orient="index").rename_axis("algorithm").reset_index()
    return pd.DataFrame([{"algorithm": "", **scores}])


def _skill(scores: pd.DataFrame, winner: str, metric: str, reference: str) -> float:
    """Skill of `winner`: from its own column, else from the errors of winner and reference."""
    rows = scores[scores["algorithm"].isin([winner, ""])]
    if rows.empty:
        return float("nan")
    if "skill" in rows and pd.notna(rows["skill"].iloc[0]):
        return float(rows["skill"].iloc[0])
    naive = scores[scores["algorithm"] == reference]
    shared = next((name for name in (metric, "mase", "mae") if name in rows and name in naive), None)
    if naive.empty or shared is None or not naive[shared].iloc[0] > 0:
        return float("nan")
    return float(1 - rows[shared].iloc[0] / naive[shared].iloc[0])


def trust(
    leaderboard: pd.DataFrame,
    winner: str,
    metric: str,
    tests: int,
    test_scores: Any = None,
    *,
    reference: str = REFERENCE,
    skill: float | None = None,
    off: float = math.nan,
    difference: Difference | None = None,
) -> dict[str, Any]:
    """What may be said of the winner beside the best naive forecast: `verdict`, `skill` and `test_skill`.

    `verdict` is one of `vur.stages.training.choice.verdict`, whose arguments are given here; `skill` None is that of
    the leaderboard.
    """
    shown = _skill(leaderboard, winner, metric, reference) if skill is None else skill
    tested = _skill(score_rows(test_scores), winner, metric, reference)
    return {
        "verdict": verdict(winner, shown, tested, off, difference),
        "skill": shown,
        "test_skill": tested,
        "tests": tests,
        "winner": winner,
        "reference": reference,
        "squared": METRICS[metric].root,
        "off": off,
    }


def rule_of(reference: str, freq: Frequency, language: str) -> str:
    """What the naive forecast `reference` does, in words: repeating the value from 168 hours earlier."""
    if reference == "drift":
        return translate("report.trust.rule_drift", language)
    season = reference.rpartition("_")[2]
    if season.isdigit():
        return translate("report.trust.rule_lag", language, lag=steps(int(season), freq, language))
    seasonal = reference == REFERENCE and freq.season > 1
    return translate("report.trust.rule_season" if seasonal else "report.trust.rule_last", language)


def trust_sentence(facts: dict[str, Any], freq: Frequency, horizon: int, language: str) -> str:
    """Accuracy compared with the naive forecast, in plain words, also when it is no better."""

    def say(key: str, **values: object) -> str:
        return translate(f"report.trust.{key}", language, **values)

    word, skill, test = facts["verdict"], facts["skill"], facts["test_skill"]
    rule = rule_of(facts["reference"], freq, language)
    tests = say("tests" if facts["tests"] > 1 else "one_test", count=number(facts["tests"], language, 0))
    period = steps(horizon, freq, language)
    shown = test if math.isnan(skill) else skill
    key = "equal" if word == "no" and abs(shown) < 0.005 else word
    words = {
        "tests": tests,
        "rule": rule,
        "period": period,
        "skill": percent(abs(shown), language, 0 if abs(shown) >= 0.095 else 1),
        "name": algorithm_name(facts["winner"], language),
        "off": percent(abs(facts["off"]) / 100, language, 0),
    }
    squared = " " + say("squared") if facts.get("squared") and word in ("clear", "slight", "mixed") else ""
    if word == "mixed":
        return say("mixed", **words, test=percent(abs(test), language, 0 if abs(test) >= 0.095 else 1)) + squared
    said = say(key, **words) + squared
    if word in ("clear", "slight", "alike", "no") and not math.isnan(skill) and not math.isnan(test):
        side = "smaller" if test > 0.005 else "larger" if test < -0.005 else "alike"
        said += " " + say(
            f"test_{side}", period=period, test=percent(abs(test), language, 0 if abs(test) >= 0.095 else 1)
        )
    return said


def typical_error(
    scores: Mapping[str, Any], history: pd.DataFrame, period: str, language: str, squared: bool = False
) -> tuple[str, str]:
    """A typical error and its meaning: WAPE if the target is never negative, else MAE in its units.

    Where candidates are ranked by a `squared` error it is the RMSE: by absolute ones zero may look better.

    `scores` has `wape` and `mae`, and a `source` (see `Training.headline`) that the meaning names; `period` is the
    horizon in words.
    """
    source = f"_{scores['source']}" if scores.get("source") in ("test", "held_out", "folds") else ""
    rmse = float(scores.get("rmse", math.nan))
    if squared and not math.isnan(rmse):
        meaning = translate(f"report.tile.error_mae{source}", language, period=period)
        return number(rmse, language), f"RMSE: {meaning}"
    wape, mae = (float(scores.get(name, math.nan)) for name in ("wape", "mae"))
    if not math.isnan(wape) and wape < 100 and not (history["y"] < 0).any():
        return percent(wape / 100, language), translate(f"report.tile.error_wape{source}", language, period=period)
    if math.isnan(mae):
        return "–", translate("report.tile.error_none", language)
    return number(mae, language), translate(f"report.tile.error_mae{source}", language, period=period)


CLOSE = 7.0  # points


def coverage_rows(leaderboard: pd.DataFrame, winner: str) -> list[dict[str, Any]]:
    """Nominal and realised coverage of each interval of the winner, narrowest first, with width, score and verdict.

    More than `CLOSE` points below the nominal level is `narrow`, more above it is `wide`, else `close`.
    """
    row, rows = leaderboard[leaderboard["algorithm"] == winner], []
    columns = [str(name) for name in leaderboard.columns if str(name).startswith("coverage-")]
    for level in tidy_levels(float(name.removeprefix("coverage-")) for name in columns):
        value = float(row[f"coverage-{level}"].iloc[0]) if len(row) else math.nan
        if not np.isnan(value):
            gap = value - level
            rows.append(
                {
                    "level": level,
                    "value": value,
                    **{
                        name: float(row[f"{name}-{level}"].iloc[0]) if f"{name}-{level}" in row else math.nan
                        for name in ("width", "winkler")
                    },
                    "verdict": "narrow" if gap < -CLOSE else "wide" if gap > CLOSE else "close",
                }
            )
    return rows
