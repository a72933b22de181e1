"""What an http step sends, and what it makes of the answer."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.remote import Remote, answer, as_json, raw, said
from tests.workflows.http.conftest import KEY, call
from workflows.files import Area
from workflows.graph import Node
from workflows.http import head
from workflows.steps import config_errors, kinds, make, reaches_out

WRITES = ("POST", "PUT", "PATCH", "DELETE")
READS = ("GET", "HEAD", "OPTIONS")


# What goes out


def test_a_get_brings_json_into_the_data_beside_what_was_there(remote: Remote) -> None:
    url = remote.on("/orders", as_json({"items": [1, 2]}, x_total="2", set_cookie="session=abc"))
    done = call(url, data={"customer": "Ada"})
    assert done.output["customer"] == "Ada"
    assert done.response["status"] == 200 and done.response["body"] == {"items": [1, 2]}
    assert done.response["url"] == url and done.response["took_ms"] >= 0
    assert done.response["headers"]["x-total"] == "2" and "set-cookie" not in done.response["headers"]
    (seen,) = remote.seen
    assert (seen.method, seen.target, seen.body, seen.key) == ("GET", "/orders", b"", "")
    assert seen.headers["host"] == f"127.0.0.1:{remote.port}" and seen.headers["accept-encoding"] == "gzip"
    assert done.lines[0] == f"GET {url}" and done.lines[1].startswith("200 OK, 17 bytes in ")


@pytest.mark.parametrize("method", [*READS, *WRITES])
def test_every_method_goes_out_and_those_that_write_carry_the_key(remote: Remote, method: str) -> None:
    assert call(remote.on("/", as_json({})), method=method).error is None
    (seen,) = remote.seen
    assert seen.method == method and bool(seen.key) == (method in WRITES)
    assert not seen.key or seen.key.startswith(f"{KEY}:")
    assert reaches_out(Node("a", "http", {"method": method})) == (method in WRITES)


def test_an_expression_for_the_method_may_change_something_out_there() -> None:
    assert reaches_out(Node("a", "http", {"method": "{{ input.method }}"})) and not reaches_out(Node("a", "http", {}))


def test_the_key_is_the_same_each_time_and_can_be_left_out_or_given(remote: Remote) -> None:
    url = remote.on("/", as_json({}))
    call(url, method="POST")
    call(url, method="POST")
    call(url, method="POST", idempotency=False)
    call(url, method="POST", headers=[{"name": "idempotency-key", "value": "mine"}])
    assert [seen.key for seen in remote.seen] == [head.key(KEY), head.key(KEY), "", "mine"]


def test_another_installation_has_other_keys(settings: Any) -> None:
    before = head.key(KEY)
    settings.SECRET_KEY = "another one"
    assert head.key(KEY) != before


QUERY = [
    {"name": "q", "value": "a b&c=ü"},
    {"name": "n", "value": 5},
    {"name": "yes", "value": True},
    {"name": "empty", "value": ""},
    {"name": "none", "value": None},
    {"name": "tag", "value": ["x", "y"]},
]


def test_the_query_is_added_to_what_stands_in_the_url(remote: Remote) -> None:
    remote.on("/find", as_json({}))
    call(f"{remote.url}/find?signed=%2Fa%20b", query=QUERY)
    assert remote.seen[0].target == ("/find?signed=%2Fa%20b&q=a%20b%26c%3D%C3%BC&n=5&yes=true&empty=&tag=x&tag=y")


def test_an_expression_may_give_query_and_headers_as_an_object(remote: Remote) -> None:
    call(remote.on("/", as_json({})), query={"a": 1}, headers={"X-Trace": "t"})
    assert remote.seen[0].target == "/?a=1" and remote.seen[0].headers["x-trace"] == "t"


def test_headers_go_along_and_a_list_goes_as_several(remote: Remote) -> None:
    headers = [{"name": "Accept", "value": "text/csv"}, {"name": "X-N", "value": 5}, {"name": "X-None", "value": None}]
    call(remote.on("/", as_json({})), headers=headers)
    seen = remote.seen[0].headers
    assert (seen["accept"], seen["x-n"], seen["user-agent"]) == ("text/csv", "5", "Stepstream") and "x-none" not in seen


@pytest.mark.parametrize(
    ("body", "content", "sent", "content_type"),
    [
        ("json", {"a": "ü", "n": [1, None]}, '{"a":"ü","n":[1,null]}', "application/json"),
        ("json", ["a"], '["a"]', "application/json"),
        ("json", "Ada", '"Ada"', "application/json"),
        ("json", ' {"a": 1}', '{"a":1}', "application/json"),
        ("json", 0, "0", "application/json"),
        ("json", False, "false", "application/json"),
        ("form", {"a": "x y", "b": [1, 2], "c": None}, "a=x+y&b=1&b=2", "application/x-www-form-urlencoded"),
        ("form", "a=1&b=2", "a=1&b=2", "application/x-www-form-urlencoded"),
        ("text", "Grüße", "Grüße", "text/plain; charset=utf-8"),
        ("text", {"a": 1}, '{"a":1}', "text/plain; charset=utf-8"),
        ("text", "", "", "text/plain; charset=utf-8"),
        ("none", {"a": 1}, "", None),
    ],
)
def test_a_body_goes_out_as_it_was_chosen(
    remote: Remote, body: str, content: Any, sent: str, content_type: str | None
) -> None:
    assert call(remote.on("/", as_json({})), method="POST", body=body, content=content).error is None
    (seen,) = remote.seen
    assert seen.body.decode() == sent and seen.headers.get("content-type") == content_type
    assert seen.headers["content-length"] == str(len(sent.encode()))


def test_a_header_says_another_content_type(remote: Remote) -> None:
    header = {"name": "content-type", "value": "application/vnd.api+json"}
    call(remote.on("/", as_json({})), method="POST", body="json", content={}, headers=[header])
    assert remote.seen[0].headers["content-type"] == "application/vnd.api+json"


def test_a_file_of_the_workflow_goes_out_by_path_or_by_reference(remote: Remote, files: Area) -> None:
    kept = files.save("in/a.pdf", b"%PDF \x00\xff", "application/pdf")
    url = remote.on("/", as_json({}))
    for content in ("in/a.pdf", kept):
        assert call(url, method="PUT", body="file", content=content, files=files).error is None
        assert remote.seen[-1].body == b"%PDF \x00\xff" and remote.seen[-1].headers["content-type"] == "application/pdf"
    assert "no file" in call(url, method="PUT", body="file", content="in/b.pdf", files=files).error.message


def test_a_file_cannot_bring_headers_along(remote: Remote, files: Area) -> None:
    files.save("a.txt", b"x")
    content = {"file": "a.txt", "content_type": "text/plain\r\nX-Admin: yes"}
    error = call(remote.on("/", as_json({})), method="PUT", body="file", content=content, files=files).error
    assert error.is_permanent and remote.seen == []


def test_more_than_a_request_may_have_is_refused(remote: Remote) -> None:
    url = remote.on("/", as_json({}))
    error = call(url, query=[{"name": "id", "value": list(range(5_000))}]).error
    assert error.is_permanent and "at most 8,192 are sent" in error.message
    error = call(url, headers=[{"name": "X", "value": ["y" * 8_000] * 9}]).error
    assert error.is_permanent and "65,536 are the most" in error.message and remote.seen == []


# Secrets


SECRETS = [
    ("bearer", "", "authorization", "Bearer s3cret-value"),
    ("basic", "ada", "authorization", "Basic " + base64.b64encode(b"ada:s3cret-value").decode()),
    ("basic", "", "authorization", "Basic " + base64.b64encode(b":s3cret-value").decode()),
    ("header", "X-API-Key", "x-api-key", "s3cret-value"),
]


@pytest.mark.parametrize(("auth", "name", "header", "value"), SECRETS)
def test_a_secret_lets_it_in(remote: Remote, auth: str, name: str, header: str, value: str) -> None:
    secrets = {f"TOKEN for 127.0.0.1:{remote.port}": "s3cret-value\n"}
    config = {"auth": auth, "auth_name": name, "secret": "TOKEN", "headers": [{"name": header, "value": "typed"}]}
    done = call(remote.on("/", as_json({})), secrets=secrets, **config)
    assert remote.seen[0].headers[header] == value.replace("\n", "")
    assert done.error is None and "s3cret" not in repr(done)
    assert any("everybody on the way can read it" in line for line in done.lines)


def test_a_secret_in_the_query_is_shown_nowhere(remote: Remote) -> None:
    secrets = {f"TOKEN for 127.0.0.1:{remote.port}": "s3cret/value"}
    how = {"auth": "query", "auth_name": "k", "secret": "TOKEN", "query": [{"name": "a", "value": 1}]}
    done = call(remote.on("/", as_json({})), secrets=secrets, **how)
    assert remote.seen[0].target == "/?a=1&k=s3cret%2Fvalue"
    assert done.response["url"] == f"{remote.url}/?a=1&k=…" and "s3cret" not in repr(done)
    failed = call(remote.on("/", as_json({}, 500)), secrets=secrets, **how)
    assert "s3cret" not in repr(failed) + str(failed.error) + repr(failed.error.details)


@pytest.mark.parametrize("value", ["two\r\nlines", "nul\x00", "ünïcode"])
def test_a_secret_that_no_header_takes_is_not_sent_and_not_shown(remote: Remote, value: str) -> None:
    done = call(remote.on("/"), secrets={f"T for 127.0.0.1:{remote.port}": value}, auth="bearer", secret="T")
    assert done.error.is_permanent and "no header may have" in done.error.message
    assert value not in repr(done) + str(done.error) and remote.seen == []


def test_what_looks_like_a_secret_in_a_typed_query_is_not_shown(remote: Remote) -> None:
    remote.on("/", as_json({}))
    done = call(f"{remote.url}/?api_key=abc123&access_token=def456&keyword=shoes&monkey=1")
    assert done.lines[0] == f"GET {remote.url}/?api_key=…&access_token=…&keyword=shoes&monkey=1"
    assert remote.seen[0].target.startswith("/?api_key=abc123&")


def test_data_cannot_choose_a_secret() -> None:
    assert "secret" in kinds()["http"].literal
    assert config_errors(kinds()["http"], {"url": "https://a.example/", "auth": "bearer", "secret": "{{ input.s }}"})


# What comes in


@pytest.mark.parametrize(
    ("content_type", "body", "read"),
    [
        ("application/json", b'{"a": 1}', {"a": 1}),
        ("application/json; charset=utf-8", b"\xef\xbb\xbf[1]", [1]),
        ("application/problem+json", b"null", None),
        ("text/json", b'"x"', "x"),
        ("application/json; charset=iso-8859-1", b'"\xfc"', "ü"),
        ("text/plain", b"abc", "abc"),
        ("text/html; charset=iso-8859-1", b"<p>\xfc</p>", "<p>ü</p>"),
        ("text/csv; charset=nonsense", "ü".encode(), "ü"),
        *(
            (f"text/csv; charset={name}", b"x-\\x41", "x-\\x41")
            for name in ("zip", "idna", "punycode", "unicode_escape")
        ),
        ("text/plain", b"\xff\x00", "\ufffd\ufffd"),
        ("application/xml", b"<a/>", "<a/>"),
        ("application/atom+xml", b"<a/>", "<a/>"),
        ("", b"plain", "plain"),
        ("application/json", b"", None),
        ("text/plain", b"", None),
    ],
)
def test_an_answer_is_read_by_what_it_says_that_it_is(
    remote: Remote, content_type: str, body: bytes, read: Any
) -> None:
    headers: dict[str, Any] = {"content_type": content_type} if content_type else {}
    assert call(remote.on("/", answer(body, **headers))).response["body"] == read


def test_an_answer_is_read_as_it_was_chosen(remote: Remote) -> None:
    url = remote.on("/", answer('{"a": 1}', content_type="text/html"))
    assert call(url, answer="json").response["body"] == {"a": 1}
    assert call(url, answer="text").response["body"] == '{"a": 1}'


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<html><title>Sign in</title>", "Expecting value at line 1, column 1"),
        (b'{"a": 1', "line 1, column"),
        (b'{"a": NaN}', "NaN is not a JSON value"),
        (b"\xff\xfe\xfa", "not valid JSON"),
        (b"[" * 100_000, "nested too deep"),
        (b"9" * 5_000, "not valid JSON"),
    ],
)
def test_what_is_no_json_is_an_error_that_says_where(remote: Remote, body: bytes, why: str) -> None:
    url = remote.on("/", answer(body, content_type="text/html"))
    error = call(url, answer="json").error
    assert why in error.message and f"GET {url} answered 200 OK with “text/html”" in error.message
    assert not error.is_permanent and len(error.details["body"]) <= 2_000
    assert not call(url, answer="json", method="POST").error.is_permanent
    assert call(url, answer="json", method="POST", idempotency=False).error.is_permanent


def test_a_download_becomes_a_file_of_the_workflow(remote: Remote, files: Area) -> None:
    content = bytes(range(256)) * 10
    url = remote.on("/files/report%202.pdf", answer(content, content_type="application/pdf"))
    for how in ("automatic", "file"):
        kept = call(url, files=files, answer=how).response["body"]
        assert kept["file"] == "http/12-fetch/report 2.pdf" and kept["size"] == len(content)
        assert files.read(kept["file"]) == content
    assert call(url, files=files, file="mine/a.pdf").response["body"]["file"] == "mine/a.pdf"


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="a b.csv"', "a b.csv"),
        ("attachment; filename=a.csv", "a.csv"),
        ("attachment; filename=\"x.csv\"; filename*=UTF-8''gr%C3%BC%C3%9Fe.csv", "grüße.csv"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="..\\\\..\\\\boot.ini"', "boot.ini"),
        ("attachment; filename*=UTF-8''..%2F..%2Fx", "x"),
        ('attachment; filename="..."', "get"),
        ('attachment; filename=".htaccess"', "htaccess"),
        ('attachment; filename="a\tb?.csv"', "a_b_.csv"),
        (f'attachment; filename="{"a" * 300}.csv"', "a" * 117 + ".csv"),
        ("", "get"),
    ],
)
def test_a_file_has_a_name_that_leads_nowhere_else(remote: Remote, files: Area, disposition: str, name: str) -> None:
    headers: dict[str, Any] = {"content_disposition": disposition} if disposition else {}
    kept = call(remote.on("/get", answer(b"\x00\x01", content_type="application/octet-stream", **headers)), files=files)
    assert kept.response["body"]["file"] == f"http/12-fetch/{name}"


def test_a_path_out_of_the_workflows_files_is_refused(remote: Remote, files: Area) -> None:
    error = call(remote.on("/", answer(b"x")), answer="file", file="../../x", files=files).error
    assert error.is_permanent and "../../x" in error.message


def test_a_head_and_an_empty_answer_have_no_body(remote: Remote) -> None:
    head_only = said(b"", content_type="application/json").replace(b"Content-Length: 0", b"Content-Length: 99999999")
    assert call(remote.on("/", raw(head_only, close=False)), method="HEAD").response["body"] is None
    assert call(remote.on("/", answer(status=204, reason="No Content", content_length=None))).response["body"] is None


def test_twice_the_same_header_is_joined(remote: Remote) -> None:
    text = b"HTTP/1.1 200 OK\r\nLink: a\r\nLink: b\r\nSet-Cookie: x=1\r\nContent-Length: 0\r\n\r\n"
    assert call(remote.on("/", raw(text, close=False))).response["headers"] == {"link": "a, b", "content-length": "0"}


# What publishing refuses

URL = "https://api.example.com/"


@pytest.mark.parametrize(
    ("config", "field", "why"),
    [
        ({}, "url", "URL is required."),
        ({"url": ""}, "url", "The URL is empty."),
        ({"url": "api.example.com"}, "url", "must begin with https://"),
        ({"url": "http://10.0.0.1/"}, "url", "inside this network"),
        ({"url": 5}, "url", "URL must be text; it is 5."),
        ({"url": "https://ada:pw@example.com/"}, "url", "choose a secret"),
        ({"url": URL, "method": "FETCH"}, "method", "must be one of"),
        ({"url": URL, "method": "TRACE"}, "method", "must be one of"),
        ({"url": URL, "headers": [{"name": "A B", "value": "x"}]}, "headers", "no name of a header"),
        ({"url": URL, "headers": [{"name": "", "value": "x"}]}, "headers", "no name of a header"),
        ({"url": URL, "headers": [{"name": "A", "value": "x\r\nB: y"}]}, "headers", "U+000D"),
        ({"url": URL, "headers": [{"name": "A\r\nB", "value": "x"}]}, "headers", "no name of a header"),
        ({"url": URL, "headers": [{"name": "A", "value": {"a": 1}}]}, "headers", "must be text or a number"),
        ({"url": URL, "headers": [{"name": "A", "value": "ü"}]}, "headers", "ASCII alone"),
        ({"url": URL, "headers": [{"name": "A", "value": "x" * 9_000}]}, "headers", "9,000 characters"),
        *(
            ({"url": URL, "headers": [{"name": name, "value": "x"}]}, "headers", "set by the step itself")
            for name in ("Host", "content-length", "Transfer-Encoding", "Connection", "Proxy-Authorization", "TE")
        ),
        ({"url": URL, "query": [{"name": "a", "value": {"b": 1}}]}, "query", "must be text or a number"),
        ({"url": URL, "query": "a=1"}, "query", "must be a list"),
        ({"url": URL, "query": [{"value": "x"}]}, "query.0.name", "is required"),
        ({"url": URL, "body": "json"}, "content", "Content is empty"),
        ({"url": URL, "body": "json", "content": '{"a": }'}, "content", "line 1, column 7"),
        ({"url": URL, "body": "form", "content": [1]}, "content", "A form is an object"),
        ({"url": URL, "body": "form", "content": {"a": {"b": 1}}}, "content", "must be text or a number"),
        ({"url": URL, "body": "file", "content": {"a": 1}}, "content", "A file is a path"),
        ({"url": URL, "body": "xml"}, "body", "must be one of"),
        ({"url": URL, "auth": "bearer"}, "secret", "Choose a secret"),
        ({"url": URL, "auth": "header", "secret": "T"}, "auth_name", "by which name"),
        ({"url": URL, "auth": "header", "auth_name": "a b", "secret": "T"}, "auth_name", "no name of a header"),
        ({"url": URL, "auth": "header", "auth_name": "Host", "secret": "T"}, "auth_name", "by the step itself"),
        ({"url": URL, "auth": "basic", "auth_name": "a:b", "secret": "T"}, "auth_name", "colon"),
        ({"url": URL, "timeout_s": 0}, "timeout_s", "must be more than 0"),
        ({"url": URL, "timeout_s": 301}, "timeout_s", "at most 300 seconds (HTTP_SECONDS)"),
        ({"url": URL, "timeout_s": "nan"}, "timeout_s", "Time limit"),
        ({"url": URL, "timeout_s": "soon"}, "timeout_s", "must be a number"),
        *(
            ({"url": URL, "expect": text}, "expect", "Expected statuses")
            for text in ("", "2", "2xx,", "600", "abc", "200-", "300-200", "2xx 3xx", "99")
        ),
        ({"url": URL, "answer": "xml"}, "answer", "must be one of"),
        ({"url": URL, "save_as": "a b"}, "save_as", "Save as"),
    ],
)
def test_what_is_wrong_in_the_settings_is_said_at_its_field(config: dict[str, Any], field: str, why: str) -> None:
    found = dict(config_errors(kinds()["http"], config))
    assert field in found and why in found[field], found
    with pytest.raises(ValidationError):
        make(Node("a", "http", config))


@pytest.mark.parametrize("expect", ["2xx", "200", "200,404", "200-299, 404 , 5XX", "100-599"])
def test_statuses_may_be_written_so(expect: str) -> None:
    assert config_errors(kinds()["http"], {"url": URL, "expect": expect}) == []


def test_its_presets_are_in_the_list_of_steps() -> None:
    labels = [preset.label for preset in kinds()["http"].presets]
    assert labels == ["Get JSON", "Post JSON", "Download a file", "GraphQL"]
    assert json.dumps([dict(preset.config) for preset in kinds()["http"].presets])


def test_a_process_without_http_steps_does_not_load_the_library(tmp_path: Path) -> None:
    program = "import django, sys; django.setup(); import executions.worker; print('httpx' in sys.modules)"
    env = {**os.environ, "DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "workflowsite.settings"}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
