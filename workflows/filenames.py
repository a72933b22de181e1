"""How a file of a workflow is named: pure, no Django and no disk.

A path comes from people, data and other systems, so it is checked part by part before anything looks at a disk.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from workflows.errors import WorkflowStepError

DEEPEST, LONGEST_PART, LONGEST = 8, 255, 1_000  # parts; bytes of one of them; bytes of the whole path


class FileError(WorkflowStepError):
    """This file cannot be used. Trying again would not help."""

    def __init__(self, message: str, path: object = "") -> None:
        super().__init__(message, {"path": str(path)[:LONGEST]} if path else {}, is_permanent=True)


class NoFile(FileError):
    """There is no such file."""

    def __init__(self, path: str) -> None:
        super().__init__(f"There is no file “{path}” in this workflow.", path)


def path_of(file: Any) -> str:
    """The path in “reports/2026.csv” or in the reference {"file": path, …} that stands for a file in the data."""
    path = file.get("file") if isinstance(file, Mapping) else file
    if not isinstance(path, str):
        raise FileError(f'A file is a path, or a reference such as {{"file": "a.csv"}}, not {str(file)[:80]}.')
    return path


def checked(path: str, *, is_folder: bool = False) -> str:
    """The path as it is kept. Raises FileError where it leaves the area, or could not be read again."""
    what = "folder" if is_folder else "file"
    if not isinstance(path, str) or not path.strip():
        raise FileError(f"The path of a {what} is text such as reports/2026.csv; it is empty or something else.")
    path = unicodedata.normalize("NFC", path)
    if why := _wrong(path):
        raise FileError(f"“{_shown(path)}” is not the path of a {what}: {why}.", _shown(path))
    return path


def _wrong(path: str) -> str:
    """Why this is no path inside an area; empty where it is one."""
    parts = path.split("/")
    if any(ord(letter) < 32 or ord(letter) == 127 or "\ud800" <= letter <= "\udfff" for letter in path):
        return "it holds a character that no name may have"
    if "\\" in path:
        return "“\\” is not allowed; folders are parted by “/”"
    if path.startswith("/"):
        return "it must not begin with “/”; it is relative to the workflow's own files"
    if any(part in ("", ".", "..") for part in parts):
        return "“..”, “.” and empty parts are not allowed"
    if any(part.startswith(".") for part in parts):
        return "no part of it may begin with “.”"
    if any(part != part.strip() for part in parts):
        return "no part of it may begin or end with a space"
    if len(parts) > DEEPEST:
        return f"it is more than {DEEPEST} parts deep"
    if any(len(part.encode()) > LONGEST_PART for part in parts) or len(path.encode()) > LONGEST:
        return f"a part may have {LONGEST_PART} bytes, and the whole {LONGEST:,}"
    return ""


def _shown(path: str) -> str:
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in path[:200])
    return text if len(path) <= 200 else f"{text}…"
