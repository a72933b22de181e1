"""Addresses of mail as people write them, checked before anything goes out. No network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import formataddr, getaddresses
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator

BREAK = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")
_is_address = EmailValidator(allowlist=["localhost"])


@dataclass(frozen=True, slots=True)
class Address:
    name: str
    address: str

    def __str__(self) -> str:
        """As it stands in a message's head."""
        return formataddr((self.name, self.address))


def addresses(value: Any, what: str) -> list[Address]:
    """Each once, of a text with commas between or of a list of them. Raises ValueError that names `what`."""
    found = {one.address.casefold(): one for text in _texts(value, what) for one in _parsed(text, what)}
    return list(found.values())


def line(text: str, what: str) -> str:
    """Raises ValueError where it would become more than one line of a message's head."""
    if BREAK.search(text):
        raise ValueError(f"{what} must be one line, without control characters; it is {text[:80]!r}.")
    return text


def _texts(value: Any, what: str) -> list[str]:
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, list):
        return [text for one in value for text in _texts(one, what)]
    raise ValueError(f"{what} must be addresses such as ada@example.org, not {str(value)[:80]}.")


def _parsed(text: str, what: str) -> list[Address]:
    line(text, what)
    found = [Address(name.strip(), address.strip()) for name, address in getaddresses([text])]
    for one in found or [Address("", "")]:
        try:
            _is_address(one.address)
        except ValidationError:
            text = f"{what}: “{(one.address or text)[:120]}” is no mail address, such as ada@example.org."
            raise ValueError(text) from None
    return found
