"""Where a secret may go: hosts as people write them, and whether one of them is meant. Pure, no Django.

“api.example.com” is that host at its usual ports, “api.example.com:8443” at this port alone, “*.example.com” every name
below it, “*” anywhere.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

ANYWHERE = "*"
USUAL_PORTS = ("", "80", "443")
MOST = 50
LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


def normal_pattern(text: str) -> str:
    """A host of the list in the one form in which it is kept. Raises ValueError with a sentence."""
    text = text.strip()
    if text == ANYWHERE:
        return text
    name, port = _parted(text)
    if name.startswith("*."):
        below = _normal_name(name[2:], text)
        if "." not in below or _is_address(below):
            raise ValueError(f"“{text[:80]}” would be a whole top level: write *.example.com.")
        return f"*.{below}{_colon(port)}"
    return f"{_normal_name(name, text)}{_colon(port)}"


def normal(text: str) -> str:
    """A host to which something is to be sent, in that form. Raises ValueError."""
    name, port = _parted(text.strip())
    return f"{_normal_name(name, text)}{_colon(port)}"


def allows(patterns: Iterable[str], host: str) -> bool:
    """Whether `host`, a name or a name and a port, is meant by one of these. What is no host never is."""
    try:
        name, port = _parted(normal(host))
    except ValueError:
        return False
    return any(_means(pattern, name, port) for pattern in patterns)


def _means(pattern: str, name: str, port: str) -> bool:
    if pattern == ANYWHERE:
        return True
    wanted, wanted_port = _parted(pattern)
    if port != wanted_port and not (not wanted_port and port in USUAL_PORTS):
        return False
    if wanted.startswith("*."):
        return name.endswith(wanted[1:]) and not _is_address(name)
    return name == wanted


def _parted(text: str) -> tuple[str, str]:
    """("[::1]:80") -> ("[::1]", "80"). Raises ValueError where that is no port, or this is more than a host."""
    if any(mark in text for mark in "/@?#\\ ") or not text.isprintable():
        raise ValueError(f"“{text[:80]}” is more than a host: write it like api.example.com or localhost:8080.")
    if text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]"  # a bare IPv6 address
    end = text.find("]") + 1
    name, rest = (text[:end], text[end:]) if end else (text.partition(":")[0], "".join(text.partition(":")[1:]))
    if not rest:
        return name, ""
    port = rest[1:]
    if rest[0] != ":" or not (port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65_536):
        raise ValueError(f"“{text[:80]}” has no port that there is: write it like localhost:8080.")
    return name, str(int(port))


def _colon(port: str) -> str:
    return f":{port}" if port else ""


def _normal_name(name: str, said: str) -> str:
    if name.startswith("["):
        return _normal_ipv6(name, said)
    name = _in_ascii(name.removesuffix("."), said).lower()
    if not name or len(name) > 253 or not all(LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError(f"“{said[:80]}” is no host: write it like api.example.com or localhost:8080.")
    return name


def _normal_ipv6(name: str, said: str) -> str:
    try:
        return f"[{ipaddress.IPv6Address(name[1:-1])}]"
    except ValueError:
        raise ValueError(f"“{said[:80]}” is no IPv6 address.") from None


def _in_ascii(name: str, said: str) -> str:
    """As it goes over the wire: “bücher.example” is xn--bcher-kva.example."""
    if name.isascii():
        return name
    import idna  # comes when it is used

    try:
        return idna.encode(name, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        raise ValueError(f"“{said[:80]}” is no host that there can be.") from None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
