"""The body of a request, out of the settings: JSON, a form, text, or one of the workflow's files."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Mapping
from typing import Any

from workflows.errors import InputError
from workflows.http import head
from workflows.steps.base import Files
from workflows.values import parse

EXAMPLES = {
    "json": 'such as {"name": "Ada"}',
    "form": 'such as {"name": "Ada"}',
    "text": "such as Hello",
    "file": "such as reports/2026.csv",
}


def check(kind: str, content: Any) -> None:
    """Raises ValueError where that cannot be sent so."""
    if kind == "none":
        return
    if content is None:
        raise ValueError(f"Content is empty: say what goes along, {EXAMPLES[kind]}, or choose “none” as the body.")
    if kind == "json":
        _json(content)
    elif kind == "form":
        if not isinstance(content, Mapping | str):
            raise ValueError(
                f"A form is an object of names and values, {EXAMPLES['form']}; this is {_quoted(content)}."
            )
        head.check_all(content.items() if isinstance(content, Mapping) else ())
    elif kind == "file" and not (isinstance(content, str) or _is_file(content)):
        raise ValueError(f"A file is a path, {EXAMPLES['file']}, or what a step gave as one; not {_quoted(content)}.")


def made(kind: str, content: Any, files: Files) -> tuple[bytes, str]:
    """The bytes and their content type. For a file in a thread: it reads a disk."""
    if kind == "json":
        return _as_json(_json(content)), "application/json"
    if kind == "form":
        sent = content.encode() if isinstance(content, str) else head.form(content.items())
        return sent, "application/x-www-form-urlencoded"
    if kind == "text":
        return content.encode() if isinstance(content, str) else _as_json(content), "text/plain; charset=utf-8"
    return _file(content, files) if kind == "file" else (b"", "")


def _json(content: Any) -> Any:
    """Text that begins like JSON is JSON, or an error that says where; other text is a value by itself."""
    if not isinstance(content, str) or content.lstrip()[:1] not in ("{", "["):
        return content
    try:
        return parse(content, "content")
    except InputError as error:
        raise ValueError(f"Content: {error.message}") from None


def _as_json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _file(content: Any, files: Files) -> tuple[bytes, str]:
    path = content["file"] if isinstance(content, Mapping) else content
    said = content.get("content_type") if isinstance(content, Mapping) else ""
    guessed = mimetypes.guess_type(path)[0]
    return files.read(path), said or guessed or "application/octet-stream"


def _is_file(content: Any) -> bool:
    return isinstance(content, Mapping) and isinstance(content.get("file"), str)


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:80]
