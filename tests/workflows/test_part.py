"""Parts of a definition: up to a step, or one step alone."""

from __future__ import annotations

from typing import Any

import pytest

from workflows.part import only, up_to

#       b
#     /   \
#   a       d - e        f stands alone
#     \   /
#       c
DIAMOND: dict[str, Any] = {
    "nodes": [{"id": node_id, "type": "process", "position": {"x": 1}} for node_id in "abcdef"],
    "edges": [
        {"source": "a", "target": "b", "sourceHandle": "out", "animated": True},
        {"source": "a", "target": "c"},
        {"source": "b", "target": "d"},
        {"source": "c", "target": "d"},
        {"source": "d", "target": "e"},
    ],
    "viewport": {"zoom": 2},
}


def shape(definition: dict[str, Any]) -> tuple[str, list[str]]:
    ids = "".join(node["id"] for node in definition["nodes"])
    return ids, [edge["source"] + edge["target"] for edge in definition["edges"]]


@pytest.mark.parametrize(
    ("node_id", "ids", "edges"),
    [
        ("a", "a", []),
        ("c", "ac", ["ac"]),
        ("d", "abcd", ["ab", "ac", "bd", "cd"]),
        ("e", "abcde", ["ab", "ac", "bd", "cd", "de"]),
        ("f", "f", []),
    ],
)
def test_up_to_a_step_is_all_that_leads_to_it_and_itself(node_id: str, ids: str, edges: list[str]) -> None:
    assert shape(up_to(DIAMOND, node_id)) == (ids, edges)


def test_one_step_alone_has_no_connections() -> None:
    assert shape(only(DIAMOND, "d")) == ("d", [])


def test_unknown_keys_are_kept_and_the_whole_is_left_as_it_was() -> None:
    before = str(DIAMOND)
    part = up_to(DIAMOND, "b")
    assert part["viewport"] == {"zoom": 2} and part["nodes"][0]["position"] == {"x": 1} and part["edges"][0]["animated"]
    assert str(DIAMOND) == before


@pytest.mark.parametrize("edges", [{}, {"edges": None}])
def test_a_definition_without_edges_has_parts_too(edges: dict[str, Any]) -> None:
    assert shape(up_to({"nodes": [{"id": "a", "type": "input"}], **edges}, "a")) == ("a", [])


@pytest.mark.parametrize("part", [up_to, only])
def test_an_unknown_step_is_a_key_error(part: Any) -> None:
    with pytest.raises(KeyError):
        part(DIAMOND, "nowhere")
