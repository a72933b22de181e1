"""The REST API: the routers of the two apps behind one door, and every refusal in one shape.

Who asks shows a bearer token, or a session with its CSRF token. Refusals read {"detail": a sentence, "code": for
programs, "where": {"node"?, "field"?, "line"?}}; what is wrong with a request is never a 500.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable
from secrets import token_hex
from typing import Any

from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponsePermanentRedirect,
    RawPostDataException,
)
from django.http.multipartparser import MultiPartParserError
from django.urls import URLPattern
from ninja import NinjaAPI, Router
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.parser import Parser
from ninja.security import HttpBearer, SessionAuth

from executions.api import router as executions
from executions.api import starting
from executions.steering_api import router as steering
from executions.waits_api import of_execution
from executions.waits_api import router as waits
from workflows.api import router as workflows
from workflows.errors import DefinitionError, EditConflict, EditError, InputError, WorkflowExecutionError
from workflows.secrets.api import NamedInUse, secrets, variables
from workflows.values import parse
from workflowsite import api_docs
from workflowsite.accounts.models import ApiToken

log = logging.getLogger(__name__)

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
LISTS = ("workflows", "executions", "waits", "secrets", "variables")  # found without their slash too
WRONG = {
    "model_type": "it must be a JSON object",
    "dict_type": "it must be a JSON object",
    "missing": "it is missing",
    "extra_forbidden": "there is no such field",
}  # said better than Pydantic does
TOLD = 10  # so many problems of a definition go into one sentence


class Token(HttpBearer):
    """`Authorization: Bearer …` with a token from `manage.py create_token`."""

    def authenticate(self, request: HttpRequest, token: str) -> Any:
        return ApiToken.owner_of(token)


class Session(SessionAuth):
    """The browser's session. Who has none is asked to sign in (401) before anything is said of CSRF (403)."""

    def _get_key(self, request: HttpRequest) -> str | None:
        return super()._get_key(request) if request.user.is_authenticated else None


class StrictJSON(Parser):
    """JSON as the standard has it: no NaN, no endless nesting; errors name line and column."""

    def parse_body(self, request: HttpRequest) -> Any:
        return parse(request.body, "body")


class StepstreamAPI(NinjaAPI):
    @property
    def urls(self) -> tuple[list[Any], str, str]:
        patterns, app, namespace = super().urls
        for pattern in patterns:
            if isinstance(pattern, URLPattern):
                pattern.callback = refusing_in_json(pattern.callback)
        return patterns, app, namespace


