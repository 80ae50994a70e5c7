"""The top of the page: what to expect, whether to trust it, and four numbers at a glance."""

import math
from typing import Any

from vur.forecasters.registry import algorithm_name
from vur.hierarchy import counted_once
from vur.report.context import ReportContext
from vur.report.sections import Part
from vur.report.summary import expectation_sentences, expected, score_rows, trust, trust_sentence, typical_error
from vur.report.tables import speaker
from vur.text import translate
from vur.wording import level_text, number, percent, stamp, steps


def fold_count(context: ReportContext) -> int:
    """The number of past tests behind the page's sentences."""
    if context.residuals is not None and "fold" in context.residuals and len(context.residuals):
        return int(context.residuals["fold"].nunique())
    return int(context.plan.get("folds") or 0)


def part(found: ReportContext, language: str) -> Part:
    """Headline, verdict and the numbers at a glance."""
    history, forecast, residuals = (
        counted_once(frame, found.hierarchy) for frame in (found.history, found.forecast, found.residuals)
    )
    facts = expected(history, forecast, found.freq, found.data, residuals)
    confidence = trust(
        found.leaderboard,
        found.winner,
        found.metric,
        fold_count(found),
        found.test_scores,
        reference=found.reference,
        skill=found.skill,
        off=found.off,
        difference=found.choice and found.choice.to_reference,
    )
    content = hero(found, facts, confidence, language) | {"tiles": tiles(found, facts, confidence, language)}
    return Part(speaker(language)("nav.summary"), content=content)


def hero(context: ReportContext, facts: dict[str, Any], confidence: dict[str, Any], language: str) -> dict[str, Any]:
    """The headline, the sentences below it, and the verdict compared with the naive forecast."""
    sentences = expectation_sentences(facts, context.data, context.freq, language)
    period = translate(
        "report.headline.period",
        language,
        start=stamp(facts["start"], context.freq, language),
        end=stamp(facts["end"], context.freq, language),
        algorithm=algorithm_name(context.winner, language),
    )
    badge = badge_of(context, confidence)
    said = trust_sentence(confidence, context.freq, context.plan.get("horizon") or context.horizon, language)
    return {
        "headline": sentences[0],
        "sentences": sentences[1:],
        "period": period,
        "verdict": badge,
        "trust": f"{said} {translate('report.trust.unsure', language)}" if badge == "unsure" else said,
    }


def badge_of(context: ReportContext, confidence: dict[str, Any]) -> str:
    """The verdict, or `unsure` in place of praise where absent rows may be zeros that count as unknown."""
    praised = confidence["verdict"] in ("clear", "slight", "alike")
    return "unsure" if praised and context.data.get("unsure") else confidence["verdict"]


def headline_scores(context: ReportContext) -> dict[str, Any]:
    """The scores of the error to expect: those that the training names, else those of the winner on test or folds."""
    if context.headline:
        return context.headline
    for source, scores in (("test", score_rows(context.test_scores)), ("", context.leaderboard)):
        rows = scores[scores["algorithm"] == context.winner]
        if len(rows):
            return {"source": source} | rows.iloc[0].to_dict()
    return {}


def tiles(
    context: ReportContext, facts: dict[str, Any], confidence: dict[str, Any], language: str
) -> list[dict[str, str]]:
    """Four numbers at a glance: horizon, next value, typical error, gain over the naive forecast."""
    t, freq = speaker(language), context.freq

    def tell(value: float) -> str:
        return number(value, language, facts["digits"])

    change = facts["change"]
    said = [
        {
            "label": t(f"tile.{facts['how']}", period=steps(facts["horizon"], freq, language)),
            "value": "–" if facts["value"] is None else tell(facts["value"]),
            "tone": "",
            "note": t("tile.apart")
            if facts["value"] is None
            else t(
                "tile.change",
                change=("+" if change["share"] >= 0 else "−") + percent(abs(change["share"]), language),
                lag=steps(change["lag"], freq, language),
            )
            if change
            else "",
        }
    ]
    if facts["next"] is not None:
        note = (
            t(
                "tile.range",
                low=tell(facts["range"][0]),
                high=tell(facts["range"][1]),
                level=level_text(facts["level"], language),
            )
            if facts["range"]
            else t(f"tile.next_{facts['how']}", count=number(facts["series"], language, 0))
            if facts["series"] > 1
            else ""
        )
        said.append(
            {
                "label": t("tile.next", stamp=stamp(facts["next_stamp"], freq, language)),
                "value": tell(facts["next"]),
                "tone": "",
                "note": note,
            }
        )
    period = steps(context.plan.get("horizon") or context.horizon, freq, language)
    squared = bool(confidence.get("squared"))
    value, note = typical_error(headline_scores(context), context.history, period, language, squared)
    said.append({"label": t("tile.error"), "value": value, "tone": "", "note": note})
    skill = confidence["skill"] if math.isnan(confidence["test_skill"]) else confidence["test_skill"]
    badge = badge_of(context, confidence)
    tones = {"clear": "good"} | dict.fromkeys(("slight", "alike", "naive", "unknown", "unsure"), "")
    tone = tones.get(badge, "bad")
    sign = "−" if skill > 0 else "+"
    said.append(
        {
            "label": t("tile.skill"),
            "value": "–"
            if math.isnan(skill)
            else sign + percent(abs(skill), language)
            if abs(skill) >= 0.0005
            else percent(0, language),
            "tone": tone,
            "note": t(f"verdict.{badge}"),
        }
    )
    return said
