"""What PostgreSQL may do to us: end all our connections at once. And what we must not do to it: pile them up."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.journeys.server import OWNER, PASSWORD
from tests.processes import wait_until
from tests.services.servers import POSTGRESQL, fresh_database, require
from tests.site.test_worker import Site, assert_told_once, counting
from tests.visiting import Caller

pytestmark = [pytest.mark.service, pytest.mark.kill]

EACH_PROCESS = 8  # connections, as its pool allows
OURS = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
END_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """On PostgreSQL alone, without Redis: a server without an engine, and two workers."""
    require(POSTGRESQL)
    with fresh_database() as url:
        site = Site(tmp_path_factory.mktemp("apart"), DATABASE_URL=url)
        site.server.manage("prepare")
        site.server.token = site.server.manage("create_token", OWNER).split()[-1]
        site.server.start("--no-engine")
        site.work("--limit", "15")
        site.work("--limit", "15")
        yield site
        site.leave()


def asked(site: Site, sql: str) -> list[int]:
    """Of the server, from another database: what it knows of ours."""
    url = site.environment["DATABASE_URL"]
    with psycopg.connect(urlsplit(url)._replace(path="/postgres").geturl(), autocommit=True) as connection:
        return [row[0] for row in connection.execute(sql, [urlsplit(url).path[1:]])]


def test_all_connections_end_at_once_and_nothing_is_lost_or_done_twice(site: Site) -> None:
    workflow_id = site.server.publish("Counting", counting(3))
    numbers = [site.server.run(workflow_id, {"name": str(number)}) for number in range(30)]
    for _ in range(4):
        wait_until(lambda: any(site.held_by(worker) for worker in site.workers), "a worker to run something")
        assert asked(site, END_ALL)
        numbers.append(site.server.run(workflow_id, {"name": "after"}))
    for number in numbers:
        site.server.until(number, "completed")
        assert_told_once(site.server, number)
    assert [worker.process.poll() for worker in site.workers if worker.process] == [None, None]


def test_no_connection_is_left_behind_by_requests_and_work(site: Site) -> None:
    caller = Caller(site.server.url)
    caller.sign_in(OWNER, PASSWORD)
    workflow_id = site.server.publish("Counting", counting(1))

    def ask(turn: int) -> None:
        caller.get("/executions/")
        site.server.run(workflow_id, {"name": str(turn)})

    with ThreadPoolExecutor(20) as threads:
        list(threads.map(ask, range(100)))
    (most,) = asked(site, OURS)
    assert most <= EACH_PROCESS * (1 + len(site.workers)), "the server and its workers"
