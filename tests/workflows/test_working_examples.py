"""The examples that do real work: each runs to its end as it is loaded, with no network and no key, and by its other
ways. Mail goes into a box, other systems are real servers on loopback."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.core import mail

from executions.engine import WorkflowEngine, WorkflowExecutionError
from executions.models import ExecutionLog, WorkflowExecution
from executions.worker import Worker
from tests.databases import named, sqlite
from tests.executions.conftest import answer, closed_engine, closed_loop, engine_room, make, until
from tests.remote import Remote, running
from tests.remote import answer as page
from tests.workflows.test_examples import read
from workflows.files import area
from workflows.management.commands.load_examples import FOLDER

__all__ = ["closed_engine", "closed_loop", "engine_room"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def remote(settings: Any) -> Iterator[Remote]:
    with running(Remote()) as found:
        settings.HTTP_ALLOW = [found.rule]
        yield found


async def submitted(slug: str, **changes: Any) -> int:
    """The example on its own input, with changes."""
    example = read(FOLDER / f"{slug}.json")
    given = example["definition"]["nodes"][0]["data"]["example"] | changes
    workflow = await make(example["definition"], name=example["name"])
    return await WorkflowEngine().submit_workflow(workflow.pk, given)


async def ran(slug: str, **changes: Any) -> Any:
    """Its result, once it has ended."""
    number = await submitted(slug, **changes)
    result = await WorkflowEngine().see_through(number)
    assert result.output_data is not None
    return result.output_data["result"]


async def completed(number: int | None = None) -> set[str]:
    """The steps that ended, of the only execution."""
    number = number or (await WorkflowExecution.objects.aget()).pk
    rows = ExecutionLog.objects.filter(execution=number, kind="completed").values_list("node", flat=True)
    return {node async for node in rows if node}


@pytest.mark.parametrize("slug", ["price-watcher", "rss-digest-by-mail", "nightly-sql-report"])
async def test_an_example_runs_on_nothing_but_its_defaults(slug: str) -> None:
    workflow = await make(read(FOLDER / f"{slug}.json")["definition"])
    result = await WorkflowEngine().execute_workflow(workflow.pk, {})
    assert result.status == "completed" and len(mail.outbox) == 1


# Price watcher


async def test_the_price_watcher_reads_its_sample_and_writes_a_mail() -> None:
    result = await ran("price-watcher")
    assert result == {
        "product": {"name": "Oven “Etna”, 45 litres", "price": "249.00", "stock": "In stock"},
        "told": "you@example.com",
    }
    assert mail.outbox[0].subject == "Oven “Etna”, 45 litres is down to 249.00 EUR" and mail.outbox[0].to == [
        "you@example.com"
    ]
    assert "you wanted at most 250" in mail.outbox[0].body and "fetch" not in await completed()


async def test_the_price_watcher_is_quiet_while_the_price_is_high() -> None:
    assert (await ran("price-watcher", limit=200))["told"] == "nobody: 249.00 is more than 200"
    assert mail.outbox == []


async def test_the_price_watcher_reads_a_real_page(remote: Remote) -> None:
    html = '<h1>Oven</h1><p class="price">€ <span>1,199.50</span></p>'
    url = remote.on("/oven", page(html, content_type="text/html; charset=utf-8"))
    result = await ran("price-watcher", url=url, page="", limit=1_200)
    assert result["product"]["price"] == "1,199.50" and url in mail.outbox[0].body


async def test_the_price_watcher_says_what_it_does_not_find(remote: Remote) -> None:
    url = remote.on("/oven", page("<h1>Sold</h1>", content_type="text/html"))
    with pytest.raises(WorkflowExecutionError, match="price"):
        await ran("price-watcher", url=url)
    assert mail.outbox == []


# Invoices


async def test_the_invoices_are_read_cleaned_summed_and_written() -> None:
    result = await ran("invoice-csv-import")
    assert result["summary"] == "3 of 5 rows can be booked, 1 were set aside."
    assert result["by_supplier"] == [
        {"supplier": "Oven Works", "invoices": 1, "net": 1250.5},
        {"supplier": "Mill & Sons", "invoices": 2, "net": 936.4},
    ]
    assert [row["supplier"] for row in result["rejected"]] == ["Nobody knows"]
    execution = await WorkflowExecution.objects.aget()
    text = area(execution.workflow_id).read(result["file"]["file"]).decode()
    assert "R-1001,Mill & Sons,2026-11-02,840.0,19" in text.splitlines()


@pytest.mark.parametrize(
    ("csv", "sentence"),
    [
        ("number;supplier;date;net;vat\nR-1;A;02.11.2026;a lot;19", "net"),
        ("number;supplier;date;net;vat\nR-1;A;2 November;1,00;19", "date"),
    ],
)
async def test_an_invoice_that_cannot_be_read_is_named(csv: str, sentence: str) -> None:
    with pytest.raises(WorkflowExecutionError, match=sentence):
        await ran("invoice-csv-import", csv=csv)


async def test_a_file_without_invoices_is_an_empty_report() -> None:
    result = await ran("invoice-csv-import", csv="number;supplier;date;net;vat\n")
    assert result["by_supplier"] == [] and result["summary"].startswith("0 of 0 rows")


# RSS digest


async def test_the_digest_has_the_newest_entries_first() -> None:
    result = await ran("rss-digest-by-mail")
    assert [entry["title"] for entry in result["entries"]] == ["A new oven", "Rye is back"]
    assert mail.outbox[0].subject == "Bakery news: 2 new"
    assert "* [A new oven](https://example.com/oven)\n* [Rye is back](https://example.com/rye)" in mail.outbox[0].body
    assert "Sunday" not in mail.outbox[0].body


async def test_the_digest_of_a_feed_without_entries_is_not_sent(remote: Remote) -> None:
    xml = '<?xml version="1.0"?><rss version="2.0"><channel><title>Quiet</title></channel></rss>'
    url = remote.on("/feed", page(xml, content_type="application/rss+xml"))
    assert (await ran("rss-digest-by-mail", url=url, xml=""))["sent_to"].startswith("nobody")
    assert mail.outbox == []


async def test_a_page_that_is_no_feed_is_told_so(remote: Remote) -> None:
    url = remote.on("/feed", page("<html>not here</html>", content_type="text/html"))
    with pytest.raises(WorkflowExecutionError, match="no RSS or Atom feed"):
        await ran("rss-digest-by-mail", url=url)


# Triage with a language model


async def test_the_mock_sorts_an_inquiry_and_its_reply_is_sent() -> None:
    result = await ran("inquiry-triage-with-ai")
    assert result["answered"] is True and result["triage"]["topic"] == "order"
    assert mail.outbox[0].to == ["mira@example.com"] and mail.outbox[0].body.strip() == result["triage"]["reply"]


async def test_a_complaint_waits_for_a_person_who_may_change_the_reply(engine_room: Worker) -> None:
    example = read(FOLDER / "inquiry-triage-with-ai.json")["definition"]
    ask = next(node for node in example["nodes"] if node["id"] == "ask")
    ask["data"]["output_schema"]["properties"]["topic"]["enum"] = ["complaint"]
    workflow = await make(example)
    given = example["nodes"][0]["data"]["example"]
    for approved, reply in ((True, "We are sorry."), (False, "")):
        number = await WorkflowEngine().submit_workflow(workflow.pk, given)
        await until(number, "waiting")
        assert mail.outbox == []
        await answer(number, "person", {"approved": approved, "by": "alice", "comment": "", "values": {"reply": reply}})
        await until(number, "completed")
        assert ("send" in await completed(number)) == approved == bool(mail.outbox)
        if approved:
            assert mail.outbox.pop().body.strip() == "We are sorry."


# Nightly report


async def test_the_report_of_the_sample_says_that_it_is_one() -> None:
    result = await ran("nightly-sql-report")
    assert result["report"] == [
        {"customer": "Hotel Weber", "orders": 1, "total": 420},
        {"customer": "Café Mira", "orders": 2, "total": 192.5},
    ]
    assert result["source"].startswith("sample rows") and "SQL_DATABASES" in mail.outbox[0].body
    assert mail.outbox[0].subject == "Unpaid: 612.5 from 2 customers"
    *_, attached = mail.outbox[0].message().walk()
    assert str(attached.get_filename()).endswith(".xlsx") and bytes(attached.get_payload(decode=True))[:2] == b"PK"


async def test_the_report_asks_the_database_that_is_named(settings: Any, tmp_path: Path) -> None:
    settings.SQL_DATABASES = ["shop"]
    with closing(sqlite3.connect(tmp_path / "shop")) as connection:
        connection.execute("CREATE TABLE orders (customer TEXT, state TEXT, total REAL)")
        rows = [("Mira", "open", 80), ("Mira", "open", 10), ("Weber", "paid", 99)]
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
        connection.commit()
    with named("shop", sqlite(tmp_path / "shop")):
        result = await ran("nightly-sql-report", database="shop")
    assert result["report"] == [{"customer": "Mira", "orders": 1, "total": 80}]
    assert result["source"] == "the database shop"


async def test_a_database_that_is_not_open_is_told_with_what_to_do() -> None:
    with pytest.raises(WorkflowExecutionError, match=r"“shop” is not open to workflows.*SQL_DATABASES"):
        await ran("nightly-sql-report", database="shop")


async def test_the_report_waits_for_the_night(engine_room: Worker) -> None:
    number = await submitted("nightly-sql-report", at="02:00")
    await until(number, "waiting")
    assert "ask" not in await completed(number) and mail.outbox == []
    assert await WorkflowEngine().cancel_execution(number)


# Refund


async def test_a_small_refund_is_paid_without_a_question() -> None:
    result = await ran("approval-of-a-refund", amount=40)
    assert result["status"] == "paid" and result["decision"]["by"] == "the rule for small amounts"
    assert "We have refunded 40 EUR for order A-4711." in mail.outbox[0].body and result["payment"]


@pytest.mark.parametrize(
    ("approved", "status", "mails"), [(True, "paid", 1), (False, "refused by alice", 0)], ids=["approved", "rejected"]
)
async def test_a_large_refund_is_decided_by_a_person(
    engine_room: Worker, approved: bool, status: str, mails: int
) -> None:
    number = await submitted("approval-of-a-refund")
    await until(number, "waiting")
    values = {"note": "Sorry for the cup."}
    await answer(number, "decide", {"approved": approved, "by": "alice", "comment": "", "values": values})
    row = await until(number, "completed")
    assert row.output_data["result"]["status"] == status and len(mail.outbox) == mails
    assert all("Sorry for the cup." in one.body for one in mail.outbox)


# All of them


@pytest.mark.parametrize(
    "slug",
    [
        *("price-watcher", "invoice-csv-import", "rss-digest-by-mail"),
        *("inquiry-triage-with-ai", "nightly-sql-report", "approval-of-a-refund"),
    ],
)
def test_it_explains_itself_and_uses_expressions(slug: str) -> None:
    text = (FOLDER / f"{slug}.json").read_text(encoding="utf-8")
    nodes = read(FOLDER / f"{slug}.json")["definition"]["nodes"]
    assert text.count("{{ ") >= 3 and sum("notes" in node["data"] for node in nodes) >= 1
