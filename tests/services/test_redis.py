"""A Redis of the tests' own, ill-treated while workflows run and pages watch: it delays, and loses nothing.

A server without an engine and a worker beside it, so that every bell has to cross. What Redis suffers happens in the
middle of a countdown; pages that were open before and pages that are opened after show every entry once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.journeys.server import OWNER, PASSWORD
from tests.processes import wait_until
from tests.services.servers import Redis
from tests.site.test_worker import APPROVAL, Site, counting
from tests.visiting import Caller, Watcher

pytestmark = [pytest.mark.service, pytest.mark.kill]

HANGS_S = 10.0  # no form may take so long, whatever Redis does; each bell is waited for one second at most
PER_REDIS = 8  # executions beside the one that is watched


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    redis = Redis(tmp_path_factory.mktemp("redis"))
    redis.start()
    yield redis
    redis.leave()


@pytest.fixture(scope="module")
def site(redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("apart"), REDIS_URL=redis.url)
    site.server.manage("prepare")
    site.server.token = site.server.manage("create_token", OWNER).split()[-1]
    site.server.start("--no-engine")
    site.work()
    yield site
    site.leave()


@pytest.fixture
def caller(site: Site) -> Caller:
    caller = Caller(site.server.url)
    caller.sign_in(OWNER, PASSWORD)
    return caller


def killed(redis: Redis) -> None:
    redis.kill()


def killed_and_back(redis: Redis) -> None:
    redis.kill()
    time.sleep(1)
    redis.start()


def flushed(redis: Redis) -> None:
    redis.flush()


def paused(redis: Redis) -> None:
    redis.pause()


def paused_for_a_while(redis: Redis) -> None:
    redis.pause()
    threading.Timer(3, redis.go_on).start()


SUFFERED = [killed, killed_and_back, flushed, paused, paused_for_a_while]


@pytest.mark.parametrize("suffer", SUFFERED)
def test_all_is_done_and_every_page_shows_all_of_it(
    site: Site, caller: Caller, redis: Redis, suffer: Callable[[Redis], None]
) -> None:
    counted, asking = site.server.publish("Counting", counting(4)), site.server.publish("Ask", APPROVAL)
    before = [site.server.run(counted, {"name": "ada"}) for _ in range(PER_REDIS)]
    asked = site.server.run(asking)
    site.server.until(asked, "waiting")
    page = caller.watch(before[0])
    wait_until(lambda: page.numbers, "the page to show something")
    suffer(redis)
    try:
        during = started_by_form(caller, counted)
        late = caller.watch(during)
        long = site.server.run(site.server.publish("Long", counting(3_000)))
        site.server.until(long, "running")
        cancelled_by_form(caller, long)
        site.server.api("POST", f"/executions/{asked}/waits/ask/answer", {"approved": True})
        for number in (*before, during, asked):
            site.server.until(number, "completed")
        site.server.until(long, "cancelled")
        shows_all(site, before[0], page)
        shows_all(site, during, late)
    finally:
        recovered(redis)
    bells_ring_again(site, caller, redis)


def shows_all(site: Site, number: int, page: Watcher) -> None:
    wait_until(lambda: page.is_final, "the page to say that it has ended")
    assert page.numbers == site.server.numbers(number) == list(range(1, len(page.numbers) + 1))


def started_by_form(caller: Caller, workflow_id: int) -> int:
    """Its number. The page before it is fetched first: only the verb is measured."""
    form = caller.get(f"/workflows/{workflow_id}/run/")
    began = time.monotonic()
    where = caller.post(f"/workflows/{workflow_id}/run/", form, input_data="{}", key=f"key {began}")
    assert time.monotonic() - began < HANGS_S
    return int(where.rstrip("/").rpartition("/")[2])


def cancelled_by_form(caller: Caller, execution_id: int) -> None:
    page = caller.get(f"/executions/{execution_id}/")
    began = time.monotonic()
    caller.post(f"/executions/{execution_id}/cancel/", page)
    assert time.monotonic() - began < HANGS_S


def recovered(redis: Redis) -> None:
    redis.go_on()
    if not redis.answers():
        redis.leave()
        redis.start()


def bells_ring_again(site: Site, caller: Caller, redis: Redis) -> None:
    """Both processes have joined anew: the worker its group, and the server its own as soon as somebody watches."""
    counted = site.server.publish("Counting", counting(3))
    page = caller.watch(site.server.run(counted, {"name": "bob"}))

    def heard() -> bool:
        return redis.say("ZCARD asgi:group:engines") != ":0" and redis.say("ZCARD asgi:group:viewers") != ":0"

    wait_until(heard, "the bells to be joined again")
    wait_until(lambda: page.is_final, "the page to end")


def test_absent_at_boot_it_delays_the_bells_and_nothing_else(redis: Redis, tmp_path: Path) -> None:
    """Server and worker begin without it, work, and hear the bells once it is there."""
    later = Redis(tmp_path)
    site = Site(tmp_path, REDIS_URL=later.url)
    try:
        site.server.manage("prepare")
        site.server.token = site.server.manage("create_token", OWNER).split()[-1]
        site.server.start("--no-engine")
        site.work()
        caller = Caller(site.server.url)
        caller.sign_in(OWNER, PASSWORD)
        number = site.server.run(site.server.publish("Counting", counting(1)))
        page = caller.watch(number)
        wait_until(lambda: page.is_final, "the page to say that it has ended")
        assert page.numbers == site.server.numbers(number)
        later.start()
        bells_ring_again(site, caller, later)
    finally:
        site.leave()
        later.leave()


def test_a_worker_stops_in_order_while_redis_is_silent(site: Site, redis: Redis) -> None:
    worker = site.work()
    redis.pause()
    try:
        assert worker.stop() == 0
        assert "Traceback" not in worker.said()
    finally:
        recovered(redis)
