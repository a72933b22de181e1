"""Digests, signatures and encodings of a text. A signature's key comes as bytes and goes nowhere."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import uuid
from typing import Literal

from workflows.comparison import said
from workflows.transform.wrong import wrong

Algorithm = Literal["sha256", "sha512", "sha1", "md5"]
Encoding = Literal["hex", "base64"]
NAMESPACE = uuid.UUID("8c1d1c2e-5a0e-5f0a-9d57-3d6f6b0e1f00")  # of numbers made from a text alone


def digest(value: bytes, algorithm: Algorithm, encoding: Encoding) -> str:
    return _written(hashlib.new(algorithm, value, usedforsecurity=False).digest(), encoding)


def signature(value: bytes, key: bytes, algorithm: Algorithm, encoding: Encoding) -> str:
    return _written(hmac.new(key, value, algorithm).digest(), encoding)


def _written(value: bytes, encoding: Encoding) -> str:
    return value.hex() if encoding == "hex" else base64.b64encode(value).decode()


def from_base64(value: str) -> bytes:
    """Also the form for addresses, and without its filling. Raises WorkflowStepError."""
    bare = "".join(value.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise wrong(f"Expected Base64 such as SGVsbG8=; it is {said(value)}.") from None


def unique(value: str) -> str:
    """Always the same for the same text (UUID version 5)."""
    return str(uuid.uuid5(NAMESPACE, value))
