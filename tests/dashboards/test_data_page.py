"""The page of data management, in Chromium over a real service."""

import datetime
import math
import uuid
from pathlib import Path
from typing import Any

import pytest
from pages_axe import serious
from pages_site import Site, Visit, email
from playwright.sync_api import Page, expect
from samples import DATA

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PANEL = ".v-panel:not([hidden])"
MENU = f"{PANEL} .v-dropdown summary"
DRAWN = f"{PANEL} .v-chart-box[data-drawn] svg"


# Sends an event to every panel of the page, as a hostile browser can; returns the errors of the `doors` that it has.
FORGED = """async ([kernel, event, doors]) => new Promise((resolve) => {
    const socket = new WebSocket(`ws://${location.host}/api/kernels/${kernel}/channels`);
    const date = new Date().toISOString(), errors = [];
    const ask = (type, content) => socket.send(JSON.stringify({
        header: { msg_id: Math.random().toString(36), username: "", session: "s", msg_type: type, version: "5.3",
            date }, parent_header: {}, metadata: {}, content, channel: "shell", buffers: [] }));
    socket.onmessage = (one) => {
        const message = JSON.parse(one.data);
        if (message.msg_type === "comm_info_reply") {
            Object.keys(message.content.comms).forEach((id) => ask("comm_msg",
                { comm_id: id, data: { method: "custom", content: event } }));
        }
        const answer = message.msg_type === "comm_msg" ? message.content.data?.content : null;
        if (answer?.done === event.id && answer.error && errors.push(answer.error) === doors) resolve(errors);
    };
    socket.onopen = () => ask("comm_info_request", {});
})"""


def series(days: int = 60, first: float = 100.0) -> bytes:
    """A daily series."""
    start = datetime.date(2024, 1, 1)
    lines = [f"{start + datetime.timedelta(day)},{first + day % 7},loja" for day in range(days)]
    return "\n".join(["date,sales,shop", *lines]).encode()


def sent(site: Site, name: str, title: str, content: bytes, to: str | None = None, file: str = "vendas.csv") -> str:
    """Upload a file for a user; the dataset's id."""
    address = f"/datasets/{to}/versions" if to else "/datasets/upload"
    with site.api(name) as api:
        answer = api.post(address, files={"file": (file, content)}, data={} if to else {"name": title})
        answer.raise_for_status()
        return answer.json()["dataset_id"]


def title() -> str:
    """A name that no other test uses."""
    return f"Vendas {uuid.uuid4().hex[:8]}"


def found(tab: Page, name: str) -> Any:
    """The row of a dataset in the list, after a search for it."""
    tab.get_by_role("searchbox").fill(name)
    row = tab.locator(f"{PANEL} tr[data-id]", has_text=name)
    expect(row).to_have_count(1)
    return row


def opened(tab: Page, name: str) -> None:
    """Open a dataset from the list."""
    found(tab, name).get_by_role("button", name=name).click()
    expect(tab.get_by_role("heading", name=name)).to_be_visible()


def view(tab: Page, name: str) -> None:
    """Choose a view of the open dataset."""
    tab.locator(f"[data-tab={name}]").click()
    expect(tab.locator(f"[data-tab={name}]")).to_have_attribute("aria-selected", "true")


def said(tab: Page, text: str) -> None:
    """Wait for a notice."""
    expect(tab.locator(".v-notice", has_text=text).last).to_be_visible()


def test_a_file_is_uploaded_looked_at_and_kept_in_the_address(visit: Visit, tmp_path: Path) -> None:
    tab = visit("data", "ana", language="pt-BR")
    content = (DATA / "partidas_diarias.csv").read_bytes().replace(b";304;", b";muitas;", 1)
    path = tmp_path / f"{title()}.csv"
    path.write_bytes(content)
    tab.set_input_files(f"{PANEL}[data-kind=upload] input[type=file]", path)
    said(tab, f"{path.stem} foi enviado: 1.094 linhas. 1 linha não pôde ser lida.")
    expect(tab.locator("[data-tab=rejects]")).to_have_attribute("aria-selected", "true")
    expect(tab.locator(f"{PANEL} td", has_text="'muitas' não é um número")).to_be_visible()
    view(tab, "rows")
    expect(tab.locator(f"{PANEL} tbody th", has_text="01/01/2013").first).to_be_visible()
    expect(tab.locator(f"{PANEL} td", has_text="2,75").first).to_be_visible()
    tab.get_by_role("button", name="→").click()
    expect(tab.locator(".v-pager:visible")).to_contain_text("2 / 22")
    view(tab, "statistics")
    expect(tab.locator(f"{PANEL} tr", has_text="Temperatura média (°C)")).to_contain_text("número")
    assert serious(tab) == []
    view(tab, "chart")
    expect(tab.locator(DRAWN)).to_be_visible()
    assert serious(tab) == []
    tab.reload()
    expect(tab.locator("[data-tab=chart]")).to_have_attribute("aria-selected", "true")
    expect(tab.get_by_role("heading", name=path.stem)).to_be_visible()
    tab.get_by_role("button", name="Todos os conjuntos").click()
    expect(tab.get_by_role("heading", name="Conjuntos de dados", exact=True)).to_be_visible()
    tab.wait_for_url(lambda url: "dataset=" not in url)


