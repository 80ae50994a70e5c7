"""The report page: what a reader sees, in both languages, offline, with hostile names, few data and many series."""

import ast
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_report import FREQUENCIES, sample_context, sample_panel

from vur import wording
from vur.explain.residuals import residual_checks, residual_sentences
from vur.forecasters.design import demand_columns
from vur.forecasters.registry import algorithm_name, algorithms
from vur.frequency import Frequency, frequency
from vur.report import plots, render_report, script_json, summary, tables
from vur.report.context import ReportContext
from vur.report.page import SECTIONS
from vur.report.sections import Block, Part, accuracy, data, drivers, headline
from vur.report.sections import forecast as forecast_section
from vur.report.training import build_context
from vur.text import LANGUAGES, table
from vur.text import translate as translate_text

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "a & b \"q\" 'z'",
    "%{y} {0} $1$",
    "\u2028 {{ 7*7 }}",
]
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Page(HTMLParser):
    """Collects elements, their attributes, the visible text and the contents of scripts by id."""

    def __init__(self, source: str):
        super().__init__()
        self.elements, self.words, self.scripts, self._open = [], [], {}, []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        tag, attrs = self._open[-1] if self._open else ("", {})
        if tag == "script":
            self.scripts[attrs.get("id", "")] = self.scripts.get(attrs.get("id", ""), "") + data
        elif tag != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def render(context: ReportContext, folder: Path, language: str = "en") -> Page:
    """The page of a context, parsed."""
    return Page(render_report(context, folder / "report.html", language).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def context() -> ReportContext:
    return sample_context()


@pytest.fixture(scope="module")
def pages(context, tmp_path_factory) -> dict[str, Page]:
    return {language: render(context, tmp_path_factory.mktemp("report"), language) for language in LANGUAGES}


# --- one file, offline, both languages ---


def test_page_loads_nothing_from_outside_and_holds_plotly_once(context, tmp_path):
    path = render_report(context, tmp_path / "deep" / "report.html", "en")
    source = path.read_text(encoding="utf-8")
    page = Page(source)
    loaded = [
        attrs.get(name)
        for _, attrs in page.elements
        for name in ("src", "href", "srcset", "action", "data")
        if attrs.get(name)
    ]
    assert all(url.startswith(("#", "data:")) or url == "train.ipynb" for url in loaded), loaded
    assert "default-src 'none'" in source
    assert source.count("* plotly.js v") == 1
    style = source[source.index("<style>") : source.index("</style>")]
    assert "@import" not in style and "url(" not in style
    assert path.stat().st_size < 8_000_000


def test_same_context_gives_the_same_bytes(context, tmp_path):
    one, two = (render_report(context, tmp_path / name, "en").read_bytes() for name in ("a.html", "b.html"))
    assert one == two


def test_every_section_is_there_in_both_languages(pages):
    for language, page in pages.items():
        ids = {attrs.get("id") for _, attrs in page.elements}
        assert {"top", "forecast", "accuracy", "worst", "data", "findings", "errors", "drivers", "recipe", "use"} <= ids
        assert ("html", language) in [(tag, attrs.get("lang")) for tag, attrs in page.elements]
        assert "report." not in re.sub(r"report\.(html|css|js)", "", page.text)
    assert "Forecast report" in pages["en"].text and "Relatório de previsão" in pages["pt-BR"].text


def test_numbers_and_dates_are_those_of_the_language(pages):
    assert re.search(r"total previsto de \d+\.\d{3} em 28 dias", pages["pt-BR"].text)
    assert "De 04/02/2025 a 03/03/2025" in pages["pt-BR"].text
    assert re.search(r"should total \d+,\d{3} over the next 28 days", pages["en"].text)
    assert "From 4 Feb 2025 to 3 Mar 2025" in pages["en"].text
    layout = json.loads(pages["pt-BR"].scripts["figures"])["plot-forecast"]["layout"]
    assert layout["separators"] == ",."


def test_unknown_language_is_refused(context, tmp_path):
    with pytest.raises(KeyError, match="'fr'"):
        render_report(context, tmp_path / "r.html", "fr")


def test_both_languages_say_the_same_with_the_same_placeholders():
    for key, entry in table().items():
        if key.startswith("report."):
            assert set(entry) == set(LANGUAGES), key
            assert len({frozenset(re.findall(r"{(\w+)}", text)) for text in entry.values()}) == 1, key


def test_provenance_and_use_are_stated(pages):
    text = pages["en"].text
    for fact in (
        "4f2a91c07be3-1",
        "9f86d081884c7d65",
        "vur forecast loja-diaria --horizon 28",
        "vur.forecast('loja-diaria', horizon=28)",
        "time budget of 30 s was spent",
        "fewer than 2 seasons",
        "Leakage check passed",
        "2.3.3",
        "Rows rejected at upload",
    ):
        assert fact in text, fact
    assert ("a", "train.ipynb") in [(tag, attrs.get("href")) for tag, attrs in pages["en"].elements]


def test_findings_are_sorted_by_severity_with_repairs_and_one_entry_per_kind(context, pages):
    found = data.findings(context, "en")
    assert [group["severity"] for group in found["groups"]] == ["error", "warning", "warning", "info"]
    gaps = next(group for group in found["groups"] if group["code"] == "gaps")
    assert gaps["count"] == "rows: 20" and gaps["series"] == "series: 5" and len(gaps["more"]) == 4
    assert "duplicates='sum'" in pages["en"].text


def test_mape_is_explained_only_where_there_are_zeros(context, pages, tmp_path):
    assert "MAPE is not used for ranking" in pages["en"].text
    positive = sample_context(1)
    positive.history = positive.history.assign(y=positive.history["y"].fillna(1) + 1)
    assert "MAPE is not used for ranking" not in render(positive, tmp_path).text


def test_charts_have_a_text_for_those_who_cannot_see_them(pages):
    canvases = [attrs for _, attrs in pages["en"].elements if attrs.get("class") == "canvas"]
    assert len(canvases) >= 6
    assert all(attrs["role"] == "img" and attrs["aria-label"].strip() for attrs in canvases)


# --- hostile names ---


def test_names_from_the_data_stay_text(tmp_path):
    hostile = sample_context(len(HOSTILE), names=HOSTILE)
    hostile.data |= {"target": HOSTILE[0], "roles": {HOSTILE[1]: "known_future"}}
    hostile.run |= {"name": HOSTILE[0], "source": HOSTILE[1], "notebook": 'a"b<c>.ipynb'}
    hostile.model = {"name": HOSTILE[0]}
    hostile.drivers["importance"].loc[0, "feature"] = HOSTILE[0]
    page = render(hostile, tmp_path)
    assert [attrs for tag, attrs in page.elements if tag == "script"] == [
        {"type": "application/json", "id": "figures"},
        {"type": "application/json", "id": "settings"},
        {},
        {},
    ]
    assert not [tag for tag, attrs in page.elements if tag == "img" or any(name.startswith("on") for name in attrs)]
    assert "alert(1)" in page.text and "{{ 7*7 }}" in page.text
    figures = json.loads(page.scripts["figures"])
    assert figures["plot-forecast"]["layout"]["meta"]["series"][0] in HOSTILE
    assert not any("<" in text for text in figures["plot-importance"]["layout"]["yaxis"]["ticktext"])


@given(st.text())
def test_json_in_a_script_never_ends_the_script(text):
    source = script_json({"name": text})
    assert json.loads(source) == {"name": text}
    assert not set("<>&\u2028\u2029") & set(source)


def test_two_names_shortened_alike_keep_their_own_bars():
    names = ["x" * 60 + str(i) + "y" * 60 for i in range(3)]
    spec = plots.importance_spec(pd.DataFrame({"feature": names, "importance": [0.5, 0.3, 0.2]}))
    assert spec["data"][0]["y"] == [0, 1, 2]


# --- headline and honesty ---


def hero(context: ReportContext, language: str = "en") -> dict:
    facts = summary.expected(context.history, context.forecast, context.freq, context.data, context.residuals)
    trusted = summary.trust(context.leaderboard, context.winner, context.metric, 3, context.test_scores)
    return headline.hero(context, facts, trusted, language)


def scores(**mase: float) -> pd.DataFrame:
    return pd.DataFrame({"algorithm": list(mase), "mase": list(mase.values())})


def test_one_series_gets_its_next_value_with_a_range():
    words = " ".join(hero(sample_context(1, alias="MS", length=96, horizon=12))["sentences"])
    assert re.search(
        r"The next value, January 2032, should be [\d,]+: "
        r"in 80 out of 100 cases, it falls between [\d,]+ and [\d,]+\.",
        words,
    )
    assert "12 months earlier" in words


def test_total_is_the_sum_of_the_forecast(context):
    facts = summary.expected(context.history, context.forecast, context.freq, context.data)
    assert facts["how"] == "sum" and facts["value"] == pytest.approx(context.forecast["forecast"].sum())
    assert f"{round(context.forecast['forecast'].sum()):,}" in hero(context)["headline"]


def test_where_squares_rank_the_page_says_so_and_shows_their_root(context):
    board = context.leaderboard.assign(rmsse=context.leaderboard["mase"], rmse=12.5)
    facts = summary.trust(board, context.winner, "rmsse", 3, None)
    assert "squares" in summary.trust_sentence(facts, context.freq, 6, "en")
    assert "squares" not in summary.trust_sentence(facts | {"squared": False}, context.freq, 6, "en")
    value, note = summary.typical_error({"wape": 20.0, "rmse": 12.5}, context.history, "6 months", "en", squared=True)
    assert value == "12.50" and note.startswith("RMSE")


def test_series_stand_in_the_order_of_their_totals(context):
    shown = [str(name) for name in context.forecast["unique_id"].unique()]
    totals = context.forecast.groupby("unique_id")["forecast"].sum().sort_values(ascending=False)
    rows = forecast_section.glance(context, shown, "en")["rows"]
    assert [row[0]["text"] if isinstance(row[0], dict) else row[0] for row in rows] == totals.index.tolist()


@pytest.mark.parametrize(
    ("target", "how"),
    [
        ("vendas", "sum"),
        ("Receita R$", "sum"),
        ("qty_sold", "sum"),
        ("preço de venda", "mean"),
        ("temperatura", "mean"),
    ],
)
def test_amounts_with_decimals_add_up_where_their_name_says_so(context, target, how):
    data = context.data | {"integer": False, "target": target}
    assert summary.expected(context.history, context.forecast, context.freq, data)["how"] == how
    assert summary.aggregate_of(data | {"nonnegative": False}) == "mean"


def test_values_that_do_not_add_up_are_averaged(context):
    data = context.data | {"integer": False, "aggregate": "mean"}
    facts = summary.expected(context.history, context.forecast, context.freq, data)
    assert facts["how"] == "mean" and facts["value"] == pytest.approx(context.forecast["forecast"].mean())
    said = summary.expectation_sentences(facts, data, context.freq, "pt-BR")
    assert said[0].startswith("Vendas: média prevista de")


def test_change_compares_the_same_part_of_the_season():
    stamps = pd.date_range("2024-01-01", periods=70, freq="D")
    history = pd.DataFrame({"unique_id": "a", "ds": stamps, "y": np.tile([1.0, 2, 3, 4, 5, 6, 7], 10)})
    ahead = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2024-03-11", periods=10, freq="D")})
    ahead["forecast"] = np.tile([1.0, 2, 3, 4, 5, 6, 7], 2)[:10] * 1.1
    change = summary.change_since(history, ahead, FREQUENCIES["D"], 10)
    assert change == {"share": pytest.approx(0.1), "lag": 14}
    assert summary.change_since(history.tail(5), ahead, FREQUENCIES["D"], 10) is None


@pytest.mark.parametrize("alias", ["h", "h[MON-SAT 8-21]"])
def test_hours_are_compared_with_those_of_the_same_weekday(alias):
    freq = frequency(alias)
    stamps = pd.DatetimeIndex(freq.after(pd.Timestamp("2024-01-01 08:00"), 5 * freq.week))
    y = np.where(stamps.dayofweek == 5, 30.0, 10.0)
    ahead = pd.DataFrame({"unique_id": "a", "ds": freq.after(stamps[-1], 20)}).assign(forecast=10.0)
    ahead["forecast"] = np.where(ahead["ds"].dt.dayofweek == 5, 30.0, 10.0)
    history = pd.DataFrame({"unique_id": "a", "ds": stamps, "y": y})
    assert summary.change_since(history, ahead, freq, 20) == {"share": pytest.approx(0.0), "lag": freq.week}


@pytest.mark.parametrize(
    ("alias", "breaks"),
    [
        ("h[MON-SAT 8-21]", [{"bounds": ["sun", "mon"]}, {"bounds": [22, 8], "pattern": "hour"}]),
        ("D[SUN-THU]", [{"bounds": ["fri", "sat"]}, {"bounds": ["sat", "sun"]}]),
        ("B", [{"bounds": ["sat", "sun"]}, {"bounds": ["sun", "mon"]}]),
        ("h", None),
    ],
)
def test_closed_days_and_hours_take_no_room_in_the_plot(alias, breaks):
    freq = frequency(alias)
    rows = pd.DataFrame({"unique_id": "a", "ds": freq.after(pd.Timestamp("2024-01-01 08:00"), 100)}).assign(y=1.0)
    ahead = rows.tail(10)[["unique_id", "ds"]].assign(forecast=1.0)
    axis = plots.forecast_spec(rows, ahead, freq=freq)["layout"]["xaxis"]
    assert axis.get("rangebreaks") == breaks


@pytest.mark.parametrize(
    ("folds", "test", "verdict", "words"),
    [
        (scores(ets=0.7, seasonal_naive=1.0), scores(ets=0.8, seasonal_naive=1.0), "clear", "30% smaller"),
        (scores(ets=0.98, seasonal_naive=1.0), None, "slight", "only 2.0% smaller"),
        (
            scores(ets=0.7, seasonal_naive=1.0),
            scores(ets=1.2, seasonal_naive=1.0),
            "mixed",
            "do not count on the advantage",
        ),
        (scores(ets=1.3, seasonal_naive=1.0), None, "no", "30% larger"),
        (scores(ets=1.0, seasonal_naive=1.0), None, "no", "as large as those"),
        (scores(ets=0.7), None, "unknown", "treat it with caution"),
        (scores(ets=0.7, seasonal_naive=float("nan")), {}, "unknown", "treat it with caution"),
    ],
)
def test_the_page_states_the_comparison_with_the_naive_forecast(folds, test, verdict, words):
    facts = summary.trust(folds, "ets", "mase", 3, test)
    assert facts["verdict"] == verdict
    assert words in summary.trust_sentence(facts, FREQUENCIES["D"], 28, "en")
    assert summary.trust_sentence(facts, FREQUENCIES["1"], 28, "pt-BR")


def test_a_naive_winner_is_stated(tmp_path):
    context = sample_context(2, winner="seasonal_naive")
    page = render(context, tmp_path)
    assert "no other model did better than repeating the value from one season earlier" in page.text
    assert "The naive forecast won" in page.text


def test_interval_that_holds_too_little_is_called_narrow(context):
    rows = summary.coverage_rows(context.leaderboard, "ensemble")
    assert [(row["level"], row["verdict"]) for row in rows] == [(80, "close"), (95, "narrow")]
    assert "too narrow" in accuracy.intervals(context, "en")[1]["sentence"]
    assert [row["winkler"] for row in accuracy.intervals(context, "pt-BR")] == [
        "3,10",
        "–",
    ]  # an older run has no score


def test_a_failed_leakage_check_is_prominent(context, tmp_path):
    import dataclasses

    broken = dataclasses.replace(context, canary={"passed": False})
    assert "Leakage check FAILED" in render(broken, tmp_path).text


# --- few data, many series, other frequencies ---


def test_page_without_tests_findings_or_drivers_still_renders(context, tmp_path):
    bare = ReportContext(
        run={"run_id": "x-1"},
        data={"target": "y"},
        history=context.history,
        forecast=context.forecast[["unique_id", "ds", "forecast"]],
        freq=context.freq,
        leaderboard=pd.DataFrame({"algorithm": ["naive"], "seconds": [0.1]}),
    )
    for language in LANGUAGES:
        page = render(bare, tmp_path, language)
        assert "plot-forecast" in page.scripts["figures"]
    assert "Não comparado" in page.text or "Sem comparação" in page.text


def test_empty_frames_render_like_missing_ones(context, tmp_path):
    import dataclasses

    empty = dataclasses.replace(
        context,
        findings=context.findings.head(0),
        by_step=context.by_step.head(0),
        by_series=context.by_series.head(0),
        residuals=context.residuals.head(0),
        status=context.status.head(0),
        fallbacks=context.fallbacks.head(0),
        test_scores=None,
        drivers=None,
        canary=None,
    )
    assert "The audit found no problems" in render(empty, tmp_path).text


@pytest.mark.parametrize(
    ("alias", "length", "horizon", "words"),
    [("MS", 60, 12, "12 months"), ("h", 400, 48, "48 hours"), ("1", 50, 6, "6 steps"), ("D", 40, 1, "1 day")],
)
def test_other_frequencies(alias, length, horizon, words, tmp_path):
    context = sample_context(2, length, alias, horizon, folds=1, test=False)
    assert words in render(context, tmp_path).text
    assert render(context, tmp_path, "pt-BR").text


@pytest.mark.slow
def test_a_thousand_series_keep_the_page_small_and_say_which_are_shown(tmp_path):
    context = sample_context(1000, 120, horizon=14, folds=1, test=False)
    path = render_report(context, tmp_path / "r.html", "en")
    page = Page(path.read_text(encoding="utf-8"))
    assert path.stat().st_size < 8_000_000
    assert len(json.loads(page.scripts["figures"])["plot-forecast"]["layout"]["meta"]["series"]) == plots.MAX_SERIES
    assert "This page shows 20 of 1,000 series" in page.text


def test_forecast_figure_for_notebooks_has_a_menu_of_series(context):
    figure = plots.forecast_figure(context.history, context.forecast, "pt-BR")
    assert [button.label for button in figure.layout.updatemenus[0].buttons][:2] == [
        "São Paulo/Centro",
        "Rio de Janeiro",
    ]
    assert {trace.name for trace in figure.data if trace.showlegend is None} >= {
        "Observado",
        "Previsto",
        "Intervalo de 80%",
        "Intervalo de 95%",
    }
    one = plots.forecast_figure(context.history, context.forecast, "en", series="Recife")
    assert not one.layout.updatemenus and one.data[-1].y[-1] == pytest.approx(
        context.forecast.query("unique_id == 'Recife'")["forecast"].iloc[-1]
    )


def test_bands_enclose_the_forecast_and_start_at_the_last_observation(context):
    spec = plots.forecast_spec(context.history, context.forecast, series="Recife")
    low, high, forecast = spec["data"][0], spec["data"][1], spec["data"][-1]
    assert all(lo <= f <= hi for lo, f, hi in zip(low["y"], forecast["y"], high["y"], strict=True))
    assert low["y"][0] == high["y"][0] == forecast["y"][0]


# --- from a training ---


def fake_training(context: ReportContext) -> SimpleNamespace:
    forecaster = SimpleNamespace(
        id="ensemble",
        members=[SimpleNamespace(id="ets"), SimpleNamespace(id="theta")],
        weights={"ets": 0.7, "theta": 0.3},
        parameters={"method": "weighted"},
        fallbacks=context.fallbacks,
    )
    return SimpleNamespace(
        winner="ensemble",
        leaderboard=context.leaderboard,
        by_step=context.by_step,
        by_series=context.by_series,
        test_scores=context.test_scores,
        evaluation=SimpleNamespace(forecasts=context.residuals, status=context.status),
        canary=SimpleNamespace(passed=True),
        pipeline=SimpleNamespace(forecaster=forecaster),
    )


def test_context_from_a_training(context, tmp_path):
    from vur.stages.split import plan_split
    from vur.stages.split.folds import SplitSpec

    panel = sample_panel()
    plan = plan_split(panel, SplitSpec(horizon=28, folds=2, test=True))
    built = build_context(
        run=context.run,
        panel=panel,
        training=fake_training(context),
        forecast=context.forecast,
        plan=plan,
        language="pt-BR",
    )
    text = render(built, tmp_path, "pt-BR").text
    assert "Testado em 2 períodos passados de 28 dias cada." in text
    assert "A previsão combina ETS (70%) e Theta (30%)." in text
    assert "Decomposição de São Paulo/Centro" in text


def test_a_new_section_is_one_module_and_one_line(context, tmp_path, monkeypatch):
    record, size = ModuleType("record"), ModuleType("size")
    record.collect = lambda facts: facts.panel.frame["y"].max()
    record.part = lambda found, language: Part("Record", [f"The highest value was {found:g}."])
    size.part = lambda found, language: Part(
        "Size", blocks=[Block(table=tables.table([("Rows", "number")], [[len(found.history)]]))]
    )
    monkeypatch.setitem(SECTIONS, "record", record)
    monkeypatch.setitem(SECTIONS, "size", size)
    panel = sample_panel()
    built = build_context(run={}, panel=panel, training=fake_training(context), forecast=context.forecast)
    page = render(built, tmp_path)
    links = [attrs["href"] for tag, attrs in page.elements if tag == "a" and attrs.get("href", "").startswith("#")]
    assert links[-2:] == ["#record", "#size"]
    assert {"record", "size"} <= {attrs.get("id") for tag, attrs in page.elements if tag == "section"}
    assert f"The highest value was {panel.frame['y'].max():g}." in page.text
    assert ("td", {"class": "number"}) in page.elements and str(len(panel.frame)) in page.text


def test_a_section_without_anything_to_show_is_left_out(context, tmp_path, monkeypatch):
    silent = ModuleType("silent")
    silent.collect, silent.part = lambda facts: None, lambda found, language: Part("Silent")
    monkeypatch.setitem(SECTIONS, "silent", silent)
    built = build_context(run={}, panel=sample_panel(), training=fake_training(context), forecast=context.forecast)
    assert "silent" not in {attrs.get("id") for _, attrs in render(built, tmp_path).elements}


def test_no_section_imports_another():
    folder = Path(next(iter(SECTIONS.values())).__file__).parent
    names = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert names == {section.__name__.rpartition(".")[2] for section in SECTIONS.values()}
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vur.report"):
                assert not node.module.startswith("vur.report.sections."), path.name
                assert node.module != "vur.report.page", path.name
                assert not names & {alias.name for alias in node.names} or node.module != "vur.report.sections", (
                    path.name
                )


def test_every_algorithm_reads_as_a_name():
    for id in algorithms():
        assert all(algorithm_name(id, language) != id for language in LANGUAGES), id


def test_candidates_without_a_score_are_listed_with_their_reason(context):
    import dataclasses

    from vur.stages.training.budget import Note

    note = Note("training.reason.too_dear", seconds=90, left=4)
    row = pd.DataFrame([{"rank": pd.NA, "algorithm": "random_forest", "note": note}])
    status = pd.DataFrame(
        [{"algorithm": "random_forest", "state": "skipped", "seconds": 0.0, "reason": note, "fallbacks": 0}]
    )
    late = dataclasses.replace(
        context, leaderboard=pd.concat([context.leaderboard, row], ignore_index=True), status=status
    )
    part = accuracy.accuracy(late, "pt-BR")
    assert len(part["table"]["rows"]) == len(context.leaderboard)
    assert part["left_out"] == [
        ("Floresta aleatória", "Não iniciado: cerca de 90 s previstos, 4 s restantes do tempo disponível.")
    ]


def test_sub_daily_stamps_are_shown_in_the_zone_of_the_data(context):
    import dataclasses

    panel = dataclasses.replace(sample_panel(1, 100, "h"), tz="America/Sao_Paulo")
    ahead = pd.DataFrame({"unique_id": panel.ids[0], "ds": [pd.Timestamp("2024-01-05 04:00")], "forecast": [1.0]})
    built = build_context(run={}, panel=panel, training=fake_training(context), forecast=ahead)
    assert built.forecast["ds"].iloc[0] == pd.Timestamp("2024-01-05 01:00")
    assert built.data["end"] == panel.frame["ds"].max() - pd.Timedelta(hours=3)


# --- numbers and words ---


@pytest.mark.parametrize(
    ("value", "digits", "english", "portuguese"),
    [
        (1234.56, 2, "1,234.56", "1.234,56"),
        (-1234.5, 1, "−1,234.5", "−1.234,5"),
        (0.00123, None, "0.00123", "0,00123"),
        (None, None, "–", "–"),
        (float("nan"), 2, "–", "–"),
        (float("-inf"), 2, "−∞", "−∞"),
        (-0.001, 1, "0.0", "0,0"),
        (12, None, "12.00", "12,00"),
    ],
)
def test_numbers(value, digits, english, portuguese):
    assert wording.number(value, "en", digits) == english
    assert wording.number(value, "pt-BR", digits) == portuguese


@given(st.floats(-1e12, 1e12), st.integers(0, 6))
def test_a_printed_number_reads_back(value, digits):
    text = wording.number(value, "pt-BR", digits).replace(".", "").replace(",", ".").replace("−", "-")
    assert float(text) == pytest.approx(value, abs=0.51 * 10**-digits, rel=1e-9)


@pytest.mark.parametrize(
    ("alias", "stamp", "english", "portuguese", "count"),
    [
        ("D", "2010-12-31", "31 Dec 2010", "31/12/2010", "3 dias"),
        ("W-THU", "2010-12-30", "30 Dec 2010", "30/12/2010", "3 semanas"),
        ("MS", "2010-03-01", "March 2010", "março de 2010", "3 meses"),
        ("ME", "2010-03-31", "March 2010", "março de 2010", "3 meses"),
        ("QS", "2010-04-01", "Q2 2010", "2º trimestre de 2010", "3 trimestres"),
        ("YS", "2010-01-01", "2010", "2010", "3 anos"),
        ("B", "2010-12-31", "31 Dec 2010", "31/12/2010", "3 dias úteis"),
        ("15min", "2010-12-31 14:30", "31 Dec 2010, 14:30", "31/12/2010, 14:30", "45 minutos"),
        ("h", "2010-12-31 14:00", "31 Dec 2010, 14:00", "31/12/2010, 14:00", "3 horas"),
    ],
)
def test_dates_and_counts(alias, stamp, english, portuguese, count):
    freq = Frequency(alias, 1)
    assert wording.stamp(pd.Timestamp(stamp), freq, "en") == english
    assert wording.stamp(pd.Timestamp(stamp), freq, "pt-BR") == portuguese
    assert wording.steps(3, freq, "pt-BR") == count


@pytest.mark.parametrize(
    ("feature", "english", "portuguese"),
    [
        ("lag7", "value 7 steps earlier", "valor 7 passos antes"),
        ("lag1", "last value", "último valor"),
        ("rolling_mean_lag1_window_size28", "mean of 28 values", "média de 28 valores"),
        (
            "seasonal_rolling_mean_lag7_season_length7_window_size4",
            "mean of the last 4 values, every 7 steps",
            "média dos últimos 4 valores, a cada 7 passos",
        ),
        ("rolling_quantile_lag1_window_size7_p0.5", "median of 7 values", "mediana de 7 valores"),
        ("sin_7_1", "seasonal wave of 7 steps (sin 1)", "onda sazonal de 7 passos (sin 1)"),
        ("holiday", "holiday", "feriado"),
        ("preço", "preço", "preço"),
    ],
)
def test_features_in_words(feature, english, portuguese):
    assert drivers.feature_label(feature, "en") == english
    assert drivers.feature_label(feature, "pt-BR") == portuguese


def test_every_feature_of_demand_has_a_name():
    past = SimpleNamespace(values=np.array([0.0, 3.0, 0.0, 5.0]), bounds=np.array([0, 4]))
    names = demand_columns(past, np.arange(4))
    assert names and all(drivers.feature_label(name, language) != name for name in names for language in LANGUAGES)


@pytest.mark.parametrize(
    "note",
    [
        "plain words",
        {"key": "report.title", "data": {}},
        ("report.title", {}),
        None,
        float("nan"),
        {"key": "no.such", "data": {"a": 1}},
    ],
)
def test_notes_of_any_kind_become_text(note):
    assert isinstance(tables.say(note, "en"), str)
    if isinstance(note, tuple):
        assert tables.say(note, "en") == translate_text("report.title", "en")


def test_one_sided_errors_are_reported():
    context = sample_context(1)
    low = context.residuals.assign(forecast=context.residuals["forecast"] * 0.5)
    sentences = residual_sentences(residual_checks(low, 7), "en")
    assert any(verdict == "warning" and "systematically too low" in text for verdict, text in sentences)


# --- in a browser ---


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no Chromium at /usr/bin/chromium")
@pytest.mark.parametrize("language", LANGUAGES)
def test_page_works_in_a_browser_without_a_network(language, tmp_path):
    sync_api = pytest.importorskip("playwright.sync_api")
    hostile = sample_context(3, names=["São Paulo", HOSTILE[0], HOSTILE[1]])
    path = render_report(hostile, tmp_path / "report.html", language)
    requests, trouble = [], []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        for width, scheme in ((1280, "light"), (400, "dark")):
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page.on("request", lambda r: requests.append(r.url))
            page.on("console", lambda m: trouble.append(m.text) if m.type in ("error", "warning") else None)
            page.on("pageerror", lambda e: trouble.append(str(e)))
            page.on("dialog", lambda d: (trouble.append(d.message), d.dismiss()))
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-drawn=yes]", timeout=60_000)
            assert page.locator("#plot-forecast .scatterlayer path.js-line").count() >= 2
            assert page.locator("#plot-skill .barlayer path").count() >= 4
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
            before = page.locator("#plot-forecast .ytick text").first.text_content()
            page.select_option("#series", "1")
            sync_api.expect(page.locator("#plot-forecast .ytick text").first).not_to_have_text(before)
            drawn = page.evaluate(
                "getComputedStyle(document.querySelector('#plot-forecast .main-svg')).backgroundColor"
            )
            assert drawn == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(23, 26, 43)")
            assert not re.search(r"\b(NaN|undefined)\b", page.inner_text("body"))
            page.close()
        browser.close()
    assert not trouble
    assert all(url.startswith(("file:", "data:", "blob:")) for url in requests), requests
