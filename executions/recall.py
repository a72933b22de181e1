"""What expressions could name at a step of a draft, by what the last executions saw and made. Reads, writes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from executions.blobs import Large, NotReadable, said
from executions.data import Data, Ledger
from executions.large import input_outline, outlined
from executions.models import WorkflowExecution
from executions.plan import graph_of
from executions.planner import State
from workflows.expressions import Chain
from workflows.graph import Graph
from workflows.memory import Memory, Withheld
from workflows.models import Variable, Workflow
from workflows.part import ALONE
from workflows.values import parse

LOOKED_BACK = 8  # executions
ENTRIES = 10_000  # that are read of them in all; what came before stays unknown
READ_BYTES = 1024 * 1024  # of one large value


@dataclass(slots=True)
class _Found:
    """Filled by the newest execution first; what a newer one said, an older one does not change."""

    node_id: str
    sources: list[str]
    wanted: set[str]
    steps: dict[str, Data] = field(default_factory=dict)
    given: Data | None = None
    data: Data | None = None
    newest: int | None = None

    @property
    def is_whole(self) -> bool:
        return self.wanted <= self.steps.keys() and self.given is not None and self.data is not None


def recall(workflow: Workflow, graph: Graph, node_id: str, named: Collection[Chain] | None = None) -> Memory:
    """See workflows/memory.py."""
    sources = [edge.source for edge in graph.incoming[node_id]]
    wanted = graph.before(node_id)
    wanted = wanted if named is None else wanted & {chain[1] for chain in named if chain[0] == "steps" and chain[1:]}
    found, read = _Found(node_id, sources, wanted), 0
    for execution in _newest(workflow, graph.body_of(node_id)):
        try:
            read += _look(execution, found)
        except NotReadable:
            continue
        if found.is_whole or read > ENTRIES:
            break
    scope: dict[str, Any] = {
        "steps": found.steps,
        "vars": Variable.objects.values_for(workflow),
        "now": timezone.now().isoformat(),
        "execution": {"id": found.newest or 0},
    }
    scope |= {root: value for root, value in (("input", found.given), ("data", found.data)) if value is not None}
    return Memory({root: _light(value, (root,), named or ()) for root, value in scope.items()}, found.newest)


def _newest(workflow: Workflow, body: str | None) -> Iterator[WorkflowExecution]:
    """Of a step in the body of another: the executions that carry its items."""
    rows = WorkflowExecution.objects.filter(workflow=workflow).select_related("workflow", "version").order_by("-pk")
    roots = rows.roots().exclude(started_at=None)
    if body is None:
        yield from roots[:LOOKED_BACK]
        return
    for root in roots.values_list("pk", flat=True)[:LOOKED_BACK]:
        yield from rows.filter(root=root, body=body)[:1]


def _look(execution: WorkflowExecution, found: _Found) -> int:
    """How many entries were read."""
    given = input_outline(execution)
    ledger, state, read = Ledger(graph_of(execution), given, found.wanted), State(), 0
    seen: Data | None = None
    handed: dict[str, Data] = {}
    for entry in map(outlined, execution.entries.told().order_by("seq")[:ENTRIES]):
        ledger.apply(entry, state)
        state.apply(entry)
        read += 1
        if entry.node == found.node_id:
            seen = ledger.incoming.get(found.node_id, seen)
        elif entry.node in found.sources:
            made = ledger.accumulated.get(entry.node, ledger.ends.get(entry.node))
            handed |= {} if made is None else {entry.node: made}
    _take(execution, given, ledger.told, seen if seen is not None else _merged(found.sources, handed), found)
    return read


def _take(execution: WorkflowExecution, given: Data, told: dict[str, Data], data: Data | None, found: _Found) -> None:
    is_alone = execution.version.number is None and execution.version.note.startswith(ALONE)
    found.steps = {**told, **found.steps}
    if found.given is None and not is_alone:
        found.given = given
    if found.data is None:
        found.data = given if data is None and not found.sources and not is_alone else data
    if found.newest is None and (told or data is not None or not is_alone):
        found.newest = execution.pk


def _merged(sources: list[str], handed: Mapping[str, Data]) -> Data | None:
    """What the step would have seen, had it been there."""
    merged: Data = {}
    for source in sources:
        merged.update(handed.get(source, {}))
    return merged if handed else None


def _light(value: Any, chain: Chain, named: Collection[Chain]) -> Any:
    """Large values are read where they are named and can be, and are their sizes elsewhere."""
    if isinstance(value, dict):
        return {key: _light(item, (*chain, key), named) for key, item in value.items()}
    if not isinstance(value, Large):
        return value
    is_named = any(one[: len(chain)] == chain[: len(one)] for one in named)
    if is_named and value.size <= READ_BYTES:
        return _whole(value)
    return Withheld(f"… {said(value.size)}")


def _whole(value: Large) -> Any:
    try:
        return parse(value.text())
    except NotReadable as error:
        return Withheld(error.message)
