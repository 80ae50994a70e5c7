"""Uploads that are large, interrupted, in chunks, over a limit, or hostile."""

import asyncio
import json
import multiprocessing
import os
import signal
import socket
import threading
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
import uvicorn
from sqlalchemy import update
from test_datasets import DATA, PT, both, kind, send, sent, table  # noqa: F401

from vur.errors import VurError
from vur.settings import settings
from vur.store import child_process, database
from vur.store.catalog import Dataset, Upload, User, now
from vur.store.data import upload_stream, uploads
from vur.store.home import folder


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch):
    """Set limits of the settings: `limits(max_upload_bytes=100)`."""

    def change(**values: int) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"VUR_{name.upper()}", str(value))
        settings.cache_clear()

    yield change
    settings.cache_clear()


def nothing_left(person) -> bool:
    """No bytes, no row, no dataset."""
    return (
        list(folder("uploads").glob("*")),
        list(folder("datasets").glob("*")),
        person.get("/datasets").json()["total"],
        person.get("/datasets/uploads").json()["total"],
    ) == ([], [], 0, 0)


def begun(person, content: bytes, name: str = "vendas.csv", **more) -> str:
    """The address of an upload in pieces."""
    answer = person.post("/datasets/uploads", json={"filename": name, "size": len(content), **more})
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/api/v1/datasets/uploads/{answer.json()['upload_id']}"
    return f"/datasets/uploads/{answer.json()['upload_id']}"


def piece(person, url: str, content: bytes, offset: int, **headers):
    """Send a piece."""
    return person.patch(
        url,
        content=content,
        headers={"Upload-Offset": str(offset), "Content-Type": "application/octet-stream", **headers},
    )


def ended(person, url: str) -> dict:
    """How an upload ends."""
    for _ in range(200):
        body = person.get(url).json()
        if body["state"] in ("done", "failed"):
            return body
        time.sleep(0.05)
    raise AssertionError(body)


# --- in pieces ---


@both
def test_a_file_in_chunks_gives_the_same_dataset_as_in_one_request(ana):
    content = (DATA / "flights_daily.csv").read_bytes()
    url = begun(ana, content, "flights_daily.csv")
    for start in range(0, len(content), 10_000):
        body = piece(ana, url, content[start : start + 10_000], start).json()
        assert body["offset"] == min(start + 10_000, len(content))
    done = ended(ana, url)
    assert done["state"] == "done" and done["progress"] == 1
    whole, parts = sent(ana, content, "flights_daily.csv"), ana.get(f"/datasets/{done['dataset_id']}").json()
    assert all(
        whole[name] == parts[name]
        for name in ("fingerprint", "columns", "rows_count", "detected_types", "suggestions", "name", "size")
    )
    assert list(folder("uploads").glob("*")) == []


def test_an_interrupted_upload_resumes(ana):
    content = table()
    url = begun(ana, content)
    piece(ana, url, content[:300], 0)
    wrong = piece(ana, url, content[200:], 200, **PT)
    assert (
        wrong.status_code == 409
        and wrong.json()["values"]["offset"] == 300
        and "Upload-Offset: 300" in wrong.json()["detail"]
    )
    head = ana.head(url)
    assert (
        head.headers["Upload-Offset"] == "300"
        and head.headers["Upload-Length"] == str(len(content))
        and head.content == b""
    )
    assert ana.get(url).json()["progress"] == pytest.approx(300 / len(content))
    assert piece(ana, url, content[300:], 300).status_code == 200
    assert ended(ana, url)["state"] == "done"
    late = piece(ana, url, b"x", len(content))
    assert late.status_code == 409 and late.json()["code"] == "uploads.state"


def test_more_bytes_than_announced_are_rejected_and_the_upload_resumes(ana):
    content = table()
    url = begun(ana, content)
    assert piece(ana, url, content + b"more", 0).json()["code"] == "uploads.longer"
    assert piece(ana, url, content, ana.get(url).json()["offset"]).status_code == 200
    assert ended(ana, url)["state"] == "done"


def test_the_error_of_a_file_is_translated_and_its_bytes_are_deleted(ana):
    url = begun(ana, b"date,sales\n", "só título.csv")
    piece(ana, url, b"date,sales\n", 0)
    failed = ended(ana, url)
    assert (
        failed["state"] == "failed"
        and failed["error"]["code"] == "upload.header_only"
        and "só título.csv has a header" in failed["error"]["detail"]
    )
    assert "só título.csv tem cabeçalho" in ana.get(url, headers=PT).json()["error"]["detail"]
    assert list(folder("uploads").glob("*")) == []
    assert ana.delete(url).status_code == 204 and ana.get(url).status_code == 404


