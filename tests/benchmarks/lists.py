"""Server time of the lists at 100,000 executions in 200 workflows: for the installation's owner, for somebody who may
see nearly everything, and for somebody who may see two workflows with ten executions, spread over all the others.

Through the whole chain of middleware, view and template, without the network. DATABASE_URL chooses another database;
it is emptied of nothing and keeps what it was filled with, so that a second round measures at once.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from tests.benchmarks import site

WORKFLOWS, EXECUTIONS, ROUNDS, BATCH = 200, 100_000, 30, 5_000
OWNER, MOST, FEW = "bench-owner", "bench-most", "bench-few"
STATES = ("completed",) * 88 + ("failed",) * 9 + ("cancelled",) * 3
RARE = "the only error with a pelican in it"


def main() -> None:
    site.set_up()
    from django.contrib.auth.models import User
    from django.core.management import call_command

    call_command("collectstatic", interactive=False, verbosity=0)
    if not User.objects.filter(username=OWNER).exists():
        fill()
        settle()
    figures: dict[str, dict[str, Any]] = {}
    for name in (OWNER, MOST, FEW):
        figures |= measured(name)
    site.say(figures)


def measured(name: str) -> dict[str, dict[str, Any]]:
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client(HTTP_HOST="localhost")
    client.force_login(User.objects.get(username=name))
    found: dict[str, dict[str, Any]] = {}
    for label, url in questions(name).items():
        asked(client, url)  # what is kept between requests is warm, as it is on a site that somebody uses
        took, spent = zip(*(asked(client, url) for _ in range(ROUNDS)), strict=True)
        median, p95, cpu = middle(took), sorted(took)[int(ROUNDS * 0.95)], middle(spent)
        found[f"{name}: {label}"] = {"value": round(median, 1), "unit": f"ms (p95 {p95:.1f}, CPU {cpu:.1f})"}
        print(f"    {name}: {label}: {median:.1f} ms, p95 {p95:.1f}, CPU {cpu:.1f}", file=sys.stderr, flush=True)
    return found


def asked(client: Any, url: str) -> tuple[float, float]:
    """Milliseconds on the clock, and of this process."""
    began, cpu = time.perf_counter(), time.process_time()
    response = client.get(url)
    took = 1e3 * (time.perf_counter() - began), 1e3 * (time.process_time() - cpu)
    assert response.status_code == 200, (url, response.status_code)
    return took


def middle(figures: Sequence[float]) -> float:
    return sorted(figures)[len(figures) // 2]


def questions(name: str) -> dict[str, str]:
    from workflows.models import Workflow

    first = (
        Workflow.objects.filter(owner__username=FEW if name == FEW else MOST)
        .order_by("pk")
        .values_list("pk", flat=True)[0]
    )
    words: dict[str, dict[str, Any]] = {
        "newest": {},
        **{f"tab {tab}": {"status": tab} for tab in ("running", "waiting", "failed", "completed", "cancelled")},
        "one workflow": {"workflow": first},
        "one workflow, failed, last week": {"workflow": first, "status": "failed", "when": "week"},
        "text in many errors": {"q": "connection"},
        "text in one old error": {"q": "pelican"},
        "started by somebody": {"by": MOST},
        "started by somebody, failed": {"by": MOST, "status": "failed"},
        "started by nobody": {"by": "nobody"},
        "last hour": {"when": "hour"},
        "two days long ago": {"when": "between", "since": day(60), "until": day(58)},
        "deep page": {"before": 5_000},
        "deep page, failed": {"before": 5_000, "status": "failed"},
        "everything at once": {"q": "a", "by": MOST, "when": "week", "workflow": first, "status": "failed"},
    }
    home = {"home": "/", "home, failing": "/?state=failing", "home, search": "/?q=bench+1"}
    return {label: f"/executions/?{urlencode(one)}" for label, one in words.items()} | home


def day(ago: int) -> str:
    from django.utils import timezone

    return f"{timezone.now() - timedelta(days=ago):%Y-%m-%d}"


# The data


def fill() -> None:
    from django.contrib.auth.models import User

    dice = random.Random(7)
    owner = User.objects.create_superuser(OWNER)
    most, few = User.objects.create_user(MOST), User.objects.create_user(FEW)
    workflows = [made(number, few if number < 2 else most) for number in range(WORKFLOWS)]
    for start in range(0, EXECUTIONS, BATCH):
        write(range(start, start + BATCH), workflows, (owner, most), dice)
        print(f"    filled {start + BATCH:,}", file=sys.stderr, flush=True)


def settle() -> None:
    """What PostgreSQL does by itself within a minute, and SQLite never needs."""
    from django.db import connection

    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def made(number: int, owner: Any) -> Any:
    from workflows.models import Workflow

    workflow = Workflow.objects.create(name=f"Bench {number}", description=f"The bench's number {number}", owner=owner)
    workflow.publish(site.chain(("input", {}), ("process", {"operation": "uppercase"}), ("output", {})))
    return workflow


def write(numbers: range, workflows: list[Any], people: tuple[Any, ...], dice: random.Random) -> None:
    from executions.models import WorkflowExecution

    WorkflowExecution.objects.bulk_create([row(number, workflows, people, dice) for number in numbers], BATCH)


def row(number: int, workflows: list[Any], people: tuple[Any, ...], dice: random.Random) -> Any:
    """Every ten-thousandth belongs to the two workflows of FEW; the newest hundred still live."""
    from django.utils import timezone

    from executions.models import WorkflowExecution

    workflow = workflows[number // 10_000 % 2] if number % 10_000 == 77 else dice.choice(workflows[2:])
    begun = timezone.now() - timedelta(seconds=80 * (EXECUTIONS - number))
    status = dice.choice(STATES) if number < EXECUTIONS - 100 else dice.choice(("running", "waiting"))
    text = (
        RARE if number == 20_000 else dice.choice(("connection refused by ledger", "422: no such VAT code", "timeout"))
    )
    is_live = status in ("running", "waiting")
    return WorkflowExecution(
        workflow=workflow,
        version_id=workflow.published_id,
        status="failed" if number == 20_000 else status,
        input_data={"name": "ada", "city": "london", "number": number},
        output_data={"name": "ADA", "city": "LONDON", "number": number},
        error={"step_name": "n1", "message": text, "type": "ValueError"} if status == "failed" else None,
        error_message=text if status == "failed" or number == 20_000 else "",
        steps_done=3,
        steps_total=3,
        created_at=begun,
        started_at=begun,
        completed_at=None if is_live else begun + timedelta(milliseconds=dice.randint(200, 90_000)),
        due_at=begun + timedelta(days=400 if is_live else 0),
        started_by=dice.choice((None, None, *people)),
    )


if __name__ == "__main__":
    main()
