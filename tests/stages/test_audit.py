"""The audit: every finding on data that has the problem, none on data that does not, and repairs that run."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import DATA

import vur
from vur.errors import VurError
from vur.panel import Panel, complete, make_panel
from vur.stages.preview.audit import audit, audit_frame
from vur.stages.preview.findings import CHECKS, Finding, Rows, audit_summary, audit_table, call, check, marked
from vur.stages.preview.table_checks import Table
from vur.stages.upload.files import UploadOptions
from vur.store.data import sources
from vur.store.runs import file_fingerprint
from vur.text import LANGUAGES, table
from vur.wizard.checks import validate

DAYS = pd.date_range("2023-01-01", periods=200)
rng = np.random.default_rng(0)
NOISE = 100 + 10 * np.sin(2 * np.pi * np.arange(200) / 7) + rng.normal(0, 3, 200)


def frame_of(y=NOISE, ds=None, uid="a", **columns) -> pd.DataFrame:
    return pd.DataFrame({"unique_id": uid, "ds": DAYS[: len(y)] if ds is None else ds, "y": y, **columns})


def changed(**values) -> pd.DataFrame:
    y = NOISE.copy()
    for place, value in values.items():
        y[int(place[1:])] = value
    return frame_of(y)


def codes(findings: list[Finding]) -> set[str]:
    return {f.code for f in findings}


def one(findings: list[Finding], code: str) -> Finding:
    (found,) = [f for f in findings if f.code == code]
    return found


def repaired(finding: Finding, frame: pd.DataFrame, panel: Panel | None = None) -> dict:
    namespace = {"frame": frame.copy(), "panel": panel}
    exec(finding.repair, namespace)
    return namespace


def mixed_frame() -> pd.DataFrame:
    weekly = pd.DataFrame(
        {"unique_id": "w", "ds": pd.date_range("2023-01-02", periods=28, freq="W-MON"), "y": 1.0 * np.arange(28)}
    )
    return pd.concat([frame_of(), frame_of(uid="b"), weekly])


def step_frame() -> pd.DataFrame:
    return frame_of(NOISE + 80 * (np.arange(200) >= 120))


# What each finding is found on, and what must be true of the panel once its repair has run.
PANEL_CASES = {
    "gaps": (frame_of().drop(index=[5, 6, 90]), lambda p: len(p.frame) == 200),
    "closed_weekday": (frame_of()[DAYS.dayofweek != 6], lambda p: p.frame["ds"].diff().max() == pd.Timedelta(days=1)),
    "open_calendar": (
        frame_of()[~DAYS.dayofweek.isin([0, 2])],
        lambda p: p.freq.alias == "D",
    ),
    "closed_dates": (frame_of()[(DAYS.dayofweek < 5) & (DAYS.day != 1)], lambda p: p.freq.alias == "B"),
    "closed_rows": (frame_of()[(DAYS.dayofweek < 5) | (DAYS == "2023-03-04")], lambda p: p.freq.alias == "B"),
    "closed_weekdays": (
        frame_of()[~DAYS.dayofweek.isin([0, 2])],
        lambda p: p.frame["ds"].diff().max() == pd.Timedelta(days=1),
    ),
    "missing_target": (changed(_50=np.nan, _51=np.nan), lambda p: p.frame["y"].notna().all()),
    "zero_target": (changed(_50=0.0), lambda p: (p.frame["y"] != 0).all()),
    "intermittent": (
        frame_of(np.where(np.arange(200) % 3 == 0, 5.0 + np.arange(200) % 4, 0)),
        lambda p: (p.frame["y"] != 0).all(),
    ),
    "sparse_panel": (
        pd.concat([frame_of(np.where(np.arange(200) % 4 == k, 3.0, 0), uid=f"p{k}") for k in range(3)]),
        lambda p: len(p.ids) == 3,
    ),
    "leading_zeros": (changed(**{f"_{i}": 0.0 for i in range(9)}), lambda p: p.frame["ds"].min() == DAYS[9]),
    "trailing_zeros": (changed(**{f"_{i}": 0.0 for i in range(190, 200)}), lambda p: p.frame["ds"].max() == DAYS[189]),
    "constant": (pd.concat([frame_of(), frame_of(np.full(200, 7.0), uid="flat")]), lambda p: p.ids == ["a"]),
    "too_short": (pd.concat([frame_of(), frame_of(NOISE[:4], DAYS[-4:], uid="new")]), lambda p: p.ids == ["a"]),
    "short_for_season": (
        pd.concat([frame_of(), frame_of(NOISE[:10], DAYS[-10:], uid="new")]),
        lambda p: p.ids == ["a"],
    ),
    "negative": (changed(_50=-5.0), lambda p: p.frame["y"].min() > 0),
    "unequal_end": (
        pd.concat([frame_of(), frame_of(uid="b"), frame_of(NOISE[:120], uid="old")]),
        lambda p: p.ids == ["a", "b"],
    ),
    "unequal_ends": (
        pd.concat([frame_of(NOISE[:n], uid=f"s{n}") for n in (100, 120, 140, 200)]),
        lambda p: p.ids == ["s200"],
    ),
    "mixed_frequency": (mixed_frame(), lambda p: p.ids == ["a", "b"]),
    "outliers": (changed(_50=1000.0, _120=1.0), lambda p: p.frame["y"].max() < 200 and p.frame["y"].isna().sum() == 2),
    "level_shift": (step_frame(), lambda p: p.frame["ds"].min() == DAYS[120]),
}


@pytest.mark.parametrize("code", PANEL_CASES)
def test_a_panel_finding_is_found_described_and_repaired(code):
    frame, holds = PANEL_CASES[code]
    panel = make_panel(frame, freq="D" if code.startswith("closed_weekday") else None)
    before = panel.frame.copy()
    finding = one(audit(panel, frame), code)
    assert finding.count > 0 and finding.rows and finding.severity in ("error", "warning", "info")
    assert all(finding.text(language) for language in LANGUAGES) and finding.text("en") != finding.text("pt-BR")
    assert holds(repaired(finding, frame, panel)["panel"])
    assert panel.frame.equals(before)


def clock(zone: str = "Europe/Berlin") -> pd.DataFrame:
    utc = pd.date_range("2023-02-01", "2023-11-20", freq="h", tz="UTC")
    return pd.DataFrame(
        {"data": utc.tz_convert(zone).tz_localize(None), "loja": "a", "v": np.arange(len(utc)) % 24 + 1.0}
    )


BASE = pd.DataFrame({"data": DAYS[:30].astype(str), "loja": "a", "v": NOISE[:30].round(2)})
FINE = pd.DataFrame(
    {
        "data": [*DAYS[:62], *list(pd.date_range("2021-01-01", periods=24, freq="MS")) * 2],
        "loja": ["d"] * 62 + ["m"] * 24 + ["n"] * 24,
        "v": 1.0,
    }
)
TABLE_CASES = {
    "date_missing": BASE.assign(data=BASE["data"].where(BASE.index != 4)),
    "date_unreadable": BASE.assign(data=BASE["data"].where(BASE.index != 4, "31/02/2023")),
    "series_missing": BASE.assign(loja=BASE["loja"].where(BASE.index != 4)),
    "target_not_numeric": BASE.assign(v=BASE["v"].astype(object).where(BASE.index != 4, "n/d")),
    "target_infinite": BASE.assign(v=BASE["v"].where(BASE.index != 4, -np.inf)),
    "repeated_rows": pd.concat([BASE, BASE[3:6]], ignore_index=True),
    "duplicate_stamps": pd.concat([BASE, BASE[3:6].assign(v=1.0)], ignore_index=True),
    "shared_cell": FINE,
    "dst_overlap": clock(),
    "irregular": pd.DataFrame(
        {"data": DAYS[0] + pd.to_timedelta(np.cumsum(rng.exponential(9, 200)), unit="h"), "loja": "a", "v": 1.0}
    ),
}


@pytest.mark.parametrize("code", TABLE_CASES)
def test_a_table_finding_explains_an_error_and_its_repair_fixes_it(code):
    frame = TABLE_CASES[code]
    names = {"date": "data", "target": "v", "series": ["loja"]}
    with pytest.raises(VurError):
        make_panel(frame, **names)
    finding = one(audit_frame(frame, **names), code)
    assert all(finding.text(language) for language in LANGUAGES)
    after = repaired(finding, frame)
    panel = after["panel"] or make_panel(after["frame"], **names)
    assert panel.frame["y"].notna().sum() >= 25 and frame.equals(TABLE_CASES[code])


def test_rows_are_numbered_from_one_and_counted():
    frame = BASE.assign(v=["x" if i in (4, 9) else "1" for i in range(30)])
    finding = one(audit_frame(frame, "data", "v", ["loja"]), "target_not_numeric")
    assert (finding.rows, finding.count, finding.data["value"], finding.severity) == ([5, 10], 2, "x", "error")


def test_decimal_commas_are_converted_not_lost():
    frame = BASE.assign(v=[f"1.{i:03d},5" for i in range(30)])
    finding = one(audit_frame(frame, "data", "v", ["loja"]), "target_not_numeric")
    assert repaired(finding, frame)["frame"]["v"].tolist() == [1000.5 + i for i in range(30)]


@pytest.mark.parametrize(
    ("zone", "options"),
    [
        ("Europe/Berlin", {}),
        ("America/New_York", {}),
        ("Europe/Madrid", {"country": "ES"}),
        ("Australia/Sydney", {"tz": "Australia/Sydney"}),
    ],
)
def test_a_local_clock_is_inferred_from_the_stamps(zone, options):
    frame = clock(zone)
    found = audit_frame(frame, "data", "v", ["loja"], **options)
    assert codes(found) == {"dst_gap", "dst_overlap"}
    assert {f.data["zone"] for f in found} == {zone}
    panel = repaired(one(found, "dst_overlap"), frame)["panel"]
    assert complete(panel) is panel and panel.freq.alias == "h" and panel.tz == zone


@pytest.mark.parametrize(
    "frame",
    [
        clock().assign(data=pd.date_range("2023-02-01", periods=len(clock()), freq="h")),
        clock()
        .drop(index=range(500, 900))
        .assign(data=lambda d: pd.date_range("2023-02-01", periods=len(d), freq="h")),
    ],
)
def test_a_clock_that_never_changes_has_no_finding(frame):
    assert not codes(audit_frame(frame, "data", "v", ["loja"])) & {"dst_gap", "dst_overlap"}


def test_a_spring_gap_alone_is_found_on_the_panel():
    frame = clock().drop_duplicates("data").query("data < '2023-10-01'").rename(columns={"data": "ds", "v": "y"})
    found = audit(make_panel(frame, series=["loja"]), frame)
    assert one(found, "dst_gap").rows == [pd.Timestamp("2023-03-26 02:00")]


def test_what_make_panel_changed_is_reported():
    frame = pd.concat(
        [
            frame_of(),
            frame_of(np.full(200, np.nan), uid="void"),
            frame_of(np.r_[np.nan, np.nan, NOISE[2:]], uid="late"),
            frame_of()[50:52],
        ]
    )
    frame = frame.assign(promo=np.arange(len(frame)) % 2)
    tail = pd.DataFrame({"unique_id": "a", "ds": pd.date_range(DAYS[-1], periods=4)[1:], "y": np.nan, "promo": 1})
    panel = make_panel(pd.concat([frame, tail], ignore_index=True), duplicates="mean", roles={"promo": "known_future"})
    found = audit(panel)
    assert {"empty_series", "trimmed", "combined", "future_rows"} <= codes(found)
    assert one(found, "empty_series").severity == "error" and one(found, "combined").count == 4
    for finding in found:
        repaired(finding, frame, panel)


def test_moved_stamps_are_reported_and_the_strays_can_be_dropped():
    ds = DAYS.to_series(index=range(200)).where(np.arange(200) != 20, DAYS[20] + pd.Timedelta(hours=3))
    frame = frame_of(ds=ds)
    finding = one(audit(make_panel(frame), frame), "off_grid")
    assert (finding.count, finding.data["to"]) == (1, DAYS[20])
    assert len(repaired(finding, frame)["frame"]) == 199


def test_rejected_lines_from_a_file_or_a_table(tmp_path):
    rejects = pd.DataFrame({"line": [7, 9], "cause": ["3 columns instead of 4", "no date"], "text": ["a;b", "c"]})
    rejects.to_csv(tmp_path / "rejects.csv", index=False)
    for source in (rejects, tmp_path / "rejects.csv", str(tmp_path / "rejects.csv")):
        finding = one(audit(make_panel(frame_of()), rejects=source), "rejected_rows")
        assert (finding.count, finding.rows) == (2, [7, 9]) and "3 columns instead of 4" in finding.message
        exec(finding.repair, {"rejects": rejects})
    assert "rejected_rows" not in codes(audit(make_panel(frame_of()), rejects=tmp_path / "none.csv"))


def test_clean_data_have_no_findings():
    assert audit(make_panel(frame_of()), frame_of()) == []
    equipment = pd.read_csv(DATA / "electrical_equipment.csv")
    assert audit(make_panel(equipment, date="month", target="turnover"), equipment) == []


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    kind=st.sampled_from(["noise", "trend", "walk", "growth"]),
    freq=st.sampled_from(["D", "MS", "h", "YS", "W-MON"]),
)
def test_noise_trends_and_walks_have_no_level_shift(seed, kind, freq):
    random = np.random.default_rng(seed)
    t, noise = np.arange(220), random.normal(0, 1, 220)
    y = {
        "noise": 100 + 10 * noise,
        "trend": 100 + t + 5 * noise,
        "walk": 500 + np.cumsum(noise),
        "growth": 100 * 1.01**t * np.exp(0.05 * noise),
    }[kind]
    panel = make_panel(pd.DataFrame({"ds": pd.date_range("1750-01-01", periods=220, freq=freq), "y": y}))
    assert "level_shift" not in codes(audit(panel))


@settings(max_examples=25, deadline=None)
@given(place=st.integers(3, 196), factor=st.sampled_from([0.01, 0.1, 5, 10, 100]))
def test_a_slipped_decimal_point_is_an_outlier_wherever_it_is(place, factor):
    finding = one(audit(make_panel(changed(**{f"_{place}": NOISE[place] * factor}))), "outliers")
    assert finding.rows == [DAYS[place]] and finding.severity == "warning"


@settings(max_examples=25, deadline=None)
@given(lost=st.sets(st.integers(1, 198), min_size=1, max_size=40))
def test_gaps_name_exactly_the_stamps_that_are_missing(lost):
    found = audit(make_panel(frame_of().drop(index=sorted(lost))))
    gaps = [f for f in found if f.code in ("gaps", "closed_weekday", "closed_weekdays")]
    assert [stamp for f in gaps for stamp in f.rows] == [DAYS[i] for i in sorted(lost)]


def test_a_completed_panel_has_the_same_findings():
    frame = pd.concat([changed(_50=np.nan).drop(index=[5, 6, 90]), frame_of(uid="b").drop(index=[150])])
    panel = make_panel(frame)
    assert len(complete(panel).frame) == 400
    assert audit(complete(panel), frame) == audit(panel, frame)


def test_integer_stamps_are_audited_too():
    frame = pd.DataFrame(
        {"t": [*range(0, 40, 2), *range(44, 80, 2)], "y": [*rng.normal(50, 3, 20), 900, *rng.normal(50, 3, 17)]}
    )
    panel = make_panel(frame, date="t")
    found = audit(panel, frame, language="pt-BR")
    assert one(found, "gaps").rows == [40, 42] and one(found, "outliers").rows == [44]
    for finding in found:
        assert isinstance(repaired(finding, frame, panel)["panel"], Panel)


def test_tables_for_the_file_and_the_page():
    found = audit(make_panel(PANEL_CASES["unequal_end"][0]), language="pt-BR")
    listed = audit_table(found, "pt-BR")
    assert listed.columns.tolist() == ["code", "severity", "unique_id", "count", "first", "last", "message", "repair"]
    assert listed["message"].tolist() == [f.message for f in found]
    assert audit_table([]).columns.tolist() == listed.columns.tolist()
    many = audit(make_panel(pd.concat([frame_of(np.full(200, 1.0 + i), uid=f"s{i}") for i in range(9)])))
    summary = audit_summary(many)
    assert (
        summary.loc[0, ["code", "series", "count"]].tolist() == ["constant", 9, 1800]
        and "And 6 more series" in summary.loc[0, "message"]
    )


def test_severities_come_in_order():
    frame = pd.concat(
        [
            PANEL_CASES["outliers"][0],
            frame_of(np.full(200, np.nan), uid="void"),
            frame_of(NOISE[:10], DAYS[-10:], uid="new"),
        ]
    )
    order = [["error", "warning", "info"].index(f.severity) for f in audit(make_panel(frame))]
    assert order == sorted(order) and set(order) == {0, 1, 2}


def test_every_finding_has_a_sentence_and_a_title_in_both_languages():
    entries = {k: v for k, v in table().items() if k.startswith("audit.")}
    names = {k.split(".")[1] for k in entries} - {"and_more"}
    assert set(PANEL_CASES) | set(TABLE_CASES) <= names
    for name in names:
        assert f"audit.{name}" in entries and f"audit.{name}.title" in entries
    assert all(set(text) == {"en", "pt-BR"} for text in entries.values())


# A check is one function with the decorator `check`, and its sentence: two are added here, and appear in every audit.


def check_round(panel: Panel, rows: Rows) -> list[Finding]:
    whole = rows.y % 50 == 0
    return marked(
        "round", "info", rows.code[whole], rows.ids, rows.ds[whole], lambda s, e: {}, lambda n, at: call("blank", n, at)
    )


def check_notes_column(data: Table) -> list[Finding]:
    return [Finding("notes", "warning", None, [], 1, {}, "frame = frame.drop(columns='notes')")] * (
        "notes" in data.frame
    )


@pytest.fixture
def more_checks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, text in (
        ("round", "{count} values of {series!r} are multiples of 50."),
        ("notes", "There is a column of notes."),
    ):
        monkeypatch.setitem(table(), f"audit.{name}", dict.fromkeys(LANGUAGES, text))
        monkeypatch.setitem(table(), f"audit.{name}.title", dict.fromkeys(LANGUAGES, name))
    check("series")(check_round)
    check("table")(check_notes_column)
    yield
    del CHECKS["check_round"], CHECKS["check_notes_column"]


def noted() -> pd.DataFrame:
    return changed(_50=150.0, _51=100.0).assign(notes="-").drop(columns="unique_id")


@pytest.mark.usefixtures("more_checks")
def test_a_new_check_is_in_the_audit_and_its_repair_runs():
    frame = noted()
    panel = make_panel(frame, series=(), roles={"notes": "exclude"})
    found = audit(panel, frame)
    assert one(found, "round").message == "2 values of 'y' are multiples of 50."
    assert one(found, "notes").severity == "warning"
    assert repaired(one(found, "round"), frame, panel)["panel"].frame["y"].isna().sum() == 2
    assert {"round", "notes"} <= set(audit_summary(found)["title"])


@pytest.mark.usefixtures("more_checks")
def test_a_new_check_is_in_a_run_and_in_the_wizard(tmp_path: Path):
    path = tmp_path / "noted.csv"
    noted().to_csv(path, index=False)
    result = vur.run(path, date="ds", target="y", algorithms="naive", out=tmp_path, notebook=False)
    assert {"round", "notes"} <= set(pd.read_csv(result.folder / "audit.csv")["code"])
    stored = sources.read(path, file_fingerprint(path), UploadOptions(), "noted.csv").name
    checked = validate(stored, {"date": "ds", "target": "y"}, "en")
    assert {"round", "notes"} <= {finding["code"] for finding in checked["findings"]}


def test_checks_run_in_the_order_in_which_they_are_registered():
    order = {
        scope: [name for name, known in CHECKS.items() if known.scope == scope]
        for scope in ("file", "reading", "table", "panel", "series")
    }
    assert order == {
        "file": ["check_rejects"],
        "reading": ["check_reading"],
        "table": [
            "check_dates",
            "check_series_names",
            "check_numbers",
            "check_clock",
            "check_duplicates",
            "check_regular",
            "check_cells",
        ],
        "panel": [
            "check_levels",
            "check_values",
            "check_copies",
            "check_absence",
            "check_demand",
            "check_ended",
            "check_notes",
            "check_moved",
            "check_future",
            "check_calendar",
            "check_closed",
        ],
        "series": [
            "check_gaps",
            "check_missing",
            "check_zeros",
            "check_zero_ends",
            "check_negative",
            "check_constant",
            "check_short",
            "check_ends",
            "check_mixed",
            "check_outliers",
            "check_level_shifts",
        ],
    }
    with pytest.raises(ValueError, match="expected one of file, reading, table, panel, series"):
        check("rows")
