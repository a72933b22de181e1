"""A published definition, ready to be walked: its graph and its steps, made once and shared by all executions."""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from threading import Lock
from typing import Any, Protocol

from pydantic import ValidationError

from workflows import steps
from workflows.errors import DefinitionError
from workflows.fields import Field, check
from workflows.graph import Graph, parse
from workflows.steps.input import Input


class Blueprint:
    def __init__(self, definition: Any, max_parallel: int) -> None:
        """Raises DefinitionError where the definition has no steps or a broken structure."""
        self.graph: Graph = parse(definition, max_parallel)
        self._steps: dict[str, steps.AnyStep] = {}

    def step(self, node_id: str) -> steps.AnyStep:
        """Raises ValidationError where the kind's Config has become stricter since the version was published."""
        if node_id not in self._steps:
            self._steps[node_id] = steps.make(self.graph.nodes[node_id])
        return self._steps[node_id]

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
_blueprints: OrderedDict[tuple[str, int], Blueprint | DefinitionError] = OrderedDict()


def blueprint_of(version: Version, max_parallel: int) -> Blueprint | DefinitionError:
    """Kept by content: a version never changes, and equal definitions share one."""
    key = (version.digest, max_parallel)
    with _lock:
        if blueprint := _blueprints.get(key):
            _blueprints.move_to_end(key)
            return blueprint
    blueprint = _drawn(version, max_parallel)
    with _lock:
        _blueprints[key] = blueprint
        while len(_blueprints) > KEPT:
            _blueprints.popitem(last=False)
    return blueprint


def _drawn(version: Version, max_parallel: int) -> Blueprint | DefinitionError:
    try:
        return Blueprint(version.definition, max_parallel)
    except DefinitionError as error:
        return error
