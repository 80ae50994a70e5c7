"""What the steps of the Pipeline page say, without a browser."""

from types import SimpleNamespace
from typing import Any

import pytest

from vur.dashboards.client import ServiceError
from vur.dashboards.wizard.fit import OVERHEAD, Training
from vur.dashboards.wizard.look import Preview
from vur.dashboards.wizard.split import Split
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


def test_losses_name_their_fold_where_there_is_one(page):
    training = Training(page)
    assert training._losses_title({"algorithm": "lstm", "fold": 2}).endswith(", janela 2")
    assert "janela" not in training._losses_title({"algorithm": "lstm", "fold": None})


def test_few_series_have_buttons_and_many_or_long_ones_a_list_with_a_search(page):
    step = Preview(page)
    assert step.series_choice({"names": ["a"], "shown": "a"}) == {"actions": []}
    few = step.series_choice({"names": ["a", "b"], "shown": "b"})
    assert [one["kind"] for one in few["actions"]] == ["small", "small primary"]
    for names in (["a", "b" * 300], [str(number) for number in range(200)]):
        (choice,) = step.series_choice({"names": names, "shown": names[0]})["filters"]
        assert [value for value, _ in choice["options"]] == names
        assert choice["search"]


def test_a_part_that_is_no_number_is_refused_in_the_words_of_its_field(page):
    field = {"name": "train_size", "label": "Parte do treino", "type": "size"}
    page.forms = {"steps": {"split": [field]}}
    raw = "split.train_size.int is '0.9x'; expected Input should be a valid integer"
    said = Split(page).words_of(ServiceError(422, "config.value", raw), "train_size")
    assert said.startswith("Parte do treino:") and "0,05" in said
    assert Split(page).words_of(ServiceError(422, "split.short", "Too few rows."), "train_size") == "Too few rows."
    assert Split(page).words_of(ServiceError(422, "config.value", "x is 3"), None) == "x is 3"
