"""Should a model be retrained: cases that must say yes, no, and not enough, and what drift of inputs is."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vur.errors import VurError
from vur.serving.views.health import reason_text
from vur.store import database
from vur.store.accounts.users import add_user
from vur.store.catalog import Dataset, DatasetVersion, Model, now
from vur.store.home import folder
from vur.store.models import inputs, retraining, thresholds
from vur.store.models.retraining import judge
from vur.store.models.thresholds import USUAL
from vur.text import LANGUAGES

TRAINING = {"mae": 10.0, "skill": 0.3}


def live(n: int = 40, mae: float = 10.0, skill: float | None = 0.3, coverage: float = 80.0, paths: int = 40) -> dict:
    """The live accuracy of `n` values."""
    known = 0 if skill is None else n
    return {"n": n, "paths": paths, "mae": mae, "skill": skill, "naive_points": known, "coverage": {"80": coverage}}


def column(name: str = "price", psi: float = 0.6, usual: float = 0.2) -> dict:
    return {"name": name, "psi": psi, "usual": usual, "outside": 0.0}


def evidence(live: dict | None = None, *, columns: tuple = (), rows: int | None = None, days: float = 10.0) -> dict:
    """Evidence about a model that 1,000 rows trained."""
    found = None if rows is None else {"rows": rows, "trained_rows": 1000, "columns": list(columns)}
    versions = {"dataset_number": 1, "newest_dataset_number": 1 if rows is None else 2}
    return {"live": live, "training": TRAINING, "inputs": found, "age_days": days} | versions


MOVED = evidence(None, rows=40, columns=(column(),))
CASES = {
    "much worse": (evidence(live(mae=18.0, skill=-0.2)), "yes", ["skill", "error"]),
    "worse, naive unknown": (evidence(live(mae=18.0, skill=None)), "yes", ["error"]),
    "no better than naive": (evidence(live(mae=12.0, skill=-0.1)), "yes", ["skill"]),
    "intervals too narrow": (evidence(live(coverage=50.0)), "yes", ["coverage"]),
    "inputs moved, nothing to compare": (MOVED, "yes", ["inputs", "few"]),
    "much new data, nothing to compare": (evidence(None, rows=300), "yes", ["data", "few"]),
    "as promised": (evidence(live()), "no", ["holds_skill"]),
    "as promised, naive unknown": (evidence(live(skill=None)), "no", ["holds"]),
    "harder for the naive, too": (evidence(live(mae=18.0, skill=0.31)), "no", ["holds_skill", "harder"]),
    "good though inputs moved": (evidence(live(), rows=40, columns=(column(),)), "no", ["holds_skill", "inputs"]),
    "misses by chance": (evidence(live(coverage=70.0, paths=3)), "no", ["holds_skill"]),
    "nothing came": (evidence(None), "not_enough", ["few"]),
    "few came, however bad": (evidence(live(n=11, mae=90.0, skill=-5.0)), "not_enough", ["few"]),
    "little new data": (evidence(None, rows=40), "not_enough", ["few", "data"]),
    "a season as usual": (evidence(None, rows=40, columns=(column(usual=0.55),)), "not_enough", ["few", "data"]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_verdict_follows_the_evidence(name: str) -> None:
    given, verdict, codes = CASES[name]
    found = judge(given)
    assert found.retrain == verdict
    assert [reason.code for reason in found.reasons if reason.code != "data" or "data" in codes] == codes
    assert {reason.speaks for reason in found.reasons if reason.speaks == "for"} == (
        {"for"} if verdict == "yes" else set()
    )
    for language in LANGUAGES:
        assert all("{" not in (text := reason_text(reason, language)) and text for reason in found.reasons)


def test_the_users_thresholds_decide() -> None:
    worse, old = evidence(live(mae=13.0, skill=None)), evidence(live(), days=100.0)
    assert judge(worse).retrain == "no"
    assert judge(worse, {**USUAL, "error": 1.2}).retrain == "yes"
    assert judge(evidence(live(mae=18.0, skill=None)), {**USUAL, "error": None}).retrain == "no"
    assert judge(old).retrain == "no" and judge(old, {**USUAL, "age": 90.0}).reasons[0].code == "age"
    assert judge(evidence(live(skill=0.05)), {**USUAL, "skill": 10.0}).retrain == "yes"
    assert judge(MOVED, {**USUAL, "inputs": None}).retrain == "not_enough"


def test_a_model_that_never_beat_the_naive_is_not_retrained_for_it() -> None:
    given = evidence(live(skill=-0.2)) | {"training": {"mae": 10.0, "skill": -0.3}}
    found = judge(given)
    assert found.retrain == "no" and "never_skilled" in [reason.code for reason in found.reasons]


# --- drift of inputs ---


def days(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.int64) * 86_400_000_000_000


def test_a_season_is_usual_and_a_new_level_is_not() -> None:
    rng, year = np.random.default_rng(0), np.sin(2 * np.pi * np.arange(1100) / 365)
    old = 100 + 30 * year[:1000] + rng.normal(0, 3, 1000)
    new = 100 + 30 * year[1000:1060] + rng.normal(0, 3, 60)
    season = inputs.compare_numbers(days(1060)[:1000], old, days(1060)[1000:], new)
    level = inputs.compare_numbers(days(1060)[:1000], old, days(1060)[1000:], new + 80)
    assert season["psi"] > 0.25, "against the whole, a season has moved"
    assert retraining.moved_columns([{"name": "y"} | season], 0.25) == []
    assert retraining.moved_columns([{"name": "y"} | level], 0.25) == ["y"] and level["outside"] > 0.9
    assert inputs.compare_numbers(days(1000), old, days(20), new[:20]) is None, "too few to compare"


@pytest.fixture
def kind() -> str:
    return "sqlite"


def stored(folder_name: str, table: pd.DataFrame) -> None:
    target: Path = folder("datasets", folder_name)
    target.mkdir(parents=True)
    table.to_parquet(target / inputs.sources.TABLE, index=False)


def test_new_rows_of_a_dataset_are_compared_with_those_of_the_training(catalog, monkeypatch, caplog) -> None:
    rng, stamps = np.random.default_rng(1), pd.date_range("2024-01-01", periods=460)
    table = pd.DataFrame(
        {
            "day": stamps,
            "sales": np.append(rng.normal(50, 5, 450), [np.nan] * 10),
            "price": np.append(rng.normal(10, 1, 400), rng.normal(16, 1, 60)),
            "town; DROP": ["a"] * 400 + ["b"] * 60,
        }
    )
    stored("old", table[:400])
    stored("new", table)
    names = [{"name": name, "type": "numeric"} for name in table]
    head = {"columns": names, "suggestions": {"date": "day", "target": "sales", "series": [], "exclude": []}}
    with database.writing() as session:
        ana = add_user(session, "ana@x.br", "correct horse 9")
        common = {"name": "d", "filename": "d.csv", "size_bytes": 1, "fingerprint": "f", "rows": 460}
        dataset = Dataset(owner_id=ana.id, head=head, number=2, **common)
        session.add(dataset)
        session.flush()
        for number, name in enumerate(("old", "new"), 1):
            facts = {"kind": "upload", "fingerprint": name, "rows": 1, "size_bytes": 1}
            session.add(DatasetVersion(dataset_id=dataset.id, number=number, folder=name, **facts))
        model = Model(owner_id=ana.id, name="m", algorithm="naive", family="m", tag="m:1", dataset_id=dataset.id)
        model.dataset_number, model.trained_at = 1, now() - timedelta(days=3)
        session.add(model)
    with database.reading() as session:
        versions = inputs.versions_of(session, model)
        assert versions is not None and inputs.known_comparison(versions) is None
        assert retraining.collect(session, model, None, 2)["inputs"] is None, "a list computes nothing"
        found = retraining.collect(session, model, None, 2, compute=True)["inputs"]
        assert inputs.known_comparison(versions) == found
        verdict = judge(retraining.collect(session, model, None, 2))
    columns = {one["name"]: one for one in found["columns"]}
    assert (found["rows"], found["trained_rows"]) == (50, 400), "future rows without a target are no observations"
    assert columns["town; DROP"]["unseen"] == 1.0 and columns["price"]["psi"] > 1 and columns["sales"]["psi"] < 1
    assert verdict.retrain == "yes" and verdict.reasons[0].values["columns"] == ["price", "town; DROP"]
    assert retraining.collect(session, model, None, 2)["age_days"] == pytest.approx(3, abs=0.01)

    def unreadable(*given: object) -> None:
        raise VurError("datasets.no_version", number=1, known="2")

    monkeypatch.setattr(inputs.datasets, "data_spec", unreadable)
    with database.reading() as session:
        assert inputs.versions_of(session, model) is None
    assert model.id in caplog.text and "cannot be compared" in caplog.text


# --- thresholds ---


def test_a_models_threshold_goes_before_its_owners_and_the_usual_one(catalog) -> None:
    with database.writing() as session:
        ana = add_user(session, "ana@x.br", "correct horse 9")
        one, two = (Model(owner_id=ana.id, name=name, algorithm="naive", family=name) for name in "ab")
        session.add_all([one, two])
        session.flush()
        thresholds.put(session, ana.id, {"error": 1.4, "age": 90})
        thresholds.put(session, ana.id, {"error": None}, one.id)
        found = thresholds.of_models(session, [one, two])
        assert found[one.id] == {**USUAL, "error": None, "age": 90} and found[two.id]["error"] == 1.4
        assert thresholds.sources(session, ana.id, one.id) == {
            **dict.fromkeys(USUAL, "usual"),
            "error": "model",
            "age": "user",
        }
        thresholds.reset(session, ana.id, ["error"], one.id)
        assert thresholds.of_model(session, one)["error"] == 1.4
        with pytest.raises(VurError, match="1.01"):
            thresholds.put(session, ana.id, {"error": 0.5})
        with pytest.raises(VurError, match="silence"):
            thresholds.put(session, ana.id, {"weather": 1.0})
