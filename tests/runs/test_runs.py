"""The main job as users start it: the `vur` command and `vur.run`, on real files, with what can go wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from builders import daily_sales, seasonal
from samples import DATA

import vur
from vur.errors import VurError
from vur.runs.api import render_again
from vur.store.models.models import list_models

QUICK = "seasonal_naive,drift,theta"
FILES = {"train.ipynb", "report.html", "forecast.csv", "leaderboard.csv", "audit.csv", "pipeline.yaml", "run.json"}


def command(*arguments: object, **environment: str) -> list[str]:
    return [sys.executable, "-m", "vur.cli", *map(str, arguments)]


def call(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(*arguments), cwd=cwd, capture_output=True, text=True, timeout=600, env=os.environ | environment
    )


def only_run(folder: Path) -> Path:
    runs = [path for path in folder.iterdir() if path.is_dir()]
    assert len(runs) == 1, runs
    return runs[0]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess]:
    """A notebook run of the command line on the flights sample."""
    place = tmp_path_factory.mktemp("finished")
    done = call(
        "run",
        DATA / "flights_daily.csv",
        "--algorithms",
        QUICK,
        "--country",
        "US",
        "--horizon",
        14,
        "--name",
        "Vôos NY",
        "--out",
        "reports",
        cwd=place,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return only_run(place / "reports"), done


def test_a_run_writes_every_file(finished: tuple) -> None:
    folder, _ = finished
    assert {path.name for path in folder.iterdir()} >= FILES
    forecast = pd.read_csv(folder / "forecast.csv")
    assert list(forecast.columns) == ["unique_id", "ds", "forecast", "lo-80", "hi-80", "lo-95", "hi-95"]
    assert (
        forecast.groupby("unique_id")["ds"].agg(["min", "max", "size"]).to_numpy().tolist()
        == [["2014-01-01", "2014-01-14", 14]] * 3
    )
    assert (forecast["lo-95"] <= forecast["lo-80"]).all() and (forecast["hi-80"] <= forecast["hi-95"]).all()
    assert (forecast["lo-95"] >= 0).all() and (forecast[["lo-95", "hi-95"]] % 1 == 0).all(axis=None), (
        "ends of intervals of counts are whole and not negative"
    )
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "finished" and record["run_id"] == folder.name
    assert {"fingerprint", "config_hash", "versions", "seed", "stages", "winner", "model"} <= record.keys()


def test_the_command_prints_progress_leaderboard_and_paths(finished: tuple) -> None:
    folder, done = finished
    assert "training" in done.stdout and "%" in done.stdout and "best so far" in done.stdout
    for text in ("Leaderboard", "skill", "seasonal_naive", "report.html", "train.ipynb", "voos-ny:"):
        assert text in done.stdout, done.stdout
    assert done.stderr == ""


def test_the_executed_notebook_shows_the_numbers(finished: tuple) -> None:
    folder, _ = finished
    notebook = nbformat.read(folder / "train.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    shown = json.dumps([cell.outputs for cell in code])
    winner = pd.read_csv(folder / "leaderboard.csv")["algorithm"].iloc[0]
    assert winner in shown and "image/png" in shown


@pytest.mark.slow
def test_the_saved_model_forecasts_the_same_without_retraining(finished: tuple, tmp_path: Path) -> None:
    folder, _ = finished
    done = call("forecast", "voos-ny", "--out", "f.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "f.csv").read_text() == (folder / "forecast.csv").read_text()
    longer = call("forecast", "voos-ny", "--horizon", 30, cwd=tmp_path)
    assert len(longer.stdout.splitlines()) == 1 + 3 * 30
    shown = call("models", "show", "voos-ny", cwd=tmp_path)
    assert folder.name in shown.stdout and "fingerprint" in shown.stdout
    assert "voos-ny:" in call("models", cwd=tmp_path).stdout
    missing = call("forecast", "nada", cwd=tmp_path)
    assert missing.returncode == 1 and "nada" in missing.stderr and "voos-ny" in missing.stderr


@pytest.mark.slow
def test_reproduce_reports_equality_or_the_first_difference(finished: tuple) -> None:
    folder, _ = finished
    done = call("reproduce", folder, cwd=folder.parent)
    assert done.returncode == 0 and "last digit" in done.stdout, done.stdout + done.stderr
    original = (folder / "forecast.csv").read_text()
    try:
        rows = original.splitlines()
        cells = rows[5].split(",")
        rows[5] = ",".join([*cells[:2], "1.5", *cells[3:]])
        (folder / "forecast.csv").write_text("\n".join(rows) + "\n")
        changed = call("reproduce", folder, cwd=folder.parent)
        assert (
            changed.returncode == 1
            and "row 5" in changed.stdout
            and "forecast" in changed.stdout
            and "1.5" in changed.stdout
        )
    finally:
        (folder / "forecast.csv").write_text(original)


@pytest.mark.slow
def test_the_same_input_gives_the_same_forecast_in_process_and_in_a_notebook(finished: tuple, tmp_path: Path) -> None:
    folder, _ = finished
    again = vur.run(
        DATA / "flights_daily.csv", algorithms=QUICK, country="US", horizon=14, notebook=False, fresh=True, out=tmp_path
    )
    assert (again.folder / "forecast.csv").read_bytes() == (folder / "forecast.csv").read_bytes()
    assert again.id.split("-")[0] == folder.name.split("-")[0], "same data, configuration and code: same hash"


@pytest.mark.slow
def test_the_exported_configuration_runs_again(finished: tuple, tmp_path: Path) -> None:
    folder, _ = finished
    content = yaml.safe_load((folder / "pipeline.yaml").read_text(encoding="utf-8"))
    assert (
        content["data"]["target"] == "departures"
        and content["data"]["series"] == ["origin"]
        and content["split"]["horizon"] == 14
    )
    again = vur.run(config=folder / "pipeline.yaml", notebook=False, out=tmp_path)
    assert (again.folder / "forecast.csv").read_bytes() == (folder / "forecast.csv").read_bytes()


def test_a_frame_with_any_names_runs_in_process(tmp_path: Path) -> None:
    months = pd.date_range("2015-01-01", periods=72, freq="MS")
    frame = pd.DataFrame({"loja": "A", "mes": months, "vendas": seasonal(72, noise=3)})
    result = vur.run(frame, horizon=6, algorithms=QUICK, notebook=False, out=tmp_path)
    assert list(result.forecast["ds"]) == list(pd.date_range("2021-01-01", periods=6, freq="MS"))
    assert {"rank", "mase", "skill"} <= set(result.leaderboard.columns)
    assert len(result.plot().data) > 0
    assert result.config.data.target == "vendas"
    assert result.model.predict(3).shape == (3, 3)
    assert result.report.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    named = vur.run(
        frame.set_axis(["unique_id", "ds", "y"], axis=1), horizon=6, algorithms=QUICK, notebook=False, out=tmp_path
    )
    assert np.array_equal(named.forecast["forecast"], result.forecast["forecast"])


@pytest.mark.slow
def test_a_brazilian_file_needs_no_options_and_answers_in_portuguese(tmp_path: Path) -> None:
    done = call(
        "run", DATA / "partidas_diarias.csv", "--algorithms", QUICK, "--language", "pt-BR", "--out", "r", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "Classificação" in done.stdout and "treinamento" in done.stdout
    folder = only_run(tmp_path / "r")
    config = yaml.safe_load((folder / "pipeline.yaml").read_text(encoding="utf-8"))["data"]
    assert (config["date"], config["target"], config["series"]) == ("Data", "Partidas", ["Aeroporto"])
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert 'lang="pt-BR"' in page and "Previsão" in page


@pytest.mark.slow
def test_a_failed_run_reports_stage_cause_and_remedy_and_keeps_the_notebook(tmp_path: Path) -> None:
    rows = pd.read_csv(DATA / "electrical_equipment.csv")
    pd.concat([rows, rows.tail(1)]).assign(turnover=lambda d: range(len(d))).to_csv(tmp_path / "twice.csv", index=False)
    done = call("run", "twice.csv", "--out", "r", "--quiet", cwd=tmp_path)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1 and len(lines) == 3, done.stderr
    assert lines[0].startswith("Stage:") and "2016-05-01" in lines[1] and "duplicates" in lines[2]
    assert "Traceback" not in done.stdout + done.stderr
    folder = only_run(tmp_path / "r")
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "failed" and record["failure"]["code"].startswith("panel.")
    cells = [cell for cell in nbformat.read(folder / "train.ipynb", as_version=4).cells if cell.cell_type == "code"]
    assert any(output.output_type == "error" for cell in cells for output in cell.outputs)
    assert (folder / "audit.csv").is_file(), "the audit that names the duplicates is kept"
    mended = call(
        "run", "twice.csv", "--duplicates", "last", "--algorithms", QUICK, "--out", "ok", "--no-notebook", cwd=tmp_path
    )
    assert mended.returncode == 0, mended.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.csv"], ["nowhere.csv"]),
        ([], ["data"]),
        (["--config", "none.yaml"], ["none.yaml"]),
        (["{data}/electrical_equipment.csv", "--target", "sales"], ["sales", "turnover"]),
        (["{data}/electrical_equipment.csv", "--algorithms", "magic"], ["magic", "theta"]),
        (["{data}/electrical_equipment.csv", "--horizon", "0"], ["0"]),
        (["{data}/electrical_equipment.csv", "--levels", "80,x"], ["80,x"]),
        (["{data}/electrical_equipment.csv", "--time-budget", "-5"], ["-5"]),
    ],
)
def test_wrong_arguments_are_named_in_three_lines(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    done = call(
        "run", *[a.format(data=DATA) for a in arguments], "--no-notebook", "--quiet", "--out", "r", cwd=tmp_path
    )
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 3, done.stderr
    for word in words:
        assert word in done.stderr


def test_a_wrong_configuration_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text("split: {horizont: 3}\n", encoding="utf-8")
    with pytest.raises(VurError, match="split.horizont.*nearest first: horizon,"):
        vur.run(config=tmp_path / "pipeline.yaml")


def test_without_levels_intervals_are_judged_and_not_shown(tmp_path: Path) -> None:
    run = vur.run(
        DATA / "electrical_equipment.csv", algorithms=["naive"], levels=[], name="bare", notebook=False, out=tmp_path
    )
    assert [name for name in run.forecast.columns if name.startswith(("lo-", "hi-"))] == []
    assert run.leaderboard["coverage-80"].notna().all() and run.leaderboard["wql"].notna().all()
    assert "lo-50" in vur.forecast(run.model_tag, 2, levels=(50,)), "a model gives intervals of any level that is asked"


def wait_for(path: Path, text: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.is_file() and text in path.read_text():
            return
        time.sleep(0.1)
    raise AssertionError(f"{text!r} never came")


def many_series(path: Path, count: int = 400) -> Path:
    rng = np.random.default_rng(1)
    months = pd.date_range("2010-01-01", periods=96, freq="MS")
    frames = [
        pd.DataFrame({"shop": f"s{i:03}", "month": months, "sales": 50 + rng.normal(0, 5, 96).cumsum()})
        for i in range(count)
    ]
    pd.concat(frames).round(3).to_csv(path, index=False)
    return path


@pytest.mark.slow
def test_ctrl_c_keeps_the_models_finished_so_far(tmp_path: Path) -> None:
    many_series(tmp_path / "shops.csv")
    with (tmp_path / "out.txt").open("w") as out:
        job = subprocess.Popen(
            command("run", "shops.csv", "--algorithms", "seasonal_naive,auto_arima", "--out", "r"),
            cwd=tmp_path,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        wait_for(tmp_path / "out.txt", "best so far")
        os.killpg(job.pid, signal.SIGINT)
        assert job.wait(120) == 0, (tmp_path / "out.txt").read_text()
    folder = only_run(tmp_path / "r")
    assert json.loads((folder / "run.json").read_text())["status"] == "stopped"
    assert set(pd.read_csv(folder / "leaderboard.csv")["algorithm"]) >= {"seasonal_naive"}
    assert {path.name for path in folder.iterdir()} >= FILES


@pytest.mark.slow
def test_a_killed_run_leaves_no_kernel_and_resumes(tmp_path: Path) -> None:
    import psutil

    many_series(tmp_path / "shops.csv", 120)
    with (tmp_path / "out.txt").open("w") as out:
        job = subprocess.Popen(
            command("run", "shops.csv", "--algorithms", "seasonal_naive,theta,ets", "--out", "r"),
            cwd=tmp_path,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        wait_for(tmp_path / "out.txt", "best so far")
        kernels = psutil.Process(job.pid).children(recursive=True)
        assert kernels
        job.kill()
        job.wait()
    _, alive = psutil.wait_procs(kernels, timeout=20)
    assert not alive, f"left behind: {alive}"
    first = only_run(tmp_path / "r")
    done = call("run", "--resume", first.name, "--out", "r", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    second = max(path for path in (tmp_path / "r").iterdir() if path != first)
    record = json.loads((second / "run.json").read_text())
    assert second.name == first.name.replace("-1", "-2") and record["stages"]["upload"]["cached"]


@pytest.mark.slow
def test_a_tiny_time_budget_still_gives_a_forecast(tmp_path: Path) -> None:
    result = vur.run(many_series(tmp_path / "shops.csv", 200), time_budget=1, notebook=False, out=tmp_path / "r")
    assert len(result.forecast) == 200 * 12
    assert "seasonal_naive" in set(result.leaderboard["algorithm"])


def test_rerun_takes_the_training_from_the_cache(finished: tuple, tmp_path: Path) -> None:
    folder, _ = finished
    again = vur.run(
        DATA / "flights_daily.csv",
        algorithms=QUICK,
        country="US",
        horizon=14,
        name="Vôos NY",
        notebook=False,
        out=folder.parent,
    )
    assert again.record["stages"]["training"]["cached"] and again.id.endswith("-2")


@pytest.mark.slow
def test_the_report_is_rendered_in_another_language_without_training(finished: tuple) -> None:
    folder, _ = finished
    done = call("report", folder, "--language", "pt-BR", cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    assert 'lang="pt-BR"' in (folder / "report.html").read_text(encoding="utf-8")


def test_missing_known_future_values_are_named(tmp_path: Path) -> None:
    sales = daily_sales({"a": 20.0}, 193, 7, start="2023-01-01", week=0, promo=10)
    frame = sales[["ds", "y", "promo"]].set_axis(["day", "sales", "promo"], axis=1)
    result = vur.run(
        frame, date="day", target="sales", horizon=7, algorithms="seasonal_naive,ridge", notebook=False, out=tmp_path
    )
    assert result.config.data.roles == {"promo": "known_future"}
    assert result.leaderboard["algorithm"].iloc[0] == "ridge", "the promotion explains the sales"
    assert np.array_equal(vur.forecast(result.model_tag, 7)["forecast"], result.forecast["forecast"]), (
        "the file held 7 coming days"
    )
    with pytest.raises(VurError, match="promo.*2023-07-20"):
        vur.forecast(result.model_tag, 8)
    frame.loc[199, "promo"] = np.nan
    with pytest.raises(VurError, match="promo.*2023-07-19.*6 steps"):
        vur.run(
            frame, date="day", target="sales", horizon=7, roles={"promo": "known_future"}, notebook=False, out=tmp_path
        )
    future = pd.DataFrame({"day": pd.date_range("2023-07-13", periods=7), "promo": [1, 0, 1, 0, 1, 0, 1]})
    ahead = vur.forecast(result.model_tag, 7, future=future)["forecast"].to_numpy()
    assert ahead[::2].min() > ahead[1::2].max() + 5


def test_a_constant_series_is_a_target_and_forecasts_itself(tmp_path: Path) -> None:
    frame = pd.DataFrame({"mes": pd.date_range("2020-01-01", periods=48, freq="MS"), "vendas": 7.0})
    result = vur.run(frame, horizon=6, algorithms=["theta", "ridge"], notebook=False, out=tmp_path)
    assert (result.forecast[["forecast", "lo-80", "hi-95"]] == 7.0).all(axis=None)
    assert "constant" in set(result.audit["code"])


def test_one_missing_future_cell_is_named(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=114)
    frame = pd.DataFrame(
        {
            "dia": days,
            "price": np.linspace(9, 11, 114),
            "y": np.where(np.arange(114) < 100, np.arange(114) % 7 + 1.0, np.nan),
        }
    )
    frame.loc[107, "price"] = np.nan
    with pytest.raises(VurError) as caught:
        vur.run(frame, horizon=14, algorithms="ridge", roles={"price": "known_future"}, notebook=False, out=tmp_path)
    assert (
        "price" in caught.value.cause("en")
        and "2024-04-17" in caught.value.cause("en")
        and "horizon: 1" in caught.value.cause("en")
    )
    assert "7 steps" in caught.value.remedy("en")


def test_reproducing_and_rendering_again_leave_the_saved_model_as_it_is(tmp_path: Path) -> None:
    done = vur.run(DATA / "electrical_equipment.csv", algorithms=["theta"], notebook=False, name="kept", out=tmp_path)
    models, record = list_models(), (done.folder / "run.json").read_text(encoding="utf-8")
    render_again(done.folder, "pt-BR")
    assert '<html lang="pt-BR"' in (done.folder / "report.html").read_text(encoding="utf-8")
    assert vur.reproduce(done.folder)["equal"]
    pd.testing.assert_frame_equal(list_models(), models)
    assert (done.folder / "run.json").read_text(encoding="utf-8") == record
