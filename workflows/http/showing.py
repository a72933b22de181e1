"""How an address is shown in the log and in errors: without what looks like a secret in its query. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote_plus, urlsplit

SECRETIVE = re.compile(
    r"(^|[_.-])(key|api_?key|token|secret|password|passwd|pwd|pass|auth|sig|signature|credentials?|code|session|jwt)($|[_.-])"
    r"|apikey|token$|secret$|password$|signature$",
    re.IGNORECASE,
)
LONGEST = 300  # characters


def shown(url: object, *hidden: str) -> str:
    """`hidden`: names of the query whose values nobody may see, besides those that look so."""
    parts = urlsplit(str(url))
    names = {name.casefold() for name in hidden}
    query = "&".join(_shown(pair, names) for pair in parts.query.split("&"))
    return parts._replace(query=query, fragment="").geturl()


def in_short(url: object, *hidden: str, hide: Callable[[str], str] = str) -> str:
    text = hide(shown(url, *hidden))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def in_bytes(size: int) -> str:
    """1,234,567 -> “1.2 MB”."""
    if size < 1_000:
        return f"{size} bytes"
    return f"{size / 1_000:.1f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"


def _shown(pair: str, names: set[str]) -> str:
    name, equals, _ = pair.partition("=")
    plain = unquote_plus(name)
    return f"{name}=…" if equals and (plain.casefold() in names or SECRETIVE.search(plain)) else pair
