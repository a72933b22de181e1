"""A backup as one file: the database, the files of executions and the keys, with a manifest that vouches for them.

Written under another name and renamed once it was read back; read into a folder of its own, where all is checked.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from workflowsite.files import sync_folder

MANIFEST, DATABASE = "manifest.json", "db.sqlite3"
FORMAT = 1
CHUNK = 1024 * 1024
MOST_WORDS = 256 * CHUNK  # of a manifest


class BadArchive(Exception):
    """This is no backup that can be used."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """`files`: {name: {"bytes", "sha256"}}. `migrations`: "app.name" of all that its database has."""

    made_at: str
    version: str
    database: str
    migrations: tuple[str, ...]
    files: Mapping[str, Mapping[str, Any]]

    @property
    def bytes(self) -> int:
        return sum(told["bytes"] for told in self.files.values())


def pack(to: Path, sources: Mapping[str, Path], facts: Mapping[str, Any]) -> Manifest:
    """`sources`: names in the archive -> files; one that is gone by now belonged to what was deleted meanwhile."""
    new = to.with_name(f".new-{to.name}")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw:
            with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=6, filename="") as packed:
                _fill(packed, sources, facts)
            raw.flush()
            os.fsync(raw.fileno())
        manifest = read(new)
        new.replace(to)
    finally:
        new.unlink(missing_ok=True)
    sync_folder(to.parent)
    return manifest


def read(file: Path, into: Path | None = None) -> Manifest:
    """Reads it through and checks every byte; writes its files into a folder where one is given. Raises BadArchive."""
    try:
        text, digests = _read(file, into)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:  # tarfile lets some through
        raise BadArchive(f"{file.name} is damaged, or it is no backup: {error}.") from None
    manifest = _manifest(file, text)
    if digests != manifest.files:
        raise BadArchive(f"{file.name} is damaged: its files are not the ones that were packed.")
    return manifest


def _fill(packed: gzip.GzipFile, sources: Mapping[str, Path], facts: Mapping[str, Any]) -> None:
    files: dict[str, dict[str, Any]] = {}
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, path in sources.items():
            try:
                with path.open("rb") as file:
                    files[name] = _add(tar, name, file, os.fstat(file.fileno()).st_size)
            except FileNotFoundError:
                continue
        told = {"format": FORMAT, "made_at": datetime.now(UTC).isoformat(), **facts, "files": files}
        text = json.dumps(told, indent=1).encode()
        _add(tar, MANIFEST, io.BytesIO(text), len(text))


def _add(tar: tarfile.TarFile, name: str, file: IO[bytes], size: int) -> dict[str, Any]:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    source = Hashed(file)
    tar.addfile(info, source)
    return {"bytes": size, "sha256": source.digest.hexdigest()}


def _read(file: Path, into: Path | None) -> tuple[bytes, dict[str, dict[str, Any]]]:
    text, digests = b"", dict[str, dict[str, Any]]()
    with tarfile.open(file, "r:gz") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is None or not is_safe(member.name) or member.name in digests:
                raise BadArchive(f"{file.name} is no backup of Stepstream: it holds “{member.name[:80]}”.")
            if member.name == MANIFEST:
                text = content.read(MOST_WORDS)
                continue
            if into and member.size > shutil.disk_usage(into.parent).free:  # a few bytes can unpack to any size
                raise BadArchive(f"{file.name} holds “{member.name[:80]}”, for which the disk has no room.")
            source = Hashed(content)
            with _target(into, member.name) as target:
                while chunk := source.read(CHUNK):
                    target.write(chunk)
            digests[member.name] = {"bytes": member.size, "sha256": source.digest.hexdigest()}
    return text, digests


def is_safe(name: str) -> bool:
    """Only what stays inside, and only names that we give ourselves."""
    parts = name.split("/")
    return 0 < len(parts) <= 20 and all(part not in ("", ".", "..") and "\0" not in part for part in parts)


@contextmanager
def _target(into: Path | None, name: str) -> Iterator[IO[bytes]]:
    if into is None:
        with Path(os.devnull).open("wb") as nowhere:
            yield nowhere
        return
    path = into / name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _manifest(file: Path, text: bytes) -> Manifest:
    try:
        told = json.loads(text)
        if told["format"] > FORMAT:
            raise BadArchive(f"{file.name} was made by a newer Stepstream ({told['version']}): update this one first.")
        facts = (str(told["made_at"]), str(told["version"]), str(told["database"]), tuple(map(str, told["migrations"])))
        return Manifest(*facts, files=dict(told["files"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadArchive(
            f"{file.name} is damaged, or it is no backup: its manifest is not there or not whole."
        ) from None


class Hashed:
    """A file that is read once, from its beginning to its end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        self.digest.update(chunk)
        return chunk
