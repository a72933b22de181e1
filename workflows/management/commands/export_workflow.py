"""`manage.py export_workflow NAME_OR_ID`: a workflow as a file, on stdout or where --output says.

Exit codes: 0 done, 2 what was named is not there or cannot be written.
"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from workflows.exchange import write
from workflows.models import Workflow, WorkflowVersion
from workflows.transfer import packed


class Command(BaseCommand):
    help = "Writes a workflow as JSON: its draft, else what runs; with --version one of its versions."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        # Django's own --version, which would only print Django's, gives way to ours.
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("workflow", metavar="NAME_OR_ID")
        parser.add_argument("--version", type=int, dest="number", metavar="N", help="a published version's number")
        parser.add_argument("--output", type=Path, metavar="FILE", help="instead of stdout")

    def handle(self, *args: Any, workflow: str, number: int | None, output: Path | None, **options: Any) -> None:
        found = workflow_called(workflow)
        text = write(packed(found, _version(found, number)))
        if output is None:
            self.stdout.write(text, ending="")
            return
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{output} cannot be written: {error.strerror}.", returncode=2) from None


def workflow_called(text: str) -> Workflow:
    """Raises CommandError where there is none of this number or name, or where several have the name."""
    found = list(Workflow.objects.called(text).select_related("published")[:20])
    if len(found) > 1:
        ids = ", ".join(str(workflow.pk) for workflow in found)
        raise CommandError(f"Several workflows are called {text!r}; name one by its id: {ids}.", returncode=2)
    if not found:
        raise CommandError(f"There is no workflow of the name or id {text!r}.", returncode=2)
    return found[0]


def _version(workflow: Workflow, number: int | None) -> WorkflowVersion | None:
    if number is None:
        return None
    version = workflow.versions.filter(number=number).first()
    if version is None:
        last = workflow.published.number if workflow.published else "none"
        raise CommandError(f"{workflow.name!r} has no version {number}; the one that runs is {last}.", returncode=2)
    return version
