"""Changes of a definition: what each does, that its inverse takes it back, and what is refused in words. Pure."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from workflows import edits
from workflows.errors import EditError
from workflows.graph import check, sketch
from workflows.splices import Change, apply


def definition(*edges: str, nodes: str = "") -> dict[str, Any]:
    """definition("a>b", "b.true>c"): steps in the order in which they are met, or in that of `nodes`."""
    pairs = [(*_source(edge.split(">")[0]), edge.split(">")[1]) for edge in edges]
    names = nodes or "".join(dict.fromkeys("".join(source + target for source, _, target in pairs)))
    return {
        "nodes": [{"id": name, "type": "default", "data": {"label": name.upper()}} for name in names],
        "edges": [
            {"id": f"e{n}", "source": source, "target": target} | ({"sourceHandle": handle} if handle else {})
            for n, (source, handle, target) in enumerate(pairs)
        ],
    }


def _source(text: str) -> tuple[str, str]:
    name, _, handle = text.partition(".")
    return name, handle


def drawn(made: dict[str, Any]) -> str:
    """All connections in their order, as definition() takes them."""
    return " ".join(
        f"{edge['source']}{'.' + edge['sourceHandle'] if edge.get('sourceHandle') else ''}>{edge['target']}"
        for edge in made["edges"]
    )


def order(made: dict[str, Any]) -> str:
    return "".join(sketch(made).order)


def done(made: dict[str, Any], change: Change) -> dict[str, Any]:
    """The definition after the change, having seen that the inverse takes it back and that nothing else was touched."""
    before = json.dumps(made)
    after = apply(made, change)
    assert json.dumps(made) == before
    assert apply(after, change.inverse()) == made
    assert [problem.code for problem in check(after) if problem.code != "graph.empty"] == []
    return after


def add(made: dict[str, Any], label: str, **how: Any) -> dict[str, Any]:
    return done(made, edits.add_step(made, "default", {"label": label}, **how))


# Adding


def test_the_first_step_of_an_empty_definition() -> None:
    made = add({"nodes": [], "edges": []}, "Take in")
    assert made["nodes"] == [{"id": "take-in", "type": "default", "data": {"label": "Take in"}}]
    assert made["edges"] == []


def test_a_definition_without_edges_gets_some() -> None:
    made: dict[str, Any] = {"nodes": [{"id": "a", "type": "default"}]}
    change = edits.add_step(made, "default", {"label": "b"}, after="a")
    assert drawn(apply(made, change)) == "a>b"
    assert apply(apply(made, change), change.inverse()) == {**made, "edges": []}


def test_a_step_after_the_last_is_connected_to_it() -> None:
    assert drawn(add(definition("a>b"), "c", after="b")) == "a>b b>c"


def test_a_step_in_the_middle_goes_into_the_line() -> None:
    made = add(definition("a>b", "b>c"), "x", after="a")
    assert drawn(made) == "x>b b>c a>x"
    assert order(made) == "axbc"


def test_a_step_in_the_line_of_a_fork_leads_to_all_of_its_branches() -> None:
    assert drawn(add(definition("a>b", "a>c"), "x", after="a")) == "x>b x>c a>x"


def test_a_step_beside_what_follows_starts_at_the_same_time() -> None:
    assert drawn(add(definition("a>b"), "x", after="a", beside=True)) == "a>b a>x"


def test_a_step_goes_into_the_line_of_one_handle_only() -> None:
    made = add(definition("a.true>b", "a.false>c"), "x", after="a", handle="false")
    assert drawn(made) == "a.true>b x>c a.false>x"


def test_labels_and_ids_are_made_unique() -> None:
    made = add(add(add(definition("a>b"), "Call the API!", after="b"), "Call the API!"), "Call the API! 2")
    labels = [node["data"]["label"] for node in made["nodes"]][2:]
    assert [node["id"] for node in made["nodes"]][2:] == ["call-the-api", "call-the-api-2", "call-the-api-3"]
    assert labels == ["Call the API!", "Call the API! 2", "Call the API! 3"]


@pytest.mark.parametrize(
    ("label", "expected"),
    [("Größe prüfen", "gr-e-pr-fen"), ("日本語", "step"), ("  ", "step"), ("a" * 200, "a" * 48), ("-_-", "step")],
)
def test_a_label_of_any_script_gives_an_id(label: str, expected: str) -> None:
    assert edits.slug(label, []) == expected


def test_connections_get_ids_of_their_own() -> None:
    made = add(add(definition("a>b"), "x", after="a"), "y", after="a", beside=True)
    ids = [edge["id"] for edge in made["edges"]]
    assert len(set(ids)) == len(ids)


def test_a_step_after_one_that_is_gone_is_refused() -> None:
    with pytest.raises(EditError, match="no step “z” any more"):
        edits.add_step(definition("a>b"), "default", {"label": "x"}, after="z")


# Settings


def test_settings_are_replaced_and_unknown_keys_of_the_step_survive() -> None:
    made = definition("a>b")
    made["nodes"][0]["position"] = {"x": 1, "y": 2}
    after = done(made, edits.configure(made, "a", {"label": "A", "operation": "trim"}))
    assert after["nodes"][0] == {
        "id": "a",
        "type": "default",
        "data": {"label": "A", "operation": "trim"},
        "position": {"x": 1, "y": 2},
    }


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ({"label": "B"}, "Renamed “A” to “B”"),
        ({"label": "A", "max_length": 1}, "Changed max length of “A”"),
        ({"label": "B", "x": 1, "y": 2}, "Renamed “A” to “B” and changed x and y"),
    ],
)
def test_what_changed_is_said(new: dict[str, Any], words: str) -> None:
    assert edits.configure(definition("a>b"), "a", new).words == words


def test_nothing_changed_is_no_change() -> None:
    assert edits.configure(definition("a>b"), "a", {"label": "A"}).splices == []


def test_what_is_typed_into_one_field_becomes_one_edit() -> None:
    made = definition("a>b")
    first = edits.configure(made, "a", {"label": "A", "x": "h"})
    second = edits.configure(apply(made, first), "a", {"label": "A", "x": "hi"})
    both = edits.joined(first, second)
    assert both is not None
    assert apply(made, both) == apply(apply(made, first), second)
    assert apply(apply(made, both), both.inverse()) == made


def test_two_fields_stay_two_edits() -> None:
    made = definition("a>b")
    first = edits.configure(made, "a", {"label": "A", "x": "h"})
    second = edits.configure(apply(made, first), "a", {"label": "A", "x": "h", "y": 1})
    assert edits.joined(first, second) is None


# Deleting, duplicating, moving


def test_deleting_heals_the_line() -> None:
    made = definition("a>b", "b>c")
    assert drawn(done(made, edits.delete(made, "b"))) == "a>c"


def test_deleting_heals_a_join_and_a_fork_and_keeps_handles() -> None:
    made = definition("a.true>x", "b>x", "x>c", "x>d")
    assert drawn(done(made, edits.delete(made, "x"))) == "a.true>c b>c a.true>d b>d"


def test_deleting_draws_no_connection_twice() -> None:
    made = definition("a>b", "b>c", "a>c")
    assert drawn(done(made, edits.delete(made, "b"))) == "a>c"


def test_deleting_keeps_whose_data_wins() -> None:
    made = definition("a>b", "b>d", "a>c", "c>d")
    assert drawn(done(made, edits.delete(made, "b"))) == "a>d a>c c>d"


def test_deleting_a_step_that_stands_alone_touches_no_connection() -> None:
    made = {key: value for key, value in definition(nodes="ab").items() if key != "edges"}
    assert set(done(made, edits.delete(made, "a"))) == {"nodes"}


def test_deleting_a_hub_draws_each_way_through_it_in_one_splice() -> None:
    made = definition(*(f"{name}>x" for name in "abcd"), *(f"x>{name}" for name in "efgh"))
    change = edits.delete(made, "x")
    assert len(done(made, change)["edges"]) == 16
    assert [splice.at for splice in change.splices] == ["edges", "nodes"]


def test_deleting_what_would_leave_too_many_connections_is_refused_in_words() -> None:
    names = [f"n{number}" for number in range(202)]
    pairs = [(name, "x") for name in names[:101]] + [("x", name) for name in names[101:]]
    nodes = [{"id": name, "type": "default"} for name in ("x", *names)]
    made = {"nodes": nodes, "edges": [{"source": one, "target": two} for one, two in pairs]}
    with pytest.raises(EditError, match="“x” leads 101 connections to 101: without it there would be too many"):
        edits.delete(made, "x")


def test_deleting_the_last_step_leaves_nothing() -> None:
    made = definition(nodes="a")
    assert done(made, edits.delete(made, "a")) == {"nodes": [], "edges": []}


def test_after_deleting_one_goes_on_at_the_step_before() -> None:
    assert edits.delete(definition("a>b", "b>c"), "b").node == "a"
    assert edits.delete(definition("a>b", "b>c"), "a").node == "b"
    assert edits.delete(definition(nodes="a"), "a").node is None


def test_a_copy_stands_behind_its_original() -> None:
    made = definition("a>b", "b>c")
    after = done(made, edits.duplicate(made, "b"))
    assert [node["data"]["label"] for node in after["nodes"]] == ["A", "B", "B 2", "C"]
    assert drawn(after) == "a>b b-2>c b>b-2"


def test_moving_in_a_line_changes_the_line() -> None:
    made = definition("a>b", "b>c", "c>d")
    after = done(made, edits.move(made, "c", -1))
    assert order(after) == "acbd"
    assert order(done(made, edits.move(made, "b", 1))) == "acbd"


def test_moving_among_parallel_steps_changes_only_their_order() -> None:
    made = definition("a>b", "a>c")
    after = done(made, edits.move(made, "c", -1))
    assert order(after) == "acb"
    assert drawn(after) == "a>b a>c"


def test_the_first_cannot_move_up_and_the_last_not_down() -> None:
    with pytest.raises(EditError, match="is first already"):
        edits.move(definition("a>b"), "a", -1)
    with pytest.raises(EditError, match="is last already"):
        edits.move(definition("a>b"), "b", 1)


# Connections


def test_a_connection_is_drawn_and_taken_away() -> None:
    made = definition("a>b", nodes="abc")
    after = done(made, edits.connect(made, "b", "out", "c"))
    assert drawn(after) == "a>b b>c"
    assert drawn(done(after, edits.disconnect(after, "a", "out", "b"))) == "b>c"


@pytest.mark.parametrize(("source", "target"), [("b", "a"), ("c", "a"), ("a", "a")])
def test_a_cycle_is_refused_in_words(source: str, target: str) -> None:
    with pytest.raises(EditError, match="already runs after"):
        edits.connect(definition("a>b", "b>c"), source, "out", target)


def test_a_connection_that_is_there_is_not_drawn_twice() -> None:
    with pytest.raises(EditError, match="already"):
        edits.connect(definition("a>b"), "a", "out", "b")


def test_a_connection_that_is_gone_cannot_be_taken_away() -> None:
    with pytest.raises(EditError, match="not there any more"):
        edits.disconnect(definition("a>b"), "b", "out", "a")


# The whole


def test_a_whole_definition_is_replaced_and_comes_back_with_its_unknown_keys() -> None:
    made = {**definition("a>b"), "viewport": {"zoom": 2}, "": None}
    change = edits.rewrite(made, {"nodes": "broken"}, "Imported")
    assert apply(apply(made, change), change.inverse()) == made


def test_a_change_that_does_not_fit_any_more_is_refused() -> None:
    change = edits.configure(definition("a>b"), "a", {"label": "New"})
    with pytest.raises(EditError, match="has changed meanwhile"):
        apply(definition("b>a"), change)


def test_a_draft_is_never_made_too_large() -> None:
    made = {"nodes": [{"id": f"n{n}", "type": "default"} for n in range(2_000)], "edges": []}
    with pytest.raises(EditError, match="at most 2,000"):
        edits.add_step(made, "default", {"label": "one more"})


def test_any_walk_of_changes_can_be_taken_back_step_by_step() -> None:
    for seed in range(150):
        walk(random.Random(seed))


def walk(chance: random.Random) -> None:
    made: dict[str, Any] = {"nodes": [], "edges": [], "viewport": {"zoom": 1}}
    history: list[tuple[dict[str, Any], Change]] = []
    for _ in range(30):
        try:
            change = any_change(made, chance)
        except EditError:
            continue
        after = done(made, change)
        history.append((made, change))
        made = after
    for before, change in reversed(history):
        made = apply(made, change.inverse())
        assert made == before


def any_change(made: dict[str, Any], chance: random.Random) -> Change:
    names = [node["id"] for node in made["nodes"]]
    if not names:
        return edits.add_step(made, "default", {"label": "First"})
    one, two = chance.choice(names), chance.choice(names)
    verbs = (
        lambda: edits.add_step(made, "x", {"label": "S"}, after=one, beside=chance.random() < 0.3),
        lambda: edits.add_step(made, "x", {"label": "S"}),
        lambda: edits.configure(made, one, {"label": f"L{chance.random()}"}),
        lambda: edits.connect(made, one, chance.choice(["out", "true"]), two),
        lambda: edits.move(made, one, chance.choice([-1, 1])),
        lambda: edits.duplicate(made, one),
        lambda: edits.delete(made, one),
        lambda: edits.disconnect(made, one, "out", two),
    )
    return chance.choice(verbs)()


@pytest.mark.parametrize(("old", "new"), [(True, 1), (0, False), (1, 1.0), ([True], [1]), (None, "absent")])
def test_what_only_python_takes_for_equal_is_a_change(old: Any, new: Any) -> None:
    made = definition("a>b")
    made["nodes"][0]["data"]["given"] = old
    data = {"label": "A"} if new == "absent" else {"label": "A", "given": new}
    after = done(made, edits.configure(made, "a", data))
    assert json.dumps(after["nodes"][0]["data"]) == json.dumps(data)
    assert json.dumps(apply(made, edits.rewrite(made, after, "Rewrote it"))) == json.dumps(after)
