"""A misconfiguration is said at the start, in a sentence, and not found by a traceback at noon."""

import ipaddress
import sqlite3
import ssl
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from workflows.errors import VaultError
from workflows.outgoing.addresses import rules
from workflows.secrets import vault


@register()
def debug_stays_at_home(app_configs: Any, **kwargs: Any) -> list[Error]:
    if not settings.DEBUG or _is_loopback(settings.HOST):
        return []
    hint = "Leave DEBUG unset, or serve on HOST=127.0.0.1."
    return [
        Error(
            f"DEBUG shows source code and settings, and HOST={settings.HOST} is open to others.", hint, id="site.E001"
        )
    ]


@register()
def public_url_is_an_origin(app_configs: Any, **kwargs: Any) -> list[Error]:
    url = urlsplit(settings.PUBLIC_URL)
    if not settings.PUBLIC_URL or (url.scheme in {"http", "https"} and url.hostname and not url.path):
        return []
    hint = "For example PUBLIC_URL=https://flow.example.org, without a path."
    return [Error(f"PUBLIC_URL={settings.PUBLIC_URL} is not the address of a site.", hint, id="site.E002")]


@register()
def sqlite_can_answer(app_configs: Any, **kwargs: Any) -> list[Error]:
    if sqlite3.sqlite_version_info >= (3, 35):
        return []
    hint = "Use a Python that is built with a newer SQLite, or PostgreSQL (DATABASE_URL)."
    return [Error(f"SQLite {sqlite3.sqlite_version} has no RETURNING; 3.35 is needed.", hint, id="site.E003")]


@register()
def keys_can_be_read(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """What can be said without the database; whether they are the right ones is asked at the start."""
    file = vault.key_file()
    if not settings.MASTER_KEYS and not file.exists():
        return []
    try:
        vault.vault()
    except VaultError as error:
        return [Error(error.message, "`manage.py rotate_keys --new` prints how a key looks.", id="site.E004")]
    if not settings.MASTER_KEYS and file.stat().st_mode & 0o077:
        return [Warning(f"Others on this machine may read {file}.", f"chmod 600 {file}", id="site.W001")]
    return []


@register()
def allowed_addresses_can_be_read(app_configs: Any, **kwargs: Any) -> list[Error]:
    try:
        rules(tuple(settings.HTTP_ALLOW))
    except ValueError as error:
        hint = "For example HTTP_ALLOW=10.1.0.0/16:443,127.0.0.1:11434"
        return [Error(f"HTTP_ALLOW: {error}", hint, id="site.E010")]
    return []


@register()
def authorities_can_be_read(app_configs: Any, **kwargs: Any) -> list[Error]:
    if not settings.HTTP_CA_FILE:
        return []
    try:
        ssl.create_default_context().load_verify_locations(cafile=settings.HTTP_CA_FILE)
    except OSError as error:  # what is no certificate, too
        hint = "It takes the path of a file with certificates in PEM format."
        return [Error(f"HTTP_CA_FILE={settings.HTTP_CA_FILE} cannot be read: {error}.", hint, id="site.E011")]
    return []


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
