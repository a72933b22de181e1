"""Puts what a backup holds into the place of what is there, which is kept aside. A kill at any moment loses nothing.

First everything is unpacked and checked in `restore-checking`. Renaming that to `restore-ready` is the decision; from
there on each move is repeated until all are done, by the next `prepare` or `restore` where this one was killed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from workflows.secrets import vault
from workflowsite.archive import DATABASE, BadArchive, Manifest, read
from workflowsite.files import sync_folder
from workflowsite.snapshot import check, stamp

CHECKING, READY, MOVING, ASIDE = "restore-checking", "restore-ready", "restore-moving", "aside"
FOLDERS = ("blobs", "files", "media")
MASTER = vault.FILE


def unpack(archive: Path, data: Path, vendor: str, known_migrations: set[str]) -> Manifest:
    """Into the folder where it waits for replace(). Raises BadArchive, Damaged and OSError; nothing is replaced yet."""
    checking = data / CHECKING
    shutil.rmtree(checking, ignore_errors=True)
    try:
        manifest = read(archive, checking)
        if manifest.database != vendor:
            raise BadArchive(f"{archive.name} was made with {manifest.database}, and this installation uses {vendor}.")
        unknown = [name for name in manifest.migrations if name not in known_migrations]
        if unknown:
            raise BadArchive(
                f"{archive.name} was made by a newer Stepstream, or with apps that are not here: its database has "
                f"{unknown[0]}. Update this one first."
            )
        if (checking / DATABASE).exists():
            check(checking / DATABASE)
        (checking / ASIDE).write_text(f"before-restore-{stamp()}")
        sync_folder(checking)
        checking.rename(data / READY)
    except BaseException:
        shutil.rmtree(checking, ignore_errors=True)
        raise
    sync_folder(data)
    return manifest


def finish(data: Path, database: Path | None) -> Path | None:
    """Does what is left to do of a restore; where the replaced is now, or None where there was nothing to do."""
    ready, moving = data / READY, data / MOVING
    if ready.exists():
        aside = data / (ready / ASIDE).read_text()
        aside.mkdir(mode=0o700, exist_ok=True)
        master = [data / MASTER] if (ready / MASTER).exists() and (data / MASTER).exists() else []
        for path in [*replaced(data, database if (ready / DATABASE).exists() else None), *master]:
            shutil.move(path, aside / path.name)
        sync_folder(aside)
        ready.rename(moving)
        sync_folder(data)
    if not moving.exists():
        return None
    aside = data / (moving / ASIDE).read_text()
    for path in sorted(moving.iterdir()):
        if path.name != ASIDE:
            target = database if path.name == DATABASE and database else data / path.name
            _put(path, target)
    sync_folder(data)
    shutil.rmtree(moving)
    return aside


def replaced(data: Path, database: Path | None) -> Iterator[Path]:
    """What is there of that which a backup holds."""
    if database:
        yield from (path for end in ("", "-wal", "-shm") if (path := database.with_name(database.name + end)).exists())
    yield from (path for name in FOLDERS if (path := data / name).exists())
    yield from keys(data)


def keys(data: Path) -> Iterator[Path]:
    """What is needed to read the rest: secret_key and whatever else is a key. Not the key of the secrets: whoever
    finds a backup shall not have them too."""
    ends = ("_key", "_keys", ".key")
    yield from sorted(
        path for path in data.glob("*") if path.is_file() and path.name.endswith(ends) and path.name != MASTER
    )


def _put(path: Path, target: Path) -> None:
    if target.is_dir():  # made anew by somebody since: it is empty, or what is in it stays beside
        for inner in path.iterdir():
            _put(inner, target / inner.name)
        path.rmdir()
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
