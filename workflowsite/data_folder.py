"""The data folder, the one process that may serve it, and the many that may work on it: locks on files, which the
kernel frees however their holders end."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREPARING = "being prepared"
SERVING, WORKING = "serve.lock", "work.lock"


class FolderInUse(Exception):
    """Another process works on this data folder."""

    def __init__(self, holder: str) -> None:
        running = holder.startswith("http")
        super().__init__(f"Stepstream is already {'running at ' if running else ''}{holder or 'starting'}")


class WorkersLive(Exception):
    """Processes that run workflows are at work on this data folder."""

    def __init__(self) -> None:
        super().__init__("A worker runs on this data. Stop it first (its `manage.py worker`, by Ctrl-C or SIGTERM).")


class NotPrepared(Exception):
    """Nobody has ever prepared this folder, or somebody is about to."""


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
    lock = FolderLock(folder / SERVING)
    try:
        lock.take()
        lock.say(what)
        yield lock
    finally:
        os.close(lock.handle)


@contextmanager
def joined(folder: Path) -> Iterator[None]:
    """Work on a folder that is ready, beside whoever serves it and others who work. Raises NotPrepared."""
    if not (folder / SERVING).exists():
        raise NotPrepared(
            f"{folder} has never been prepared. DATA_DIR must name the folder of the site that this worker works for; "
            "`manage.py prepare` makes a new one."
        )
    with _locked(folder, fcntl.LOCK_SH, NotPrepared(f"{folder} is being prepared or restored. Try again after that.")):
        yield


@contextmanager
def without_workers(folder: Path) -> Iterator[None]:
    """Nobody works on the folder, and nobody begins to. Raises WorkersLive."""
    with _locked(folder, fcntl.LOCK_EX, WorkersLive()):
        yield


@contextmanager
def _locked(folder: Path, how: int, refusal: Exception) -> Iterator[None]:
    handle = os.open(folder / WORKING, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            raise refusal from None
        yield
    finally:
        os.close(handle)
