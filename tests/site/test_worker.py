"""Pages in one process, the engine in others: on SQLite without any bell between them, and on PostgreSQL with Redis."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.core.management import load_command_class

from tests.journeys.server import OWNER, PASSWORD, Server
from tests.processes import ROOT, Worker, wait_until
from tests.services.servers import POSTGRESQL, REDIS, fresh_database, require
from tests.visiting import Caller

pytestmark = pytest.mark.kill

ACCOUNT = {"DJANGO_SUPERUSER_USERNAME": OWNER, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
LIMIT = ("--limit", "20")
EXECUTIONS = 200
OWNERS = "SELECT DISTINCT owner FROM executions_workflowexecution WHERE status = 'running' AND owner IS NOT NULL"
HELD = "SELECT id, fence FROM executions_workflowexecution WHERE owner LIKE ? AND completed_at IS NULL ORDER BY id"


def counting(seconds: int) -> dict[str, Any]:
    nodes = [
        {"id": "in", "type": "input", "data": {}},
        {"id": "count", "type": "countdown", "data": {"seconds": seconds}},
        {"id": "out", "type": "output", "data": {}},
    ]
    return {"nodes": nodes, "edges": [{"source": "in", "target": "count"}, {"source": "count", "target": "out"}]}


APPROVAL = {
    "nodes": [{"id": "ask", "type": "approval", "data": {"label": "Ask", "message": "Go on?"}}],
    "edges": [],
}


class Site:
    """A server without an engine, and its workers."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.server = Server(folder / "var", **ACCOUNT, **environment)
        self.folder, self.environment = folder, environment
        self.workers: list[Worker] = []
        self.numbers = count()

    def work(self, *options: str) -> Worker:
        """One more worker."""
        console = self.folder / f"worker-{next(self.numbers)}.console"
        self.workers.append(Worker(self.server.data, console, **self.environment))
        self.workers[-1].start(*options)
        return self.workers[-1]

    def dismiss(self) -> None:
        for worker in self.workers:
            worker.leave()
            print(worker.said())
        self.workers.clear()

    def leave(self) -> None:
        self.dismiss()
        self.server.leave()
        print(self.server.said())

    def ended(self) -> int:
        sql = "SELECT count(*) FROM executions_workflowexecution WHERE completed_at IS NOT NULL"
        return int(self.server.rows(sql)[0][0])

    def held_by(self, worker: Worker) -> dict[int, int]:
        """Its executions and their fences."""
        return dict(self.server.rows(HELD, f"{name_of(worker)}%"))


def name_of(worker: Worker) -> str:
    """The first letters of its number, as it says them."""
    found = re.search(r"^Worker (\w{8}) is running", worker.said(), re.MULTILINE)
    assert found, worker.said()
    return found[1]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.service)])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as stack:
        environment = {}
        if request.param == "postgresql":
            require(POSTGRESQL)
            require(REDIS)
            environment = {"DATABASE_URL": stack.enter_context(fresh_database()), "REDIS_URL": REDIS}
        site = Site(tmp_path_factory.mktemp("apart"), **environment)
        site.server.manage("prepare")
        site.server.token = site.server.manage("create_token", OWNER).split()[-1]
        site.server.start("--no-engine")
        yield site
        site.leave()


@pytest.fixture
def site(made: Site) -> Iterator[Site]:
    """Served, with nothing under way and nobody at work."""
    yield made
    made.dismiss()
    made.server.rows("DELETE FROM executions_executionlog RETURNING id")
    made.server.rows("DELETE FROM executions_executionwait RETURNING id")
    made.server.rows("DELETE FROM executions_workflowexecution RETURNING id")


@pytest.fixture
def caller(site: Site) -> Caller:
    caller = Caller(site.server.url)
    caller.sign_in(OWNER, PASSWORD)
    return caller


