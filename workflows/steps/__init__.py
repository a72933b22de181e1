"""The registry of step kinds: explicit for ours, open to installed apps and packages.

An installed app adds its kinds with `register()` from its AppConfig.ready(); a package names its classes in the
entry-point group "stepstream.steps". A later registration of a taken name is refused.
"""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel, ValidationError

from workflows.errors import Problem
from workflows.expressions import at, fault_in, steps_named
from workflows.graph import EACH, ERROR, OUT, Graph, Node
from workflows.policy import Policy, policy_of
from workflows.steps.ai import AI
from workflows.steps.approval import Approval
from workflows.steps.base import Step
from workflows.steps.branch import Branch
from workflows.steps.call import Call
from workflows.steps.callback import Callback
from workflows.steps.check import Check
from workflows.steps.code import Code
from workflows.steps.compute import Compute
from workflows.steps.convert import Convert
from workflows.steps.countdown import Countdown
from workflows.steps.default import Default, Unknown
from workflows.steps.delay import Delay
from workflows.steps.email import Email
from workflows.steps.fields import Set
from workflows.steps.file import File
from workflows.steps.for_each import DONE, ForEach
from workflows.steps.http import Http
from workflows.steps.input import Input
from workflows.steps.lists import List
from workflows.steps.output import Output
from workflows.steps.process import Process
from workflows.steps.recipe import Recipe, bare
from workflows.steps.sentences import told
from workflows.steps.sql import SQL
from workflows.steps.switch import Switch

log = logging.getLogger(__name__)

AnyStep = Step[Any]
GROUP = "stepstream.steps"  # the entry points by which packages bring kinds

_kinds: dict[str, type[AnyStep]] = {}


def register(step: type[AnyStep]) -> type[AnyStep]:
    """Adds a kind (also as a decorator). Registering the same class again changes nothing."""
    taken = _kinds.get(step.kind)
    if taken is not None and taken is not step:
        raise ValueError(f"The step kind “{step.kind}” is taken by {taken.__module__}.{taken.__name__}.")
    _kinds[step.kind] = step
    return step


for _step in (
    *(Input, Check, Process, Output, Branch, Switch, ForEach, Call),
    *(Http, AI, Email, SQL, File, Set, List, Convert, Compute, Code),
    *(Delay, Countdown, Approval, Callback, Default),
):
    register(_step)


def kinds() -> dict[str, type[AnyStep]]:
    """Every step kind by its name, ours first."""
    _load_packages()
    return dict(_kinds)


def kind_of(node: Node) -> type[AnyStep]:
    """The class for a node; kinds that are not installed pass their data on."""
    _load_packages()
    return _kinds.get(node.type, Default)


def make(node: Node) -> AnyStep:
    """The step of a published node without expressions, ready to run. Raises pydantic's ValidationError for a config
    that is wrong."""
    kind = kind_of(node)
    if kind is Default and node.type != Default.kind:
        return Unknown(Default.Config(), node.type)
    return kind(kind.Config.model_validate(kind.upgrade(bare(node.data))))


def recipe_of(node: Node) -> Recipe:
    """What make() makes it of; nothing is worked out for a kind that is not installed."""
    kind = kind_of(node)
    try:
        return Recipe(kind, {} if kind is Default else kind.upgrade(bare(node.data)))
    except Exception:  # of an add-on: make() meets it again, and then it is its step that fails
        return Recipe(kind, {})


def problems(graph: Graph) -> list[Problem]:
    """What is wrong with the kinds, configs and handles of a graph, errors first, then warnings."""
    found = [problem for node in graph.nodes.values() for problem in _node_problems(node, graph)]
    if len(graph.nodes) > 1 and not graph.edges:
        text = "No step is connected: all of them start at once."
        found.append(Problem("graph.no_edges", text, level="warning"))
    for node in graph.nodes.values():
        if EACH in kind_of(node).handles and node.id not in graph.bodies:
            text = f"“{node.label}” has no steps behind “each item”, so nothing is done with its items."
            found.append(Problem("graph.no_body", text, node.id, level="warning"))
    return sorted(found, key=lambda problem: problem.level)


def handles_of(node: Node) -> tuple[str, ...]:
    """By which a step can be left: those of its kind, and “error” where its failure leaves by it."""
    own = kind_of(node).handles_of(node.data)
    return (*own, ERROR) if policy_of(node.data).on_failure == ERROR and ERROR not in own else own


def reaches_out(node: Node) -> bool:
    """Whether it does something outside, such as sending a mail."""
    return kind_of(node).effects_of(node.data) == "outside"


def onward(node: Node) -> str:
    """By which the line goes on where nobody chose a handle: what comes after all items, else the first."""
    handles = handles_of(node)
    return next((handle for handle in (OUT, DONE) if handle in handles), handles[0])


def way(node: Node, handle: str) -> str:
    """What people call a handle of a step."""
    return handle if handle == ERROR else kind_of(node).name_of(node.data, handle)


