"""How far a forecast may reach: what is asked, and what the calendar can hold."""

import numpy as np
import pandas as pd
import pytest

from vur.errors import VurError
from vur.frequency import advance, frequency
from vur.models.horizon import LONGEST, asked_horizon, asked_levels, check_calendar


@pytest.mark.parametrize(
    ("alias", "end", "most"),
    [
        ("MS", "2020-12-01", 2896),
        ("YS", "2019-01-01", 243),
        ("QS-JAN", "2009-10-01", 1010),
        ("W-SUN", "2200-01-05", 3248),
        ("D", "2262-01-01", 100),
        ("h", "2262-04-10 00:00", 47),
        ("B", "2262-04-01", 8),
    ],
)
def test_the_greatest_horizon_is_named_and_works(alias, end, most):
    ends, freq = pd.Series([pd.Timestamp(end)] * 2, ["a", "b"]), frequency(alias)
    with pytest.raises(VurError) as caught:
        check_calendar(ends, freq, most + 1)
    assert (caught.value.code, caught.value.data["field"]) == ("predictions.calendar", "horizon")
    assert caught.value.data["most"] == most and str(most) in str(caught.value)
    check_calendar(ends, freq, most)
    stamps = advance(np.repeat(ends.to_numpy()[:1], most), np.arange(1, most + 1), alias)
    assert (np.diff(stamps) > np.timedelta64(0)).all() and str(stamps[-1]) < "2262-04-12"


def test_the_latest_series_and_further_steps_count():
    freq, ends = frequency("D"), pd.to_datetime(pd.Series(["2262-03-01", "2262-04-01"], ["a", "b"]))
    with pytest.raises(VurError, match="at most 10 "):
        check_calendar(ends, freq, 11)
    with pytest.raises(VurError, match="at most 7 "):
        check_calendar(ends, freq, 8, ahead=3)
    with pytest.raises(VurError) as caught:
        check_calendar(pd.Series([pd.Timestamp("2262-04-11")]), freq, 1)
    assert caught.value.code == "predictions.calendar_over"


def test_steps_without_a_calendar_have_no_end():
    check_calendar(pd.Series([10], ["a"]), frequency("1"), LONGEST)


def test_none_is_as_trained_and_nothing_else_is():
    assert asked_horizon(None, {"horizon": 12}) == 12 and asked_horizon(3, {"horizon": 12}) == 3
    for wrong in (0, -1, True, 2.5, LONGEST + 1):
        with pytest.raises(VurError) as caught:
            asked_horizon(wrong, {"horizon": 12})
        assert caught.value.data["field"] == "horizon"
    assert asked_levels(None, [80, 95]) == (80, 95) and asked_levels([], [80, 95]) == ()
    assert asked_levels([95, 50, 95], [80]) == (50, 95)
