"""Expressions, through the real children: what they give, what they say when they cannot, and what they cannot do."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.evaluation import hostile_expressions
from workflows.evaluation import evaluator, filters
from workflows.evaluation.evaluator import Fault, Template
from workflows.evaluation.pool import EVALUATIONS, KILLS, POOL, Ended, Pool, Worker

ROOT = Path(__file__).resolve().parents[3]
HANG = "{% set a = [1] %}" + "{% set a = [a, a] %}" * 40 + "{{ a | string | length }}"
CONTEXT: dict[str, Any] = {
    "input": {"amount": 120, "name": "Ada", "nothing": None, "yes": True},
    "steps": {
        "fetch": {"output": {"title": "A title", "items": [3, 1, 2], "tags": ["a"], "keys": 5, "rate": 1.0}},
        "fetch-2": {"output": {"n": 1}},
    },
    "now": "2026-11-24T12:30:00+00:00",
    "vars": {"host": "example.org"},
}


@pytest.fixture(autouse=True)
def _nobody_is_kept_out() -> Iterator[None]:
    POOL.forgive()
    yield
    POOL.forgive()


def whole(source: str, context: dict[str, Any] = CONTEXT) -> Any:
    return evaluator.evaluate([Template(source, is_whole=True)], context)[0]


def mixed(source: str, context: dict[str, Any] = CONTEXT) -> Any:
    return evaluator.evaluate([Template(source)], context)[0]


def said(source: str, context: dict[str, Any] = CONTEXT) -> str:
    fault = whole(source, context)
    assert isinstance(fault, Fault), f"{source} gave {fault!r}"
    return fault.message


# Values


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ input.amount }}", 120),
        ("{{ input.amount > 100 }}", True),
        ("{{ input.amount * 2 + 1 }}", 241),
        ("{{ steps.fetch.output.items }}", [3, 1, 2]),
        ("{{ steps.fetch.output.items | sort }}", [1, 2, 3]),
        ("{{ steps.fetch.output.items | sort | last }}", 3),
        ("{{ steps['fetch-2'].output }}", {"n": 1}),
        ('{{ steps["fetch-2"]["output"].n }}', 1),
        ("{{ steps.fetch.output.items[1] }}", 1),
        ("{{ steps.fetch.output.items[-1] }}", 2),
        ("{{ input.nothing }}", None),
        ("{{ input.yes and input.amount }}", 120),
        ("{{ 'a' if input.yes else 'b' }}", "a"),
        ("{{ [input.name, {'n': input.amount}] }}", ["Ada", {"n": 120}]),
        ("{{ steps.fetch.output.tags | map('upper') | join('-') }}", "A"),
        ("{{ input | items | list }}", [["amount", 120], ["name", "Ada"], ["nothing", None], ["yes", True]]),
        ("{{ 10 / 4 }}", 2.5),
        ("{{ 'x' ~ input.amount }}", "x120"),
        ("  {{ input.name }}  ", "Ada"),
    ],
)
def test_an_expression_alone_keeps_the_type_of_its_value(source: str, value: Any) -> None:
    found = whole(source)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Dear {{ input.name }}!", "Dear Ada!"),
        ("Dear {{ input.name | upper }}!\n", "Dear ADA!\n"),
        ("{{ input.nothing }}|{{ input.yes }}|{{ input.amount }}", "|true|120"),
        ("{{ none }}|{{ not input.yes }}|{{ 1.5 }}", "|false|1.5"),
        ("{{ steps.fetch.output.items }} {{ steps.fetch.output.tags }}", '[3, 1, 2] ["a"]'),
        ("{{ {'a': none, 'b': 'é'} }}.", '{"a": null, "b": "é"}.'),
        ("{% for i in steps.fetch.output.items %}<{{ i }}>{% endfor %}", "<3><1><2>"),
        ("{% if input.amount > 100 %}much{% else %}little{% endif %}", "much"),
        ("no expression at all", "no expression at all"),
        ("", ""),
        ("a } b { c {", "a } b { c {"),
        ("{% raw %}{{ input.name }}{% endraw %}", "{{ input.name }}"),
    ],
)
def test_a_text_around_expressions_gives_a_text(source: str, text: str) -> None:
    assert mixed(source) == text


def test_a_key_that_is_called_like_a_function_of_python_is_a_key() -> None:
    context = {"d": {"items": [1], "keys": 2, "deep": {"values": 3, "get": 4}}}
    assert whole("{{ [d.items, d.keys, d.deep.values, d.deep.get, 0] }}", context) == [[1], 2, 3, 4, 0]
    assert "d.deep.items" in said("{{ d.deep.items }}", context)
    assert whole("{{ d.deep.items is defined }}", context) is False
    assert whole("{{ d.deep.copy | default('none') }}", context) == "none"


@pytest.mark.parametrize("source", ["{{ input.update({'amount': 1}) }}", "{{ steps.fetch.output.items.append(1) }}"])
def test_an_expression_changes_nothing_for_the_next(source: str) -> None:
    first, second = evaluator.evaluate([Template(source, True), Template("{{ [input, steps] }}", True)], CONTEXT)
    assert isinstance(first, Fault)
    assert second == [CONTEXT["input"], CONTEXT["steps"]]


def test_what_is_handed_out_is_no_part_of_the_context() -> None:
    whole("{{ steps.fetch.output.items }}").append(9)
    assert CONTEXT["steps"]["fetch"]["output"]["items"] == [3, 1, 2]


@pytest.mark.parametrize(
    "value", [2**300, -(2**64), 1e308, 0.1, 1.0, "\x00", "\ud800 half", "😀", "a\nb\u2028c", "", {"\ud800": [1]}]
)
def test_odd_values_survive_the_way(value: Any) -> None:
    context = {"v": value, "l": [value]}
    assert whole("{{ v }}", context) == value
    assert whole("{{ l + [] }}", context) == [value]
    assert evaluator.evaluate([Template("{{ l }}", True), Template("{{ 1 + 1 }}", True)], context) == [[value], 2]


def test_a_plain_path_hands_on_what_is_larger_than_an_expression_may_make() -> None:
    rows = ["x" * 100] * 50_000
    assert whole("{{ rows }}", {"rows": rows}) == rows
    assert "plain path" in said("{{ rows | length }}", {"rows": rows})


def test_only_the_steps_that_are_named_go_to_the_child() -> None:
    context = {"steps": {"big": {"output": "x" * 2_000_000}, "small": {"output": [1, 2]}}}
    assert whole("{{ steps.small.output | sum }}", context) == 3
    assert "1 MiB" in said("{{ steps.big.output | length }}", context)
    assert "1 MiB" in said("{{ steps | length }}", context)


# Filters of ours


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ now | date('%d.%m.%Y') }}", "24.11.2026"),
        ("{{ now | date }}", "2026-11-24"),
        ("{{ now | date('%H:%M', tz='+05:30') }}", "18:00"),
        ("{{ 0 | date('%Y') }}", "1970"),
        ("{{ now | shift(days=3) | date }}", "2026-11-27"),
        ("{{ '2026-01-31' | shift(months=1) }}", "2026-02-28"),
        ("{{ '2024-02-29' | shift(years=-1) }}", "2023-02-28"),
        ("{{ '2026-11-24' | shift(hours=5) }}", "2026-11-24T05:00:00"),
        ("{{ now | shift(hours=-13, minutes=15) }}", "2026-11-23T23:45:00+00:00"),
        ('{{ (\'{"a": [1, {"b": 2}]}\' | from_json).a[1].b }}', 2),
        ("{{ {'a': 'é'} | to_json }}", '{"a": "é"}'),
        ("{{ [1] | tojson(indent=2) }}", "[\n  1\n]"),
        ("{{ 'Große Straße, 3!' | slug }}", "grosse-strasse-3"),
        ("{{ 'a b' | urlencode }}", "a%20b"),
    ],
)
def test_our_filters(source: str, value: Any) -> None:
    assert whole(source) == value


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ 'soon' | date }}", "“date” takes a date such as"),
        ("{{ now | date('%5000d') }}", "The format of “date”"),
        ("{{ now | date('%Y', tz='Berlin') }}", "offset such as +02:00"),
        ("{{ now | shift }}", "“shift” takes numbers"),
        ("{{ now | shift(fortnights=1) }}", "“shift” takes numbers"),
        ("{{ now | shift(years=9000) }}", "leaves the years 1 to 9999"),
        ("{{ now | shift(months=0.5) }}", "whole years and months"),
        ("{{ '{' | from_json }}", "no JSON"),
        ("{{ 1 | tojson(indent='x') }}", "from 0 to 8"),
        ("{{ [] | slug }}", "“slug” takes a text"),
    ],
)
def test_a_filter_says_what_it_takes(source: str, words: str) -> None:
    assert words in said(source)


def test_there_is_no_clock_and_no_chance() -> None:
    for source in ("{{ now() }}", "{{ [1, 2] | random }}", "{{ random() }}"):
        assert isinstance(whole(source), Fault)


# What is said


@pytest.mark.parametrize(
    ("source", "words", "line", "column"),
    [
        ("{{ steps.fetch.output.titel }}", "steps.fetch.output has title, items, tags, keys, rate", 1, 4),
        ("{{ steps.fetch.output.titel | upper }}", "“steps.fetch.output.titel” is not there", 1, 4),
        ("{{ steps.fetch.output.titel ~ 'a' }}", "“steps.fetch.output.titel” is not there", 1, 4),
        ("{{ 1 + steps.fetch.output.titel }}", "“steps.fetch.output.titel” is not there", 1, 8),
        ("{{ not input.nme }}", "input has name,", 1, 8),
        ("{{ [1, input.nme] }}", "“input.nme” is not there", 1, 8),
        ("{{ {'a': input.nme} }}", "“input.nme” is not there", 1, 10),
        ("{{ input.nme | tojson }}", "“input.nme” is not there", 1, 4),
        ("{{ nme }}", "an expression has input, steps, now, vars", 1, 4),
        ("{{ steps.fetc.output.title }}", "steps has fetch", 1, 4),
        ("{{ steps.fetch-2.output.n }}", 'Write steps["fetch-2"]', 1, None),
        ("{{ steps.fetch.output.items[7] }}", "is a list with 3 items", 1, 4),
        ("{{ input.name.first }}", "input.name is a text, which has no keys", 1, 4),
        ("{{ input.nothing.x }}", "input.nothing is null", 1, 4),
        ("{{ input.amount | uper }}", "There is no filter “uper”. There is upper", 1, 19),
        ("{{ input.name.upper() }}", "use filters", 1, None),
        ("{{ range(3) }}", "There is no function “range”", 1, 4),
        ("{{ input.name + 1 }}", "“+” does not go with a text and a number", 1, 4),
        ("{{ 1 // 0 }}", "division by zero", 1, 4),
        ("{{ input.name | int }}", "This text is no number", 1, None),
        ("{{ 1e400 }}", "no finite number", None, None),
        ("{{ 1 + }}", "This is no expression as it stands", 1, None),
        ("{{ x", "This is no expression as it stands", 1, None),
        ("{{ }}", "This is no expression as it stands", 1, None),
        ("\n\n  {{ input.nme }}", "“input.nme” is not there", 3, 6),
    ],
)
def test_a_fault_says_what_and_where(source: str, words: str, line: int | None, column: int | None) -> None:
    fault = whole(source)
    assert isinstance(fault, Fault)
    assert words.replace("use filters", "by filters") in fault.message
    assert fault.line == line
    assert column is None or fault.column == column


def test_the_keys_that_look_like_it_come_first_and_are_few() -> None:
    context = {"input": {f"field_{n:03}": n for n in range(500)} | {"amount": 1}}
    message = said("{{ input.amout }}", context)
    assert "input has amount, field_000" in message
    assert "and 493 more" in message


def test_what_may_be_missing_has_a_default() -> None:
    assert whole("{{ input.nme | default('nobody') }}") == "nobody"
    assert whole("{{ input.nme is defined }}") is False
    assert whole("{{ [input.nme | default(1)] }}") == [1]
    assert mixed("{% if input.nme is defined %}a{% else %}b{% endif %}") == "b"
    assert mixed("Dear {{ input.nme | default(input.name) }}") == "Dear Ada"


@pytest.mark.parametrize(
    "source",
    [
        *("{{ input.secret.x }}", "{{ input.secret + 1 }}", "{{ input.secret | int }}", "{{ input.secret | date }}"),
        *("{{ input.secret | from_json }}", "{{ input.secret ** 9999999 }}", "{{ input.secret() }}"),
        *("{{ input.secret | round }}", "{{ input.secret | sum }}", "{{ 1 in 2 ~ input.secret - 1 }}"),
        *("{{ input.secret | dictsort }}", "{{ input.secret | items }}", "{{ input | attr(input.secret) }}"),
        *("{% include input.secret %}", "{{ input | map(input.secret) | list }}", "{{ input[input.secret] }}"),
        *("{{ number ** 99 }}", "{{ number // 0 }}", "{{ number | shift(x=1) }}"),
    ],
)
def test_a_fault_holds_no_value_of_the_data(source: str) -> None:
    fault = whole(source, {"input": {"secret": "hush-hush", "a": 1}, "number": 73313})
    assert isinstance(fault, Fault)
    assert "hush" not in fault.message
    assert "73313" not in fault.message


def test_syntax_is_checked_without_data() -> None:
    found = evaluator.check(["{{ a.b | upper }}", "{{ a", "text", "{% if a %}", "x" * 20_000, "{{ a \n + }}", "\ud800"])
    assert [fault is None for fault in found] == [True, False, True, False, False, False, True]
    assert found[5] is not None
    assert found[5].line == 2


@pytest.mark.parametrize(
    ("source", "column"),
    [("{{ a | uper }}", 8), ("it's {{ a | map('x') | uper }}", None), ("{% if a|uper %}{% endif %}", 9)],
)
def test_a_filter_that_is_not_there_is_found_without_data(source: str, column: int | None) -> None:
    (fault,) = evaluator.check([source])
    if column is None:  # the apostrophe outside reads as the beginning of a text: nothing is said rather than wrong
        assert fault is None or "uper" in fault.message
    else:
        assert fault is not None
        assert "There is no filter “uper”. There is upper" in fault.message
        assert (fault.line, fault.column) == (1, column)


@pytest.mark.parametrize(
    "source",
    [
        "{{ a | default('x | uper') }}",
        "a | uper",
        "{% raw %}{{ a | uper }}{% endraw %}",
        '{{ "a" | upper | e }}',
        "{{ a }} |uper",
    ],
)
def test_what_only_looks_like_a_filter_is_none(source: str) -> None:
    assert evaluator.check([source]) == [None]


# Limits


def test_each_limit_has_a_sentence_of_its_own() -> None:
    assert "16,384" in said("{{ 1 }}" + " " * 20_000)
    assert "16,384" in said("{{ '" + "é" * 9_000 + "' }}")
    assert "result has more than 1 MiB" in said("{{ [x, x, 1] }}", {"x": "y" * 600_000})
    assert "result has more than 1 MiB" in mixed("{{ x }}{{ x }}", {"x": "y" * 600_000}).message
    assert "50,000 turns" in said("{{ 1 }}{% for i in x %}{% for j in x %}{% endfor %}{% endfor %}", {"x": [1] * 999})
    assert "nested more than 64" in said("{% set a = [] %}" + "{% set a = [a] %}" * 70 + "{{ a }}")
    assert said(HANG) == Ended.LATE.value


def test_in_a_batch_only_the_guilty_one_fails() -> None:
    sources = ["{{ 1 + 1 }}", HANG, "{{ input.name | upper }}", "{{ nope }}", "{{ 2 + 2 }}"]
    found = evaluator.evaluate([Template(source, True) for source in sources], CONTEXT)
    assert [found[0], found[2], found[4]] == [2, "ADA", 4]
    assert found[1] == Fault(Ended.LATE.value)
    assert "“nope” is not there" in found[3].message


def test_three_kills_in_a_minute_keep_an_owner_out_and_nobody_else() -> None:
    templates = [Template(HANG, True)] * (KILLS + 2) + [Template("{{ 1 + 1 }}", True)]
    found = evaluator.evaluate(templates, {}, owner="7")
    assert [fault.message for fault in found] == [Ended.LATE.value] * KILLS + [Ended.BARRED.value] * 3
    assert evaluator.evaluate([Template("{{ 1 + 1 }}", True)], {}, owner="7") == [Fault(Ended.BARRED.value)]
    assert evaluator.evaluate([Template("{{ 1 + 1 }}", True)], {}, owner="8") == [2]
    assert evaluator.evaluate([Template("{{ a }}", True)], {"a": 1}, owner="7") == [1]  # a plain path harms nobody


def test_a_minute_later_they_may_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator.evaluate([Template(HANG, True)] * KILLS, {}, owner="7")
    monkeypatch.setattr("workflows.evaluation.pool.MINUTE", 0.0)
    assert evaluator.evaluate([Template("{{ 1 + 1 }}", True)], {}, owner="7") == [2]


def test_a_child_that_somebody_ended_is_replaced_unseen() -> None:
    assert whole("{{ 1 + 1 }}") == 2
    for pid in POOL.pids():
        os.kill(pid, signal.SIGKILL)
    assert [whole("{{ 1 + 1 }}"), whole("{{ 2 + 1 }}")] == [2, 3]


def test_a_child_that_crashed_is_replaced_and_the_crash_is_told() -> None:
    assert whole("{{ 1 + 1 }}") == 2
    for pid in POOL.pids():
        os.kill(pid, signal.SIGSEGV)
    assert [fault for fault in (whole("{{ 1 + 1 }}"), whole("{{ 1 + 1 }}")) if fault != 2] in (
        [Fault(Ended.CRASHED.value)],
        [Fault(Ended.CRASHED.value)] * 2,
    )
    assert whole("{{ 2 + 1 }}") == 3


def test_children_are_replaced_after_many_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.evaluation.pool.EVALUATIONS", 3)
    assert EVALUATIONS == 5_000
    evaluator.close()
    seen = set()
    for _ in range(9):
        assert whole("{{ 1 + 1 }}") == 2
        seen |= set(POOL.pids())
    assert len(seen) == 3


def test_where_no_child_can_start_the_fault_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator.close()
    monkeypatch.setattr("workflows.jail.children.sys.executable", "/nowhere/python")
    assert said("{{ 1 + 1 }}") == Ended.NO_CHILD.value
    monkeypatch.undo()
    assert whole("{{ 1 + 1 }}") == 2


def test_threads_share_two_children_and_each_gets_its_own_answers() -> None:
    wrong: list[Any] = []

    def ask(n: int) -> None:
        for turn in range(30):
            found = whole(f"{{{{ {n} * 1000 + {turn} }}}}")
            if found != n * 1000 + turn:
                wrong.append(found)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert 1 <= len(POOL.pids()) <= 2


def test_the_process_goes_on_while_an_expression_hangs() -> None:
    turns, is_over = 0, threading.Event()

    def hang() -> None:
        whole(HANG)
        is_over.set()

    thread = threading.Thread(target=hang)
    thread.start()
    while not is_over.is_set():
        turns += 1
    thread.join()
    assert turns > 1_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_starts_children_of_its_own() -> None:
    assert whole("{{ 1 + 1 }}") == 2
    program = (
        "import os; from workflows.evaluation import evaluator; from workflows.evaluation.pool import POOL\n"
        "from workflows.evaluation.evaluator import Template, evaluate\n"
        "ask = lambda: evaluate([Template('{{ 1 + 1 }}', True)], {})\n"
        "assert ask() == [2]; before = POOL.pids()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    own = [ask() == [2], set(POOL.pids()).isdisjoint(before)]; evaluator.close(); os._exit(not all(own))\n"
        "assert os.waitpid(pid, 0)[1] == 0; assert ask() == [2]; assert POOL.pids() == before; print('fine')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "fine\n", done.stderr


@pytest.mark.parametrize("end", ["kill -9", "exit"])
def test_no_child_outlives_its_process(end: str) -> None:
    program = (
        "import sys; from workflows.evaluation.pool import POOL\n"
        "from workflows.evaluation.evaluator import Template, evaluate\n"
        "evaluate([Template('{{ 1 + 1 }}', True)], {}); print(*POOL.pids(), flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        assert server.stdin
        (child,) = map(int, server.stdout.readline().split())
        os.kill(child, 0)
        if end == "exit":
            server.stdin.close()
        else:
            server.kill()
        server.wait()
    ends = threading.Event()
    while _is_alive(child):
        ends.wait(0.01)


def _is_alive(pid: int) -> bool:
    """Not counting one that is dead and that nobody has asked about."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


