"""The kinds that change data in a run: with expressions, files, large lists, failures and a cancel."""

from __future__ import annotations

from threading import Event
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from executions.engine import WorkflowEngine, WorkflowExecutionError
from executions.worker import Worker
from tests.executions.conftest import bounded, chain, entries, lines, node, run, soon, submit, told, until
from workflows.transform import lists
from workflows.transform.thread import Stop, Stopped

pytestmark = pytest.mark.django_db(transaction=True)

FIELDS = [{"name": "n", "value": "{{ data.text }}"}]
ORDERS = "id;customer;total;at\n1;a;30,50;24.11.2026\n2;b;5,00;25.11.2026\n3;a;9,50;26.11.2026\n"


async def test_a_table_comes_in_and_a_summary_goes_out_as_a_file() -> None:
    number = {"do": "number", "field": "total", "comma": True}
    day = {"do": "date_read", "field": "at", "pattern": "dd.MM.yyyy"}
    definition = chain(
        node("table", "convert", do="csv_read", value="{{ input.text }}", save_as="rows"),
        node("values", "compute", each="rows", calculations=[number, day]),
        node(
            "sums",
            "list",
            items="{{ data.rows }}",
            operations=[
                {
                    "do": "summarise",
                    "fields": ["customer"],
                    "measures": [{"of": "sum", "field": "total", "name": "sum"}],
                },
                {
                    "do": "join",
                    "other": "{{ input.people }}",
                    "how": "left",
                    "on": [{"own": "customer", "other": "key"}],
                },
                {"do": "sort", "keys": [{"field": "sum", "direction": "down"}]},
            ],
            save_as="sums",
        ),
        node(
            "best",
            "set",
            keep="picked",
            pick=["sums"],
            fields=[{"name": "best.name", "value": "{{ data.sums[0].name }}"}],
        ),
        node("file", "convert", do="csv_write", field="sums", file="out/sums.csv", columns=["name", "sum"]),
        node("again", "convert", do="csv_read", field="result", save_as="read", numbers=True),
    )
    result = await bounded(run(definition, {"text": ORDERS, "people": [{"key": "a", "name": "Ada"}]}))

    assert result.output_data["best"] == {"name": "Ada"}
    assert result.output_data["result"]["file"] == "out/sums.csv"
    assert result.output_data["read"] == [{"name": "Ada", "sum": 40}, {"name": "", "sum": 5}]
    assert "rows" not in result.output_data


async def test_what_a_step_leaves_out_is_gone_for_all_that_follow() -> None:
    given = {"id": 1, "mail": "a@b.test", "password": "x", "deep": {"a": 1, "b": 2}}
    left = node("less", "set", drop=["password", "deep.b"], renames=[{"old": "mail", "new": "email"}])
    result = await bounded(run(chain(left, node("all", "output")), given))
    assert result.output_data["result"] == {"id": 1, "email": "a@b.test", "deep": {"a": 1}}
    picked = node("less", "set", keep="picked", pick=["id"], fields=[{"name": "n", "value": "{{ data.deep.a }}"}])
    result = await bounded(run(chain(picked, node("all", "output")), given))
    assert result.output_data["result"] == {"id": 1, "n": 1}
    more = node("more", "set", fields=[{"name": "n", "value": 1}])
    result = await bounded(run(chain(more, node("all", "output")), {"a": 1}))
    assert result.output_data["result"] == {"a": 1, "n": 1}


async def test_what_was_left_out_stays_gone_where_a_run_begins_again_behind_it(engine_room: Worker) -> None:
    """Also where what it kept is so large that it is a file of its execution."""
    large = "x" * 300_000
    definition = chain(node("less", "set", drop=["password"]), node("add", "set", fields=FIELDS), node("all", "output"))
    number = await submit(definition, {"id": 1, "password": "x", "text": large})
    await until(number, "completed")
    again = await sync_to_async(WorkflowEngine().run_again)(number, from_node="all")
    await until(again, "completed")
    assert "reused less" in await told(again)
    status = await WorkflowEngine().get_execution_status(again)
    assert status is not None and status["output_data"]["result"] == {"id": 1, "text": large, "n": large}


async def test_a_failure_names_row_and_field_and_is_not_tried_again(engine_room: Worker) -> None:
    step = node(
        "dates",
        "compute",
        each="items",
        calculations=[{"do": "date_shift", "field": "at"}],
        policy={"attempts": 3, "backoff_s": 0.01},
    )
    number = await submit(chain(step), {"items": [{"at": "2026-11-24"}, {"at": "soon"}]})
    row = await until(number, "failed")
    assert row.error["message"].startswith("Item 2: Calculation 1 (Date, “at”): Expected a date such as 2026-11-24")
    assert row.error["details"] == {"row": 1, "field": "at", "item": 2}
    assert "retried" not in [entry.kind for entry in await entries(number)]


async def test_an_expression_that_gives_the_wrong_thing_is_named_at_its_setting() -> None:
    step = node("sort", "list", items="{{ input.n }}", operations=[{"do": "sort"}])
    with pytest.raises(WorkflowExecutionError, match="List: expected a list, or its name in the data; it is 5"):
        await bounded(run(chain(step), {"n": 5}))


async def test_a_cancel_ends_the_step_at_once_and_its_thread_breaks_off(
    engine_room: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, broken_off = Event(), Event()

    def endless(one: Any, items: list[Any], data: Any, zone: Any, stop: Stop) -> list[Any]:
        begun.set()
        try:
            while True:
                stop.ask()
        except Stopped:
            broken_off.set()
            raise

    monkeypatch.setitem(lists.OPERATIONS, "limit", endless)
    number = await submit(chain(node("a", "list", operations=[{"do": "limit"}])), {"items": [1]})
    await soon(begun.is_set)
    await WorkflowEngine().cancel_execution(number)
    assert (await until(number, "cancelled")).status == "cancelled"
    await soon(broken_off.is_set)
    assert "abandoned" not in [entry.kind for entry in await entries(number)]
    assert not await lines(number, "a")
