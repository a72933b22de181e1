"""`manage.py restore FILE`: puts a backup into the place of what is there, which is kept aside.

Exit codes: 0 done, 1 it was not, and nothing was changed.
"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader

from executions.lease import living_owners
from workflowsite import restoring, snapshot
from workflowsite.archive import BadArchive
from workflowsite.data_folder import FolderInUse, WorkersLive, held, without_workers


class Command(BaseCommand):
    help = "Replaces the data by what a backup holds; what was there is kept beside it. The server must not run."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            with held(settings.DATA_DIR, "being restored"), without_workers(settings.DATA_DIR):
                self.restore(file)
        except WorkersLive as error:
            raise CommandError(str(error)) from None
        except FolderInUse as error:
            raise CommandError(f"{error}: stop it first, then restore.") from None
        except OSError as error:
            raise CommandError(f"{file} was not restored: {error.strerror or error}.") from None
        except (BadArchive, snapshot.Damaged) as error:
            raise CommandError(f"Nothing was restored: {error}") from None

    def restore(self, file: Path) -> None:
        if living_owners():
            raise CommandError("Something still runs workflows on this data: end it first, then restore.")
        is_ours = connection.vendor == "sqlite"
        database = Path(connection.settings_dict["NAME"]) if is_ours else None
        if aside := restoring.finish(settings.DATA_DIR, database):
            self.stdout.write(f"A restore that was interrupted is done now; what it replaced is in {aside}.")
        known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
        manifest = restoring.unpack(file, settings.DATA_DIR, connection.vendor, known)
        connections.close_all()
        aside = restoring.finish(settings.DATA_DIR, database)
        self.stdout.write(
            f"Restored {len(manifest.files):,} files as of {manifest.made_at[:16].replace('T', ' ')} UTC."
        )
        self.stdout.write(f"What was here before is in {aside}.")
        if not settings.MASTER_KEYS and not (settings.DATA_DIR / restoring.MASTER).exists():
            self.stdout.write(
                f"The key of the secrets was not in the backup: put it at {settings.DATA_DIR / restoring.MASTER} "
                "before the next start, or set MASTER_KEYS. If the key is lost: `manage.py rotate_keys --start-over`."
            )
        if not is_ours:
            self.stdout.write("The database is PostgreSQL: restore it with pg_restore or psql.")
