"""The HTTP client that steps share, one for each event loop: pooled connections, checked addresses, bounded bodies.

No proxies from the environment, no HTTP/2, no cookies, no redirects by itself, no compression unless it is asked for
(gzip is then unpacked up to the limit). The libraries are loaded at first use.
"""

from __future__ import annotations

import asyncio
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib import import_module
from typing import TYPE_CHECKING, Any

from django.conf import settings

from workflows.outgoing import transport
from workflows.outgoing.addresses import check_url

if TYPE_CHECKING:
    import ssl

    import httpx
    import httpx2

__all__ = ["check_url", "client", "client2", "close"]

_clients: dict[tuple[asyncio.AbstractEventLoop, str], Any] = {}


def client() -> httpx.AsyncClient:
    """This event loop's client; whoever uses it leaves it open. Its errors are httpx's, and those of outward.py."""
    return _shared("httpx", "httpcore")


def client2() -> httpx2.AsyncClient:
    """The same for libraries that have moved on to httpx2."""
    return _shared("httpx2", "httpcore2")


async def close() -> None:
    """Ends this event loop's connections; its next user gets a new client."""
    loop = asyncio.get_running_loop()
    for key in [key for key in list(_clients) if key[0] is loop]:
        await _clients.pop(key).aclose()


def _shared(library: str, core: str) -> Any:
    key = asyncio.get_running_loop(), library
    if key not in _clients:
        _forget_closed_loops()
        _clients[key] = _made(import_module(library), import_module(core))
    return _clients[key]


def _forget_closed_loops() -> None:
    """Loops come and go (asyncio.run); what stays open there went with them."""
    for key in list(_clients):  # other threads have loops too, which come and go meanwhile
        if key[0].is_closed():
            _clients.pop(key, None)


def _made(httpx: Any, httpcore: Any) -> Any:
    return httpx.AsyncClient(
        transport=transport.transport(httpx, httpcore, _certificates(settings.HTTP_CA_FILE)),
        timeout=httpx.Timeout(None, connect=settings.HTTP_CONNECT_SECONDS),
        headers={"Accept-Encoding": "identity", "User-Agent": "Stepstream"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # none: workflows share this client
        trust_env=False,
        follow_redirects=False,
    )


@cache
def _certificates(more: str) -> ssl.SSLContext:
    """Whom we believe: the public authorities, and those that an administrator adds in a file."""
    import httpx

    context = httpx.create_ssl_context(verify=True, trust_env=False)
    if more:
        context.load_verify_locations(cafile=more)
    return context
