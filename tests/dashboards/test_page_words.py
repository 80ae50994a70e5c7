"""Values of tables in the pages' sentences."""

from typing import Any

import pytest

from vur.dashboards.words import cell


@pytest.mark.parametrize(
    ("value", "portuguese", "english"),
    [
        (100.0, "100", "100"),
        (-1234.5, "\u22121.234,5", "\u22121,234.5"),
        (957.97, "957,97", "957.97"),
        ("2024-01-02T00:00:00", "02/01/2024", "2 Jan 2024"),
        ("2024-01-02 10:30:00", "02/01/2024, 10:30", "2 Jan 2024, 10:30"),
        ("2024-99-99", "2024-99-99", "2024-99-99"),
        ("<b>", "<b>", "<b>"),
        (None, "–", "–"),
    ],
)
def test_cells_are_written_in_the_language_with_all_their_digits(value: Any, portuguese: str, english: str) -> None:
    assert (cell(value, "pt-BR"), cell(value, "en")) == (portuguese, english)
