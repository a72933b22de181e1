"""Files that belong to the data and to nobody's browser: in the data folder, whole or not at all, without a URL."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage


class DataFolderFiles(FileSystemStorage):
    """A folder of DATA_DIR. A name is there once its content is on disk; kill -9 leaves at most a `.new-…` file."""

    def __init__(self, folder: str) -> None:
        super().__init__(allow_overwrite=True)
        self._folder = folder

    @property
    def base_location(self) -> str:
        return str(Path(settings.DATA_DIR) / self._folder)

    @property
    def location(self) -> str:
        return str(Path(self.base_location).absolute())

    def url(self, name: str | None) -> str:
        raise ValueError("These files have no address: a view that checks rights gives them out.")

    def _save(self, name: str, content: File[Any]) -> str:
        target = Path(self.path(name))
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, new = tempfile.mkstemp(prefix=".new-", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                for chunk in content.chunks():
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            Path(new).replace(target)
        except BaseException:
            Path(new).unlink(missing_ok=True)
            raise
        sync_folder(target.parent)
        sync_folder(target.parent.parent)
        return name


def sync_folder(folder: Path) -> None:
    """What was renamed or made in it survives a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
