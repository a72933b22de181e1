"""The structure of a definition: what is refused, by which rule and where; and the order of the steps."""

from __future__ import annotations

import copy
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.errors import DefinitionError, Problem
from workflows.graph import MAX_EDGES, MAX_NODES, Graph, check, parse

Definition = dict[str, Any]


def drawn(nodes: str, *edges: str, **more: Any) -> Definition:
    """A definition from “a b c” and “a>b”."""
    ends = [text.split(">") for text in edges]
    return {
        "nodes": [{"id": name, "type": "default", "data": {}} for name in nodes.split()],
        "edges": [{"source": source, "target": target} for source, target in ends],
        **more,
    }


def only_problem(definition: Any) -> Problem:
    [problem] = check(definition)
    with pytest.raises(DefinitionError) as caught:
        parse(definition)
    assert caught.value.problems == [problem] and caught.value.message == problem.message
    assert problem.level == "error" and problem.message.endswith(".")
    return problem


# Shape


@pytest.mark.parametrize("definition", [None, [], "text", 5, True, [{"nodes": []}]])
def test_a_definition_is_an_object(definition: Any) -> None:
    assert only_problem(definition).code == "graph.shape"


@pytest.mark.parametrize("nodes", [None, {}, "a", 5, {"id": "a", "type": "default"}])
def test_nodes_are_a_list(nodes: Any) -> None:
    problem = only_problem({"nodes": nodes, "edges": []})
    assert (problem.code, problem.field) == ("graph.shape", "nodes")


def test_nodes_must_be_there() -> None:
    assert only_problem({}).field == only_problem({"edges": []}).field == "nodes"


@pytest.mark.parametrize("edges", [{}, {"source": "a"}, "a>b", "", 5, 0, True, False])
def test_edges_are_a_list(edges: Any) -> None:
    problem = only_problem(drawn("a", edges=edges))
    assert (problem.code, problem.field) == ("graph.shape", "edges")


@pytest.mark.parametrize("definition", [drawn("a", edges=None), {"nodes": drawn("a")["nodes"]}])
def test_edges_may_be_left_out(definition: Definition) -> None:
    assert check(definition) == [] and parse(definition).edges == []


@pytest.mark.parametrize("definition", [{"nodes": []}, {"nodes": [], "edges": []}, {"nodes": [], "edges": [{}]}])
def test_an_empty_graph_has_no_nodes_to_execute(definition: Definition) -> None:
    problem = only_problem(definition)
    assert problem.code == "graph.empty" and "no nodes to execute" in problem.message


@pytest.mark.parametrize("node", [None, "a", 5, [], ["id"]])
def test_a_node_is_an_object(node: Any) -> None:
    problem = only_problem({"nodes": [{"id": "a", "type": "default"}, node]})
    assert (problem.code, problem.field) == ("graph.shape", "nodes[1]") and "nodes[1]" in problem.message


GOOD_IDS = ["a", "A-1_b", "0", "x" * 64, "-", "_"]
BAD_IDS: list[Any] = [None, "", 1, True, [], {}, "x" * 65, "a b", "a.b", "a\n", "\n", "ä", "a/b", "１", "a\x00", "<b>"]


@pytest.mark.parametrize("node_id", BAD_IDS)
def test_a_bad_id_is_named(node_id: Any) -> None:
    problem = only_problem({"nodes": [{"id": "ok", "type": "default"}, {"id": node_id, "type": "default"}]})
    assert (problem.code, problem.field) == ("graph.bad_id", "nodes[1].id")
    assert "nodes[1]" in problem.message and len(problem.message) < 300


@pytest.mark.parametrize("node_id", GOOD_IDS)
def test_a_good_id_is_taken(node_id: str) -> None:
    assert list(parse({"nodes": [{"id": node_id, "type": "default"}]}).nodes) == [node_id]


@pytest.mark.parametrize("kind", [None, "", 5, ["input"], {}])
def test_a_node_needs_a_type(kind: Any) -> None:
    problem = only_problem({"nodes": [{"id": "a", "type": kind}]})
    assert (problem.code, problem.node, problem.field) == ("graph.shape", "a", "type") and "“a”" in problem.message


@pytest.mark.parametrize("data", [[], ["x"], "text", "", 5, 0, True, False])
def test_the_data_of_a_node_is_an_object(data: Any) -> None:
    problem = only_problem({"nodes": [{"id": "a", "type": "default", "data": data}]})
    assert (problem.code, problem.node, problem.field) == ("graph.shape", "a", "data")


