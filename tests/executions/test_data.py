"""What is kept of a step's data and what is rebuilt from it. No database."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.data import Data, Ledger, pack, replay, unpack
from executions.planner import State
from tests.executions.dags import Entry, Walk, drawn, graphs
from workflows.graph import Graph

NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0)
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(st.characters(codec="utf-8"), max_size=5)
KEYS = st.sampled_from("abcde") | st.text(st.characters(codec="utf-8"), max_size=3)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)


@st.composite
def outputs(draw: st.DrawFn, incoming: Data) -> Data:
    """What a step may make of its data: parts of it, all of it, itself under a name, and things of its own."""
    kept = draw(st.sets(st.sampled_from(sorted(incoming)))) if incoming else set()
    output = {**{key: incoming[key] for key in kept}, **draw(OBJECTS)}
    if draw(st.booleans()):
        output[draw(KEYS)] = json.loads(json.dumps(incoming))
    return output


def as_text(value: Any) -> str:
    """Equal texts are equal data: == would take 1 for True."""
    return json.dumps(value, sort_keys=True)


# One entry


@given(st.data(), OBJECTS, st.sampled_from(["out", "true", "error"]))
def test_what_was_packed_comes_back(data: st.DataObject, incoming: Data, handle: str) -> None:
    output = data.draw(outputs(incoming))
    packed = json.loads(json.dumps(pack(incoming, output, handle)))
    assert as_text(unpack(incoming, packed)) == as_text(output)
    assert packed.get("handle", "out") == handle


@given(OBJECTS)
def test_handing_on_costs_nothing(incoming: Data) -> None:
    assert pack(incoming, dict(incoming)) == {"added": {}} | ({"kept": True} if incoming else {})


@given(OBJECTS.filter(bool))
def test_wrapping_costs_a_name(incoming: Data) -> None:
    packed = pack(incoming, {"result": json.loads(json.dumps(incoming))})
    assert packed == {"added": {}, "whole": ["result"]} or incoming.get("result") == incoming


@pytest.mark.parametrize(("old", "new"), [(1, True), (1, 1.0), (0, False), ({"x": 1}, {"x": True}), ([1], [1.0])])
def test_equal_in_python_is_not_the_same_data(old: Any, new: Any) -> None:
    assert pack({"a": old}, {"a": new}) == {"added": {"a": new}}


def test_an_output_in_place_of_the_data_says_so() -> None:
    assert pack({"a": 1, "b": 2}, {"a": 1}, is_instead=True) == {"added": {}, "kept": ["a"], "instead": True}


def test_an_empty_object_is_not_taken_for_the_data() -> None:
    assert pack({}, {"result": {}}) == {"added": {"result": {}}}


def test_the_handle_is_told_only_where_it_is_not_out() -> None:
    assert pack({}, {}, "out") == {"added": {}}
    assert pack({}, {}, "true") == {"added": {}, "handle": "true"}


# The ledger


def walked(graph: Graph, given: Data, make: Callable[[str, Data], Data], order: list[str] | None = None) -> Ledger:
    """Every step of a graph without branches runs, one after another; `make` says what each makes of its data."""
    ledger, state = Ledger(graph, given), State()
    for node_id in order or graph.order:
        for entry in [Entry("started", node_id, 1), Entry("completed", node_id, 1)]:
            if entry.kind == "completed":
                entry.data = pack(ledger.incoming[node_id], make(node_id, ledger.incoming[node_id]))
            ledger.apply(entry, state)
            state.apply(entry)
    return ledger


def own_name(node_id: str, incoming: Data) -> Data:
    return {node_id: 1, "last": node_id}


def test_a_root_sees_the_input_and_a_later_step_all_that_came_before() -> None:
    seen: dict[str, Data] = {}

    def make(node_id: str, incoming: Data) -> Data:
        seen[node_id] = dict(incoming)
        return {node_id: 1}

    ledger = walked(drawn("a b c", "a>b", "b>c"), {"given": 0}, make)
    assert seen == {"a": {"given": 0}, "b": {"given": 0, "a": 1}, "c": {"given": 0, "a": 1, "b": 1}}
    assert ledger.ends["c"] == {"given": 0, "a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize(
    ("edges", "last"), [(["a>d", "b>d", "c>d"], "c"), (["c>d", "b>d", "a>d"], "a"), (["c>d", "a>d", "b>d"], "b")]
)
@pytest.mark.parametrize("order", ["a b c d", "c b a d", "b c a d"])
def test_a_join_merges_in_the_order_of_the_edges_whoever_ended_first(edges: list[str], last: str, order: str) -> None:
    merged: Data = {}

    def make(node_id: str, incoming: Data) -> Data:
        if node_id == "d":
            merged.update(incoming)
        return own_name(node_id, incoming)

    walked(drawn("a b c d", *edges), {}, make, order.split())
    assert merged == {"a": 1, "b": 1, "c": 1, "last": last}


def test_the_merge_is_shallow() -> None:
    def make(node_id: str, incoming: Data) -> Data:
        return {"both": {node_id: 1}} if node_id != "c" else {"seen": incoming["both"]}

    ledger = walked(drawn("a b c", "a>c", "b>c"), {}, make)
    assert ledger.ends["c"]["seen"] == {"b": 1}


def test_only_live_edges_bring_data() -> None:
    graph = drawn("a yes no end", "a:true>yes", "a:false>no", "yes>end", "no>end")
    ledger, state = Ledger(graph, {"given": 0}), State()
    for entry in [
        Entry("started", "a", 1),
        Entry("completed", "a", 1, {"added": {"a": 1}, "handle": "true"}),
        Entry("skipped", "no"),
        Entry("started", "yes", 1),
        Entry("completed", "yes", 1, {"added": {"yes": 1}}),
        Entry("started", "end", 1),
    ]:
        ledger.apply(entry, state)
        state.apply(entry)
    # `a` added to its incoming data, so what it made does not hold `given`; its accumulated data does
    assert ledger.incoming["end"] == {"given": 0, "a": 1, "yes": 1}


def test_the_result_merges_the_leaves_in_the_order_of_the_definition() -> None:
    graph = drawn("c b a")
    for order in (["a", "b", "c"], ["c", "a", "b"]):
        ledger = walked(graph, {"given": 0}, own_name, order)
        assert ledger.result() == {"given": 0, "a": 1, "b": 1, "c": 1, "last": "a"}


def test_a_leaf_that_was_skipped_gives_nothing() -> None:
    graph = drawn("a yes no", "a:true>yes", "a:false>no")
    ledger, state = Ledger(graph, {}), State()
    for entry in [
        Entry("started", "a", 1),
        Entry("completed", "a", 1, {"added": {"a": 1}, "handle": "true"}),
        Entry("skipped", "no"),
        Entry("started", "yes", 1),
        Entry("completed", "yes", 1, {"added": {"yes": 1}}),
    ]:
        ledger.apply(entry, state)
        state.apply(entry)
    assert ledger.result() == {"a": 1, "yes": 1}


def test_a_second_attempt_sees_what_the_first_saw() -> None:
    graph, given = drawn("a b", "a>b"), {"given": 0}
    ledger, state = Ledger(graph, given), State()
    for entry in [
        Entry("started", "a", 1),
        Entry("completed", "a", 1, {"added": {"a": 1}}),
        Entry("started", "b", 1),
        Entry("taken_over", data={"nodes": ["b"]}),
        Entry("started", "b", 2),
    ]:
        ledger.apply(entry, state)
        state.apply(entry)
    assert ledger.incoming["b"] == {"given": 0, "a": 1}


def test_the_ledger_forgets_what_nobody_can_ask_for() -> None:
    long = [f"n{index}" for index in range(200)]
    graph = drawn(" ".join(long), *(f"{a}>{b}" for a, b in pairwise(long)))
    ledger = walked(graph, {}, own_name)
    assert list(ledger.ends) == [long[-1]] and not ledger.accumulated and not ledger.incoming


def test_the_ledger_keeps_what_a_step_has_yet_to_read() -> None:
    graph = drawn("a b c", "a>b", "a>c")
    ledger = walked(graph, {}, own_name, ["a", "b"])
    assert (set(ledger.accumulated), set(ledger.ends)) == ({"a"}, {"b"})
    ledger = walked(graph, {}, own_name, ["a", "b", "c"])
    assert (set(ledger.accumulated), set(ledger.ends)) == (set(), {"b", "c"})


@given(graphs(), st.integers(0, 2**32), st.booleans())
def test_the_ledger_always_has_what_the_next_step_needs(graph: Graph, seed: int, faults: bool) -> None:
    """And at the end of a run without faults only the leaves are left."""
    walk = Walk(graph, Random(seed), faults).to_end()
    ledger, state = Ledger(graph, {"given": 0}), State()
    for entry in walk.entries:
        ledger.apply(entry, state)
        state.apply(entry)
        if entry.kind == "started" and entry.node:
            assert entry.node in ledger.incoming
    if walk.state.status == "completed":
        assert set(ledger.accumulated) <= set(graph.leaves) and not ledger.incoming
        assert ledger.result().keys() >= set(ledger.accumulated)


@given(graphs(), st.integers(0, 2**32), st.booleans())
def test_a_ledger_that_is_rebuilt_is_the_one_that_lived(graph: Graph, seed: int, faults: bool) -> None:
    """At every entry, with failures that are gone on from, repairs by input and by output, and children."""
    walk, given = Walk(graph, Random(seed), faults, strength=True).to_end(), {"given": 0}
    live, state = Ledger(graph, given), State()
    for place, entry in enumerate(walk.entries, 1):
        live.apply(entry, state)
        state.apply(entry)
        if entry.node and state.nodes[entry.node].status == "running":
            assert live.incoming[entry.node] is not None
        if place % 7 == 0 or place == len(walk.entries):
            rebuilt, from_start = Ledger(graph, given), State()
            for earlier in walk.entries[:place]:
                rebuilt.apply(Entry(**json.loads(json.dumps(told_of(earlier)))), from_start)
                from_start.apply(earlier)
            assert (rebuilt.incoming, rebuilt.accumulated, rebuilt.ends) == (
                live.incoming,
                live.accumulated,
                live.ends,
            )
    assert len(list(replay(graph, given, iter(walk.entries)))) >= len(walk.kinds("completed", "retried"))


def told_of(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in ("kind", "node", "attempt", "data", "seq")}


def follow(graph: Graph, given: Data, *entries: Entry) -> Ledger:
    ledger, state = Ledger(graph, given), State()
    for entry in entries:
        ledger.apply(entry, state)
        state.apply(entry)
    return ledger


FAILED = {"type": "ValueError", "message": "no", "node": "a", "traceback": "long"}


def test_what_failed_and_is_gone_on_from_hands_on_what_it_got() -> None:
    failed = Entry("failed", "a", 1, {"error": FAILED, "handle": "out"})
    ledger = follow(drawn("a b", "a>b"), {"x": 1}, Entry("started", "a", 1), failed, Entry("started", "b", 1))
    assert ledger.incoming["b"] == {"x": 1}


def test_an_error_way_gets_the_error_and_not_its_traceback() -> None:
    failed = Entry("failed", "a", 1, {"error": FAILED, "handle": "error"})
    ledger = follow(drawn("a b", "a:error>b"), {"x": 1}, Entry("started", "a", 1), failed, Entry("started", "b", 1))
    seen = ledger.incoming["b"]
    assert seen["x"] == 1 and seen["error"]["message"] == "no" and "traceback" not in seen["error"]


def test_a_repaired_input_is_what_the_step_sees_and_what_it_adds_to() -> None:
    ledger = follow(
        drawn("a b", "a>b"),
        {"x": 1},
        Entry("started", "a", 1),
        Entry("failed", "a", 1, {"error": FAILED}),
        Entry("finished", data={"status": "failed"}),
        Entry("repaired", "a", 1, {"input": {"x": 2}}),
        Entry("started", "a", 2),
        Entry("completed", "a", 2, pack({"x": 2}, {"a": 1})),
        Entry("started", "b", 1),
    )
    assert ledger.incoming["b"] == {"x": 2, "a": 1}


def test_what_is_reused_is_merged_as_if_it_had_run_here() -> None:
    graph = drawn("a b c d", "a>c", "b>c", "c>d")
    told = [Entry("reused", name, 1, {"added": {name: name}}) for name in "abc"]
    ledger = follow(graph, {"x": 1}, *told, Entry("started", "d", 1))
    assert ledger.incoming["d"] == {"x": 1, "a": "a", "b": "b", "c": "c"}
    assert not ledger.accumulated, "nobody asks for it any more"


# Reading it again


def test_replay_rebuilds_what_each_step_saw_and_made() -> None:
    graph, given = drawn("a b", "a>b"), {"given": 0}
    entries = [
        Entry("queued"),
        Entry("started"),
        Entry("started", "a", 1),
        Entry("completed", "a", 1, {"added": {"a": 1}, "whole": ["result"]}),
        Entry("started", "b", 1),
        Entry("abandoned", "b", 1, {"reason": ""}),
        Entry("started", "b", 2),
        Entry("failed", "b", 2, {"error": {"message": "no"}}),
        Entry("finished", data={"status": "failed"}),
    ]
    told = [(entry.kind, entry.attempt, seen, made) for entry, seen, made in replay(graph, given, iter(entries))]
    after_a = {"given": 0, "a": 1, "result": {"given": 0}}
    assert told == [
        ("completed", 1, {"given": 0}, {"a": 1, "result": {"given": 0}}),
        ("abandoned", 1, after_a, None),
        ("failed", 2, after_a, None),
    ]


@given(graphs(), st.integers(0, 2**32), st.booleans())
def test_replay_gives_one_for_each_attempt_that_ended(graph: Graph, seed: int, faults: bool) -> None:
    walk = Walk(graph, Random(seed), faults).to_end()
    ended = walk.kinds("completed", "failed", "cancelled", "abandoned")
    assert [entry for entry, _, _ in replay(graph, {}, iter(walk.entries))] == ended


# Storage grows with the work


def stored_bytes(size: int, make: Callable[[str, Data], Data]) -> int:
    names = [f"n{index:03}" for index in range(size)]
    graph = drawn(" ".join(names), *(f"{a}>{b}" for a, b in pairwise(names)))
    total = 0

    def kept(node_id: str, incoming: Data) -> Data:
        nonlocal total
        output = make(node_id, incoming)
        total += len(json.dumps(pack(incoming, output)))
        return output

    walked(graph, {"name": "Ada", "secret": "x"}, kept)
    return total


@pytest.mark.parametrize(
    "make",
    [
        lambda node_id, incoming: dict(incoming),
        lambda node_id, incoming: {**incoming, node_id: "x" * 20},
        lambda node_id, incoming: {node_id: "x" * 20},
        lambda node_id, incoming: {"result": dict(incoming)},
        lambda node_id, incoming: {"ai_response": node_id, "processed_data": dict(incoming)},
        lambda node_id, incoming: {key: value for key, value in incoming.items() if key != "secret"} | {node_id: "x"},
    ],
    ids=["handed on", "added to", "its own", "wrapped", "asked", "left out"],
)
def test_a_chain_costs_bytes_in_proportion_to_its_length(make: Callable[[str, Data], Data]) -> None:
    assert stored_bytes(60, make) < 2.5 * stored_bytes(30, make)
