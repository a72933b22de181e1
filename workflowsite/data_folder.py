"""The data folder, and the one process that may serve it: a lock on a file, which the kernel frees however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREPARING = "being prepared"


class FolderInUse(Exception):
    """Another process works on this data folder."""

    def __init__(self, holder: str) -> None:
        running = holder.startswith("http")
        super().__init__(f"Stepstream is already {'running at ' if running else ''}{holder or 'starting'}")


class FolderLock:
    """The lock file's text says what its holder does: the address it serves at, or that it prepares the folder."""

    def __init__(self, file: Path) -> None:
        self.handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)

    def take(self) -> None:
        try:
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUse(os.pread(self.handle, 1000, 0).decode(errors="replace").strip()) from None

    def say(self, what: str) -> None:
        os.ftruncate(self.handle, 0)
        os.pwrite(self.handle, what.encode(), 0)


@contextmanager
def held(folder: Path, what: str) -> Iterator[FolderLock]:
    """Make the folder where it is missing and hold it alone. Raises FolderInUse."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FolderLock(folder / "serve.lock")
    try:
        lock.take()
        lock.say(what)
        yield lock
    finally:
        os.close(lock.handle)
