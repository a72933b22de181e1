"""Questions to people: the list of those that wait for somebody, and each with the form to answer it.

On an execution's page the form comes as a fragment, since it depends on who looks and the live pieces do not.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.functional import SimpleLazyObject
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from executions import answering
from executions.answer_form import AnswerForm
from executions.answering import AnswerRefused, title_of
from executions.callbacks import url_of
from executions.models import ExecutionWait, WaitKind, WorkflowExecution
from executions.models.wait import WaitQuerySet
from workflows.errors import InputError
from workflows.permissions import can, visible
from workflows.views.record import see_other

MOST = 100  # questions on the page
COUNTED = 99  # beyond, the navigation says "99+"
OUTSIDE = (WaitKind.APPROVAL, WaitKind.CALLBACK)
Context = dict[str, Any]


def waiting(request: HttpRequest) -> Context:
    """For every template: {{ waiting }}, how many questions ask this person, "" for none. One query, if it is read."""
    return {"waiting": SimpleLazyObject(lambda: _counted(request))}


def _counted(request: HttpRequest) -> str:
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return ""
    number = answering.asking(user).order_by()[: COUNTED + 1].count()
    return f"{COUNTED}+" if number > COUNTED else str(number or "")


@never_cache
@require_safe
def listed(request: HttpRequest) -> HttpResponse:
    """First what asks this person, then what it may answer in place of others."""
    asks_me = list(_with_names(answering.asking(request.user))[:MOST])
    others = _with_names(answering.answerable_by(request.user)).exclude(pk__in=[wait.pk for wait in asks_me])
    others = others[: MOST - len(asks_me)]
    seen = _seen(request, [wait.execution_id for wait in (*asks_me, *others)])
    groups = [("Asked of you", asks_me), ("Asked of others", others)]
    shown = [(title, [_row(wait, seen) for wait in waits]) for title, waits in groups if waits]
    context = {"groups": shown, "is_cut": len(asks_me) + len(others) >= MOST, "most": MOST}
    return render(request, "executions/waiting.html", context)


def _with_names(rows: WaitQuerySet) -> WaitQuerySet:
    return rows.select_related("execution__workflow", "execution__version")


def _row(wait: ExecutionWait, seen: set[int]) -> Context:
    return {"wait": wait, "title": title_of(wait), "is_visible": wait.execution_id in seen}


def _seen(request: HttpRequest, executions: list[int]) -> set[int]:
    """Those whose pages this person may open: one may be asked about something that one may not watch."""
    rows = WorkflowExecution.objects.filter(visible(request.user, "workflow__"), pk__in=executions)
    return set(rows.values_list("pk", flat=True))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def ask(request: HttpRequest, execution_id: int, node_id: str) -> HttpResponse:
    """One question, with its form for who may answer. HTMX gets the fragment alone."""
    wait = question_for(request, execution_id, node_id)
    if request.method != "POST":
        return _page(request, wait, _form(request, wait))
    if not answering.may_answer(request.user, wait):
        raise PermissionDenied(answering.why_not(wait))
    form = AnswerForm(wait, request.POST)
    refusal = _answered(request, wait, form) if form.is_valid() else None
    if form.errors or refusal:
        return _page(request, wait, form, refusal, 409 if refusal else 422)
    if request.headers.get("HX-Request"):
        return _page(request, question_for(request, execution_id, node_id), None)
    messages.success(request, f"You {form.cleaned_data['decision']} “{title_of(wait)}”.")
    if request.POST.get("back") == "waiting" or not _seen(request, [execution_id]):
        return see_other("executions:waiting")
    return see_other("executions:show", execution_id)


def _answered(request: HttpRequest, wait: ExecutionWait, form: AnswerForm) -> AnswerRefused | None:
    """Why it was not taken, where it came too late; what does not fit is said in the form."""
    try:
        answering.answer(wait, request.user, form.approved, form.values, form.cleaned_data["comment"])
    except AnswerRefused as refusal:
        return refusal
    except InputError as error:
        form.refuse(error)
    return None


def question_for(request: HttpRequest, execution_id: int, node_id: str) -> ExecutionWait:
    """For who may watch the execution, and for who may answer."""
    wait = answering.question(execution_id, node_id)
    if wait is None or wait.kind not in OUTSIDE:
        raise Http404
    if not (_seen(request, [execution_id]) or answering.may_answer(request.user, wait)):
        raise Http404
    return wait


def form_html(request: HttpRequest, execution_id: int, node_id: str) -> str:
    """The question as it stands in the page of its execution; empty where it has just ended."""
    wait = answering.question(execution_id, node_id)
    if wait is None or wait.kind not in OUTSIDE:
        return ""
    return render_to_string("executions/_wait.html", _context(request, wait, _form(request, wait)), request)


def _form(request: HttpRequest, wait: ExecutionWait) -> AnswerForm | None:
    is_open = answering.over(wait) is None
    return AnswerForm(wait) if is_open and answering.may_answer(request.user, wait) else None


def _page(
    request: HttpRequest,
    wait: ExecutionWait,
    form: AnswerForm | None,
    refusal: AnswerRefused | None = None,
    status: int | None = None,
) -> HttpResponse:
    is_fragment = request.headers.get("HX-Request")
    name = "executions/_wait.html" if is_fragment else "executions/wait.html"
    context = _context(request, wait, form) | {"refusal": refusal.message if refusal else ""}
    context |= {"is_page": not is_fragment, "is_visible": bool(_seen(request, [wait.execution_id]))}
    return render(request, name, context, status=status)


def _context(request: HttpRequest, wait: ExecutionWait, form: AnswerForm | None) -> Context:
    refusal = answering.over(wait)
    may_run = can(request.user, "run", wait.execution.workflow)
    return {
        "wait": wait,
        "title": title_of(wait),
        "form": form,
        "over": refusal.message if refusal else "",
        "decided": answering.decided(wait) if wait.answered_at else "",
        "asked": answering.audience_names(wait),
        "callback": url_of(wait, request) if wait.kind == WaitKind.CALLBACK and may_run and not refusal else "",
    }
