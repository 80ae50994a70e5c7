"""The guide to webhooks: its code checks real signatures, and its tables are those of the code."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from samples import ROOT

from vur.settings import settings
from vur.store.webhooks import deliveries
from vur.store.webhooks.kinds import KINDS, TEST, example
from vur.store.webhooks.signing import SIGNATURE, TIMESTAMP, new_secret, signature

GUIDE = (ROOT / "docs" / "guides" / "webhooks.md").read_text(encoding="utf-8")
SECRET = new_secret()
BODY = json.dumps({"event": "alert.raised", "name": "Ação"}, ensure_ascii=False).encode()


def block(language: str) -> str:
    """The code of the guide in a language, without its indentation."""
    (found,) = re.findall(rf"^    ```{language}\n(.*?)^    ```", GUIDE, re.M | re.S)
    return re.sub(r"^    ", "", found, flags=re.M)


def cases() -> list[tuple[str, dict[str, str], bytes, bool]]:
    """A secret, headers, a body, and whether they belong together."""
    now = int(time.time())

    def signed(at: int, body: bytes = BODY, secret: str = SECRET) -> dict[str, str]:
        return {TIMESTAMP: str(at), SIGNATURE: signature(secret, at, body)}

    return [
        (SECRET, signed(now), BODY, True),
        (SECRET, signed(now - 250), BODY, True),
        (SECRET, signed(now - 400), BODY, False),
        (SECRET, signed(now + 400), BODY, False),
        (SECRET, signed(now), BODY + b" ", False),
        (SECRET, signed(now, secret=new_secret()), BODY, False),
        (new_secret(), signed(now), BODY, False),
        (SECRET, signed(now) | {TIMESTAMP: str(now - 1)}, BODY, False),
        (SECRET, signed(now) | {SIGNATURE: "sha256="}, BODY, False),
        (SECRET, signed(now) | {SIGNATURE: "é"}, BODY, False),
        (SECRET, signed(now) | {TIMESTAMP: "soon"}, BODY, False),
        (SECRET, {}, BODY, False),
    ]


def test_the_python_of_the_guide_checks_signatures() -> None:
    names: dict[str, Any] = {}
    exec(block("python"), names)
    for secret, headers, body, good in cases():
        assert names["verify"](secret, headers, body) is good, headers


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_the_javascript_of_the_guide_checks_signatures(tmp_path: Path) -> None:
    asked = [
        [secret, {key.lower(): value for key, value in headers.items()}, body.decode()]
        for secret, headers, body, _ in cases()
    ]
    script = (
        f"{block('javascript')}\nconst cases = {json.dumps(asked)};\n"
        "const answer = ([secret, headers, body]) => verify(secret, headers, Buffer.from(body));\n"
        "console.log(JSON.stringify(cases.map(answer)));"
    )
    (tmp_path / "verify.cjs").write_text(script, encoding="utf-8")
    done = subprocess.run(["node", tmp_path / "verify.cjs"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [good for *_, good in cases()]


def test_the_guide_names_every_event_and_shows_the_example() -> None:
    for event in (*KINDS, TEST):
        assert f"| `{event}` |" in GUIDE
    (shown,) = re.findall(r"^```json\n(.*?)^```", GUIDE, re.M | re.S)
    assert json.loads(shown) == example("training.finished")


def test_the_table_of_repetitions_is_what_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    settings.cache_clear()
    monkeypatch.setattr("random.uniform", lambda low, high: 1.0)
    units = {"s": 1, "min": 60, "h": 3600}

    def seconds(text: str) -> int:
        return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+) (s|min|h)\b", text))

    rows = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \|$", GUIDE, re.M)
    assert [int(number) for number, *_ in rows] == list(range(1, settings().webhook_attempts + 1))
    since = 0.0
    for number, pause, about in rows[1:]:
        real = deliveries.pause(int(number) - 1)
        since += real
        assert abs(seconds(pause) - real) <= 0.02 * real, number
        assert abs(seconds(about) - since) <= 0.1 * since, number


def test_the_settings_of_the_guide_have_their_defaults() -> None:
    settings.cache_clear()
    for name, default in re.findall(r"^\| `(webhook_\w+|keep_deliveries_days)` \| (\d+) \|", GUIDE, re.M):
        assert getattr(settings(), name) == int(default), name
