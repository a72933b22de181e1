"""What goes wrong out there: the words that people get, and whether it is worth another attempt."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tests.remote import Remote, answer, as_json, moved, raw, said, silence
from tests.workflows.http.conftest import call
from workflows.http.failure import retry_after_s
from workflows.outgoing import addresses as outward

#: what the other side sends -> its own words in our error
WORDS: list[tuple[Any, str]] = [
    ({"error": {"message": "Your card was declined.", "code": "card_declined"}}, "Your card was declined."),
    ({"error": "invalid_grant", "error_description": "The code is old"}, "The code is old"),
    ({"error": "not found"}, "not found"),
    ({"message": "Bad credentials", "documentation_url": "https://…"}, "Bad credentials"),
    ({"Message": "Upper"}, "Upper"),
    ({"detail": "Not allowed."}, "Not allowed."),
    ({"detail": [{"loc": ["body", "n"], "msg": "field required", "type": "x"}]}, "field required"),
    ({"title": "Out of stock", "type": "about:blank", "status": 409}, "Out of stock"),
    ({"title": "Out", "detail": "Three are left"}, "Three are left"),
    ({"errors": [{"message": "Cannot query field"}]}, "Cannot query field"),
    ({"errors": ["first", "second"]}, "first"),
    ({"errors": {"email": ["is taken"]}}, "email: is taken"),
    ({"fault": {"faultstring": "Quota"}}, "Quota"),
    ([{"errorCode": "X", "message": "In a list"}], "In a list"),
    ("Plain", "Plain"),
    ({"message": "a\u2028b\n\n  c\x00\x1b[31m"}, "a b c [31m"),
    ({"message": "x" * 5_000}, "x" * 300 + "…"),
]


@pytest.mark.parametrize(("body", "words"), WORDS)
def test_the_error_has_the_other_sides_own_words(remote: Remote, body: Any, words: str) -> None:
    url = remote.on("/", as_json(body, 402, "Payment Required"))
    error = call(url, method="POST").error
    assert error.message == f"POST {url} answered 402 Payment Required: {words}"
    assert error.is_permanent and error.details["status"] == 402
    assert error.details["body"] == body or len(error.details["body"]) == 2_000


@pytest.mark.parametrize(
    ("content_type", "body", "end"),
    [
        ("text/html", "<html><head><title>502 Bad &amp; Gateway</title><body>…", ": 502 Bad & Gateway"),
        ("text/html", "<h1>Sorry <b>closed</b></h1>", ": Sorry closed"),
        ("text/html", "<p>nothing to read", "."),
        ("text/plain", "  Go\naway ", ": Go away"),
        ("application/json", "{broken", "."),
        ("application/json", "{}", "."),
        ("application/json", '{"message": 5, "error": null}', "."),
        ("application/json", '{"error": ' * 60 + "1" + "}" * 60, "."),
        ("image/png", "\x89PNG", "."),
        ("text/plain", "", "."),
    ],
)
def test_an_answer_in_another_form_is_told_too(remote: Remote, content_type: str, body: str, end: str) -> None:
    url = remote.on("/", answer(body, 500, "Oh", content_type=content_type))
    assert call(url).error.message == f"GET {url} answered 500 Oh{end}"


NEVER, AGAIN, KEYED = "never", "again", "where it is safe"
STATUSES = {
    **dict.fromkeys((300, 304, 400, 401, 402, 403, 404, 405, 406, 410, 411, 413, 415, 422, 451, 501, 505, 511), NEVER),
    **dict.fromkeys((408, 425, 429, 503), AGAIN),
    **dict.fromkeys((423, 500, 502, 504, 507, 520, 524, 599), KEYED),
}


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_says_whether_another_attempt_is_worth_it(remote: Remote, status: int) -> None:
    url, worth = remote.on("/", answer(status=status)), STATUSES[status]
    for method in ("GET", "PUT", "DELETE", "POST", "PATCH"):
        assert call(url, method=method).error.is_permanent == (worth == NEVER), method
    for method in ("POST", "PATCH"):
        error = call(url, method=method, idempotency=False).error
        assert error.is_permanent == (worth != AGAIN), method
        assert ("without an idempotency key is not repeated" in error.message) == (worth == KEYED)
        assert call(url, method=method, idempotency=False, repeat=True).error.is_permanent == (worth == NEVER), method


def test_a_conflict_is_another_attempt_worth_only_with_a_key(remote: Remote) -> None:
    """With one, 409 says that the first request under it is still at work."""
    url = remote.on("/", answer(status=409))
    assert not call(url, method="POST").error.is_permanent
    assert call(url, method="POST", idempotency=False).error.is_permanent
    assert call(url, method="GET").error.is_permanent


def test_what_is_expected_is_no_failure_and_what_is_not_is_one(remote: Remote) -> None:
    url = remote.on("/", answer(status=404, reason="Not Found"))
    assert call(url, expect="2xx, 404").response["status"] == 404
    url = remote.on("/", answer(status=201))
    assert "answered 201" in call(url, expect="200").error.message


# Retry-After

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def at(**later: float) -> str:
    return format_datetime(NOW + timedelta(**later), usegmt=True)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("1.5", 1.5),
        (at(minutes=2), 120),
        (at(minutes=-2), 0),
        (at(days=9_999), 86_400),
        ("999999999", 86_400),
        ("Tue, 24 Nov 2026 12:01:00", 60),
        *(
            (text, None)
            for text in ("", "soon", "-5", "1e9", "９", "Tue, 99 Nov 2026 12:00:00 GMT", "inf", "nan", "1" * 50)
        ),
    ],
)
def test_retry_after_is_read_in_both_forms(given: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": given, "date": at()}) == seconds


def test_without_a_date_of_its_own_ours_counts() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    found = retry_after_s({"retry-after": later})
    assert found and 3_500 < found <= 3_600


@pytest.mark.parametrize("status", [429, 503])
def test_the_other_side_says_when_to_come_back(remote: Remote, status: int) -> None:
    url = remote.on("/", answer(status=status, retry_after="17"))
    assert call(url, method="POST", idempotency=False).error.retry_after_s == 17
    url = remote.on("/", answer(status=400, retry_after="17"))
    assert call(url).error.retry_after_s is None


# No whole answer

BROKEN = {
    "nothing at all": raw(),
    "a reset": raw(reset=True),
    "a cut head": raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "less than was promised": raw(said(b"abc", content_length="10")),
    "a cut chunk": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
    "no last chunk": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"),
    "a reset in the body": raw(said(b"abc", content_length="10"), reset=True),
    "no HTTP": raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "a TLS alert": raw(b"\x15\x03\x01\x00\x02\x02F"),
    "two lengths": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    "a length below nothing": raw(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab"),
    "a length that is no number": raw(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nab"),
    "a header with a NUL": raw(b"HTTP/1.1 200 OK\r\nA: b\x00c\r\nContent-Length: 0\r\n\r\n"),
    "a header without a name": raw(b"HTTP/1.1 200 OK\r\n: b\r\nContent-Length: 0\r\n\r\n"),
    "a status beyond": raw(b"HTTP/1.1 2000 OK\r\n\r\n"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_connection_that_breaks_is_told_and_tried_again_only_where_that_is_safe(remote: Remote, how: str) -> None:
    url = remote.on("/", BROKEN[how])
    for method, idempotency in (("GET", True), ("POST", True), ("DELETE", False)):
        error = call(url, method=method, idempotency=idempotency).error
        assert error.message.startswith(f"{method} {url}: the connection broke"), error.message
        assert not error.is_permanent and error.details == {"was_sent": True}
    error = call(url, method="POST", idempotency=False).error
    assert error.is_permanent and "It may have been done, and POST" in error.message
    assert not call(url, method="POST", idempotency=False, repeat=True).error.is_permanent


def test_silence_ends_at_the_time_limit(remote: Remote) -> None:
    url = remote.on("/", silence)
    error = call(url, timeout_s=0.2).error
    assert error.message == f"GET {url}: no whole answer within 0.2 s." and not error.is_permanent
    error = call(url, timeout_s=0.2, method="POST", idempotency=False).error
    assert error.is_permanent and "It may have been done" in error.message


def test_nobody_there_is_worth_another_attempt_whatever_the_method(settings: Any) -> None:
    settings.HTTP_ALLOW = ["127.0.0.1:*"]
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # held, and nobody listens
        error = call(f"http://127.0.0.1:{held.getsockname()[1]}/", method="POST", idempotency=False).error
    assert "cannot be connected to" in error.message
    assert not error.is_permanent and error.details == {"was_sent": False}


def test_a_host_that_does_not_exist_is_worth_another_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(host: str, port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(outward, "resolve", fail)
    error = call("https://gone.example/", method="POST", idempotency=False).error
    assert error.message == "POST https://gone.example/: There is no host “gone.example”: Name or service not known."
    assert not error.is_permanent


def test_a_redirect_that_is_not_followed_says_where_to(remote: Remote) -> None:
    url = remote.on("/", moved("https://elsewhere.example/?token=abc"))
    error = call(url, follow=False).error
    assert error.message.endswith("answered 302 Moved: it sends on to https://elsewhere.example/?token=…")
    assert call(url, follow=False, expect="302").response["headers"]["location"].startswith("https://elsewhere")
