"""`manage.py step_kinds`: which step kinds there are, where each comes from, and which are used but missing.

The list goes to stdout and warnings to stderr, so that --json and --docs can be piped. Exit code 0 in any case: a
missing kind is a warning, since its steps pass their data on.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections import defaultdict
from typing import Any

from django.core.management.base import BaseCommand
from django.db.utils import OperationalError, ProgrammingError

from workflows.manual import is_overridden, page
from workflows.models import Workflow
from workflows.sayings import cut
from workflows.steps import AnyStep, kinds
from workflows.steps.origin import origin_of
from workflows.words import count

NAMED = 5  # workflows of a missing kind


class Command(BaseCommand):
    help = "Lists the step kinds of this installation, and warns of those that published workflows use and it lacks."

    def add_arguments(self, parser: ArgumentParser) -> None:
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--json", action="store_true", dest="as_json", help="the list as JSON")
        how.add_argument("--docs", action="store_true", help="the page about them, in Markdown: docs/steps.md")

    def handle(self, *args: Any, as_json: bool, docs: bool, **options: Any) -> None:
        known = kinds()
        if docs:
            self.stdout.write(page(known.values()), ending="")
            return
        facts = [_facts(kind) for kind in known.values()]
        self.stdout.write(json.dumps(facts, ensure_ascii=False, indent=2) if as_json else _table(facts))
        try:
            self._warn(_missing(set(known)))
        except (OperationalError, ProgrammingError) as error:
            self.stderr.write(f"Published workflows were not looked at: the database does not answer ({error}).")

    def _warn(self, missing: dict[str, list[str]]) -> None:
        for kind, names in sorted(missing.items()):
            told = ", ".join(f"“{cut(name)}”" for name in names[:NAMED])  # a name may try to speak to the terminal
            more = f" and {count(len(names) - NAMED, 'other')}" if len(names) > NAMED else ""
            self.stderr.write(
                f"Warning: the kind “{cut(kind)}” is missing. Its steps pass their data on unchanged, in {told}{more}."
            )


def _facts(kind: type[AnyStep]) -> dict[str, Any]:
    origin = origin_of(kind)
    return {
        "kind": kind.kind,
        "label": kind.label,
        "effects": "depends" if is_overridden(kind, "effects_of") else kind.effects,  # on a step's settings
        "from": str(origin),
        "version": kind.version,
    }


def _table(facts: list[dict[str, Any]]) -> str:
    rows = [["KIND", "LABEL", "EFFECTS", "FROM", "VERSION"], *([str(one) for one in fact.values()] for fact in facts)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _missing(known: set[str]) -> dict[str, list[str]]:
    """By kind, the names of the workflows that run and use it."""
    missing: defaultdict[str, list[str]] = defaultdict(list)
    for workflow in Workflow.objects.listed().filter(published__isnull=False).select_related("published").iterator():
        for kind in _used(workflow) - known:
            missing[kind].append(workflow.name)
    return missing


def _used(workflow: Workflow) -> set[str]:
    assert workflow.published is not None
    nodes = workflow.published.definition.get("nodes") or []
    return {str(node.get("type")) for node in nodes if isinstance(node, dict)}
