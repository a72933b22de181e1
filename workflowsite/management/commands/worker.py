"""`manage.py worker`: the engine alone in a process, until Ctrl-C or SIGTERM. As many as wanted work for one site.

Exits 0 when it was asked to stop and 1 when something failed, with the reason as the last line.
"""

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from channels.routing import get_default_application
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from executions.worker import current_worker
from workflows.errors import VaultError
from workflows.secrets import key_check
from workflows.words import count
from workflowsite.data_folder import NotPrepared, joined
from workflowsite.process import allow_many_files, collect_less_often, leave
from workflowsite.schema import NotCurrent, require_current
from workflowsite.shift import EngineShift


class Command(BaseCommand):
    help = "Runs executions, without pages: as many of these as you like, on the data of one site."

    def add_arguments(self, parser: ArgumentParser) -> None:
        engine = settings.ENGINE
        parser.add_argument("--limit", type=at_least_one, default=engine["LIMIT"], help="executions at once")
        parser.add_argument(
            "--grace", type=float, default=engine["GRACE_SECONDS"], help="seconds that running steps get at the end"
        )

    def handle(self, *args: Any, limit: int, grace: float, **options: Any) -> None:
        settings.ENGINE["LIMIT"] = limit
        allow_many_files()
        collect_less_often()
        try:
            with joined(settings.DATA_DIR):
                require_current()
                key_check.make_ready()
                shift = EngineShift(get_default_application(), current_worker, grace, self.announce)
                shift.work()
                self.stdout.write(f"Stopped; {count(shift.handed_back, 'execution')} handed back for others.")
                leave(self, shift.failure)
        except (NotPrepared, NotCurrent) as error:
            raise CommandError(str(error)) from None
        except VaultError as error:
            raise CommandError(error.message) from None

    def announce(self) -> None:
        self.stdout.write(
            f"Worker {current_worker().owner[:8]} is running: {database()}, {bells()}, up to "
            f"{count(settings.ENGINE['LIMIT'], 'execution')} at once (Ctrl-C stops it)"
        )
        self.stdout.flush()


def at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError("it takes a whole number, 1 or more")
    return int(text)


def database() -> str:
    """Which one, without its password."""
    about = connection.settings_dict
    where = f" at {about['HOST']}" if about.get("HOST") else ""
    return f"{connection.display_name} {about['NAME']}{where}"


def bells() -> str:
    return "bells by Redis" if settings.REDIS_URL else "no bells from other processes, so it looks each second"
