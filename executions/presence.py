"""Whether anybody is there to run what is due: workers say so now and then. For words only."""

from __future__ import annotations

import socket
from datetime import datetime, timedelta

from django.utils import timezone

from executions.models import WorkerPresence

GONE_AFTER = timedelta(seconds=25)  # two signs and a half that did not come
FORGOTTEN_AFTER = timedelta(days=1)


def show(owner: str) -> None:
    """This worker looks for work, as of now."""
    now = timezone.now()
    WorkerPresence.objects.update_or_create(
        owner=owner, defaults={"seen_at": now}, create_defaults={"host": socket.gethostname()[:200]}
    )
    WorkerPresence.objects.filter(seen_at__lt=now - FORGOTTEN_AFTER).delete()


def leave(owner: str) -> None:
    """It takes nothing more: what is said of it from now on is when it was last there."""
    WorkerPresence.objects.filter(owner=owner).update(seen_at=timezone.now(), left_at=timezone.now())


def is_anybody_there() -> bool:
    newest = WorkerPresence.objects.filter(left_at=None).order_by("-seen_at").first()
    return newest is not None and newest.seen_at > timezone.now() - GONE_AFTER


def last_seen() -> datetime | None:
    """When the last worker was there; None where none ever was."""
    last = WorkerPresence.objects.order_by("-seen_at").first()
    return last.seen_at if last else None
