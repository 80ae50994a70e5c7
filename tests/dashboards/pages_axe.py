"""What axe-core finds on a page, from the wheel `axe-playwright-python`."""

from pathlib import Path
from typing import Any


def axe() -> str:
    """The source of axe-core."""
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def examined(tab: Any) -> dict[str, Any]:
    """Axe's results for the page in a tab: `violations, passes, incomplete`, lists of rules with `impact`, `nodes`."""
    tab.evaluate(axe())
    return tab.evaluate("axe.run(document)")


def serious(tab: Any) -> list[str]:
    """What axe finds that is serious or worse: the rule, and the element it stumbled over."""
    return [
        f"{one['id']}: {one['help']}: {node['html'][:120]} {node.get('failureSummary', '')[:300]}"
        for one in examined(tab)["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"][:3]
    ]
