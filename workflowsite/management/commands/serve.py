"""`manage.py serve`: the whole site in one process, until Ctrl-C or SIGTERM.

Exits 0 when it was asked to stop and 1 when something failed, with the reason as the last line.
"""

from argparse import ArgumentParser
from typing import Any

from channels.routing import get_default_application
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from executions.worker import current_worker
from workflows.errors import VaultError
from workflows.secrets import key_check
from workflowsite.accounts.owner import first_owner
from workflowsite.data_folder import FolderInUse, FolderLock, held
from workflowsite.process import allow_many_files, collect_less_often, leave
from workflowsite.server import WebServer
from workflowsite.shift import SiteShift


class Command(BaseCommand):
    help = "Serves pages, sockets and the engine in one process."
    requires_migrations_checks = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        grace = settings.ENGINE["GRACE_SECONDS"]
        parser.add_argument("--host", default=settings.HOST)
        parser.add_argument("--port", type=int, default=settings.PORT)
        parser.add_argument("--no-engine", action="store_true", help="pages and sockets alone")
        parser.add_argument("--grace", type=float, default=grace, help="seconds that running steps get at the end")

    def handle(self, *args: Any, host: str, port: int, no_engine: bool, grace: float, **options: Any) -> None:
        allow_many_files()
        collect_less_often()
        try:
            with held(settings.DATA_DIR, "") as lock:
                key_check.make_ready()
                server = WebServer(get_default_application(), host, port)
                shift = SiteShift(server, None if no_engine else current_worker, grace, self.opening(lock, server))
                shift.work()
                leave(self, shift.failure)
        except FolderInUse as error:
            raise CommandError(str(error)) from None
        except VaultError as error:
            raise CommandError(error.message) from None

    def opening(self, lock: FolderLock, server: WebServer) -> Any:
        link = first_owner()

        def opened() -> None:
            lock.say(server.address())
            self.announce(server.address(), link)

        return opened

    def announce(self, address: str, link: str | None) -> None:
        self.stdout.write(f"Stepstream is running at {address} (Ctrl-C stops it)")
        if link is not None:
            self.stdout.write("\nTo come in and set your password, open this link. It works once, for 24 hours:\n")
            self.stdout.write(f"  {address}{link}\n")
        self.stdout.flush()
