"""One execution, carried in this process where nobody else has it, and read on as its journal grows, to its end.

For a command: a signal cancels the execution, and this waits until that is true; a second one leaves at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any, NoReturn

from asgiref.sync import sync_to_async

from executions.engine import WorkflowEngine
from executions.models import ExecutionLog
from executions.planner import State
from executions.terminal import View
from executions.worker import current_worker
from workflows.blueprint import Blueprint, blueprint_of
from workflows.errors import WorkflowExecutionError
from workflows.graph import Graph
from workflows.models import Workflow, WorkflowVersion

LOOK_S = 0.1
LOOK_AROUND_S = 1.0
AT_ONCE = 500  # entries in one read


class Following:
    def __init__(self, workflow: Workflow, version: WorkflowVersion) -> None:
        blueprint = blueprint_of(version, workflow.max_parallel)
        self.graph = blueprint.graph if isinstance(blueprint, Blueprint) else Graph([], [])
        self.workflow, self.version = workflow, version
        self.execution_id = 0
        self.signal = 0
        self.state = State()
        self._interrupted = asyncio.Event()
        self._view: View | None = None

    def interrupt(self, number: int) -> None:
        """From a signal. Asked twice, it goes: the cancel stands in the row, and whoever runs next carries it out."""
        if self.signal:
            self._leave(number)
        self.signal = number
        self._interrupted.set()

    async def begin(self, given: dict[str, Any]) -> None:
        """Raises InputError and WorkflowExecutionError as WorkflowEngine.submit() does."""
        engine = WorkflowEngine()
        self.execution_id = await engine.submit_workflow(self.workflow.pk, given, version=self.version)

    async def to_the_end(self, view: View) -> None:
        self._view = view
        carrying = asyncio.create_task(self._carry())
        beside = [asyncio.create_task(work) for work in (self._cancel_when_interrupted(view), self._look_around())]
        try:
            while not carrying.done():
                await asyncio.wait([carrying], timeout=LOOK_S)
                await self._read_on(view)
            await carrying
        finally:
            for task in beside:
                task.cancel()
            await current_worker().close()

    async def _carry(self) -> None:
        with contextlib.suppress(WorkflowExecutionError):  # that it failed stands in its row
            await WorkflowEngine().see_through(self.execution_id)

    async def _look_around(self) -> None:
        """No bell reaches this process from a server without Redis: "Cancel" on the page is seen by a look."""
        while True:
            await asyncio.sleep(LOOK_AROUND_S)
            current_worker().wake(self.execution_id)

    async def _read_on(self, view: View) -> None:
        while new := await sync_to_async(self._news)():
            for entry in new:
                self.state.apply(entry)
            view.tell(new, self.state)
        view.tell([], self.state)

    def _news(self) -> list[ExecutionLog]:
        rows = ExecutionLog.objects.filter(execution=self.execution_id, seq__gt=self.state.seq)
        return list(rows.order_by("seq")[:AT_ONCE])

    async def _cancel_when_interrupted(self, view: View) -> None:
        await self._interrupted.wait()
        view.say("Cancelling. A second Ctrl-C leaves at once; the server then ends it.")
        await sync_to_async(WorkflowEngine().cancel)(self.execution_id)
        current_worker().wake(self.execution_id)

    def _leave(self, number: int) -> NoReturn:
        if self._view:
            self._view.close()  # or the terminal would stay without its cursor
        os._exit(128 + number)
