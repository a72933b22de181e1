"""What changed between two definitions, in words: each difference said once, and none without a word."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import conftest
from workflows import edits
from workflows.changes import told
from workflows.models.version import digest
from workflows.splices import apply

Definition = dict[str, Any]
CHAIN: Definition = conftest.CHAIN


def words(before: Any, after: Any) -> list[str]:
    return [difference.words for difference in told(before, after)]


def changed(**data: Any) -> Definition:
    """The chain with other settings of its middle step."""
    made = copy.deepcopy(CHAIN)
    made["nodes"][1]["data"] = {**made["nodes"][1]["data"], **data}
    return made


def with_root(**keys: Any) -> Definition:
    return {**CHAIN, **keys}


def asking(prompt: Any) -> Definition:
    return {"nodes": [{"id": "a", "type": "ai", "data": {"label": "Ask", "prompt": prompt}}], "edges": []}


# Steps


def test_equal_definitions_differ_in_nothing() -> None:
    assert told(CHAIN, copy.deepcopy(CHAIN)) == []


def test_the_order_of_keys_is_no_difference() -> None:
    assert told({"nodes": [], "edges": []}, {"edges": [], "nodes": []}) == []


def test_an_added_step_is_said_with_what_it_comes_after() -> None:
    after = apply(CHAIN, edits.add_step(CHAIN, "ai", {"label": "Ask"}, after="in"))
    first, *others = told(CHAIN, after)
    assert (first.words, first.node) == ("Added “Ask” after “Take in”", "ask")
    assert [other.words for other in others] == ["“Shout” now runs after “Ask” and no longer after “Take in”"]


def test_an_added_step_behind_a_branch_names_the_end_that_it_follows() -> None:
    edge = {"source": "work", "target": "new", "sourceHandle": "true"}
    after = {"nodes": [*CHAIN["nodes"], {"id": "new", "type": "ai"}], "edges": [*CHAIN["edges"], edge]}
    assert words(CHAIN, after) == ["Added “new” after “Shout” (true)"]


def test_a_deleted_step_takes_its_connections_along() -> None:
    after = apply(CHAIN, edits.delete(CHAIN, "work"))
    assert words(CHAIN, after) == ["Deleted “Shout”", "“Give out” now runs after “Take in”"]
    assert all(difference.node != "work" for difference in told(CHAIN, after))


def test_a_renamed_step_is_called_by_both_names() -> None:
    assert words(CHAIN, changed(label="Whisper")) == ["Renamed “Shout” to “Whisper”"]


def test_another_kind_is_said_by_the_names_that_people_know() -> None:
    after = changed()
    after["nodes"][1]["type"] = "ai"
    assert words(CHAIN, after) == ["Changed the kind of “Shout” from Process to AI"]
    after["nodes"][1]["type"] = "not-installed"
    assert words(CHAIN, after) == ["Changed the kind of “Shout” from Process to not-installed"]


# Settings


def test_a_setting_is_said_with_both_values() -> None:
    after = changed(operation="lowercase")
    [difference] = told(CHAIN, after)
    assert difference.words == "“Shout”: operation changed from “uppercase” to “lowercase”"
    assert difference.node == "work"


def test_a_setting_that_comes_or_goes_is_said_so() -> None:
    assert words(CHAIN, changed(limit=3)) == ["“Shout”: limit set to 3"]
    assert words(changed(limit=3), CHAIN) == ["“Shout”: limit removed, it was 3"]


def test_a_long_text_is_told_by_its_length() -> None:
    assert words(asking("x" * 1204), asking("y" * 1310)) == ["“Ask”: prompt changed (1,204 to 1,310 characters)"]


def test_a_text_of_several_lines_is_not_squeezed_into_a_sentence() -> None:
    assert words(asking("a\nb"), asking("a\nc")) == ["“Ask”: prompt changed (3 to 3 characters)"]


def test_of_an_object_the_keys_are_named() -> None:
    before, after = changed(headers={"a": 1, "b": 2, "c": 3}), changed(headers={"a": 1, "b": 9, "d": 4})
    assert words(before, after) == ["“Shout”: headers changed (added “d”, removed “c”, new value of “b”)"]


def test_a_long_list_is_told_by_its_length() -> None:
    before, after = changed(rows=["x" * 90] * 3), changed(rows=["x" * 90] * 4)
    assert words(before, after) == ["“Shout”: rows changed from 3 items to 4 items"]


def test_of_a_list_of_named_things_the_names_are_told() -> None:
    name, age, place = ({"name": word, "type": "text"} for word in ("name", "age", "place"))
    line = "“Shout”: fields changed (added “place”, removed “name”, new value of “age”)"
    assert words(changed(fields=[name, age]), changed(fields=[{**age, "type": "number"}, place])) == [line]
    moved = words(changed(fields=[name, age]), changed(fields=[age, name]))
    assert moved == ["“Shout”: fields changed (in another order)"]


@pytest.mark.parametrize(("was", "now"), [(True, 1), (1, 1.0), (0, False), (0.0, -0.0)])
def test_equal_in_python_is_not_equal_in_json(was: Any, now: Any) -> None:
    [line] = words(changed(value=was), changed(value=now))
    assert line.startswith("“Shout”: value changed")


def test_notes_and_policy_are_said_by_name() -> None:
    assert words(CHAIN, changed(notes="Mind the gap")) == ["“Shout”: notes set to “Mind the gap”"]
    line = "“Shout”: what happens when it fails changed (new value of “attempts”)"
    assert words(changed(policy={"attempts": 1}), changed(policy={"attempts": 3})) == [line]


# Connections and order


def test_a_new_connection_and_a_lost_one_are_said_by_the_step_that_follows() -> None:
    after = apply(CHAIN, edits.connect(CHAIN, "in", "out", "out"))
    [difference] = told(CHAIN, after)
    assert (difference.words, difference.node) == ("“Give out” now runs after “Take in”", "out")
    assert words(after, CHAIN) == ["“Give out” no longer runs after “Take in”"]


def test_a_connection_that_leaves_by_another_end_is_a_change() -> None:
    after = copy.deepcopy(CHAIN)
    after["edges"][1]["sourceHandle"] = "error"
    assert words(CHAIN, after) == ["“Give out” now runs after “Shout” (error) and no longer after “Shout”"]


def test_the_order_of_connections_is_told_since_the_later_ones_data_wins() -> None:
    after = {**CHAIN, "edges": CHAIN["edges"][::-1]}
    assert words(CHAIN, after) == [
        "Changed the order of the connections: where several meet, the later one’s data wins"
    ]


def test_the_order_of_steps_is_told() -> None:
    after = {**CHAIN, "nodes": CHAIN["nodes"][::-1]}
    assert words(CHAIN, after) == ["Changed the order in which the steps are listed"]


# What runs nowhere


def test_what_was_only_moved_is_counted_in_one_sentence() -> None:
    after = copy.deepcopy(CHAIN)
    for node in after["nodes"][:2]:
        node["position"], node["selected"] = {"x": 5, "y": 5}, True
    assert words(CHAIN, after) == ["Moved or resized 2 steps in the drawing"]


def test_what_editors_keep_beside_the_steps_is_named() -> None:
    after = with_root(viewport={"zoom": 2}, **{"x-team": "blue"})
    assert words(CHAIN, after) == ["Moved the view of the drawing", "The definition’s “x-team” set to “blue”"]


def test_an_unknown_key_of_a_step_and_of_a_connection_is_told() -> None:
    after = copy.deepcopy(CHAIN)
    after["nodes"][0]["parentId"] = "group"
    after["edges"][0]["animated"] = True
    first = "“Take in”: parentId set to “group”"
    assert words(CHAIN, after) == [first, "Changed what 1 connection is called or look like"]


# Broken ones


@pytest.mark.parametrize("broken", [None, [], "text", 3, {}, {"nodes": 1, "edges": "x"}, {"nodes": [None, {"id": 3}]}])
def test_a_broken_definition_is_told_too(broken: Any) -> None:
    assert words(CHAIN, broken) and words(broken, CHAIN)
    assert told(broken, broken) == []


def test_steps_of_the_same_id_and_connections_to_nowhere_are_told() -> None:
    twice = {**CHAIN, "nodes": [*CHAIN["nodes"], CHAIN["nodes"][0]]}
    assert words(CHAIN, twice) == ["Changed what is neither a step nor a connection, among both"]
    lost = {**CHAIN, "edges": [*CHAIN["edges"], {"source": "work", "target": "gone"}]}
    assert words(CHAIN, lost) == ["“gone” now runs after “Shout”"]


def test_a_hostile_label_is_one_short_line() -> None:
    [line] = words(CHAIN, changed(label="<b>\n\x1b[31m" + "x" * 10_000))
    assert line.isprintable() and len(line) < 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["a", "b", "c", "ai"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["label", "x", "id"]), inner, max_size=3)
    ),
    max_leaves=6,
)
IDS = st.sampled_from("abc")
NODE = st.fixed_dictionaries({"id": IDS, "type": st.sampled_from(["ai", "zz"])}, optional={"data": JSON, "z": JSON})
EDGE = st.fixed_dictionaries({"source": IDS, "target": IDS}, optional={"sourceHandle": JSON, "id": JSON})
DEFINITION = st.fixed_dictionaries(
    {"nodes": st.lists(NODE | JSON, max_size=4), "edges": st.lists(EDGE | JSON, max_size=4)},
    optional={"viewport": JSON},
)


@given(DEFINITION | JSON, DEFINITION | JSON)
def test_words_are_found_exactly_where_something_differs(before: Any, after: Any) -> None:
    lines = words(before, after)
    assert bool(lines) == (digest(before) != digest(after))
    assert all(line and line.isprintable() for line in lines)
    ids = {node.get("id") for node in _nodes(after) if isinstance(node, dict) and isinstance(node.get("id"), str)}
    assert {difference.node for difference in told(before, after)} <= {*ids, None}


def _nodes(definition: Any) -> list[Any]:
    nodes = definition.get("nodes") if isinstance(definition, dict) else None
    return nodes if isinstance(nodes, list) else []
