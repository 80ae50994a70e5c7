"""Section on how the forecast was made: tests, choices, provenance, fallbacks and the leakage check."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from vur.forecasters.registry import algorithm_name
from vur.report.context import ReportContext
from vur.report.sections import Part
from vur.report.tables import MAX_ROWS, say, speaker
from vur.text import table as text_table
from vur.text import translate
from vur.wording import listing, number, steps


def flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """A nested dict as `a.b: value` pairs, without empty and disabled entries."""
    pairs = []
    for key, inner in (value or {}).items():
        name = f"{prefix}{key}"
        if isinstance(inner, Mapping):
            pairs += flat(inner, f"{name}.")
        elif isinstance(inner, (list, tuple)) and inner:
            pairs.append(
                (
                    name,
                    ", ".join(
                        "(" + ", ".join(map(str, i)) + ")" if isinstance(i, (list, tuple)) else str(i)
                        for i in inner[:40]
                    ),
                )
            )
        elif inner not in (None, "", "none", False) and not isinstance(inner, (list, tuple)):
            pairs.append((name, str(inner)))
    return pairs


def part(found: ReportContext, language: str) -> Part:
    """Tests, choices and provenance of the run."""
    return Part(speaker(language)("nav.recipe"), content=recipe(found, language))


def recipe(context: ReportContext, language: str) -> dict[str, Any]:
    """Tests, choices, provenance, fallbacks and the leakage check."""
    t, plan, run = speaker(language), context.plan, context.run
    tests = [
        t(f"recipe.{context.data.get('point') or 'mean'}"),
        *([t("recipe.whole")] if context.data.get("whole") else []),
    ]
    if plan.get("folds"):
        tests.append(
            t(
                "recipe.folds" if int(plan["folds"]) > 1 else "recipe.fold",
                folds=number(plan["folds"], language, 0),
                horizon=steps(plan.get("horizon") or context.horizon, context.freq, language),
            )
        )
        tests.append(t("recipe.sliding" if plan.get("window") == "sliding" else "recipe.expanding"))
    if plan.get("test"):
        tests.append(t("recipe.test", horizon=steps(plan.get("horizon") or context.horizon, context.freq, language)))
    if plan.get("gap"):
        tests.append(t("recipe.gap", gap=steps(plan["gap"], context.freq, language)))
    tests += canary_lines(context, language)
    said = [*(plan.get("notes") or ()), *(note for note in context.notes if of_effects(note))]
    tests += [text for text in (say(note, language) for note in said) if text]
    provenance = [
        (t(f"recipe.{key}"), str(run[key]))
        for key in ("run_id", "fingerprint", "config_hash", "seed")
        if run.get(key) not in (None, "")
    ]
    if run.get("status"):
        key = f"report.status.{run['status']}"
        provenance.append((t("recipe.status"), translate(key, language) if key in text_table() else str(run["status"])))
    if run.get("seconds") is not None:
        provenance.append((t("recipe.seconds"), f"{number(run['seconds'], language, 1)} s"))
    if context.model.get("tag"):
        provenance.append((t("recipe.tag"), str(context.model["tag"])))
    fallbacks = context.fallbacks if context.fallbacks is not None else pd.DataFrame()
    groups = [
        (title, flat(context.recipe.get(key)))
        for key, title in (
            ("parameters", t("recipe.parameters")),
            ("preprocess", t("recipe.preprocess")),
            ("features", t("recipe.features")),
        )
    ]
    return {
        "tests": tests,
        "provenance": provenance,
        "groups": [(title, pairs) for title, pairs in groups if pairs],
        "versions": sorted((str(k), str(v)) for k, v in (run.get("versions") or {}).items()),
        "fallbacks": [
            (str(row.get("unique_id")), say(row.get("reason"), language), algorithm_name(row.get("used"), language))
            for row in fallbacks.head(MAX_ROWS).to_dict("records")
        ],
        "fallback_count": t("recipe.fallback_count", count=number(len(fallbacks), language, 0))
        if len(fallbacks)
        else "",
    }


def of_effects(note: Any) -> bool:
    """Whether a note of the training says if the effects of columns were taken off: how it was made, not a warning."""
    return any(str(key).startswith("training.note.effects_") for key, _ in getattr(note, "parts", ()))


def canary_lines(context: ReportContext, language: str) -> list[str]:
    """The result of the leakage check, for the winner and for disqualified candidates."""
    canary, t = context.canary or {}, speaker(language)
    if canary.get("passed") is None:
        return []
    failed = [str(name) for name in canary.get("failed") or ()]
    if canary["passed"]:
        return [t("recipe.canary_passed")]
    if failed and context.winner not in failed:
        return [t("recipe.canary_others", names=listing([algorithm_name(name, language) for name in failed], language))]
    return [t("recipe.canary_failed")]
