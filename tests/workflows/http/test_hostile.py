"""Other systems that mean harm: redirects inside, names that change, bombs, drips, and what leaks by the way."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import subprocess
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.remote import Gate, Remote, answer, as_json, drip, flood, moved, packed, raw, running, said, silence
from tests.workflows.http.conftest import call, called, in_loop
from workflows.errors import AddressRefused, AnswerTooLarge
from workflows.outgoing import addresses as outward
from workflows.outgoing import client, transport

TOKEN = {"auth": "bearer", "secret": "T"}
MANY = 300 * 1024


def token(*remotes: Remote) -> dict[str, str]:
    return {f"T for {remote.host}:{remote.port}": "s3cret-value" for remote in remotes}


@pytest.fixture
def inside() -> Iterator[Remote]:
    """Another server of the same machine, which nobody has allowed."""
    with running(Remote()) as found:
        found.on("*", answer("the crown jewels"))
        yield found


@pytest.fixture
def other(settings: Any, remote: Remote) -> Iterator[Remote]:
    """A second system that is allowed: another origin."""
    with running(Remote()) as found:
        settings.HTTP_ALLOW = [remote.rule, found.rule]
        found.on("*", as_json({"from": "other"}))
        yield found


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_within_the_origin_with_what_let_it_in(remote: Remote, status: int) -> None:
    url = remote.on("/a", moved("/b?x=1", status))
    remote.on("/b", as_json({"done": True}))
    done = call(url, secrets=token(remote), **TOKEN)
    assert done.response["body"] == {"done": True} and done.response["url"] == f"{remote.url}/b?x=1"
    assert [seen.headers["authorization"] for seen in remote.seen] == ["Bearer s3cret-value"] * 2
    assert f"{status}: goes on to {remote.url}/b?x=1" in done.lines


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        *((301, "POST", "GET"), (302, "POST", "GET"), (303, "POST", "GET"), (303, "PUT", "GET"), (303, "HEAD", "HEAD")),
        *((307, "POST", "POST"), (308, "POST", "POST"), (302, "PUT", "PUT"), (301, "DELETE", "DELETE")),
    ],
)
def test_the_method_after_a_redirect_is_as_the_standard_has_it(
    remote: Remote, status: int, method: str, then: str
) -> None:
    url = remote.on("/a", moved("/b", status))
    remote.on("/b", as_json({}))
    call(url, method=method, body="json", content={"n": 1})
    first, second = remote.seen
    assert second.method == then and (second.body == first.body) == (then == method)
    assert (second.key == first.key) == (then == method) and ("content-type" in second.headers) == (then == method)


def test_another_origin_gets_nothing_that_lets_somebody_in(remote: Remote, other: Remote) -> None:
    url = remote.on("/a", moved(f"{other.url}/b", 307))
    headers = [{"name": name, "value": "typed"} for name in ("Cookie", "X-API-Key", "Accept", "X-Ish")]
    done = call(url, method="POST", body="json", content={}, headers=headers, secrets=token(remote, other), **TOKEN)
    assert done.response["body"] == {"from": "other"}
    seen = other.seen[0].headers
    assert seen.keys() & {"authorization", "cookie", "x-api-key", "x-ish", "idempotency-key"} == set()
    assert seen["accept"] == "typed" and seen["host"] == f"127.0.0.1:{other.port}" and "referer" not in seen


def test_it_does_not_get_it_back_by_a_second_redirect(remote: Remote, other: Remote) -> None:
    url = remote.on("/a", moved(f"{other.url}/b"))
    other.on("/b", moved(f"{remote.url}/c"))
    remote.on("/c", as_json({}))
    call(url, secrets=token(remote, other), **TOKEN)
    assert "authorization" in remote.seen[0].headers and "authorization" not in remote.seen[1].headers


def test_a_redirect_to_an_address_inside_is_refused(remote: Remote, inside: Remote) -> None:
    for place in (f"http://127.0.0.1:{inside.port}/", "http://169.254.169.254/latest/meta-data/", "http://[::1]/"):
        error = call(remote.on("/a", moved(place))).error
        assert error.is_permanent and "to where it may not go" in error.message
    error = call(remote.on("/a", moved(f"http://localhost:{inside.port}/"))).error
    assert error.is_permanent and "inside this network" in error.message
    assert inside.seen == [] and inside.connections == 0


@pytest.mark.parametrize(
    "place",
    [
        *("file:///etc/passwd", "ftp://example.com/", "javascript:alert(1)", "data:text/plain,x", "gopher://x/"),
        *("http://user:password@example.com/", "//user@example.com/", "http://", "http://exa mple.com/", "\\\\host\\x"),
        *("http://0x7f.1/", "http://2130706433/", "//127.1/", "http://[::ffff:127.0.0.1]/", "http://example.com:22/"),
        *("http://example.com/" + "a" * 9_000, "http://[::1", "http://a:b:c/", "http://[1.2.3.4]/"),
    ],
)
def test_a_redirect_to_what_is_no_address_is_refused(remote: Remote, place: str) -> None:
    error = call(remote.on("/a", moved(place))).error
    assert error.is_permanent and ("sent on" in error.message or "404" in error.message), error.message
    assert len(error.message) < 600


def test_redirects_come_to_an_end(remote: Remote) -> None:
    error = call(remote.on("/a", moved("/a"))).error
    assert error.is_permanent and "more than 5 times" in error.message and len(remote.seen) == 6


def test_a_redirect_without_a_place_is_an_answer(remote: Remote) -> None:
    assert call(remote.on("/a", answer(status=302)), expect="302").response["status"] == 302


# Names


def leads_to(monkeypatch: pytest.MonkeyPatch, *turns: list[str]) -> list[str]:
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return turns[min(len(asked), len(turns)) - 1]

    monkeypatch.setattr(outward, "resolve", resolve)
    return asked


def test_the_address_that_was_checked_is_the_one_that_is_dialled(
    remote: Remote, inside: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that changes between check and connection: it is asked once, so there is no between."""
    asked = leads_to(monkeypatch, ["127.0.0.1"], ["10.0.0.1"])
    remote.on("/", as_json({"host": "right"}))
    done = call(f"http://rebinding.example:{remote.port}/")
    assert done.response["body"] == {"host": "right"} and asked == ["rebinding.example"]
    assert remote.seen[0].headers["host"] == f"rebinding.example:{remote.port}"


