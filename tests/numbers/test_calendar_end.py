"""A training whose forecast would pass the end of the calendar is refused before any model is fitted."""

import pandas as pd
import pytest

import vur
from vur.errors import VurError


def test_a_training_past_the_calendar_names_the_greatest_horizon():
    data = pd.DataFrame({"month": pd.date_range("2256-01-01", "2261-12-01", freq="MS"), "v": 1.0})
    data["v"] += data.index % 5
    with pytest.raises(VurError) as caught:
        vur.run(data, date="month", target="v", horizon=5, notebook=False)
    assert (caught.value.code, caught.value.data["field"], caught.value.data["most"]) == (
        "predictions.calendar",
        "horizon",
        4,
    )
