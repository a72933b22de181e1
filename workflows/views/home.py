"""Home: what needs attention, and the workflows that one may see, each with how it has been going."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import OuterRef, Q, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from workflows import glance
from workflows.attention import MOST, matters
from workflows.models import Workflow, WorkflowTag
from workflows.permissions import permitted, visible_to
from workflows.usual import executions

PAGE = 50  # workflows
OFFERED = 20  # workflows among which the first one to run is chosen
SLOW_KINDS = {"delay", "countdown", "ai"}
TABS = {"": "All", "failing": "Failing", "running": "Running", "waiting": "Waiting", "drafts": "Drafts"}
SORTS = {"": "By name", "newest": "Newest first", "failing": "Failing first"}
STATES = {"failing": ("failed",), "running": ("pending", "running"), "waiting": ("waiting",)}


@dataclass(frozen=True, slots=True)
class Entry:
    """A workflow as the tabs and the order need it. `last`, `state`: of its last execution."""

    pk: int
    name: str
    created_at: datetime
    is_draft: bool
    last: int | None
    state: str | None

    def is_in(self, tab: str) -> bool:
        return self.is_draft if tab == "drafts" else not tab or self.state in STATES[tab]


@dataclass(frozen=True, slots=True)
class Asked:
    """The words of the address."""

    q: str
    tag: str
    state: str
    sort: str
    page: int

    def to(self, **changes: Any) -> str:
        words = {"q": self.q, "tag": self.tag, "state": self.state, "sort": self.sort} | changes
        return "?" + urlencode({name: value for name, value in words.items() if value})


@never_cache  # the way back must bring new keys for Run, and what is true now
@require_safe
def listed(request: HttpRequest) -> HttpResponse:
    asked = _asked(request)
    every = _entries(visible_to(request.user).filter(archived_at=None))
    found = _searched(every, asked, request.user)
    chosen = _sorted([entry for entry in found if entry.is_in(asked.state)], asked.sort)
    start, failing = PAGE * (asked.page - 1), _failing(every)
    context = {
        "asked": asked,
        "rows": _rows(request.user, [entry.pk for entry in chosen[start : start + PAGE]]),
        "tabs": [
            (tab, label, asked.to(state=tab), sum(entry.is_in(tab) for entry in found)) for tab, label in TABS.items()
        ],
        "sorts": SORTS.items(),
        "without_tag": asked.to(tag=""),
        "matters": matters([entry.pk for entry in every], failing),
        "more_failing": max(0, len(failing) - MOST),
        "first": None if any(entry.last for entry in every) else _first(every),
        "earlier": asked.to(page=asked.page - 1) if asked.page > 1 else "",
        "later": asked.to(page=asked.page + 1) if len(chosen) > start + PAGE else "",
        "place": (start + 1, min(start + PAGE, len(chosen)), len(chosen)),
    }
    return render(request, "workflows/list.html", context)


def _asked(request: HttpRequest) -> Asked:
    words = request.GET
    search, tag = (_plain(words.get(name, "")) for name in ("q", "tag"))
    state, sort, page = words.get("state", ""), words.get("sort", ""), words.get("page", "")
    is_number = page.isascii() and page.isdigit() and len(page) < 6
    state, sort = state if state in TABS else "", sort if sort in SORTS else ""
    return Asked(search, tag, state, sort, max(1, int(page)) if is_number else 1)


def _plain(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable()).strip()[:200]


def _entries(workflows: Any) -> list[Entry]:
    """All that one may see, by name: each with one look-up in the index that has the newest execution first."""
    newest = executions().filter(workflow=OuterRef("pk")).order_by("-pk")
    last = {"last": Subquery(newest.values("pk")[:1]), "state": Subquery(newest.values("status")[:1])}
    is_draft = Q(draft__isnull=False) | Q(published=None)
    rows = workflows.order_by("name", "pk").annotate(is_draft=is_draft, **last)
    return [Entry(*row) for row in rows.values_list("pk", "name", "created_at", "is_draft", "last", "state")]


def _searched(entries: list[Entry], asked: Asked, user: Any) -> list[Entry]:
    """By name, description and tags."""
    if not (asked.q or asked.tag):
        return entries
    found = visible_to(user)
    if asked.tag:
        found = found.filter(tags__name=asked.tag.lower())
    if asked.q:
        tagged = WorkflowTag.objects.filter(name__icontains=asked.q).values("workflow")
        found = found.filter(Q(name__icontains=asked.q) | Q(description__icontains=asked.q) | Q(pk__in=tagged))
    ids = set(found.values_list("pk", flat=True))
    return [entry for entry in entries if entry.pk in ids]


def _sorted(entries: list[Entry], sort: str) -> list[Entry]:
    if sort == "newest":
        return sorted(entries, key=lambda entry: entry.created_at, reverse=True)
    return sorted(entries, key=lambda entry: entry.state != "failed") if sort == "failing" else entries


def _failing(entries: list[Entry]) -> list[int]:
    return sorted((entry.last for entry in entries if entry.last and entry.state == "failed"), reverse=True)


def _rows(user: Any, ids: list[int]) -> list[dict[str, Any]]:
    light = Workflow.objects.select_related("published").defer("draft", "published__definition")
    light = light.annotate(has_draft=Q(draft__isnull=False)).prefetch_related("tags")
    workflows, seen = light.in_bulk(ids), glance.glances(ids)
    may_run = {workflow.pk for workflow in permitted(user, "run", list(workflows.values()))}
    return [
        {
            "workflow": workflows[pk],
            "last": glance.rendered(seen[pk])[1],
            "may_run": pk in may_run,
            "key": uuid.uuid4().hex,
        }
        for pk in ids
        if pk in workflows
    ]


def _first(entries: list[Entry]) -> dict[str, Any] | None:
    """Where nothing has run yet: the shortest that is ready, so that the first result is one click away."""
    ready = Workflow.objects.runnable().filter(pk__in=[entry.pk for entry in entries])
    offered = list(ready.select_related("published").defer("draft").order_by("pk")[:OFFERED])
    if not offered:
        return None
    workflow = min(offered, key=_patience)
    about = workflow.description.partition(". ")[0].rstrip(".")
    return {"workflow": workflow, "about": about, "key": uuid.uuid4().hex}


def _patience(workflow: Workflow) -> tuple[bool, int]:
    """Whether its steps take their time, and how many there are."""
    nodes = workflow.published.definition.get("nodes", []) if workflow.published else []
    return any(node.get("type") in SLOW_KINDS for node in nodes), len(nodes)
