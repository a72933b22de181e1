"""The files of workflows: `<storage “files”>/<workflow>/<path>`, each workflow in an area of its own.

No link is followed, a file is whole or not at all, and whoever changes an area has it alone. Everything here reads and
writes a disk: call it in a thread.
"""

from __future__ import annotations

import errno
import fcntl
import mimetypes
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, storages

from workflows.errors import WorkflowStepError
from workflows.filenames import FileError, NoFile, checked

CONTENT_TYPE = re.compile(r"[a-z0-9][\w.+-]*/[\w.+-]+(; ?charset=[\w-]+)?", re.ASCII | re.IGNORECASE)
UNKNOWN_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Found:
    """One file: its path in the area, bytes, and when it was written."""

    path: str
    size: int
    at: datetime

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def area(workflow_id: int) -> Area:
    """The files of one workflow."""
    return Area(int(workflow_id))


def forget_orphans(alive: Callable[[list[int]], set[int]]) -> int:
    """Deletes the areas of workflows that are not there any more; how many. `alive`: which of these numbers are."""
    storage = _storage()
    root = Path(storage.location)
    found = [int(path.name) for path in _listed(root) if path.name.isdecimal() and path.is_dir()]
    gone = set(found) - alive(found) if found else set()
    for workflow_id in gone:
        area(workflow_id).forget()
    return len(gone)