def _node_problems(node: Node, graph: Graph) -> Iterable[Problem]:
    kind = kinds().get(node.type)
    if kind is None:
        known = textwrap.shorten(", ".join(kinds()), 200, placeholder=" …")
        text = f"Step “{node.label}” has the unknown type “{node.type[:80]}”. Known types: {known}."
        yield Problem("step.unknown_type", text, node.id, "type")
        return
    yield from _config_problems(node, kind)
    yield from _expression_problems(node, graph)
    yield from _handle_problems(node, graph)
    for field, text in policy_errors(node.data):
        yield Problem("step.policy", f"Step “{node.label}”: {text}", node.id, f"policy.{field}")
    for text in kind.cautions_of(node.data):
        yield Problem("step.config", f"Step “{node.label}”: {text}", node.id, level="warning")
    for key in bare(node.data).keys() - kind.Config.model_fields.keys():
        text = f"Step “{node.label}” has the setting “{key[:80]}”, which “{kind.kind}” does not use."
        yield Problem("step.unknown_setting", text, node.id, key, "warning")


def _config_problems(node: Node, kind: type[AnyStep]) -> Iterable[Problem]:
    for field, text in config_errors(kind, node.data):
        yield Problem("step.config", f"Step “{node.label}”: {text}", node.id, field)


def config_errors(kind: type[AnyStep], data: dict[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with a step's settings: ("fields.0.name", "a sentence that names the field and what it has")."""
    recipe = Recipe(kind, kind.upgrade(bare(data)))
    faults = ((one, fault_in(one.source)) for one in recipe.expressions)
    wrong = [
        (_field(one.place), f"{recipe.called(one.place)}{at(one.source, fault)}: {fault.message}")
        for one, fault in faults
        if fault
    ]
    return [*wrong, *_said(kind.Config, recipe.without_expressions(_errors(kind.Config, recipe.config)))]


def settled_errors(kind: type[AnyStep], config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The same of settings whose expressions are worked out."""
    return _said(kind.Config, _errors(kind.Config, config))


def policy_errors(data: dict[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with what follows a failure, as config_errors() has it."""
    return [] if data.get("policy") in (None, {}) else _said(Policy, _errors(Policy, data["policy"]))


def _errors(model: type[BaseModel], given: Any) -> list[Any]:
    try:
        model.model_validate(given)
    except ValidationError as error:
        return error.errors(include_url=False)
    return []


def _said(model: type[BaseModel], errors: Iterable[Any]) -> list[tuple[str, str]]:
    return [(_field(place), sentence) for place, sentence in told(model, errors)]


def _field(place: Iterable[Any]) -> str:
    return ".".join(map(str, place))


def _expression_problems(node: Node, graph: Graph) -> Iterable[Problem]:
    for field, text in naming_errors(node, graph):
        yield Problem("expression.step", f"Step “{node.label}” {text}", node.id, field)


def naming_errors(node: Node, graph: Graph) -> list[tuple[str, str]]:
    """Steps that an expression names and that are not there, or do not come before it, as config_errors() has them;
    the words follow the name of the step that they are about."""
    found = recipe_of(node).expressions
    before = graph.before(node.id) if found else frozenset()
    return [
        (_field(one.place), _not_before(node, other, graph))
        for one in found
        for other in sorted(steps_named((one,)) - before)
    ]


def _not_before(node: Node, other: str, graph: Graph) -> str:
    text = f"names the step “{other[:80]}”, "
    if other not in graph.nodes:
        known = textwrap.shorten(", ".join(sorted(graph.before(node.id))), 200, placeholder=" …")
        return f"{text}which is not there. " + (
            f"Before it there are: {known}." if known else "Nothing comes before it."
        )
    if other == node.id:
        return f"{text}which is that step itself."
    if graph.body_of(node.id) != graph.body_of(other):
        return f"{text}which is outside of the loop that it is in: let the loop pass the value on, and use input."
    return f"{text}which does not come before it: connect them, or name another."


def _handle_problems(node: Node, graph: Graph) -> Iterable[Problem]:
    """Connections whose handle is gone: a case was deleted, or a failure leaves by no way of its own any more."""
    handles = handles_of(node)
    for edge in graph.outgoing[node.id]:
        if edge.handle not in handles:
            ways = ", ".join(f"“{way(node, handle)}”" for handle in handles)
            target = graph.nodes[edge.target].label
            text = (
                f"“{target}” runs after “{node.label}” by “{edge.handle[:80]}”, but that step has only {ways}. "
                f"Disconnect it, or connect it by another of them."
            )
            yield Problem("graph.unknown_handle", text, node.id, "sourceHandle")


@cache
def _load_packages() -> None:
    for entry in entry_points(group=GROUP):
        try:
            register(entry.load())
        except Exception:
            # A broken add-on must not take the house down; its steps then pass their data on and say so.
            log.exception("The step package %s could not be loaded", entry.name)
