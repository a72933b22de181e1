"""Which addresses steps may connect to: every spelling of those inside, and what an administrator allows."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks

from workflows.errors import AddressRefused, WorkflowStepError
from workflows.outgoing import addresses as outward


def words(text: str) -> list[str]:
    return text.split()


INSIDE = words("""
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.254
168.63.129.16 169.254.169.254 169.254.0.1 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1
192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.7 224.0.0.1 239.255.255.250 240.0.0.1
255.255.255.255 :: ::1 ::127.0.0.1 ::10.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254
::ffff:0:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::a00:1 64:ff9b::8.8.8.8 64:ff9b:1::1 100::1 2001::1
2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:10::1 2001:20::1 2001:db8::1 2002:a00:1:: 2002:7f00:1::1
2002:808:808::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fd12:3456::1 fe80::1 fe90::1 fec0::1 ff02::1 ff0e::1
4000::1 1::1 2606:4700::5efe:a00:1 2606:4700::200:5efe:7f00:1
""")
OUTSIDE = words("""
1.1.1.1 8.8.8.8 9.9.9.9 11.0.0.1 100.63.255.255 100.128.0.1 126.255.255.255 128.0.0.1 169.253.255.255
172.15.255.255 172.32.0.1 192.167.255.255 192.169.0.1 198.17.255.255 198.20.0.1 223.255.255.255 ::ffff:8.8.8.8
2606:4700::1111 2a00:1450:4001::1 2001:4860:4860::8888
""")


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_refused(address: str) -> None:
    assert outward.is_inside(ipaddress.ip_address(address))
    with pytest.raises(AddressRefused, match="inside this network"):
        outward.check_url(f"http://[{address}]/" if ":" in address else f"http://{address}/")


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_out_there_is_not(address: str) -> None:
    assert not outward.is_inside(ipaddress.ip_address(address))
    outward.check_url(f"http://[{address}]/" if ":" in address else f"http://{address}/")


SPELLINGS = words("""
127.1 127.0.1 2130706433 017700000001 0x7f000001 0x7f.1 0x7f.0.0.1 0177.0.0.1 0177.1 127.0.0.01 127.0.0.1.
127.0.0.1.. 0 0. 0x0 00.0.0.0 4294967295 127.0.0.0x1 1.0x7f 0X7F.0.0.1 256.1.1.1 1.2.3.4.5 10.1 169.254.43518
[::ffff:7f00:1] [0:0:0:0:0:ffff:127.0.0.1] [::1%25lo] [fe80::1%25eth0] [fe80::1%eth0] [::] [0:0::1]
[::ffff:0x7f.1] １２７.0.0.1 ①②⑦.⓪.⓪.① 127。0。0。1 127．0．0．1 ⓛⓞⓒⓐⓛⓗⓞⓢⓣ %31%32%37.0.0.1 127.0.0.1%00
127.0.0.1%2eexample.com xn--127-0.1 [127.0.0.1] [1.1.1.1] [::1]. ::1 [::1 ::1] [] [g::1] a..b ... .a -- a%20b
exa,mple.com exa*mple.com ex;ample.com
""")


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_other_spelling_gets_through(host: str) -> None:
    """Neither by its text nor, where the text may pass for a name, by what the system makes of it."""
    with pytest.raises((AddressRefused, WorkflowStepError)):
        url = outward.check_url(f"http://{host}/")
        found = await outward.look_up(url.raw_host.decode(), 80)
        pytest.fail(f"{host} is dialled as {found}")


@pytest.mark.parametrize("host", ["localhost", "localhost.", "LOCALHOST", "LocalHost."])
async def test_a_name_for_an_address_inside_is_refused_where_it_is_looked_up(host: str) -> None:
    with pytest.raises(WorkflowStepError, match="inside this network|no host") as caught:
        await outward.look_up(host, 80)
    assert "127.0.0.1" not in caught.value.message and "::1" not in caught.value.message


URLS = {
    "": "empty",
    "   ": "empty",
    "example.com": "must begin with https://",
    "//example.com/": "must begin with https://",
    "ftp://example.com/": "must begin with https://",
    "file:///etc/passwd": "must begin with https://",
    "gopher://example.com/": "must begin with https://",
    "javascript:alert(1)": "must begin with https://",
    "http:example.com": "must begin with https://",
    "http://": "names no host",
    "http:///x": "names no host",
    "http://:80/": "names no host",
    "http://user@example.com/": "choose a secret",
    "http://user:password@example.com/": "choose a secret",
    "http://@example.com/": "choose a secret",
    "http://example.com\\@127.0.0.1/": "choose a secret",
    "http:\\\\example.com/": "must begin with https://",
    "http://example.com/a b": "a space at character 21",
    "http://exa mple.com/": "a space",
    "http://example.com/\r\nHost: inside": "U\\+000D",
    "http://example.com/\tx": "U\\+0009",
    "http://example.com/\x00": "U\\+0000",
    "http://example.com/\u2028x": "U\\+2028",
    "http://example.com:0/": "no port 0",
    "http://example.com:65536/": "no port 65536",
    "http://example.com:-1/": "no port -1",
    "http://example.com:http/": "cannot be read",
    "http://example.com:22/": "Port 22 is not for the web",
    "http://example.com:25/": "Port 25",
    "http://example.com:6379/": "Port 6379",
    "http://example.com:5432/": "Port 5432",
    "http://" + "a" * 64 + ".com:80:80/": "cannot be read",
    "http://" + "a." * 130 + "com/": "no host name",
    "http://xn--/": "cannot be read",
    "http://example.com/" + "a" * 9_000: "9,019 characters",
}


@pytest.mark.parametrize("url", URLS, ids=lambda url: repr(url[:40]))
def test_a_url_that_cannot_be_called_is_refused_in_a_sentence(url: str) -> None:
    with pytest.raises(AddressRefused, match=URLS[url]):
        outward.check_url(url)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        (" https://Example.COM/a ", "https://example.com/a"),
        ("http://example.com:8080/ä?q=ü#part", "http://example.com:8080/%C3%A4?q=%C3%BC"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://example.com./", "https://example.com./"),
        ("https://example.com/?mail=a@b.c", "https://example.com/?mail=a@b.c"),
        ("https://[2606:4700::1111]:443/", "https://[2606:4700::1111]/"),
        ("https://my_host.example/", "https://my_host.example/"),
    ],
)
def test_a_good_url_is_taken(text: str, made: str) -> None:
    url = outward.check_url(text)
    assert str(url).replace("bücher", "xn--bcher-kva") == made


def leads_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    monkeypatch.setattr(outward, "resolve", lambda host, port: list(addresses))


async def test_one_bad_answer_spoils_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    leads_to(monkeypatch, "1.1.1.1", "10.0.0.1")
    with pytest.raises(AddressRefused):
        await outward.look_up("both.example", 443)
    leads_to(monkeypatch, "1.1.1.1", "2606:4700::1111")
    assert await outward.look_up("both.example", 443) == ["1.1.1.1", "2606:4700::1111"]


async def test_a_name_that_does_not_exist_is_worth_another_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(outward, "resolve", fail)
    with pytest.raises(WorkflowStepError, match="no host “gone.example”: Temporary failure") as caught:
        await outward.look_up("gone.example", 443)
    assert not caught.value.is_permanent


async def test_a_name_without_an_address_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    leads_to(monkeypatch)
    with pytest.raises(WorkflowStepError, match="no host"):
        await outward.look_up("none.example", 443)


# What an administrator allows


@pytest.mark.parametrize(
    ("rule", "yes", "no"),
    [
        ("10.1.0.0/16:443", ("10.1.2.3", 443), ("10.1.2.3", 80)),
        ("10.1.0.0/16:443", ("::ffff:10.1.2.3", 443), ("10.2.0.1", 443)),
        ("127.0.0.1:11434", ("127.0.0.1", 11434), ("127.0.0.2", 11434)),
        ("[fd00::]/8:443", ("fd00::1", 443), ("fe80::1", 443)),
        ("[fd00::/8]:443", ("fd12::1", 443), ("fd12::1", 444)),
        ("[::1]:8000", ("::1", 8000), ("127.0.0.1", 8000)),
        ("10.0.0.7:*", ("10.0.0.7", 5432), ("10.0.0.8", 5432)),
        ("8.8.8.8:53", ("8.8.8.8", 53), ("8.8.4.4", 53)),
    ],
)
def test_an_administrator_allows_by_address_and_port(
    settings: Any, rule: str, yes: tuple[str, int], no: tuple[str, int]
) -> None:
    settings.HTTP_ALLOW = [rule]
    outward.check_address(ipaddress.ip_address(yes[0]), yes[1], yes[0])
    with pytest.raises(AddressRefused):
        outward.check_address(ipaddress.ip_address(no[0]), no[1], no[0])


BAD_RULES = [
    "10.0.0.1",
    "10.0.0.0/33:80",
    "10.0.0.1:0",
    "10.0.0.1:70000",
    "localhost:80",
    "10.0.0.1/8:80",
    "[::1:80",
    ":80",
]


@pytest.mark.parametrize("rule", BAD_RULES)
def test_a_rule_that_cannot_be_read_stops_the_start(settings: Any, rule: str) -> None:
    settings.HTTP_ALLOW = ["127.0.0.1:80", rule]
    assert [error.id for error in run_checks() if "HTTP_ALLOW" in error.msg and rule in error.msg] == ["site.E010"]


def test_good_rules_and_none_at_all_start(settings: Any) -> None:
    for given in ([], ["127.0.0.1:80", "[fd00::]/8:*"]):
        settings.HTTP_ALLOW = given
        assert not [error for error in run_checks() if error.id == "site.E010"]


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_authorities_that_cannot_be_read_stop_the_start(settings: Any, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "authorities.pem"
    if content is not None:
        path.write_text(content)
    settings.HTTP_CA_FILE = str(path)
    assert [error.id for error in run_checks() if "HTTP_CA_FILE" in error.msg] == ["site.E011"]


def test_the_refusal_of_an_address_says_how_to_allow_it() -> None:
    with pytest.raises(AddressRefused, match=r"HTTP_ALLOW=10.0.0.1:8080$"):
        outward.check_url("http://10.0.0.1:8080/")
    with pytest.raises(AddressRefused, match=r"HTTP_ALLOW=\[::1\]:80$"):
        outward.check_url("http://[::1]/")
