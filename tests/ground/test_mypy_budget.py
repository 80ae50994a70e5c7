"""The budget of type errors: none in hand-written code, a falling number in generated code."""

import json

from mypy_budget import BUDGET, generated, verdict
from samples import ROOT

GENERATED, BY_HAND = "vur/panel.py:3: error: Wrong  [misc]", "vur/text.py:9: error: Wrong  [misc]"


def test_only_generated_packages_have_a_budget() -> None:
    for name in json.loads(BUDGET.read_text(encoding="utf-8")):
        single, package = ROOT / "vur" / f"{name}.py", ROOT / "vur" / name
        paths = (
            [single]
            if single.is_file()
            else [path for path in package.rglob("*.py") if path.read_text(encoding="utf-8")]
        )
        assert paths and any(generated(str(path.relative_to(ROOT))) for path in paths)


def test_an_error_in_hand_written_code_is_refused() -> None:
    assert verdict("", {}) == ([], {})
    broken, _ = verdict(f"{BY_HAND}\n", {"text": 5})
    assert broken[0] == BY_HAND and "1 found" in broken[1]


def test_generated_code_may_use_its_budget_and_no_more() -> None:
    assert verdict(GENERATED, {"panel": 1}) == ([], {"panel": 1})
    broken, _ = verdict(f"{GENERATED}\n{GENERATED}", {"panel": 1})
    assert broken[0] == GENERATED and "2 errors, 1 allowed" in broken[-1]


def test_the_budget_falls_with_the_errors() -> None:
    assert verdict(GENERATED, {"panel": 4, "stages": 2}) == ([], {"panel": 1})