class Area:
    """Implements workflows.steps.base.Files."""

    def __init__(self, workflow_id: int) -> None:
        self._folder = str(workflow_id)

    @cached_property
    def _storage(self) -> FileSystemStorage:
        """Not before it is used: every step gets an area, and few of them need it."""
        return _storage()

    @cached_property
    def _root(self) -> Path:
        return Path(self._storage.path(self._folder))

    def read(self, path: str) -> bytes:
        """Its content. Raises FileError where it is larger than FILE_BYTES."""
        path = checked(path)
        size, limit = self.about(path).size, settings.FILES["FILE_BYTES"]
        if size > limit:
            raise FileError(f"“{path}” has {size:,} bytes; at most {limit:,} are read (FILE_BYTES).", path)
        with _told(path), self._storage.open(self._name(path)) as file:
            content: bytes = file.read()
        return content

    def save(self, path: str, content: bytes, content_type: str = "") -> dict[str, Any]:
        """Whole or not at all; a file that is there under this path is replaced."""
        path = checked(path)
        with self._alone(path):
            return self._save(path, content, content_type)

    def append(self, path: str, content: bytes, content_type: str = "") -> dict[str, Any]:
        """As save(), behind what is there. Whoever appends at the same time waits, and nothing is lost."""
        path = checked(path)
        with self._alone(path):
            before = self.read(path) if self._is_file(path) else b""
            return self._save(path, before + _bytes(content), content_type)

    def copy(self, path: str, to: str) -> dict[str, Any]:
        return self.save(to, self.read(path))

    def move(self, path: str, to: str) -> dict[str, Any]:
        """A file that is there under `to` is replaced."""
        path, to = checked(path), checked(to)
        with self._alone(to), _told(path):
            self.about(path)
            self._within(to)
            target = self._root / to
            if target.is_dir():
                raise FileError(f"“{to}” is a folder, and not a file.", to)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._root / path).replace(target)
            self._tidy(path)
        return self.reference(to)

    def remove(self, path: str) -> None:
        path = checked(path)
        with self._alone(path), _told(path):
            self.about(path)
            self._storage.delete(self._name(path))
            self._tidy(path)

    def paths(self, below: str = "") -> list[str]:
        """Of all files, or of those in a folder and below it, in the order of their names."""
        return [found.path for found in self.listed(below)]

    def listed(self, below: str = "") -> list[Found]:
        """As paths(), with size and time. A folder that is not there has none."""
        start = checked(below.rstrip("/"), is_folder=True) if below else ""
        if start:
            self._within(start)
        return sorted(self._walk(self._root / start, start), key=lambda found: found.path)

    def about(self, path: str) -> Found:
        path = checked(path)
        self._within(path)
        target = self._root / path
        with _told(path):
            status = target.stat()
        if not target.is_file():
            raise FileError(f"“{path}” is a folder, and not a file.", path)
        return Found(path, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def reference(self, path: str, content_type: str = "") -> dict[str, Any]:
        """What stands for this file in the data."""
        found = self.about(path)
        return {
            "file": found.path,
            "name": found.name,
            "size": found.size,
            "content_type": _content_type(found.name, content_type),
        }

    def size(self) -> int:
        """Bytes of all files together."""
        return sum(found.size for found in self.listed())

    def forget(self) -> None:
        """Deletes everything, what a killed process left half written included."""
        for folder, folders, names in os.walk(self._root, topdown=False):
            for name in names:
                Path(folder, name).unlink(missing_ok=True)
            for name in folders:
                inner = Path(folder, name)
                inner.unlink() if inner.is_symlink() else inner.rmdir()
        if self._root.is_dir() and not self._root.is_symlink():
            self._root.rmdir()

    def _name(self, path: str) -> str:
        return f"{self._folder}/{path}"

    def _is_file(self, path: str) -> bool:
        self._within(path)
        return (self._root / path).is_file()

    def _save(self, path: str, content: bytes, content_type: str) -> dict[str, Any]:
        self._within(path)
        self._require_room(path, _bytes(content))
        if (self._root / path).is_dir():
            raise FileError(f"“{path}” is a folder, and not a file.", path)
        with _told(path):
            self._storage.save(self._name(path), ContentFile(content))
        return self.reference(path, content_type)

    def _require_room(self, path: str, content: bytes) -> None:
        size, limits = len(content), settings.FILES
        if size > limits["FILE_BYTES"]:
            most = limits["FILE_BYTES"]
            raise FileError(f"“{path}” would have {size:,} bytes; a file may have {most:,} (FILE_BYTES).", path)
        others = [found for found in self.listed() if found.path != path]
        if len(others) >= limits["MOST"]:
            raise FileError(f"This workflow has {len(others):,} files, and may have no more. Delete some first.", path)
        if (total := sum(found.size for found in others) + size) > limits["WORKFLOW_BYTES"]:
            most = limits["WORKFLOW_BYTES"]
            text = f"With “{path}” the files of this workflow would have {total:,} bytes, and {most:,} are allowed"
            raise FileError(f"{text} (FILES_BYTES). Delete some first.", path)

    def _within(self, path: str) -> None:
        """Nobody makes links here, but somebody may have put one: it would lead out of the area."""
        at = self._root
        for part in ("", *path.split("/")):
            at = at / part
            if at.is_symlink():
                raise FileError(f"“{path}” leads through a link, which is not followed.", path)

    def _walk(self, folder: Path, path: str) -> Iterator[Found]:
        for at in _listed(folder):
            inner = f"{path}/{at.name}" if path else at.name
            if at.name.startswith(".") or at.is_symlink():
                continue
            if at.is_dir():
                yield from self._walk(Path(at), inner)
                continue
            try:
                status = at.stat()
            except FileNotFoundError:  # deleted just now
                continue
            yield Found(inner, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def _tidy(self, path: str) -> None:
        """Folders come and go with the files that are in them."""
        at = (self._root / path).parent
        while at != self._root and at.is_dir() and not any(at.iterdir()):
            at.rmdir()
            at = at.parent

    @contextmanager
    def _alone(self, path: str) -> Iterator[None]:
        """Nobody else changes the area meanwhile, in whatever process: the kernel frees the lock however that ends."""
        with _told(path):
            self._within("")
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _storage() -> FileSystemStorage:
    storage = storages["files"]
    assert isinstance(storage, FileSystemStorage)  # links, locks and renames are those of a file system
    return storage


def _bytes(content: bytes) -> bytes:
    if not isinstance(content, bytes | bytearray):
        raise FileError(f"The content of a file is bytes, not {type(content).__name__}.")
    return bytes(content)


def _content_type(name: str, told: str) -> str:
    """What was told where it can be believed to be one; else by the name's ending."""
    if len(told) <= 100 and CONTENT_TYPE.fullmatch(told):
        return told
    return mimetypes.guess_type(name)[0] or UNKNOWN_TYPE


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []


@contextmanager
def _told(path: str) -> Iterator[None]:
    """What the system says of a file, in words; a full disk may have room again, so it is worth another try."""
    try:
        yield
    except FileNotFoundError:
        raise NoFile(path) from None
    except (NotADirectoryError, FileExistsError):
        raise FileError(f"A part of “{path}” is a file, so there is nothing below it.", path) from None
    except IsADirectoryError:
        raise FileError(f"“{path}” is a folder, and not a file.", path) from None
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "the disk is full. Free some space on it" if is_full else error.strerror or str(error)
        raise WorkflowStepError(f"“{path}” could not be used: {why}.", {"path": path}) from error
