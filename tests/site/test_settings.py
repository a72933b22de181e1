"""What the environment chooses. Each case is a fresh process: settings are read once in a process's life."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from channels_redis.core import RedisChannelLayer
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from workflowsite import checks, database, mail

ROOT = Path(__file__).resolve().parents[2]
SHOW = """
import json, sys, workflowsite.settings as s
print(json.dumps({name: getattr(s, name) for name in sys.argv[1:]}, default=str))
"""


def start(data: Path, *names: str, **environment: str) -> "subprocess.Popen[str]":
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    command = [sys.executable, "-c", SHOW, *names]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**kept, "DATA_DIR": str(data), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def chosen(data: Path, *names: str, **environment: str) -> dict[str, Any]:
    said, complaint = start(data, *names, **environment).communicate()
    assert said, complaint
    settings: dict[str, Any] = json.loads(said)
    return settings


def test_the_secret_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    data = tmp_path / "new"
    first = chosen(data, "SECRET_KEY")
    assert len(first["SECRET_KEY"]) >= 50
    assert chosen(data, "SECRET_KEY") == first
    assert stat.S_IMODE((data / "secret_key").stat().st_mode) == 0o600
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert [file.name for file in data.iterdir()] == ["secret_key"]


def test_two_first_starts_at_once_agree_on_the_key(tmp_path: Path) -> None:
    starts = [start(tmp_path, "SECRET_KEY") for _ in range(4)]
    assert len({process.communicate()[0] for process in starts}) == 1


def test_a_key_from_the_environment_is_written_nowhere(tmp_path: Path) -> None:
    assert chosen(tmp_path, "SECRET_KEY", SECRET_KEY="given")["SECRET_KEY"] == "given"
    assert not list(tmp_path.iterdir())


def test_bare_it_is_safe_and_local(tmp_path: Path) -> None:
    names = ("DEBUG", "HOST", "PORT", "ALLOWED_HOSTS", "SESSION_COOKIE_SECURE", "SECURE_HSTS_SECONDS")
    values = chosen(tmp_path, *names).values()
    assert list(values) == [False, "127.0.0.1", 8000, ["localhost", "127.0.0.1", "[::1]", "127.0.0.1"], False, 0]


def test_https_in_public_turns_on_what_belongs_to_it(tmp_path: Path) -> None:
    names = (
        "SESSION_COOKIE_SECURE",
        "CSRF_COOKIE_SECURE",
        "SECURE_HSTS_SECONDS",
        "CSRF_TRUSTED_ORIGINS",
        "ALLOWED_HOSTS",
    )
    found = chosen(tmp_path, *names, "SESSION_COOKIE_NAME", PUBLIC_URL="https://flow.example.org/")
    assert found["SESSION_COOKIE_SECURE"] and found["CSRF_COOKIE_SECURE"]
    assert found["SECURE_HSTS_SECONDS"] > 0
    assert found["CSRF_TRUSTED_ORIGINS"] == ["https://flow.example.org"]
    assert "flow.example.org" in found["ALLOWED_HOSTS"]
    assert found["SESSION_COOKIE_NAME"].startswith("__Host-")


def test_http_in_public_does_not(tmp_path: Path) -> None:
    found = chosen(
        tmp_path,
        "SESSION_COOKIE_SECURE",
        "SECURE_HSTS_SECONDS",
        "SECURE_PROXY_SSL_HEADER",
        PUBLIC_URL="http://flow.lan",
    )
    assert list(found.values()) == [False, 0, None]


def test_more_hosts_and_apps_are_added_to_ours(tmp_path: Path) -> None:
    found = chosen(
        tmp_path, "ALLOWED_HOSTS", "INSTALLED_APPS", HOST="::", ALLOWED_HOSTS="a.lan, b.lan", EXTRA_APPS="one,two.apps"
    )
    assert found["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]", "[::]", "a.lan", "b.lan"]
    assert found["INSTALLED_APPS"][-3:] == ["executions", "one", "two.apps"]


def test_a_port_that_is_no_number_is_said(tmp_path: Path) -> None:
    _, complaint = start(tmp_path, "PORT", PORT="http").communicate()
    assert "PORT must be a whole number, not 'http'." in complaint


def test_sqlite_takes_the_write_lock_at_once_and_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    database = chosen(tmp_path, "DATABASES")["DATABASES"]["default"]
    assert database["NAME"] == str(tmp_path / "db.sqlite3")
    assert database["OPTIONS"] == {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA synchronous=FULL",
    }


def test_a_database_url_may_hold_a_space(tmp_path: Path) -> None:
    url = "sqlite:////somewhere/else%20again/db.sqlite3"
    assert (
        chosen(tmp_path, "DATABASES", DATABASE_URL=url)["DATABASES"]["default"]["NAME"]
        == "/somewhere/else again/db.sqlite3"
    )


def test_postgresql_is_pooled_and_keeps_no_connection_of_its_own(tmp_path: Path) -> None:
    url = "postgres://me:secret@db.lan:5433/flow?sslmode=require"
    database = chosen(tmp_path, "DATABASES", DATABASE_URL=url)["DATABASES"]["default"]
    assert (database["HOST"], database["PORT"], database["NAME"]) == ("db.lan", 5433, "flow")
    assert database["CONN_MAX_AGE"] == 0
    assert database["OPTIONS"] == {"pool": {"min_size": 1, "max_size": 8}, "sslmode": "require"}


def test_another_database_is_refused_without_telling_its_password(tmp_path: Path) -> None:
    _, complaint = start(tmp_path, "DATABASES", DATABASE_URL="mysql://me:secret@db.lan/flow").communicate()
    assert "must begin with one of sqlite, postgres, postgresql, not with mysql" in complaint
    assert "secret" not in complaint


def test_bells_stay_in_the_process_unless_redis_is_named(tmp_path: Path) -> None:
    assert "InMemory" in str(chosen(tmp_path, "CHANNEL_LAYERS"))
    layer = chosen(tmp_path, "CHANNEL_LAYERS", REDIS_URL="redis://cache.lan/2")["CHANNEL_LAYERS"]["default"]
    (host,) = layer["CONFIG"]["hosts"]
    assert host["address"] == "redis://cache.lan/2"
    assert host["socket_timeout"] > RedisChannelLayer.brpop_timeout  # else a quiet minute would end the listening


def test_debug_in_public_is_refused(settings: Any) -> None:
    settings.DEBUG, settings.HOST = True, "0.0.0.0"
    assert [error.id for error in checks.debug_stays_at_home(None)] == ["site.E001"]
    settings.HOST = "localhost"
    assert checks.debug_stays_at_home(None) == []


@pytest.mark.parametrize(
    "url", ["flow.example.org", "ftp://flow.example.org", "https://", "https://flow.example.org/sub"]
)
def test_a_public_url_that_is_no_origin_is_said(settings: Any, url: str) -> None:
    settings.PUBLIC_URL = url
    assert [error.id for error in checks.public_url_is_an_origin(None)] == ["site.E002"]


def test_every_answer_carries_a_policy_without_inline_code(client: Client, db: None) -> None:
    for path in ("/sign-in/", "/password/", "/nowhere/", "/admin/"):
        policy = client.get(path).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy


MAIL: dict[str, dict[str, Any]] = {
    "smtp://mail.example.org": {"EMAIL_PORT": 25, "EMAIL_USE_TLS": False, "EMAIL_HOST_USER": ""},
    "smtp+tls://ada%40x:s%2Fecret@mail.example.org": {
        "EMAIL_PORT": 587,
        "EMAIL_USE_TLS": True,
        "EMAIL_HOST_USER": "ada@x",
        "EMAIL_HOST_PASSWORD": "s/ecret",
    },
    "smtps://mail.example.org:4650": {"EMAIL_PORT": 4650, "EMAIL_USE_SSL": True},
    "file:///tmp/a%20b": {"EMAIL_FILE_PATH": "/tmp/a b"},
    "console:": {"EMAIL_BACKEND": "workflowsite.mail.Terminal"},
}


@pytest.mark.parametrize("url", MAIL)
def test_one_address_says_where_mail_goes(url: str) -> None:
    found = mail.settings_of(url)
    assert {name: found[name] for name in MAIL[url]} == MAIL[url]


@pytest.mark.parametrize(
    "url", ["smtp://", "mail.example.org", "smtp://u:hidden@h:port", "file:x", "http://h", "smtp://["]
)
def test_an_address_for_mail_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="EMAIL_URL must be one of these forms") as caught:
        mail.settings_of(url)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "shop=sqlite:////tmp/shop stock=postgres://u:p@h/stock",
        '{"shop": "sqlite:////tmp/shop", "stock": "postgres://h/a"}',
    ],
)
def test_other_databases_are_named_for_workflows(text: str, tmp_path: Path) -> None:
    found = chosen(tmp_path, "SQL_DATABASES", "SQL_WRITABLE", SQL_DATABASES=text, SQL_WRITABLE="stock, unknown")
    assert found == {"SQL_DATABASES": ["shop", "stock"], "SQL_WRITABLE": ["stock"]}


def test_our_own_database_is_open_to_workflows_only_on_purpose(tmp_path: Path) -> None:
    assert chosen(tmp_path, "SQL_DATABASES", "SQL_WRITABLE", SQL_WRITABLE="default") == {
        "SQL_DATABASES": [],
        "SQL_WRITABLE": [],
    }
    assert chosen(tmp_path, "SQL_DATABASES", SQL_DEFAULT="1") == {"SQL_DATABASES": ["default"]}


@pytest.mark.parametrize(
    "text", ["shop", "{", '{"a": 1}', "[]", "default=sqlite:///x", "a=mysql://u:hidden@h/x", "1=sqlite:///x"]
)
def test_names_of_databases_that_cannot_be_read_are_refused_without_passwords(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="SQL_DATABASES") as caught:
        database.opened_to_workflows(text)
    assert "hidden" not in str(caught.value)