def test_a_wrong_file_is_refused_with_the_cause_and_nothing_is_kept(visit: Visit, site: Site, tmp_path: Path) -> None:
    tab = visit("data", "ana")
    path = tmp_path / f"{title()}.csv"
    path.write_bytes(b"%PDF-1.4 nothing")
    tab.set_input_files(f"{PANEL}[data-kind=upload] input[type=file]", path)
    expect(tab.get_by_role("alert").first).to_contain_text(path.name)
    with site.api("ana") as api:
        assert api.get("/datasets", params={"search": path.stem}).json()["total"] == 0


def test_the_list_is_searched_sorted_and_turned_by_the_service(visit: Visit, site: Site) -> None:
    mark = title()
    for number in range(21):
        sent(site, "bia", f"{mark} {number:02d}", series(40 + number))
    tab = visit("data", "bia")
    tab.get_by_role("searchbox").fill(mark)
    rows = tab.locator(f"{PANEL} tr[data-id]")
    expect(rows).to_have_count(20)
    expect(tab.locator(".v-pager:visible")).to_contain_text("1 / 2")
    tab.get_by_role("button", name="→").click()
    expect(rows).to_have_count(1)
    head = tab.locator(f"{PANEL} th", has_text="Rows")
    for direction in ("ascending", "descending"):
        head.get_by_role("button").click()
        expect(head).to_have_attribute("aria-sort", direction)
    expect(rows.first).to_contain_text(f"{mark} 20")
    assert tab.get_by_role("searchbox").input_value() == mark, "what was typed stays"
    tab.reload()
    expect(rows.first).to_contain_text(f"{mark} 20")
    tab.get_by_role("searchbox").fill("nothing is called so")
    expect(tab.get_by_text("Nothing matches")).to_be_visible()


def test_renaming_deleting_undoing_and_deleting_for_ever(visit: Visit, site: Site) -> None:
    name, other = title(), title()
    id = sent(site, "ana", name, series())
    tab = visit("data", "ana")
    opened(tab, name)
    tab.get_by_role("button", name="Rename").click()
    tab.get_by_label("Name", exact=True).fill(other)
    tab.get_by_role("button", name="Save").click()
    said(tab, f"now called {other}")
    expect(tab.get_by_role("heading", name=other)).to_be_visible()
    tab.get_by_role("button", name="Delete").first.click()
    dialog = tab.get_by_role("dialog")
    expect(dialog).to_contain_text("It can be restored for 30 days")
    dialog.get_by_role("button", name="Cancel").click()
    tab.get_by_role("button", name="Delete").first.click()
    tab.get_by_role("dialog").get_by_role("button", name="Delete").click()
    said(tab, f"{other} was deleted")
    with site.api("ana") as api:
        assert api.get(f"/datasets/{id}").status_code == 404
    tab.locator(".v-notice").get_by_role("button", name="Undo").click()
    said(tab, f"{other} is back")
    found(tab, other).get_by_role("button", name="Delete").click()
    tab.get_by_role("dialog").get_by_role("button", name="Delete").click()
    gone = tab.locator(f"{PANEL} tr[data-id='{id}']")
    expect(gone.get_by_role("button", name="Restore")).to_be_visible()
    gone.get_by_role("button", name="Delete for ever").click()
    tab.get_by_role("dialog").get_by_role("button", name="Delete for ever").click()
    expect(gone).to_have_count(0)
    with site.api("ana") as api:
        assert api.post(f"/datasets/{id}/restore").status_code == 404