@pytest.mark.parametrize("node", [{"id": "a", "type": "default"}, {"id": "a", "type": "default", "data": None}])
def test_data_may_be_left_out(node: Definition) -> None:
    assert parse({"nodes": [node]}).nodes["a"].data == {}


@pytest.mark.parametrize(
    "edge",
    [
        None,
        "a>b",
        [],
        {},
        {"source": "a"},
        {"target": "a"},
        {"source": 1, "target": "a"},
        {"source": "a", "target": None},
    ],
)
def test_an_edge_has_source_and_target(edge: Any) -> None:
    problem = only_problem(drawn("a", edges=[edge]))
    assert (problem.code, problem.field) == ("graph.shape", "edges[0]")


@pytest.mark.parametrize("handle", [5, True, [], {}])
def test_a_handle_is_text_or_null(handle: Any) -> None:
    problem = only_problem(drawn("a b", edges=[{"source": "a", "target": "b", "sourceHandle": handle}]))
    assert problem.code == "graph.shape" and "sourceHandle" in problem.message and "edges[0]" in problem.message


@pytest.mark.parametrize(("handle", "name"), [(None, "out"), ("", "out"), ("out", "out"), ("true", "true")])
def test_no_handle_means_out(handle: str | None, name: str) -> None:
    graph = parse(drawn("a b", edges=[{"source": "a", "target": "b", "sourceHandle": handle}]))
    assert [edge.handle for edge in graph.edges] == [name]


# Ids and edges


def test_ids_are_unique() -> None:
    problem = only_problem(drawn("a b a"))
    assert (problem.code, problem.node) == ("graph.duplicate_id", "a") and "“a”" in problem.message


def test_ids_differ_by_case() -> None:
    assert check(drawn("a A")) == []


@pytest.mark.parametrize(("edge", "end", "name"), [("a>z", "target", "z"), ("z>a", "source", "z")])
def test_an_edge_names_existing_steps(edge: str, end: str, name: str) -> None:
    problem = only_problem(drawn("a b", "a>b", edge))
    assert (problem.code, problem.node, problem.field) == ("graph.unknown_node", name, f"edges[1].{end}")
    assert f"“{name}”" in problem.message and "edges[1]" in problem.message and end in problem.message


def test_every_problem_is_told_at_once() -> None:
    found = check(drawn("a a b b", "a>y", "z>b"))
    assert [(problem.code, problem.node) for problem in found] == [
        ("graph.duplicate_id", "a"),
        ("graph.duplicate_id", "b"),
        ("graph.unknown_node", "y"),
        ("graph.unknown_node", "z"),
    ]
    shapes = check({"nodes": [5, {"id": "?"}], "edges": [7]})
    assert [problem.field for problem in shapes] == ["nodes[0]", "nodes[1].id", "edges[0]"]


def test_two_edges_between_the_same_steps_are_allowed() -> None:
    assert check(drawn("a b", "a>b", "a>b")) == []


# Cycles


@pytest.mark.parametrize(
    ("definition", "loop"),
    [
        (drawn("a", "a>a"), {"a"}),
        (drawn("a b", "a>b", "b>b"), {"b"}),
        (drawn("a b", "a>b", "b>a"), {"a", "b"}),
        (drawn("s a b c e", "s>a", "a>b", "b>c", "c>a", "c>e"), {"a", "b", "c"}),
        (drawn("a b c d", "a>b", "b>a", "c>d", "d>c"), {"a", "b"}),
    ],
)
def test_a_cycle_is_told_with_its_path(definition: Definition, loop: set[str]) -> None:
    problem = only_problem(definition)
    assert problem.code == "graph.cycle" and "cycle" in problem.message and problem.node in loop
    path = problem.message.split(": ")[1].split(".")[0].replace("“", "").replace("”", "").split(" → ")
    assert path[0] == path[-1] and set(path) == loop and len(path) == len(loop) + 1
    edges = {(edge["source"], edge["target"]) for edge in definition["edges"]}
    assert all(pair in edges for pair in pairwise(path)), "along the arrows"


def test_what_hangs_below_a_cycle_is_not_blamed() -> None:
    assert "“z”" not in only_problem(drawn("z a b", "a>b", "b>a", "b>z")).message


# Size


