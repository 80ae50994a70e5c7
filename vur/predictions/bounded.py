"""Answers about a model that may take long: within the limits of time and memory of other analyses."""

import logging
from dataclasses import asdict
from typing import Any

from vur.errors import VurError
from vur.predictions.open_models import open_model
from vur.settings import settings
from vur.store import child_process
from vur.store.forecasts.ledger import CHUNK
from vur.store.models.champions import Served

BIG_ROWS = 200_000  # of the model's history, beyond which a child process answers
log = logging.getLogger("vur.predictions")


def is_big(served: Served, steps: int, rows: int = 0) -> bool:
    """Whether forecasting all series of a model for `steps`, and looking at `rows`, is left to a child process."""
    return len(open_model(served).saved.pipeline.ends) * steps > CHUNK or rows > BIG_ROWS


def answer(function: str, served: Served, arguments: dict[str, Any], *, heavy: bool, owner: str) -> Any:
    """Call `function` (`module:name`) with `served` as plain data and `arguments`; where `heavy`, within limits.

    `VurError` forecasts.slow, datasets.memory or datasets.crashed if it exceeds them, api.busy if too many are waiting.
    """
    seconds = settings().analysis_seconds
    try:
        with child_process.limited(heavy):
            return child_process.call(
                function,
                {"served": asdict(served), **arguments},
                in_child=heavy,
                limits=child_process.Limits(seconds),
                owner=owner,
            )
    except TimeoutError:
        raise VurError("forecasts.slow", seconds=seconds) from None
    except child_process.Died as error:
        if error.status is None or error.status >= 0:
            raise
        log.warning("%s", error)
        raise VurError("datasets.crashed") from None