def refusing_in_json(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Two answers never reach our handlers: Ninja's plain-text 405, and the 404 of its root."""

    @functools.wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            response = view(request, *args, **kwargs)
        except Http404:
            return refusal(404, "/api/docs lists what the API has.", "not_found")
        return wrong_method(request, response) if response.status_code == 405 else response

    return answer


def wrong_method(request: HttpRequest, plain: HttpResponseBase) -> HttpResponse:
    allowed = ", ".join(sorted(plain.headers["Allow"].split(", ")))
    told = refusal(405, f"{request.method} is not possible here, only {allowed}.", "method_not_allowed")
    told.headers["Allow"] = allowed
    return told


api = StepstreamAPI(
    title="Stepstream",
    version="1",
    urls_namespace="api",
    docs=api_docs.Page(),
    description="Workflows and their executions. Every refusal reads `{detail, code, where}`.",
    auth=[Token(), Session()],
    parser=StrictJSON(),
)
api.add_router("/workflows", workflows)
api.add_router("/workflows", starting)
api.add_router("/executions", executions)
api.add_router("/executions", steering)
api.add_router("/executions", of_execution)
api.add_router("/waits", waits)
api.add_router("/secrets", secrets)
api.add_router("/variables", variables)
elsewhere = Router()


@elsewhere.api_operation(METHODS, "/{path:rest}", include_in_schema=False)
def nothing_here(request: HttpRequest, rest: str) -> HttpResponse:
    if rest in LISTS:
        return HttpResponsePermanentRedirect(f"{request.path}/?{request.META['QUERY_STRING']}", preserve_request=True)
    return refusal(404, f"The API has nothing at “{rest[:200]}”; /api/docs lists what it has.", "not_found")


api.add_router("", elsewhere)  # the last: it matches everything


def refusal(status: int, detail: str, code: str, **where: Any) -> HttpResponse:
    """The one shape. Places that are not known are left out of `where`."""
    told = {"detail": detail, "code": code, "where": {key: value for key, value in where.items() if value is not None}}
    return HttpResponse(json.dumps(told), status=status, content_type="application/json")


@api.exception_handler(AuthenticationError)
def not_signed_in(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    text = "Sign in, or send a token as “Authorization: Bearer …”; `manage.py create_token` makes one."
    told = refusal(401, text, "not_signed_in")
    told.headers["WWW-Authenticate"] = 'Bearer realm="Stepstream"'
    return told


@api.exception_handler(PermissionDenied)
def forbidden(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    return refusal(403, str(error), "forbidden")


@api.exception_handler(Http404)
def unknown(request: HttpRequest, error: Http404) -> HttpResponse:
    return refusal(404, str(error), "not_found")


@api.exception_handler(DefinitionError)
def bad_definition(request: HttpRequest, error: DefinitionError) -> HttpResponse:
    first, more = error.problems[0], len(error.problems) - TOLD
    text = " ".join(problem.message for problem in error.problems[:TOLD])
    return refusal(
        422, f"{text} And {more} more." if more > 0 else text, first.code, node=first.node, field=first.field
    )


@api.exception_handler(InputError)
def bad_value(request: HttpRequest, error: InputError) -> HttpResponse:
    return refusal(422, error.message, error.code, field=error.field)


@api.exception_handler(NamedInUse)
def still_used(request: HttpRequest, error: NamedInUse) -> HttpResponse:
    return refusal(409, error.message, "in_use")


@api.exception_handler(EditConflict)
def draft_moved_on(request: HttpRequest, error: EditConflict) -> HttpResponse:
    return refusal(409, error.message, error.code)


@api.exception_handler(EditError)
def bad_edit(request: HttpRequest, error: EditError) -> HttpResponse:
    return refusal(422, error.message, error.code)


@api.exception_handler(WorkflowExecutionError)
def not_possible_now(request: HttpRequest, error: WorkflowExecutionError) -> HttpResponse:
    return refusal(409, error.message, error.code, node=error.node)


@api.exception_handler(ValidationError)
def bad_fields(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Ninja's own: the first field that is wrong, in a sentence."""
    first, more = error.errors[0], len(error.errors) - 1
    field = ".".join(str(part) for part in first["loc"][1:] if part not in ("body", "window")) or "body"
    wrong = WRONG.get(first["type"], first["msg"].removeprefix("Value error, "))
    others = f" {more} more field{'s are' if more > 1 else ' is'} wrong." if more else ""
    return refusal(422, f"{field}: {wrong}.{others}", "field", field=field)


@api.exception_handler(HttpError)
def refused_by_ninja(request: HttpRequest, error: HttpError) -> HttpResponse:
    """A body that is no JSON, with what our parser said about it; a session without its CSRF token."""
    cause = error.__cause__
    if isinstance(cause, InputError):
        return refusal(400, cause.message, "json", line=getattr(cause.__context__, "lineno", None))
    if error.status_code == 403:
        return refusal(403, "The CSRF token is missing or wrong: send it as X-CSRFToken, or use a token.", "csrf")
    return refusal(error.status_code, error.message, "refused")


@api.exception_handler(RequestDataTooBig)
def too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return refusal(413, "The body is too large.", "too_large")


@api.exception_handler(RawPostDataException)
def not_json(request: HttpRequest, error: RawPostDataException) -> HttpResponse:
    return refusal(415, "Send the body as application/json.", "media_type")


@api.exception_handler(SuspiciousOperation)
@api.exception_handler(BadRequest)
@api.exception_handler(MultiPartParserError)
def unreadable(request: HttpRequest, error: Exception) -> HttpResponse:
    return refusal(400, "The request could not be read.", "unreadable")


@api.exception_handler(Exception)
def our_fault(request: HttpRequest, error: Exception) -> HttpResponse:
    incident = token_hex(4)
    log.error("The API failed at %s %s", request.method, request.path, exc_info=error, extra={"incident": incident})
    return refusal(500, f"It broke on our side; the server's log has it as incident {incident}.", "internal")
