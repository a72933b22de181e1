"""The door for other systems: a call to a one-time address ends the wait behind it. It answers in JSON.

Open to all; the token in the address is what lets one in. A wrong one is a 404, whatever is wrong with it.
"""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.views.decorators.csrf import csrf_exempt

from executions.answering import AnsweredBefore, over
from executions.callbacks import called
from executions.engine import WorkflowEngine
from executions.models import ExecutionWait
from workflows.errors import InputError
from workflows.values import parse, require_object

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class Refused(Exception):
    def __init__(self, status: int, code: str, detail: str) -> None:
        self.status, self.code, self.detail = status, code, detail
        super().__init__(detail)


@csrf_exempt  # the caller is a program without a cookie of ours; its token stands in the address
def callback(request: HttpRequest, execution_id: int, node_id: str, token: str) -> HttpResponse:
    try:
        if request.method != "POST":
            raise Refused(
                405, "method_not_allowed", "This address takes one POST with the data; a GET changes nothing."
            )
        return _taken(request, called(execution_id, node_id, token))
    except Refused as refusal:
        response = _told(refusal.status, code=refusal.code, detail=refusal.detail)
        if refusal.status == 405:
            response.headers["Allow"] = "POST"
        return response


def _taken(request: HttpRequest, wait: ExecutionWait | None) -> HttpResponse:
    """The wait is looked at before the data: who comes twice learns that first."""
    if wait is None:
        raise Refused(404, "not_found", "Nothing waits at this address.")
    _refuse_late(wait)
    if not WorkflowEngine().answer_wait(wait.pk, _posted(request)):
        wait.refresh_from_db()
        wait.execution.refresh_from_db()
        _refuse_late(wait)
        raise Refused(410, "callback.closed", "Nothing waits here any more.")
    return _told(202, detail="Received: the execution goes on.")


def _refuse_late(wait: ExecutionWait) -> None:
    refusal = over(wait)
    if isinstance(refusal, AnsweredBefore):
        raise Refused(409, "callback.taken", "A call has been taken here before; this address works once.")
    if refusal is not None:
        raise Refused(410, "callback.closed", refusal.message)


def _posted(request: HttpRequest) -> dict[str, Any]:
    """The body as an object. Raises Refused."""
    limit = settings.ENGINE["INPUT_BYTES"]
    try:
        if int(request.META.get("CONTENT_LENGTH") or 0) > limit or len(request.body) > limit:
            raise RequestDataTooBig
        return require_object(_read(request), "body", limit)
    except RequestDataTooBig:
        raise Refused(413, "too_large", f"The body may have at most {limit:,} bytes.") from None
    except InputError as error:
        raise Refused(422, error.code, error.message) from None
    except (SuspiciousOperation, MultiPartParserError, ValueError):
        raise Refused(400, "unreadable", "The body could not be read.") from None


def _read(request: HttpRequest) -> Any:
    kind = request.content_type or ""
    if kind in FORMS:
        return _fields(request)
    if not request.body:
        return {}
    if kind != "application/json" and not kind.endswith("+json"):
        raise Refused(415, "media_type", "Send a JSON object as application/json, or the fields of a form.")
    try:
        return parse(request.body)
    except InputError as error:
        raise Refused(400, "json", error.message) from None


def _fields(request: HttpRequest) -> dict[str, Any]:
    """A name that comes more than once becomes a list."""
    if request.FILES:
        raise Refused(415, "media_type", "Files cannot be taken here; send their addresses.")
    return {name: texts if len(texts) > 1 else texts[0] for name, texts in request.POST.lists()}


def _told(status: int, **told: str) -> HttpResponse:
    response = HttpResponse(json.dumps(told), status=status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
