"""`vur table` and `vur predict` on a Brazilian file: notebook, report, saved model, predictions with intervals."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vur
from vur.cli import main
from vur.errors import VurError
from vur.runs.table import FittedTable, TableResult, execute_table, prepare_table
from vur.store.models.models import list_models


def casas(path: Path, n: int = 120, target: bool = True) -> Path:
    """Flats as a Brazilian spreadsheet exports them: semicolons, decimal commas, dd/mm/yyyy, latin-1."""
    rng = np.random.default_rng(4)
    area, bairro = rng.uniform(30, 250, n).round(1), rng.choice(["Centro", "São João", "Praça"], n)
    factor = pd.Series(bairro).map({"Centro": 1.0, "São João": 0.7, "Praça": 2.0}).to_numpy()
    frame = pd.DataFrame({"area": area, "bairro": bairro, "garagem": rng.choice(["sim", "não"], n)})
    frame["construída"] = (pd.Timestamp("1990-03-31") + pd.to_timedelta(rng.integers(0, 9000, n), unit="D")).strftime(
        "%d/%m/%Y"
    )
    if target:
        frame["preço"] = (3500 * area * factor * rng.lognormal(0, 0.1, n)).round(2)
        frame["preço em dólar"] = (frame["preço"] / 5.4).round(4)
    for name in frame.select_dtypes("number"):
        frame[name] = [f"{value:.4f}".replace(".", ",") for value in frame[name]]
    frame.to_csv(path, sep=";", index=False, encoding="latin-1")
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from vur.settings import settings

    monkeypatch.setenv("VUR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VUR_REPORTS", str(tmp_path / "reports"))
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


@pytest.mark.slow
def test_a_brazilian_file_becomes_a_model_with_notebook_and_report_and_predicts(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = casas(home / "casas.csv")
    options = ["--algorithms", "linear,boosting", "--set", "boosting.rounds=60", "--language", "pt-BR"]
    assert main(["table", str(file), "--target", "preço", *options]) == 0
    printed = capsys.readouterr().out
    assert "menos erro do que a referência" in printed and "«preço em dólar» é o alvo em outras palavras" in printed
    (folder,) = (home / "reports").iterdir()
    found = TableResult(folder)
    assert found.record["status"] == "finished" and found.document["run"] == folder.name
    cells = json.loads(found.notebook.read_text(encoding="utf-8"))["cells"]
    assert not [one for cell in cells for one in cell.get("outputs", []) if one["output_type"] == "error"]
    page = found.report.read_text(encoding="utf-8")
    assert '<html lang="pt-BR">' in page and "Relatório de tabela" in page and folder.name in page
    board = pd.read_csv(folder / "leaderboard.csv")
    assert board["rmse"].tolist() == pytest.approx(found.model.leaderboard["rmse"].tolist())

    rows = casas(home / "novas.csv", 7, target=False)
    assert main(["predict", "casas", str(rows), "--levels", "80", "--out", str(home / "out.csv")]) == 0
    answer = pd.read_csv(home / "out.csv")
    assert len(answer) == 7 and {"area", "prediction", "lo-80", "hi-80"} <= set(answer)
    assert (answer["lo-80"] <= answer["prediction"]).all() and (answer["prediction"] <= answer["hi-80"]).all()
    assert vur.load_table("casas").predict(pd.read_parquet(_typed(rows))).shape == (7, 5)
    assert list_models().empty, "forecasts and tables do not mix"


def _typed(path: Path) -> Path:
    from vur.stages.upload import upload

    return upload(path, path.parent / "typed").parquet


def test_a_run_gives_the_same_digits_again_and_is_found_by_its_configuration(home: Path) -> None:
    file = casas(home / "casas.csv")
    first, second = (
        execute_table(prepare_table(file, "preço", algorithms="ridge,decision_tree", name="twice"), notebook=False)
        for _ in range(2)
    )
    assert first.id.rpartition("-")[0] == second.id.rpartition("-")[0] and first.id != second.id
    assert first.document | {"run": ""} == second.document | {"run": ""}
    assert (first.folder / "cross_validation.csv").read_bytes() == (second.folder / "cross_validation.csv").read_bytes()
    other = prepare_table(file, "preço", algorithms="ridge,decision_tree", folds=4, name="twice")
    assert other.name.rpartition("-")[0] != first.id.rpartition("-")[0]


def test_a_file_and_the_same_rows_in_a_frame_give_the_same_model(home: Path) -> None:
    file = casas(home / "casas.csv")
    from_file = vur.fit_table(file, "preço", algorithms="linear")
    from_frame = vur.fit_table(pd.read_parquet(_typed(file)), "preço", algorithms="linear")
    assert from_file.metrics == from_frame.metrics and isinstance(from_file, FittedTable)
    written = from_file.report(home / "page.html", "pt-BR")
    assert "Modelos comparados" in written.read_text(encoding="utf-8")
    for kind in ("predictions", "residuals", "importances"):
        assert from_file.plot(kind).data
    with pytest.raises(VurError, match="no figure 'pie'"):
        from_file.plot("pie")
    saved = from_file.save(home / "saved")
    assert vur.load_table(saved).metrics == from_file.metrics


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target", "preco"], "preço"),
        (["--target", "bairro"], "numbers"),
        (["--target", "preço", "--algorithms", "linaer"], "linear"),
        (["--target", "preço", "--set", "boosting=3"], "boosting.rounds=400"),
        (["--target", "preço", "--algorithms", "boosting", "--set", "boosting.rounds=0"], "from 1"),
        (["--target", "preço", "--folds", "1"], "2 to 20"),
        (["--target", "preço", "--levels", "99.99"], "up to"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    file = casas(home / "casas.csv")
    assert main(["table", str(file), *arguments, "--no-notebook", "--quiet", "--language", "en"]) == 1
    assert said in capsys.readouterr().err


def test_a_missing_file_and_an_unknown_model_are_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", str(home / "none.csv"), "--target", "y"]) == 1
    assert "none.csv" in capsys.readouterr().err
    assert main(["predict", "nobody", str(casas(home / "casas.csv"))]) == 1
    assert "nobody" in capsys.readouterr().err