def test_two_versions_are_compared_and_the_older_one_is_used(visit: Visit, site: Site) -> None:
    name = title()
    id = sent(site, "ana", name, series(60))
    sent(site, "ana", name, series(62).replace(b"2024-01-11,103.0", b"2024-01-11,999.0"), to=id)
    tab = visit("data", "ana")
    opened(tab, name)
    view(tab, "versions")
    tab.locator(f"{PANEL} tr[data-id='2']").get_by_role("button", name="Compare").click()
    expect(tab.locator("[data-name=added]")).to_contain_text("2")
    expect(tab.locator("[data-name=changed]")).to_contain_text("1")
    expect(tab.locator("[data-name=unchanged]")).to_contain_text("59")
    change = tab.locator(f"{PANEL} tr", has_text="date: 11 Jan 2024")
    expect(change).to_contain_text("103")
    expect(change).to_contain_text("999")
    assert serious(tab) == []
    tab.locator(f"{PANEL} tr[data-id='1']").get_by_role("button", name="Make current").click()
    said(tab, "Version 1 is the current one")
    expect(tab.locator(f"{PANEL} tr[data-id='1']")).to_contain_text("1 · current")
    tab.set_input_files(
        f"{PANEL}[data-kind=upload] input[type=file]",
        {"name": "mais.csv", "mimeType": "text/csv", "buffer": series(63)},
    )
    expect(tab.locator(f"{PANEL} tr[data-id='3']")).to_contain_text("3 · current")
    tab.get_by_role("button", name="Start a pipeline").click()
    tab.wait_for_url(lambda url: "/pipeline?id=" in url)
    with site.api("ana") as api:
        (pipeline,) = api.get(f"/datasets/{id}/usage").json()["used_by_pipelines"]
    assert pipeline["pipeline_id"] in tab.url and pipeline["name"] == name


def test_downloads_come_in_every_format_until_an_administrator_switches_them_off(visit: Visit, site: Site) -> None:
    name = title()
    id = sent(site, "ana", name, series())
    tab = visit("data", "ana")
    opened(tab, name)
    begins = {
        "CSV ,": b"date,sales,shop\n2024-01-01,100.0",
        "CSV ;": "\ufeffdate;sales;shop\n01/01/2024;100,0".encode(),
        "Excel": b"PK",
        "Parquet": b"PAR1",
        "Original file": b"date,sales,shop\n",
    }
    for label, start in begins.items():
        tab.locator(MENU).click()
        with tab.expect_download() as download:
            tab.get_by_role("link", name=label).click()
        assert Path(download.value.path()).read_bytes().startswith(start), label
    admin = visit("data", "root")
    admin.get_by_role("button", name="Switch downloads off").click()
    said(admin, "Downloads are off")
    try:
        assert tab.request.get(f"/vur/api/datasets/{id}/download").status == 403, "an open page is refused too"
        link = tab.context.new_page()
        link.goto(f"/vur/api/datasets/{id}/download")
        expect(link.get_by_role("heading", name="This cannot be opened")).to_be_visible()
        expect(link.get_by_text("An administrator has switched")).to_be_visible()
        link.close()
        tab.reload()
        expect(tab.get_by_text("An administrator has switched downloads off.")).to_be_visible()
        expect(tab.locator(MENU)).to_have_count(0)
        assert admin.request.get(f"/vur/api/datasets/{id}/download").status == 200
    finally:
        admin.get_by_role("button", name="Switch downloads on").click()
        said(admin, "Downloads are on")
    tab.reload()
    expect(tab.locator(MENU)).to_be_visible()


def test_a_dataset_is_shared_changed_and_revoked(visit: Visit, site: Site) -> None:
    name = title()
    id = sent(site, "ana", name, series())
    tab = visit("data", "ana")
    opened(tab, name)
    view(tab, "sharing")
    tab.get_by_label("Name or e-mail address").fill("nobody at all")
    tab.get_by_role("button", name="Share", exact=True).click()
    said(tab, "Enter the whole e-mail address")
    tab.get_by_label("Name or e-mail address").fill(email("vera"))
    tab.get_by_role("button", name="Share", exact=True).click()
    said(tab, f"{email('vera')} may view")
    row = tab.locator(f"{PANEL} tr", has_text=email("vera"))
    expect(row).to_contain_text("view")
    assert serious(tab) == []
    other = visit("data", "vera", language="pt-BR")
    opened(other, name)
    expect(other.locator(f"{PANEL} tr").nth(1)).to_be_visible()
    for label in ("Renomear", "Excluir", "Iniciar um pipeline"):
        expect(other.get_by_role("button", name=label)).to_have_count(0)
    expect(other.locator("[data-tab=sharing]")).to_have_count(0)
    row.get_by_role("button", name="Revoke").click()
    expect(tab.get_by_text("Only you have access.")).to_be_visible()
    other.reload()
    expect(other.locator(".v-notice", has_text=id)).to_be_visible()
    expect(other.get_by_role("heading", name="Conjuntos de dados", exact=True)).to_be_visible()
    expect(other.locator(f"{PANEL} tr", has_text=name)).to_have_count(0)
    with site.api("vera") as api:
        assert api.get(f"/datasets/{id}").status_code == 404


