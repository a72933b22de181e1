"""Where a step kind comes from: it is ours, an app's of this installation, or an installed package's."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Literal

from django.apps import apps

from workflows.steps import GROUP, AnyStep


@dataclass(frozen=True, slots=True)
class Origin:
    """`name` and `release` are those of the app or package; both are empty for our own."""

    where: Literal["built in", "app", "package"]
    name: str = ""
    release: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.where, self.name, self.release) if part)


def origin_of(kind: type[AnyStep]) -> Origin:
    if kind.__module__.startswith("workflows.steps."):
        return Origin("built in")
    for entry in entry_points(group=GROUP):
        if entry.dist and (entry.module, entry.attr) == (kind.__module__, kind.__qualname__):
            return Origin("package", entry.dist.name, entry.dist.version)
    app = apps.get_containing_app_config(kind.__module__)
    return Origin("app", app.label if app else kind.__module__)
