"""The kinds of events that webhooks are called for: one line a kind, with an example of what is sent."""

from dataclasses import dataclass
from typing import Any

TEST = "webhook.test"  # sent on a user's wish to one webhook, however many events it is called for
_MODEL = {"kind": "model", "id": "5a8d2c0e-4f1b-4b3a-9b57-0d1f6f0e2c11", "name": "Sales"}
_RUN = {"run_id": "20250805-143000-ab12cd34", "job_id": "0f0e6c1e-93c5-4f6e-8a14-2f4f3f1c8d90"}
_PAGE = "https://forecasts.example/forecasts?model=5a8d2c0e-4f1b-4b3a-9b57-0d1f6f0e2c11"
_API = "/api/v1/models/5a8d2c0e-4f1b-4b3a-9b57-0d1f6f0e2c11"
_REPORT = "https://forecasts.example/vur/api/models/5a8d2c0e-4f1b-4b3a-9b57-0d1f6f0e2c11/report"

_MACHINE = {"kind": "machine", "id": "3", "name": "Extruder 3"}
_RANKED = _RUN | {"training": 2, "target": "output"}


@dataclass(frozen=True)
class EventKind:
    """A kind of event: the object, data and links of an example; its texts are `webhooks.event.<name>.*`."""

    about: dict[str, str]
    data: dict[str, Any]
    links: dict[str, str]


KINDS: dict[str, EventKind] = {
    "training.finished": EventKind(
        _MODEL,
        _RUN | {"algorithm": "seasonal_naive", "metrics": {"mase": 0.81}},
        {"page": _PAGE, "api": _API, "report": _REPORT},
    ),
    "training.failed": EventKind(
        _MODEL,
        _RUN | {"code": "stages.too_short", "message": "Series Norte has 4 values; 14 are needed."},
        {"page": _PAGE, "api": _API},
    ),
    "report.ready": EventKind(_MODEL, _RUN | {"of": "training"}, {"page": _PAGE, "api": _API, "report": _REPORT}),
    "ranking.finished": EventKind(
        _MACHINE,
        _RANKED
        | {"variables": 6, "first": [{"rank": 1, "variable": "temperature", "importance": 0.41, "significant": True}]},
        {"api": "/api/v1/machines/3", "report": "https://forecasts.example/vur/api/machines/3/trainings/2/report"},
    ),
    "ranking.failed": EventKind(
        _MACHINE,
        _RANKED | {"code": "ranking.few_rows", "message": "The file has 60 rows; a ranking needs 100."},
        {"api": "/api/v1/machines/3"},
    ),
    "alert.raised": EventKind(
        _MODEL,
        {
            "alert_id": "c1b0b7a4-6f9f-4d55-9a3e-5d2f0a6f7b21",
            "type": "model_age",
            "severity": "warning",
            "message": "Sales was trained 40 days ago; the threshold is 30.",
        },
        {"page": "https://forecasts.example/monitoring?view=alerts", "api": _API},
    ),
}


def example(event: str) -> dict[str, Any]:
    """An example of the body that is sent for `event`."""
    kind = KINDS[event]
    return {
        "id": "9d3f1c52-7c0b-4a55-8a0e-1b2c3d4e5f60",
        "event": event,
        "created_at": "2025-08-05T14:30:00Z",
        "object": dict(kind.about),
        "data": dict(kind.data),
        "links": dict(kind.links),
    }
