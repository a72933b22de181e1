"""Executions with large data, from the input to the output: run, waited, taken over, repaired, run again, limited."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from executions import blobs
from executions.engine import WorkflowEngine, WorkflowExecutionError
from executions.models import ExecutionLog, WorkflowExecution
from executions.repair import Repair
from executions.worker import Worker
from tests.executions.conftest import answer, bounded, chain, entries, lines, make, node, row, run, submit, told, until
from tests.steps import LEFT
from workflows.errors import InputError

pytestmark = pytest.mark.django_db(transaction=True)

BOOK = "Call me Ishmael. " * 60_000  # 1 MB
BORDER = 256 * 1024


@pytest.fixture
def limits(settings: Any) -> Any:
    def put(**values: int) -> None:
        settings.ENGINE = {**settings.ENGINE, **values}

    return put


def folders(data: Path) -> set[str]:
    return {path.name for path in (data / "blobs").glob("*")} if (data / "blobs").exists() else set()


async def entry(number: int, kind: str, node_id: str) -> Any:
    return await ExecutionLog.objects.aget(execution=number, kind=kind, node=node_id)


async def test_large_data_goes_through_and_the_rows_stay_small(tmp_path: Path) -> None:
    given = {"name": "Ada", "book": BOOK}
    result = await bounded(run(chain(node("a", "test_make"), node("b")), given))
    expected = {**given, "a": "x" * 1_000_000, "b": 1}
    assert result.output_data == expected
    found = await row(result.execution_id)
    assert found.input_data == {"name": "Ada"} and list(found.input_blobs) == ["book"]
    assert set(found.output_blobs) == {"book", "a"} and found.output_data == {"name": "Ada", "b": 1}
    made = await entry(found.pk, "completed", "a")
    assert made.data["added"] == {} and made.data["blobs"]["a"]["bytes"] == 1_000_002
    told = await WorkflowEngine().get_execution_logs(found.pk)
    assert told[1]["input_data"] == {**given, "a": "x" * 1_000_000} and told[1]["output_data"] == {"b": 1}
    assert folders(tmp_path) == {str(found.pk)}


async def test_small_data_makes_no_files(tmp_path: Path) -> None:
    result = await bounded(run(chain(node("a", "test_make", size=60_000), node("b")), {"x": "y" * 1_000}))
    assert len(result.output_data["a"]) == 60_000
    assert folders(tmp_path) == set()


async def test_what_lies_between_is_kept_inline(tmp_path: Path) -> None:
    result = await bounded(run(chain(node("a", "test_make", size=200_000), node("b"))))
    made = await entry(result.execution_id, "completed", "a")
    assert len(made.data["added"]["a"]) == 200_000 and "blobs" not in made.data
    assert folders(tmp_path) == set()


async def test_large_input_that_is_submitted_waits_with_its_execution(engine_room: Worker) -> None:
    definition = chain(node("a", "test_ask"), node("b", "test_make", keep=True), node("c", "output"))
    number = await submit(definition, {"book": BOOK})
    await until(number, "waiting")
    await answer(number, "a", {"yes": True})
    await until(number, "completed")
    status = await WorkflowEngine().get_execution_status(number)
    assert status is not None and status["output_data"]["result"]["book"] == BOOK
    assert status["output_data"]["result"]["answer"] == {"yes": True}


async def test_a_large_answer_is_worked_up_too(engine_room: Worker) -> None:
    number = await submit(chain(node("a", "test_ask"), node("b")))
    await until(number, "waiting")
    await answer(number, "a", BOOK)
    await until(number, "completed")
    status = await WorkflowEngine().get_execution_status(number)
    assert status is not None and status["output_data"] == {"answer": BOOK, "b": 1}


async def test_items_may_be_large_and_so_may_what_they_make() -> None:
    definition = {
        "nodes": [node("each", "test_each"), node("item", "test_make", size=300_000, keep=True), node("end")],
        "edges": [
            {"source": "each", "target": "item", "sourceHandle": "each"},
            {"source": "each", "target": "end", "sourceHandle": "done"},
        ],
    }
    result = await bounded(run(definition, {"items": [BOOK, "small", BOOK]}))
    items = result.output_data["items"]
    assert [item["index"] for item in items] == [0, 1, 2]
    assert items[0]["item"] == "x" * 300_000
    children = WorkflowExecution.objects.filter(parent=result.execution_id).order_by("item_index")
    assert [bool(child.input_blobs) async for child in children] == [True, False, True]


async def test_more_than_may_be_gathered_fails_the_step(limits: Any) -> None:
    limits(DATA_BYTES=1_000_000)
    definition = {
        "nodes": [node("each", "test_each"), node("item", "test_make", size=300_000), node("end")],
        "edges": [
            {"source": "each", "target": "item", "sourceHandle": "each"},
            {"source": "each", "target": "end", "sourceHandle": "done"},
        ],
    }
    with pytest.raises(WorkflowExecutionError, match="ENGINE_DATA_BYTES"):
        await bounded(run(definition, {"items": list(range(8))}))


async def test_too_large_an_output_fails_its_step_for_good_and_says_how_to_raise_it(limits: Any) -> None:
    limits(DATA_BYTES=2 * BORDER)
    policy = {"attempts": 5, "backoff_s": 60}
    with pytest.raises(WorkflowExecutionError, match="512 KiB are kept.*ENGINE_DATA_BYTES") as caught:
        await bounded(run(chain(node("a"), node("b", "test_make", policy=policy))))
    assert caught.value.node == "b"
    journal = await told(caught.value.execution_id or 0)
    assert journal.count("started b") == 1 and "retried b" not in journal
    failed = await entry(caught.value.execution_id or 0, "failed", "b")
    assert failed.data["error"]["type"] == "TooLarge" and failed.data["error"]["details"]["limit"] == 2 * BORDER


async def test_what_piles_up_on_the_way_counts_too(limits: Any) -> None:
    limits(DATA_BYTES=1_000_000)
    steps = [node(f"s{number}", "test_make", size=200_000) for number in range(8)]
    with pytest.raises(WorkflowExecutionError, match="too large") as caught:
        await bounded(run(chain(*steps)))
    assert caught.value.node == "s4"


async def test_too_large_an_input_is_refused_before_anything_is_written(limits: Any) -> None:
    limits(DATA_BYTES=2 * BORDER)
    workflow = await make(chain(node("a")))
    for verb in (WorkflowEngine().execute_workflow, WorkflowEngine().submit_workflow):
        with pytest.raises(InputError, match="the limit is 524,288"):
            await verb(workflow.pk, {"book": BOOK})
    assert await WorkflowExecution.objects.acount() == 0


async def test_a_rolled_back_submit_leaves_no_row(settings: Any) -> None:
    from django.db import transaction

    workflow = await make(chain(node("a")))

    def submitted() -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            WorkflowEngine().submit(workflow.pk, {"book": BOOK})
            raise ZeroDivisionError

    await sync_to_async(submitted)()
    assert await WorkflowExecution.objects.acount() == 0
    result = await bounded(WorkflowEngine().execute_workflow(workflow.pk, {"book": "another " + BOOK}))
    assert result.output_data == {"book": "another " + BOOK, "a": 1}, "a number that is used again brings nothing along"


async def test_it_is_run_again_and_taken_over_with_its_files(engine_room: Worker, tmp_path: Path) -> None:
    LEFT["flaky"] = 1
    number = await submit(chain(node("a", "test_make"), node("b", "test_flaky")), {"book": BOOK})
    await until(number, "failed")
    again = await sync_to_async(WorkflowEngine().run_again)(number, from_node="b")
    await until(again, "completed")
    await sync_to_async(blobs.forget)([number])
    status = await WorkflowEngine().get_execution_status(again)
    assert status is not None and status["output_data"] == {"book": BOOK, "a": "x" * 1_000_000, "b": 1}


@pytest.mark.parametrize("way", ["output", "given"])
async def test_it_is_repaired_with_large_data(engine_room: Worker, way: str) -> None:
    LEFT["flaky"] = 1
    number = await submit(chain(node("a"), node("b", "test_flaky"), node("c")), {"book": BOOK})
    await until(number, "failed")
    repair = Repair("b", output={"b": BOOK.upper()}) if way == "output" else Repair("b", given={"other": BOOK.upper()})
    await sync_to_async(WorkflowEngine().repair)(number, repair)
    await until(number, "completed")
    status = await WorkflowEngine().get_execution_status(number)
    assert status is not None
    if way == "output":
        assert status["output_data"] == {"book": BOOK, "a": 1, "b": BOOK.upper(), "c": 1}
    else:
        assert status["output_data"] == {"other": BOOK.upper(), "b": 2, "c": 1}
    told = await entry(number, "repaired", "b")
    assert len(str(told.data)) < 2_000


async def test_where_its_files_are_gone_it_fails_and_says_so(engine_room: Worker) -> None:
    number = await submit(chain(node("a", "test_ask")), {"book": BOOK})
    await until(number, "waiting")
    await sync_to_async(blobs.forget)([number])
    await answer(number, "a", 1)
    found = await until(number, "failed")
    assert "“book”" in found.error_message and "its file is gone" in found.error_message


async def test_a_full_disk_is_the_steps_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**how: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("workflowsite.files.tempfile.mkstemp", refuse)
    with pytest.raises(WorkflowExecutionError, match="the disk of the data folder is full") as caught:
        await bounded(run(chain(node("a"), node("b", "test_make"))))
    assert caught.value.node == "b"


# Limits


async def test_a_log_that_is_full_says_so_once_and_the_step_goes_on(limits: Any) -> None:
    limits(LOG_BYTES=1_000)
    result = await bounded(run(chain(node("a", "test_talk", lines=500, text="ten bytes!"), node("b", "test_talk"))))
    assert result.status == "completed"
    kept = await lines(result.execution_id)
    assert 50 <= len(kept) <= 100
    limited = [one for one in await entries(result.execution_id) if one.kind == "limited"]
    assert [one.data for one in limited] == [{"limit": "log", "value": 1_000}]


async def test_a_log_below_its_limit_is_whole(limits: Any) -> None:
    limits(LOG_BYTES=100_000)
    result = await bounded(run(chain(node("a", "test_talk", lines=500))))
    assert len(await lines(result.execution_id)) == 500 and "limited" not in await told(result.execution_id)


async def test_a_full_log_stays_full_after_a_wait(engine_room: Worker, limits: Any) -> None:
    limits(LOG_BYTES=2_000)
    definition = chain(node("a", "test_talk", lines=400), node("w", "test_ask"), node("b", "test_talk", lines=400))
    number = await submit(definition)
    await until(number, "waiting")
    before = len(await lines(number))
    await answer(number, "w", 1)
    await until(number, "completed")
    assert len(await lines(number)) == before
    assert (await told(number)).count("limited") == 1


async def test_no_more_steps_start_than_may(limits: Any) -> None:
    limits(STEPS=3)
    with pytest.raises(WorkflowExecutionError, match="started 3 steps.*ENGINE_STEPS") as caught:
        await bounded(run(chain(*(node(f"s{number}") for number in range(5)))))
    journal = await told(caught.value.execution_id or 0)
    assert [text for text in journal if text.startswith("started s")] == ["started s0", "started s1", "started s2"]
    found = await row(caught.value.execution_id or 0)
    assert found.error["type"] == "TooManySteps" and found.error["node"] is None


async def test_attempts_count_as_steps(limits: Any) -> None:
    limits(STEPS=3)
    LEFT["flaky"] = 100
    policy = {"attempts": 50, "backoff_s": 0}
    with pytest.raises(WorkflowExecutionError, match="ENGINE_STEPS"):
        await bounded(run(chain(node("a", "test_flaky", policy=policy))))


async def test_exactly_as_many_as_may_are_fine(limits: Any) -> None:
    limits(STEPS=3)
    assert (await bounded(run(chain(node("a"), node("b"), node("c"))))).status == "completed"
