"""JupyterLab: the same login, one's own folder, not for viewers."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import nbformat
import pytest
from pages_models import account
from pages_site import PATIENCE, Site, Visit, json_of, run_cells, wait_for
from samples import ROOT
from service import free_port

from vur.dashboards.sockets import ENDED

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def lab(site: Site) -> Iterator[str]:
    """The address of `vur lab` on the data home of the site."""
    import os

    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VUR_")}
    environment |= {"VUR_HOME": str(site.home), "VUR_SERVICE_URL": site.service, "PYTHONPATH": str(ROOT)}
    with open(site.home / "lab.log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "vur.cli", "lab", "--port", str(port)],
            env=environment, cwd=site.home, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    wait_for(f"http://127.0.0.1:{port}/login")
    yield f"http://127.0.0.1:{port}"
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def test_strangers_see_the_login_only(lab: str) -> None:
    with httpx.Client(base_url=lab) as stranger:
        assert "/login" in stranger.get("/lab").headers["location"]
        for address in ("/api/contents", "/api/kernels", "/api/terminals"):
            assert stranger.get(address).status_code == 403, address
        assert stranger.get("/vur/session").status_code == 401


def test_one_login_opens_the_own_folder(visit: Visit, site: Site, lab: str) -> None:
    tab = visit("dashboard", "ana")
    user = site.api("ana").get("/auth/me").json()["id"]
    tab.goto("about:blank")
    answer = tab.context.request.get(f"{lab}/", max_redirects=5)
    assert answer.ok and f"/lab/workspaces/{user}/tree/{user}" in answer.url, "a layout of one's own, too"
    listed = tab.context.request.get(f"{lab}/api/contents/{user}").json()
    assert "tutorials" in [one["name"] for one in listed["content"]]
    lessons = tab.context.request.get(f"{lab}/api/contents/{user}/tutorials").json()["content"]
    assert "1_from_file_to_forecast.ipynb" in [one["name"] for one in lessons]
    assert (site.home / "lab" / user).stat().st_mode & 0o077 == 0


def test_a_pipeline_is_opened_as_a_notebook_in_the_own_folder(visit: Visit, site: Site, lab: str) -> None:
    with site.api("ana") as api, (ROOT / "data" / "partidas_diarias.csv").open("rb") as file:
        dataset = api.post("/datasets/upload", files={"file": ("partidas.csv", file)}).json()["dataset_id"]
        id = api.post("/pipelines", json={"name": "Ida/volta", "dataset_id": dataset}).json()["pipeline_id"]
    tab = visit("dashboard", "ana")
    user = site.api("ana").get("/auth/me").json()["id"]
    for _ in range(2):  # an equal notebook is not put there twice
        answer = tab.context.request.get(f"{lab}/vur/home?pipeline={id}", max_redirects=5)
        assert answer.ok and f"/lab/workspaces/{user}/tree/{user}/Ida_volta.ipynb" in answer.url
    found = sorted(path.name for path in (site.home / "lab" / user).glob("Ida*.ipynb"))
    assert found == ["Ida_volta.ipynb"]
    assert nbformat.read(site.home / "lab" / user / found[0], 4)["cells"]
    other = visit("dashboard", "bia")
    assert other.context.request.get(f"{lab}/vur/home?pipeline={id}").status == 404


def test_a_cell_opens_the_wizard_as_oneself(visit: Visit, site: Site, lab: str) -> None:
    tab = visit("dashboard", "ana")
    user = site.api("ana").get("/auth/me").json()["id"]
    assert tab.context.request.get(f"{lab}/", max_redirects=5).ok  # makes the folder
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cell = nbformat.v4.new_code_cell("import vur\n\nvur.widgets.wizard()")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=kernel), site.home / "lab" / user / "wizard.ipynb")
    page = tab.context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{lab}/lab/tree/{user}/wizard.ipynb?reset")
    run_cells(page)
    page.wait_for_selector("body[data-vur-started=true]", state="attached")
    assert page.locator(".v-is-heading .v-title").inner_text() == "Pipeline"
    page.get_by_label("Choose a file").wait_for(state="attached")


def test_a_kernels_socket_ends_with_the_login(visit: Visit, site: Site, lab: str) -> None:
    account(site, "lara")
    tab = visit("dashboard", "lara")
    page = tab.context.new_page()
    page.goto(f"{lab}/logout")  # any small page of that server
    kernel = page.evaluate(
        """async () => {
        const token = (document.cookie.match(/(?:^|; )_xsrf=([^;]*)/) || [])[1];
        const headers = { "X-XSRFToken": token };
        const made = await fetch("/api/kernels", { method: "POST", body: "{}", headers });
        const { id } = await made.json();
        const socket = new WebSocket(`ws://${location.host}/api/kernels/${id}/channels`);
        socket.onclose = (event) => { document.body.dataset.closed = event.code; };
        await new Promise((resolve) => { socket.onopen = resolve; });
        return id;
    }"""
    )
    assert len(kernel) == 36
    with site.api("lara") as api:
        browser = next(one for one in api.get("/auth/sessions").json()["items"] if not one["current"])
        api.delete(f"/auth/sessions/{browser['id']}").raise_for_status()
    page.wait_for_selector(f"body[data-closed='{ENDED}']", timeout=PATIENCE)


def test_a_viewer_gets_no_kernel(visit: Visit, lab: str) -> None:
    tab = visit("dashboard", "vera", language="pt-BR")
    refused = tab.context.request.get(f"{lab}/", max_redirects=5)
    assert refused.status == 403 and "analistas" in refused.text()
    for address in ("/lab", "/lab/tree/x", "/lab/api/workspaces", "/api/contents", "/api/kernels", "/api/terminals"):
        assert tab.context.request.get(lab + address).status == 403, address
    assert json_of(tab, "/vur/session")[1]["role"] == "viewer"
