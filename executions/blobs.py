"""Large values of an execution, kept as files beside the database: `blobs/<execution>/<sha256>`.

A row and an entry keep what is small; what is large leaves them by top-level key, and a reference with digest and size
stays behind. Everything here reads and writes files: call it in a thread, and never inside the event loop.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages

from executions.crashpoints import reach
from executions.entry import as_json
from workflows import values
from workflows.errors import WorkflowExecutionError, WorkflowStepError

Data = dict[str, Any]
Refs = dict[str, dict[str, Any]]  # key -> {"sha256", "bytes"}; of a bundle also "keys": how many it holds

SMALL_BYTES = 64 * 1024  # what may be cleaned, compared and encoded on the event loop: about a millisecond
MAX_FILES = 16  # of one object; what is left over then goes into one bundle
LONG_KEY = 1_000  # a longer name would make the reference as large as the value: it goes into the bundle
DIGEST = re.compile(r"[0-9a-f]{64}")


class TooLarge(WorkflowStepError):
    """The data is too large to be kept. Trying again would not help."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"The data is too large: {said(size)} of JSON, and at most {said(limit)} are kept. Hand on less, such as a "
            "link or the part that later steps need, or raise ENGINE_DATA_BYTES.",
            {"bytes": size, "limit": limit},
            is_permanent=True,
        )


class NotWritten(WorkflowStepError):
    """A large value could not be written to the data folder."""


class NotReadable(WorkflowExecutionError):
    """A large value of this execution cannot be read."""

    code = "execution.data"


def split(execution_id: int, values: Data, limit: int | None = None) -> tuple[Data, Refs | None]:
    """What stays inline, and references to what was written to files; None where everything stays.

    `limit`: bytes of JSON, ENGINE["DATA_BYTES"] where none is given. Raises TooLarge and NotWritten.
    """
    texts = {key: (as_json(value) or "null").encode() for key, value in values.items()}
    size = 2 + sum(_weight(key, text) for key, text in texts.items())
    limit = settings.ENGINE["DATA_BYTES"] if limit is None else limit
    if size > limit:
        raise TooLarge(size, limit)
    alone, bundled = _leaving(texts, size - settings.ENGINE["INLINE_BYTES"])
    if not alone and not bundled:
        return values, None
    refs = {key: _written(execution_id, texts[key]) for key in alone}
    if bundled:
        bundle = b"{%s}" % b",".join((as_json(key) or "").encode() + b":" + texts[key] for key in bundled)
        refs[_free_name(values)] = {**_written(execution_id, bundle), "keys": len(bundled)}
    left = {*alone, *bundled}
    return {key: value for key, value in values.items() if key not in left}, refs


def join(execution_id: int, values: Data, refs: Refs | None) -> Data:
    """The whole again, from what split() gave. Raises NotReadable where a file is gone or is not what was written."""
    joined = dict(values)
    for key, ref in (refs or {}).items():
        value = json.loads(content(execution_id, key, ref))
        joined.update(value if "keys" in ref else {key: value})
    return joined


@dataclass(frozen=True, slots=True)
class Large:
    """Stands in for a value that is kept in a file, until somebody wants to have it."""

    execution_id: int
    key: str
    digest: str
    size: int  # bytes of JSON

    def text(self) -> bytes:
        """Its JSON. Raises NotReadable."""
        return content(self.execution_id, self.key, {"sha256": self.digest, "bytes": self.size})

    def head(self, size: int) -> str:
        """The first bytes of its JSON, unchecked: to be looked at. Raises NotReadable."""
        try:
            with _files().open(_name(self.execution_id, self.digest)) as file:
                start: bytes = file.read(size)
        except (OSError, ValueError):
            start = self.text()[:size]  # which says why
        return start.decode(errors="ignore")


def outline(execution_id: int, values: Data, refs: Refs | None) -> Data:
    """As join(), with a Large in the place of each value that has a file of its own. Raises NotReadable."""
    refs = refs or {}
    bundles = {key: ref for key, ref in refs.items() if "keys" in ref}
    larges = {key: Large(execution_id, key, ref["sha256"], ref["bytes"]) for key, ref in refs.items()}
    return join(execution_id, values, bundles) | {key: large for key, large in larges.items() if key not in bundles}


