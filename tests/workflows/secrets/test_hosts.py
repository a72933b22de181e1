"""Where a secret may go: what is written, how it is kept, and which host it means."""

from __future__ import annotations

import pytest

from workflows.secrets.hosts import allows, normal_pattern

KEPT = {
    "api.example.com": "api.example.com",
    " API.Example.COM. ": "api.example.com",
    "api.example.com:8443": "api.example.com:8443",
    "localhost:0080": "localhost:80",
    "*.Example.com": "*.example.com",
    "*.example.com:8443": "*.example.com:8443",
    "bücher.example": "xn--bcher-kva.example",
    "127.0.0.1:8000": "127.0.0.1:8000",
    "[::1]:8080": "[::1]:8080",
    "::1": "[::1]",
    "[0:0:0:0:0:0:0:1]": "[::1]",
    "_dmarc.example.com": "_dmarc.example.com",
    "*": "*",
}
REFUSED = [
    *("", " ", "https://api.example.com", "api.example.com/v1", "user@example.com", "a b", "a\nb", "a\0b", "a?b"),
    *("*.com", "*.*.com", "a.*.com", "*example.com", "**", "*.", "*:80", "*.127.0.0.1", "*.[::1]"),
    *("localhost:", "localhost:0", "localhost:65536", "localhost:x", "localhost:１", "localhost:99999999", "a:1:2"),
    *("-a.example", "a..b", ".a", "[::1", "[::1]x", "[::g]", "x" * 300, "a." * 127 + "abc", "ex%61mple.com", "\\\\a"),
]


@pytest.mark.parametrize("written", KEPT)
def test_a_host_is_kept_in_one_form(written: str) -> None:
    assert normal_pattern(written) == KEPT[written]
    assert normal_pattern(KEPT[written]) == KEPT[written]


@pytest.mark.parametrize("written", REFUSED)
def test_what_is_no_host_is_refused_in_a_sentence(written: str) -> None:
    with pytest.raises(ValueError, match=r"(?s)^“.*\.$") as refused:
        normal_pattern(written)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("pattern", "host"),
    [
        ("api.example.com", "api.example.com"),
        ("api.example.com", "API.example.com."),
        ("api.example.com", "api.example.com:443"),
        ("api.example.com:443", "api.example.com:443"),
        ("localhost:8080", "localhost:8080"),
        ("*.example.com", "api.example.com"),
        ("*.example.com", "a.b.example.com:443"),
        ("xn--bcher-kva.example", "bücher.example"),
        ("xn--bcher-kva.example", "BÜCHER.example"),
        ("[::1]:8080", "[0::1]:8080"),
        ("*", "anything.example:1234"),
    ],
)
def test_a_host_that_is_meant_is_allowed(pattern: str, host: str) -> None:
    assert allows([pattern], host)


@pytest.mark.parametrize(
    ("pattern", "host"),
    [
        ("api.example.com", "evil.example.com"),
        ("api.example.com", "api.example.com.evil.test"),
        ("api.example.com", "xapi.example.com"),
        ("api.example.com", "api.example.com:8443"),
        ("api.example.com:8443", "api.example.com"),
        ("api.example.com:8443", "api.example.com:443"),
        ("*.example.com", "example.com"),
        ("*.example.com", "evilexample.com"),
        ("*.example.com", "a.example.com:22"),
        ("*.example.com:8443", "a.example.com"),
        ("api.example.com", "evil.test@api.example.com"),
        ("api.example.com", "api.example.com@evil.test"),
        ("api.example.com", "api.example.com/../evil"),
        ("api.example.com", "api.example.com#evil"),
        ("api.example.com", "api.example.com\\evil.test"),
        ("api.example.com", "evil.test\napi.example.com"),
        ("api.example.com", ""),
        ("*.0.1", "127.0.0.1"),
        ("[::1]", "::2"),
        ("*", ""),
        ("*", "https://a.example"),
    ],
)
def test_any_other_is_not(pattern: str, host: str) -> None:
    assert not allows([pattern], host)


def test_no_host_is_allowed_where_none_is_named() -> None:
    assert not allows([], "localhost")