def test_a_huge_graph_is_refused_and_a_large_one_is_ordered() -> None:
    names = [f"n{index}" for index in range(MAX_NODES)]
    chain = drawn(" ".join(names), *(f"{a}>{b}" for a, b in pairwise(names)))
    assert parse(chain).order == names
    assert only_problem(drawn(" ".join([*names, "more"]))).code == "graph.too_large"
    assert "2,001" in only_problem(drawn(" ".join([*names, "more"]))).message


def test_too_many_edges_are_refused() -> None:
    assert check(drawn("a b", *["a>b"] * MAX_EDGES)) == []
    assert only_problem(drawn("a b", *["a>b"] * (MAX_EDGES + 1))).code == "graph.too_large"


def test_a_cycle_of_two_thousand_steps_is_found() -> None:
    names = [f"n{index}" for index in range(MAX_NODES)]
    ring = drawn(" ".join(names), *(f"{a}>{b}" for a, b in zip(names, [*names[1:], names[0]], strict=True)))
    assert only_problem(ring).code == "graph.cycle"


# The graph


def test_labels_are_for_people_and_ids_otherwise() -> None:
    nodes = [
        {"id": "a", "type": "default", "data": {"label": "Take in"}},
        {"id": "b", "type": "default", "data": {"label": ""}},
        {"id": "c", "type": "default", "data": {"label": 5}},
    ]
    assert [node.label for node in parse({"nodes": nodes}).nodes.values()] == ["Take in", "b", "5"]


def test_roots_leaves_and_neighbours() -> None:
    graph = parse(drawn("d a b c", "a>b", "a>c"))
    assert (graph.roots, graph.leaves) == (["d", "a"], ["d", "b", "c"])
    assert [edge.target for edge in graph.outgoing["a"]] == ["b", "c"]
    assert [edge.source for edge in graph.incoming["c"]] == ["a"] and graph.incoming["a"] == []


def test_a_definition_is_left_as_it_came() -> None:
    definition = drawn("a b", "a>b", viewport={"zoom": 1})
    definition["nodes"][0] |= {"position": {"x": 1}, "selected": True}
    before = copy.deepcopy(definition)
    parse(definition)
    assert definition == before


@pytest.mark.parametrize(
    ("definition", "order"),
    [
        (drawn("c b a"), "c b a"),
        (drawn("c b a", "a>b", "b>c"), "a b c"),
        (drawn("d c b a", "a>b", "a>c", "b>d", "c>d"), "a c b d"),
        (drawn("x a b", "a>b"), "x a b"),
        (drawn("b x a", "a>b"), "x a b"),
    ],
)
def test_the_order_is_topological_with_ties_as_defined(definition: Definition, order: str) -> None:
    assert parse(definition).order == order.split()


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    """Random acyclic definitions whose nodes come in any order."""
    size = draw(st.integers(1, 12))
    place = draw(st.permutations(range(size)))
    pairs = [(low, high) for high in range(size) for low in range(high)]
    chosen = draw(st.lists(st.sampled_from(pairs), max_size=3 * size)) if pairs else []
    return drawn(
        " ".join(f"n{index}" for index in range(size)), *(f"n{place[low]}>n{place[high]}" for low, high in chosen)
    )


@given(definitions())
def test_any_acyclic_graph_is_ordered(definition: Definition) -> None:
    graph = parse(definition)
    place = {node_id: index for index, node_id in enumerate(graph.order)}
    assert sorted(place) == sorted(graph.nodes) and len(graph.order) == len(graph.nodes)
    assert all(place[edge.source] < place[edge.target] for edge in graph.edges)


@given(definitions())
def test_ties_are_broken_by_the_definition(definition: Definition) -> None:
    """At each place stands the earliest defined of all that were ready."""
    graph: Graph = parse(definition)
    done: set[str] = set()
    for node_id in graph.order:
        ready = [
            name
            for name in graph.nodes
            if name not in done and all(edge.source in done for edge in graph.incoming[name])
        ]
        assert node_id == ready[0]
        done.add(node_id)


@given(definitions(), st.data())
def test_an_edge_back_makes_a_cycle(definition: Definition, data: st.DataObject) -> None:
    if definition["edges"]:
        edge = data.draw(st.sampled_from(definition["edges"]))
        definition["edges"].append({"source": edge["target"], "target": edge["source"]})
        assert only_problem(definition).code == "graph.cycle"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["nodes", "edges", "id", "type", "data", "source", "target", "sourceHandle"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_json_at_all_breaks_the_check(value: Any) -> None:
    problems = check(value)
    assert all(isinstance(problem, Problem) for problem in problems)
    assert problems or parse(value).nodes
    json.dumps([problem.message for problem in problems])
