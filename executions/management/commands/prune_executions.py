"""`manage.py prune_executions`: deletes now what is too old, as the server does once an hour; --dry-run only counts.

Exit codes: 0 done, 2 what was named is not there.
"""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand

from executions import sizes
from executions.blobs import said
from executions.housekeeping import forget_orphans, give_back
from executions.retention import Pruning, cutoff_of, days_ago, too_old
from workflows.management.commands.export_workflow import workflow_called
from workflows.models import Workflow
from workflows.words import count


def days(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number < 100_000:
        raise ArgumentTypeError(f"{text!r} is no number of days")
    return number


class Command(BaseCommand):
    help = "Deletes executions that ended longer ago than they are kept. A server may run beside it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
        parser.add_argument("--workflow", metavar="NAME_OR_ID", help="of this workflow alone")
        parser.add_argument(
            "--older-than", type=days, metavar="DAYS", help="whatever the settings say; 0: all that ended"
        )

    def handle(self, *args: Any, dry_run: bool, workflow: str | None, older_than: float | None, **options: Any) -> None:
        chosen = [workflow_called(workflow)] if workflow else list(Workflow.objects.order_by("pk"))
        total = Pruning(days_ago(0))
        for one in chosen:
            cutoff = cutoff_of(one.keep_days) if older_than is None else days_ago(older_than)
            if cutoff is None:
                continue
            if dry_run:
                self._count(one, cutoff, total)
            else:
                self._prune(one, cutoff, total)
        self._sum_up(total, dry_run)

    def _count(self, workflow: Workflow, cutoff: datetime, total: Pruning) -> None:
        number = sum(len(ids) for ids in too_old(workflow, cutoff))
        if number:
            weight = sizes.of_old(workflow, cutoff).bytes
            self.stdout.write(f"{workflow.name} ({workflow.pk}): {count(number, 'execution')}, about {said(weight)}")
        total.executions += number

    def _prune(self, workflow: Workflow, cutoff: datetime, total: Pruning) -> None:
        pruning = Pruning(cutoff, told=lambda: self._tell(workflow, pruning), pace=total.pace)
        pruning.run(workflow)
        for name in ("executions", "children", "entries"):
            setattr(total, name, getattr(total, name) + getattr(pruning, name))
        if pruning.executions:
            self.stdout.write(f"{workflow.name} ({workflow.pk}): {count(pruning.executions, 'execution')}")

    def _tell(self, workflow: Workflow, pruning: Pruning) -> None:
        if self.stderr.isatty():
            self.stderr.write(
                f"\r{workflow.name}: {pruning.executions:,} executions, {pruning.entries:,} entries", ending=""
            )

    def _sum_up(self, total: Pruning, dry_run: bool) -> None:
        if dry_run:
            self.stdout.write(f"{count(total.executions, 'execution')} would be deleted. Nothing was changed.")
            return
        forget_orphans()
        given = give_back()
        parts = [count(total.executions, "execution")]
        parts += [f"{total.children:,} of their items and calls"] if total.children else []
        parts.append(count(total.entries, "entry"))
        self.stdout.write(f"Deleted {', '.join(parts)}. {said(given)} were given back to the disk.")
