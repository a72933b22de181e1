"""`manage.py run_workflow NAME_OR_ID`: runs a workflow here, shows it as it goes, prints its output.

The output is the only thing on stdout. Exits 0 when it completed, 1 when it failed or somebody cancelled it, 2 when
nothing was started, 130 or 143 when a signal cancelled it. A server may run beside it: whoever holds the execution
runs it, and if this process is killed another one takes it over.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import json
import logging
import os
import signal
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db.utils import InterfaceError, OperationalError, ProgrammingError

from executions.engine import WorkflowEngine
from executions.following import Following
from executions.terminal import escaped, plain, view_of
from workflows import words
from workflows.errors import DefinitionError, InputError, StepstreamError
from workflows.models import Workflow, WorkflowVersion
from workflows.values import clean_text, parse, require_object

NOT_STARTED = 2
MAX_DIGITS = 18


class Command(BaseCommand):
    help = "Runs a workflow in this terminal, and prints its output as JSON. Ctrl-C cancels it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("workflow", metavar="NAME_OR_ID")
        parser.add_argument("--input", metavar="FILE", help="a JSON object to start with; - reads it from stdin")
        parser.add_argument("--draft", action="store_true", help="the draft, in place of what is published")

    def handle(self, *args: Any, **options: Any) -> None:
        logging.getLogger("executions").setLevel(logging.WARNING)  # the view says it all, and better
        try:
            workflow = workflow_called(clean_text(options["workflow"]).strip())
            version, given = version_of(workflow, options["draft"]), input_in(options["input"])
        except (OperationalError, ProgrammingError) as error:
            refuse(f"The database does not answer ({error}). Is it set up? `manage.py prepare` does that.")
        except KeyboardInterrupt:
            raise CommandError("Stopped before anything was started.", returncode=130) from None
        leave(asyncio.run(self.follow(workflow, version, given)))  # from here on, Following hears the signals

    async def follow(self, workflow: Workflow, version: WorkflowVersion, given: dict[str, Any]) -> int:
        following = Following(workflow, version)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, following.interrupt, number)
        try:
            await following.begin(given)
        except InputError as error:
            refuse("The input does not fit.", error.problems.values() or [error.message])
        except StepstreamError as error:
            refuse(error.message)
        view = view_of(following.graph, self.say, sys.stdout.isatty() and sys.stderr.isatty())
        view.say(f"Execution {following.execution_id} of “{plain(workflow.name)}”, {plain(str(version))}")
        try:
            await following.to_the_end(view)
        except (OperationalError, InterfaceError) as error:
            told = (
                f"Execution {following.execution_id} is out of sight, the database is away ({error}). A server goes on"
            )
            raise CommandError(f"{told} with it.", returncode=1) from None
        finally:
            view.close()
        return await self.conclude(following)

    async def conclude(self, following: Following) -> int:
        row = await WorkflowEngine().get_execution_status(following.execution_id)
        if row is None:
            raise CommandError(f"Execution {following.execution_id} was deleted while it ran.", returncode=1)
        took = f" after {words.duration(row['duration_ms'])}" if row["duration_ms"] is not None else ""
        self.say(f"Execution {row['id']} {row['status']}{took}. {plain(row['error_message'])}".rstrip())
        if row["status"] == "completed":
            self.print_output(row["output_data"])
            return 0
        return 128 + following.signal if following.signal and row["status"] == "cancelled" else 1

    def say(self, text: str) -> None:
        self.stderr.write(text, str)  # not in red

    def print_output(self, output: Any) -> None:
        is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
        with contextlib.suppress(BrokenPipeError):  # `| head` has seen enough
            self.stdout.write(escaped(json.dumps(output, indent=2, ensure_ascii=not is_unicode)))
            self.stdout.flush()


def leave(code: int) -> NoReturn:
    """Without waiting for threads: a step that hangs in one cannot be stopped, and the journal knows of it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


def refuse(text: str, more: Any = ()) -> NoReturn:
    raise CommandError("\n  ".join([text, *more]), returncode=NOT_STARTED) from None


def workflow_called(name: str) -> Workflow:
    """By its number, else by its name."""
    rows = Workflow.objects.listed().select_related("published", "owner")
    if name.isascii() and name.isdigit() and len(name) <= MAX_DIGITS and (found := rows.filter(pk=int(name)).first()):
        return found
    by_name = list(rows.filter(name=name)[:20])
    if len(by_name) == 1:
        return by_name[0]
    if by_name:
        told = (f"{one.pk}  of {one.owner or 'everybody'}, made {one.created_at:%Y-%m-%d}" for one in by_name)
        refuse(f"Several workflows are called “{plain(name)}”. Name one by its number:", told)
    near = difflib.get_close_matches(name, Workflow.objects.listed().values_list("name", flat=True)[:5000], n=3)
    meant = f" Did you mean {' or '.join(f'“{plain(one)}”' for one in near)}?" if near else ""
    refuse(f"There is no workflow “{plain(name)}”.{meant}")


def version_of(workflow: Workflow, is_draft: bool) -> WorkflowVersion:
    if is_draft:
        try:
            return workflow.draft_version(workflow.definition)
        except DefinitionError as error:
            refuse(f"The draft of “{plain(workflow.name)}” cannot run yet.", [one.message for one in error.problems])
    if workflow.published is None:
        refuse(f"“{plain(workflow.name)}” has not been published yet; --draft runs its draft.")
    if not workflow.is_active:
        refuse(f"“{plain(workflow.name)}” is switched off, so it cannot be run.")
    return workflow.published


def input_in(file: str | None) -> dict[str, Any]:
    if file is None:
        return {}
    name = "The input" if file == "-" else file
    try:
        text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return require_object(parse(text), name, max_bytes=settings.ENGINE["DATA_BYTES"])
    except OSError as error:
        refuse(f"{name} cannot be read: {error.strerror or error}.")
    except InputError as error:
        refuse(f"{'' if error.message.startswith(name) else f'{name}: '}{error.message}")
