"""Models with a past for the pages: trained by the service of a test's site, with forecasts that met actual values."""

import time
from datetime import date, timedelta
from typing import Any

from pages_site import Site, email
from service import PASSWORD

DAYS = 70
FIRST = date(2024, 1, 1)


def account(site: Site, name: str, role: str = "analyst") -> str:
    """A user of one test module, whom no other module gives anything; its name."""
    with site.api("root") as api:
        new = {"email": email(name), "username": name, "password": PASSWORD, "role": role}
        answer = api.post("/users", json=new)
        assert answer.is_success, answer.text
    return name


def sales(
    days: int = DAYS, factor: float = 1.0, shops: tuple[str, ...] = ("Norte", "Sul")
) -> list[tuple[str, str, float]]:
    """Rows of shops with a pattern of a week: day, shop, sold."""
    return [
        (str(FIRST + timedelta(days=day)), shop, round(factor * (100 * (place + 1) + 10 * (day % 7) + day % 3), 2))
        for day in range(days)
        for place, shop in enumerate(shops)
    ]


def csv(rows: list[tuple[str, str, float]]) -> bytes:
    return "\n".join(["day,shop,sold", *(f"{day},{shop},{sold}" for day, shop, sold in rows)]).encode()


def trained(site: Site, person: str, name: str) -> dict[str, Any]:
    """A champion of two shops, trained on 70 days: its `model_id` and `dataset_id`."""
    with site.api(person) as api:
        sent = api.post("/datasets/upload", files={"file": ("sales.csv", csv(sales()))}, data={"name": name})
        sent.raise_for_status()
        dataset = sent.json()["dataset_id"]
        columns = {"date_column": "day", "target_column": "sold", "series_columns": ["shop"]}
        api.put(f"/datasets/{dataset}/config", json=columns).raise_for_status()
        made = api.post("/models/configure", json={"dataset_id": dataset, "algorithm": "drift", "name": name})
        made.raise_for_status()
        model = made.json()["model_id"]
        api.post(f"/models/{model}/train").raise_for_status()
        until = time.monotonic() + 120
        while (told := api.get(f"/models/{model}/training/status").json())["status"] != "trained":
            assert told["status"] in ("queued", "training", "running"), told
            assert time.monotonic() < until, told
            time.sleep(0.3)
        return {"model_id": model, "dataset_id": dataset}


def meet(site: Site, person: str, model: str, factor: float) -> None:
    """Forecast two weeks with a model, and tell what came: the pattern of its training, `factor` times as high."""
    with site.api(person) as api:
        api.post("/predictions/predict", json={"model": model, "horizon": 14}).raise_for_status()
        rows = sales(DAYS + 14, factor)[2 * DAYS :]
        series = {
            shop: {
                "timestamps": [day for day, name, _ in rows if name == shop],
                "values": [y for _, name, y in rows if name == shop],
            }
            for shop in ("Norte", "Sul")
        }
        told = api.post("/predictions/actuals", json={"model": model, "series": series})
        assert told.status_code == 200 and told.json()["points"] == 28, told.text


def worsened(site: Site, person: str, viewer: str, name: str) -> dict[str, Any]:
    """A champion of `person` that got worse after its training, shared with `viewer` to look at."""
    made = trained(site, person, name)
    meet(site, person, made["model_id"], 1.6)
    with site.api(person) as api:
        shared = api.put(f"/shares/model/{made['model_id']}", json={"email": email(viewer), "right": "view"})
        assert shared.is_success, shared.text
    return made


def panel(tab: Any, title: str) -> Any:
    """The visible panel with a title."""
    return tab.locator(".v-panel:visible", has=tab.get_by_role("heading", name=title, exact=True))


def faults(tab: Any) -> list[tuple[str, list[str]]]:
    """What axe finds serious or critical on a page: rule, and the first elements."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(tab).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    return [(one["id"], [node["html"][:120] for node in one["nodes"]][:3]) for one in serious]