def test_a_name_that_has_turned_inside_is_refused_at_the_next_connection(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads_to(monkeypatch, ["127.0.0.1"], ["10.0.0.1"])
    remote.on("/", answer(connection="close"))
    assert call(f"http://rebinding.example:{remote.port}/").error is None
    leads_to(monkeypatch, ["10.0.0.1"])
    assert "inside this network" in call(f"http://rebinding.example:{remote.port}/").error.message


def test_one_answer_inside_spoils_a_name_though_another_is_allowed(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads_to(monkeypatch, ["127.0.0.1", "10.0.0.1"])
    error = call(f"http://both.example:{remote.port}/").error
    assert error.is_permanent and remote.connections == 0 and "10.0.0.1" not in error.message


def test_the_next_address_is_tried_where_one_does_not_answer(
    remote: Remote, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HTTP_ALLOW = [remote.rule, f"[::1]:{remote.port}"]
    leads_to(monkeypatch, ["::1", "127.0.0.1"])
    remote.on("/", as_json({}))
    assert call(f"http://both.example:{remote.port}/").response["status"] == 200


# Bodies


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("gzip", lambda body: gzip.compress(body[:7]) + gzip.compress(body[7:])),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body)[2:-4]),
    ],
)
def test_what_comes_packed_is_unpacked(remote: Remote, encoding: str, pack: Any) -> None:
    body = b"grain and flour, " * 5_000
    done = call(remote.on("/", packed(body, encoding, pack)))
    assert done.response["body"] == body.decode() and "content-encoding" not in done.response["headers"]


def test_an_empty_body_needs_no_packing(remote: Remote) -> None:
    assert call(remote.on("/", answer(b"", content_encoding="gzip"))).response["body"] is None


