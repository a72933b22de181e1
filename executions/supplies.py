"""What the steps of one execution get: themselves, made of their settings, and what they may know and do.

Decides and writes nothing. What takes time is done in the threads of steps, and what needs the database is asked for
from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from django.utils import timezone

from executions import budget, keyring
from executions.claim import Held
from executions.data import Ledger
from executions.journal import PATIENCE_S, Journal
from executions.masks import Mask, Stream
from executions.planner import Start, State
from executions.turns import in_turn
from executions.variables import variables_of
from executions.workshop import Apart
from workflows.blueprint import Blueprint
from workflows.files import area
from workflows.steps import AnyStep
from workflows.steps.base import StepContext
from workflows.values import copied


class Supplies:
    """`mask`: hides the secrets that steps were given. `variables`: those that expressions name, as it begins."""

    def __init__(self, journal: Journal, held: Held, blueprint: Blueprint, state: State, ledger: Ledger) -> None:
        self.mask = Mask()
        self.variables: dict[str, Any] = {}
        self._journal, self._held, self._blueprint = journal, held, blueprint
        self._state, self._ledger = state, ledger
        self._loop = asyncio.get_running_loop()
        self._account = f"workflow {held.workflow_id}"
        self._files, self._pieces = area(held.workflow_id), partial(Stream, self.mask)

    async def learn(self) -> None:
        """The variables, once: what they are later changes nothing about this execution. And the secrets that its steps
        were given before it rested, or was lost: others may still give them back."""
        workflow_id, names = self._held.workflow_id, self._blueprint.variables
        if names and not self._state.started:
            self.variables = await self._journal.patiently(variables_of, workflow_id, names)
        if given := {name for node, name in self._blueprint.secrets if node in self._state.nodes}:
            for name, value in (await self._journal.patiently(keyring.given, workflow_id, given)).items():
                self.mask.add(name, value)

    def step(self, node_id: str, account: str = "") -> AnyStep:
        """Ready to run. Where its settings hold more than paths this waits for the evaluator."""
        recipe = self._blueprint.recipe(node_id)
        if not recipe.expressions:
            return self._blueprint.step(node_id)
        return recipe.made(self._scope(node_id), account or self._account)

    def step_again(self, node_id: str) -> AnyStep:
        """Its expressions gave their values before: what others of the workflow did since must not keep them out."""
        return self.step(node_id, f"{self._held.execution_id}:{node_id}")

    def is_quick(self, node_id: str, is_light: bool) -> bool:
        """Whether step() may be called on the loop. `is_light`: all of the execution's data is small."""
        recipe = self._blueprint.recipe(node_id)
        return not recipe.expressions or (recipe.is_quick and is_light)

    def apart(self, node_id: str) -> Apart:
        """Expressions in turn with those of other workflows; anything else that takes time in a thread of its own."""
        recipe = self._blueprint.recipe(node_id)
        if recipe.expressions and not recipe.is_quick:
            return partial(in_turn, self._account)
        return asyncio.to_thread

    def spends(self, node_id: str) -> bool:
        """Whether it is to know what is left of the token budget."""
        return self._blueprint.recipe(node_id).kind.spends

    def context(self, start: Start) -> StepContext:
        """All but the data; see fill()."""
        return StepContext(
            input={},
            data={},
            node=start.node,
            attempt=start.attempt,
            now=self._state.nodes[start.node].started_at or timezone.now(),
            time_zone=self._held.time_zone,
            workflow=self._held.workflow_id,
            files=self._files,
            reveal=self._reveal,
            hide=self.mask.hide,
            pieces=self._pieces,
            idempotency_key=f"{self._held.execution_id}:{start.node}:{self._state.nodes[start.node].repairs}",
        )

    def lend(self, node_id: str, context: StepContext) -> None:
        """To a step that changes nothing of it."""
        context.input, context.data = self._held.given, self._ledger.incoming[node_id]

    def fill(self, node_id: str, context: StepContext) -> None:
        """Perhaps in a thread: what a step changes in its data must not reach another's."""
        context.input, context.data = copied(self._held.given), copied(self._ledger.incoming[node_id])
        if self.spends(node_id):
            context.tokens_left = self._asked(budget.left, self._held.root_id)

    def _scope(self, node_id: str) -> dict[str, Any]:
        """What expressions may name. The same after a crash: the clock and the variables come from the journal."""
        began_at = self._state.nodes[node_id].began_at
        return {
            "input": self._held.given,
            "data": self._ledger.incoming[node_id],
            "steps": self._ledger.told,
            "vars": self._state.variables,
            "now": began_at.isoformat() if began_at else None,
            "execution": {"id": self._held.execution_id},
        }

    def _reveal(self, name: str, host: str) -> str:
        """In a thread. From now on its value is hidden in all that this execution writes."""
        value: str = self._asked(keyring.reveal, self._held.workflow_id, name, host)
        self.mask.add(name, value)
        return value

    def _asked(self, function: Callable[..., Any], *args: Any) -> Any:
        """From a thread of a step: the journal's own thread asks the database."""
        asked = asyncio.run_coroutine_threadsafe(self._journal.patiently(function, *args), self._loop)
        return asked.result(2 * PATIENCE_S)
