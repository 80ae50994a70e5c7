"""What each step of the wizard may be set to: fields of a form with label, help, bounds, defaults and choices.

Choices come from the registries that read them, so that a new method stands in the form by itself. Texts are the
entries `options.<step>.<field>`, `.help` and `.<choice>` of the translations.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

from vur.absence import ABSENT
from vur.forecasters.networks.architecture import DOCUMENT, LAYERS, REQUIRED, SECTIONS, Key
from vur.forecasters.networks.training import epoch_scores
from vur.forecasters.registry import PRESETS
from vur.panel import ROLES
from vur.runs.config import DUPLICATES, ENDED, Config
from vur.scoring.metrics import AUTO, METRICS
from vur.stages.features import WINDOWS
from vur.stages.features.calendar import PARTS
from vur.stages.model import EFFECTS
from vur.stages.model.search_space import GRID_LIMIT, METHODS
from vur.stages.preprocess.cleaning import MISSING, THRESHOLDS, TREATMENTS
from vur.stages.preprocess.transforms import DIFFERENCES, TRANSFORMS
from vur.text import translate, translate_or

LEVELS = (50, 80, 90, 95, 99)


def field(name: str, kind: str, choices: Iterable[Any] = (), **bounds: Any) -> dict[str, Any]:
    """A field without its texts; `kind` is `choice, choices, int, float, size, bool, text, ints, date` or `columns`."""
    return {"name": name, "type": kind, "choices": list(choices), **bounds}


FIELDS: dict[str, tuple[dict[str, Any], ...]] = {
    "preview": (
        field("date", "column"),
        field("target", "column"),
        field("series", "columns"),
        field("roles", "roles", ROLES),
        field("duplicates", "choice", DUPLICATES),
        field("absent", "choice", ABSENT),
        field("ended", "choice", ENDED),
        field("freq", "text"),
        field("tz", "text"),
    ),
    "split": (
        field("horizon", "int", min=1, max=100_000),
        field("folds", "int", min=1, max=100),
        field("gap", "int", min=0, max=100_000),
        field("step", "int", min=1, max=100_000),
        field("window", "choice", ("expanding", "sliding")),
        field("max_train", "int", min=1, max=10_000_000),
        field("test", "choice", ("auto", True, False)),
        field("train_size", "size"),
        field("validation_size", "size"),
        field("test_size", "size"),
        field("validation_start", "date"),
        field("test_start", "date"),
    ),
    "preprocessing": (
        field("missing", "choice", MISSING),
        field("outliers.method", "choice", THRESHOLDS),
        field("outliers.treatment", "choice", TREATMENTS),
        field("outliers.threshold", "float", min=0, max=1000, usual=dict(THRESHOLDS)),
        field("transforms", "choices", (*TRANSFORMS, *DIFFERENCES)),
    ),
    "features": (
        field("lags", "ints", min=1, max=100_000),
        field("rolling", "windows", WINDOWS),
        field("calendar", "choices", PARTS),
        field("country", "country"),
        field("state", "state"),
    ),
    "model": (
        field("preset", "choice", PRESETS),
        field("metric", "choice", (AUTO, *(name for name, metric in METRICS.items() if metric.ranks))),
        field("ensemble", "bool"),
        field("effects", "choice", EFFECTS),
        field("optimize.iterations", "int", min=0, max=GRID_LIMIT),
        field("optimize.method", "choice", METHODS),
        field("optimize.time_limit", "float", min=1, max=604_800),
    ),
    "training": (
        field("time_budget", "float", min=1, max=604_800),
        field("levels", "levels", LEVELS),
        field("seed", "int", min=0, max=2**31 - 1),
        field("whole", "bool"),
    ),
}
SECTIONS_OF = {
    "preview": "data",
    "split": "split",
    "preprocessing": "preprocess",
    "features": "features",
    "model": "model",
    "training": "training",
}


def options(language: str) -> dict[str, Any]:
    """The fields of every step, the countries with their states, and the parts of a network, in `language`."""
    usual = Config().to_dict()
    return {
        "steps": {
            step: [_told(step, entry, usual[SECTIONS_OF[step]], language) for entry in entries]
            for step, entries in FIELDS.items()
        },
        "countries": countries(),
        "states": state_names(),
        "network": network(language),
    }


def _told(step: str, entry: dict[str, Any], usual: dict[str, Any], language: str) -> dict[str, Any]:
    name = entry["name"]
    section, _, key = name.rpartition(".")
    within = usual[section] if section else usual
    at = f"options.{step}.{name}"
    return {
        **{key: value for key, value in entry.items() if key != "choices"},
        "label": translate(at, language),
        "help": translate(f"{at}.help", language),
        "default": within[key],
        "choices": [_choice(at, value, language) for value in entry["choices"]] or None,
    }


def _choice(at: str, value: Any, language: str) -> dict[str, Any]:
    return {"value": value, "label": translate_or(f"{at}.{str(value).lower()}", str(value), language)}


@cache
def countries() -> dict[str, list[str]]:
    """The two letters of each country with known holidays, and the codes of its states."""
    import holidays

    return {
        code: sorted(states) for code, states in sorted(holidays.list_supported_countries().items()) if len(code) == 2
    }


@cache
def state_names() -> dict[str, dict[str, str]]:
    """The names of the states of each country by their codes, where they are known: the first of several."""
    import holidays

    found: dict[str, dict[str, str]] = {}
    for country, states in countries().items():
        names = getattr(holidays.country_holidays(country), "subdivisions_aliases", {}) if states else {}
        for name, code in names.items():
            found.setdefault(country, {}).setdefault(code, name)
    return found


# --- networks ---


def network(language: str) -> dict[str, Any]:
    """The layers of a network and the settings of its training, and a document to start from."""
    return {
        "layers": [
            {
                "type": kind,
                "label": translate_or(f"options.layer.{kind}", kind, language),
                "fields": [_setting(name, rule, language) for name, rule in keys.items()],
            }
            for kind, keys in LAYERS.items()
        ],
        "sections": {
            section: [_setting(name, rule, language) for name, rule in keys.items()]
            for section, keys in SECTIONS.items()
        },
        "metrics": list(epoch_scores()),
        "document": DOCUMENT,
    }


def _setting(name: str, rule: Key, language: str) -> dict[str, Any]:
    bounds: dict[str, Any] = {"int": {"min": 1, "max": rule.max}, "share": {"min": 0, "max": 0.99}, "float": {"min": 0}}
    return {
        "name": name,
        "type": "float" if rule.kind == "share" else rule.kind,
        "label": translate_or(f"options.setting.{name}", name, language),
        "required": rule.default is REQUIRED,
        "default": None if rule.default is REQUIRED else rule.default,
        "choices": [{"value": choice, "label": choice} for choice in rule.choices] or None,
        **bounds.get(rule.kind, {}),
    }
