"""What is done in the quiet: once an hour, in a thread of its own, what is too old is deleted and its space given back.

Several processes may do it at once: each deletion is a transaction that looks again, so they only share the work.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from time import perf_counter

from django.core.files.storage import storages
from django.db import connection, connections
from django.utils import timezone

from executions import blobs
from executions.models import WorkflowExecution
from executions.retention import Pace, Pruning, cutoff_of
from workflows import files
from workflows.models import Workflow

FIRST_S, EVERY_S = 60.0, 3_600.0
KEPT_FREE = 0.05  # of the file: what is written next needs space again
log = logging.getLogger(__name__)


class Housekeeper:
    """`start` and `stop` on any thread; it never keeps a process from ending."""

    def __init__(self, first_s: float = FIRST_S, every_s: float = EVERY_S) -> None:
        self._first_s, self._every_s = first_s, every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="housekeeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Within a moment: at the end of the transaction that it is in."""
        self._stop.set()

    def _keep(self) -> None:
        pause = self._first_s
        while not self._stop.wait(pause):
            pause = self._every_s
            try:
                tidy(self._stop.is_set)
            except Exception as error:  # the database may be away; the next hour is another chance
                log.warning("What is too old could not be deleted: %s", error)
            finally:
                connections.close_all()


def tidy(is_over: Callable[[], bool] = lambda: False) -> None:
    """Each workflow's executions that are too old, then the space that they took."""
    for workflow in Workflow.objects.order_by("pk").only("pk", "keep_days"):
        cutoff = cutoff_of(workflow.keep_days)
        if cutoff is None:
            continue
        pruning = Pruning(cutoff, is_over=is_over)
        pruning.run(workflow)
        if pruning.executions:
            log.info("Deleted %d executions of workflow %d that were too old", pruning.executions, workflow.pk)
    forget_orphans()
    files.forget_orphans(_alive)
    give_back(is_over)


def forget_orphans() -> int:
    """Deletes files whose execution is not there any more, or never came to be; the number of executions.

    Not those of the last day: an execution that is being made has its files before its row can be seen.
    """
    kept, since = storages["blobs"], timezone.now() - timedelta(days=1)
    try:
        names, _ = kept.listdir("")
    except FileNotFoundError:
        return 0
    old = [int(name) for name in names if name.isdigit() and kept.get_modified_time(name) < since]
    forgotten = 0
    for start in range(0, len(old), 500):
        part = set(old[start : start + 500])
        part -= set(WorkflowExecution.objects.filter(pk__in=part).values_list("pk", flat=True))
        blobs.forget(part)
        forgotten += len(part)
    return forgotten


def _alive(workflow_ids: list[int]) -> set[int]:
    return set(Workflow.objects.filter(pk__in=workflow_ids).values_list("pk", flat=True))


def give_back(is_over: Callable[[], bool] = lambda: False) -> int:
    """Returns free pages of the SQLite file to the disk, a few at a time; the number of bytes."""
    if connection.vendor != "sqlite":
        return 0
    pace, before = Pace(most=20_000), _pragma("page_count")
    keep = max(1_000, int(before * KEPT_FREE))
    free = _pragma("freelist_count")
    while free > keep and not is_over():
        pace.note(_vacuumed(min(pace.size, free - keep)))
        left = _pragma("freelist_count")
        if left >= free:
            break  # this file was not laid out by us, and gives nothing back
        free = left
    return (before - _pragma("page_count")) * _pragma("page_size")


def _vacuumed(pages: int) -> float:
    """Seconds. As a script, since execute() would stop after the first page."""
    connection.ensure_connection()
    began = perf_counter()
    connection.connection.executescript(f"PRAGMA incremental_vacuum({pages})")
    return perf_counter() - began


def _pragma(name: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {name}")
        return int(cursor.fetchone()[0])
