"""The planner by tables of cases, by property, and beside a slow one that looks at everything. No database."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executions.planner import (
    Finish,
    GiveUp,
    Move,
    Pause,
    Rest,
    Resume,
    Skip,
    Start,
    State,
    Stop,
    fold,
    is_live,
    next_moves,
)
from tests.executions.dags import Entry, Walk, drawn, graphs, plain_moves
from workflows.graph import Graph

ERROR = {"type": "ValueError", "message": "no", "node": "a", "attempt": 1}
SEEDS = st.integers(0, 2**32)


def journal(*told: str) -> list[Entry]:
    """Entries from “started a”, “completed a:true”, “cancel_requested”, …; attempts are counted."""
    entries = [Entry("queued"), Entry("started")]
    attempts: dict[str, int] = {}
    for text in told:
        kind, _, name = text.partition(" ")
        name, _, handle = name.partition(":")
        if kind == "started":
            attempts[name] = attempts.get(name, 0) + 1
        entries.append(Entry(kind, name or None, attempts.get(name), _data(kind, handle)))
    for seq, entry in enumerate(entries, 1):
        entry.seq = seq
    return entries


def _data(kind: str, handle: str) -> Any:
    return {
        "completed": {"added": {}} | ({"handle": handle} if handle else {}),
        "reused": {"added": {}},
        "failed": {"error": ERROR} | ({"handle": handle} if handle else {}),
        "retried": {"error": ERROR, "until": None, "failures": 1, "of": 3},
        "limited": {"limit": "time", "error": ERROR} if handle else {"limit": "log"},
        "repaired": {"output": {"added": {}, "handle": handle}} if handle else {"reason": "typing error"},
        "resumed": {"expires_at": None},
        "waited": {"until": handle.replace("/", ":") or None, "reason": ""},
        "answered": {"answer": 42, "by": None},
        "finished": {"status": handle or "completed"},
        "taken_over": {"nodes": []},
    }.get(kind)


def moves(graph: Graph, *told: str) -> list[Move]:
    return next_moves(graph, fold(journal(*told)))


CHAIN = drawn("a b c", "a>b", "b>c")
FORK = drawn("a b c d", "a>b", "a>c", "b>d", "c>d")
CHOICE = drawn("a yes no end", "a:true>yes", "a:false>no", "yes>end", "no>end")
SAFE = drawn("a good bad end", "a>good", "a:error>bad", "good>end", "bad>end")
LONG_NO = drawn("a yes no no2 end", "a:true>yes", "a:false>no", "no>no2", "no2>end", "yes>end")


@pytest.mark.parametrize(
    ("graph", "told", "expected"),
    [
        # chains
        (CHAIN, "", [Start("a")]),
        (CHAIN, "started a", []),
        (CHAIN, "started a, completed a", [Start("b")]),
        (CHAIN, "started a, completed a, started b", []),
        (CHAIN, "started a, completed a, started b, completed b, started c, completed c", [Finish("completed")]),
        (CHAIN, "started a, completed a, reused b", [Start("c")]),
        (drawn("a"), "", [Start("a")]),
        (CHAIN, "reused a, reused b", [Start("c")]),
        (FORK, "reused a, reused c", [Start("b")]),
        (FORK, "reused a, reused b, reused c, reused d", [Finish("completed")]),
        # forks and joins
        (FORK, "started a, completed a", [Start("b"), Start("c")]),
        (FORK, "started a, completed a, started b, started c, completed c", []),
        (FORK, "started a, completed a, started b, started c, completed c, completed b", [Start("d")]),
        (drawn("a b c"), "", [Start("a"), Start("b"), Start("c")]),
        (drawn("c b a"), "", [Start("c"), Start("b"), Start("a")]),
        (drawn("d c b a", "a>b", "a>c", "b>d", "c>d"), "started a, completed a", [Start("c"), Start("b")]),
        # branches: what is not chosen is skipped, and so is all that only it leads to
        (CHOICE, "started a, completed a:true", [Start("yes"), Skip("no")]),
        (CHOICE, "started a, completed a:false", [Skip("yes"), Start("no")]),
        (CHOICE, "started a, completed a:true, skipped no, started yes", []),
        (CHOICE, "started a, completed a:true, skipped no, started yes, completed yes", [Start("end")]),
        (LONG_NO, "started a, completed a:true, started yes, skipped no", [Skip("no2")]),
        (drawn("a b c", "a:true>b", "b>c"), "started a, completed a:false", [Skip("b")]),
        (drawn("a b c", "a:true>b", "b>c"), "started a, completed a:false, skipped b", [Skip("c")]),
        (drawn("a b", "a:true>b"), "started a, completed a:false, skipped b", [Finish("completed")]),
        # two edges between the same two steps: one live edge is enough
        (drawn("a b", "a:true>b", "a:false>b"), "started a, completed a:false", [Start("b")]),
        # a dead edge beside one that is not settled yet: wait
        (drawn("a b c", "a:true>c", "b>c"), "started a, started b, completed a:false", []),
        (drawn("a b c", "a:true>c", "b>c"), "started a, started b, completed a:false, completed b", [Start("c")]),
        # failure: nothing new starts, what runs is stopped, what waits too
        (CHAIN, "started a, failed a", [Finish("failed")]),
        (FORK, "started a, completed a, started b, started c, failed b", [Stop("c")]),
        (FORK, "started a, completed a, started b, started c, failed b, cancelled c", [Finish("failed")]),
        (FORK, "started a, completed a, started b, started c, failed b, completed c", [Finish("failed")]),
        (FORK, "started a, completed a, started b, started c, failed b, abandoned c", [Finish("failed")]),
        (FORK, "started a, completed a, started b, started c, waited c, failed b", [Stop("c")]),
        (FORK, "started a, completed a, started b, started c, waited c, answered c, failed b", [Stop("c")]),
        # a failure that its policy handles: by “out” as if it had ended well, by “error” the other way
        (CHAIN, "started a, failed a:out", [Start("b")]),
        (SAFE, "started a, failed a:error", [Skip("good"), Start("bad")]),
        (SAFE, "started a, completed a", [Start("good"), Skip("bad")]),
        (SAFE, "started a, failed a:error, skipped good, started bad, completed bad", [Start("end")]),
        (SAFE, "started a, failed a:out, started good, skipped bad, failed good:out", [Start("end")]),
        (SAFE, "started a, failed a", [Finish("failed")]),
        (CHAIN, "started a, failed a:error", [Skip("b")]),
        (CHAIN, "started a, failed a:error, skipped b, skipped c", [Finish("completed")]),
        (FORK, "started a, completed a, started b, started c, failed b:out", []),
        (FORK, "started a, completed a, started b, started c, failed b:out, completed c", [Start("d")]),
        (FORK, "started a, completed a, started b, started c, failed b:error, failed c:error", [Skip("d")]),
        (FORK, "started a, completed a, started b, started c, failed b:error, failed c:out", [Start("d")]),
        (FORK, "started a, completed a, started b, started c, failed b:out, failed c", [Finish("failed")]),
        # tried again: a wait, then the next attempt
        (CHAIN, "started a, retried a", [Rest()]),
        (CHAIN, "started a, retried a, answered a", [Start("a", 2)]),
        (CHAIN, "started a, retried a, answered a, started a, retried a, answered a", [Start("a", 3)]),
        (CHAIN, "started a, retried a, taken_over", [Rest()]),
        (CHAIN, "started a, retried a, cancel_requested", [Stop("a")]),
        (CHAIN, "started a, retried a, answered a, cancel_requested", [Stop("a")]),
        (CHAIN, "started a, retried a, answered a, started a, failed a", [Finish("failed")]),
        (CHAIN, "started a, retried a, answered a, started a, waited a, answered a", [Resume("a")]),
        (FORK, "started a, completed a, started b, started c, retried b, failed c", [Stop("b")]),
        (FORK, "started a, completed a, started b, started c, retried b, completed c", [Rest()]),
        # limits that end it, and such that do not
        (CHAIN, "started a, limited :error", [Stop("a")]),
        (CHAIN, "started a, waited a, limited :error", [Stop("a")]),
        (CHAIN, "started a, limited :error, cancelled a", [Finish("failed")]),
        (CHAIN, "started a, limited :error, completed a", [Finish("failed")]),
        (CHAIN, "limited :error, cancel_requested", [Finish("cancelled")]),
        (CHAIN, "started a, limited, completed a", [Start("b")]),
        # pause: what runs ends, nothing begins
        (CHAIN, "paused", [Rest()]),
        (CHAIN, "started a, paused", []),
        (CHAIN, "started a, paused, completed a", [Rest()]),
        (CHAIN, "started a, paused, completed a, resumed", [Start("b")]),
        (CHAIN, "started a, waited a, paused, answered a", [Rest()]),
        (CHAIN, "started a, waited a, paused, answered a, resumed", [Resume("a")]),
        (CHAIN, "started a, retried a, paused, answered a", [Rest()]),
        (CHAIN, "started a, paused, taken_over", [Rest()]),
        (CHAIN, "started a, paused, taken_over, resumed", [Start("a", 2)]),
        (CHAIN, "started a, paused, failed a", [Finish("failed")]),
        (CHAIN, "started a, paused, cancel_requested", [Stop("a")]),
        (CHAIN, "paused, cancel_requested", [Finish("cancelled")]),
        (CHAIN, "started a, paused, limited :error", [Stop("a")]),
        (CHOICE, "started a, paused, completed a:true", [Rest()]),
        (CHAIN, "started a, paused, resumed", []),
        # repair: what failed or was stopped by it runs once more; what a person supplies counts as its end
        (CHAIN, "started a, failed a, finished :failed, repaired a", [Start("a", 2)]),
        (CHAIN, "started a, failed a, finished :failed, repaired a:out", [Start("b")]),
        (CHOICE, "started a, failed a, finished :failed, repaired a:false", [Skip("yes"), Start("no")]),
        (CHAIN, "started a, limited :error, cancelled a, finished :failed, repaired", [Start("a", 2)]),
        (
            FORK,
            "started a, completed a, started b, started c, failed b, cancelled c, finished :failed, repaired b",
            [Start("b", 2), Start("c", 2)],
        ),
        (
            FORK,
            "started a, completed a, started b, started c, failed b, cancelled c, finished :failed, repaired b:out",
            [Start("c", 2)],
        ),
        (
            FORK,
            "started a, completed a, started b, started c, failed b:out, failed c, finished :failed, repaired c:out",
            [Start("d")],
        ),
        (CHAIN, "started a, failed a, finished :failed, repaired a, started a, failed a", [Finish("failed")]),
        (CHAIN, "started a, failed a, finished :failed, repaired a, cancel_requested", [Finish("cancelled")]),
        (CHAIN, "started a, failed a, finished :failed", []),
        # cancel
        (CHAIN, "cancel_requested", [Finish("cancelled")]),
        (CHAIN, "started a, cancel_requested", [Stop("a")]),
        (CHAIN, "started a, cancel_requested, cancelled a", [Finish("cancelled")]),
        (CHAIN, "started a, cancel_requested, completed a", [Finish("cancelled")]),
        (CHAIN, "started a, cancel_requested, abandoned a", [Finish("cancelled")]),
        (CHAIN, "started a, waited a, cancel_requested", [Stop("a")]),
        (CHAIN, "started a, failed a, cancel_requested", [Finish("cancelled")]),
        (CHAIN, "started a, cancel_requested, failed a", [Finish("cancelled")]),
        # takeover: what ran runs again as the next attempt, what waited goes on waiting
        (CHAIN, "started a, taken_over", [Start("a", 2)]),
        (CHAIN, "started a, taken_over, started a", []),
        (CHAIN, "started a, taken_over, started a, taken_over", [Start("a", 3)]),
        (CHAIN, "started a, taken_over, started a, taken_over, started a, taken_over", [GiveUp("a")]),
        (CHAIN, "started a, waited a, taken_over", [Rest()]),
        (CHAIN, "started a, waited a, answered a, taken_over", [Resume("a")]),
        (CHAIN, "started a, completed a, taken_over", [Start("b")]),
        (CHAIN, "started a, taken_over, cancel_requested", [Finish("cancelled")]),
        (FORK, "started a, completed a, started b, started c, taken_over", [Start("b", 2), Start("c", 2)]),
        # a worker that stops in good order: no loss
        (CHAIN, "started a, abandoned a", [Start("a", 2)]),
        (CHAIN, "started a, abandoned a, started a, abandoned a, started a, abandoned a", [Start("a", 4)]),
        # waits
        (CHAIN, "started a, waited a", [Rest()]),
        (CHAIN, "started a, waited a, answered a", [Resume("a")]),
        (CHAIN, "started a, waited a, answered a, completed a", [Start("b")]),
        (CHAIN, "started a, waited a, answered a, waited a", [Rest()]),
        (drawn("a b"), "started a, started b, waited a", []),
        (drawn("a b"), "started a, started b, waited a, completed b", [Rest()]),
        (drawn("a b"), "started a, started b, waited a, waited b, answered b", [Resume("b")]),
        # it has ended: no move at all
        (CHAIN, "finished", []),
        (CHAIN, "started a, cancel_requested, finished :cancelled", []),
    ],
)
def test_what_follows(graph: Graph, told: str, expected: list[Move]) -> None:
    assert moves(graph, *filter(None, told.split(", "))) == expected


@pytest.mark.parametrize(
    ("before", "told", "expected"),
    [
        ({"a"}, "", [Pause("a")]),
        ({"b"}, "", [Start("a")]),
        ({"b"}, "started a, completed a", [Pause("b")]),
        ({"c"}, "started a, completed a", [Pause("c")]),  # nothing new starts beside it
        ({"c", "b"}, "started a, completed a", [Pause("b")]),
        ({"b"}, "started a, completed a, paused", [Rest()]),
        ({"b"}, "started a, completed a, cancel_requested", [Finish("cancelled")]),
        ({"b"}, "started a, completed a, started b, taken_over", [Start("c"), Pause("b")][1:]),
        ({"d"}, "started a, completed a, started b, started c, failed b", [Stop("c")]),
        ({"nobody"}, "", [Start("a")]),
        ({"a"}, "started a, retried a, answered a", [Pause("a")]),
        ({"a"}, "started a, waited a, answered a", [Resume("a")]),  # it goes on, and does not begin
    ],
)
def test_it_pauses_before_a_step(before: set[str], told: str, expected: list[Move]) -> None:
    assert next_moves(FORK, fold(journal(*filter(None, told.split(", ")))), before) == expected


def test_a_skip_is_written_though_it_pauses_before_the_other_way() -> None:
    state = fold(journal("started a", "completed a:true"))
    assert next_moves(CHOICE, state, {"yes"}) == [Skip("no"), Pause("yes")]


@pytest.mark.parametrize(
    ("limit", "told", "expected"),
    [
        (1, "", [Start("a")]),
        (1, "started a", []),
        (1, "started a, completed a", [Start("b")]),
        (1, "started a, waited a", [Start("b")]),  # a wait holds no place
        (1, "started a, waited a, started b, answered a", [Resume("a")]),
        (2, "", [Start("a"), Start("b")]),
        (2, "started a, started b, completed a", [Start("c")]),
        (2, "started a, started b, taken_over", [Start("a", 2), Start("b", 2)]),
        (4, "started a, started b", [Start("c"), Start("d")]),
        (9, "", [Start("a"), Start("b"), Start("c"), Start("d")]),
    ],
)
def test_no_more_steps_run_than_may(limit: int, told: str, expected: list[Move]) -> None:
    assert moves(drawn("a b c d", max_parallel=limit), *filter(None, told.split(", "))) == expected


def test_a_skip_needs_no_place() -> None:
    graph = drawn("a work x y", "a:true>x", "a:false>y", max_parallel=1)
    assert moves(graph, "started a", "completed a:true", "started work") == [Skip("y")]


def test_a_limit_of_nothing_does_not_pass_for_an_end() -> None:
    """Nothing runs and nothing may: whatever the planner makes of that, the work is not done."""
    assert moves(drawn("a b", max_parallel=0)) != [Finish("completed")]


# What the fold says


def test_what_lapsed_before_says_nothing_about_a_later_wait() -> None:
    entries = journal("started a", "retried a", "answered a", "started a", "waited a")
    entries[4].data = {"answer": None, "due": True}
    assert fold(entries[:5]).nodes["a"].has_lapsed
    assert not fold(entries[:6]).nodes["a"].has_lapsed and not fold(entries).nodes["a"].has_lapsed
    assert not fold(journal("started a", "waited a", "answered a", "waited a")).nodes["a"].has_lapsed


def test_failures_and_losses_are_counted_apart() -> None:
    node = fold(journal("started a", "taken_over", "started a", "retried a", "answered a", "started a")).nodes["a"]
    assert (node.failures, node.losses, node.attempt, node.repairs) == (1, 0, 3, 0)


def test_a_repair_forgives_and_is_counted() -> None:
    told = ("started a", "retried a", "answered a", "started a", "failed a", "finished :failed", "repaired a")
    state = fold(journal(*told))
    assert (state.status, state.failure) == (None, None)
    assert (state.nodes["a"].failures, state.nodes["a"].losses, state.nodes["a"].repairs) == (0, 0, 1)


def test_a_time_limit_stands_still_while_it_is_paused_and_is_set_anew_by_a_repair() -> None:
    entries = journal("paused", "resumed", "started a", "failed a", "finished :failed", "repaired a")
    for place, hour in ((1, 10), (3, 11), (7, 12)):
        entries[place].data = {**(entries[place].data or {}), "expires_at": f"2026-11-24T{hour}:00:00+00:00"}
    hours = [getattr(fold(entries[:end]).expires_at, "hour", None) for end in (2, 3, 4, 7, 8)]
    assert hours == [10, 10, 11, 11, 12]
    assert fold(entries[:3]).paused_at and not fold(entries[:4]).paused_at


def test_a_handled_failure_is_no_failure_of_the_execution() -> None:
    state = fold(journal("started a", "failed a:error"))
    assert state.failure is None and state.handled_failures == 1 and state.steps_done == 1
    assert state.nodes["a"].handle == "error"


def test_losses_are_forgiven_by_success_only() -> None:
    lost = fold(journal("started a", "taken_over", "started a", "taken_over", "started a"))
    assert lost.nodes["a"].losses == 2
    assert fold(journal("started a", "taken_over", "started a", "completed a")).nodes["a"].losses == 0
    assert fold(journal("started a", "taken_over", "started a", "abandoned a")).nodes["a"].losses == 1


def test_only_steps_that_ran_lose_by_a_takeover() -> None:
    state = fold(journal("started a", "waited a", "started b", "started c", "completed c", "taken_over"))
    assert {name: node.losses for name, node in state.nodes.items()} == {"a": 0, "b": 1, "c": 0}
    assert state.nodes["a"].status == "waiting" and state.nodes["b"].status == "abandoned"


def test_the_first_failure_is_the_executions() -> None:
    entries = journal("started a", "started b", "failed a", "failed b")
    entries[-1].data = {"error": {**ERROR, "message": "later"}}
    state = fold(entries)
    assert state.failure is not None and state.failure["message"] == "no"


def test_the_fold_keeps_times_attempts_and_answers() -> None:
    entries = journal("started a", "waited a:2026-11-24T10/00/00+00/00", "answered a")
    node = fold(entries).nodes["a"]
    assert (node.attempt, node.status, node.answer) == (1, "answered", 42)
    assert node.until == datetime(2026, 11, 24, 10, tzinfo=UTC)
    assert node.started_at == entries[2].at and node.ended_at is None
    assert fold(journal("started a", "taken_over", "started a")).nodes["a"].attempt == 2


def test_log_lines_and_limits_that_end_nothing_change_nothing_but_the_number() -> None:
    entries = journal("started a", "logged a", "limited", "limited a")
    assert fold(entries).nodes == fold(journal("started a")).nodes
    assert fold(entries).seq == len(entries)


def test_progress_counts_what_is_behind_it() -> None:
    state = fold(journal("started a", "completed a:true", "skipped no", "started yes"))
    assert (state.steps_done, state.running) == (2, 1)
    assert fold(journal("started a", "failed a")).steps_done == 0


def test_an_edge_is_live_dead_or_not_settled() -> None:
    to_yes, to_no = CHOICE.edges[:2]
    assert is_live(to_yes, fold(journal())) is None
    assert is_live(to_yes, fold(journal("started a"))) is None
    ended = fold(journal("started a", "completed a:true"))
    assert is_live(to_yes, ended) is True and is_live(to_no, ended) is False
    assert is_live(CHOICE.edges[3], fold(journal("skipped no"))) is False


# Properties


@given(graphs(), SEEDS, st.booleans(), st.booleans())
def test_folding_everything_is_applying_one_by_one(graph: Graph, seed: int, faults: bool, strength: bool) -> None:
    walk = Walk(graph, Random(seed), faults, strength).to_end()
    one_by_one = State()
    for entry in walk.entries:
        one_by_one.apply(entry)
    folded = fold(walk.entries)
    assert folded == one_by_one
    walk.state.frontier = folded.frontier  # the planner has pruned it on the way
    assert folded == walk.state


@settings(max_examples=300)
@given(graphs(), SEEDS, st.booleans(), st.booleans())
def test_a_pruned_frontier_changes_nothing(graph: Graph, seed: int, faults: bool, strength: bool) -> None:
    def compare(walk: Walk) -> None:
        expected = plain_moves(graph, walk.state, walk.pause_before)
        told = (walk.state, fold(walk.entries))
        assert next_moves(graph, told[0], walk.pause_before) == expected
        assert next_moves(graph, told[0], walk.pause_before) == expected, "asking twice changes nothing"
        assert next_moves(graph, told[1], walk.pause_before) == expected, "nor does reading the journal again"

    Walk(graph, Random(seed), faults, strength, compare).to_end()


@given(graphs(), SEEDS)
def test_every_graph_ends_with_every_step_settled(graph: Graph, seed: int) -> None:
    walk = Walk(graph, Random(seed)).to_end()
    assert walk.state.status == "completed"
    assert set(walk.state.nodes) == set(graph.nodes)
    for node_id, node in walk.state.nodes.items():
        lives = [is_live(edge, walk.state) for edge in graph.incoming[node_id]]
        assert node.status == ("completed" if not lives or any(lives) else "skipped")
    assert len(walk.kinds("started")) == sum(node.status == "completed" for node in walk.state.nodes.values())
    assert len(walk.kinds("skipped")) == sum(node.status == "skipped" for node in walk.state.nodes.values())


@settings(max_examples=300)
@given(graphs(), SEEDS, st.booleans())
def test_with_faults_it_ends_too_and_no_attempt_starts_twice(graph: Graph, seed: int, strength: bool) -> None:
    walk = Walk(graph, Random(seed), True, strength).to_end()
    starts = [(entry.node, entry.attempt) for entry in walk.kinds("started")]
    assert len(starts) == len(set(starts))
    for node_id in graph.nodes:
        attempts = [attempt for name, attempt in starts if name == node_id]
        assert attempts == list(range(1, len(attempts) + 1))
        ended = [entry.seq for entry in walk.kinds("completed") if entry.node == node_id]
        assert len(ended) <= 1
        assert not ended or all(entry.seq < ended[0] for entry in walk.kinds("started") if entry.node == node_id)
    assert (walk.state.status == "cancelled") == walk.state.cancel_requested
    assert not walk.state.active


@given(graphs(), SEEDS, st.booleans(), st.booleans())
def test_the_limit_holds_at_every_moment(graph: Graph, seed: int, faults: bool, strength: bool) -> None:
    assert Walk(graph, Random(seed), faults, strength).to_end().most_running <= graph.max_parallel


@given(graphs(), SEEDS, st.booleans(), st.booleans())
def test_a_step_starts_only_after_its_live_predecessors_ended(
    graph: Graph, seed: int, faults: bool, strength: bool
) -> None:
    walk, state = Walk(graph, Random(seed), faults, strength).to_end(), State()
    for entry in walk.entries:
        if entry.kind in ("started", "skipped") and entry.node and entry.node not in state.nodes:
            lives = [is_live(edge, state) for edge in graph.incoming[entry.node]]
            assert None not in lives
            assert (entry.kind == "started") == (not lives or any(lives))
        state.apply(entry)


@given(graphs(), SEEDS, st.booleans())
def test_nothing_begins_while_it_is_paused_or_stopped(graph: Graph, seed: int, faults: bool) -> None:
    walk, state = Walk(graph, Random(seed), faults, strength=True).to_end(), State()
    for entry in walk.entries:
        if entry.kind in ("started", "skipped") and entry.node:
            assert not state.paused_at and not state.is_stopping
        state.apply(entry)


@given(graphs(), SEEDS)
def test_progress_is_what_was_left_by_a_handle_or_skipped(graph: Graph, seed: int) -> None:
    walk = Walk(graph, Random(seed), strength=True).to_end()
    nodes = walk.state.nodes.values()
    assert walk.state.steps_done == sum(node.handle is not None or node.status == "skipped" for node in nodes)
    if walk.state.status == "completed":
        assert walk.state.steps_done == len(graph.nodes)


@given(graphs(), SEEDS)
def test_moves_come_in_the_order_of_the_definition(graph: Graph, seed: int) -> None:
    def compare(walk: Walk) -> None:
        names = [move.node for move in next_moves(graph, walk.state) if isinstance(move, Start | Skip | Resume)]
        assert names == sorted(names, key=graph.rank.__getitem__)

    Walk(graph, Random(seed), seen=compare).to_end()


@given(graphs(), SEEDS)
def test_one_at_a_time_is_topological_order(graph: Graph, seed: int) -> None:
    alone = Graph(graph.nodes.values(), graph.edges, 1)
    walk = Walk(alone, Random(seed)).to_end()
    place = {entry.node: entry.seq for entry in walk.kinds("started", "skipped")}
    assert all(place[edge.source] < place[edge.target] for edge in graph.edges)


def test_the_pure_rooms_work_where_no_django_is_installed() -> None:
    root = Path(__file__).resolve().parents[2]
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r})\n"
        "import executions.planner, executions.data, workflows.graph, workflows.values, workflows.errors\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('django', 'pydantic', 'channels')]\n"
    )
    # -I -S: no environment and no site-packages, so an import of Django would fail
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, timeout=60)
