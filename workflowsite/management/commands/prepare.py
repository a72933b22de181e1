"""`manage.py prepare`: brings the data folder to where `serve` can start. Quick where nothing is left to do."""

import hashlib
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from workflows.errors import VaultError
from workflows.secrets import key_check
from workflowsite import restoring, snapshot
from workflowsite.accounts.owner import first_owner
from workflowsite.data_folder import PREPARING, FolderInUse, WorkersLive, held, without_workers
from workflowsite.database import lay_out, needs_layout
from workflowsite.schema import pending


class Command(BaseCommand):
    help = "Makes the data folder ready: database, static files, examples, first owner."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with held(settings.DATA_DIR, PREPARING):
                self.prepare()
        except FolderInUse as error:
            raise CommandError(str(error)) from None
        except WorkersLive as error:
            raise CommandError(f"The database must be changed, and cannot be now: {error}") from None

    def prepare(self) -> None:
        self.stdout.write(f"Data in {settings.DATA_DIR}")
        self.finish_restore()
        self.prepare_database()
        self.prepare_keys()
        self.prepare_static_files()
        call_command("load_examples", stdout=self.stdout)
        first_owner()

    def finish_restore(self) -> None:
        """One that was killed in the middle."""
        database = Path(connection.settings_dict["NAME"]) if connection.vendor == "sqlite" else None
        if aside := restoring.finish(settings.DATA_DIR, database):
            self.stdout.write(f"A restore that was interrupted is done now; what it replaced is in {aside}.")
            raise CommandError("Start once more, so that the restored keys are read.")

    def prepare_database(self) -> None:
        file = connection.settings_dict["NAME"]
        if connection.vendor == "sqlite" and needs_layout(file):
            lay_out(file)
        if steps := pending():
            with without_workers(settings.DATA_DIR):
                self.copy_before(file)
                self.stdout.write(f"Database: {steps} migrations")
                call_command("migrate", verbosity=0, interactive=False)

    def copy_before(self, file: str) -> None:
        """A database with something in it is copied before it is changed: that is the way back."""
        if connection.vendor != "sqlite" or not MigrationRecorder(connection).applied_migrations():
            return
        try:
            copy = snapshot.take_before_migration(Path(file), settings.DATA_DIR / "backups")
        except snapshot.NoRoom as error:
            raise CommandError(f"The database was not updated, since it must be copied first: {error}") from None
        self.stdout.write(f"The database as it was: {copy}")

    def prepare_keys(self) -> None:
        try:
            key_check.make_ready()
        except VaultError as error:
            raise CommandError(error.message) from None

    def prepare_static_files(self) -> None:
        """In DEBUG they are served from their sources. The fingerprint comes last: a cut collection starts again."""
        mark = settings.STATIC_ROOT / ".fingerprint"
        fingerprint = static_fingerprint()
        if settings.DEBUG or (mark.exists() and mark.read_text() == fingerprint):
            return
        self.stdout.write("Static files: collecting")
        call_command("collectstatic", verbosity=0, interactive=False)
        mark.write_text(fingerprint)


def static_fingerprint() -> str:
    """Changes when any source changes its name, size or time."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list(None):
            facts = (path, storage.size(path), storage.get_modified_time(path).timestamp())
            digest.update(repr(facts).encode())
    return digest.hexdigest()
