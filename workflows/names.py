"""What an expression may name at a step, as the builder offers it: names out of the graph, values of the last run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from workflows.expressions import Chain, written
from workflows.fields import NAME
from workflows.graph import Graph, Node
from workflows.memory import Memory, Withheld
from workflows.steps import kind_of
from workflows.steps.input import Input
from workflows.words import count

DEEP = 4  # levels below an input or an output
KEYS = 25  # of one object
MOST = 80  # names of one group
GROUPS = 40  # steps, the nearest first
SAMPLE = 60  # characters of a value
OF_ITEM = ("item", "index")


@dataclass(frozen=True, slots=True)
class Name:
    """`expression`: as it is inserted. `sample`: its last value in short; empty where none is known."""

    path: str
    expression: str
    sample: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    names: list[Name]
    note: str = ""


def groups(graph: Graph, node: Node, memory: Memory) -> list[Group]:
    """Those that have something to name."""
    known = memory.scope
    steps = known.get("steps", {})
    before = graph.before(node.id)
    nearest = [other for other in reversed(graph.order) if other in before][:GROUPS]
    made = [
        Group("Came in with the data", _names(("data",), known.get("data"))),
        *(_of_step(graph.nodes[other], steps.get(other)) for other in nearest),
        Group("Input of the execution", _input(graph, node, known.get("input"))),
        Group("Variables", _below(("vars",), known.get("vars", {}), 1)),
        Group("More", [_name(("now",), known.get("now")), _name(("execution", "id"), None)]),
    ]
    return [group for group in made if group.names]


def _of_step(node: Node, told: Mapping[str, Any] | None) -> Group:
    chain: Chain = ("steps", node.id, "output")
    if told is None:
        return Group(node.label, [Name(written(chain), _expression(chain))], "has not run yet")
    note = "" if told["status"] == "completed" else str(told["status"])
    names = _names(chain, told["output"])
    if told["status"] != "completed":
        status, error = ("steps", node.id, "status"), ("steps", node.id, "error", "message")
        names = [
            _name(status, told["status"]),
            *([_name(error, told["error"].get("message"))] if told["error"] else []),
        ]
    return Group(node.label, names, note)


def _input(graph: Graph, node: Node, given: Any) -> list[Name]:
    """What is declared as well, though no run had it yet."""
    there = _names(("input",), given) if given is not None else [Name("input", _expression(("input",)))]
    declared = OF_ITEM if graph.body_of(node.id) else _declared(graph)
    had = given if isinstance(given, dict) else {}
    return [
        *there,
        *(Name(written(("input", name)), _expression(("input", name))) for name in declared if name not in had),
    ]


def _declared(graph: Graph) -> list[str]:
    roots = (graph.nodes[node_id] for node_id in graph.roots)
    lists = (node.data.get("fields") for node in roots if issubclass(kind_of(node), Input))
    names = (field.get("name") for one in lists if isinstance(one, list) for field in one if isinstance(field, dict))
    return list(dict.fromkeys(name for name in names if isinstance(name, str) and NAME.fullmatch(name)))


def _names(chain: Chain, value: Any) -> list[Name]:
    """It and what is in it."""
    return [] if value is None else [_name(chain, value), *_below(chain, value, DEEP)]


def _below(chain: Chain, value: Any, deep: int) -> list[Name]:
    return list(islice(_each_below(chain, value, deep), MOST))


def _each_below(chain: Chain, value: Any, deep: int) -> Iterator[Name]:
    if isinstance(value, dict):
        inside: list[tuple[str | int, Any]] = list(islice(value.items(), KEYS))
    else:
        inside = [(0, value[0])] if isinstance(value, list) and value else []
    for key, item in inside if deep else ():
        yield _name((*chain, key), item)
        yield from _each_below((*chain, key), item, deep - 1)


def _name(chain: Chain, value: Any) -> Name:
    return Name(written(chain), _expression(chain), "" if value is None and chain[0] == "execution" else sample(value))


def _expression(chain: Chain) -> str:
    return f"{{{{ {written(chain)} }}}}"


def sample(value: Any, longest: int = SAMPLE) -> str:
    """A value in short: text as it is, objects and lists by their size."""
    if isinstance(value, Withheld):
        return str(value)
    if isinstance(value, str):
        return f"“{value[:longest]}”" if len(value) <= longest else f"“{value[:longest]}…”"
    if isinstance(value, dict):
        return f"an object with {count(len(value), 'entry')}" if value else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value):,}" if value else "an empty list"
    return json.dumps(value)[:longest]