def test_two_workers_share_the_work_and_one_that_is_killed_loses_nothing(site: Site, caller: Caller) -> None:
    killed, other = site.work(*LIMIT), site.work(*LIMIT)
    workflow_id = site.server.publish("Counting", counting(2))
    numbers = [site.server.run(workflow_id, {"name": f"ada {number}"}) for number in range(EXECUTIONS)]
    wait_until(lambda: site.held_by(killed) and site.held_by(other), "both to take part")
    watched = next(iter(site.held_by(killed)))
    page = caller.watch(watched)
    wait_until(lambda: page.numbers, "the page to show something")

    killed.kill()
    held = site.held_by(killed)
    assert held
    leases = dict(site.server.rows("SELECT id, due_at FROM executions_workflowexecution WHERE completed_at IS NULL"))
    wait_until(lambda: not site.held_by(killed), "the other one to take over")
    assert f"Worker {name_of(killed)} is gone" in other.said()
    wait_until(lambda: site.ended() == EXECUTIONS, "all executions to end")
    wait_until(lambda: page.is_final, "the page to say that it has ended")

    assert [site.server.status(number) for number in numbers] == ["completed"] * EXECUTIONS
    assert page.numbers == site.server.numbers(watched)
    for number in numbers:
        assert_told_once(site.server, number)
    for number in held:
        assert_taken_over_before(site.server, number, leases[number])


def assert_told_once(server: Server, number: int) -> None:
    journal = server.journal(number)
    assert [seq for seq, _, _ in journal] == list(range(1, len(journal) + 1))
    ends = [(kind, node) for _, kind, node in journal if kind in {"completed", "finished"}]
    assert ends == [("completed", "in"), ("completed", "count"), ("completed", "out"), ("finished", None)]


def assert_taken_over_before(server: Server, number: int, lease_end: Any) -> None:
    """On the same machine nobody waits for the lease."""
    sql = "SELECT at FROM executions_executionlog WHERE execution_id = ? AND kind = 'taken_over'"
    taken_over = [at for (at,) in server.rows(sql, number)]
    assert len(taken_over) <= 1
    assert all(str(at) < str(lease_end) for at in taken_over)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_that_is_asked_to_stop_hands_its_work_over(site: Site, caller: Caller, number: signal.Signals) -> None:
    leaving = site.work("--grace", "0.2")
    execution_id = site.server.run(site.server.publish("Counting", counting(4)))
    wait_until(lambda: "left" in str(site.server.rows(LINES, execution_id)), "its first line")
    page = caller.watch(execution_id)
    assert leaving.stop(number) == 0
    assert leaving.said().endswith("Stopped; 1 execution handed back for others.\n")
    assert site.server.rows(FREE, execution_id) == [("pending", None)]

    site.work()
    wait_until(lambda: page.is_final, "the page to say that it has ended")
    assert site.server.status(execution_id) == "completed"
    assert page.numbers == site.server.numbers(execution_id)


LINES = "SELECT data FROM executions_executionlog WHERE execution_id = ? AND kind = 'logged'"
FREE = "SELECT status, owner FROM executions_workflowexecution WHERE id = ?"


def test_a_cancel_reaches_the_worker(site: Site) -> None:
    site.work()
    execution_id = site.server.run(site.server.publish("Long", counting(3_000)))
    site.server.until(execution_id, "running")
    site.server.api("POST", f"/executions/{execution_id}/cancel")
    site.server.until(execution_id, "cancelled")


def test_an_answer_reaches_the_worker(site: Site) -> None:
    site.work()
    execution_id = site.server.run(site.server.publish("Ask", APPROVAL))
    site.server.until(execution_id, "waiting")
    site.server.api("POST", f"/executions/{execution_id}/waits/ask/answer", {"approved": True})
    site.server.until(execution_id, "completed")


def test_a_second_signal_ends_it_at_once(site: Site) -> None:
    worker = site.work("--grace", "3000")
    execution_id = site.server.run(site.server.publish("Long", counting(3_000)))
    wait_until(lambda: "left" in str(site.server.rows(LINES, execution_id)), "its first line")
    worker.send(signal.SIGTERM)
    assert worker.process
    with pytest.raises(subprocess.TimeoutExpired):
        worker.process.wait(1)
    worker.send(signal.SIGTERM)
    assert worker.ended() == 0


