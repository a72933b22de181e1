"""Where a model is found: its provider, its name there, and the address that is asked. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

MOCK = "mock"
OPENAI: Final = "openai"
ANTHROPIC: Final = "anthropic"
COMPATIBLE: Final = "openai-compatible"
Provider = Literal["openai", "anthropic", "openai-compatible"]

OWN_ADDRESSES: dict[Provider, str] = {OPENAI: "https://api.openai.com/v1", ANTHROPIC: "https://api.anthropic.com"}
NAMED: dict[str, Provider] = {OPENAI: OPENAI, ANTHROPIC: ANTHROPIC, COMPATIBLE: COMPATIBLE}
BARE: tuple[tuple[re.Pattern[str], Provider], ...] = (  # names that say themselves whose they are
    (re.compile(r"(gpt|chatgpt)-|o\d"), OPENAI),
    (re.compile(r"claude-"), ANTHROPIC),
)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`base_url` has no slash at its end. `is_own`: it is the address that the provider itself has."""

    provider: Provider
    model: str
    base_url: str
    is_own: bool

    @property
    def name(self) -> str:
        return f"{self.provider}:{self.model}"

    @property
    def host(self) -> str:
        """As a secret's list of hosts has it: the port only where it is not the usual one."""
        parts = urlsplit(self.base_url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        return f"{host}:{parts.port}" if parts.port not in (None, PORTS[parts.scheme]) else host


def endpoint(model: str, base_url: str = "") -> Endpoint | None:
    """None is the mock. `base_url` is one that may be called. Raises ValueError with a sentence."""
    if model == MOCK:
        return None
    provider, name = split(model)
    if "?" in base_url:
        raise ValueError("It must end with its path, without “?”.")
    if base_url:
        return Endpoint(provider, name, base_url.rstrip("/"), is_own=False)
    if provider == COMPATIBLE:
        raise ValueError("It is required for openai-compatible, such as http://localhost:11434/v1.")
    return Endpoint(provider, name, OWN_ADDRESSES[provider], is_own=True)


def split(model: str) -> tuple[Provider, str]:
    """“openai:gpt-5-mini” by its prefix; “gpt-5-mini” by its look. Raises ValueError."""
    prefix, colon, name = model.partition(":")
    provider = NAMED.get(prefix) if colon else next((one for look, one in BARE if look.match(model)), None)
    name = name if colon else model
    if provider is None or not NAME.fullmatch(name):
        raise ValueError(
            f"Model must be “mock”, or a provider and its model: openai:…, anthropic:… or openai-compatible:…, such as "
            f"openai:gpt-5-mini; it is {f'“{model[:80]}”' if model else 'empty'}."
        )
    return provider, name
