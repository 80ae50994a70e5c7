"""`vur rank` and `vur.rank` as users start them: notebook, report, the same digits, Brazilian files, refusals."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

import vur
from vur.errors import VurError
from vur.ranking.plants import simulate_plant

DRIVERS = simulate_plant("recipes", 4, rows=1200, variables=12)


@pytest.fixture(scope="module")
def brazilian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with `;`, decimal commas, dd/mm/yyyy and latin-1."""
    path = tmp_path_factory.mktemp("plant") / "planta.csv"
    frame = DRIVERS.frame.rename(columns={"production": "produção", "time": "data"})
    frame = frame.assign(data=frame["data"].dt.strftime("%d/%m/%Y %H:%M"))
    frame.to_csv(path, sep=";", decimal=",", index=False, encoding="latin-1")
    return path


def call(*arguments: object, cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "vur.cli", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env=dict(os.environ),
    )


@pytest.fixture(scope="module")
def ranked(brazilian: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and the words of a ranking from the command line."""
    place = tmp_path_factory.mktemp("ranked")
    done = call("rank", brazilian, "--target", "produção", "--language", "pt-BR", "--out", "reports", cwd=place)
    assert done.returncode == 0, done.stderr
    return next((place / "reports").iterdir()), done.stdout


def test_the_command_says_the_answer_and_writes_every_file(ranked: tuple[Path, str]) -> None:
    folder, said = ranked
    assert {"ranking.yaml", "ranking.json", "rank.ipynb", "report.html", "run.json", "model"} <= {
        path.name for path in folder.iterdir()
    }
    assert "com mais certeza sobre produção" in said and "associação" in said and "vezes um ajuste do modelo" in said
    document = json.loads((folder / "ranking.json").read_text(encoding="utf-8"))
    first = [name for row in document["ranking"][:7] for name in row["members"]]
    assert len(set(first) & set(DRIVERS.drivers)) >= 5
    assert document["run"] == folder.name and document["rows"] == 1200 and document["source"] == "planta.csv"


def test_the_notebook_shows_the_numbers_of_the_ranking(ranked: tuple[Path, str]) -> None:
    folder, _ = ranked
    document = json.loads((folder / "ranking.json").read_text(encoding="utf-8"))
    book = nbformat.read(folder / "rank.ipynb", as_version=4)
    outputs = [out for cell in book.cells if cell.cell_type == "code" for out in cell.outputs]
    assert not any(out.output_type == "error" for out in outputs)
    text = "\n".join(str(out.get("data", {}).get("text/plain", "")) for out in outputs)
    assert document["ranking"][0]["variable"] in text and "'finished'" in text
    assert sum("image/png" in out.get("data", {}) for out in outputs) == 2


def test_the_report_needs_no_network_and_says_the_answer(ranked: tuple[Path, str]) -> None:
    page = (ranked[0] / "report.html").read_text(encoding="utf-8")
    assert 'lang="pt-BR"' in page and "Como foi encontrado" in page and "1º" in page
    assert "default-src 'none'" in page


def test_python_gives_the_same_digits_as_the_notebook(
    ranked: tuple[Path, str], brazilian: Path, tmp_path: Path
) -> None:
    found = vur.rank(brazilian, "produção", out=tmp_path, notebook=False)
    stored = json.loads((ranked[0] / "ranking.json").read_text(encoding="utf-8"))
    assert {k: v for k, v in found.document.items() if k != "run"} == {k: v for k, v in stored.items() if k != "run"}
    assert found.ranking["variable"].tolist() == [row["variable"] for row in stored["ranking"]]
    assert set(found.effects["variable"]) == set(stored["curves"])
    assert found.plot().data[0].orientation == "h"
    assert found.plot(found.ranking["members"].iloc[0][0]).data
    with pytest.raises(VurError) as refused:
        found.plot("nothing")
    assert "nothing" in refused.value.cause()
    lowest, highest = found.document["ranges"]["v00"]
    answer = found.model.what_if({"v00": (lowest + highest) / 2})
    assert answer.low <= answer.after <= answer.high


def test_a_data_frame_is_ranked_like_the_file(tmp_path: Path) -> None:
    frame = DRIVERS.frame.head(400)[["time", "recipe", *[n for n in DRIVERS.drivers if n != "recipe"], "production"]]
    found = vur.rank(frame, "production", out=tmp_path, notebook=False, lags=6)
    assert found.document["rows"] == 400 and found.report.is_file() and not found.notebook.exists()


def test_what_cannot_be_ranked_ends_with_cause_and_remedy(tmp_path: Path) -> None:
    path = tmp_path / "plant.csv"
    pd.DataFrame({"a": range(150), "b": [k % 7 for k in range(150)], "y": 1}).to_csv(path, index=False)
    done = call("rank", path, "--target", "y", "--out", "r", cwd=tmp_path)
    assert done.returncode == 1
    assert "Cause:  The target 'y' is 1 in every row" in done.stderr and "Traceback" not in done.stderr
    record = json.loads(next((tmp_path / "r").glob("*/run.json")).read_text(encoding="utf-8"))
    assert record["status"] == "failed" and record["failure"]["code"] == "ranking.target_constant"
    gone = call("rank", tmp_path / "none.csv", "--target", "y", cwd=tmp_path)
    assert gone.returncode == 1 and "none.csv" in gone.stderr
    wrong = call("rank", path, "--target", "y", "--lags", "9999", "--no-notebook", cwd=tmp_path)
    assert wrong.returncode == 1 and "lags" in wrong.stderr


def test_a_table_that_predicts_nothing_has_a_report_that_says_so(tmp_path: Path) -> None:
    frame = simulate_plant("null", 0, rows=600, variables=12).frame
    found = vur.rank(frame, "production", out=tmp_path, notebook=False)
    assert not found.predicts and found.ranking.empty and found.effects.empty
    assert "So nothing is ranked" in found.report.read_text(encoding="utf-8")
    with pytest.raises(VurError) as refused:
        _ = found.model
    assert refused.value.code == "ranking.no_model"
