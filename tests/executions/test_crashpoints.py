"""Crash points: each is reached where it says it is, no boundary of a commit is without one, and nothing is armed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from executions import crashpoints
from executions.crashpoints import PLACES, POINTS, TRANSACTIONS, committing, reach

ROOT = Path(__file__).resolve().parent.parent.parent
#: Where a bare transaction.atomic() may stand, and why no process can die there in a way of its own.
INSIDE = {
    "crashpoints.committing": "makes the points",
    "aftermath._tried": "a savepoint inside the end that sets it off: “aftermath.followed” is after it",
    "children._keep": "a savepoint inside “record”: “fan_out.made” is after it",
    "models.wait.ExecutionWait.answer_once": "inside “answer”, its only caller",
    "repair.repair": "inside “repair”, its only caller",
}


@pytest.fixture(autouse=True)
def unarmed() -> Iterator[None]:
    yield
    crashpoints._armed.clear()


def test_every_point_is_reached_exactly_where_it_says() -> None:
    wanted = {("reach", name, where) for name, (where, _) in PLACES.items()}
    wanted |= {("committing", name, where) for name, (where, _) in TRANSACTIONS.items()}
    found = [(verb, name, where) for verb, name, where in calls() if verb != "atomic"]
    assert sorted(found) == sorted(wanted)


def test_every_transaction_has_its_points_or_a_reason() -> None:
    assert {where for verb, _, where in calls() if verb == "atomic"} == set(INSIDE)


def test_there_is_no_other_way_to_a_transaction() -> None:
    """Neither a decorator, nor a name of its own, nor a commit by hand."""
    for file, tree in trees():
        named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not named & {"commit_manually", "set_autocommit", "savepoint"}, file
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        assert "atomic" not in imported, file
        decorators = [each for node in ast.walk(tree) for each in getattr(node, "decorator_list", ())]
        assert not [each for each in decorators if "atomic" in ast.unparse(each)], file


def test_nothing_of_ours_arms_anything() -> None:
    files = [file for folder in ("executions", "workflows", "workflowsite") for file in (ROOT / folder).rglob("*.py")]
    assert not [file for file in files if re.search(r"crashpoints\.arm|crashpoints import .*\barm\b", file.read_text())]
    assert not crashpoints._armed
    assert "environ" not in (ROOT / "executions" / "crashpoints.py").read_text()


@pytest.mark.django_db
def test_a_transaction_is_three_points_and_an_error_ends_it() -> None:
    told: list[str] = []
    crashpoints.arm(told.append)
    with committing("claim"):
        assert connection.in_atomic_block
    with pytest.raises(ZeroDivisionError), committing("cancel"):
        _ = 1 / 0
    assert told == ["claim.before", "claim.written", "claim.committed", "cancel.before"]


def test_an_unknown_name_is_an_error() -> None:
    crashpoints.arm(lambda point: None)
    with pytest.raises(LookupError, match="no crash point 'claim'"):
        reach("claim")


def test_each_says_what_must_hold() -> None:
    sentences = [holds for _, holds in (*TRANSACTIONS.values(), *PLACES.values())]
    assert all(sentence.endswith(".") for sentence in sentences) and len(POINTS) == 3 * len(TRANSACTIONS) + len(PLACES)


def calls() -> Iterator[tuple[str, str, str]]:
    """(verb, name, module.function) of every point in the source, and of every bare atomic()."""
    for file, tree in trees():
        module = ".".join(file.relative_to(ROOT / "executions").with_suffix("").parts)
        yield from _calls_in(tree, module)


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for file in sorted((ROOT / "executions").rglob("*.py")):
        if "migrations" not in file.parts:
            yield file, ast.parse(file.read_text())


def _calls_in(node: ast.AST, where: str) -> Iterator[tuple[str, str, str]]:
    for child in ast.iter_child_nodes(node):
        is_named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if isinstance(child, ast.Call):
            verb = ast.unparse(child.func)
            if verb == "transaction.atomic":
                yield "atomic", "", where
            elif verb in ("reach", "committing") and not where.startswith("crashpoints."):
                yield from ((verb, name, where) for name in _names(child.args[0]))
        yield from _calls_in(child, f"{where}.{child.name}" if is_named else where)  # type: ignore[attr-defined]


def _names(argument: ast.expr) -> Iterator[str]:
    """A literal, or one of two."""
    if isinstance(argument, ast.IfExp):
        yield from (*_names(argument.body), *_names(argument.orelse))
    else:
        yield ast.literal_eval(argument)