def test_aborting_deletes_the_bytes(ana):
    content = table()
    url = begun(ana, content)
    piece(ana, url, content[:100], 0)
    assert ana.delete(url).status_code == 204 and nothing_left(ana)


@both
def test_another_users_upload_is_hidden(ana, bia, vera):
    content = table()
    url = begun(ana, content)
    assert bia.get("/datasets/uploads").json()["total"] == 0
    assert [
        piece(bia, url, content, 0).status_code,
        bia.get(url).status_code,
        bia.delete(url).status_code,
        bia.head(url).status_code,
    ] == [404] * 4
    assert piece(vera, url, content, 0).status_code == 403
    assert ana.get(url).json()["offset"] == 0


def test_two_requests_cannot_write_one_upload_at_once(ana):
    content = table()
    url = begun(ana, content)
    first = upload_stream.Receiver(url.rsplit("/", 1)[1], 0)
    assert piece(ana, url, content, 0).json()["code"] == "uploads.busy"
    first.close()
    assert piece(ana, url, content, 0).status_code == 200


def test_the_conversion_of_a_dead_process_is_resumed(ana):
    content = table()
    url = begun(ana, content)
    id = url.rsplit("/", 1)[1]
    receiver = upload_stream.Receiver(id, 0)
    receiver.write(content)
    receiver.close()
    with database.writing() as session:
        session.execute(update(Upload).values(state="converting", updated_at=now() - timedelta(minutes=5)))
    assert ended(ana, url)["state"] == "done"


def test_a_running_conversion_is_not_started_twice(ana):
    content = table()
    url = begun(ana, content)
    id = url.rsplit("/", 1)[1]
    assert uploads.claim(id) and not uploads.claim(id)


def test_an_upload_aborted_while_it_is_converted_leaves_nothing(ana, monkeypatch):
    content, read, reached, go = table(), uploads.read_in_child, threading.Event(), threading.Event()

    def slow(*given):
        reached.set()
        go.wait(10)
        return read(*given)

    monkeypatch.setattr(uploads, "read_in_child", slow)
    url = begun(ana, content)
    piece(ana, url, content, 0)
    assert reached.wait(10) and ana.get(url).json()["state"] == "converting"
    kept = upload_stream.file_of(url.rsplit("/", 1)[1]).read_bytes()
    assert ana.delete(url).status_code == 204
    path = upload_stream.file_of(url.rsplit("/", 1)[1])
    path.parent.mkdir(parents=True)
    path.write_bytes(kept)  # the reader had it open
    go.set()
    deadline = time.monotonic() + 10
    while list(folder("datasets").glob("*")) or any(
        thread.name == "upload-convert" for thread in threading.enumerate()
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert ana.get("/datasets").json()["total"] == 0


# --- limits ---


def test_a_file_over_the_limit_is_refused_while_it_streams(ana, limits):
    limits(max_upload_bytes=1000)
    answer = send(ana, table(), headers=PT)
    assert answer.status_code == 413 and answer.json()["code"] == "api.too_large" and "1000" in answer.json()["detail"]
    assert ana.post("/datasets/uploads", json={"filename": "a.csv", "size": 1001}).status_code == 413
    assert nothing_left(ana)


@both
def test_the_quota_applies_to_every_kind_of_upload(ana):
    size = len(table())
    with database.writing() as session:
        session.execute(update(User).values(quota_bytes=2 * size))
    for answer in (
        send(ana, table(500)),
        ana.post("/datasets/uploads", json={"filename": "a.csv", "size": 2 * size + 1}),
    ):
        assert answer.status_code == 413 and answer.json()["code"] == "api.quota", answer.text
    assert nothing_left(ana)
    with database.writing() as session:
        session.execute(update(User).values(quota_bytes=20 * size))
    sent(ana, table())
    begun(ana, b"x" * 10 * size)
    refused = send(ana, b"x" * 8 * size)
    assert refused.status_code == 413, "bytes that were announced are reserved"
    assert ana.get("/datasets").json()["usage"]["remaining_bytes"] < 10 * size


def test_concurrent_uploads_cannot_exceed_the_quota(ana):
    one = sent(ana, table())
    used = ana.get("/datasets").json()["usage"]["total_bytes"]
    with database.writing() as session:
        session.execute(update(User).values(quota_bytes=int(used * 2.5)))
    answers = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(send(ana, table(60 + n)).status_code)) for n in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(201) == 1 and answers.count(413) == 2, answers
    usage = ana.get("/datasets").json()["usage"]
    assert usage["total_bytes"] <= used * 2.5 and usage["datasets"] == 2 and one["dataset_id"]