def test_where_nobody_works_the_page_says_so_and_since_when(site: Site, caller: Caller) -> None:
    site.work().stop()
    execution_id = site.server.run(site.server.publish("Counting", counting(1)))
    page = caller.watch(execution_id)
    wait_until(lambda: any("No worker has been there since" in frame for frame in page.frames), "that sentence")
    site.work()
    wait_until(lambda: page.is_final, "the execution to end")


Start = Callable[..., Worker]


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Start]:
    """Starts one that is expected to refuse, and gives it when it has ended."""

    def start(data: Path, *options: str, **environment: str) -> Worker:
        worker = Worker(data, tmp_path / "worker.console", **environment)
        worker.launch("worker", *options)
        assert worker.ended() != 0
        return worker

    yield start


def test_a_folder_that_was_never_prepared_is_refused(worker: Start, tmp_path: Path) -> None:
    said = worker(tmp_path / "nowhere").said()
    assert f"{tmp_path / 'nowhere'} has never been prepared" in said and "Traceback" not in said


def test_a_database_of_another_version_is_refused(worker: Start, tmp_path: Path) -> None:
    server = Server(tmp_path / "var")
    server.manage("prepare")
    last = "SELECT max(id) FROM django_migrations WHERE app = 'executions'"
    server.rows(f"UPDATE django_migrations SET name = '0999_newer' WHERE id = ({last}) RETURNING id")
    said = worker(server.data).said()
    assert "The database is not ready: 1 migration to come. First run: manage.py prepare" in said
    server.rows("UPDATE django_migrations SET name = '0004_budgets' WHERE name = '0999_newer' RETURNING id")
    insert = "INSERT INTO django_migrations (app, name, applied) VALUES ('executions', '0999_newer', '2026-01-01')"
    server.rows(f"{insert} RETURNING id")
    said = worker(server.data).said()
    assert "A newer version has changed the database (executions.0999_newer): update this one, too." in said


def test_a_wrong_key_is_refused_with_what_to_do(worker: Start, tmp_path: Path) -> None:
    server = Server(tmp_path / "var")
    server.manage("prepare")
    (server.data / "master.key").unlink()
    said = worker(server.data).said()
    assert "Put back the keys" in said and "Traceback" not in said


def test_a_database_that_does_not_answer_is_said_plainly(worker: Start, tmp_path: Path) -> None:
    Server(tmp_path / "var").manage("prepare")
    said = worker(tmp_path / "var", DATABASE_URL="postgres://me:secret@127.0.0.1:1/flow").said()
    assert "The database does not answer" in said and "secret" not in said and "Traceback" not in said


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
def test_a_limit_that_means_nothing_is_refused(worker: Start, tmp_path: Path, limit: str) -> None:
    assert "it takes a whole number, 1 or more" in worker(tmp_path, "--limit", limit).said()


def test_nothing_is_restored_and_no_table_changed_under_a_worker(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.server.manage("prepare")
    archive = tmp_path / "backup.tar.gz"
    site.server.manage("backup", str(archive))
    worker = site.work()
    try:
        site.server.manage("prepare")  # changes nothing, so it may
        for command in (["restore", str(archive)], ["prepare"]):
            with pytest.raises(AssertionError, match=r"A worker runs on this data\. Stop it first"):
                site.server.manage(*command)
            site.server.rows("DELETE FROM django_migrations WHERE name = '0004_budgets' RETURNING id")
        assert worker.stop() == 0
        site.server.manage("restore", str(archive))
    finally:
        site.leave()


def test_the_commands_of_the_manual_can_be_run() -> None:
    """Each option that the page shows for `serve` and `worker` is one that they take."""
    page = (ROOT / "docs" / "operate.md").read_text()
    shown = set(re.findall(r"manage\.py ((?:serve|worker)\b[^\n`#]*)", page))
    assert {command.split()[0] for command in shown} == {"serve", "worker"}
    for command in sorted(shown):
        name, *options = command.split()
        parser = load_command_class("workflowsite", name).create_parser("manage.py", name)
        parser.parse_args(options)
