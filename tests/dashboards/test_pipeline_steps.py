"""What the steps of the Pipeline page say, without a browser."""

from types import SimpleNamespace
from typing import Any

import pytest

from vur.dashboards.wizard.fit import OVERHEAD, Training
from vur.dashboards.wizard.look import Preview
from vur.text import translate


@pytest.fixture
def page() -> Any:
    return SimpleNamespace(language="pt-BR", say=lambda key, **values: translate(key, "pt-BR", **values))


def test_the_remaining_time_follows_the_pace_of_finished_models_until_the_job_says_it(page):
    training = Training(page)
    training.status = {"eta_seconds": None}
    assert training._left({"scores": []}) is None, "nothing is planned"
    training.plan = {"theta": 4.0, "ets": 6.0, "mstl": 1.0}
    assert training._left({"scores": []}) == OVERHEAD + 11
    finished = [{"algorithm": "theta", "seconds": 8.0}, {"algorithm": "best", "seconds": None}]
    assert training._left({"scores": finished}) == OVERHEAD + 2 * (6 + 1)
    training.status = {"eta_seconds": 5.0}
    assert training._left({"scores": finished}) == 5


def test_a_reason_without_a_series_is_in_the_words_of_the_page_where_it_has_some(page):
    step = Preview(page)
    said = step._reason({"code": "panel.duplicates", "detail": "series=..., duplicates='sum'"})
    assert "mesma data" in said and "=" not in said
    assert step._reason({"code": "panel.other", "detail": "Something else."}) == "Something else."
    assert step._reason(None) == translate("pages.pipeline.preview.no_series", "pt-BR")