def test_a_full_disk_is_reported_and_leaves_nothing(ana, monkeypatch):
    import shutil

    real = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real._replace(free=10_000))
    answer = send(ana, table(), headers=PT)
    assert answer.status_code == 507 and "disco" in answer.json()["detail"]
    monkeypatch.undo()


def test_a_decompression_bomb_is_rejected(ana, limits):
    import gzip

    limits(max_unpacked_bytes=100_000)
    body = send(ana, gzip.compress(table(20_000)), "b.csv.gz").json()
    assert body["code"] == "upload.bomb" and nothing_left(ana)
    assert body["values"]["limit_megabytes"] == 0 and "max_" not in body["detail"]


def packed(columns: dict) -> bytes:
    """A Parquet file, packed as well as it can be."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    target = io.BytesIO()
    pq.write_table(pa.table(columns), target, compression="zstd")
    return target.getvalue()


def test_a_parquet_file_of_equal_rows_is_a_decompression_bomb(ana):
    import numpy as np

    rows = 5_000_000
    bomb = packed({"date": np.zeros(rows, "M8[us]"), "sales": np.ones(rows)})
    refused = send(ana, bomb, "b.parquet")
    assert refused.status_code == 400 and refused.json()["code"] == "upload.bomb" and nothing_left(ana)
    assert refused.json()["values"]["ratio"] > 1000 and len(bomb) < 100_000
    text = packed({"date": np.arange(1000), "sales": np.ones(1000), "note": ["x" * 100_000] * 1000})
    assert send(ana, text, "b.parquet").json()["code"] == "upload.bomb" and nothing_left(ana)


def test_a_cell_longer_than_csv_may_have_is_refused_in_every_format(ana, tmp_path):
    import numpy as np
    from openpyxl import Workbook

    long, book = "x" * 131_073, Workbook()
    book.active.append(["date", "sales", "note"])
    for day in range(1, 11):
        book.active.append([day, day, "short"])
        book.active.cell(day + 1, 3)._value = long  # beyond what Excel itself would write
    book.save(tmp_path / "f.xlsx")
    files = {
        "f.csv": "date,sales,note\n" + f"2024-01-01,1,{long}\n" * 10,
        "f.parquet": packed({"date": np.arange(10), "sales": np.ones(10), "note": [long] * 10}),
        "f.xlsx": (tmp_path / "f.xlsx").read_bytes(),
    }
    for name, content in files.items():
        refused = send(ana, content if isinstance(content, bytes) else content.encode(), name)
        assert refused.status_code == 400 and refused.json()["code"] == "upload.long_rows", (name, refused.text[:300])
        assert len(refused.text) < 2000 and nothing_left(ana)
    some = packed({"date": np.arange(10), "sales": np.ones(10), "note": [long, *["short"] * 9]})
    body = sent(ana, some, "f.parquet")
    assert (
        body["rows_count"] == 9 and ana.get(f"/datasets/{body['dataset_id']}/rejects").json()["items"][0]["line"] == 1
    )


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"Content-Type": "text/csv"}, b"a,b", 415),
        ({"Content-Type": "multipart/form-data"}, b"a,b", 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"nothing of the kind", 400),
        (
            {"Content-Type": "multipart/form-data; boundary=x"},
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nd,y\n2024-01-01,1',
            400,
        ),
        (
            {"Content-Type": "multipart/form-data; boundary=x"},
            b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nV\r\n--x--\r\n',
            400,
        ),
        (
            {"Content-Type": "multipart/form-data; boundary=x"},
            b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n' + b"V" * 70_000 + b"\r\n--x--\r\n",
            400,
        ),
        (
            {"Content-Type": "multipart/form-data; boundary=x"},
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nd,y\n2024-01-01,1\r\n' * 2
            + b"--x--\r\n",
            400,
        ),
    ],
)
def test_broken_forms_are_refused_and_leave_nothing(ana, headers, content, status):
    answer = ana.post("/datasets/upload", content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert nothing_left(ana)


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "..\\..\\boot.ini", "a\x1b[31mb.csv", "x" * 3000 + ".csv", "ação 📈.csv", ".csv", "con"],
)
def test_hostile_file_names_stay_names(ana, catalog, name):
    answer = send(ana, table(), name)
    assert answer.status_code == 201
    body = answer.json()
    assert (
        "/" not in body["filename"]
        and "\\" not in body["filename"]
        and "\x1b" not in body["filename"]
        and 0 < len(body["filename"]) <= 255
    )
    assert body["name"] and {path.name.split("-")[0] for path in folder("datasets").iterdir()} >= {"file"}
    ana.get(f"/datasets/{body['dataset_id']}/download").raise_for_status()
    ana.get(f"/datasets/{body['dataset_id']}/download", params={"format": "original"}).raise_for_status()


def test_a_repeated_request_with_an_idempotency_key_adds_one_dataset(ana):
    first, again = (send(ana, table(), headers={"Idempotency-Key": "k-1"}) for _ in range(2))
    assert first.status_code == again.status_code == 201 and first.json()["dataset_id"] == again.json()["dataset_id"]
    assert ana.get("/datasets").json()["total"] == 1


# --- in a process of its own ---


def test_a_file_is_read_in_a_child_that_says_what_is_wrong_with_it(ana, monkeypatch):
    monkeypatch.setattr(uploads, "read_file", None)
    body = sent(ana, table(80).replace(b"2024-01-05,104", b"2024-01-05,muito"))
    assert body["rows_count"] == 79 and body["rejected_rows"] == 1
    refused = send(ana, b"date,sales\n", "só título.csv", headers=PT)
    assert refused.status_code == 400 and "só título.csv tem cabeçalho" in refused.json()["detail"]


def wide(columns: int, cell: str = "", rows: int = 3) -> bytes:
    """A table of equal cells."""
    lines = [",".join(f"c{k}" for k in range(columns)), *[",".join(["2024-01-01", *[cell] * (columns - 1)])] * rows]
    return "\n".join(lines).encode()


def test_a_wide_file_is_read_or_refused_with_its_number_of_columns(ana):
    assert len(sent(ana, wide(250, "1"))["columns"]) == 250
    refused = send(ana, wide(20_000, "1"), "wide.csv")
    assert refused.status_code == 400 and refused.json()["code"] == "upload.too_wide"
    assert refused.json()["values"] == {"file": "wide.csv", "count": 20_000, "most": 5000}
    url = begun(ana, wide(20_000), "wide.csv")
    piece(ana, url, wide(20_000), 0)
    assert ended(ana, url)["error"]["code"] == "upload.too_wide"


def test_a_file_that_takes_too_long_is_refused_and_nothing_goes_on(ana, limits):
    limits(upload_seconds=1)
    slow = wide(4900, "2024-01-01T10:00:00-03:00", rows=8)
    for_request = send(ana, slow, "datas.csv", headers=PT)
    assert for_request.status_code == 400 and for_request.json()["code"] == "upload.slow"
    assert for_request.json()["detail"].startswith("A leitura de datas.csv leva mais de 1 s.")
    url = begun(ana, slow, "datas.csv")
    piece(ana, url, slow, 0)
    assert ended(ana, url)["error"]["code"] == "upload.slow"
    assert multiprocessing.active_children() == [] and list(folder("datasets").glob("*")) == []


def test_a_file_that_takes_too_much_memory_is_refused(ana, limits):
    limits(upload_memory_mb=200)
    refused = send(ana, wide(4900, "1"), "wide.csv")
    assert refused.status_code == 400 and refused.json()["code"] == "upload.memory"
    assert multiprocessing.active_children() == [] and list(folder("datasets").glob("*")) == []
    limits(upload_memory_mb=2048)
    sent(ana, table())


def test_a_large_file_may_take_longer_to_be_read(tmp_path, limits):
    limits(upload_seconds=10)
    path = tmp_path / "file"
    for head, megabytes, seconds in ((b"date", 4, 10), (b"date", 14, 20), (b"\x1f\x8b", 4, 10), (b"PK", 14, 110)):
        path.write_bytes(head)
        os.truncate(path, megabytes * 2**20)
        assert uploads.reading_seconds(path) == seconds


def test_a_request_does_not_wait_for_long_while_other_files_are_read(ana, monkeypatch):
    monkeypatch.setattr(uploads, "PATIENCE", 0.05)
    with ExitStack() as others:
        for user in ("bia", "bia", "caio"):
            others.enter_context(child_process.READING.slot(user))
        refused = send(ana, table())
    assert refused.status_code == 503 and refused.json()["code"] == "api.busy" and refused.headers["Retry-After"]
    assert nothing_left(ana) and sent(ana, table())


def test_one_user_never_holds_all_readers(ana, monkeypatch):
    monkeypatch.setattr(uploads, "PATIENCE", 0.05)
    me = sent(ana, table())["owner_id"]
    with child_process.READING.slot(me), child_process.READING.slot(me):
        assert send(ana, table()).json()["code"] == "api.busy"
        with child_process.READING.slot("another", 0):
            pass
    with child_process.ANALYSES.slot("another"), child_process.ANALYSES.slot("another"):
        assert sent(ana, table())


@pytest.mark.slow
def test_a_signal_to_the_whole_group_leaves_a_conversion_to_the_service():
    assert child_process.call("signal:getsignal", {"signalnum": signal.SIGTERM}, in_child=True) == signal.SIG_IGN


def test_a_crash_of_the_child_does_not_affect_the_service(catalog, monkeypatch):
    assert child_process.call("os:getpid", {}, in_child=True) != os.getpid()
    with pytest.raises(RuntimeError, match="exited with 3"):
        child_process.call("os:_exit", {"status": 3}, in_child=True)
    with pytest.raises(RuntimeError, match="nothing"):
        child_process.call("operator:nothing", {}, in_child=True)
    with pytest.raises(VurError) as refused:
        child_process.call("numpy:ones", {"shape": 2**29}, in_child=True, limits=child_process.Limits(megabytes=500))
    assert refused.value.code == "datasets.memory"
    started = time.monotonic()
    with pytest.raises(TimeoutError, match="0.5 s"):
        child_process.call("signal:pause", {}, in_child=True, limits=child_process.Limits(seconds=0.5))
    assert time.monotonic() - started < 5 and multiprocessing.active_children() == []


def test_the_number_of_requests_waiting_for_heavy_work_is_limited():
    with ExitStack() as waiting:
        for _ in range(8):
            waiting.enter_context(child_process.limited(True))
        with pytest.raises(VurError, match="overloaded"), child_process.limited(True):
            pass
        with child_process.limited(False):
            pass
    with child_process.limited(True):
        pass


# --- a real server: broken connections, memory ---


@pytest.fixture
def server(catalog: Path):
    """The composed application on a real port."""
    from vur.serving.app import create_app
    from vur.serving.middleware.guard import Guard

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = uvicorn.Server(
        uvicorn.Config(Guard(create_app()), port=port, log_level="warning", ws="none", lifespan="off")
    )
    thread = threading.Thread(target=lambda: asyncio.run(running.serve()), daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.02)
    yield port
    running.should_exit = True
    thread.join(10)


def form_head(token: str, length: int) -> bytes:
    """A request whose file is `length` bytes long, up to its first byte."""
    start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="v.csv"\r\n\r\n'
    head = (
        f"POST /api/v1/datasets/upload HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n"
        f"Content-Length: {len(start) + length + len(END)}\r\n\r\n"
    )
    return head.encode() + start


END = b"\r\n--x--\r\n"


def test_a_connection_that_breaks_leaves_nothing_behind(ana, server):
    with socket.create_connection(("127.0.0.1", server)) as wire:
        wire.sendall(form_head(ana.token, 3_000_000) + b"date,sales\n" + b"2024-01-01,1\n" * 100_000)
        deadline = time.monotonic() + 10
        while not list(folder("uploads").glob("*/data")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    deadline = time.monotonic() + 10
    while not nothing_left(ana):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_received_bytes_of_a_broken_connection_are_kept(ana, server):
    content = b"date,sales\n" + b"2024-01-01,1\n" * 300_000
    url = begun(ana, content)
    head = (
        f"PATCH /api/v1{url} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {ana.token}\r\n"
        f"Upload-Offset: 0\r\nContent-Length: {len(content)}\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", server)) as wire:
        wire.sendall(head + content[:2_500_000])
        deadline = time.monotonic() + 10
        while ana.get(url).json()["offset"] < 2 * 2**20:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    time.sleep(0.3)
    offset = ana.get(url).json()["offset"]
    assert 2 * 2**20 <= offset <= 2_500_000
    assert piece(ana, url, content[offset:], offset).status_code == 200
    with database.reading() as session:
        assert session.get(Upload, url.rsplit("/", 1)[1]).received == len(content)


@pytest.mark.slow
def test_the_service_responds_while_a_large_file_is_read(ana, server, monkeypatch):
    import httpx

    monkeypatch.setattr(uploads, "read_file", lambda **order: time.sleep(5) or {}["fingerprint"])
    slow = threading.Thread(target=lambda: send(ana, table()))
    slow.start()
    time.sleep(0.3)
    started = time.monotonic()
    answer = httpx.get(f"http://127.0.0.1:{server}/api/v1/datasets", headers={"Authorization": f"Bearer {ana.token}"})
    assert answer.status_code == 200 and time.monotonic() - started < 4
    slow.join()


def test_an_announced_size_over_the_limit_is_rejected_at_once(ana, server, limits):
    limits(quota_bytes=1000)
    with socket.create_connection(("127.0.0.1", server)) as wire:
        wire.sendall(form_head(ana.token, 5 * 10**9))
        wire.settimeout(10)
        answer = b""
        while b"}" not in answer and (more := wire.recv(65536)):
            answer += more
    answer = answer.decode()
    assert answer.startswith("HTTP/1.1 413") and json.loads(answer.split("\r\n\r\n", 1)[1])["code"] == "api.quota"


def test_a_stalled_connection_is_closed(ana, server, monkeypatch):
    monkeypatch.setattr("vur.serving.middleware.limits.SILENT_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", server)) as wire:
        wire.sendall(form_head(ana.token, 10_000) + b"date,sales\n")
        wire.settimeout(10)
        assert wire.recv(65536).startswith(b"HTTP/1.1 408")
    assert nothing_left(ana)


@pytest.mark.slow
def test_memory_stays_flat_while_a_large_file_streams_in(ana, server, monkeypatch):
    import psutil

    monkeypatch.setattr(uploads, "convert", lambda id, **options: (_ for _ in ()).throw(KeyError("read elsewhere")))
    block, blocks = (b"2024-01-01,1234.5\n" * 60_000)[: 2**20], 400
    with socket.create_connection(("127.0.0.1", server)) as wire:
        wire.sendall(form_head(ana.token, blocks * len(block)))
        before = highest = psutil.Process().memory_info().rss
        for _ in range(blocks):
            wire.sendall(block)
            highest = max(highest, psutil.Process().memory_info().rss)
        wire.sendall(END)
        wire.recv(65536)
    assert highest - before < 60 * 2**20, f"{(highest - before) / 2**20:.0f} MiB for {blocks} MiB"


# --- cleaning up ---


def unexpected(dataset_id: str) -> None:
    """No dataset gets new rows here."""
    raise AssertionError(dataset_id)


@both
def test_a_sweep_deletes_only_the_leftovers_of_dead_processes(ana):
    old = now() - timedelta(days=3)
    content = table()
    living, stale = begun(ana, content), begun(ana, content)
    with database.writing() as session:
        session.execute(update(Upload).where(Upload.id == stale.rsplit("/", 1)[1]).values(updated_at=old))
        session.add(Upload(id="cut-off", owner_id=ana.id, filename="a.csv"))
        session.add(Upload(id="at-it", owner_id=ana.id, filename="a.csv"))
    for id in ("cut-off", "at-it", "lost"):
        (folder("uploads") / id).mkdir(parents=True)
        (folder("uploads") / id / "data").write_bytes(b"half")
    os.utime(folder("uploads") / "lost", (0, 0))
    busy = upload_stream.Receiver("at-it", 4)
    try:
        uploads.sweep(on_new_rows=unexpected)
    finally:
        busy.close()
    assert {path.name for path in folder("uploads").iterdir()} == {"at-it"}
    with database.reading() as session:
        assert {row.id for row in session.query(Upload)} == {living.rsplit("/", 1)[1], "at-it"}


def test_a_sweep_deletes_old_unneeded_originals(ana):
    body = sent(ana, table())
    with database.writing() as session:
        session.delete(session.get(Dataset, body["dataset_id"]))
    kept = next(folder("datasets").glob("file-*"))
    uploads.sweep(on_new_rows=unexpected)
    assert kept.is_dir(), "somebody may be about to use it"
    os.utime(kept, (0, 0))
    uploads.sweep(on_new_rows=unexpected)
    assert list(folder("datasets").glob("*")) == []
