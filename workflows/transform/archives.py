"""Packed files: gzip and zip. What is unpacked has a limit, whatever the file says of itself."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib

from workflows.transform.thread import Stop
from workflows.transform.wrong import MOST_BYTES, wrong

MOST_FILES = 1_000
FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # the same content gives the same archive
TOO_MUCH = f"It would be more than {MOST_BYTES // 1024 // 1024} MiB unpacked, which is the most that is possible."


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def unpacked(content: bytes) -> bytes:
    """Raises WorkflowStepError as soon as it is too much."""
    worker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        made = worker.decompress(content, MOST_BYTES + 1)
    except zlib.error as error:
        raise wrong(f"This is not a gzip file that can be read: {str(error)[:100]}.") from None
    if len(made) > MOST_BYTES:
        raise wrong(TOO_MUCH)
    if not worker.eof:
        raise wrong("The gzip file is cut off: its end is missing.")
    return made


def zipped(files: list[tuple[str, bytes]]) -> bytes:
    to = io.BytesIO()
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name, FIRST_DAY), content, zipfile.ZIP_DEFLATED)
    return to.getvalue()


def unzipped(content: bytes, stop: Stop) -> list[tuple[str, bytes]]:
    """(name, content) of each file. Raises WorkflowStepError for names that lead elsewhere, and for too much."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _members(archive, stop)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        why = "it needs a password" if "password" in str(error) else str(error)[:100]
        raise wrong(f"This is not a zip file that can be read: {why}.") from None


def _members(archive: zipfile.ZipFile, stop: Stop) -> list[tuple[str, bytes]]:
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > MOST_FILES:
        raise wrong(f"The zip file has {len(members):,} files; at most {MOST_FILES:,} are possible.")
    made, left = [], MOST_BYTES
    for member in stop.each(members):
        with archive.open(member) as file:
            inside = file.read(left + 1)
        left -= len(inside)
        if left < 0:
            raise wrong(TOO_MUCH)
        made.append((_required_name(member.filename), inside))
    return made


def _required_name(name: str) -> str:
    parts = name.replace("\\", "/").split("/")
    if not all(parts) or ".." in parts or "." in parts or ":" in parts[0] or "\0" in name:
        raise wrong(f"The zip file has a file “{name[:100]}”, whose name leads out of its folder.")
    return "/".join(parts)
