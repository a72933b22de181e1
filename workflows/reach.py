"""Which workflows a step may call: those that the person who builds it may run."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from workflows.config import Setting
from workflows.models import Workflow
from workflows.permissions import visible

MOST = 500
LOST = "This workflow is gone, is off, was never published, or is not yours to run. Choose another one."


def reachable(user: Any, setting: Setting) -> Setting:
    """The field with the names of workflows to choose from. Whoever may see a workflow may run it."""
    rows = Workflow.objects.runnable().filter(visible(user)).order_by("name", "pk").values_list("pk", "name")[:MOST]
    often = Counter(name for _, name in rows)
    options = tuple((str(pk), name if often[name] == 1 else f"{name} (#{pk})") for pk, name in rows)
    choices = tuple(value for value, _ in options)
    is_lost = setting.value and setting.value not in choices and not setting.errors and len(choices) < MOST
    return replace(setting, choices=choices, options=options, errors=(LOST,) if is_lost else setting.errors)
