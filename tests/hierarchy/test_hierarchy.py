"""Hierarchies: which sums there are, what they are made of, and what is said where a sum would mislead."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import flights

from vur.errors import VurError
from vur.hierarchy import HierarchySpec, add_totals, align_ends, hierarchy, hierarchy_from_dict
from vur.panel import Panel, complete, make_panel
from vur.text import LANGUAGES

STORES = [("Norte", "1"), ("Norte", "2"), ("Sul", "1"), ("Sul", "3"), ("Sul", "4")]


def stores(days: int = 120) -> pd.DataFrame:
    rng, stamps = np.random.default_rng(0), pd.date_range("2024-01-01", periods=days, freq="D")
    frames = [
        pd.DataFrame(
            {
                "day": stamps,
                "region": region,
                "store": store,
                "sold": rng.poisson(20 + 5 * k, days).astype(float),
                "holiday": (stamps.dayofweek == 6) * 1.0,
                "price": 2.0 + k,
                "rain": rng.random(days),
            }
        )
        for k, (region, store) in enumerate(STORES)
    ]
    return pd.concat(frames, ignore_index=True)


def panel_of_stores(frame: pd.DataFrame, **given) -> Panel:
    roles = {"holiday": "known_future", "price": "known_future", "rain": "past_only"}
    return complete(make_panel(frame, date="day", target="sold", series=("region", "store"), roles=roles, **given))


def wide(panel: Panel) -> pd.DataFrame:
    return panel.frame.pivot(index="ds", columns="unique_id", values="y")


def refused(code: str, *words: str):
    """Expects a `VurError` of `code` whose text holds all `words` in both languages."""

    class Check:
        def __enter__(self):
            self.context = pytest.raises(VurError)
            self.info = self.context.__enter__()

        def __exit__(self, *error):
            done = self.context.__exit__(*error)
            assert self.info.value.code == code
            for language in LANGUAGES:
                text = self.info.value.text(language)
                assert all(word in text for word in words), text
            return done

    return Check()


def test_airports_add_up():
    panel = flights(columns=())
    full = add_totals(panel, hierarchy(panel))
    table = wide(full)
    assert full.ids == ["EWR", "JFK", "LGA", "Total"]
    assert (table["Total"] == table[["EWR", "JFK", "LGA"]].sum(axis=1)).all()
    assert all(full.integer[name] and full.nonnegative[name] for name in full.ids)


def test_auto_is_the_total_and_every_prefix():
    panel = panel_of_stores(stores())
    found = hierarchy(panel)
    assert list(found.tags) == ["Total", "region", "region/store"]
    assert found.sums == ("Total", "region=Norte", "region=Sul")
    assert found.bottom == tuple("/".join(pair) for pair in STORES)
    table = wide(add_totals(panel, found))
    assert np.allclose(table[list(found.ids)], table[list(found.bottom)] @ found.S.toarray().T)


def test_summing_matrix_is_what_hierarchicalforecast_makes():
    from hierarchicalforecast.utils import aggregate

    frame = stores().rename(columns={"day": "ds", "sold": "y"}).assign(all="Total")
    _, S_df, tags = aggregate(
        frame[["all", "region", "store", "ds", "y"]], [["all"], ["all", "region"], ["all", "region", "store"]]
    )
    found = hierarchy(panel_of_stores(stores()))
    assert (S_df.drop(columns="unique_id").to_numpy() == found.S.toarray()).all()
    assert [len(ids) for ids in tags.values()] == [len(ids) for ids in found.tags.values()]


def test_crossed_levels_and_static_columns():
    frame = stores().assign(kind=lambda rows: np.where(rows["store"] == "1", "mall", "street"))
    panel = make_panel(frame, date="day", target="sold", series=("region", "store"), roles={"kind": "static"})
    found = hierarchy(panel, HierarchySpec([[], ["store"], ["kind"], "region"], crossed=True))
    assert found.tags["store"] == ("store=1", "store=2", "store=3", "store=4")
    full = add_totals(panel, found)
    table = wide(full)
    assert (table["store=1"] == table["Norte/1"] + table["Sul/1"]).all()
    assert (table["kind=mall"] == table["store=1"]).all()
    for name in ("store", "kind", "region"):
        assert np.allclose(table[list(found.tags[name])].sum(axis=1), table["Total"])


def test_order_of_levels_and_columns_does_not_matter():
    panel = panel_of_stores(stores())
    one, two = hierarchy(panel, [["region"], []]), hierarchy(panel, [[], ["region"], ["store", "region"]])
    assert one.ids == two.ids


def test_rows_that_cover_the_data_once():
    panel = panel_of_stores(stores())
    assert hierarchy(panel).whole == ("Total",)
    assert hierarchy(panel, [["region"]]).whole == tuple(panel.ids)


def test_a_hierarchy_is_stored_as_json():
    found = hierarchy(
        panel_of_stores(stores()), HierarchySpec([[], ["store"], ["region"]], ends="cut", missing="zero", crossed=True)
    )
    again = hierarchy_from_dict(json.loads(json.dumps(found.to_dict())))
    assert again.ids == found.ids and (again.ends, again.missing) == ("cut", "zero")
    assert (again.S != found.S).nnz == 0


def test_slashes_in_names():
    frame = pd.DataFrame(
        {
            "day": pd.date_range("2024-01-01", periods=9).repeat(3),
            "shop": ["a/b", "a/c", "d"] * 9,
            "sold": np.arange(27.0),
        }
    )
    panel = make_panel(frame, date="day", target="sold", series="shop")
    assert hierarchy(panel).sums == ("Total",)  # a single column is not taken apart
    two = make_panel(frame.assign(town="x/y"), date="day", target="sold", series=("town", "shop"))
    assert hierarchy(two, [["town"]]).sums == ("town=x/y",)  # the columns decide where there are some
    bare = replace(two, frame=two.frame[["unique_id", "ds", "y"]], roles={})
    with refused("hierarchy.split", "x/y/a/b", "town, shop"):
        hierarchy(bare)


@pytest.mark.parametrize(
    "levels, code, words",
    [
        ([["região"]], "hierarchy.column_unknown", ("região", "region, store")),
        ([["region"], ["region"]], "hierarchy.level_twice", ("region",)),
        ([["region", "store"], ["store", "region"]], "hierarchy.level_twice", ("store/region",)),
        ([["region", "store"]], "hierarchy.nothing", ("region/store", "5")),
        ("região,store", "hierarchy.column_unknown", ("região", "region, store")),
        ("region,,store", "hierarchy.levels", ("region",)),
        ("", "hierarchy.levels", ("none", "auto")),
        ([], "hierarchy.levels", ("[]",)),
        ([[1]], "hierarchy.levels", ("[1]",)),
        ([[], ["region"], ["store"]], "hierarchy.not_nested", ("store=1", "region=Norte", "region=Sul", "crossed")),
    ],
)
def test_invalid_levels(levels, code, words):
    with refused(code, *words):
        hierarchy(panel_of_stores(stores()), levels)


@pytest.mark.parametrize(
    "wish, sums",
    [
        ("all", ("Total",)),
        ("region", ("Total", "region=Norte", "region=Sul")),
        ("region,store", ("Total", "region=Norte", "region=Sul")),
        (["region", "store"], ("Total", "region=Norte", "region=Sul")),
        ("store, region", ("Total", "store=1", "store=2", "store=3", "store=4")),
    ],
)
def test_levels_given_as_words(wish, sums):
    found = hierarchy(panel_of_stores(stores()), wish)
    assert found.sums == sums and found.dropped == {}


def test_options_are_checked():
    assert not HierarchySpec().wanted
    assert HierarchySpec("auto").wanted
    with refused("hierarchy.option", "ends", "refuse | zero | cut"):
        HierarchySpec("auto", ends="drop")
    with refused("hierarchy.option", "missing", "keep | zero"):
        HierarchySpec("auto", missing="fill")


def test_one_series():
    frame = stores()
    with refused("hierarchy.one_series", "Sul/1"):
        hierarchy(panel_of_stores(frame[(frame["region"] == "Sul") & (frame["store"] == "1")]))


def test_a_series_named_like_a_sum():
    frame = pd.DataFrame(
        {"day": pd.date_range("2024-01-01", periods=9).repeat(2), "shop": ["a", "Total"] * 9, "sold": 1.0}
    )
    with refused("hierarchy.clash", "Total"):
        hierarchy(make_panel(frame, date="day", target="sold", series="shop"))


def test_data_that_hold_their_total_already():
    frame = stores()
    whole = (
        frame.groupby("day", as_index=False)["sold"]
        .sum()
        .assign(region="Brasil", store="0", holiday=0.0, price=1.0, rain=0.0)
    )
    panel = panel_of_stores(pd.concat([frame, whole]))
    with refused("hierarchy.already_total", "Brasil/0"):
        add_totals(panel, hierarchy(panel))


def test_levels_that_repeat_another_are_left_out():
    frame = stores()
    panel = panel_of_stores(frame[frame["store"].isin(["2", "4"])])
    found = hierarchy(panel)
    assert list(found.tags) == ["Total", "region/store"]
    assert found.dropped == {"region": "region/store"}


def test_a_series_that_ends_early_is_named():
    frame = stores()
    late = frame[~((frame["store"] == "3") & (frame["day"] > "2024-04-20"))]
    panel = panel_of_stores(late)
    with refused("hierarchy.ends", "Sul/3", "2024-04-20", "2024-04-29", "zero", "cut"):
        add_totals(panel, hierarchy(panel))


def test_a_series_that_closed_counts_as_zero():
    frame = stores()
    panel = panel_of_stores(frame[~((frame["store"] == "3") & (frame["day"] > "2024-04-20"))])
    full = add_totals(panel, hierarchy(panel), ends="zero")
    table = wide(full)
    assert (table.loc["2024-04-21":, "Sul/3"] == 0).all() and len(table.loc["2024-04-21":]) == 9
    assert (table["region=Sul"] == table[["Sul/1", "Sul/3", "Sul/4"]].sum(axis=1)).all()
    assert len(full.notes["closed"]) == 9
    assert full.frame.groupby("unique_id")["ds"].max().nunique() == 1
    assert full.frame.loc[full.frame["unique_id"] == "Sul/3", ["price", "holiday", "region"]].notna().all(axis=None)


def test_series_cut_to_a_common_end():
    frame = stores()
    panel = panel_of_stores(frame[~((frame["store"] == "3") & (frame["day"] > "2024-04-20"))])
    full = add_totals(panel, hierarchy(panel, HierarchySpec("auto", ends="cut")))
    assert str(full.frame["ds"].max().date()) == "2024-04-20"
    assert len(full.notes["cut"]) == 9 * 4
    assert full.future.groupby("unique_id").size()["Sul/1"] == 9  # what was known of the days that were cut is kept
    old = panel.with_frame(panel.frame[(panel.frame["unique_id"] != "Sul/3") | (panel.frame["ds"] < "2024-02-01")])
    young = old.with_frame(old.frame[(old.frame["unique_id"] != "Sul/4") | (old.frame["ds"] > "2024-03-01")])
    with refused("hierarchy.cut", "Sul/4", "2024-01-31"):
        align_ends(young, "cut")


def test_stamps_may_be_whole_numbers():
    frame = pd.DataFrame(
        {"n": np.tile(np.arange(50), 3), "shop": np.repeat(["a", "b", "c"], 50), "sold": np.arange(150.0)}
    )
    panel = make_panel(frame[(frame["shop"] != "b") | (frame["n"] < 45)], date="n", target="sold", series="shop")
    table = wide(add_totals(panel, hierarchy(panel), ends="zero"))
    assert table.loc[45:, "b"].tolist() == [0.0] * 5
    assert (table["Total"] == table[["a", "b", "c"]].sum(axis=1)).all()


def test_closed_series_keep_known_future_values():
    frame = stores()
    frame.loc[(frame["store"] == "3") & (frame["day"] > "2024-04-20"), "sold"] = np.nan
    frame.loc[(frame["store"] == "3") & (frame["day"] > "2024-04-20"), "price"] = 99.0
    panel = panel_of_stores(frame)
    assert panel.future is not None
    full = add_totals(panel, hierarchy(panel), ends="zero")
    assert (full.frame.query("unique_id == 'Sul/3' and ds > '2024-04-20'")["price"] == 99.0).all()
    assert "Sul/3" not in set(full.future["unique_id"])


def test_series_that_start_late_are_noted():
    frame = stores()
    panel = panel_of_stores(frame[~((frame["store"] == "4") & (frame["day"] < "2024-02-01"))])
    full = add_totals(panel, hierarchy(panel))
    table = wide(full)
    assert full.notes["late"]["unique_id"].tolist() == ["Sul/4"]
    assert table["region=Sul"].iloc[0] == table["Sul/1"].iloc[0] + table["Sul/3"].iloc[0]
    assert table["region=Sul"].iloc[-1] == table[["Sul/1", "Sul/3", "Sul/4"]].iloc[-1].sum()


def test_a_value_that_is_missing_is_missing_in_its_sums():
    frame = stores()
    gap = (frame["region"] == "Sul") & (frame["store"] == "1") & (frame["day"] == "2024-02-10")
    for holed in (frame.assign(sold=frame["sold"].mask(gap)), frame[~gap]):  # an empty cell and a missing row
        panel = panel_of_stores(holed)
        table = wide(add_totals(panel, hierarchy(panel)))
        row = table.loc["2024-02-10"]
        assert row[["Sul/1", "region=Sul", "Total"]].isna().all() and row[["region=Norte", "Sul/3"]].notna().all()
        assert table["Total"].isna().sum() == 1
        filled = add_totals(panel, hierarchy(panel), missing="zero")
        assert wide(filled).loc["2024-02-10", "Sul/1"] == 0 and wide(filled).notna().all(axis=None)
        assert filled.notes["zeroed"]["unique_id"].tolist() == ["Sul/1"]


def test_sums_of_nothing_but_gaps():
    frame = stores()
    day = (frame["day"] - frame["day"].min()).dt.days
    holes = (day % 3 == 0) & (frame["store"] == "1") | (day % 3 == 1) & (frame["store"] == "4")
    holes &= day.between(1, 118)
    panel = panel_of_stores(frame.assign(sold=frame["sold"].mask(holes)))
    with refused("hierarchy.gaps", "Total", "zero"):
        add_totals(panel, hierarchy(panel, [[]]))


def test_first_values_of_a_sum_are_observed():
    frame = stores()
    first = frame["day"] == frame["day"].min()
    panel = panel_of_stores(
        frame.assign(sold=frame["sold"].mask(first & (frame["region"] == "Norte") & (frame["store"] == "1")))
    )
    full = add_totals(panel, hierarchy(panel))
    assert full.frame.groupby("unique_id")["y"].first().notna().all()


def test_parts_on_other_days():
    frame = pd.concat(
        [
            pd.DataFrame(
                {"day": pd.date_range(start, periods=40, freq="2D"), "shop": shop, "sold": 1.0 + np.arange(40)}
            )
            for shop, start in (("a", "2024-01-01"), ("b", "2024-01-01"), ("c", "2024-01-02"))
        ]
    )
    panel = make_panel(frame, date="day", target="sold", series="shop", freq="2D")
    with refused("hierarchy.grid", "Total", "2024-01-02", "2D"):
        add_totals(panel, hierarchy(panel), ends="zero")
    with refused("hierarchy.cut", "'c'"):
        add_totals(panel, hierarchy(panel), ends="cut")


def test_covariates_of_sums():
    frame = stores()
    first = frame[frame["day"] < frame["day"].min() + pd.Timedelta("14D")]
    ahead = first.assign(day=first["day"] + pd.Timedelta("120D"), sold=np.nan, rain=np.nan)
    panel = panel_of_stores(pd.concat([frame, ahead]))
    full = add_totals(panel, hierarchy(panel))
    rows = full.frame[full.frame["ds"] == "2024-02-11"].set_index("unique_id")
    assert rows.loc["Total", "holiday"] == 1.0 and rows.loc["Total", "price"] == 4.0
    assert rows.loc["region=Norte", "price"] == 2.5
    assert rows.loc["Total", "rain"] == pytest.approx(rows.loc[[f"{a}/{b}" for a, b in STORES], "rain"].mean())
    assert rows.loc["region=Sul", "region"] == "Sul" and pd.isna(rows.loc["region=Sul", "store"])
    assert full.notes["averaged"]["column"].unique().tolist() == ["price"]
    assert full.future.groupby("unique_id").size().to_dict() == dict.fromkeys(full.ids, 14)
    assert (full.future.query("unique_id == 'Total'")["price"] == 4.0).all()


def test_text_covariates_of_sums():
    frame = stores().assign(promo=lambda rows: np.where(rows["store"] == "2", "yes", "no"))
    panel = make_panel(frame, date="day", target="sold", series=("region", "store"), roles={"promo": "known_future"})
    full = add_totals(panel, hierarchy(panel, [[]]))
    assert (full.frame.query("unique_id == 'Total'")["promo"] == "no").all()
    assert full.notes["averaged"]["column"].tolist() == ["promo"]


def test_series_that_the_hierarchy_does_not_know():
    panel = panel_of_stores(stores())
    found = hierarchy(panel)
    with refused("hierarchy.series_gone", "Sul/4"):
        add_totals(panel.with_frame(panel.frame[panel.frame["unique_id"] != "Sul/4"]), found)
    smaller = hierarchy(panel.with_frame(panel.frame[panel.frame["unique_id"] != "Sul/4"]))
    with refused("hierarchy.series_new", "Sul/4"):
        add_totals(panel, smaller)


def test_a_panel_with_sums_obeys_the_contract():
    frame = stores()
    panel = panel_of_stores(frame[~((frame["store"] == "4") & (frame["day"] < "2024-02-01"))])
    full = add_totals(panel, hierarchy(panel))
    order = full.frame.sort_values(["unique_id", "ds"], ignore_index=True)
    pd.testing.assert_frame_equal(full.frame, order)
    assert not full.frame.duplicated(["unique_id", "ds"]).any()
    assert complete(full) is full
    kept = full.frame[full.frame["unique_id"].isin(panel.ids)].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept[["unique_id", "ds", "y"]], panel.frame[["unique_id", "ds", "y"]])
