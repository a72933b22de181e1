"""Conditions and cases in words, as versions tell them. Pure: no database."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.asking import asked
from workflows.changes import told
from workflows.sayings import said

LARGE = {"path": "amount", "operator": "greater", "value": "100"}
VIP = {"path": "customer.vip", "operator": "true", "value": "left over"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([LARGE], "amount is more than 100"),
        ([LARGE, VIP], "amount is more than 100; customer.vip is yes"),
        ([{"path": "x", "value": "open"}], "x equals “open”"),
        ([{"path": "x", "operator": "one_of", "value": "a, b"}], "x is one of “a”, “b”"),
        ([{"path": "x", "operator": "one_of", "value": [1, "b"]}], "x is one of 1, “b”"),
        (
            [
                {"id": "de", "label": "Germany", "match": "any", "conditions": [LARGE, VIP]},
                {"id": "b", "conditions": [VIP]},
            ],
            "“Germany” if amount is more than 100 or customer.vip is yes; “b” if customer.vip is yes",
        ),
    ],
)
def test_they_are_told_in_words(value: Any, words: str) -> None:
    assert asked(value) == said(value) == words


@pytest.mark.parametrize(
    "value",
    [
        *(None, [], {}, "text", 5, ["a"], [5], [{}], [LARGE, {}], [{"path": ""}], [{"path": 5}]),
        *([{**LARGE, "operator": "is"}], [{**LARGE, "operator": ["x"]}], [{"conditions": []}], [{"conditions": [5]}]),
        *([LARGE] * 50, [{"name": "a", "type": "text"}]),
    ],
)
def test_what_is_none_is_not(value: Any) -> None:
    assert asked(value) == ""


def test_a_changed_condition_is_told_from_what_to_what() -> None:
    def definition(value: str) -> dict[str, Any]:
        data = {"label": "Large?", "conditions": [{**LARGE, "value": value}]}
        return {"nodes": [{"id": "a", "type": "branch", "data": data}], "edges": []}

    (difference,) = told(definition("100"), definition("200"))
    assert difference.words == "“Large?”: Conditions changed from amount is more than 100 to amount is more than 200"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["path", "operator", "value", "conditions", "label", "match"]), inner)
        ),
        max_leaves=10,
    )
)
def test_whatever_a_draft_holds_it_never_raises(value: Any) -> None:
    assert isinstance(asked([value]), str)
