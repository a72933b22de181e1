"""What the processes of a storm do: a worker that carries, and the people who submit and answer."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError, connection, transaction

from executions import live
from executions.answering import AnswerRefused, answer
from executions.engine import WorkflowEngine
from executions.models import ExecutionWait, WorkflowExecution
from executions.worker import Worker, current_worker
from tests.storm.site import Site
from tests.storm.work import name_of
from workflows.models import Workflow

AWAY = (OperationalError, InterfaceError)
AT_ONCE = 10  # are submitted in one transaction


def carry(grace_s: float = 0.5) -> None:
    """An engine alone, as the process that serves has it, until it is told to stop."""
    asyncio.run(_carry(grace_s))


async def _carry(grace_s: float) -> None:
    worker, told = current_worker(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    await worker.start()
    ears = asyncio.create_task(_hear(worker))
    worker.died.add_done_callback(lambda _: told.set())
    await told.wait()
    ears.cancel()
    await worker.stop(grace_s)
    if worker.died.done():
        await worker.died


async def _hear(worker: Worker) -> None:
    """The engines' bell, which other processes ring too where there is a Redis."""
    while True:
        try:
            async for message in live.listen(live.ENGINES):
                for execution_id in message.get("executions") or (None,):
                    worker.wake(execution_id)
        except Exception as error:
            print(f"The bell is not heard: {error!r}", flush=True)
        await asyncio.sleep(0.5)


def submit(site: Site, executions: int, backlog: int) -> None:
    """Submits that many in all, at most `backlog` of them at once, notes each that was accepted, and answers what is
    asked until all have ended.

    Where it is killed, the next one goes on: what was not noted is submitted again under the same key.
    """
    people = _People(site)
    for first in range(_noted(site.accepted), executions, AT_ONCE):
        people.let_through(backlog)
        people.submit(range(first, min(first + AT_ONCE, executions)))
    while people.live():
        people.answer()
        time.sleep(0.2)


class _People:
    def __init__(self, site: Site) -> None:
        self.site = site
        self.workflows: dict[str, int] = patiently(lambda: dict(Workflow.objects.values_list("name", "pk")))
        self.user = patiently(User.objects.get)
        self.looked = 0.0

    def submit(self, numbers: Sequence[int]) -> None:
        ids = patiently(partial(self._submit, numbers))
        note(self.site.accepted, *(f"{number} {pk}" for number, pk in zip(numbers, ids, strict=True)))

    def _submit(self, numbers: Sequence[int]) -> list[int]:
        """In one transaction: all of them are accepted, or none."""
        with transaction.atomic():
            return [
                WorkflowEngine().submit(
                    self.workflows[name_of(number)], {"n": number}, idempotency_key=f"storm-{number}"
                )
                for number in numbers
            ]

    def let_through(self, backlog: int) -> None:
        while self.live() >= backlog:
            self.answer()
            time.sleep(0.05)
        if time.monotonic() - self.looked > 1:
            self.answer()

    def live(self) -> int:
        return int(patiently(WorkflowExecution.objects.live().filter(parent=None).count))

    def answer(self) -> None:
        self.looked = time.monotonic()
        asked = ExecutionWait.objects.open().filter(kind="approval", answered_at=None)
        for wait in patiently(lambda: list(asked.select_related("execution__workflow").order_by("pk")[:50])):
            try:
                patiently(partial(answer, wait, self.user, True))
            except AnswerRefused:  # by ourselves, whose COMMIT came through though its answer did not
                continue
            note(self.site.answered, str(wait.pk))


def patiently(function: Callable[[], Any]) -> Any:
    """As a client does whose request was not answered: again, and with the same key."""
    while True:
        try:
            return function()
        except AWAY as error:
            print(f"{os.getpid()} tries again: {error}", flush=True)
            connection.close()
            time.sleep(0.1)


def note(file: Path, *texts: str) -> None:
    """On disk before anything else happens."""
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, "".join(f"{text}\n" for text in texts).encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def _noted(file: Path) -> int:
    return len(file.read_text().splitlines()) if file.exists() else 0
