"""`manage.py import_workflow FILE`: a workflow from a file, or from stdin where FILE is -, as a draft or published.

Exit codes: 0 done, 1 the file's content is refused and nothing was made, 2 what was named is not there or unreadable.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from workflows.errors import DefinitionError, InputError
from workflows.exchange import MAX_NAME, Parcel, read
from workflows.management.commands.export_workflow import workflow_called
from workflows.models import Workflow
from workflows.models.workflow import definition_problems
from workflows.sayings import listed
from workflows.transfer import unpacked


class Command(BaseCommand):
    help = "Makes a workflow from an exported file or a React Flow graph: a draft, unless --publish is given."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="a path, or - for stdin")
        parser.add_argument("--name", default="", help="what to call it; otherwise as the file says")
        parser.add_argument("--owner", metavar="USERNAME", help="whose it is; nobody's is everybody's to see and run")
        parser.add_argument("--publish", action="store_true", help="publish it, if nothing is wrong with it")
        parser.add_argument("--into", metavar="NAME_OR_ID", help="replace the draft of this workflow instead")

    def handle(self, *args: Any, file: str, publish: bool, **options: Any) -> None:
        target = _target(options)
        owner = _user(options["owner"])
        parcel = _read(file)
        try:
            with transaction.atomic():
                workflow = _taken_in(parcel, target, _name(options["name"], file), owner)
                version = workflow.publish(by=owner) if publish else None
        except DefinitionError as error:
            told = "\n".join(f"- {problem.message}" for problem in error.problems)
            raise CommandError(f"Nothing was imported, since it cannot be published:\n{told}") from None
        self._tell(workflow, f"version {version.number}" if version else "a draft", parcel)

    def _tell(self, workflow: Workflow, form: str, parcel: Parcel) -> None:
        self.stdout.write(f"Workflow {workflow.pk}, {workflow.name!r}, has it as {form}.")
        if workflow.owner_id is None and workflow.group_id is None:
            self.stderr.write("It is nobody's, so everybody who is signed in may see and run it.")
        if parcel.unused:
            self.stderr.write(f"Not used, since nothing reads it: {listed(list(parcel.unused))}.")
        for problem in definition_problems(parcel.definition, workflow):
            self.stderr.write(f"{problem.level.capitalize()}: {problem.message}")


def _target(options: dict[str, Any]) -> Workflow | None:
    if options["into"] is None:
        return None
    if options["name"] or options["owner"]:
        raise CommandError("--into keeps the name and the owner: leave --name and --owner out.", returncode=2)
    return workflow_called(options["into"])


def _user(name: str | None) -> User | None:
    user = User.objects.filter(username=name, is_active=True).first() if name is not None else None
    if name is not None and user is None:
        raise CommandError(f"There is no active user named {name!r}.", returncode=2)
    return user


def _name(given: str, file: str) -> tuple[str, str]:
    """As it was asked for, and what to fall back on."""
    name = " ".join(given.split())
    if len(name) > MAX_NAME:
        raise CommandError(f"A name has at most {MAX_NAME} characters.", returncode=2)
    return name, "" if file == "-" else " ".join(Path(file).stem.replace("_", " ").split())[:MAX_NAME]


def _read(file: str) -> Parcel:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return read(content, limit)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.", returncode=2) from None
    except InputError as error:
        raise CommandError(f"{'stdin' if file == '-' else file}: {error.message}") from None


def _taken_in(parcel: Parcel, target: Workflow | None, name: tuple[str, str], owner: User | None) -> Workflow:
    if target is None:
        return unpacked(parcel, name[0] or parcel.name or name[1], owner, by=owner)
    target.keep_draft(parcel.definition, words="Imported it from a file")
    return target
