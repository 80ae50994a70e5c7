"""Where webhooks may go: no spelling of an inner address is taken, a public one is, a name is looked up once."""

import ipaddress
import socket
import time
from typing import Any

import pytest
from databases import kind  # noqa: F401 - a fixture

from vur.errors import VurError
from vur.settings import read_settings, settings
from vur.store.webhooks import address
from vur.store.webhooks.address import parse, resolve

# What hosts lead to in these tests; what is not here is looked up as the system does, which reads digits as inet_aton.
NAMES = {
    "hooks.example": ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"],
    "inner.example": ["10.1.2.3"],
    "half.example": ["93.184.216.34", "127.0.0.1"],
    "metadata.example": ["169.254.169.254"],
    "mapped.example": ["::ffff:192.168.0.1"],
}
INNER = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://localhost/",
    "http://localhost./",
    "http://LOCALHOST:81/",
    "http://127.0.0.1./",
    "http://0.0.0.0/",
    "http://0/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://224.0.0.1/",
    "http://239.255.255.250/",
    "http://255.255.255.255/",
    "http://240.0.0.1/",
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[::127.0.0.1]/",
    "http://[fe80::1]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:a00:1::1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::10.0.0.1]/",
    "http://[64:ff9b:1::a00:1]/",
    "http://[2001:0:4136:e378:8000:63bf:f5ff:fffe]/",
    "http://[2001:db8::1]/",
    "http://[2606:2800:220:1:0:5efe:a00:1]/",
    "http://168.63.129.16/",
    "http://192.0.0.192/",
    "http://100.100.100.200/",
    "http://inner.example/",
    "https://half.example/",
    "http://metadata.example/",
    "http://mapped.example/",
]
MALFORMED = {
    "ftp://hooks.example/": "scheme",
    "file:///etc/passwd": "scheme",
    "gopher://hooks.example:70/": "scheme",
    "hooks.example/path": "scheme",
    "//hooks.example/": "scheme",
    "http://user@hooks.example/": "user",
    "http://user:password@hooks.example/": "user",
    "http://hooks.example@127.0.0.1/": "user",
    "http://@hooks.example/": "user",
    "http://hooks.example\\@127.0.0.1/": "characters",
    "http://hooks.example/a b": "characters",
    "http://hooks.example/\r\nHost: other": "characters",
    "http://hooks.example/é": "characters",
    "http://①②⑦.0.0.1/": "characters",
    "http://hooks.example/#part": "fragment",
    "http://hooks.example:0/": "form",
    "http://hooks.example:99999/": "form",
    "http://hooks.example:x/": "form",
    "http:///path": "form",
    "http://./": "form",
    "http://[::1%25lo]/": "form",
    "http://[v1.x]/": "form",
    "http://%31%32%37.0.0.1/": "form",
    "https://hooks.example/" + "a" * 2048: "long",
}


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch, catalog: Any) -> list[str]:
    """Look-ups answered by `NAMES`; the hosts that were looked up."""
    asked: list[str] = []
    system = socket.getaddrinfo

    def look_up(host: str, port: int, *args: Any, **more: Any) -> Any:
        asked.append(host)
        if host in NAMES:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in NAMES[host]]
        return system(host, port, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


@pytest.fixture
def allow(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set what an administrator allows."""

    def allowed(*entries: str, **more: str) -> None:
        monkeypatch.setenv("VUR_WEBHOOK_ALLOW", ", ".join(entries))
        for key, value in more.items():
            monkeypatch.setenv(f"VUR_{key.upper()}", value)
        settings.cache_clear()

    return allowed


@pytest.mark.parametrize("url", INNER)
def test_an_inner_address_is_refused_however_it_is_written(url: str) -> None:
    with pytest.raises(VurError) as refused:
        resolve(parse(url))
    assert refused.value.code == "webhooks.inner", refused.value
    assert refused.value.data["field"] == "url"


@pytest.mark.parametrize(("url", "reason"), MALFORMED.items())
def test_what_is_no_address_is_refused_with_its_reason(url: str, reason: str) -> None:
    with pytest.raises(VurError) as refused:
        parse(url)
    assert refused.value.code == "webhooks.url"
    assert refused.value.data["reason"].key == f"webhooks.url.{reason}"


def test_a_public_address_is_taken_and_looked_up_once(names: list[str]) -> None:
    target = parse("https://Hooks.Example./webhook/1?a=b&c")
    assert (target.host, target.port, target.path, target.shown_host) == (
        "hooks.example",
        443,
        "/webhook/1?a=b&c",
        "hooks.example",
    )
    assert resolve(target) == NAMES["hooks.example"] and names == ["hooks.example"]
    assert resolve(parse("http://1.1.1.1:8080/")) == ["1.1.1.1"]
    assert parse("http://[2606:4700::1111]:8080").shown_host == "[2606:4700::1111]:8080"
    with pytest.raises(VurError, match=r"no host nowhere\.invalid"):
        resolve(parse("http://nowhere.invalid/"))


def test_a_look_up_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*args: Any, **more: Any) -> Any:
        time.sleep(3)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    started = time.monotonic()
    with pytest.raises(VurError) as refused:
        resolve(parse("http://hooks.example/"), 0.3)
    assert refused.value.code == "webhooks.unknown_host" and time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("entries", "url", "open"),
    [
        (["10.1.0.0/16"], "http://inner.example/", True),
        (["10.1.2.3"], "http://inner.example/", True),
        (["inner.example"], "http://INNER.example./", True),
        (["inner.example"], "http://10.1.2.3/", False),
        (["10.2.0.0/16"], "http://inner.example/", False),
        (["127.0.0.0/8"], "http://half.example/", True),
        (["192.168.0.0/16"], "http://mapped.example/", True),
        (["::1"], "http://[::1]:5678/", True),
        (["127.0.0.1"], "http://2130706433:5678/", True),
        (["10.0.0.0/8"], "http://[2002:a00:1::1]/", True),
        (["10.0.0.0/8"], "http://[2002:7f00:1::1]/", False),
        (["0.0.0.0/0", "::/0"], "http://192.168.1.1/", True),
        (["0.0.0.0/0", "metadata.example"], "http://metadata.example/", False),
        (["0.0.0.0/0"], "http://169.254.169.254/", False),
        (["::/0"], "http://[fd00:ec2::254]/", False),
        (["::/0", "0.0.0.0/0"], "http://[64:ff9b::a9fe:a9fe]/", False),
        (["127.0.0.1"], "http://127.0.0.1:8123/", False),
        (["127.0.0.1"], "http://127.0.0.1:8124/", False),
        (["127.0.0.0/8"], "http://127.9.9.9:8123/", False),
        (["::/0"], "http://[::ffff:127.0.0.1]:8123/", False),
        (["0.0.0.0/0"], "http://0.0.0.0:8123/", False),
        (["127.0.0.1"], "http://127.0.0.1:8125/", True),
        (["10.1.0.0/16"], "http://inner.example:9000/", False),
    ],
)
def test_an_administrator_opens_hosts_and_networks_but_never_metadata_or_vur_itself(
    allow: Any, entries: list[str], url: str, open: bool
) -> None:
    allow(*entries, port="8123", voila_port="8124", service_url="http://inner.example:9000")
    if open:
        assert resolve(parse(url))
    else:
        with pytest.raises(VurError, match="not public"):
            resolve(parse(url))


def test_the_address_of_this_machine_is_its_own_too(allow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    row = type("Row", (), {"address": "10.1.2.3"})
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"eth0": [row]})
    allow("10.1.0.0/16", port="8123")
    assert resolve(parse("http://inner.example:5678/")) == ["10.1.2.3"]
    with pytest.raises(VurError, match="not public"):
        resolve(parse("http://inner.example:8123/"))


@pytest.mark.parametrize("entry", ["10.0.0.300", "10.0.0.0/33", "http://n8n", "n8n/24", "-n8n", "10.0.0.1/8"])
def test_a_setting_that_names_no_host_is_refused(entry: str) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(VurError, match="webhook_allow") as refused:
        patch.setenv("VUR_WEBHOOK_ALLOW", f"n8n, {entry}")
        read_settings()
    assert entry in str(refused.value)


def test_every_public_address_that_wraps_nothing_is_open() -> None:
    for text in ("8.8.8.8", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"):
        assert address.meant_by(ipaddress.ip_address(text)) == [ipaddress.ip_address(text)]
        assert not address.is_inner(ipaddress.ip_address(text))