@pytest.mark.parametrize(
    ("body", "encoding", "why"),
    [
        (b"not gzip at all", "gzip", "cannot be unpacked"),
        (gzip.compress(b"x" * 99)[:-9], "gzip", "it ends too early"),
        (gzip.compress(b"x" * 99)[:12] + b"\xff" * 40, "gzip", "cannot be unpacked"),
        (b"x", "br", "packed as “br”, which was not asked for"),
        (b"x", "gzip, gzip", "which was not asked for"),
        (b"x", "zstd", "which was not asked for"),
    ],
)
def test_what_cannot_be_unpacked_is_told(remote: Remote, body: bytes, encoding: str, why: str) -> None:
    assert why in call(remote.on("/", answer(body, content_encoding=encoding))).error.message


def bomb(size: int) -> bytes:
    """Zeros, a thousandth of their size."""
    pack = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return b"".join(pack.compress(bytes(1 << 20)) for _ in range(size >> 20)) + pack.flush()


def test_a_bomb_is_stopped_at_the_limit(remote: Remote, settings: Any) -> None:
    settings.HTTP_BODY_BYTES = MANY
    error = call(remote.on("/", packed(bomb(200 << 20), pack=lambda body: body))).error
    assert error.is_permanent and "307,200 bytes, the most that is read (HTTP_BODY_BYTES)" in error.message


def test_what_is_packed_twice_is_unpacked_once(remote: Remote, settings: Any) -> None:
    settings.HTTP_BODY_BYTES = MANY
    done = call(remote.on("/", packed(gzip.compress(bomb(50 << 20)), pack=lambda body: body)), answer="text")
    assert done.error is None and len(done.response["body"]) < MANY


@pytest.mark.parametrize(
    "behave",
    [
        answer(b"x" * (MANY + 1)),
        raw(said(b"x", content_length=str(10**15))),
        flood(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 9_000),
        flood(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2000\r\n" + b"x" * 0x2000 + b"\r\n"),
    ],
)
def test_an_answer_beyond_the_limit_is_not_read_on(remote: Remote, settings: Any, behave: Any) -> None:
    settings.HTTP_BODY_BYTES = MANY
    error = call(remote.on("/", behave)).error
    assert error.is_permanent and "HTTP_BODY_BYTES" in error.message
    remote.until(lambda it: it.now == 0)


def test_an_answer_of_just_the_limit_is_read(remote: Remote, settings: Any) -> None:
    settings.HTTP_BODY_BYTES = MANY
    assert len(call(remote.on("/", answer(b"x" * MANY, content_type="text/plain"))).response["body"]) == MANY


def test_a_flood_of_parts_that_are_empty_is_refused(remote: Remote) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
    error = call(remote.on("/", flood(head, gzip.compress(b"") * 100))).error
    assert "more than 1,000 parts" in error.message
    remote.until(lambda it: it.now == 0)


def test_what_unpacks_to_nothing_for_ever_counts_as_it_came(remote: Remote, settings: Any) -> None:
    settings.HTTP_BODY_BYTES = MANY
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n" + zlib.compress(b"")[:2]
    empty_blocks = b"\x00\x00\x00\xff\xff" * 1_000
    error = call(remote.on("/", flood(head, empty_blocks))).error
    assert error.is_permanent and "HTTP_BODY_BYTES" in error.message


def test_a_body_of_single_bytes_leaves_others_their_turn(remote: Remote) -> None:
    body = b"1\r\nx\r\n" * 30_000 + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    url = remote.on("/", raw(head + body, close=False))

    async def beside() -> tuple[Any, int]:
        turns, work = 0, asyncio.create_task(called(url))
        while not work.done():
            turns += 1
            await asyncio.sleep(0)
        return work.result(), turns

    done, turns = in_loop(beside)
    assert len(done.response["body"]) == 30_000 and turns > 30_000 / 64


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html", "<h1>" * 16_000),
        ("text/html", "<title " * 9_000),
        ("application/json", "[" * 60_000),
        ("application/json", '{"message":' * 9_000),
        ("text/plain", "\u2028" * 60_000),
    ],
)
def test_looking_for_a_reason_takes_no_time_to_speak_of(remote: Remote, content_type: str, body: str) -> None:
    """What makes careless patterns take minutes: here it ends, or the suite would not."""
    named = "attachment; " + 'filename="' * 5_000
    url = remote.on("/", answer(body, 500, "x" * 20_000, content_type=content_type, content_disposition=named))
    error = call(url, timeout_s=20).error
    assert len(error.message) < 600 and len(error.details["body"]) <= 2_000


