"""A workflow as a file: what goes out comes back the same, and what cannot come in is refused with a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import CHAIN
from workflows.errors import InputError
from workflows.exchange import Parcel, read, write
from workflows.management.commands import load_examples

FILES = sorted(load_examples.FOLDER.glob("*.json"))
N8N_NODE = {"parameters": {}, "name": "Start", "type": "n8n-nodes-base.start", "typeVersion": 1, "position": [0, 0]}
#: As editors built on React Flow save their graphs, in their own taste.
FLOWS: list[dict[str, Any]] = [
    {"nodes": [], "edges": [], "viewport": {"x": 0, "y": 0, "zoom": 1}},
    {
        "nodes": [
            {
                "id": "dndnode_0",
                "type": "input",
                "position": {"x": 12.5, "y": -3},
                "data": {"label": "Start"},
                "measured": {"width": 150, "height": 40},
                "selected": True,
                "dragging": False,
            },
            {"id": "2", "position": {"x": 0, "y": 0}, "data": None, "parentId": "dndnode_0", "extent": "parent"},
        ],
        "edges": [
            {
                "id": "reactflow__edge-dndnode_0a-2b",
                "source": "dndnode_0",
                "target": "2",
                "sourceHandle": None,
                "targetHandle": "b",
                "animated": True,
                "markerEnd": {"type": "arrowclosed"},
            }
        ],
        "viewport": {"x": -1.25, "y": 1e-7, "zoom": 0.5},
    },
    {"edges": [], "nodes": [{"id": "a", "type": "ours", "data": {"__proto__": {"x": 1}, "b": 1, "a": 2}}], "z": [[]]},
    {"nodes": [{"id": "<script>alert(1)</script>"}, 7, None], "edges": "none", "name": "  A\nname "},
]


def refused(content: Any, max_bytes: int | None = None) -> str:
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    with pytest.raises(InputError) as caught:
        read(text, max_bytes)
    assert caught.value.message.isprintable()
    return caught.value.message


def as_text(definition: Any) -> str:
    """With the order of keys, which == does not see."""
    return json.dumps(definition)


# There and back


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_example_is_such_a_file_and_comes_back_the_same(file: Any) -> None:
    told = json.loads(file.read_text(encoding="utf-8"))
    parcel = read(file.read_bytes())
    assert (parcel.name, parcel.description, parcel.unused) == (told["name"], told["description"], ())
    assert read(write(parcel)) == parcel
    assert as_text(parcel.definition) == as_text(told["definition"])


@pytest.mark.parametrize("flow", FLOWS)
def test_a_bare_react_flow_graph_is_kept_with_every_key_in_its_order(flow: dict[str, Any]) -> None:
    parcel = read(json.dumps(flow))
    assert as_text(parcel.definition) == as_text(flow)
    assert as_text(read(write(parcel)).definition) == as_text(flow)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUE = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXT, VALUE, max_size=4), st.lists(VALUE, max_size=4), st.integers(1, 1000))
def test_whatever_json_a_definition_holds_comes_back_the_same(root: Any, nodes: Any, max_parallel: int) -> None:
    parcel = Parcel({"nodes": nodes, "edges": [], **root}, "Name", "For whom", ("a", "b"), max_parallel, "Europe/Paris")
    again = read(write(parcel))
    assert again == parcel and as_text(again.definition) == as_text(parcel.definition)


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert read(b"\xef\xbb\xbf" + json.dumps(CHAIN).encode()).definition == CHAIN
    assert read("\ufeff" + json.dumps(CHAIN)).definition == CHAIN


def test_a_graph_with_a_name_suggests_it() -> None:
    assert read(json.dumps(FLOWS[3])).name == "A name"


def test_what_nothing_reads_is_named() -> None:
    assert read(json.dumps({"definition": CHAIN, "colour": "red", "secrets": {}})).unused == ("colour", "secrets")


# Refused


def test_an_n8n_export_is_refused_by_its_name() -> None:
    export = {"name": "My workflow", "nodes": [N8N_NODE], "connections": {}, "settings": {}}
    for odd in (export, [export], {**export, "nodes": []}, {"definition": export}):
        assert "n8n export" in refused(odd)


def test_a_graph_that_happens_to_have_connections_is_none_of_n8ns() -> None:
    flow = {"nodes": [{"id": "a", "type": "input"}], "edges": [], "connections": {}}
    assert read(json.dumps(flow)).definition == flow


@pytest.mark.parametrize("odd", [3, '"text"', None, [], [CHAIN], {}, {"edges": []}, {"nodes": {}}, {"workflows": []}])
def test_what_is_neither_file_nor_graph_is_refused(odd: Any) -> None:
    assert "neither an exported workflow" in refused(odd)


@pytest.mark.parametrize("empty", ["", " \n", b"", b"\xef\xbb\xbf"])
def test_an_empty_file_is_said_to_be_empty(empty: Any) -> None:
    assert refused(empty) == "The file is empty."


def test_broken_json_is_refused_with_its_line() -> None:
    assert "line 2" in refused('{"nodes": [],\n oops}')


def test_a_key_that_stands_twice_is_named_since_one_of_both_would_be_lost() -> None:
    assert "“type” stands twice" in refused('{"nodes": [{"id": "a", "type": "x", "type": "y"}], "edges": []}')


@pytest.mark.parametrize("odd", [b"\xff\xfe{\x00}\x00", b'{"nodes": ["\xe4"]}', b"PK\x03\x04\xb0"])
def test_what_is_not_utf_8_is_refused(odd: bytes) -> None:
    assert "not UTF-8" in refused(odd)


@pytest.mark.parametrize(
    "value", ["NaN", "-Infinity", "1e999", '"\\u0000"', '"\\ud800"', "9" * 4_299, "9" * 5_000, "[" * 70 + "]" * 70]
)
def test_a_value_that_no_database_keeps_is_refused(value: str) -> None:
    assert refused(f'{{"nodes": [], "edges": [], "x": {value}}}')


def test_nesting_without_end_is_refused() -> None:
    assert "nested too deep" in refused("[" * 200_000)


def test_too_many_steps_are_refused_with_the_limit() -> None:
    bomb = {"nodes": [{"id": f"n{n}", "type": "default"} for n in range(10_000)], "edges": []}
    assert refused(bomb) == "It has 10,000 steps; at most 2,000 are taken."


def test_a_file_that_is_too_large_is_refused_with_the_limit() -> None:
    assert (
        refused(b" " * (5 * 1024 * 1024 + 1), 5 * 1024 * 1024)
        == "The file has 5,242,881 bytes; at most 5 MB are taken."
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("definition", [1]),
        ("name", 3),
        ("name", "x" * 201),
        ("name", "a\0"),
        ("description", ["x"]),
        ("tags", "red"),
        ("tags", [1]),
        ("tags", ["x" * 41]),
        ("tags", ["t"] * 51),
        ("max_parallel", 0),
        ("max_parallel", True),
        ("max_parallel", "8"),
        ("max_parallel", 10**30),
        ("time_zone", "Mars/Olympus"),
        ("time_zone", "../../etc/passwd"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_key(key: str, value: Any) -> None:
    assert f"“{key}”" in refused({"definition": CHAIN, key: value}) or "The tag" in refused(
        {"definition": CHAIN, key: value}
    )