# Hostile ones


@pytest.mark.parametrize("is_whole", [True, False])
def test_hostile_expressions_are_bounded_and_harm_nobody(is_whole: bool) -> None:
    sources = hostile_expressions.ALL
    assert len(set(sources)) >= 100
    assert whole("{{ 1 + 1 }}") == 2
    before = _memory()
    for source in sources:
        (found,) = evaluator.evaluate([Template(source, is_whole)], hostile_expressions.CONTEXT, owner=source)
        assert isinstance(found, Fault) or len(json.dumps(found)) < 1_100_000 * 6
        assert "hush" not in str(found) or not isinstance(found, Fault)
        assert whole("{{ 1 + 1 }}") == 2
        assert len(POOL.pids()) <= 2
    assert _memory() - before < 64 * 1024 * 1024


def test_an_escape_finds_nothing() -> None:
    for source in hostile_expressions.ESCAPES:
        found = whole(source, hostile_expressions.CONTEXT)
        assert isinstance(found, Fault) or found in ([None] * 1_000, "", None), source


def _memory() -> int:
    """Bytes that this process holds."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if pages.exists() else 0


def test_a_pool_of_its_own_ends_with_close() -> None:
    pool = Pool()
    assert pool.ask(lambda start: b'{"templates": [["{{ 1 }}", true]], "context": {}}\n', 1, "") == ["1"]
    (pid,) = pool.pids()
    pool.close()
    assert pool.pids() == []
    assert not _is_alive(pid)


def test_the_page_of_expressions_names_every_filter_and_its_examples_work() -> None:
    page = (ROOT / "docs" / "expressions.md").read_text()
    named = set(re.findall(r"[a-z_]+", page))
    assert named.issuperset(set(filters.NAMES) - {"d", "e", "tojson"})
    rows = [{"id": 1, "price": 9}]
    note = {"amount": 120, "name": "Ada", "is_paid": False}
    context = CONTEXT | {"data": {"rows": rows, "customer": {"name": "Bob"}}, "input": note}
    context["steps"]["fetch-2"]["output"]["title"] = "Two"
    for line in page.split("## Filters")[0].splitlines():
        for source in re.findall(r"`([^`]*(?:\{\{|\{%)[^`]*)`", line):
            if "…" not in source:
                assert not isinstance(mixed(source.replace("\\|", "|"), context), Fault), source


def test_a_child_that_says_more_than_it_was_asked_answers_nobody_else() -> None:
    """What one workflow made of it must not become another one's value."""
    worker = Worker()
    heard: list[str] = []
    try:
        ask = b'{"sources": ["{{ 1 }}", "{{ 2 }}"]}\n'
        worker.ask(ask, 1, heard.append)  # two answers to what we take for one question
        while not worker._has_more():
            pass
        worker.ask(b'{"templates": [["{{ 40 + 2 }}", true]], "context": {}}\n', 1, heard.append)
    finally:
        worker.close()
    assert heard == ["null", "42"]


def test_a_child_whose_answer_cannot_be_read_answers_nobody_else() -> None:
    worker, heard = Worker(), list[str]()

    def fail(line: str) -> None:
        raise MemoryError

    try:
        with pytest.raises(MemoryError):
            worker.ask(b'{"sources": ["{{ 1 }}", "{{ 2 }}"]}\n', 2, fail)
        worker.ask(b'{"templates": [["{{ 40 + 2 }}", true]], "context": {}}\n', 1, heard.append)
    finally:
        worker.close()
    assert heard == ["42"]
