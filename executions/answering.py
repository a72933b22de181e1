"""People's answers to a question: who may give one, whether it still counts, and whether what they filled in fits.

The engine writes an answer down; this room only decides about it. One answer counts, however many come.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import CharField, Exists, F, OuterRef, Q, Value
from django.db.models.functions import Cast, Concat, StrIndex
from django.utils import timezone
from pydantic import ValidationError

from executions.engine import WorkflowEngine
from executions.models import ExecutionWait, WaitKind
from executions.models.wait import NOBODY, WaitQuerySet
from executions.story import known
from workflows import fields
from workflows.blueprint import Blueprint, blueprint_of
from workflows.errors import InputError, WorkflowExecutionError
from workflows.fields import Field
from workflows.graph import NODE_ID
from workflows.permissions import can, visible
from workflows.values import require_object
from workflows.words import instant

COMMENT_LENGTH = 2_000  # characters
WORKFLOW = "execution__workflow__"


class AnswerRefused(WorkflowExecutionError):
    """The question is not open any more."""

    code = "answer.closed"


class AnsweredBefore(AnswerRefused):
    """Somebody else was first."""

    code = "answer.taken"


class AnswerTooLate(AnswerRefused):
    """Its time is over."""

    code = "answer.expired"


def answer(
    wait: ExecutionWait, by: Any, approved: bool, values: Mapping[str, Any] | None = None, comment: str = ""
) -> None:
    """Ends an approval for `by`; the execution goes on. `values`: for the fields that were asked for, as JSON.

    A rejection need not fill in what is required. Raises PermissionDenied for whom it does not ask, AnswerRefused where
    the question is closed (and says who was first), InputError with every problem by field name.
    """
    if not may_answer(by, wait):
        raise PermissionDenied(why_not(wait))
    refuse_late(wait)
    told = {"approved": approved, "by": by.get_username(), "comment": _comment(comment)}
    told["values"] = checked(wait, approved, values or {})
    if not WorkflowEngine().answer_wait(wait.pk, told, by=by):
        refuse_late(wait)  # which has changed in this very moment
        raise AnswerRefused(None, wait.execution_id, wait.node)


# Who


def may_answer(user: Any, wait: ExecutionWait) -> bool:
    """Those it asks; where it asks nobody in particular, all who may run the workflow. Its administrators always."""
    workflow = wait.execution.workflow
    if wait.kind != WaitKind.APPROVAL or not user.is_authenticated or not user.is_active:
        return False
    if can(user, "administer", workflow) or f",u{user.pk}," in wait.audience:
        return True
    if not wait.audience:
        return can(user, "run", workflow)
    return any(f",g{pk}," in wait.audience for pk in user.groups.values_list("pk", flat=True))


def why_not(wait: ExecutionWait) -> str:
    named = " or ".join(audience_names(wait)) or "those who may run the workflow"
    return f"This question is for {named} to answer."


def audience_names(wait: ExecutionWait) -> list[str]:
    """The people and groups that are asked, as the step names them."""
    asks = wait.asks or {}
    return [str(name) for name in [*asks.get("people", ()), *asks.get("groups", ())]]


def answerable_by(user: Any) -> WaitQuerySet:
    """The open questions that this person may answer, as may_answer() has it: those that are due first come first."""
    if not user.is_authenticated or not user.is_active:
        return ExecutionWait.objects.none()
    return _open_questions().filter(Q() if user.is_superuser else asked_of(user) | Q(**{f"{WORKFLOW}owner": user}))


def asking(user: Any) -> WaitQuerySet:
    """Those of them that ask this person, and not only others in whose place it may answer."""
    is_known = user.is_authenticated and user.is_active
    return _open_questions().filter(asked_of(user)) if is_known else ExecutionWait.objects.none()


def _open_questions() -> WaitQuerySet:
    questions = ExecutionWait.objects.unanswered(timezone.now()).filter(kind=WaitKind.APPROVAL)
    live = questions.filter(execution__completed_at=None, execution__cancel_requested_at=None)
    return live.order_by(F("due_at").asc(nulls_last=True), "pk")


def asked_of(user: Any) -> Q:
    """Those that ask this person, by name, by group, or because they ask whoever may run (or administer) it."""
    mark = Concat(Value(",g"), Cast("pk", CharField()), Value(","))
    groups = Group.objects.filter(user=user.pk).annotate(at=StrIndex(OuterRef("audience"), mark)).filter(at__gt=0)
    runs = Q(visible(user, WORKFLOW), audience="")  # to see a workflow is to be allowed to run it
    administers = Q() if user.is_superuser else Q(**{f"{WORKFLOW}owner": user})
    return Q(audience__contains=f",u{user.pk},") | Q(Exists(groups)) | runs | Q(administers, audience=NOBODY)


# When


def question(execution_id: int, node: str) -> ExecutionWait | None:
    """The latest wait of a step, open or not, with all that is asked about it here."""
    if not NODE_ID.match(node):  # PostgreSQL would not even look for a NUL
        return None
    return _rows().filter(execution=known(execution_id), node=node).order_by("-pk").first()


def refuse_late(wait: ExecutionWait) -> None:
    """Raises AnswerRefused, as of now, where no answer counts any more."""
    found = _rows().filter(pk=wait.pk).first()
    if found is None:
        raise AnswerRefused(None, wait.execution_id, wait.node)
    if refusal := over(found):
        raise refusal


def over(wait: ExecutionWait) -> AnswerRefused | None:
    """Why no answer counts any more; None where one still does."""
    execution, at = wait.execution, (wait.execution_id, wait.node)
    if wait.answered_at is not None:
        return AnsweredBefore(f"{decided(wait)} That was first, and only one answer counts.", *at)
    if wait.lapsed_at or (wait.due_at and wait.due_at <= (wait.closed_at or timezone.now())):
        when = wait.due_at or wait.lapsed_at
        return AnswerTooLate(f"The time to answer was over on {instant(when)}." if when else None, *at)
    if execution.cancel_requested_at or execution.is_final:
        word = "is being cancelled" if not execution.is_final else f"has ended: {execution.status}"
        return AnswerRefused(f"Nothing waits for an answer any more, execution #{execution.pk} {word}.", *at)
    return AnswerRefused(None, *at) if wait.closed_at else None


def decided(wait: ExecutionWait) -> str:
    """“alice approved this on 24 Nov 2026, 12:03 UTC.”"""
    assert wait.answered_at is not None
    if wait.kind == WaitKind.CALLBACK:
        return f"The call came on {instant(wait.answered_at)}."
    who = wait.answered_by.get_username() if wait.answered_by else "Somebody"
    approved = wait.answer.get("approved") if isinstance(wait.answer, dict) else None
    verb = "answered" if approved is None else "approved" if approved else "rejected"
    return f"{who} {verb} this on {instant(wait.answered_at)}."


def _rows() -> WaitQuerySet:
    return ExecutionWait.objects.select_related("answered_by", "execution__workflow__owner", "execution__version")


# What


def title_of(wait: ExecutionWait) -> str:
    """What is asked, else what the step is called."""
    if title := (wait.asks or {}).get("title"):
        return str(title)
    blueprint = blueprint_of(wait.execution.version, wait.execution.workflow.max_parallel)
    node = blueprint.whole.nodes.get(wait.node) if isinstance(blueprint, Blueprint) else None
    return node.label if node else wait.node


def fields_of(wait: ExecutionWait) -> list[Field]:
    """What is asked for beside yes or no. A field that no longer fits the house's rules is not asked."""
    found: list[Field] = []
    for one in (wait.asks or {}).get("fields") or ():
        try:
            found.append(Field.model_validate(one))
        except ValidationError:
            continue
    return found


def asked_for(wait: ExecutionWait, approved: bool) -> list[Field]:
    """The same; who says no need not fill in anything."""
    asked = fields_of(wait)
    return asked if approved else [field.model_copy(update={"required": False}) for field in asked]


def checked(wait: ExecutionWait, approved: bool, values: Mapping[str, Any]) -> dict[str, Any]:
    asked = asked_for(wait, approved)
    given = require_object(values, "values", settings.ENGINE["INPUT_BYTES"])
    names = {field.name for field in asked}
    strange = {name[:80]: f"“{name[:80]}” is not asked for." for name in given if name not in names}
    if strange:
        raise InputError(" ".join(list(strange.values())[:10]), f"values.{next(iter(strange))}")
    return fields.check(asked, given, "values")


def _comment(text: str) -> str:
    if len(text) > COMMENT_LENGTH:
        raise InputError(
            f"The comment may have at most {COMMENT_LENGTH:,} characters; it has {len(text):,}.", "comment"
        )
    return text.strip()
