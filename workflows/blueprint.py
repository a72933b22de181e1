"""A published definition, ready to be walked: its graph and its steps, made once and shared by all executions."""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from threading import Lock
from typing import Any, Protocol

from pydantic import ValidationError

from workflows import steps
from workflows.errors import DefinitionError
from workflows.expressions import steps_named, variables_named
from workflows.fields import Field, check
from workflows.graph import Graph, parse
from workflows.policy import Policy, policy_of
from workflows.secrets.mentions import secrets_named
from workflows.steps.input import Input
from workflows.steps.recipe import Recipe


class Blueprint:
    """`graph`: what one execution walks. `drawn`: the same with the bodies that its children walk. `whole`: all."""

    def __init__(self, definition: Any, max_parallel: int, body: str | None = None) -> None:
        """`body`: the step whose items this is for. Raises DefinitionError for no steps or a broken structure."""
        self.whole: Graph = parse(definition, max_parallel)
        self.graph, self.drawn = self.whole.within(body), self.whole.inside(body)
        self._steps: dict[str, steps.AnyStep] = {}
        self._recipes: dict[str, Recipe] = {}
        self._instant: dict[str, bool] = {}
        self._policies: dict[str, Policy] = {}
        self._ways: dict[str, tuple[str, ...]] = {}

    def step(self, node_id: str) -> steps.AnyStep:
        """Raises ValidationError where the kind's Config has become stricter since the version was published."""
        if node_id not in self._steps:
            self._steps[node_id] = steps.make(self.graph.nodes[node_id])
        return self._steps[node_id]

    def recipe(self, node_id: str) -> Recipe:
        """How the step is made where its settings hold expressions."""
        if node_id not in self._recipes:
            self._recipes[node_id] = steps.recipe_of(self.graph.nodes[node_id])
        return self._recipes[node_id]

    @cached_property
    def named(self) -> frozenset[str]:
        """The steps whose outputs later expressions ask for."""
        return frozenset().union(*(steps_named(self.recipe(node_id).expressions) for node_id in self.graph.nodes))

    @cached_property
    def variables(self) -> frozenset[str]:
        """What expressions ask for by vars."""
        return frozenset().union(*(variables_named(self.recipe(node_id).expressions) for node_id in self.graph.nodes))

    @cached_property
    def secrets(self) -> frozenset[tuple[str, str]]:
        """(step, name of a secret that its settings name)."""
        return frozenset((mention.node.id, mention.name) for mention in secrets_named(self.graph))

    def is_instant(self, node_id: str) -> bool:
        """Whether it needs no task of its own: nothing of it can take time, and so nothing can stop it midway."""
        if node_id not in self._instant:
            recipe = self.recipe(node_id)
            self._instant[node_id] = recipe.kind.is_instant and (not recipe.expressions or recipe.is_quick)
        return self._instant[node_id]

    def policy(self, node_id: str) -> Policy:
        if node_id not in self._policies:
            self._policies[node_id] = policy_of(self.graph.nodes[node_id].data)
        return self._policies[node_id]

    def handles(self, node_id: str) -> tuple[str, ...]:
        """By which the step itself may leave."""
        if node_id not in self._ways:
            node = self.graph.nodes[node_id]
            self._ways[node_id] = steps.kind_of(node).handles_of(node.data)
        return self._ways[node_id]

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """What is asked for before an execution begins: by the input steps that come first. A name is asked once."""
        asked: dict[str, Field] = {}
        for node_id in self.graph.roots:
            for field in self._asked_by(node_id):
                asked.setdefault(field.name, field)
        return tuple(asked.values())

    def checked(self, given: dict[str, Any]) -> dict[str, Any]:
        """The input with its defaults; raises InputError. Where no field is declared, everything fits."""
        return check(self.fields, given) if self.fields else given

    def _asked_by(self, node_id: str) -> list[Field]:
        if not issubclass(steps.kind_of(self.graph.nodes[node_id]), Input):
            return []
        try:
            return list(self.step(node_id).config.fields)
        except ValidationError:  # the kind has become stricter: when it runs, the step itself will say so
            return []


class Version(Protocol):
    """What is needed of a WorkflowVersion."""

    digest: str
    definition: Any


KEPT = 256
_lock = Lock()  # pages, the engine's thread and the hub's all come here
_blueprints: OrderedDict[tuple[str, int, str | None], Blueprint | DefinitionError] = OrderedDict()


def blueprint_of(version: Version, max_parallel: int, body: str | None = None) -> Blueprint | DefinitionError:
    """Kept by content: a version never changes, and equal definitions share one."""
    key = (version.digest, max_parallel, body)
    with _lock:
        if blueprint := _blueprints.get(key):
            _blueprints.move_to_end(key)
            return blueprint
    blueprint = _drawn(version, max_parallel, body)
    with _lock:
        _blueprints[key] = blueprint
        while len(_blueprints) > KEPT:
            _blueprints.popitem(last=False)
    return blueprint


def _drawn(version: Version, max_parallel: int, body: str | None) -> Blueprint | DefinitionError:
    try:
        return Blueprint(version.definition, max_parallel, body)
    except DefinitionError as error:
        return error
