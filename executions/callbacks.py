"""One-time addresses by which another system ends a wait. Whoever has the address may; nobody can guess one.

The token is a keyed hash of what it is for, so no secret is stored. A repaired step gets a new one.
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac

from executions.models import ExecutionLog, ExecutionWait, Kind, WaitKind
from executions.story import MAX_ID
from workflows.graph import NODE_ID


def url_of(wait: ExecutionWait, request: HttpRequest) -> str:
    """The whole address, as others reach this server: by PUBLIC_URL, else as whoever asks has reached it."""
    token = _token(wait.execution_id, wait.node)
    path = reverse("executions:callback", args=[wait.execution_id, wait.node, token])
    return f"{settings.PUBLIC_URL}{path}" if settings.PUBLIC_URL else request.build_absolute_uri(path)


def called(execution_id: int, node: str, token: str) -> ExecutionWait | None:
    """The latest wait behind an address. None for anything wrong: a guess learns nothing of what exists."""
    if not 0 < execution_id <= MAX_ID or not NODE_ID.match(node) or not _fits(execution_id, node, token):
        return None
    waits = ExecutionWait.objects.filter(execution=execution_id, node=node, kind=WaitKind.CALLBACK)
    return waits.select_related("execution__workflow", "answered_by").order_by("-pk").first()


def _fits(execution_id: int, node: str, token: str) -> bool:
    return constant_time_compare(token.encode(errors="replace"), _token(execution_id, node).encode())


def _token(execution_id: int, node: str) -> str:
    repairs = ExecutionLog.objects.filter(execution=execution_id, node=node, kind=Kind.REPAIRED).count()
    told = f"{execution_id}:{node}:{repairs}"
    return salted_hmac("executions.callback", told, secret=settings.SECRET_KEY, algorithm="sha256").hexdigest()
