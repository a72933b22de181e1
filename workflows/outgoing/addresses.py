"""Where this installation may connect to: addresses out there, and those inside that an administrator allows.

A list of our own decides, since Python's `is_global` lets through what leads inside by a detour (NAT64, 6to4) and
differs from one version to the next. Every connection of a step is checked here at the moment when it is dialled.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from django.conf import settings

from workflows.errors import AddressRefused, WorkflowStepError

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST_URL = 8_192  # characters
PUBLIC_6 = ipaddress.ip_network("2000::/3")  # all that is handed out to the world so far
INSIDE = tuple(
    ipaddress.ip_network(one)
    for one in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        "168.63.129.16/32",  # a cloud's own service address, which is otherwise a public one
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
        *("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16"),
        *("3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
    )
)
#: Above 1023, and yet not for the web: databases, queues, remote control.
NOT_WEB = frozenset(
    (
        *(1433, 1434, 1521, 1883, 2049, 2375, 2376, 2379, 2380, 3306, 3389, 4369, 5432, 5433, 5672, 5900, 5984, 5985),
        *(6000, 6379, 6380, 6432, 6667, 7000, 7001, 9042, 9092, 9200, 9300, 11211, 27017, 27018, 27019, 50000),
    )
)
HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?", re.IGNORECASE)
ENDS_IN_A_NUMBER = re.compile(r"(^|\.)(\d+|0x[0-9a-f]*)\.?$", re.IGNORECASE)
CONTROL = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]")

#: For look-ups, which cannot be cancelled: a slow name server must not hold the threads of everybody else.
_threads = ThreadPoolExecutor(8, "look up")
Asked = tuple[asyncio.AbstractEventLoop, str, int]
_asking: dict[Asked, asyncio.Future[list[str]]] = {}


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of HTTP_ALLOW. `port` None: every port."""

    network: Network
    port: int | None

    def covers(self, address: Address, port: int) -> bool:
        return self.port in (None, port) and address in self.network


def rules(texts: tuple[str, ...]) -> tuple[Rule, ...]:
    """HTTP_ALLOW as rules: “10.1.0.0/16:443”, “127.0.0.1:11434”, “[fd00::]/8:443”, “10.0.0.7:*”. Raises ValueError."""
    return tuple(map(_rule, texts))


def check_url(text: str) -> httpx.URL:
    """An address that may be called as far as its text tells; what its name leads to is checked at the connection.

    Raises AddressRefused, with a sentence for people.
    """
    import httpx

    text = text.strip()
    if not text:
        raise AddressRefused("The URL is empty.")
    if len(text) > LONGEST_URL:
        raise AddressRefused(f"The URL has {len(text):,} characters; at most {LONGEST_URL:,} are sent.")
    if found := CONTROL.search(text):
        raise AddressRefused(f"The URL has {_named(found[0])} at character {found.start() + 1}. Write %20 for a space.")
    scheme, _, rest = text.partition("://")
    if scheme.lower() not in ("http", "https"):
        raise AddressRefused(f"The URL must begin with https:// or http://; it is “{text[:80]}”.")
    if set("@\\") & set(re.split("[/?#]", rest, maxsplit=1)[0]):
        raise AddressRefused("The URL must not hold a user name or password: choose a secret for them instead.")
    try:
        url = httpx.URL(text)
        host = url.host and url.raw_host.decode()  # its first half refuses what pretends to be punycode
    except (httpx.InvalidURL, ValueError) as error:
        raise AddressRefused(f"The URL “{text[:80]}” cannot be read: {error}.") from None
    check_host(host, port_of(url))
    return url.copy_with(fragment=None)


def port_of(url: httpx.URL) -> int:
    return url.port if url.port is not None else 443 if url.scheme == "https" else 80


def check_host(host: str, port: int) -> None:
    """Before anything is looked up. Raises AddressRefused."""
    if not host:
        raise AddressRefused("The URL names no host.")
    if not 0 < port < 65_536:
        raise AddressRefused(f"There is no port {port}.")
    if address := literal(host):
        check_address(address, port, host)
    elif ":" in host or not HOST.fullmatch(host) or len(host) > 253:
        raise AddressRefused(f"“{host[:80]}” is no host name.")
    elif ENDS_IN_A_NUMBER.search(host):
        raise AddressRefused(f"“{host[:80]}” is no host name. An address is four decimal numbers, such as 192.0.2.1.")
    elif not _is_for_web(port) and not any(rule.port in (None, port) for rule in _allowed()):
        raise AddressRefused(_not_web(host, port))


def literal(host: str) -> Address | None:
    """The address that a host is, in the usual spelling; None for a name, and for odd spellings such as 0x7f.1."""
    try:
        return ipaddress.ip_address(host.strip("[]").removesuffix("."))
    except ValueError:
        return None


