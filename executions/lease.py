"""How a worker proves that it lives: a lease in the rows for everybody, a locked file for its own machine.

The lease is renewed by a thread of its own, so that a busy event loop cannot lose it. The operating system drops a
file's lock with its process: a worker on the same machine sees at once that the owner is gone (the rows' lease would
take half a minute), while workers elsewhere wait for the lease. The fence stays the guard in either case.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import gethostname
from time import monotonic
from typing import IO

from django.conf import settings
from django.db import connections

log = logging.getLogger(__name__)


NEW = ".new"
LOOK_S = 1.0  # where no bell crosses, or one was lost, a cancel is heard after so long


class OwnerFile:
    """A file that stays locked for as long as this process lives."""

    def __init__(self, owner: str) -> None:
        self.path = folder() / owner
        self._file: IO[str] | None = None

    def lock(self) -> None:
        """Locked before it has its name: a sweep that met it unlocked would take us for dead."""
        if self._file is None:
            folder().mkdir(parents=True, exist_ok=True)
            new = self.path.with_suffix(NEW)
            self._file = new.open("w")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file.write(gethostname())
            self._file.flush()
            new.rename(self.path)

    def unlock(self) -> None:
        if self._file is not None:
            self.path.unlink(missing_ok=True)
            self._file.close()
            self._file = None


def folder() -> Path:
    return Path(settings.DATA_DIR) / "owners"


def dead_owners() -> Iterator[str]:
    """Owners of this machine whose process is gone. Their files are removed when the caller comes back for the next.

    A folder may be shared with other machines, whose locks not every file system shows us: theirs are left alone.
    """
    for path in folder().glob("*"):
        if path.suffix == NEW:
            continue
        try:
            with path.open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if file.read() not in {"", gethostname()}:
                    continue
                yield path.name
                path.unlink(missing_ok=True)
        except OSError:
            continue  # it lives, or another sweep was first


def living_owners() -> list[str]:
    """Owners of this machine whose process lives."""
    found = []
    for path in folder().glob("*"):
        with contextlib.suppress(FileNotFoundError), path.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                found.append(path.name)
    return found


class LeaseKeeper:
    """Calls `renew` every few seconds in a thread, `look` about once a second; `lost` when it could not renew for a
    whole lease."""

    def __init__(self, renew: Callable[[], None], look: Callable[[], None], lost: Callable[[], None]) -> None:
        self._renew, self._look, self._lost = renew, look, lost
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _keep(self) -> None:
        renewed = tried = monotonic()
        while not self._stop.wait(min(LOOK_S, settings.ENGINE["RENEW_SECONDS"])):
            is_due = monotonic() - tried >= settings.ENGINE["RENEW_SECONDS"]
            try:
                if is_due:
                    tried = monotonic()
                    self._renew()
                    renewed = monotonic()
                else:
                    self._look()
            except Exception as error:
                connections.close_all()
                log.warning("The leases could not be %s: %s", "renewed" if is_due else "looked at", error)
                if monotonic() - renewed > settings.ENGINE["LEASE_SECONDS"] - settings.ENGINE["RENEW_SECONDS"]:
                    self._lost()
        connections.close_all()
