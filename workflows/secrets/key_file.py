"""The file with the master keys, in the data folder: readable by its owner alone, and written as a whole or not."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from workflows.secrets.vault import Key, new_key

HEAD = (
    "# The keys of the secrets. The first one encrypts, all of them decrypt.\n"
    "# Backups hold no copy of this file: keep one elsewhere.\n"
)


def make(file: Path) -> None:
    """With a first key, where there is none yet. Of two first starts one wins, and neither reads half a key."""
    draft = _draft(file, [new_key()])
    try:
        with suppress(FileExistsError):  # the other process was first: its key counts
            os.link(draft, file)
    finally:
        draft.unlink()
    _sync(file.parent)


def write(file: Path, keys: Iterable[Key]) -> None:
    """These keys in place of those that were there."""
    _draft(file, keys).replace(file)
    _sync(file.parent)


def _draft(file: Path, keys: Iterable[Key]) -> Path:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=file.parent, prefix=".master-")  # mkstemp makes it 0600
    with os.fdopen(handle, "w", encoding="ascii") as new:
        new.write(HEAD + "".join(f"{key.text}\n" for key in keys))
        new.flush()
        os.fsync(new.fileno())
    return Path(draft)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
