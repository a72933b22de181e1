"""Bytes that are text in some encoding, and back."""

from __future__ import annotations

import codecs
from typing import Any, Literal

from workflows.transform.wrong import MOST_BYTES, wrong

Encoding = Literal[
    "auto", "utf-8", "utf-8-sig", "utf-16", "windows-1252", "iso-8859-1", "iso-8859-15", "shift_jis", "gb18030"
]
ENCODINGS: dict[str, Any] = {
    "auto": "as it says itself, else UTF-8",
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 with a mark (BOM), as Excel wants it",
    "utf-16": "UTF-16",
    "windows-1252": "Windows-1252 (Western Europe)",
    "iso-8859-1": "ISO 8859-1 (Latin 1)",
    "iso-8859-15": "ISO 8859-15 (Latin 9)",
    "shift_jis": "Shift JIS",
    "gb18030": "GB 18030",
}
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def decoded(content: bytes, encoding: Encoding) -> str:
    """Raises WorkflowStepError with the first byte that does not fit. A mark at the beginning is no part of it."""
    name = (
        next((found for mark, found in MARKS if content.startswith(mark)), "utf-8") if encoding == "auto" else encoding
    )
    try:
        return content.decode("utf-8-sig" if name == "utf-8" else name)
    except UnicodeDecodeError as error:
        byte = f"0x{content[error.start]:02x}" if error.start < len(content) else "its end"
        raise wrong(
            f"The text is not in {ENCODINGS[name].partition(' with')[0]}: {byte} at byte {error.start + 1:,} does not "
            "fit. Choose its encoding; files of older Windows programs are often in Windows-1252.",
            byte=error.start,
        ) from None


def encoded(text: str, encoding: Encoding) -> bytes:
    try:
        return text.encode("utf-8" if encoding == "auto" else encoding)
    except UnicodeEncodeError as error:
        raise wrong(f"“{text[error.start]}” cannot be written in {ENCODINGS[encoding]}. Choose UTF-8.") from None


def require_small(size: int, what: str = "It", most: int = MOST_BYTES) -> None:
    if size > most:
        raise wrong(f"{what} has {size:,} bytes; at most {most // 1024 // 1024} MiB are possible.")
