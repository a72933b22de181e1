"""What goes along with a request beside its body: headers, query, and what lets it in."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from django.utils.crypto import salted_hmac

from workflows.errors import WorkflowStepError
from workflows.outgoing.addresses import LONGEST_URL

if TYPE_CHECKING:
    import httpx

Headers = tuple[tuple[str, str], ...]
Pairs = list[tuple[str, Any]]

IDEMPOTENCY = "Idempotency-Key"
NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
LONGEST, LARGEST = 8_192, 65_536  # characters: of one value, of all headers
#: What the connection itself says; anybody else who says it can make one request look like two.
OURS = frozenset(
    (
        *("host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade"),
        *("te", "trailer", "expect", "accept-encoding"),
    )
)


def check(name: str, value: Any) -> None:
    """Of a header. Raises ValueError with a sentence."""
    if not NAME.fullmatch(name):
        raise ValueError(f"“{name[:80]}” is no name of a header: that has letters, digits and “-”.")
    if name.lower() in OURS or name.lower().startswith("proxy-"):
        raise ValueError(f"The header “{name}” is set by the step itself.")
    for text in _texts(name, value):
        if found := UNSENDABLE.search(text):
            raise ValueError(f"The header “{name}” has the character U+{ord(found[0]):04X}, which none may have.")
        if len(text) > LONGEST:
            raise ValueError(f"The header “{name}” has {len(text):,} characters; {LONGEST:,} are the most.")
        if not text.isascii():
            raise ValueError(f"The header “{name}” may have letters of ASCII alone; it is “{text[:40]}”.")


def made(pairs: Pairs, content_type: str) -> Headers:
    """`content_type`: that of the body, where no header says another."""
    found = tuple((name, text.strip(" \t")) for name, value in pairs for text in _texts(name, value))
    named = {name.lower() for name, _ in found}
    if (size := sum(len(name) + len(text) for name, text in found)) > LARGEST:
        text = f"The headers have {size:,} characters together; {LARGEST:,} are the most."
        raise WorkflowStepError(text, is_permanent=True)
    return found if not content_type or "content-type" in named else (("Content-Type", content_type), *found)


def with_query(url: httpx.URL, pairs: Pairs) -> httpx.URL:
    """What the URL has already stays as it is written, since it may be signed."""
    more = urlencode([(name, text) for name, value in pairs for text in _texts(name, value)], quote_via=quote)
    query = "&".join(part for part in (url.query.decode(), more) if part)
    if (size := len(str(url)) + len(more)) > LONGEST_URL:
        text = f"With its query the URL has {size:,} characters; at most {LONGEST_URL:,} are sent."
        raise WorkflowStepError(text, is_permanent=True)
    return url.copy_with(query=query.encode()) if more else url


def signed(headers: Headers, query: Pairs, auth: str, name: str, secret: str) -> tuple[Headers, Pairs]:
    """With what lets it in, in the place of a header of the same name. An end of line behind a secret is none of it."""
    secret = secret.strip("\r\n")
    if auth == "query":
        return headers, [*query, (name, secret)]
    if auth == "basic":
        secret = base64.b64encode(f"{name}:{secret}".encode()).decode()
    place = name if auth == "header" else "Authorization"
    value = {"bearer": "Bearer ", "basic": "Basic "}.get(auth, "") + secret
    if UNSENDABLE.search(value) or not value.isascii():
        raise WorkflowStepError(
            "The secret has a line break or a letter beyond ASCII, which no header may have.", is_permanent=True
        )
    return (*(pair for pair in headers if pair[0].lower() != place.lower()), (place, value)), query


def has_key(headers: Headers) -> bool:
    return any(name.lower() == IDEMPOTENCY.lower() for name, _ in headers)


def key(of_step: str) -> str:
    """The same over retries and crashes; of this installation, since others count their executions from 1 as well."""
    return f"{of_step}:{salted_hmac('workflows.http', 'idempotency').hexdigest()[:12]}"


def host_of(url: httpx.URL) -> str:
    """ "api.example.com", or "localhost:8080" where the port is not the usual one."""
    return url.netloc.decode()


def _texts(name: str, value: Any) -> Iterator[str]:
    """One value may be several, or none. Raises ValueError for an object."""
    for one in value if isinstance(value, list) else (value,):
        if isinstance(one, dict | list):
            raise ValueError(f"“{name[:80]}” must be text or a number, not {json.dumps(one)[:80]}.")
        if one is not None:
            yield one if isinstance(one, str) else json.dumps(one)


def check_all(pairs: Iterable[tuple[str, Any]]) -> None:
    """Of a query or a form: raises ValueError where a value is an object."""
    for name, value in pairs:
        list(_texts(name, value))


def form(pairs: Iterable[tuple[str, Any]]) -> bytes:
    return urlencode([(name, text) for name, value in pairs for text in _texts(name, value)]).encode()