def test_a_viewers_actions_are_refused_in_python_and_by_the_service(visit: Visit, site: Site) -> None:
    name = title()
    id = sent(site, "ana", name, series())
    with site.api("ana") as api:
        api.put(f"/shares/dataset/{id}", json={"email": email("vera"), "right": "edit"}).raise_for_status()
    tab = visit("data", "vera")
    expect(found(tab, name)).to_be_visible()
    expect(tab.locator(f"{PANEL}[data-kind=upload]")).to_have_count(0)
    kernel = tab.evaluate("JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId")
    refusals = tab.evaluate(FORGED, [kernel, {"event": "delete", "values": {"id": id}, "id": 77}, 2])
    assert all("analyst" in one for one in refusals)
    refusals = tab.evaluate(FORGED, [kernel, {"event": "turn", "values": {"downloads": False}, "id": 78}, 1])
    assert all("admin" in one for one in refusals)
    assert tab.request.delete(f"/vur/api/datasets/{id}").status in (401, 403)
    with site.api("ana") as api:
        assert api.get(f"/datasets/{id}").status_code == 200


def test_the_reference_of_an_error_leads_to_its_record(visit: Visit, site: Site) -> None:
    tab = visit("data", "ana")
    kernel = tab.evaluate("JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId")
    event = {
        "event": "between",
        "values": {"old": 1, "new": 2},
        "id": 79,
    }  # no button does that while no dataset is open
    (told,) = tab.evaluate(FORGED, [kernel, event, 1])
    said(tab, told)
    reference = told.removeprefix("Something went wrong here. The server's log has the details under ").rstrip(".")
    assert len(reference) == 8
    printed = (site.home / "up.log").read_text()
    assert f"reference {reference}" in printed and "ValueError: no dataset is open" in printed
    admin = visit(f"monitoring?view=logs&text={reference}", "root")
    row = admin.locator("tbody tr", has_text=reference).first  # each of two open sockets was told
    expect(row).to_contain_text("event between")
    expect(row).to_contain_text("ValueError: no dataset is open")


def test_hundred_thousand_points_are_drawn_and_zoomed_within_few_bytes(visit: Visit, site: Site) -> None:
    start, name = datetime.datetime(2023, 1, 1), title()
    lines = [
        f"{start + datetime.timedelta(minutes=k)},{9999 if k == 54_321 else round(50 * math.sin(k / 700), 2)}"
        for k in range(100_001)
    ]
    id = sent(site, "ana", name, "\n".join(["moment,load", *lines]).encode())
    tab = visit("data", "ana")
    received = []
    tab.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
    tab.goto(f"/data?dataset={id}&tab=chart")
    expect(tab.get_by_text("of 100,001 values drawn")).to_be_visible()
    expect(tab.locator(DRAWN)).to_be_visible()
    tab.wait_for_selector("body[data-vur-started=true]")
    assert 0 < sum(received) < 300_000, sum(received)
    note = tab.locator(f"{PANEL}[data-kind=chart] .v-note")
    before = note.inner_text()
    box = tab.locator(f"{PANEL} .v-chart-box").bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.keyboard.down("Control")
    for _ in range(12):
        tab.mouse.wheel(0, -240)
    tab.keyboard.up("Control")
    expect(note).not_to_have_text(before)
    assert sum(received) < 600_000, "finer points of a part cost no more than the whole"


def test_disk_usage_is_shown_to_each_as_far_as_it_is_theirs(visit: Visit, site: Site) -> None:
    name = title()
    sent(site, "ana", name, series())
    admin = visit("data", "root", width=390, theme="dark", language="pt-BR")
    expect(admin.get_by_role("heading", name="Pasta de dados")).to_be_visible()
    expect(admin.locator(f"{PANEL}[data-kind=bars]", has_text="Por usuário")).to_contain_text(email("ana"))
    tab = visit("data", "ana", width=390)
    expect(tab.get_by_role("heading", name="Disk usage")).to_be_visible()
    expect(tab.get_by_role("heading", name="Data home")).to_have_count(0)
    wide = tab.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390, "nothing sticks out of a telephone's screen"
