"""Sentences of activities, alerts and tasks, filled from the values that the catalog keeps with them."""

import logging
import re
from typing import Any

from vur.text import translate

DATE = re.compile(r"\d{4}-\d\d-\d\d")
log = logging.getLogger("vur.store")


def alert_sentence(kind: str, values: dict[str, Any], language: str) -> str:
    """Say what an alert is about; those of an older release do not name their model."""
    if kind == "interval_left" and "model" not in values:
        values = values | {"model": "–"}
    return sentence(f"alert.{kind}", values, language)


def sentence(key: str, values: dict[str, Any], language: str) -> str:
    """Translate `key`; fall back to its last part if the values of an older release no longer fill the text."""
    try:
        return translate(key, language, **{name: _spoken(name, value, language) for name, value in values.items()})
    except (KeyError, IndexError, ValueError, AttributeError):
        log.warning("the text of %s cannot be filled", key)
        return key.partition(".")[2].replace("_", " ")


def _spoken(name: str, value: Any, language: str) -> Any:
    """A value of a sentence: algorithms by their names; whole numbers as they are, for the text to write."""
    from vur.stages.preview.findings import show

    if name == "stamp":
        import pandas as pd

        return show(pd.Timestamp(value), language) if DATE.match(str(value)) else value
    if name == "algorithm":
        from vur.forecasters.registry import algorithm_name

        return translate("activity.automatic", language) if value == "auto" else algorithm_name(str(value), language)
    return value if type(value) is int else show(value, language)