def check_address(address: Address, port: int, host: str) -> None:
    """Raises AddressRefused unless it is out there, or an administrator allows it. `host`: as people know it."""
    address = _without_detour(address)
    if any(rule.covers(address, port) for rule in _allowed()):
        return
    if is_inside(address):
        log.warning("Refused to connect to %s, which is %s, port %d: an address inside", host, address, port)
        raise AddressRefused(
            f"{_shown(host, port)} is an address inside this network, and steps may not connect to it. "
            f"{_how_to_allow(address, port, host)}"
        )
    if not _is_for_web(port):
        raise AddressRefused(_not_web(host, port))


def is_inside(address: Address) -> bool:
    """Whether it is no address of the public Internet."""
    address = _without_detour(address)
    if any(address in network for network in INSIDE if network.version == address.version):
        return True
    return isinstance(address, ipaddress.IPv6Address) and (address not in PUBLIC_6 or _is_tunnel(address))


async def look_up(host: str, port: int, timeout: float | None = None) -> list[str]:
    """The addresses to dial, all of them checked: one that is bad spoils the name. Raises WorkflowStepError."""
    check_host(host, port)
    try:
        async with asyncio.timeout(timeout):
            found = await asyncio.shield(_asked(host, port))
    except TimeoutError:
        raise WorkflowStepError(f"Nobody said in time where “{host}” is (DNS).") from None
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no host name"
        raise WorkflowStepError(f"There is no host “{host}”: {reason}.") from None
    if not found:
        raise WorkflowStepError(f"There is no host “{host}”: it has no address.")
    for address in found:
        check_address(ipaddress.ip_address(address), port, host)
    return found


def _asked(host: str, port: int) -> asyncio.Future[list[str]]:
    """Hundreds who want the same name at the same moment ask once."""
    loop = asyncio.get_running_loop()
    key = loop, host, port
    if key not in _asking:
        for old in [old for old in list(_asking) if old[0].is_closed()]:  # other threads have loops too
            _asking.pop(old, None)
        _asking[key] = asked = loop.run_in_executor(_threads, resolve, host, port)
        asked.add_done_callback(partial(_answered, key))
    return _asking[key]


def _answered(key: Asked, asked: asyncio.Future[list[str]]) -> None:
    _asking.pop(key, None)
    _ = asked.cancelled() or asked.exception()  # where nobody waits for it any more


def resolve(host: str, port: int) -> list[str]:
    """What the system says a name leads to, in its order. Raises OSError, and UnicodeError for what is no name."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]).partition("%")[0] for answer in answers))


def _without_detour(address: Address) -> Address:
    """::ffff:10.0.0.1 is 10.0.0.1, for whoever dials it and for whoever allows it."""
    return getattr(address, "ipv4_mapped", None) or address


def _is_tunnel(address: ipaddress.IPv6Address) -> bool:
    """ISATAP: its last half is 5efe and an IPv4 address, to which a router may unpack it."""
    return (int(address) >> 32) & 0xFDFF_FFFF == 0x5EFE


def _allowed() -> tuple[Rule, ...]:
    return _parsed(tuple(settings.HTTP_ALLOW))


@cache
def _parsed(texts: tuple[str, ...]) -> tuple[Rule, ...]:
    return rules(texts)


def _rule(text: str) -> Rule:
    network, colon, port = text.strip().rpartition(":")
    try:
        if not colon or network.count("[") != network.count("]"):
            raise ValueError("it has no port")
        number = None if port == "*" else int(port)
        if number is not None and not 0 < number < 65_536:
            raise ValueError("there is no such port")
        return Rule(ipaddress.ip_network(network.replace("[", "").replace("]", "")), number)
    except ValueError as error:
        raise ValueError(f"“{text}” is no address with a port, such as 10.1.0.0/16:443: {error}.") from None


def _is_for_web(port: int) -> bool:
    return port in (80, 443) or (port >= 1024 and port not in NOT_WEB)


def _not_web(host: str, port: int) -> str:
    return f"Port {port} is not for the web, so steps may not connect to “{host}” there."


def _shown(host: str, port: int) -> str:
    return f"“{host}”, port {port},"


def _how_to_allow(address: Address, port: int, host: str) -> str:
    """Who typed an address knows it; what a name leads to inside is for the server's log alone."""
    if literal(host):
        return f"An administrator can allow it: HTTP_ALLOW={f'[{address}]' if address.version == 6 else address}:{port}"
    return "An administrator can allow it: HTTP_ALLOW takes its address and port, which stand in the server's log."


def _named(character: str) -> str:
    return "a space" if character == " " else f"the character U+{ord(character):04X}"
