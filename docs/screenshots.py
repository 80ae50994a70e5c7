"""Take the pictures of the pages in docs/images/pages: each in both languages, light and dark, wide and narrow.

`python docs/screenshots.py` starts a VUR of its own with sample data and takes minutes. Then look at every picture.
What axe-core finds on each page is written to reports/accessibility.md.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "dashboards"), str(ROOT)]
from pages_axe import examined  # noqa: E402
from pages_site import ARGUMENTS, CHROMIUM, Site, log_in, ready, start_site, stop_site  # noqa: E402

from vur.dashboards.shell import ENTRIES  # noqa: E402

IMAGES, REPORT = ROOT / "docs" / "images" / "pages", ROOT / "reports" / "accessibility.md"
LOOKS = [(1280, "light", "en"), (1280, "dark", "pt-BR"), (390, "light", "pt-BR"), (390, "dark", "en")]
SAMPLES = {
    "flights_daily.csv": {"algorithm": "auto", "horizon": 28},
    "partidas_diarias.csv": {"algorithm": "theta", "horizon": 28},
    "electrical_equipment.csv": {"algorithm": "ets", "horizon": 12},
}
STEPS = ("upload", "preview", "split", "preprocessing", "features", "model", "training")
Found = dict[tuple[str, str], dict[str, Any]]  # axe's results by page and look


def fill(site: Site) -> dict[str, str]:
    """Datasets, promoted models, forecasts, a pipeline that has run; the address of each page to show."""
    with site.api("ana") as api:
        for name, body in SAMPLES.items():
            file = {"file": (name, (ROOT / "data" / name).read_bytes())}
            dataset = api.post("/datasets/upload", files=file).raise_for_status().json()["dataset_id"]
            started = api.post("/models/train", json={"dataset_id": dataset, **body}).raise_for_status().json()
            model = started["model_id"]
            wait(api, model)
            api.post(f"/models/{model}/promote").raise_for_status()
            api.post(f"/models/{model}/predict", json={}).raise_for_status()
        new = {"dataset_id": dataset, "name": "Electrical equipment"}
        pipeline = api.post("/pipelines", json=new).raise_for_status().json()["pipeline_id"]
        for step in STEPS[1:]:
            given = {"data": {"algorithms": ["auto"]} if step == "model" else {}}
            api.put(f"/pipelines/{pipeline}/steps/{step}", json=given).raise_for_status()
        run = api.post(f"/pipelines/{pipeline}/models", json={}).raise_for_status().json()["model_id"]
        api.post(f"/models/{run}/train", json={}).raise_for_status()
        wait(api, run)
        link = api.post(f"/models/{model}/publications", json={"days": 30}).raise_for_status().json()["path"]
        machine = ranked(api)
    pages = {entry.name: f"/{entry.name}" for entry in ENTRIES}
    pages |= {f"machines-{tab}": f"/machines?machine={machine}&tab={tab}" for tab in ("effects", "what_if", "history")}
    pages |= {f"pipeline-{name}": f"/pipeline?id={pipeline}&step={name}" for name in STEPS}
    return pages | {
        "forecasts": f"/forecasts?model={model}",
        "machines": f"/machines?machine={machine}",
        "published": link,
    }


def ranked(api: Any) -> int:
    """A machine that was trained twice on a simulated plant; its number."""
    from vur.ranking.plants import simulate_plant

    id = api.post("/machines", json={"machine_name": "Extrusora 3"}).raise_for_status().json()["id"]
    for rows in (700, 900):
        content = simulate_plant("recipes", 1, rows=rows, variables=12).frame.to_csv(index=False).encode()
        sent = api.post(
            f"/machines/{id}/trainings", files={"file": ("plant.csv", content)}, data={"target": "production"}
        )
        at = f"/machines/{id}/trainings/{sent.raise_for_status().json()['training']}"
        while (state := api.get(at).json()["state"]) in ("queued", "training"):
            time.sleep(1)
        assert state == "finished", at
    return id


def wait(api: Any, model: str) -> None:
    """Wait for the end of a training."""
    while (state := api.get(f"/models/{model}/training/status").json()["status"]) in ("queued", "training"):
        time.sleep(1)
    assert state == "trained", model


def take(browser: Any, site: Site, pages: dict[str, str], width: int, theme: str, language: str) -> Found:
    """Take every page in one look; what axe found on each."""
    with site.api("ana") as api:
        api.put("/auth/profile", json={"language": language}).raise_for_status()
    context = browser.new_context(
        base_url=site.pages, viewport={"width": width, "height": 900}, locale=language, color_scheme=theme
    )
    tab = context.new_page()
    tab.set_default_timeout(60_000)
    look, found = f"{width}-{theme}-{language}", {}
    tab.goto("/login")
    tab.screenshot(path=IMAGES / f"login-{look}.png")
    found["login", look] = examined(tab)
    log_in(tab, "ana")
    ready(tab)
    for name, address in pages.items():
        tab.goto(address)
        if name != "published":
            ready(tab)
            tab.wait_for_function("() => !document.querySelector('.v-panel.v-waiting:not([hidden])')")
        tab.wait_for_function("() => [...document.querySelectorAll('.v-chart-box')].every((one) => one.dataset.drawn)")
        tall = tab.evaluate("document.documentElement.scrollHeight")
        tab.set_viewport_size(
            {"width": width, "height": max(900, tall)}
        )  # the navigation stands at the window's height
        tab.screenshot(path=IMAGES / f"{name}-{look}.png", full_page=True)
        tab.set_viewport_size({"width": width, "height": 900})
        found[name, look] = examined(tab)
    context.close()
    return found


def report(found: Found) -> str:
    """Axe's results as a table, and every violation with the element it stumbled over."""
    rows, details = [], []
    for (page, look), one in found.items():
        impacts = [rule["impact"] for rule in one["violations"]]
        counts = [sum(impact == grade for impact in impacts) for grade in ("critical", "serious", "moderate", "minor")]
        rows.append(f"| {page} | {look} | {len(one['passes'])} | {' | '.join(map(str, counts))} |")
        details += [
            f"- {page}, {look}: {rule['id']} ({rule['impact']}): {rule['help']}: `{rule['nodes'][0]['html'][:100]}`"
            for rule in one["violations"]
        ]
    version = next(iter(found.values()))["testEngine"]["version"]
    head = [
        "# Accessibility",
        "",
        f"Rules of axe-core {version} in Chromium on every page, by `python docs/screenshots.py`.",
        "",
        "| page | look | rules passed | critical | serious | moderate | minor |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows, "", "## Violations", "", *(details or ["None."]), ""])


def shrink() -> None:
    """Store the pictures with 256 colours, which is a third of their size."""
    from PIL import Image

    for path in IMAGES.glob("*.png"):
        Image.open(path).convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
            path, optimize=True
        )


def main() -> None:
    """Take all pictures."""
    from playwright.sync_api import sync_playwright

    IMAGES.mkdir(parents=True, exist_ok=True)
    site = start_site(Path(tempfile.mkdtemp(prefix="vur-pictures-")))
    try:
        pages, found = fill(site), {}
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            for look in LOOKS:
                found |= take(browser, site, pages, *look)
            browser.close()
        REPORT.write_text(report(found), encoding="utf-8")
        shrink()
    finally:
        stop_site(site)


if __name__ == "__main__":
    main()
