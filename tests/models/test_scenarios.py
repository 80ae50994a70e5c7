"""What-if scenarios: the forecast moves by the right amount; they are stored, compared, and refused if invalid."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vur
from vur.cli import main
from vur.errors import VurError
from vur.models.future import missing_cells
from vur.models.saved import future_template
from vur.models.scenario_plot import compare_spec, most_changed
from vur.models.scenarios import (
    compare,
    compare_figure,
    delete_scenario,
    effects,
    load_scenario,
    outside_range,
    scenario,
    scenarios,
)
from vur.store.home import home

pytestmark = pytest.mark.slow

SLOPE, HORIZON = -5.0, 7  # sales of a shop of size 100 for one unit of price


def sales(n: int = 240) -> pd.DataFrame:
    parts = []
    for k, shop in enumerate(("norte", "sul")):
        rng, days = np.random.default_rng(k), pd.date_range("2024-01-01", periods=n + HORIZON)
        price, promo = rng.uniform(8, 12, len(days)).round(2), rng.integers(0, 2, len(days))
        y = (k + 1) * (
            100
            + SLOPE * (price - 10)
            + 6 * promo
            + 8 * np.sin(np.arange(len(days)) * 2 * np.pi / 7)
            + rng.normal(0, 0.5, len(days))
        )
        parts.append(
            pd.DataFrame(
                {
                    "dia": days,
                    "loja": shop,
                    "preço": price,
                    "promoção": promo,
                    "vendas": np.where(np.arange(len(days)) < n, y, np.nan),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, vur.RunResult]:
    """A model that uses the price and one that does not."""
    out, frame = tmp_path_factory.mktemp("runs"), sales()
    given = dict(
        date="dia",
        target="vendas",
        series="loja",
        horizon=HORIZON,
        folds=1,
        notebook=False,
        out=out,
        roles={"preço": "known_future", "promoção": "known_future"},
    )
    return {
        "ridge": vur.run(frame, algorithms="ridge", name="com preço", **given),
        "naive": vur.run(frame, algorithms="seasonal_naive", name="sem preço", **given),
    }


@pytest.fixture
def tag(runs) -> str:
    """The tag of the model that uses the price, without scenarios of earlier tests."""
    tag = runs["ridge"].model_tag
    for name in scenarios(tag)["name"]:
        delete_scenario(tag, name)
    return tag


def test_a_lower_price_raises_sales_by_about_the_effect_in_the_data(tag):
    found = scenario(tag, "um a menos", {"preço": "-1"})
    table = effects(tag, ["um a menos"]).set_index("unique_id")
    np.testing.assert_allclose(table["mean_difference"], [-SLOPE, -2 * SLOPE], rtol=0.25)
    np.testing.assert_allclose(table["difference"], HORIZON * table["mean_difference"])
    np.testing.assert_allclose(table["percent"], table["difference"] / table["baseline"])
    np.testing.assert_allclose(table["total"] - table["baseline"], table["difference"])
    assert (found.future["preço"] - found.base["preço"]).round(9).eq(-1).all()
    assert {"lo-80", "hi-80", "lo-95", "hi-95"} <= set(found.forecast)


def test_the_baseline_is_the_unedited_forecast(runs, tag):
    found = scenario(tag, "x", {"promoção": 1})
    pd.testing.assert_frame_equal(found.baseline, vur.forecast(tag, HORIZON))
    assert (found.forecast["forecast"] >= found.baseline["forecast"] - 1e-9).all() and found.future["promoção"].eq(
        1
    ).all()


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        ("+10%", lambda p: p * 1.1),
        ("-10%", lambda p: p * 0.9),
        ("+2,5%", lambda p: p * 1.025),
        ("+1", lambda p: p + 1),
        ("- 0.5", lambda p: p - 0.5),
        ("*1.2", lambda p: p * 1.2),
        ("=9", lambda p: p * 0 + 9),
        ("=-2", lambda p: p * 0 - 2),
        (9, lambda p: p * 0 + 9),
        ([8, 9, 10, 11, 12, 8, 9], lambda p: np.tile([8, 9, 10, 11, 12, 8, 9], 2)),
        ({"change": "+1", "series": "sul"}, lambda p: p + np.repeat([0, 1], HORIZON)),
        ({"change": "+1", "start": "2024-08-30"}, lambda p: p + np.tile(np.arange(HORIZON) >= 2, 2)),
        (
            {"change": 9, "series": ["norte"], "start": "2024-08-29", "end": "2024-08-30"},
            lambda p: np.where(np.isin(np.arange(2 * HORIZON), [1, 2]), 9, p),
        ),
    ],
)
def test_every_kind_of_edit_changes_the_values_it_names(tag, edit, expected):
    found = scenario(tag, "edit", {"preço": edit})
    np.testing.assert_allclose(found.future["preço"], expected(found.base["preço"].to_numpy()))
    assert found.future["promoção"].equals(found.base["promoção"])


@pytest.mark.parametrize(
    ("edits", "code", "named"),
    [
        ({"preço": "dez"}, "scenarios.edit", ["preço", "dez"]),
        ({"preço": "10"}, "scenarios.edit", ["10", "=3"]),
        ({"preço": "=10%"}, "scenarios.edit", ["=10%"]),
        ({"preço": None}, "scenarios.edit", ["preço"]),
        ({"preço": float("nan")}, "scenarios.edit", ["nan"]),
        ({"preço": [1, 2]}, "scenarios.length", ["2", "7"]),
        ({"preco": "+1"}, "covariates.column_close", ["preco", "preço"]),
        ({"vendas": "+1"}, "covariates.column_missing", ["vendas"]),
        ({}, "scenarios.nothing", []),
        ({"preço": {"change": 1, "series": "leste"}}, "scenarios.series", ["leste", "norte"]),
        ({"preço": {"change": 1, "start": "2030-01-01"}}, "scenarios.no_rows", ["2024-08-28", "2024-09-03"]),
        ({"preço": {"value": 1}}, "scenarios.edit", ["preço"]),
    ],
)
def test_an_invalid_edit_is_refused_by_name(tag, edits, code, named):
    with pytest.raises(VurError) as caught:
        scenario(tag, "x", edits)
    assert caught.value.code == code
    for language in ("en", "pt-BR"):
        assert all(word in caught.value.text(language) for word in named), caught.value.text(language)
    assert scenarios(tag).empty


def test_a_model_that_uses_no_price_refuses_a_scenario(runs):
    with pytest.raises(VurError) as caught:
        scenario(runs["naive"].model_tag, "x", {"preço": "-10%"})
    assert caught.value.code == "covariates.unused" and "preço" in str(caught.value) and "ridge" in str(caught.value)
    with pytest.raises(VurError) as caught:
        vur.forecast(runs["naive"].model_tag, future=future_template(runs["naive"].model_tag))
    assert caught.value.code == "covariates.unused"
    assert len(vur.forecast(runs["naive"].model_tag)) == 2 * HORIZON, "without future values it forecasts as before"


def test_scenarios_are_stored_by_model_listed_loaded_replaced_and_deleted(runs, tag):
    made = scenario(tag, "  barato ", {"preço": "-10%"})
    scenario(tag, "caro", {"preço": "+10%"})
    listed = scenarios("com-preco")
    assert set(listed["name"]) == {"barato", "caro"} and listed["model"].unique().tolist() == [tag]
    by_name = listed.set_index("name")
    assert by_name.loc["barato", "difference"] > 0 > by_name.loc["caro", "difference"] and by_name.loc[
        "barato", "edits"
    ] == {"preço": "-10%"}
    loaded = load_scenario(tag, "barato")
    for table in ("future", "base", "forecast", "baseline"):
        pd.testing.assert_frame_equal(getattr(loaded, table), getattr(made, table), check_exact=True)
    scenario(tag, "barato", {"preço": "-20%"})
    assert len(scenarios(tag)) == 2 and load_scenario(tag, "barato").edits == {"preço": "-20%"}
    delete_scenario(tag, "barato")
    assert scenarios(tag)["name"].tolist() == ["caro"] and scenarios(runs["naive"].model_tag).empty
    with pytest.raises(VurError, match="caro"):
        load_scenario(tag, "barato")


def test_a_name_never_becomes_a_path(tag):
    before = {p for p in home().rglob("*") if "scenarios" not in p.parts}
    scenario(tag, "../../etc/passwd", {"preço": 9})
    scenario(tag, "ação: 50% / sul 🚀", {"preço": 9})
    after = {p for p in home().rglob("*") if "scenarios" not in p.parts}
    assert before == after
    assert all(set(p.name) <= set("0123456789abcdef") for p in (home() / "scenarios").glob("*/*"))
    assert load_scenario(tag, "../../etc/passwd").name == "../../etc/passwd"
    for name in ("", "   ", "baseline", "x" * 121):
        with pytest.raises(VurError) as caught:
            scenario(tag, name, {"preço": 9})
        assert caught.value.code == "scenarios.name"


def test_a_scenario_is_json_and_parquet(tag):
    before = set((home() / "scenarios").glob("*/*"))
    scenario(tag, "x", {"preço": np.float64(9.5), "promoção": np.array([1, 0, 1, 0, 1, 0, 1])})
    (folder,) = set((home() / "scenarios").glob("*/*")) - before
    assert {p.name for p in folder.iterdir()} == {
        "scenario.json",
        "future.parquet",
        "base.parquet",
        "forecast.parquet",
        "baseline.parquet",
    }
    assert json.loads((folder / "scenario.json").read_text(encoding="utf-8"))["edits"] == {
        "preço": 9.5,
        "promoção": [1, 0, 1, 0, 1, 0, 1],
    }


def test_a_table_changes_the_cells_that_it_has(tag, tmp_path):
    table = future_template(tag).iloc[[1, 9]].assign(**{"preço": [8.5, np.nan]})
    table.to_csv(tmp_path / "novo.csv", index=False)
    for edits in (table, tmp_path / "novo.csv", str(tmp_path / "novo.csv")):
        found = scenario(tag, "tabela", edits)
        changed = np.flatnonzero(found.future["preço"] != found.base["preço"])
        assert changed.tolist() == [1] and found.future["preço"].iloc[1] == 8.5
        assert load_scenario(tag, "tabela").edits == [
            {"series": "norte", "stamp": "2024-08-29", "column": "preço", "value": 8.5}
        ]
    with pytest.raises(VurError, match="leste"):
        scenario(tag, "tabela", table.assign(loja="leste"))


def test_a_longer_horizon_needs_a_base_that_names_what_is_missing(tag):
    with pytest.raises(VurError) as caught:
        scenario(tag, "longo", {"preço": 9}, horizon=HORIZON + 1)
    assert caught.value.code == "covariates.missing" and "2024-09-04" in str(caught.value)
    base = future_template(tag, HORIZON + 1)
    assert missing_cells(base)["series"].tolist() == ["norte", "norte", "sul", "sul"]
    base = base.fillna({"preço": 10, "promoção": 0})
    found = scenario(tag, "longo", {"preço": "-1"}, horizon=HORIZON + 1, base=base)
    assert len(found.forecast) == 2 * (HORIZON + 1) and found.future["preço"].iloc[HORIZON] == 9
    scenario(tag, "curto", {"preço": "-1"})
    together = compare(tag, ["longo", "curto"])
    assert len(together) == 2 * HORIZON and np.allclose(together["longo"], together["curto"])
    scenario(tag, "outra base", {"preço": "-1"}, base=base.assign(**{"preço": 11}))
    with pytest.raises(VurError) as caught:
        compare(tag, ["curto", "outra base"])
    assert caught.value.code == "scenarios.bases" and "outra base" in caught.value.text("pt-BR")


def test_scenarios_are_compared_in_a_table_and_a_plot(runs, tag):
    scenario(tag, "barato", {"preço": "-2"})
    scenario(tag, "só sul", {"preço": {"change": "-2", "series": "sul"}})
    table = compare(tag, ["barato", "só sul"])
    assert list(table) == ["unique_id", "ds", "baseline", "barato", "só sul"]
    north = table[table["unique_id"] == "norte"]
    assert north["só sul"].equals(north["baseline"].rename("só sul")) and (north["barato"] > north["baseline"]).all()
    assert compare(tag, ["barato"], series="sul")["unique_id"].unique().tolist() == ["sul"]
    assert effects(tag, ["barato", "só sul"], total=True)["difference"].is_monotonic_decreasing
    assert most_changed(table) == ["sul", "norte"]
    with pytest.raises(VurError, match="leste"):
        compare(tag, ["barato"], series="leste")
    past = runs["ridge"].panel.frame
    spec = compare_spec(table, past, "pt-BR")
    names = [trace["name"] for trace in spec["data"][:4]]
    assert names == ["Observado", "Previsão atual", "barato", "só sul"] and len(spec["data"]) == 8
    json.dumps(spec)
    history, baseline = spec["data"][:2]
    assert baseline["x"][0] == history["x"][-1] and baseline["y"][0] == history["y"][-1], (
        "the forecast starts at the last observation"
    )
    np.testing.assert_allclose(baseline["y"][1:], table.loc[table["unique_id"] == "sul", "baseline"], rtol=1e-6)
    figure = compare_figure(tag, ["barato"], "norte", history=past)
    assert [trace.name for trace in figure.data] == ["Observed", "Current forecast", "barato"]
    assert len(compare_spec(table)["data"]) == 8, "without a history the forecasts are drawn alone"


def test_the_history_comes_from_the_run_if_its_folder_exists(runs, tag, monkeypatch, tmp_path):
    import dataclasses

    from vur.runs import result
    from vur.settings import settings

    monkeypatch.setattr(
        result, "settings", lambda: dataclasses.replace(settings(), reports=runs["ridge"].folder.parent)
    )
    assert result.model_history(tag)["y"].notna().sum() == 480
    monkeypatch.setattr(result, "settings", lambda: dataclasses.replace(settings(), reports=tmp_path))
    assert result.model_history(tag) is None


def test_values_outside_the_training_range_are_reported(tag):
    found = scenario(tag, "x", {"preço": {"change": "=30", "series": "sul"}, "promoção": 1})
    from vur.frequency import frequency
    from vur.models.future import Coming

    before, after = (
        Coming(frame.assign(step=1), ["preço", "promoção"], frequency("D")) for frame in (found.base, found.future)
    )
    assert outside_range(before, after, {"preço": [8.0, 12.0], "promoção": [0, 1]}) == [
        {"column": "preço", "low": 8.0, "high": 12.0, "value": 30.0}
    ]
    assert outside_range(before, before, {"preço": [8.0, 9.0]}) == []


# --- vur forecast --future, and the template that it takes ---


def test_the_template_filled_in_and_read_back_forecasts(tag, tmp_path):
    path = tmp_path / "futuro.csv"
    table = future_template(tag, 9).fillna({"preço": 10.0, "promoção": 0})
    table.to_csv(path, index=False)
    from_file, from_frame = vur.forecast(tag, 9, future=path), vur.forecast(tag, 9, future=table)
    pd.testing.assert_frame_equal(from_file, from_frame)
    brazilian = table.assign(
        dia=table["dia"].dt.strftime("%d/%m/%Y"),
        **{"preço": table["preço"].map(lambda v: f"{v:.2f}".replace(".", ","))},
    )
    brazilian.to_csv(path, index=False, sep=";", encoding="latin-1")
    pd.testing.assert_frame_equal(vur.forecast(tag, 9, future=path), from_frame)


def test_a_future_file_with_one_empty_cell_names_it(tag, tmp_path):
    path: Path = tmp_path / "futuro.csv"
    table = future_template(tag, 9).fillna({"preço": 10.0, "promoção": 0})
    table.loc[16, "preço"] = np.nan
    table.to_csv(path, index=False)
    with pytest.raises(VurError) as caught:
        vur.forecast(tag, 9, future=path)
    assert caught.value.data["table"].to_dict("records") == [
        {"series": "sul", "stamp": pd.Timestamp("2024-09-04"), "column": "preço"}
    ]
    for language in ("en", "pt-BR"):
        assert "preço (sul, 2024-09-04)" in caught.value.text(language)


def test_a_future_file_with_text_or_an_unknown_series_is_refused(tag, tmp_path):
    path: Path = tmp_path / "futuro.csv"
    table = future_template(tag)
    table.astype({"preço": object}).assign(
        **{"preço": table["preço"].astype(str).where(table.index != 3, "a combinar")}
    ).to_csv(path, index=False)
    with pytest.raises(VurError) as caught:
        vur.forecast(tag, future=path)
    assert (
        caught.value.code == "covariates.not_number"
        and caught.value.data["row"] == 4
        and caught.value.data["series"] == "norte"
    )
    assert all(word in caught.value.text("pt-BR") for word in ("preço", "a combinar", "2024-08-31"))
    table.assign(loja=table["loja"].replace("sul", "leste")).to_csv(path, index=False)
    with pytest.raises(VurError, match="leste"):
        vur.forecast(tag, future=path)
    future_template(tag, 9).iloc[14:].to_csv(path, index=False)
    with pytest.raises(VurError, match="8 future values.*preço .norte, 2024-09-04"):
        vur.forecast(tag, 9, future=path)
    with pytest.raises(VurError, match="nada.csv"):
        vur.forecast(tag, future=tmp_path / "nada.csv")


def test_the_what_if_command_prints_the_effect_and_writes_plot_and_table(tag, tmp_path, capsys):
    plot, table = tmp_path / "p.html", tmp_path / "t.csv"
    first = pd.Timestamp("2024-01-01") + pd.Timedelta(days=240)
    asked = [
        "what-if",
        tag,
        "--name",
        "mais caro",
        "--set",
        "preço=+1",
        "--only",
        "sul",
        "--start",
        f"{first + pd.Timedelta(days=3):%d/%m/%Y}",
        "--language",
        "pt-BR",
        "--plot",
        str(plot),
        "--out",
        str(table),
    ]
    assert main(asked) == 0
    told = capsys.readouterr().out
    assert "mais caro: −40" in told or "mais caro: −39" in told, told
    frame = pd.read_csv(table)
    moved = (frame["mais caro"] - frame["baseline"]).to_numpy()
    south = (frame["unique_id"] == "sul").to_numpy()
    assert np.allclose(moved[~south], 0) and np.allclose(moved[south][:3], 0)
    assert moved[south][3:] == pytest.approx(2 * SLOPE, rel=0.05)
    assert "mais caro" in plot.read_text(encoding="utf-8") and 'src="http' not in plot.read_text(encoding="utf-8")
    assert main(["what-if", tag]) == 0 and "mais caro" in capsys.readouterr().out
    assert main(["what-if", tag, "--delete", "mais caro"]) == 0 and "mais caro" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--set", "preço"], "preço"),
        (["--set", "preco=1"], "preço"),
        (["--set", "preço=+1", "--start", "05/02/2025"], "--start"),
        (["--set", "preço=dez"], "dez"),
        ([], "changes nothing"),
        (["--set", "preço=+1", "--only", "leste"], "leste"),
    ],
)
def test_the_what_if_command_names_the_invalid_option(tag, options, named, capsys):
    assert main(["what-if", tag, "--name", "x", *options]) == 1
    assert named in capsys.readouterr().err


def test_the_future_command_writes_the_table_that_forecast_takes(tag, tmp_path, capsys):
    path = tmp_path / "coming.csv"
    assert main(["future", tag, "--horizon", str(HORIZON + 2), "--out", str(path)]) == 0
    assert "8 cells" in capsys.readouterr().out
    assert main(["forecast", tag, "--horizon", str(HORIZON + 2), "--future", str(path)]) == 1
    assert "preço" in capsys.readouterr().err
    pd.read_csv(path).fillna({"preço": 10, "promoção": 0}).to_csv(path, index=False)
    assert (
        main(["forecast", tag, "--horizon", str(HORIZON + 2), "--future", str(path), "--out", str(tmp_path / "f.csv")])
        == 0
    )
    assert len(pd.read_csv(tmp_path / "f.csv")) == 2 * (HORIZON + 2)
