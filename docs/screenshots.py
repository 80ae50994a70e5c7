"""Take the pictures of the pages in docs/images/pages: each in both languages, light and dark, wide and narrow.

`python docs/screenshots.py` starts a VUR of its own with sample data and takes minutes. Then look at every picture.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "dashboards"), str(ROOT)]
from pages_site import ARGUMENTS, CHROMIUM, Site, log_in, ready, start_site, stop_site  # noqa: E402

from vur.dashboards.shell import ENTRIES  # noqa: E402

IMAGES = ROOT / "docs" / "images" / "pages"
LOOKS = [(1280, "light", "en"), (1280, "dark", "pt-BR"), (390, "light", "pt-BR"), (390, "dark", "en")]
SAMPLES = {
    "flights_daily.csv": {"algorithm": "auto", "horizon": 28},
    "partidas_diarias.csv": {"algorithm": "theta", "horizon": 28},
    "electrical_equipment.csv": {"algorithm": "ets", "horizon": 12},
}


def fill(site: Site) -> dict[str, str]:
    """Datasets, promoted models, forecasts with actual values; the query of each page."""
    with site.api("ana") as api:
        for name, body in SAMPLES.items():
            file = {"file": (name, (ROOT / "data" / name).read_bytes())}
            dataset = api.post("/datasets/upload", files=file).raise_for_status().json()["dataset_id"]
            started = api.post("/models/train", json={"dataset_id": dataset, **body}).raise_for_status().json()
            model = started["model_id"]
            wait(api, model)
            api.post(f"/models/{model}/promote").raise_for_status()
            api.post(f"/models/{model}/predict", json={}).raise_for_status()
        pipeline = api.post("/pipelines", json={"dataset_id": dataset, "name": "Electrical equipment"})
    return {"forecasts": f"?model={model}", "pipeline": f"?id={pipeline.json()['pipeline_id']}&step=split"}


def wait(api: Any, model: str) -> None:
    """Wait for the end of a training."""
    while (state := api.get(f"/models/{model}/training/status").json()["status"]) in ("queued", "training"):
        time.sleep(1)
    assert state == "trained", model


def take(browser: Any, site: Site, queries: dict[str, str], width: int, theme: str, language: str) -> None:
    """Take every page in one look."""
    with site.api("ana") as api:
        api.put("/auth/profile", json={"language": language}).raise_for_status()
    context = browser.new_context(
        base_url=site.pages, viewport={"width": width, "height": 900}, locale=language, color_scheme=theme
    )
    tab = context.new_page()
    tab.set_default_timeout(60_000)
    tab.goto("/login")
    tab.screenshot(path=IMAGES / f"login-{width}-{theme}-{language}.png")
    log_in(tab, "ana")
    ready(tab)
    for entry in ENTRIES:
        tab.goto(f"/{entry.name}{queries.get(entry.name, '')}")
        ready(tab)
        tab.wait_for_function("() => !document.querySelector('.v-panel.v-waiting:not([hidden])')")
        tab.wait_for_function("() => [...document.querySelectorAll('.v-chart-box')].every((one) => one.dataset.drawn)")
        tab.screenshot(path=IMAGES / f"{entry.name}-{width}-{theme}-{language}.png", full_page=True)
    context.close()


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
        queries = fill(site)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            for look in LOOKS:
                take(browser, site, queries, *look)
            browser.close()
        shrink()
    finally:
        stop_site(site)


if __name__ == "__main__":
    main()
