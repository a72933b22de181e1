"""The ways out of a step: which there are, what people call them, where the line goes on. Pure: no database."""

from __future__ import annotations

from typing import Any

import pytest

from workflows import edits, steps
from workflows.changes import told
from workflows.drawing import draw
from workflows.edits import add_step, move
from workflows.errors import EditError
from workflows.graph import Node, parse
from workflows.splices import Change, apply
from workflows.ways import Way, chosen, free, ways

BRANCH = {"label": "Large?", "conditions": [{"path": "a", "operator": "empty"}]}
CASES = [{"id": "de", "label": "Germany", "conditions": [{"path": "a", "operator": "empty"}]}]


def node(node_id: str, kind: str = "default", **data: Any) -> dict[str, Any]:
    return {"id": node_id, "type": kind, "data": data}


def edge(source: str, target: str, handle: str = "") -> dict[str, Any]:
    return {"source": source, "target": target} | ({"sourceHandle": handle} if handle else {})


def ends(change: Change, definition: dict[str, Any]) -> set[tuple[str, str | None, str]]:
    after = apply(definition, change)
    return {(edge["source"], edge.get("sourceHandle"), edge["target"]) for edge in after["edges"]}


FORKED = {
    "nodes": [node("in"), node("fork", "branch", **BRANCH), node("yes"), node("no")],
    "edges": [edge("in", "fork"), edge("fork", "yes", "true"), edge("fork", "no", "false")],
}
LINE = {"nodes": [node("a"), node("b")], "edges": [edge("a", "b")]}


def test_a_step_has_its_ways_with_what_follows() -> None:
    graph = parse(FORKED)
    assert ways(graph, graph.nodes["fork"]) == [
        Way("true", "true", (("yes", "yes"),)),
        Way("false", "false", (("no", "no"),)),
    ]
    assert ways(graph, graph.nodes["no"]) == [Way("out", "out", ())]


def test_an_error_way_is_there_where_the_policy_says_so() -> None:
    failing = Node("a", "default", {"policy": {"on_failure": "error"}})
    assert steps.handles_of(failing) == ("out", "error") and steps.way(failing, "error") == "error"
    assert steps.handles_of(Node("a", "default", {"policy": {"on_failure": "continue"}})) == ("out",)
    assert steps.handles_of(Node("a", "default", {"policy": {"on_failure": "nonsense"}})) == ("out",)


def test_the_next_step_goes_where_nothing_leads_yet() -> None:
    graph = parse({**FORKED, "edges": FORKED["edges"][:2]})
    assert free(graph, graph.nodes["fork"]) == "false"
    graph = parse(FORKED)
    assert free(graph, graph.nodes["fork"]) == "true", "all are taken: the first, as an insertion"


def test_nobody_is_led_to_the_way_of_a_failure() -> None:
    graph = parse({"nodes": [node("a", policy={"on_failure": "error"}), node("b")], "edges": [edge("a", "b")]})
    assert free(graph, graph.nodes["a"]) == "out"


@pytest.mark.parametrize("handle", ["out", "True", "error", "x" * 1_000, "__class__"])
def test_a_way_that_a_step_has_not_is_refused_and_those_it_has_are_named(handle: str) -> None:
    with pytest.raises(EditError, match="“Large\\?” has no way “.*”; it has “true”, “false”"):
        chosen(parse(FORKED), "fork", handle)


def test_a_way_that_is_gone_is_told_with_both_steps_and_how_to_mend_it() -> None:
    definition = {
        "nodes": [node("which", "switch", label="Which?", cases=CASES), node("send", label="Send")],
        "edges": [edge("which", "send", "urgent")],
    }
    (problem,) = steps.problems(parse(definition))
    assert (problem.code, problem.node, problem.level) == ("graph.unknown_handle", "which", "error")
    assert problem.message == (
        "“Send” runs after “Which?” by “urgent”, but that step has only “Germany”, “otherwise”. "
        "Disconnect it, or connect it by another of them."
    )
    graph = parse(definition)
    assert ways(graph, graph.nodes["which"])[-1] == Way("urgent", "urgent", (("send", "Send"),), is_lost=True)


# Edits


@pytest.mark.parametrize(
    ("kind", "data", "onward"),
    [("branch", BRANCH, "true"), ("for_each", {}, "done"), ("switch", {"cases": CASES}, "de"), ("process", {}, None)],
)
def test_a_new_step_in_the_line_leads_on_by_a_way_that_it_has(kind: str, data: dict[str, Any], onward: str) -> None:
    by = steps.onward(Node("", kind, data))
    change = add_step(LINE, kind, {**data, "label": "New"}, after="a", onward=by)
    assert ends(change, LINE) == {("a", None, "new"), ("new", onward, "b")}
    after = apply(LINE, change)
    assert not [problem for problem in steps.problems(parse(after)) if problem.code == "graph.unknown_handle"]
    assert apply(after, change.inverse()) == LINE


def test_a_new_step_by_one_way_leaves_the_others_alone() -> None:
    change = add_step(FORKED, "process", {"label": "New"}, after="fork", handle="false")
    assert ends(change, FORKED) == {
        *(("in", None, "fork"), ("fork", "true", "yes")),
        *(("fork", "false", "new"), ("new", None, "no")),
    }


def test_a_copy_of_a_branch_follows_by_its_first_way() -> None:
    change = edits.duplicate(FORKED, "fork", "true")
    assert ends(change, FORKED) == {
        *(("in", None, "fork"), ("fork", "true", "large-2"), ("large-2", "true", "yes"), ("fork", "false", "no")),
    }


def test_a_branch_that_leads_two_ways_does_not_change_places() -> None:
    for node_id, by in (("fork", -1), ("in", 1), ("yes", -1)):
        with pytest.raises(EditError, match="“Large\\?” leads more than one way, so it cannot change places"):
            move(FORKED, node_id, by, steps.onward)  # type: ignore[arg-type]


def test_a_step_that_changes_places_with_a_branch_leaves_it_by_a_way_that_it_has() -> None:
    line = {
        "nodes": [node("a"), node("fork", "branch", **BRANCH), node("b")],
        "edges": [edge("a", "fork"), edge("fork", "b", "true")],
    }
    change = move(line, "fork", -1, steps.onward)
    assert ends(change, line) == {("fork", "true", "a"), ("a", None, "b")}


def test_deleting_a_branch_leads_on_to_all_that_followed() -> None:
    assert ends(edits.delete(FORKED, "fork"), FORKED) == {("in", None, "yes"), ("in", None, "no")}


# Words and drawing


def test_a_connection_is_drawn_and_told_by_the_name_of_its_way() -> None:
    definition = {
        "nodes": [node("which", "switch", label="Which?", cases=CASES), node("send", label="Send")],
        "edges": [edge("which", "send", "de")],
    }
    assert [link.label for link in draw(parse(definition)).links] == ["Germany"]
    before = {**definition, "edges": []}
    assert [one.words for one in told(before, definition)] == ["“Send” now runs after “Which?” (Germany)"]


def test_what_runs_for_each_item_is_known() -> None:
    definition = {
        "nodes": [node("each", "for_each"), node("one"), node("two"), node("sum")],
        "edges": [edge("each", "one", "each"), edge("one", "two"), edge("each", "sum", "done")],
    }
    assert parse(definition).inner == {"one", "two"}
    assert parse(LINE).inner == set()
