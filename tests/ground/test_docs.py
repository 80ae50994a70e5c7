"""What a newcomer reads first says what is true: `help(vur)`, README, CONTRIBUTING and the site."""

import re

import vur


def test_help_names_what_a_user_calls_and_no_internals() -> None:
    text = vur.__doc__ or ""
    assert len(text.strip().splitlines()) <= 9
    named = set(re.findall(r"\bvur\.([a-z_]+)", text))
    assert {"run", "forecast", "scenario", "check_new", "update_model"} <= named
    assert named <= set(vur.__all__), "every name in it can be called"