# Time


@pytest.mark.parametrize(
    "behave",
    [
        drip(b"", b"H"),
        drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", 0.005),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        drip(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"x" * 999)[:12], b"\x00"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.005),
        drip(b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", 0),
        silence,
    ],
)
def test_a_drip_ends_at_the_time_limit_and_its_connection_with_it(remote: Remote, behave: Any) -> None:
    error = call(remote.on("/", behave), timeout_s=0.4).error
    assert "within 0.4 s" in error.message or "the connection broke" in error.message or "unpacked" in error.message
    remote.until(lambda it: it.now == 0)


def test_endless_headers_end(remote: Remote) -> None:
    error = call(remote.on("/", flood(b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"b" * 4_000 + b"\r\n"))).error
    assert "the connection broke" in error.message
    remote.until(lambda it: it.now == 0)


def test_the_time_limit_is_for_all_redirects_together(remote: Remote) -> None:
    async def slow(seen: Any, writer: Any) -> None:
        await asyncio.sleep(0.15)
        await moved("/a")(seen, writer)

    assert "within 0.4 s" in call(remote.on("/a", slow), timeout_s=0.4).error.message
    assert len(remote.seen) < 5


# Cancel


@pytest.mark.parametrize(
    "behave", [silence, drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"), drip(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n")]
)
def test_a_cancel_ends_the_connection_and_leaves_the_pool_as_it_was(remote: Remote, behave: Any) -> None:
    url = remote.on("/slow", behave)

    async def cancelled() -> Any:
        task = asyncio.create_task(called(url))
        await asyncio.to_thread(remote.until, lambda it: it.now == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(remote.until, lambda it: it.now == 0 and it.lost == 1)
        (pool,) = client.client()._transport._pools._pools  # type: ignore[attr-defined]
        assert pool.busy == 0 and pool.core.connections == []
        return await called(remote.on("/quick", as_json({})))

    assert in_loop(cancelled).response["status"] == 200 and remote.lost == 1


# What is shared


def test_connections_are_used_again_and_cookies_are_not_kept(remote: Remote) -> None:
    url = remote.on("/", answer("x", set_cookie="session=alice; Path=/", content_type="text/plain"))

    async def twice() -> None:
        for _ in range(3):
            assert (await called(url)).error is None

    in_loop(twice)
    assert remote.connections == 1 and all("cookie" not in seen.headers for seen in remote.seen)


def test_idle_connections_end_by_themselves(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "IDLE_SECONDS", 0.05)
    gate = Gate(as_json({}))
    url = remote.on("/", gate)

    async def many_then_none() -> None:
        work = [asyncio.create_task(called(url)) for _ in range(50)]
        await asyncio.to_thread(remote.until, lambda it: it.now == 50)
        gate.open()
        assert not [done.error for done in await asyncio.gather(*work) if done.error]
        await asyncio.to_thread(remote.until, lambda it: it.open == 0)
        assert (await called(url)).error is None

    in_loop(many_then_none)


def test_those_who_look_for_the_same_name_at_once_ask_once(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    may_answer, asked = threading.Event(), []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        assert may_answer.wait(10)
        return ["127.0.0.1"]

    monkeypatch.setattr(outward, "resolve", resolve)
    remote.on("/", as_json({}))

    async def many() -> list[Any]:
        work = [asyncio.create_task(called(f"http://slow.example:{remote.port}/")) for _ in range(30)]
        while not asked:
            await asyncio.sleep(0.01)
        work[0].cancel()  # who asked first goes away, and the others are answered all the same
        may_answer.set()
        return await asyncio.gather(*work, return_exceptions=True)

    first, *others = in_loop(many)
    assert isinstance(first, asyncio.CancelledError) and len(asked) == 1
    assert [one.error for one in others] == [None] * 29


def test_the_client_for_httpx2_has_the_same_walls(remote: Remote, inside: Remote, settings: Any) -> None:
    settings.HTTP_BODY_BYTES = MANY
    remote.on("/", packed(b"bread"))
    remote.on("/bomb", packed(bomb(50 << 20), pack=lambda body: body))
    remote.on("/moved", moved(inside.url))

    async def asked() -> None:
        http = client.client2()
        assert type(http).__module__.startswith("httpx2") and http is client.client2()
        assert (await http.get(remote.url)).text == "bread"
        assert (await http.get(f"{remote.url}/moved")).status_code == 302
        with pytest.raises(AnswerTooLarge):
            await http.get(f"{remote.url}/bomb")
        with pytest.raises(AddressRefused):
            await http.get(inside.url)
        with pytest.raises(AddressRefused):
            await http.get(f"{remote.url}/moved", follow_redirects=True)

    in_loop(asked)
    assert inside.connections == 0


def test_a_closed_client_is_followed_by_a_new_one(remote: Remote) -> None:
    url = remote.on("/", as_json({}))

    async def around() -> None:
        first = client.client()
        assert client.client() is first
        await called(url)
        await client.close()
        assert first.is_closed and client.client() is not first
        assert (await called(url)).error is None

    in_loop(around)
    assert not [key for key in client._clients if key[0].is_closed()]


def test_the_environments_proxies_and_passwords_are_not_used(
    remote: Remote, inside: Remote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, inside.url)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ada password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert call(remote.on("/", as_json({}))).error is None
    assert inside.connections == 0 and "authorization" not in remote.seen[0].headers


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One authority that is the server too, for the name tls.example."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=tls.example"]
    command += ["-addext", "subjectAltName=DNS:tls.example"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def tls(settings: Any, certificates: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    leads_to(monkeypatch, ["127.0.0.1"])
    with running(Remote(certificate=context)) as found:
        settings.HTTP_ALLOW = [found.rule]
        found.on("/", as_json({"by": "tls"}))
        yield found


def test_a_certificate_of_ones_own_authority_is_believed_once_an_administrator_says_so(
    tls: Remote, settings: Any, certificates: Path
) -> None:
    url = f"https://tls.example:{tls.port}/"
    error = call(url).error
    assert error.is_permanent and "its certificate is not believed: self-signed certificate" in error.message
    assert error.details == {"was_sent": False} and tls.seen == []
    settings.HTTP_CA_FILE = str(certificates / "cert.pem")
    done = call(url, secrets={f"T for tls.example:{tls.port}": "s3cret-value"}, **TOKEN)
    assert done.response["body"] == {"by": "tls"} and not any("everybody" in line for line in done.lines)


def test_a_certificate_for_another_name_is_not_believed(tls: Remote, settings: Any, certificates: Path) -> None:
    """The name stays that of the URL, though an address is what is dialled."""
    settings.HTTP_CA_FILE = str(certificates / "cert.pem")
    error = call(f"https://other.example:{tls.port}/").error
    assert error.is_permanent and "Hostname mismatch" in error.message and tls.seen == []


def test_the_environment_does_not_say_whom_we_believe(
    tls: Remote, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "cert.pem"))
    client._certificates.cache_clear()
    assert "not believed" in call(f"https://tls.example:{tls.port}/").error.message


def test_a_slow_handshake_ends_at_the_time_limit(remote: Remote) -> None:
    """It listens, and says nothing that TLS would understand."""
    error = call(f"https://127.0.0.1:{remote.port}/", timeout_s=0.3).error
    assert error.message == f"GET https://127.0.0.1:{remote.port}/: no connection within 0.3 s."
    assert error.details == {"was_sent": False} and not error.is_permanent


def test_https_to_what_is_no_tls_is_told(remote: Remote) -> None:
    url = f"https://127.0.0.1:{remote.port}/"
    remote.on("*", answer("x"))
    assert not call(url, timeout_s=0.3, method="POST", idempotency=False).error.is_permanent


def test_it_is_not_sent_on_from_https_to_http(tls: Remote, remote: Remote, settings: Any, certificates: Path) -> None:
    settings.HTTP_CA_FILE = str(certificates / "cert.pem")
    settings.HTTP_ALLOW = [tls.rule, remote.rule]
    tls.on("/", moved(f"http://tls.example:{remote.port}/"))
    error = call(f"https://tls.example:{tls.port}/").error
    assert error.is_permanent and "from https to http" in error.message and remote.connections == 0