def whole(data: Any) -> Any:
    """The same with every Large replaced by its value. Raises NotReadable."""
    if isinstance(data, Large):
        return json.loads(data.text())
    return {key: whole(value) for key, value in data.items()} if isinstance(data, dict) else data


def content(execution_id: int, key: str, ref: Mapping[str, Any]) -> bytes:
    """The JSON text of one reference. Raises NotReadable."""
    which = f"“{key[:80]}” of execution #{execution_id} ({said(ref['bytes'])})"
    try:
        with _files().open(_name(execution_id, ref["sha256"])) as file:
            text: bytes = file.read()
    except (OSError, ValueError) as error:
        reason = "its file is gone" if isinstance(error, FileNotFoundError) else str(error)
        raise NotReadable(f"{which} cannot be read: {reason}. A backup may still have it.") from None
    if sha256(text).hexdigest() != ref["sha256"]:
        raise NotReadable(f"{which} is not what was written: its file was changed. A backup may still have it.")
    return text


def copy(from_id: int, to_id: int, refs: Refs | None) -> None:
    """The files of these references for another execution as well. Raises NotReadable and NotWritten."""
    for key, ref in (refs or {}).items():
        _written(to_id, content(from_id, key, ref))


def forget(execution_ids: Iterable[int]) -> None:
    """Deletes all files of these executions, what a killed process left half written included."""
    files = _files()
    for execution_id in execution_ids:
        try:
            _, names = files.listdir(str(execution_id))
        except FileNotFoundError:
            continue
        for name in names:
            files.delete(f"{execution_id}/{name}")
            reach("file.deleted")
        files.delete(str(execution_id))


def is_small(value: Any, limit: int = SMALL_BYTES) -> bool:
    """Whether it may be handled on the event loop."""
    return weight(value, limit) <= limit


def weight(value: Any, limit: int = SMALL_BYTES) -> int:
    """About how many bytes of JSON a value is, as far as `limit`."""
    return values.weight(value, limit)


def said(size: int) -> str:
    """A size for people: “812 bytes”, “64 KiB”, “3.2 MiB”."""
    if size < 1024:
        return f"{size} bytes"
    units = ("KiB", "MiB", "GiB", "TiB")
    amount = float(size)
    for unit in units:
        amount /= 1024
        if round(amount, 1) < 1024 or unit == units[-1]:
            break
    return f"{amount:,.1f}".removesuffix(".0") + f" {unit}"


def _leaving(texts: Mapping[str, bytes], excess: int) -> tuple[list[str], list[str]]:
    """(keys that get a file each, keys that share one): the largest first, until what stays is small enough."""
    alone: list[str] = []
    bundled: list[str] = []
    for key in sorted(texts, key=lambda key: -_weight(key, texts[key])):
        if excess <= 0:
            break
        excess -= _weight(key, texts[key])
        (alone if len(alone) < MAX_FILES and len(key) <= LONG_KEY else bundled).append(key)
    return alone, bundled


def _weight(key: str, text: bytes) -> int:
    """Bytes of one item of a JSON object, its colon and comma included."""
    return len((as_json(key) or "").encode()) + len(text) + 2


def _free_name(values: Data) -> str:
    name = "*"
    while name in values:
        name += "*"
    return name


def _written(execution_id: int, text: bytes) -> dict[str, Any]:
    digest = sha256(text).hexdigest()
    name, files = _name(execution_id, digest), _files()
    try:
        if not (files.exists(name) and files.size(name) == len(text)):
            reach("file.before")
            files.save(name, ContentFile(text))
            reach("file.written")
    except OSError as error:
        raise NotWritten(_why_not(error, len(text))) from error
    return {"sha256": digest, "bytes": len(text)}


def _why_not(error: OSError, size: int) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"A value of {said(size)} could not be kept: the disk of the data folder is full. Free some space there."
    return f"A value of {said(size)} could not be kept: {error.strerror or error}. Look at the data folder."


def _name(execution_id: int, digest: str) -> str:
    """Only a number and a digest ever become a path, whatever a row holds."""
    if not DIGEST.fullmatch(digest):
        raise ValueError("its reference is broken")
    return f"{int(execution_id)}/{digest}"


def _files() -> Storage:
    return storages["blobs"]
