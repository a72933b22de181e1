"""How a secret is encrypted: AES-256-GCM with a key of its own, which is derived from a master key. Knows no rows.

Each sealed text has a salt of its own, from which HKDF makes the key that encrypts it and nothing else. That is as good
as a random key that the master key wraps, with less to keep: no nonce can meet another one under the same key, and
since values are small, a rotation writes them anew. `bound` says what a text belongs to (which row, whose, under which
name, which version of it): put elsewhere, it cannot be opened.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings

from workflows.errors import VaultError

KEY_BYTES, SALT_BYTES, NONCE_BYTES = 32, 16, 12
FORM = "1"  # of a sealed text: "1.<id of the master key>.<salt, nonce and ciphertext>"
FILE = "master.key"


@dataclass(frozen=True)
class Key:
    """A master key. Its `id` tells nothing of it."""

    material: bytes = field(repr=False)

    @cached_property
    def id(self) -> str:
        return hmac.new(self.material, b"stepstream: the id of this key", hashlib.sha256).hexdigest()[:16]

    @property
    def text(self) -> str:
        return base64.b64encode(self.material).decode()


@dataclass(frozen=True)
class Vault:
    """The first key encrypts, all of them decrypt."""

    keys: tuple[Key, ...]

    @property
    def first(self) -> Key:
        return self.keys[0]

    def seal(self, text: str, bound: str) -> str:
        salt, nonce = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
        sealed = _cipher(self.first, salt).encrypt(nonce, text.encode(), bound.encode())
        return f"{FORM}.{self.first.id}.{base64.b64encode(salt + nonce + sealed).decode()}"

    def unseal(self, sealed: str, bound: str) -> str:
        """Raises VaultError where the key is not here, or the text was changed or belongs elsewhere."""
        from cryptography.exceptions import InvalidTag

        key = self._key_of(sealed)
        try:
            raw = base64.b64decode(sealed.rpartition(".")[2], validate=True)
            salt, nonce, body = raw[:SALT_BYTES], raw[SALT_BYTES:][:NONCE_BYTES], raw[SALT_BYTES + NONCE_BYTES :]
            return _cipher(key, salt).decrypt(nonce, body, bound.encode()).decode()
        except (InvalidTag, ValueError):
            raise VaultError("An encrypted value was changed, or was put where it does not belong.") from None

    def _key_of(self, sealed: str) -> Key:
        for key in self.keys:
            if key_id(sealed) == key.id:
                return key
        raise VaultError(f"The key {key_id(sealed)[:16] or 'of an encrypted value'} is not among the master keys.")


def key_id(sealed: str) -> str:
    """Of the master key that a sealed text needs; empty for what is none."""
    form, _, rest = sealed.partition(".")
    return rest.partition(".")[0] if form == FORM else ""


def new_key() -> Key:
    return Key(secrets.token_bytes(KEY_BYTES))


def vault() -> Vault:
    """With the keys of MASTER_KEYS, else those of the data folder's file, as it is now. Raises VaultError."""
    if settings.MASTER_KEYS:
        return _vault_of(settings.MASTER_KEYS, "MASTER_KEYS")
    file = key_file()
    try:
        stat = file.stat()
    except OSError as error:
        raise VaultError(f"The key of the secrets, {file}, cannot be read: {error.strerror}.") from None
    return _vault_in(file, stat.st_ino, stat.st_mtime_ns, stat.st_size)


def key_file() -> Path:
    return Path(settings.DATA_DIR) / FILE


@lru_cache(maxsize=4)
def _vault_in(file: Path, *version: int) -> Vault:
    """Kept until the file is another one: a rotation beside a server that runs is seen at once."""
    try:
        return _vault_of(file.read_text(encoding="ascii"), str(file))
    except (OSError, UnicodeDecodeError):
        raise VaultError(f"The key of the secrets, {file}, cannot be read as text.") from None


@lru_cache(maxsize=4)
def _vault_of(text: str, place: str) -> Vault:
    lines = [line.partition("#")[0] for line in text.splitlines()]
    words = " ".join(lines).replace(",", " ").split()
    return Vault(tuple(_parsed(words, place)))


def _parsed(words: list[str], place: str) -> Iterable[Key]:
    if not words:
        raise VaultError(f"{place} holds no key: it must be {KEY_BYTES} random bytes as base64.")
    for number, word in enumerate(words, 1):
        try:
            material = base64.b64decode(word.replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            material = b""
        if len(material) != KEY_BYTES:
            raise VaultError(f"{place}: key {number} is not {KEY_BYTES} bytes as base64, which is 44 characters.")
        yield Key(material)


def _cipher(key: Key, salt: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, b"stepstream: one secret").derive(key.material))
