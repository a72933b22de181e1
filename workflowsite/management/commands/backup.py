"""`manage.py backup [FILE]`: everything that this installation keeps, as one file. The server may run meanwhile.

Exit codes: 0 done, 1 it could not be made.
"""

from __future__ import annotations

import sqlite3
import tomllib
from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from executions.blobs import said
from workflowsite import restoring, snapshot
from workflowsite.archive import DATABASE, BadArchive, pack


class Command(BaseCommand):
    help = "Writes database, files and keys into one .tar.gz, as of now; the server may run meanwhile."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, help="default: a new one in the data folder's “backups”")

        parser.add_argument("--with-master-key", action="store_true", help="the key of the secrets too: guard the file")

    def handle(self, *args: Any, file: Path | None, with_master_key: bool, **options: Any) -> None:
        file = (file or settings.DATA_DIR / "backups" / f"stepstream-{snapshot.stamp()}.tar.gz").absolute()
        if file.exists():
            raise CommandError(f"{file} is there already: choose another name.")
        copy = file.with_name(f".new-{file.name}.sqlite3")
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.make(file, copy, with_master_key)
        except (OSError, sqlite3.Error, snapshot.NoRoom, snapshot.Damaged, BadArchive) as error:
            raise CommandError(f"The backup was not made: {error}") from None
        finally:
            with suppress(OSError):
                copy.unlink()

    def make(self, file: Path, copy: Path, with_master_key: bool) -> None:
        sources: dict[str, Path] = {}
        if connection.vendor == "sqlite":
            snapshot.take(Path(connection.settings_dict["NAME"]), copy)
            snapshot.check(copy)
            sources[DATABASE] = copy
        else:
            self.stderr.write(
                "The database is PostgreSQL: back it up with pg_dump. This file holds the rest of the data."
            )
        sources |= data_files(settings.DATA_DIR)
        master = settings.DATA_DIR / restoring.MASTER
        if with_master_key and master.exists():
            sources[restoring.MASTER] = master
        snapshot.require_room(file.parent, sum(path.stat().st_size for path in sources.values()) // 2)
        manifest = pack(file, sources, facts())
        size = file.stat().st_size
        self.stdout.write(
            f"{file}: {len(manifest.files):,} files, {said(manifest.bytes)}, packed {said(size)}. Checked."
        )
        self.stdout.write(about_master(restoring.MASTER in manifest.files))


def about_master(is_inside: bool) -> str:
    """The backup of a key that nobody thought of is the one that is missed."""
    if is_inside:
        return "The key of the secrets is in it: whoever has the file can read them."
    if settings.MASTER_KEYS:
        return "The keys of the secrets are not in it: they come from MASTER_KEYS. Keep a copy of them elsewhere."
    return (
        f"The key of the secrets is not in it: keep a copy of {settings.DATA_DIR / restoring.MASTER} elsewhere, "
        "or no secret can be read after a restore (--with-master-key packs it too)."
    )


def data_files(data: Path) -> dict[str, Path]:
    """What is kept beside the database: names in the archive -> files."""
    found = {path.name: path for path in restoring.keys(data)}
    for folder in restoring.FOLDERS:
        whole = (path for path in sorted((data / folder).rglob("*")) if is_kept(path))
        found |= {path.relative_to(data).as_posix(): path for path in whole}
    return found


def is_kept(path: Path) -> bool:
    """A link is nothing of ours: it may lead anywhere."""
    return path.is_file() and not path.is_symlink() and not path.name.startswith(".")


def version() -> str:
    told = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())
    return str(told["project"]["version"])


def facts() -> dict[str, Any]:
    """For the manifest."""
    applied = sorted(f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations())
    return {"version": version(), "database": connection.vendor, "migrations": applied}
