"""Whether models are still good: the verdict and its evidence in words, weeks of live accuracy, thresholds."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from vur.store.catalog import Dataset, Model, now
from vur.store.forecasts.scoring import accuracy, by_period, scored_points
from vur.store.models import retraining, thresholds
from vur.store.models.retraining import Reason, Verdict
from vur.text import translate
from vur.wording import level_text, listing, number

PERCENTS = ("skill", "before")  # values that are shares, told in percent
SHOWN_COLUMNS = 5


def verdict_shown(verdict: Verdict, name: str, language: str, evidence: dict[str, Any]) -> dict[str, Any]:
    """Return a verdict as the API shows it: a headline, each reason with its sentence and its numbers, and the figures.

    The figures are of everybody's forecasts: a model is as good for all who may see it.
    """
    live, training = evidence["live"] or {}, evidence["training"]
    present, promised = live.get("mae"), training["mae"]
    return {
        "points": live.get("n", 0),
        "skill": live.get("skill"),
        "error_ratio": present / promised if present is not None and promised else None,
        "coverage": live.get("coverage") or {},
        "retrain": verdict.retrain,
        "headline": translate(f"retrain.verdict.{verdict.retrain}", language, name=name),
        "reasons": [one.to_dict() | {"text": reason_text(one, language)} for one in verdict.reasons],
    }


def reason_text(reason: Reason, language: str) -> str:
    """Return a reason as a sentence."""
    said = {key: _said(key, value, language) for key, value in reason.values.items()}
    return translate(f"retrain.{reason.code}", language, **said)


def _said(key: str, value: Any, language: str) -> str:
    if key == "columns":
        return listing(value, language, SHOWN_COLUMNS)
    if key == "level":
        return level_text(float(value), language)
    if isinstance(value, float):
        return number(100 * value if key in PERCENTS else value, language, 2 if key == "ratio" else 1)
    return number(value, language, 0) if isinstance(value, int) else str(value)


def health(session: Session, model: Model, language: str) -> dict[str, Any]:
    """Return everything known on whether `model` is still good; its inputs are compared if they never were."""
    limits = thresholds.of_model(session, model)
    points = scored_points(session, retraining.ANYBODY, model_ids=[model.id], since=now() - retraining.RECENT)
    live = None if points.empty else accuracy(points)
    newest = session.scalar(select(Dataset.number).where(Dataset.id == model.dataset_id))
    evidence = retraining.collect(session, model, live, newest, compute=True)
    verdict = retraining.judge(evidence, limits)
    moved = retraining.moved_columns((evidence["inputs"] or {}).get("columns") or (), limits["inputs"])
    return {
        "model_id": model.id,
        "name": model.name,
        "trained_at": model.trained_at,
        "evidence": evidence,
        "moved_columns": moved,
        "history": [] if points.empty else by_period(points, "week"),
        "thresholds": thresholds_shown(session, model.owner_id, model.id, language),
    } | {"verdict": verdict_shown(verdict, model.name, language, evidence)}


def thresholds_shown(session: Session, owner_id: str, model_id: str, language: str) -> list[dict[str, Any]]:
    """Return the thresholds that count for a model, or with an empty id for all models of a user."""
    model = session.get(Model, model_id) if model_id else None
    if model is not None:
        values = thresholds.of_model(session, model)
    else:
        values = {**thresholds.USUAL, **thresholds.of_user(session, owner_id)}
    origin = thresholds.sources(session, owner_id, model_id)
    return [
        {
            "kind": name,
            "value": values[name],
            "usual": kind.usual,
            "set_by": origin[name],
            "unit": kind.unit,
            "least": kind.low,
            "most": kind.high,
            "title": translate(f"thresholds.{name}.title", language),
            "help": translate(f"thresholds.{name}.help", language),
        }
        for name, kind in thresholds.KINDS.items()
    ]
